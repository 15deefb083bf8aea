"""Deliveries made to harm, or harmed on their way: one function per case spoils a small valid wave.

Belongs here: what is done to the files, how `hotline check` must end, and what it must say.
Does not belong here: the promise itself (`test_promise.py`). Large files are made when a test runs.
"""

import io
import os
import random
import re
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import xlsxwriter

from tests.small_wave import WAVE, SmallWave, write_xlsx

PHONE, DIAL, WEB = "phone_1.xlsx", "dial_1.csv", "web_1.csv"
SHEET, BOOK, STRINGS = "xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/sharedStrings.xml"
PROLOG = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
OLE2 = bytes.fromhex("d0cf11e0a1b11ae1")
MB = 1 << 20
# place: code, value; what is wrong; the way to mend it / the same in English
MESSAGE = re.compile(
    r"[^\n]+: E_[A-Z_0-9]+ [^\n]*[\u4e00-\u9fff][^\n]*;[^\n]*[\u4e00-\u9fff][^\n]* / [^\n]+; [a-z][^\n]+"
)
Spoil = Callable[[SmallWave], object]


@dataclass(frozen=True)
class Case:
    """`told`: pieces of what is said. `rows`: spoilt file, and its rows read, in bronze, quarantined, blank."""

    spoil: Spoil
    code: int
    told: tuple[str, ...] = ()
    rows: tuple[str, int, int, int, int] | None = None


def refused(spoil: Spoil, *told: str) -> Case:
    return Case(spoil, 3, told)


# --- how files are changed -----------------------------------------------------------------------


def replaced(name: str, make: Callable[[bytes], bytes]) -> Spoil:
    """The file of that name with its content passed through `make`."""
    return lambda wave: (wave.folder / name).write_bytes(make((wave.folder / name).read_bytes()))


def put(name: str, content: bytes) -> Spoil:
    return lambda wave: (wave.folder / name).write_bytes(content)


