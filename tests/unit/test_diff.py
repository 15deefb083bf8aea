"""Two releases compared: every change, its parts, and what it is put down to."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.errors import UsageError
from dagster_project.release.changes import as_json, as_markdown
from dagster_project.release.diff import Causes, Changes, compare
from dagster_project.release.folder import MANIFEST
from dagster_project.release.reading import Release
from tests.unit.small_release import HOSTILE_NAMES, write_small_release

NANO = 10**9
HUNDREDTH = Decimal("0.01")
CORRECTION = {
    "id": "C0001", "table": "phone_probes", "target": "P-1", "line_id": "110200", "field": "greeting",
    "expect": "full", "to": "none", "reason": "录音核对",
}  # fmt: skip


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write_small_release(tmp_path / "before")


def edit_rows(folder: Path, name: str, change: Any) -> None:
    """Apply `change(row)` to every row of a table of the release."""
    path = folder / f"{name}.parquet"
    table = pq.ParquetFile(path).read()
    rows = table.to_pylist()
    for row in rows:
        change(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def edit_json(folder: Path, name: str, change: Any) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    change(content)
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def after(before: Path, tmp_path: Path) -> Path:
    """Line 110200 lost a tenth of a point of one indicator of weight .1, and with it its tie with 110300."""
    folder = tmp_path / "after"
    shutil.copytree(before, folder)

    def lower(row: dict[str, Any]) -> None:
        if row["line_id"] == "110200" and row["channel"] == "all" and row["node_code"] in ("T", "I07"):
            row["score_nano"] -= NANO // 100 if row["node_code"] == "T" else NANO // 10
            row["published"] -= HUNDREDTH if row["node_code"] == "T" else 10 * HUNDREDTH

    edit_rows(folder, "line_scores", lower)

    def rank(row: dict[str, Any]) -> None:
        if row["unit_code"] == "110200":
            row["published"] -= HUNDREDTH
            row["rank"], row["is_tied"] = row["rank"] + 1, False
        elif row["unit_code"] == "110300":
            row["is_tied"] = False

    edit_rows(folder, "rankings", rank)

    def correct(manifest: dict[str, Any]) -> None:
        manifest["release"] = "after"
        manifest["corrections"] = [CORRECTION]
        manifest["ledger_head"] = "1" * 64

    edit_json(folder, MANIFEST, correct)
    return folder


def compared(before: Path, after: Path) -> Changes:
    return compare(Release(before), Release(after))


def test_equal_releases_differ_in_nothing(before: Path) -> None:
    changes = compared(before, before)
    assert (changes.lines, changes.ranks, changes.figures, changes.texts) == ((), (), (), ())
    assert changes.causes.kind == "none"
    assert "无变化" in as_markdown(changes)


def test_a_corrected_line_is_explained_without_a_residual(before: Path, after: Path) -> None:
    changes = compared(before, after)
    (line,) = changes.lines
    assert line.line_id == "110200"
    assert line.total_before is not None and line.total_after == line.total_before - HUNDREDTH
    (contribution,) = line.contributions
    assert (contribution.code, contribution.score_effect_nano, contribution.structure_effect_nano) == (
        "I07",
        -NANO // 100,
        0,
    )
    assert contribution.printed == -HUNDREDTH
    assert line.residual_nano == 0
    assert changes.causes == Causes((), (CORRECTION,), (), (), (), {})
    assert changes.causes.kind == "correction"


def test_a_class_that_changes_is_told(before: Path, after: Path) -> None:
    edit_rows(after, "line_classes", lambda row: row.update(line_class="cold") if row["line_id"] == "110300" else None)
    found = {line.line_id: (line.class_before, line.class_after) for line in compared(before, after).lines}
    assert found == {"110200": ("温线", "温线"), "110300": ("温线", "冷线")}


def test_a_moved_rank_is_taken_apart(before: Path, after: Path) -> None:
    (change,) = compared(before, after).ranks
    assert (change.unit_code, change.before, change.after) == ("110200", 1, 2)
    # among the others as they were, it would be second: its own doing
    assert (change.held, change.own, change.others, change.is_own) == (2, 1, 0, True)


def test_a_rank_moved_by_others_is_told_as_theirs(before: Path, after: Path) -> None:
    """Undone: the line comes back past 110300, which kept its score and falls behind."""
    edit_rows(after, "rankings", lambda row: row.update(rank=1) if row["unit_code"] == "110300" else None)
    edit_rows(before, "rankings", lambda row: row.update(rank=2) if row["unit_code"] == "110300" else None)
    found = {each.unit_code: each for each in compared(before, after).ranks}
    moved = found["110300"]
    assert (moved.before, moved.after, moved.held, moved.own, moved.others, moved.is_own) == (2, 1, 1, -1, 0, False)


def test_a_line_that_is_no_longer_ranked_has_no_parts(before: Path, after: Path) -> None:
    edit_rows(after, "rankings", lambda row: row.update(rank=None) if row["unit_code"] == "110200" else None)
    (change,) = compared(before, after).ranks
    assert (change.after, change.held, change.own, change.others) == (None, None, None, None)
    assert "不排名" in as_markdown(compared(before, after))


def test_figures_and_sentences_that_change_are_told(before: Path, after: Path) -> None:
    edit_json(after, "figures.json", lambda figures: figures[0].update(value=12.34))
    edit_json(after, "claims.json", lambda claims: claims["sections"][0]["sentences"][0].update(text="新的句子。"))
    changes = compared(before, after)
    (figure,) = changes.figures
    assert figure.after == Decimal("12.34")
    (text,) = changes.texts
    assert text.after == "新的句子。" and text.before
    assert "新的句子。" in as_markdown(changes)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda manifest: manifest["raw_files"].append({"file": "more.csv", "sha256": "f" * 64}), "delivery"),
        (lambda manifest: manifest["declaration_files"].update({"methods/v2023/indicators.csv": "f" * 64}), "method"),
        (lambda manifest: manifest.update(code_version="another"), "other"),
        (lambda manifest: manifest["declaration_files"].update({"2023/wave.yml": "f" * 64}), "other"),
        (lambda manifest: manifest.update(corrections=[CORRECTION], code_version="another"), "mixed"),
        (lambda manifest: manifest.update(corrections=[CORRECTION]), "correction"),
    ],
)
def test_causes_are_told_apart(before: Path, tmp_path: Path, change: Any, kind: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(before, other)
    edit_json(other, MANIFEST, change)
    changes = compared(before, other)
    assert changes.causes.kind == kind
    assert json.loads(as_json(changes))["kind"] == kind
    assert as_markdown(changes)


def test_a_withdrawn_correction_is_a_cause_too(before: Path, after: Path) -> None:
    changes = compared(after, before)
    assert changes.causes.corrections_removed == (CORRECTION,)
    assert changes.causes.kind == "correction"


def test_the_text_holds_no_markup_of_names(before: Path, after: Path) -> None:
    edit_rows(after, "lines", lambda row: row.update(city="<b>a|b</b>\n# c") if row["line_id"] == "110200" else None)
    text = as_markdown(compared(before, after))
    assert "<b>" not in text and "\n# c" not in text
    assert "模拟数据" in text
    assert HOSTILE_NAMES  # the small release's own names pass through the same


def test_data_and_text_say_the_same(before: Path, after: Path) -> None:
    changes = compared(before, after)
    data = json.loads(as_json(changes))
    assert data["lines"][0]["contributions"][0]["printed"] == "-0.01"
    assert "-0.01" in as_markdown(changes)
    assert as_json(compared(before, after)) == as_json(changes)


def test_releases_of_two_waves_are_not_compared(before: Path, after: Path) -> None:
    edit_json(after, MANIFEST, lambda manifest: manifest.update(wave="2022"))
    with pytest.raises(UsageError, match="different waves"):
        compared(before, after)
