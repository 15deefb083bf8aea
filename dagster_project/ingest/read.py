"""The guarded reader: delivered files to cells of text, header by header, with their row numbers.

Belongs here: which files are a wave's, what makes a file unreadable as a whole, blank and ragged
rows. Does not belong here: the inside of XLSX (`workbook.py`), what a value means (`rows.py`).
"""

import codecs
import csv
import hashlib
import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.ingest.faults import Fault, FileRejected, Found, Place, shown
from dagster_project.ingest.profile import FileFormat, Profile, normal
from dagster_project.ingest.wave import Export, Wave
from dagster_project.ingest.workbook import read_workbook
from dagster_project.paths import Paths

MAX_BYTES = {".xlsx": 50 << 20, ".csv": 200 << 20}
DATA_SUFFIXES = {".csv", ".tsv", ".txt", ".xls", ".xlsx", ".xlsm", ".xlsb", ".ods", ".zip"}
FOREIGN_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Delivered:
    """One file of a wave's folder, read once: what is hashed is what is parsed."""

    export: Export
    name: str
    content: bytes
    sha256: str


@dataclass(frozen=True)
class Cells:
    """The cells below the header of one sheet, as text (null: empty), column by column.

    `texts`, `kinds`, `rows` leave out blank and ragged rows. `kinds`: letters of
    `workbook_child.py` per cell; None for CSV. `rows`, `ragged`: row numbers as Excel shows them.
    """

    file: str
    sheet: str | None
    texts: dict[str, pa.Array]
    kinds: dict[str, np.ndarray | None]
    rows: np.ndarray
    ragged: dict[int, int]
    n_cells: int
    n_blank: int

    @property
    def n_read(self) -> int:
        return len(self.rows) + len(self.ragged) + self.n_blank


# --- which files -------------------------------------------------------------------------------


def deliveries(paths: Paths, wave: Wave) -> list[Delivered]:
    """Every file that the wave's exports name, by export and name, with its content.

    Raises FileRejected where an export has no file, a file belongs to two or to none, or is not
    a regular file of acceptable size within the wave's folder.
    """
    folder = paths.wave_raw(wave.id)
    if folder.resolve() != paths.raw.resolve() / wave.id:
        raise FileRejected([Found(Fault.NOT_A_FILE, Place(wave.id))])
    named = [(export, sorted(folder.glob(export.glob))) for export in wave.exports]
    found = [Found(Fault.NO_FILE, Place(f"{wave.id}/"), detail=export.glob) for export, files in named if not files]
    found += _claimed_wrongly(folder, named)
    result = []
    for export, files in named:
        for path in files:
            try:
                result.append(_deliver(export, path))
            except FileRejected as rejected:
                found += rejected.found
    if found:
        raise FileRejected(found)
    return result


def _claimed_wrongly(folder: Path, named: list[tuple[Export, list[Path]]]) -> list[Found]:
    found = []
    for path in sorted(folder.iterdir()):
        claims = [export.glob for export, files in named if path in files]
        if len(claims) > 1:
            found.append(Found(Fault.FILE_IN_TWO_EXPORTS, Place(path.name), detail=", ".join(claims)))
        # ~$x.xlsx is what Excel leaves beside a workbook that is open
        is_data = path.suffix.lower() in DATA_SUFFIXES and not path.name.startswith((".", "~$"))
        if not claims and is_data:
            found.append(Found(Fault.FILE_UNCLAIMED, Place(path.name)))
    return found


def _deliver(export: Export, path: Path) -> Delivered:
    """Content of a regular file. The checks are on the opened file, so that nothing can change between."""
    limit = MAX_BYTES.get(path.suffix.lower(), min(MAX_BYTES.values()))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise FileRejected([Found(Fault.NOT_A_FILE, Place(path.name))]) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileRejected([Found(Fault.NOT_A_FILE, Place(path.name))])
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise FileRejected([Found(Fault.TOO_LARGE, Place(path.name), detail=f"> {limit >> 20} MB")])
    return Delivered(export, path.name, content, hashlib.sha256(content).hexdigest())


# --- one file ----------------------------------------------------------------------------------


def read_cells(delivered: Delivered, profile: Profile) -> Cells:
    """Cells of one file by its profile. Raises FileRejected with every fault of the file as a whole."""
    ragged: dict[int, int] = {}
    sheet, kinds = None, None
    if profile.file.type == "xlsx":
        sheet, header, columns, kinds, n_rows = _xlsx(delivered, profile.file)
        rows, n_blank = np.arange(n_rows), 0
    else:
        header, columns, rows, ragged, n_blank = _csv(delivered, profile.file)
    texts = [_normal(column) for column in columns]
    keep = _not_blank(texts, len(rows))
    n_blank += int((~keep).sum())
    _check_header(header, texts, profile, delivered.name, sheet)
    if not keep.any() and not ragged:
        raise FileRejected([Found(Fault.NO_ROWS, Place(delivered.name, sheet))])
    mask = pa.array(keep)
    # the header row itself, and Excel's counting from 1
    first = profile.file.header_row + 1
    positions = {name: number for number, name in enumerate(header) if name}
    return Cells(
        file=delivered.name,
        sheet=sheet,
        texts={name: texts[number].filter(mask) for name, number in positions.items()},
        kinds={name: kinds[number][keep] if kinds else None for name, number in positions.items()},
        rows=rows[keep] + first,
        ragged={row + first: n_cells for row, n_cells in ragged.items()},
        n_cells=len(header),
        n_blank=n_blank,
    )


