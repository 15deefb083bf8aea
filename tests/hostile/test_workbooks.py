"""Workbooks made to harm the reader, or harmed on their way: refused within seconds, never a crash."""

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xlsxwriter

from dagster_project.errors import InputRejected
from dagster_project.ingest import workbook
from dagster_project.ingest.faults import FileRejected
from dagster_project.ingest.workbook import Limits, read_workbook
from tests.small_wave import SmallWave


def small_xlsx(*sheets: str) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        for name in sheets or ("Sheet1",):
            book.add_worksheet(name).write_row(0, 0, ["a", "b"])
    return content.getvalue()


def rezipped(change: Callable[[str, bytes], bytes | None], content: bytes | None = None) -> bytes:
    """The workbook with every part passed through `change`; None leaves the part out."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content or small_xlsx())) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            part = change(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return target.getvalue()


def in_part(wanted: str, change: Callable[[bytes], bytes]) -> bytes:
    return rezipped(lambda name, part: change(part) if name == wanted else part)


SHEET, BOOK = "xl/worksheets/sheet1.xml", "xl/workbook.xml"
PROLOG = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def encrypted_flag() -> bytes:
    content = bytearray(small_xlsx())
    start = content.index(b"PK\x01\x02")
    content[start + 8] |= 1
    return bytes(content)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bomb": (lambda: in_part(SHEET, lambda part: part + b" " * (30 << 20)), "E_ZIP_BOMB"),
    "empty": (lambda: b"", "E_NOT_XLSX"),
    "truncated": (lambda: small_xlsx()[:-200], "E_NOT_XLSX"),
    "truncated early": (lambda: small_xlsx()[:100], "E_NOT_XLSX"),
    "text": (lambda: b"a,b\r\n1,2\r\n", "E_NOT_XLSX"),
    "an old .xls or a password": (lambda: workbook.OLE2 + b"\0" * 4096, "E_ENCRYPTED"),
    "encrypted parts": (encrypted_flag, "E_ENCRYPTED"),
    "a flipped byte": (lambda: small_xlsx().replace(b"xl/workbook.xml", b"xl/workbook.xmm"), "E_NOT_XLSX"),
    "DOCTYPE": (
        lambda: in_part(SHEET, lambda part: part.replace(PROLOG.rstrip(), PROLOG + b'<!DOCTYPE x [<!ENTITY a "b">]>')),
        "E_XML_DOCTYPE",
    ),
    "DOCTYPE deep inside": (
        lambda: rezipped(
            lambda name, part: os.urandom(1 << 20).hex().encode() + b"<!DOCTYPE x>" if name == SHEET else part
        ),
        "E_XML_DOCTYPE",
    ),
    "utf-16 parts": (lambda: in_part(BOOK, lambda part: part.decode().encode("utf-16")), "E_XML_ENCODING"),
    "another encoding": (lambda: in_part(BOOK, lambda part: part.replace(b"UTF-8", b"UTF-7")), "E_XML_ENCODING"),
    "strict": (
        lambda: in_part(
            BOOK,
            lambda part: part.replace(
                b"http://schemas.openxmlformats.org/spreadsheetml/2006/main", b"http://purl.oclc.org/ooxml/spreadsheetml/main"
            ),
        ),
        "E_STRICT_OOXML",
    ),
    "no workbook": (lambda: rezipped(lambda name, part: None if name == BOOK else part), "E_NOT_XLSX"),
    "no sheets": (
        lambda: in_part(BOOK, lambda part: part[: part.index(b"<sheets>")] + part[part.index(b"</sheets>") + 9 :]),
        "E_NO_SHEET",
    ),
    "two sheets": (lambda: small_xlsx("甲", "乙"), "E_NO_SHEET"),
    "no rels": (
        lambda: rezipped(lambda name, part: None if name.endswith("workbook.xml.rels") else part), "E_UNREADABLE",
    ),
    "broken xml": (lambda: in_part(SHEET, lambda part: part[:-40]), "E_"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def within_seconds() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("make, code", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_workbook_is_refused(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(FileRejected) as rejected:
        read_workbook(make(), "x.xlsx", None, 1)
    assert code in str(rejected.value)
    assert "x.xlsx" in str(rejected.value)


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


def test_the_child_may_take_neither_long_nor_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    monkeypatch.setattr(workbook, "CHILD", child)
    for program, told in (
        ("import time; time.sleep(60)", "1 s"),
        ("import os; os.abort()", "signal 6"),
        ("class Panic(BaseException): pass\nraise Panic('panicked')", "panicked"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
    ):
        child.write_text(program, encoding="utf-8")
        with pytest.raises(FileRejected) as rejected:
            read_workbook(small_xlsx(), "x.xlsx", None, 1, Limits(wall_seconds=1))
        assert "E_UNREADABLE" in str(rejected.value) and told in str(rejected.value)


def test_a_workbook_that_needs_too_much_memory_is_refused() -> None:
    """One long shared string, repeated by every cell: small in the file, large in memory."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        for row in range(20_000):
            sheet.write_string(row, 0, "长" * 10_000)
    with pytest.raises(FileRejected, match="E_UNREADABLE"):
        read_workbook(content.getvalue(), "x.xlsx", None, 1, Limits(memory_bytes=256 << 20))


def test_a_cell_in_the_last_corner_is_refused() -> None:
    """A legal file of a few kB whose sheet, read as a rectangle, would fill terabytes."""
    content = in_part(
        SHEET,
        lambda part: part.replace(
            b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
        ),
    )
    with pytest.raises(FileRejected, match="E_UNREADABLE"):
        read_workbook(content, "x.xlsx", None, 1)


def link(wave: SmallWave) -> None:
    path = wave.folder / "phone_1.xlsx"
    path.rename(wave.folder.parent / "elsewhere.xlsx")
    path.symlink_to(wave.folder.parent / "elsewhere.xlsx")


def fifo(wave: SmallWave) -> None:
    (wave.folder / "phone_1.xlsx").unlink()
    os.mkfifo(wave.folder / "phone_1.xlsx")


def folder(wave: SmallWave) -> None:
    (wave.folder / "phone_2.xlsx").mkdir()


def whole_wave_linked(wave: SmallWave) -> None:
    wave.folder.rename(wave.folder.with_name("elsewhere"))
    wave.folder.symlink_to(wave.folder.with_name("elsewhere"))


@pytest.mark.parametrize("spoil", [link, fifo, folder, whole_wave_linked])
def test_only_regular_files_of_the_wave_are_read(tmp_path: Path, spoil: Callable[[SmallWave], None]) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    spoil(wave)
    with pytest.raises(InputRejected, match="E_NOT_A_FILE"):
        wave.ingest()


def test_an_oversized_file_is_refused(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    with (wave.folder / "dial_1.csv").open("r+b") as stream:
        stream.truncate((200 << 20) + 1)
    with pytest.raises(InputRejected, match="E_TOO_LARGE"):
        wave.ingest()


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    (wave.folder / "phone_1.xlsx").write_bytes(small_xlsx())
    with pytest.raises(InputRejected, match=r"E_NO_ROWS|E_HEADER"):
        wave.ingest()
    with xlsxwriter.Workbook(str(wave.folder / "phone_1.xlsx")) as book:
        book.add_worksheet("空")
    with pytest.raises(InputRejected, match=r"E_NO_ROWS"):
        wave.ingest()