def rezipped(content: bytes, change: Callable[[str, bytes], bytes | None], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The workbook with every part passed through `change`; None leaves the part out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            part = change(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return target.getvalue()


def part(wanted: str, change: Callable[[bytes], bytes | None]) -> Spoil:
    """The questionnaires with one part of their package changed."""
    return replaced(PHONE, lambda content: rezipped(content, lambda name, old: change(old) if name == wanted else old))


def added(name: str, content: bytes) -> Spoil:
    """The questionnaires with one more part in their package."""

    def add(workbook: bytes) -> bytes:
        target = io.BytesIO(workbook)
        with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as package:
            package.writestr(name, content)
        return target.getvalue()

    return replaced(PHONE, add)


def in_sheet(cells: bytes) -> Spoil:
    """More rows of XML below the questionnaires."""
    return part(SHEET, lambda xml: xml.replace(b"</sheetData>", cells + b"</sheetData>"))


def sheet_in(name: str, encoding: str, prefix: bytes = b"") -> Spoil:
    """The questionnaires with their sheet moved to another part of the package."""

    def move(workbook: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(workbook)) as package:
            xml = prefix + package.read(SHEET)
        moved = rezipped(
            workbook,
            lambda part, old: (
                old.replace(b'"worksheets/sheet1.xml', f'"/{name}'.encode())
                if part == "xl/_rels/workbook.xml.rels"
                else old
            ),
        )
        target = io.BytesIO(moved)
        with zipfile.ZipFile(target, "a") as package:
            package.writestr(name, xml.decode().encode(encoding))
        return target.getvalue()

    return replaced(PHONE, move)


def dial(change: Callable[[str], str]) -> Spoil:
    return replaced(DIAL, lambda content: change(content.decode("gb18030")).encode("gb18030"))


def each_row(change: Callable[[int, str], str]) -> Spoil:
    """Every row of the diallings changed, given its number as Excel shows it."""
    return dial(lambda text: "".join(f"{change(*row)}\r\n" for row in enumerate(text.splitlines(), 1)))


def phone_cell(column: str, value: object, number_format: str | None = None) -> Spoil:
    """The first questionnaire with one cell changed."""

    def spoil(wave: SmallWave) -> None:
        wave.phone[0][column] = value
        write_xlsx(wave.folder / PHONE, wave.phone, formats=number_format and {column: number_format})

    return spoil


def declared(glob: str) -> Spoil:
    def spoil(wave: SmallWave) -> None:
        exports = [{**each} for each in wave.declared["exports"]]
        exports[1]["glob"] = glob
        wave.declared = {**wave.declared, "exports": exports}
        wave.declare()

    return spoil


def is_instead(name: str, make: Callable[[Path], object]) -> Spoil:
    """Something else in the place of a file."""

    def spoil(wave: SmallWave) -> None:
        (wave.folder / name).unlink()
        make(wave.folder / name)

    return spoil


def moved_and_linked(wave: SmallWave) -> None:
    (wave.folder / DIAL).rename(wave.paths.raw / "elsewhere.csv")
    (wave.folder / DIAL).symlink_to("../elsewhere.csv")


def whole_wave_linked(wave: SmallWave) -> None:
    wave.folder.rename(wave.paths.raw / "elsewhere")
    wave.folder.symlink_to(wave.paths.raw / "elsewhere")


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as each:
            each.bind(path.name)
    finally:
        os.chdir(here)


# --- workbooks -----------------------------------------------------------------------------------


def two_sheets(wave: SmallWave) -> None:
    with xlsxwriter.Workbook(str(wave.folder / PHONE)) as book:
        book.add_worksheet("答卷").write_row(0, 0, ["a"])
        book.add_worksheet("草稿").hide()


def hidden(wave: SmallWave) -> None:
    """Rows 3 to 5 and the columns B to D are hidden, as a filter leaves them."""
    part(SHEET, lambda xml: re.sub(rb'<row r="([3-5])"', rb'<row r="\1" hidden="1"', xml).replace(
        b"<sheetData>", b'<cols><col min="2" max="4" width="0" hidden="1"/></cols><sheetData>'))(wave)  # fmt: skip


def merged(wave: SmallWave) -> None:
    areas = b'<mergeCell ref="H2:H3"/>' * 40
    part(SHEET, lambda xml: xml.replace(b"</sheetData>", b"</sheetData><mergeCells>" + areas + b"</mergeCells>"))(wave)


def formula(value: bytes, kind: bytes = b"") -> Spoil:
    """A formula in the cell of the ticket number (W, which may be empty) of row 2."""
    cell = rb'<c r="W2"[^>]*>.*?</c>'
    new = b'<c r="W2"' + kind + b"><f>A1&amp;B1</f>" + value + b"</c>"
    return part(SHEET, lambda xml: re.sub(cell, lambda _: new, xml, count=1))


def in_corner(reference: bytes) -> Spoil:
    row = re.sub(rb"[A-Z]", b"", reference)
    return in_sheet(b'<row r="%b"><c r="%b"><v>1</v></c></row>' % (row, reference))


def laughs(xml: bytes) -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    return xml.replace(PROLOG, PROLOG + b'<!DOCTYPE x [<!ENTITY l0 "ha">' + entities + b"]>")


def long_random(n_bytes: int) -> bytes:
    """Hexadecimal digits that no zip makes much smaller."""
    return random.Random(1).randbytes(n_bytes // 2).hex().encode()


def says_smaller(content: bytes, name: str, size: int) -> bytes:
    """The package with a false unpacked size for one part, in both places where it stands."""
    changed = bytearray(content)
    for signature, at_size, at_name in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            if content[start + at_name :].startswith(name.encode()):
                changed[start + at_size : start + at_size + 4] = struct.pack("<I", size)
    return bytes(changed)


def bomb(n_bytes: int, method: int, told_size: int | None = None) -> Spoil:
    """A sheet of blanks. `told_size`: what the package says that it unpacks to."""

    def make(content: bytes) -> bytes:
        result = rezipped(content, lambda name, old: b" " * n_bytes if name == SHEET else old, method)
        return result if told_size is None else says_smaller(result, SHEET, told_size)

    return replaced(PHONE, make)


def many_entries(content: bytes) -> bytes:
    """A million entries of the directory that all stand for the first part."""
    start = content.index(b"PK\x01\x02")
    name, extra, comment = struct.unpack_from("<HHH", content, start + 28)
    entry = content[start : start + 46 + name + extra + comment]
    return content[:start] + entry * 800_000 + content[start:]


def overlapping(content: bytes) -> bytes:
    """Every entry of the directory points to the first part (what David Fifield's better zip bomb does)."""
    changed, start = bytearray(content), -1
    while (start := content.find(b"PK\x01\x02", start + 1)) >= 0:
        changed[start + 42 : start + 46] = struct.pack("<I", 0)
    return bytes(changed)


def nested_zip(content: bytes) -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("bomb", b"\0" * (50 * MB))
    return rezipped(content, lambda name, old: inner.getvalue() if name == SHEET else old)


def with_flag(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def endless_cells(xml: bytes) -> bytes:
    """Cells that are never closed, one of them an error: what a careless pattern takes the square of."""
    return xml.replace(b"</sheetData>", b'<c r="A9" t="e">' + b'<c r="A9">\n' * 400_000 + long_random(2 * MB))


def giant_cells(wave: SmallWave) -> None:
    """One text of Excel's greatest length, in 20,000 cells: small in the file, 2 GB in memory."""
    with xlsxwriter.Workbook(str(wave.folder / PHONE)) as book:
        sheet = book.add_worksheet()
        text = "长" * 32_767
        for row in range(20_000):
            sheet.write_string(row, 0, text)


def too_much_text(wave: SmallWave) -> None:
    """More text than is taken over from the child, in cells that the child itself can hold."""
    with xlsxwriter.Workbook(str(wave.folder / PHONE)) as book:
        sheet = book.add_worksheet()
        text = "ab" * 16_000
        for row in range(4_000):
            sheet.write_string(row, 0, text)


def wide_sheet(wave: SmallWave) -> None:
    with xlsxwriter.Workbook(str(wave.folder / PHONE)) as book:
        sheet = book.add_worksheet()
        for row in range(3):
            for column in range(16_384):
                sheet.write_string(row, column, f"c{column}")


def nested_xml(xml: bytes) -> bytes:
    depth = 300_000
    return xml.replace(b"</sheetData>", b"<x>" * depth + long_random(200_000) + b"</x>" * depth + b"</sheetData>")


WORKBOOKS_ALONE = {
    "a bomb of 300 MB": refused(bomb(300 * MB, zipfile.ZIP_DEFLATED), "E_ZIP_BOMB"),
    "a bomb that says it is small": refused(bomb(300 * MB, zipfile.ZIP_DEFLATED, 1000), "E_NOT_XLSX"),
    "a bomb that says it is huge": refused(
        replaced(PHONE, lambda content: says_smaller(content, SHEET, 0xFFFFFFF0)), "E_ZIP_BOMB"
    ),
    "a bomb in bzip2": refused(bomb(60 * MB, zipfile.ZIP_BZIP2, 1000), "E_NOT_XLSX", "compress_type"),
    "a bomb in LZMA": refused(bomb(60 * MB, zipfile.ZIP_LZMA, 1000), "E_NOT_XLSX", "compress_type"),
    "many entries": refused(replaced(PHONE, many_entries), "E_NOT_XLSX", "parts"),
    "a cell in the last corner": refused(in_corner(b"XFD1048576"), "E_SHEET_TOO_LARGE", "Ctrl+End"),
    "a cell in the last row": refused(in_corner(b"B1048576"), "E_SHEET_TOO_LARGE"),
    "a cell in the last column": Case(in_corner(b"XFD8"), 3, ("E_HEADER_UNKNOWN", "第 8 行", "「XFD」")),
    "a cell beyond every sheet": refused(in_corner(b"ZZZZZZZ99999999"), "E_"),
    "giant cells": refused(giant_cells, "E_SHEET_TOO_LARGE"),
    "too much text": refused(too_much_text, "E_UNREADABLE", "96 MB"),
    "a sheet of 16,384 columns": refused(wide_sheet, "E_HEADER_NOT_FOUND", "「c0」 「c1」", "…"),
    "nested XML": Case(part(SHEET, nested_xml), 0, (), (PHONE, 6, 6, 0, 0)),
    "cells without an end": refused(part(SHEET, endless_cells), "E_"),
}  # fmt: skip

WORKBOOKS = {
    "billion laughs": refused(part(SHEET, laughs), "E_XML_DOCTYPE", "sheet1.xml"),
    "DOCTYPE deep inside": refused(
        part(SHEET, lambda xml: xml + long_random(MB) + b"<!DOCTYPE x>"), "E_XML_DOCTYPE", "sheet1.xml"
    ),
    "an entity that nobody declared": refused(
        in_sheet(b'<row r="9"><c r="A9" t="inlineStr"><is><t>&x;</t></is></c></row>'), "E_UNREADABLE"
    ),
    "overlapping entries": refused(replaced(PHONE, overlapping), "E_NOT_XLSX"),
    "a zip in the place of a sheet": refused(replaced(PHONE, nested_zip), "E_"),
    "names that differ in case": refused(added("xl/WORKBOOK.xml", b"<x/>"), "E_NOT_XLSX"),
    "a name outside the package": Case(added("../../../../outside.xml", b"<x/>"), 0, (), (PHONE, 6, 6, 0, 0)),
    "empty workbook": refused(put(PHONE, b""), "E_NOT_XLSX"),
    "truncated": refused(replaced(PHONE, lambda content: content[:-200]), "E_NOT_XLSX"),
    "truncated early": refused(replaced(PHONE, lambda content: content[:100]), "E_NOT_XLSX"),
    "XML that breaks off in a cell": refused(part(SHEET, lambda xml: xml[: xml.rindex(b"<v>")]), "E_UNREADABLE"),
    "XML that breaks off after a row": refused(
        part(SHEET, lambda xml: xml[: xml.rindex(b"<row")]), "E_UNREADABLE"
    ),
    "a flipped byte": refused(
        replaced(PHONE, lambda content: content.replace(b"xl/workbook.xml", b"xl/workbook.xmm")), "E_NOT_XLSX"
    ),
    "a password": refused(
        put(PHONE, OLE2 + b"\0" * 4096 + "EncryptedPackage".encode("utf-16-le")), "E_ENCRYPTED", "去除密码"
    ),
    "encrypted parts": refused(replaced(PHONE, with_flag), "E_ENCRYPTED"),
    "an old .xls": refused(
        put(PHONE, OLE2 + b"\0" * 4096 + "Workbook".encode("utf-16-le")), "E_OLD_XLS", "另存为", "*.xlsx"
    ),
    "a UTF-16 part of Power Query": Case(
        added("customXml/item1.xml", '<?xml version="1.0" encoding="utf-16"?><DataMashup/>'.encode("utf-16")),
        0, (), (PHONE, 6, 6, 0, 0),
    ),
    "a DOCTYPE that nobody reads": Case(
        added("docProps/extra.xml", b"<!DOCTYPE x><x/>"), 0, (), (PHONE, 6, 6, 0, 0)
    ),
    "a sheet that is a UTF-16 part": refused(sheet_in("customXml/item1.xml", "utf-16"), "E_XML_ENCODING", "item1.xml"),
    "a sheet of another name with a DOCTYPE": refused(
        sheet_in("xl/cells.bin", "utf-8", b"<!DOCTYPE x>"), "E_XML_DOCTYPE", "cells.bin"
    ),
    "a sheet's part outside the workbook's folder": refused(
        part("xl/_rels/workbook.xml.rels", lambda xml: xml.replace(b'"worksheets/', b'"../xl/worksheets/')),
        "E_UNREADABLE",
    ),
    "a web page": refused(put(PHONE, b"<html><table><tr><td>1</td></tr></table></html>"), "E_NOT_XLSX"),
    "a CSV": refused(put(PHONE, b"a,b\r\n1,2\r\n"), "E_NOT_XLSX"),
    "strict": refused(
        part(BOOK, lambda xml: xml.replace(
            b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
            b"http://purl.oclc.org/ooxml/spreadsheetml/main")),
        "E_STRICT_OOXML", "另存为",
    ),
    "UTF-16 parts": refused(part(BOOK, lambda xml: xml.decode().encode("utf-16")), "E_XML_ENCODING"),
    "UTF-7 parts": refused(part(BOOK, lambda xml: xml.replace(b"UTF-8", b"UTF-7")), "E_XML_ENCODING"),
    "bytes that are not UTF-8": refused(
        part(STRINGS, lambda xml: xml.replace("热情".encode(), b"\xff\xfe")), "E_UNREADABLE"
    ),
    "no workbook part": refused(part(BOOK, lambda _: None), "E_NOT_XLSX"),
    "no relations": refused(part("xl/_rels/workbook.xml.rels", lambda _: None), "E_UNREADABLE"),
    "no sheets": refused(
        part(BOOK, lambda xml: xml[: xml.index(b"<sheets>")] + xml[xml.index(b"</sheets>") + 9 :]), "E_NO_SHEET"
    ),
    "a hidden second sheet": refused(two_sheets, "E_NO_SHEET", "答卷, 草稿"),
    "a sheet without rows": refused(part(SHEET, lambda xml: re.sub(rb"<row.*</row>", b"", xml)), "E_NO_ROWS"),
    "hidden rows and columns": Case(hidden, 0, (), (PHONE, 6, 6, 0, 0)),
    "merged cells": refused(merged, "E_MERGED_CELLS", "H2:H3", "…", "第 2 行 / row 2"),
    "a formula that was never calculated": Case(
        formula(b""), 3, ("E_FORMULA_WITHOUT_VALUE", "第 2 行", "「22、工单编号」", "「=A1&amp;B1」"),
        (PHONE, 6, 5, 1, 0),
    ),
    "a formula with an empty value": Case(
        formula(b"<v></v>"), 3, ("E_FORMULA_WITHOUT_VALUE",), (PHONE, 6, 5, 1, 0)
    ),
    "a formula that gives no text": Case(formula(b"<v></v>", b' t="str"'), 0, (), (PHONE, 6, 6, 0, 0)),
    "formulas below the last value": refused(
        in_sheet(b'<row r="9"><c r="A9"><f>A1</f></c></row>'), "E_UNREADABLE", "row 9, column 1"
    ),
    "an error cell": Case(phone_cell("22、工单编号", "=1/0"), 3, ("E_ERROR_CELL", "#DIV/0!"), (PHONE, 6, 5, 1, 0)),
    "a formula as text": Case(
        part(STRINGS, lambda xml: xml.replace(b">T1<", b">=HYPERLINK(0)<")), 0, (), (PHONE, 6, 6, 0, 0)
    ),
    "zeros lost to a number format": Case(
        phone_cell("22、工单编号", 7, "000000"), 3, ("E_ZEROS_LOST", "「7」"), (PHONE, 6, 5, 1, 0)
    ),
    "digits lost": Case(
        phone_cell("22、工单编号", 12345678901234567890), 3, ("E_DIGITS_LOST",), (PHONE, 6, 5, 1, 0)
    ),
    "a code without its leading zero": Case(
        phone_cell("7、热线编码", 10000), 3, ("E_UNKNOWN_LINE", "前导零"), (PHONE, 6, 5, 1, 0)
    ),
    "a serial for a time": Case(phone_cell("9、接通时间", 44987.42), 3, ("E_SERIAL_TIME",), (PHONE, 6, 5, 1, 0)),
    "a time in another order": Case(
        phone_cell("9、接通时间", "02/03/2023 10:01"), 3, ("E_BAD_TIME", "%Y/%m/%d"), (PHONE, 6, 5, 1, 0)
    ),
    "a time of day alone": Case(
        phone_cell("9、接通时间", 0.5, "hh:mm"), 3, ("E_BAD_TIME",), (PHONE, 6, 5, 1, 0)
    ),
    "a serial below zero": Case(
        phone_cell("9、接通时间", -1, "yyyy-mm-dd"), 3, ("E_BAD_TIME",), (PHONE, 6, 5, 1, 0)
    ),
    "the last day that Excel knows": Case(
        phone_cell("9、接通时间", 2958465.9999999, "yyyy-mm-dd hh:mm:ss"), 3, ("E_",), (PHONE, 6, 5, 1, 0)
    ),
    "a shared string out of range": refused(
        in_sheet(b'<row r="9"><c r="A9" t="s"><v>99999999</v></c></row>'), "E_UNREADABLE", "shared strings"
    ),
    **{
        f"a shared-string index {index!r}": refused(
            in_sheet(b'<row r="9"><c r="A9" t="s"><v>' + index + b"</v></c></row>"), "E_MISREAD_CELLS", "A9"
        )
        for index in (b"1.5", b"-1", b"+1", b" 1", b"1e0", b"0x1", b"&#49;", b"x", "１".encode())
    },
    **{
        f"a shared-string index in {spelling!r}": refused(
            in_sheet(b'<row r="9"><' + spelling + b"><v>-1</v></c></row>"), "E_MISREAD_CELLS", "A9"
        )
        for spelling in (b"c r='A9' t='s'", b'c t="s" r="A9"', b'c r="A9" t = "s"', b'c r="A9" t="s" s="0"')
    },
    **{
        f"a value {value!r}": refused(
            in_sheet(b'<row r="9"><c r="A9">' + value + b"</c></row>"), "E_MISREAD_CELLS", "A9"
        )
        for value in (
            b"<v><![CDATA[3]]></v>", b"<v>&#51;</v>", b"<v>1</v><v>2</v>", b"<v>1<!-- -->2</v>", b"<v>1<?x?>2</v>",
            b"<is><t>1</t></is><v>2</v>", b"<v>1</v> <is><t>2</t></is>", b"<v xml:space='preserve'>&#x33;</v>",
        )
    },
    "a second table of cells": refused(
        part(SHEET, lambda xml: xml.replace(b"</sheetData>", b"</sheetData><sheetData/>")), "E_MISREAD_CELLS"
    ),
    "an empty table of cells first": refused(
        part(SHEET, lambda xml: xml.replace(b"<sheetData>", b"<sheetData/><sheetData>")), "E_MISREAD_CELLS"
    ),
    "two rows of one number": refused(
        in_sheet(b'<row r="7"><c r="A7"><v>1</v></c></row>'), "E_UNREADABLE", "two cells are in row 7, column 1"
    ),
}  # fmt: skip


# --- CSV -----------------------------------------------------------------------------------------


def long_dial(n_rows: int, change: Callable[[str], str] = lambda row: row) -> Spoil:
    def spoil(wave: SmallWave) -> None:
        header, first = (wave.folder / DIAL).read_bytes().decode("gb18030").splitlines()[:2]
        cells = change(first).split(",", 1)[1]
        rows = "".join(f"D{number},{cells}\r\n" for number in range(n_rows))
        (wave.folder / DIAL).write_bytes(f"{header}\r\n{rows}".encode("gb18030"))

    return spoil


def filled(row: bytes, n_bytes: int) -> Spoil:
    """The header of the web visits, and one row over and over."""
    return replaced(WEB, lambda content: content.splitlines(keepends=True)[0] + row * (n_bytes // len(row)))


def marks() -> Spoil:
    """Letters under thousands of marks, which take the square of their number to put in order."""
    cell = "a" + "\u0301\u0323" * 15_000
    return each_row(lambda number, row: row if number == 1 else ",".join([cell] * 12))


CSV_ALONE = {
    "30 MB of rows": Case(long_dial(330_000), 0, (), (DIAL, 330_000, 330_000, 0, 0)),
    "100,001 faults": refused(
        long_dial(100_001, lambda row: row.replace("接通", "通", 1)), "E_TOO_MANY_FAULTS", "E_NOT_IN_CODES", "第 2 行"
    ),
    "30 MB of delimiters": refused(filled(b"," * 21 + b"\r\n", 30 * MB), "E_NO_ROWS"),
    "30 MB of delimiters in one row": refused(filled(b",", 30 * MB), "E_NO_ROWS"),
    "30 MB of line ends": refused(filled(b"\n", 30 * MB), "E_NO_ROWS"),
    "30 MB of ragged rows": refused(filled(b"a\n", 30 * MB), "E_TOO_MANY_FAULTS", "E_RAGGED_ROW"),
    "a header of 100,000 columns": refused(
        put(DIAL, ",".join(f"c{number}" for number in range(100_000)).encode() + b"\r\n"),
        "E_HEADER_NOT_FOUND", "「c0」 「c1」",
    ),
    "100,000 columns without a header": refused(
        each_row(lambda number, row: row + "," * 100_000 + "x" * (number == 6)),
        "E_HEADER_UNKNOWN", "第 6 行", "「EQXP」",
    ),
    "a cell of 10 MB": refused(
        dial(lambda text: text + "长" * 5_000_000 + ",1\r\n"), "E_BAD_CSV", "field limit", "line 11"
    ),
    "thousands of marks on one letter": refused(marks(), "E_CELL_TOO_LONG"),
    "a quote at the start of a large file": refused(
        replaced(DIAL, lambda content: b'"' + content * 20_000), "E_BAD_CSV", "line 1"
    ),
}  # fmt: skip

MIXED = ["\r\n", "\n", "\r", "\n", "\r\n"] * 2

CSV = {
    "four-byte characters": Case(dial(lambda text: text.replace("P1100001", "P𠮷㐀😀")), 0, (), (DIAL, 9, 9, 0, 0)),
    "bytes that are not GB18030": refused(
        replaced(DIAL, lambda content: content + b"\xff\xff\r\n"), "E_BAD_ENCODING", "line 11"
    ),
    "half a character at the end": refused(replaced(DIAL, lambda content: content + b"\xc8"), "E_BAD_ENCODING"),
    "UTF-8 for GB18030": refused(
        replaced(DIAL, lambda content: content.decode("gb18030").encode()), "E_BAD_ENCODING", "gb18030 ≠ utf-8"
    ),
    "GB18030 for UTF-8": refused(
        replaced(WEB, lambda content: content.decode("utf-8-sig").encode("gb18030")), "E_BAD_ENCODING", "(gb18030?)"
    ),
    "UTF-8 with BOM for GB18030": refused(
        replaced(DIAL, lambda content: content.decode("gb18030").encode("utf-8-sig")), "E_BAD_ENCODING", "BOM"
    ),
    "UTF-16": refused(
        replaced(WEB, lambda content: content.decode("utf-8-sig").encode("utf-16")), "E_BAD_ENCODING", "BOM"
    ),
    "UTF-16 without BOM": refused(
        replaced(WEB, lambda content: content.decode("utf-8-sig").encode("utf-16-le")), "E_NUL_BYTE", "line 1"
    ),
    "a BOM of GB18030": refused(dial(lambda text: "\ufeff" + text), "E_HEADER_UNKNOWN", "\\ufeff", "E_HEADER_MISSING"),
    "a BOM within": Case(
        dial(lambda text: text.replace("D1100001", "\ufeffD1100001")), 3, ("E_CONTROL_CHARACTER",), (DIAL, 9, 8, 1, 0)
    ),
    "a NUL byte": refused(replaced(DIAL, lambda content: content + b"a\0b"), "E_NUL_BYTE", "line 11"),
    "a quote that never closes": refused(
        dial(lambda text: text.replace("D1100003", '"D1100003')), "E_BAD_CSV", "line 4–"
    ),
    "text after a quote": refused(dial(lambda text: text.replace("D1100003", '"D1"100003')), "E_BAD_CSV", "line 4"),
    "mixed line ends": Case(
        dial(lambda text: "".join(row + end for row, end in zip(text.splitlines(), MIXED, strict=True))),
        0, (), (DIAL, 9, 9, 0, 0),
    ),
    "line ends within quotes": Case(
        dial(lambda text: text.replace("D1100002", '"D1\r\n100002"')), 3,
        ("E_CONTROL_CHARACTER", "第 3 行"), (DIAL, 9, 8, 1, 0),
    ),
    "blank rows": Case(
        dial(lambda text: text.replace("\r\n", "\r\n\r\n ,\r\n")), 0, (), (DIAL, 29, 9, 0, 20)
    ),
    "ragged rows": Case(
        dial(lambda text: text + "a,b\r\n" + ",".join("a" * 30)), 3,
        ("E_RAGGED_ROW", "第 11 行", "第 12 行", "30, not 12"), (DIAL, 11, 9, 2, 0),
    ),
    "an empty file": refused(put(DIAL, b""), "E_NO_ROWS"),
    "a header alone": refused(replaced(DIAL, lambda content: content.splitlines()[0]), "E_NO_ROWS"),
    "a header renamed": refused(
        dial(lambda text: text.replace("等待秒数", "等待时长")),
        "E_HEADER_MISSING", "「等待秒数」", "E_HEADER_UNKNOWN", "「等待时长」", "第 1 行",
    ),
    "a header twice": refused(
        dial(lambda text: text.replace("等待秒数", "热线编码")), "E_HEADER_TWICE", "「热线编码」"
    ),
    "a column added": refused(
        each_row(lambda _, row: row + ",新列"), "E_HEADER_UNKNOWN", "「新列」"
    ),
    "a column missing": refused(
        each_row(lambda _, row: ",".join(row.split(",")[:9] + row.split(",")[10:])),
        "E_HEADER_MISSING", "「等待秒数」",
    ),
    "columns in another order": Case(
        each_row(lambda _, row: ",".join(row.split(",")[::-1])), 0, (), (DIAL, 9, 9, 0, 0)
    ),
    "a column without a header": refused(
        each_row(lambda number, row: row + "," + "x" * (number == 4)),
        "E_HEADER_UNKNOWN", "第 4 行", "「M」",
    ),
    "leading zeros lost": Case(
        dial(lambda text: text.replace(",110000,S01", ",11000,S01", 1)), 3, ("E_UNKNOWN_LINE", "前导零"),
        (DIAL, 9, 8, 1, 0),
    ),
    "a formula in a cell": Case(
        dial(lambda text: text.replace("P1100001", "=HYPERLINK(0)")), 0, (), (DIAL, 9, 9, 0, 0)
    ),
    "one key in two files": Case(
        lambda wave: shutil.copy(wave.folder / DIAL, wave.folder / "dial_2.csv"), 3,
        ("E_DUPLICATE_KEY", "dial_2.csv 第 2 行 / row 2"), (DIAL, 9, 0, 9, 0),
    ),
    "a terminal's commands in a cell": Case(
        dial(lambda text: text.replace("D1100001", "\x1b[2J\x1b]0;x\x07")), 3, ("E_CONTROL_CHARACTER", "\\x1b"),
        (DIAL, 9, 8, 1, 0),
    ),
}  # fmt: skip


# --- the wave's folder ---------------------------------------------------------------------------

FOLDER_ALONE = {
    "a link to an endless device": refused(is_instead(DIAL, lambda path: path.symlink_to("/dev/zero")), "E_NOT_A_FILE"),
    "a fifo": refused(is_instead(DIAL, os.mkfifo), "E_NOT_A_FILE"),
    "a fifo for a workbook": refused(is_instead(PHONE, os.mkfifo), "E_NOT_A_FILE"),
}

FOLDER = {
    "a link to a file of the system": refused(
        is_instead(DIAL, lambda path: path.symlink_to("/etc/passwd")), "E_NOT_A_FILE"
    ),
    "a link out of the wave's folder": refused(moved_and_linked, "E_NOT_A_FILE"),
    "a link to nothing": refused(is_instead(DIAL, lambda path: path.symlink_to("nothing")), "E_NOT_A_FILE"),
    "a link to itself": refused(is_instead(DIAL, lambda path: path.symlink_to(path)), "E_NOT_A_FILE"),
    "a socket": refused(is_instead(DIAL, listening), "E_NOT_A_FILE"),
    "a folder named like an export": refused(lambda wave: (wave.folder / "phone_2.xlsx").mkdir(), "E_NOT_A_FILE"),
    "the whole wave linked": refused(whole_wave_linked, "E_NOT_A_FILE", WAVE),
    "a name with a line end": refused(put("dial_2\n.csv", b"x"), "E_FILE_NAME", "dial_2\\n.csv"),
    "a name that turns the text round": refused(put("dial_\u202evsc.csv", b"x"), "E_FILE_NAME", "\\u202e"),
    "a name that is not UTF-8": refused(put(os.fsdecode(b"dial_\xff.csv"), b"x"), "E_FILE_NAME", "\\udcff"),
    "a file that nobody reads": refused(put("DIAL_2.CSV", b"x"), "E_FILE_UNCLAIMED", "DIAL_2.CSV"),
    "no file": refused(lambda wave: (wave.folder / DIAL).unlink(), "E_NO_FILE", "dial_*.csv"),
    "more than 32 MB": refused(lambda wave: os.truncate(wave.folder / DIAL, 32 * MB + 1), "E_TOO_LARGE"),
    **{
        f"the glob {glob!r}": refused(declared(glob), "wave.yml", "exports[1].glob")
        for glob in ("../2022/*.csv", "/etc/passwd", "..", ".", "**", "***", "a/b", "..\\x", "x" * 300, " ")
    },
    "a glob for everything": refused(declared("*"), "E_FILE_IN_TWO_EXPORTS", "wave.yml"),
    "YAML that multiplies": refused(
        lambda wave: wave.paths.wave_yml(WAVE).write_text(
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghij")),
            encoding="utf-8",
        ),
        "别名",
    ),
}  # fmt: skip

# what may hang, crash or eat memory has a process of its own
ALONE = {**WORKBOOKS_ALONE, **CSV_ALONE, **FOLDER_ALONE}
TOGETHER = {**WORKBOOKS, **CSV, **FOLDER}
