"""A wave under another method: what is refused before anything is run, and what is said of the method's change."""

import csv
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from dagster_project.errors import Busy, GateFailed, HotlineError, InputRejected, Interrupted, UsageError, failure
from dagster_project.ingest.reference import METHOD_BY_FILE, method_file
from dagster_project.release import whatif
from dagster_project.release.changes import what_if_as_json, what_if_as_markdown
from dagster_project.release.diff import RankChange, compare
from dagster_project.release.folder import MANIFEST
from dagster_project.release.reading import Release
from dagster_project.release.whatif import MethodChange, WhatIf, method_changes, what_if
from tests.small_wave import RAW, WAVE, SmallWave
from tests.unit.small_release import write_small_release

METHOD = RAW / "methods/v2023"
Row = dict[str, str]


def rewritten(file: str, target: Path, change: Callable[[Row], object], encoding: str = "utf-8") -> Path:
    """A file of the method with `change` done to each of its rows."""
    with (METHOD / file).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        change(row)
    with target.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def first_level(**weights: str) -> Callable[[Row], object]:
    return lambda row: row.update(l1_weight=weights.get(row["l1_code"], row["l1_weight"]))


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    """A wave whose current release is the small one, measured against one of 2022."""
    wave = SmallWave(tmp_path)
    wave.write()
    current = wave.paths.releases(WAVE) / "0123456789abcdef"
    write_small_release(current)
    wave.paths.current(WAVE).symlink_to(current.name)
    return wave


# --- what is refused ---------------------------------------------------------------------------


