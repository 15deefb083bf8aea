"""The workbook of a small release whose lines have hostile names."""

import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from dagster_project.release.reading import Release
from dagster_project.report.workbook import NA_REASONS, visible, write_workbook
from tests.unit.small_release import FRAME, HOSTILE_NAMES, write_small_release

NA_MARKS = {mark for mark, _ in NA_REASONS.values()}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(write_small_release(tmp_path_factory.mktemp("workbook") / "release"))


@pytest.fixture(scope="module")
def path(release: Release) -> Path:
    path = release.folder.parent / "workbook.xlsx"
    write_workbook(release, path)
    return path


@pytest.fixture(scope="module")
def book(path: Path) -> Any:
    return openpyxl.load_workbook(path)


def _records(sheet: Any) -> list[dict[str, Any]]:
    """Rows of a sheet by its last header row, which the filter stands on."""
    header_row = int(re.findall(r"\d+", sheet.auto_filter.ref)[0])
    header = [cell.value for cell in sheet[header_row]]
    return [dict(zip(header, row, strict=True)) for row in sheet.iter_rows(min_row=header_row + 1, values_only=True)]


def test_equal_releases_give_equal_bytes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    again = Release(write_small_release(tmp_path / "elsewhere" / "release"))
    write_workbook(again, tmp_path / "other.xlsx")
    assert (tmp_path / "other.xlsx").read_bytes() == path.read_bytes()


def test_created_is_the_end_of_the_field_period(path: Path) -> None:
    with zipfile.ZipFile(path) as parts:
        core = parts.read("docProps/core.xml").decode()
    assert re.findall(r">(\d{4}-\d\d-\d\dT[\d:]+Z)<", core) == ["2023-06-30T00:00:00Z"] * 2


def test_names_are_texts_and_nothing_is_a_formula_or_a_link(path: Path, book: Any) -> None:
    with zipfile.ZipFile(path) as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/worksheets/sheet")]
        assert not [name for name in parts.namelist() if name.startswith(("xl/externalLinks", "xl/worksheets/_rels"))]
    assert len(sheets) == len(book.sheetnames)
    assert not [sheet for sheet in sheets if "<f>" in sheet or "<hyperlink" in sheet or 't="str"' in sheet]
    names = [record["名称"] for record in _records(book["指标矩阵"])]
    assert names == [visible(name) for name in HOSTILE_NAMES]
    formats = {cell.number_format for cell in book["指标矩阵"]["B"][4:]}
    assert formats == {"@"}


def test_controls_are_spelled_out() -> None:
    assert visible("右\u202e左\x07\u200b") == "右[U+202E]左[U+0007][U+200B]"
    assert visible("黔西南 <b> =1+1 𠮷") == "黔西南 <b> =1+1 𠮷"


def test_every_sheet_says_that_the_wave_is_simulated(book: Any) -> None:
    for sheet in book:
        assert "模拟数据" in sheet["A2"].value, sheet.title
        assert sheet.oddHeader.center.text == "模拟数据", sheet.title
        assert "0123456789abcdef" in sheet.oddHeader.right.text, sheet.title


def test_a_probed_wave_does_not(tmp_path: Path) -> None:
    write_workbook(Release(write_small_release(tmp_path / "release", synthetic=False)), tmp_path / "workbook.xlsx")
    with zipfile.ZipFile(tmp_path / "workbook.xlsx") as parts:
        assert not [name for name in parts.namelist() if "模拟数据" in parts.read(name).decode()]


def test_headers_stay_and_filter(book: Any) -> None:
    for sheet in book.worksheets[1:]:
        header_row = int(re.findall(r"\d+", sheet.auto_filter.ref)[0])
        assert re.findall(r"\d+", sheet.freeze_panes) == [str(header_row + 1)], sheet.title
        assert sheet.print_title_rows == f"$1:${header_row}", sheet.title
        assert sheet.auto_filter.ref.endswith(str(sheet.max_row)), sheet.title


