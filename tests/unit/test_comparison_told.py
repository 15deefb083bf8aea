"""How a release tells of changes between waves whose trees differ, and of lines that came or went: in each form."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.release.reading import Release
from dagster_project.report import pdf
from dagster_project.report.site import write_site
from dagster_project.report.workbook import write_workbook
from tests.unit.small_release import write_small_release

Row = dict[str, Any]
ARROWS = "▲▼↑↓"


def flagged(row: Row, word: str, shift: Decimal | None) -> Row:
    comparable = None if shift is None or row["change"] is None else -row["change"] + shift
    return {**row, "comparability": word if row["change"] is not None else None, "comparable_change": comparable}


def with_flags(folder: Path, word: str, shift: Decimal | None) -> Release:
    """A small release all of whose changes are flagged; where a number can be compared, it has another sign."""
    write_small_release(folder)
    for name in ("line_scores", "rankings"):
        table = pq.read_table(folder / f"{name}.parquet")
        schema = table.schema.append(pa.field("comparability", pa.string()))
        schema = schema.append(pa.field("comparable_change", pa.decimal128(6, 2)))
        rows = [flagged(row, word, shift) for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    for row in figures:
        row["comparability"] = word if row["change"] is not None else None
        comparable = None if shift is None or row["change"] is None else -row["change"] + float(shift)
        row["comparable_change"] = comparable
    (folder / "figures.json").write_text(json.dumps(figures, ensure_ascii=False), encoding="utf-8")
    moved = {
        "dimension": "national", "member": "all", "n_matched": 5, "n_entry": 1, "n_exit": 2, "matched": Decimal("7.38"),
        "entry": Decimal("-22.67"), "exit": Decimal("5.83"), "change": Decimal("-9.46"), "comparability": word,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([moved]), folder / "set_changes.parquet")
    return Release(folder)


@pytest.fixture(scope="module")
def rescored(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return with_flags(tmp_path_factory.mktemp("rescored") / "release", "comparable_basis", Decimal("0.01"))


@pytest.fixture(scope="module")
def incomparable(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return with_flags(tmp_path_factory.mktemp("incomparable") / "release", "not_comparable", None)


def site_of(release: Release) -> dict[str, str]:
    folder = release.folder.parent / "site"
    if not folder.exists():
        write_site(release, folder)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}


def test_the_site_tells_both_numbers(rescored: Release) -> None:
    pages = site_of(rescored)
    total = rescored.figures["total.score"]
    assert f"{total['change']:+.2f}（可比 {total['comparable_change']:+.2f}）" in pages["index.html"]
    assert 'id="comparable"' in pages["method.html"]
    row = next(row for row in rescored.rankings["key_city"] if row["change"])
    assert f"{row['change']:+.2f}（可比 {row['comparable_change']:+.2f}）" in pages["rankings/key_city.html"]
    assert not any(arrow in page for page in pages.values() for arrow in ARROWS)


def test_the_site_says_what_can_not_be_compared(incomparable: Release) -> None:
    pages = site_of(incomparable)
    for name in ("index.html", "rankings/key_city.html", "lines/110100.html", "provinces/110000.html"):
        assert "（不可比）" in pages[name], name


def test_the_site_tells_of_lines_that_came_or_went(rescored: Release) -> None:
    pages = site_of(rescored)
    parts = "全国变化 -9.46 = 两期均有得分的 5 条热线 +7.38、新增 1 条 -22.67、退出 2 条 +5.83"
    assert parts in pages["index.html"]
    assert 'id="sets"' in pages["method.html"]


def test_waves_of_one_method_and_the_same_lines_have_neither(tmp_path: Path) -> None:
    release = Release(write_small_release(tmp_path / "release"))
    pages = site_of(release)
    assert "可比" not in pages["index.html"] + pages["method.html"] + pages["rankings/key_city.html"]
    assert "全国变化" not in pages["index.html"]


def test_the_workbook_has_both_numbers_and_the_parts(rescored: Release, tmp_path: Path) -> None:
    write_workbook(rescored, tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    ranking = next(sheet for sheet in book if sheet.title.startswith("排名 重点"))
    header = [cell.value for cell in ranking[3]]
    first = dict(zip(header, [cell.value for cell in ranking[4]], strict=True))
    row = rescored.rankings["key_city"][0]
    assert (first["得分变化"], first["可比口径变化"]) == (float(row["change"]), float(row["comparable_change"]))
    assert first["可比性"] == "共同指标重算"
    moved = [[cell.value for cell in row] for row in book["范围变化"].iter_rows(min_row=3)]
    assert moved[0][2:9] == ["两期均有", "新增", "退出", "变化", "来自两期均有", "来自新增", "来自退出"]
    assert moved[1][:9] == ["全国", None, 5, 1, 2, -9.46, 7.38, -22.67, 5.83]


@pytest.mark.parametrize(("name", "words"), [("rescored", "可比 "), ("incomparable", "不可比")])
def test_the_pdf_draws_no_arrow(name: str, words: str, request: pytest.FixtureRequest) -> None:
    """An arrow is drawn for places whose text begins with a sign (report.typ)."""
    report = pdf._report(request.getfixturevalue(name))
    rows = [row for group in report["rankings"] for row in group["rows"]]
    assert any(words in row["change"] for row in rows)
    assert [row["gained"] for row in rows if row["gained"].startswith(("+", pdf.MINUS))] == []
