"""What comparable_with.csv may say, and the word for what two method versions share."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dagster_project.errors import InputRejected
from dagster_project.ingest.comparable import mapping_faults
from dagster_project.ingest.wave import load_wave, reference_tables
from dagster_project.release.comparability import MEASURES, compare_methods, is_same_scoring
from dagster_project.report.comparison import is_plain, told
from dagster_project.report.site import signed
from tests.small_wave import RAW, WAVE, SmallWave

METHOD = RAW / "methods" / "v2023"
Row = dict[str, Any]
OLDER = {"a": "A", "b": "A", "c": "A", "d": "B", "e": "B"}
NEWER = ("a", "B2", "c1", "c2", "m", "n")


def rows(*given: tuple[str | None, str | None, str, int | None]) -> list[Row]:
    return [
        {"#": number, "baseline_method": "v1", "baseline_indicator_code": old, "indicator_code": new, "kind": kind,
         "share_pct": share}
        for number, (old, new, kind, share) in enumerate(given, start=2)
    ]  # fmt: skip


WHOLE = rows(
    ("a", "a", "same", None), ("b", "B2", "renamed", None), ("c", "c1", "split", 70), ("c", "c2", "split", 30),
    ("d", "m", "merged", None), ("e", "m", "merged", None), (None, "n", "new", None),
)  # fmt: skip


def test_a_mapping_of_every_kind_is_whole() -> None:
    assert list(mapping_faults(WHOLE, OLDER, NEWER)) == []
    dropped = [*WHOLE[1:], *rows(("a", None, "dropped", None), (None, "a", "new", None))]
    assert list(mapping_faults(dropped, OLDER, NEWER)) == []
    assert list(mapping_faults([], OLDER, NEWER)) == []


def put(at: int, **changed: Any) -> Callable[[list[Row]], None]:
    return lambda copied: copied[at].update(changed)


FAULTS: list[tuple[Callable[[list[Row]], Any], str, int, str]] = [
    (lambda copied: copied.pop(0), "baseline_indicator_code", 8, "no row tells of a;"),
    (lambda copied: copied.pop(6), "indicator_code", 7, "no row tells of n;"),
    (put(0, baseline_indicator_code="x"), "baseline_indicator_code", 2, "no such indicator"),
    (put(6, indicator_code="x"), "indicator_code", 8, "no such indicator"),
    (put(6, indicator_code="a"), "indicator_code", 8, "row 2 accounts for it already"),
    (put(1, baseline_indicator_code="a"), "baseline_indicator_code", 3, "row 2 accounts for it already"),
    (put(4, kind="renamed"), "indicator_code", 7, "row 6 accounts for it already"),
    (put(0, kind="renamed"), "kind", 2, "the same code is same"),
    (put(1, kind="same"), "kind", 3, "the same code is same"),
    (put(0, kind="dropped"), "indicator_code", 2, "does not go with kind dropped"),
    (put(6, kind="same"), "baseline_indicator_code", 8, "does not go with kind same"),
    (put(0, share_pct=50), "share_pct", 2, "given for split and only there"),
    (put(2, share_pct=None), "share_pct", 4, "given for split and only there"),
    (put(3, share_pct=29), "share_pct", 5, "sum to 99, not 100"),
    (put(1, kind="merged"), "kind", 3, "a single row of merged"),
    (lambda copied: copied[3].update(put_new("c2")), "kind", 4, "a single row of split"),
]  # fmt: skip


def put_new(code: str) -> Row:
    return {"baseline_indicator_code": None, "indicator_code": code, "kind": "new", "share_pct": None}


@pytest.mark.parametrize(("change", "column", "row", "words"), FAULTS)
def test_a_wrong_mapping_is_told_with_row_and_column(
    change: Callable[[list[Row]], Any], column: str, row: int, words: str
) -> None:
    copied = [{**each} for each in WHOLE]
    change(copied)
    found = [(each["#"], name, en) for each, name, _, en in mapping_faults(copied, OLDER, NEWER)]
    assert any(number == row and name == column and words in en for number, name, en in found), found


def test_what_merges_needs_one_parent() -> None:
    found = list(mapping_faults(WHOLE, {**OLDER, "e": "A"}, NEWER))
    assert [(row["#"], column) for row, column, *_ in found] == [(7, "baseline_indicator_code")]


# --- in a method version -----------------------------------------------------------------------


def same_rows(method: Path, baseline: str) -> str:
    codes = [line.split(",")[0] for line in (method / "indicators.csv").read_text(encoding="utf-8").splitlines()[1:]]
    head = "baseline_method,baseline_indicator_code,indicator_code,kind,share_pct\n"
    return head + "".join(f"{baseline},{code},{code},same,\n" for code in codes)


@pytest.mark.parametrize(
    ("edit", "told_words"),
    [
        (lambda text: text, None),
        (lambda text: text.replace("v2022,I01,I01,same,\n", ""), "之后缺少 I01"),
        (lambda text: text.replace("v2022", "v2021"), "「baseline_method」 「v2021」 没有此方法版本"),
        (lambda text: text.replace("v2022", "../x"), "没有此方法版本"),
        (lambda text: text.replace("I02,same", "I02,equal"), "row 3 「kind」 「equal」 应为 same"),
        (lambda text: text.replace("I02,same,", "I02,same,x"), "「share_pct」 「x」 不是整数"),
    ],
)
def test_the_mapping_of_a_method_version_is_checked_with_it(
    tmp_path: Path, edit: Callable[[str], str], told_words: str | None
) -> None:
    wave = SmallWave(tmp_path)
    wave.declare()
    method = wave.paths.method("v2023")
    shutil.copytree(method, wave.paths.method("v2022"))
    (method / "comparable_with.csv").write_text(edit(same_rows(method, "v2022")), encoding="utf-8")
    if told_words is None:
        assert reference_tables(wave.paths, load_wave(wave.paths, WAVE))["comparable_with"].num_rows == 27
        return
    with pytest.raises(InputRejected) as rejected:
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert "comparable_with.csv" in str(rejected.value) and told_words in str(rejected.value)


# --- between a wave and its baseline -----------------------------------------------------------


class Methods:
    """A method version, and the release of a baseline that was scored by a copy of it."""

    def __init__(self, folder: Path):
        self.newer, self.release = folder / "v2", folder / "release"
        shutil.copytree(METHOD, self.newer)
        shutil.copytree(METHOD, self.release / "method")
        (self.release / "manifest.json").write_text(json.dumps({"method_version": "v1"}), encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.release / "method" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def map(self) -> None:
        text = same_rows(self.release / "method", "v1")
        (self.newer / "comparable_with.csv").write_text(text, encoding="utf-8")


@pytest.fixture
def methods(tmp_path: Path) -> Methods:
    return Methods(tmp_path)


def test_another_name_or_label_is_no_other_method(methods: Methods) -> None:
    methods.edit("indicators.csv", "接通率", "接通")
    found = compare_methods(methods.newer, methods.release)
    assert found.measures == dict.fromkeys(MEASURES, "same_method")
    assert found.older_tree == ()
    assert is_same_scoring(methods.newer, methods.release / "method")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("indicators.csv", "attempt,10,45,40", "attempt,10,45,41"),
        ("channel_weights.csv", "I01,phone,100", "I01,phone,90"),
        ("scoring_rules.csv", "connected,yes,,,100", "connected,yes,,,99"),
        ("na_policy.csv", "missing,I01,exclude", "missing,I01,zero"),
        ("settings.csv", "min_availability_pct,50", "min_availability_pct,60"),
    ],
)
def test_scores_of_another_method_are_comparable_by_a_mapping_only(
    methods: Methods, file: str, old: str, new: str
) -> None:
    methods.edit(file, old, new)
    assert not is_same_scoring(methods.newer, methods.release / "method")
    bare = compare_methods(methods.newer, methods.release)
    assert bare.measures["mean_score"] == bare.measures["rule_share"] == "not_comparable"
    assert bare.measures["class_count"] == bare.measures["connection_rate"] == "same_method"
    assert bare.older_tree == ()
    methods.map()
    mapped = compare_methods(methods.newer, methods.release)
    assert mapped.measures == bare.measures | {"mean_score": "comparable_basis"}
    assert len(mapped.older_tree) == 27 and {row["method"] for row in mapped.older_tree} == {"v1"}


def test_a_mapping_must_fit_the_tree_that_the_baseline_was_scored_by(methods: Methods) -> None:
    methods.map()
    for file in ("indicators.csv", "channel_weights.csv"):
        methods.edit(file, "I01,", "I99,")
    with pytest.raises(InputRejected, match="I99"):
        compare_methods(methods.newer, methods.release)


def test_other_classes_are_not_counted_alike(methods: Methods) -> None:
    methods.edit("line_class_rules.csv", "rate_below,30", "rate_below,31")
    measures = compare_methods(methods.newer, methods.release).measures
    assert [name for name, word in measures.items() if word == "not_comparable"] == ["class_count"]


# --- as it is told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "comparable", "word", "text"),
    [
        ("0.98", "0.98", "same_method", "+0.98"),
        ("-2.63", "0.98", "comparable_basis", "-2.63（可比 +0.98）"),
        ("-2.63", None, "not_comparable", "-2.63（不可比）"),
        (None, "0.98", "comparable_basis", "–（可比 +0.98）"),
        (None, None, None, ""),
    ],
)
def test_a_change_is_told_with_what_can_be_compared(
    plain: str | None, comparable: str | None, word: str | None, text: str
) -> None:
    numbers = [None if each is None else Decimal(each) for each in (plain, comparable)]
    row = {"change": numbers[0], "comparable_change": numbers[1], "comparability": word}
    assert told(row, signed) == text
    assert is_plain(row) is (word in ("same_method", None))
    assert told({"change": numbers[0]}, signed) == ("" if plain is None else f"{numbers[0]:+.2f}")  # an older release
