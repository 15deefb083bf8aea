"""The guard around the workbook library, and what it must bring through unharmed."""

import io
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xlsxwriter

from dagster_project.ingest import workbook
from dagster_project.ingest.faults import FileRejected
from dagster_project.ingest.workbook import Limits, read_workbook
from tests.hostile.corpus import DIAL, PHONE, SHEET, STRINGS, dial, part, rezipped
from tests.small_wave import WAVE, SmallWave


def small_xlsx() -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        book.add_worksheet().write_row(0, 0, ["a", "b"])
    return content.getvalue()


def with_sheet(change: Callable[[bytes], bytes]) -> bytes:
    """The small workbook with the XML of its sheet changed."""
    return rezipped(small_xlsx(), lambda name, old: change(old) if name == SHEET else old)


@pytest.mark.parametrize("value", [b"<v></v>", b"<v/>", b""])
def test_a_shared_string_without_an_index_is_an_empty_cell(value: bytes) -> None:
    content = with_sheet(lambda xml: xml.replace(b"<v>0</v>", value))
    assert read_workbook(content, "x.xlsx", None, 1)["columns"][0]["text"] == [""]


def test_a_sheet_with_a_namespace_prefix_is_read() -> None:
    def prefixed(xml: bytes) -> bytes:
        return re.sub(rb"<(/?)(\w)", rb"<\1x:\2", xml).replace(b" xmlns=", b" xmlns:x=")

    columns = read_workbook(with_sheet(prefixed), "x.xlsx", None, 1)["columns"]
    assert [column["text"] for column in columns] == [["a"], ["b"]]
    with pytest.raises(FileRejected, match=r"E_MISREAD_CELLS.*B1"):
        read_workbook(
            with_sheet(lambda xml: prefixed(xml).replace(b"<x:v>1</x:v>", b"<x:v>-1</x:v>")), "x.xlsx", None, 1
        )


@pytest.mark.parametrize(
    "cell",
    [
        b'<c r="A1"><v>7</v></c>',
        b'<c r="a1"><v>7</v></c>',
        b'<c r="A01"><v>7</v></c>',
        b"<c><v>7</v></c>",
        b'<c z=">" r="A1"><v>7</v></c>',
        b'<c r="A1"><v>7</v ></c>',
        b'<c r="A1" t="inlineStr"><is><t>7</t></is ></c>',
    ],
)
def test_two_cells_in_one_place_are_refused_however_the_place_is_written(cell: bytes) -> None:
    content = with_sheet(lambda xml: xml.replace(b"</sheetData>", b'<row r="1">' + cell + b"</row></sheetData>"))
    with pytest.raises(FileRejected, match=r"E_UNREADABLE.*row 1, column 1"):
        read_workbook(content, "x.xlsx", None, 1)


def test_cells_without_references_are_read() -> None:
    """As streaming writers write them, beside empty texts, for which places are looked at."""

    def streamed(xml: bytes) -> bytes:
        rows = b'<row><c t="str"><v></v></c></row><row><c t="str"><v>c</v></c></row></sheetData>'
        return re.sub(rb' r="\w+"', b"", xml).replace(b"</sheetData>", rows)

    columns = read_workbook(with_sheet(streamed), "x.xlsx", None, 1)["columns"]
    assert [column["text"] for column in columns] == [["a", "", "c"], ["b", "", ""]]


def test_merged_cells_in_the_data_are_refused_and_above_the_header_are_not() -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, 1, "标题")
        sheet.write_row(1, 0, ["a", "b"])
        sheet.write_row(2, 0, ["1", "2"])
    assert read_workbook(content.getvalue(), "x.xlsx", None, 2)["columns"][0]["text"] == ["a", "1"]
    with pytest.raises(FileRejected, match=r"E_MERGED_CELLS.*A1:B1"):
        read_workbook(content.getvalue(), "x.xlsx", None, 1)


@pytest.mark.parametrize(
    "program, told",
    [
        ("import time; time.sleep(60)", "E_UNREADABLE.*1 s;"),
        ("import os; os.abort()", "E_UNREADABLE.*signal 6"),
        ("import os; os.kill(os.getpid(), 9)", "E_UNREADABLE.*signal 9"),
        ("class Panic(BaseException): pass\nraise Panic('panicked')", "E_UNREADABLE.*panicked"),
        ("print('[', end='')\nraise MemoryError", "E_SHEET_TOO_LARGE.*MemoryError"),
    ],
)
def test_the_child_may_end_in_any_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, told: str) -> None:
    child = tmp_path / "child.py"
    child.write_text(program, encoding="utf-8")
    monkeypatch.setattr(workbook, "CHILD", child)
    with pytest.raises(FileRejected, match=told):
        read_workbook(small_xlsx(), "x.xlsx", None, 1, Limits(wall_seconds=1))


def test_the_child_may_not_take_more_than_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The limit on processor time is the child's own: it holds where the command itself is gone."""
    child = tmp_path / "child.py"
    source = workbook.CHILD.read_text(encoding="utf-8")
    child.write_text(source.replace("content = sys.stdin.buffer.read()", "while True: pass"), encoding="utf-8")
    monkeypatch.setattr(workbook, "CHILD", child)
    with pytest.raises(FileRejected, match=r"signal (9|24)"):
        read_workbook(small_xlsx(), "x.xlsx", None, 1, Limits(cpu_seconds=1))


def test_both_of_excels_calendars_give_the_same_times() -> None:
    """Dates as dates, counted from 1900 and from 1904: a calendar mistaken moves all by four years."""
    texts = []
    for from_1904 in (False, True):
        content = io.BytesIO()
        options = {"date_1904": from_1904, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
        with xlsxwriter.Workbook(content, options) as book:
            book.add_worksheet().write_column(0, 0, ["a", datetime(2023, 3, 2, 10, 0, 1), datetime(2004, 2, 29)])
        texts.append(read_workbook(content.getvalue(), "x.xlsx", None, 1)["columns"][0])
    assert texts[0] == texts[1]
    assert texts[0] == {"text": ["a", "2023-03-02 10:00:01", "2004-02-29 00:00:00"], "kinds": "sdd"}


def test_rare_characters_and_what_looks_like_a_formula_are_kept_as_they_are(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    dial(lambda text: text.replace("P1100001", "P𠮷㐀😀"))(wave)
    part(STRINGS, lambda xml: xml.replace(b">T1<", b">=HYPERLINK(A1)<"))(wave)
    report = wave.ingest()
    assert report.fault_counts == {}
    read = {name: pq.read_table(wave.paths.bronze_part(name, WAVE), partitioning=None) for name in
            ("dial_attempts", "phone_probes")}  # fmt: skip
    assert read["dial_attempts"]["probe_id"].to_pylist()[0] == "P𠮷㐀😀"
    assert read["phone_probes"]["ticket_no"].to_pylist()[0] == "=HYPERLINK(A1)"
    assert {name for each in read.values() for name in each["source_file"].to_pylist()} == {DIAL, PHONE}