def test_sheets_are_listed_on_the_first(book: Any) -> None:
    listed = [row[0] for row in book["说明"].iter_rows(values_only=True)]
    assert [name for name in book.sheetnames if name not in listed] == ["说明"]
    assert set(book.sheetnames) >= {"排名 省级", "排名 重点城市", "排名 普通城市", "分渠道矩阵", "指标数据", "变化"}


def test_rankings_show_ties_and_the_unranked_last(release: Release, book: Any) -> None:
    records = _records(book["排名 普通城市"])
    expected = release.rankings["ordinary_city"]
    assert [record["编码"] for record in records] == [row["unit_code"] for row in expected]
    assert [record["名次"] for record in records] == [1, 1, 3, "不排名"]
    assert [record["并列"] for record in records] == ["并列", "并列", None, None]
    assert [record["类别"] for record in records] == ["温线", "温线", "冷线", "死线"]
    assert [record["名次上升"] for record in records] == [row["places_gained"] for row in expected]


def test_matrix_holds_every_published_score_or_why_there_is_none(release: Release, book: Any) -> None:
    sheet = book["指标矩阵"]
    codes = [cell.value for cell in sheet[3]][4:]
    assert codes == list(release.tree)
    assert [cell.value for cell in sheet[4]][4:] == [node.label for node in release.tree.values()]
    for row in sheet.iter_rows(min_row=5):
        scores = release.scores[row[0].value]
        for code, cell in zip(codes, row[4:], strict=True):
            published = scores["all", code]["published"]
            if published is None:
                assert cell.value in NA_MARKS
            else:
                assert (cell.value, cell.number_format) == (float(published), "0.00")


def test_channels_have_no_score_where_they_have_no_node(release: Release, book: Any) -> None:
    records = _records(book["分渠道矩阵"])
    assert [(record["编码"], record["渠道"]) for record in records[:2]] == [("110100", "电话端"), ("110100", "网络端")]
    assert records[0]["网络渠道开通"] is None
    assert records[1]["网络渠道开通"] == float(release.scores["110100"]["web", "I03"]["published"])


def test_classes_figures_and_changes(release: Release, book: Any) -> None:
    classes = {record["编码"]: record for record in _records(book["线路分类"])}
    assert len(classes) == len(FRAME)
    assert (classes["110200"]["接通率 %"], classes["110200"]["类别"]) == (90, "温线")
    assert (classes["120300"]["参加排名"], classes["120300"]["重测概率 死线"]) == ("不排名", 0.75)
    figures = {record["指标编号"]: record for record in _records(book["指标数据"])}
    assert list(figures) == list(release.figures)
    assert figures["web.no_reply"]["脚注"] == "按最大余数法修约,各项占比合计为100.00%"
    for figure in release.figures.values():
        record = figures[figure["id"]]
        names = ("数值", "k", "n", "变化")
        expected = [figure[name] for name in ("value", "k", "n", "change")]
        assert [record[name] for name in names] == [None if value is None else float(value) for value in expected]
    changes = {row[0]: row[4:6] for row in book["变化"].iter_rows(min_row=5, values_only=True)}
    total = release.scores["110100"]["all", "T"]
    assert changes["110100"] == (float(total["published"]), float(total["change"]))


def test_counts_have_no_decimals(book: Any) -> None:
    sheet = book["指标数据"]
    formats = {row[0].value: row[5].number_format for row in sheet.iter_rows(min_row=4)}
    assert (formats["class.hot"], formats["total.score"]) == ("0", "0.00")


def test_names_beyond_what_a_cell_holds_are_cut(tmp_path: Path) -> None:
    names = ["长" * 40_000, *HOSTILE_NAMES[1:]]
    write_workbook(Release(write_small_release(tmp_path / "release", names)), tmp_path / "workbook.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "workbook.xlsx")["指标矩阵"]
    assert sheet["B5"].value == "长" * 32_767