def _normal(column: pa.Array) -> pa.Array:
    """NFC, trimmed; null where nothing is left."""
    distinct = column.dictionary_encode()
    words = pc.utf8_trim_whitespace(pc.utf8_normalize(distinct.dictionary, form="NFC"))
    words = pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)
    return words.take(distinct.indices)


def _not_blank(texts: list[pa.Array], n_rows: int) -> np.ndarray:
    filled = np.zeros(n_rows, dtype=bool)
    for column in texts:
        filled |= column.is_valid().to_numpy(zero_copy_only=False)
    return filled


def _check_header(header: list[str], texts: list[pa.Array], profile: Profile, file: str, sheet: str | None) -> None:
    row = profile.file.header_row
    known = [column.header for column in profile.columns] + list(profile.drop)
    found = [Found(Fault.HEADER_MISSING, Place(file, sheet, row, name)) for name in known if name not in header]
    for number, name in enumerate(header):
        # a column without a header and without content is what a trailing delimiter leaves
        if name not in known and (name or texts[number].null_count < len(texts[number])):
            found.append(Found(Fault.HEADER_UNKNOWN, Place(file, sheet, row, name)))
        if name and header.index(name) < number:
            found.append(Found(Fault.HEADER_TWICE, Place(file, sheet, row, name)))
    if found:
        raise FileRejected(found)


def _xlsx(delivered: Delivered, file: FileFormat) -> tuple[str, list[str], list[pa.Array], list[np.ndarray], int]:
    """(sheet, header, one text array per column, their kinds, number of rows below the header)."""
    result = read_workbook(delivered.content, delivered.name, file.sheet, file.header_row)
    columns = result["columns"]
    if not columns or len(columns[0]["text"]) < 2:
        raise FileRejected([Found(Fault.NO_ROWS, Place(delivered.name, result["sheet"]))])
    header = [normal(column["text"][0]) for column in columns]
    texts = [pa.array(column["text"][1:], pa.string()) for column in columns]
    kinds = [np.frombuffer(column["kinds"][1:].encode("ascii"), dtype="S1") for column in columns]
    return result["sheet"], header, texts, kinds, len(texts[0])


def _csv(delivered: Delivered, file: FileFormat) -> tuple[list[str], list[pa.Array], np.ndarray, dict[int, int], int]:
    """(header, one text array per column, row positions below the header, ragged rows, number of blank rows)."""
    text = _decode(delivered, file.encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=file.delimiter, quotechar=file.quote, strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        detail = f"{shown(str(error))} (line {reader.line_num})"
        raise FileRejected([Found(Fault.BAD_CSV, Place(delivered.name), detail=detail)]) from None
    if len(records) <= file.header_row:
        raise FileRejected([Found(Fault.NO_ROWS, Place(delivered.name))])
    header = [normal(name) for name in records[file.header_row - 1]]
    whole: list[Sequence[str]] = []
    rows, ragged, n_blank = [], {}, 0
    for position, record in enumerate(records[file.header_row :]):
        if len(record) == len(header):
            whole.append(record)
            rows.append(position)
        elif any(cell.strip() for cell in record):
            ragged[position] = len(record)
        else:
            n_blank += 1
    columns = list(zip(*whole, strict=True)) if whole else [() for _ in header]
    return header, [pa.array(column, pa.string()) for column in columns], np.array(rows, np.int64), ragged, n_blank


def _decode(delivered: Delivered, encoding: str) -> str:
    """The text of a CSV in exactly the encoding that its profile declares; anything else is refused."""
    content, place = delivered.content, Place(delivered.name)
    has_bom = content.startswith(codecs.BOM_UTF8)
    if content.startswith(FOREIGN_BOMS) or (has_bom and encoding != "utf-8-sig"):
        actual = "utf-8-sig" if has_bom else "utf-16/utf-32"
        raise FileRejected([Found(Fault.BAD_ENCODING, place, detail=f"{encoding} ≠ {actual} (BOM)")])
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise FileRejected([Found(Fault.NUL_BYTE, place, detail=f"line {line}")])
    if encoding == "gb18030" and not content.isascii() and _decodes(content, "utf-8"):
        raise FileRejected([Found(Fault.BAD_ENCODING, place, detail="gb18030 ≠ utf-8")])
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        other = " (gb18030?)" if encoding != "gb18030" and _decodes(content, "gb18030") else ""
        raise FileRejected([Found(Fault.BAD_ENCODING, place, detail=f"{encoding}, line {line}{other}")]) from None


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