def test_what_is_not_there_or_no_method_is_a_usage_error(wave: SmallWave, tmp_path: Path) -> None:
    for named in (tmp_path / "absent.csv", wave.paths.raw / "frames", tmp_path):
        with pytest.raises(UsageError, match=named.name):
            what_if(wave.paths, WAVE, named)
    with pytest.raises(UsageError, match="nothing is published yet"):
        what_if(wave.paths, "2022", METHOD)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a,b\n1,2\n", "第 1 行 / row 1"),
        (b"PK\x03\x04\x9d", "UTF-8"),
        (b"", "the header is empty"),
        (b"indicator_code,indicator_code\n1,2\n", "names a column twice"),
    ],
)
def test_a_file_that_is_none_of_a_methods_is_rejected(
    wave: SmallWave, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(InputRejected, match=told) as rejected:
        what_if(wave.paths, WAVE, path)
    assert "mine.csv" in str(rejected.value)


def test_weights_that_contradict_one_another_are_rejected_at_their_place(wave: SmallWave, tmp_path: Path) -> None:
    path = rewritten(
        "indicators.csv", tmp_path / "w.csv", lambda row: row["indicator_code"] == "I02" and row.update(l1_weight="99")
    )
    with pytest.raises(InputRejected, match=r"indicators\.csv 第 3 行 / row 3 「l1_weight」 「99」"):
        what_if(wave.paths, WAVE, path)


@pytest.mark.parametrize("weight", ["0", "-5", "10.5", "", "=10"])
def test_a_weight_that_is_none_is_rejected_at_its_place(wave: SmallWave, tmp_path: Path, weight: str) -> None:
    path = rewritten("indicators.csv", tmp_path / "w.csv", first_level(A1=weight))
    with pytest.raises(InputRejected, match="第 2 行 / row 2 「l1_weight」"):
        what_if(wave.paths, WAVE, path)


def test_a_version_that_lacks_a_file_is_rejected(wave: SmallWave, tmp_path: Path) -> None:
    shutil.copytree(METHOD, tmp_path / "v")
    (tmp_path / "v/settings.csv").unlink()
    with pytest.raises(InputRejected, match=r"settings\.csv: 文件不存在"):
        what_if(wave.paths, WAVE, tmp_path / "v")


@pytest.mark.parametrize("file", [name for name, spec in METHOD_BY_FILE.items() if not spec.may_be_absent])
def test_a_file_is_known_by_its_name_and_by_its_columns(file: str, tmp_path: Path) -> None:
    shutil.copyfile(METHOD / file, tmp_path / "mine.csv")
    assert method_file(tmp_path / "mine.csv") == file
    assert method_file(tmp_path / file) == file, "whatever is in it: the checks of that file tell what is wrong"


# --- what is run -------------------------------------------------------------------------------


def test_only_the_method_is_another_one_in_what_is_run(
    wave: SmallWave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exports, ledger and baseline release are the wave's own; nothing under its folders is written."""
    (wave.folder / "corrections").mkdir()
    (wave.folder / "corrections/ledger.jsonl").write_text("{}\n", encoding="utf-8")
    for other in ("2022", "2024"):
        shutil.copytree(wave.folder, wave.paths.raw / other)
    baseline = wave.paths.releases("2022") / "fedcba9876543210"
    write_small_release(baseline)
    mine = rewritten("line_class_rules.csv", tmp_path / "rules.csv", dict, "utf-8-sig")
    seen: dict[str, object] = {}

    def run(scratch: whatif.Paths, waves: list[str]) -> None:
        seen["waves"] = waves
        seen["own"] = {path.name for path in scratch.wave_raw(WAVE).rglob("*") if path.is_file()}
        seen["others"] = {path.name for path in scratch.wave_raw("2024").rglob("*")}
        seen["method"] = (scratch.method("v2023") / "line_class_rules.csv").read_bytes()
        seen["baseline"] = scratch.current("2022").resolve()
        raise GateFailed("national_mean_within_bound")

    monkeypatch.setattr(whatif, "run_apart", run)
    before = contents(tmp_path)
    with pytest.raises(GateFailed, match="national_mean_within_bound") as closed:
        what_if(wave.paths, WAVE, mine)
    assert "nothing to compare" in str(closed.value)
    assert contents(tmp_path) == before
    assert seen == {
        "waves": [WAVE],
        "own": {"wave.yml", "phone_1.xlsx", "dial_1.csv", "web_1.csv", "ledger.jsonl"},
        "others": {"wave.yml"},
        "method": mine.read_bytes(),
        "baseline": baseline.resolve(),
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_failure_elsewhere_is_the_same_failure_here() -> None:
    kinds = [failure(code) for code in (1, 2, 3, 4, 5, 130, -9)]
    assert kinds == [HotlineError, UsageError, InputRejected, GateFailed, Busy, Interrupted, HotlineError]


# --- what is told ------------------------------------------------------------------------------


def changed_method(tmp_path: Path, file: str, change: Callable[[Row], object]) -> list[MethodChange]:
    """The change of the small release's method by `change`, which people made in a spreadsheet."""
    before = write_small_release(tmp_path / "before")
    shutil.copytree(before, tmp_path / "after")
    rewritten(file, tmp_path / "after/method" / file, change, "utf-8-sig")
    return list(method_changes(Release(before), Release(tmp_path / "after")))


def test_a_weight_is_told_once_however_many_rows_repeat_it(tmp_path: Path) -> None:
    assert changed_method(tmp_path, "indicators.csv", first_level(A1="20", A3="40")) == [
        MethodChange("indicators.csv", "A1", "服务响应", "l1_weight", "10", "20"),
        MethodChange("indicators.csv", "A3", "问题解决", "l1_weight", "50", "40"),
    ]


def test_a_class_rule_is_told_by_its_class(tmp_path: Path) -> None:
    changes = changed_method(
        tmp_path, "line_class_rules.csv", lambda row: row["line_class"] == "cold" and row.update(below_pct="60")
    )
    assert changes == [MethodChange("line_class_rules.csv", "cold", "冷线", "below_pct", "30", "60")]


def test_a_row_that_came_and_a_setting_are_told(tmp_path: Path) -> None:
    changes = changed_method(
        tmp_path, "line_flags.csv", lambda row: row["flag_code"] == "smart_voice" and row.update(flag_code="voice")
    )
    assert changes == [
        MethodChange("line_flags.csv", "smart_voice", "提供智能语音服务", None, "smart_voice", None),
        MethodChange("line_flags.csv", "voice", "提供智能语音服务", None, None, "voice"),
    ]
    (setting,) = changed_method(
        tmp_path / "again", "settings.csv",
        lambda row: row["setting"] == "min_availability_pct" and row.update(value="60"),
    )  # fmt: skip
    assert (setting.of, setting.column, setting.before, setting.after) == ("min_availability_pct", "value", "50", "60")


def moved(unit: str, before: int | None, after: int | None, group: str = "省级") -> RankChange:
    return RankChange(group, unit, unit, before, after, None, None, None, None, None, is_own=True)


def test_the_furthest_movers_of_each_ranking_are_told() -> None:
    small = [moved(f"U{number}", 10, 10 + number) for number in (1, 2, 3, 4)]
    ranks = [
        moved("G", 1, 1), moved("F", None, 1), moved("E", 3, None), *small, moved("B", 9, 1), moved("A", 1, 9),
        moved("K", 4, 3, "重点城市"),
    ]  # fmt: skip
    assert [each.unit_code for each in whatif._movers(ranks)] == ["A", "B", "U4", "U3", "U2", "K"]


def test_the_text_says_that_it_is_no_publication_and_the_data_hold_what_a_diff_holds(tmp_path: Path) -> None:
    folder = write_small_release(tmp_path / "release")
    changes = compare(Release(folder), Release(folder))
    method = (MethodChange("indicators.csv", "A1", "<b>|服务", "l1_weight", "10", "20"),)
    found = WhatIf(method, (Decimal("80.00"), Decimal("81.50")), 3, (moved("甲", 2, 1),), changes)
    text = what_if_as_markdown(found)
    for said in ("不是公布的结果", "模拟数据", "10 → 20", "80.00 → 81.50(+1.50)", "3 条", "省级:甲 2 → 1", "无变化"):
        assert said in text
    assert "<b>" not in text
    data = json.loads(what_if_as_json(found))
    assert data["what_if"]["totals"] == ["80.00", "81.50"]
    assert data["what_if"]["method"][0]["after"] == "20"
    assert (data["kind"], data["before"], data["lines"]) == ("none", Release(folder).id, [])
    assert MANIFEST not in data
