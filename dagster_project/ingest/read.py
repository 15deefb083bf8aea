"""The guarded reader: delivered files to cells of text, header by header, with their row numbers.

Belongs here: which files are a wave's, what makes a file unreadable as a whole, blank and ragged
rows. Does not belong here: the inside of XLSX (`workbook.py`), CSV whose records are its lines
(`plain_csv.py`), what a value means (`rows.py`).
"""

import codecs
import csv
import hashlib
import io
import itertools
import os
import stat
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.ingest.faults import MAX_FAULTS, Fault, FileRejected, Found, Place, shown
from dagster_project.ingest.header_search import MAX_ROWS, search_rows, search_text, shown_row
from dagster_project.ingest.personal import found_in
from dagster_project.ingest.plain_csv import byte_view, plain_records
from dagster_project.ingest.profile import FileFormat, Profile, normal
from dagster_project.ingest.wave import Export, Wave, named_files
from dagster_project.ingest.workbook import column_letters, read_workbook
from dagster_project.paths import Paths

# What can be read within 30 s and 2 GB whatever the file holds; an annual wave's files have less than 1 MB.
MAX_BYTES = {".xlsx": 50 << 20, ".csv": 32 << 20}
DATA_SUFFIXES = {".csv", ".tsv", ".txt", ".xls", ".xlsx", ".xlsm", ".xlsb", ".ods", ".zip"}
# Excel's own limit for a cell; and what Unicode allows on one letter (UAX 15, stream-safe), because
# putting marks in order takes the square of their number.
MAX_CHARACTERS = 32_767
FEWEST_CHARACTERS = 31
MANY_MARKS = rf"\p{{M}}{{{FEWEST_CHARACTERS}}}"
BATCH_CELLS = 1_000_000
MAX_TOLD = 20
FOREIGN_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Delivery:
    """One file of a wave's folder, as it was hashed; its content is not kept."""

    export: Export
    path: Path
    n_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> "Delivered":
        """The file with its content. Raises FileRejected where that is not what was hashed."""
        content = _content(self.path)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise FileRejected([Found(Fault.FILE_CHANGED, Place(self.name))])
        return Delivered(self.export, self.name, content, self.sha256)


@dataclass(frozen=True)
class Delivered:
    """One file of a wave's folder with its content: what is hashed is what is parsed."""

    export: Export
    name: str
    content: bytes
    sha256: str


@dataclass(frozen=True)
class Cells:
    """The cells below the header of one sheet, as text (null: empty), column by column; dropped ones left out.

    `texts`, `kinds`, `rows` leave out blank and ragged rows. `texts`: every word once, and where it
    stands. `kinds`: letters of `workbook_child.py` per cell; None for CSV. `rows`, `ragged`: row numbers
    as Excel shows them.
    """

    file: str
    sheet: str | None
    texts: dict[str, pa.DictionaryArray]
    kinds: dict[str, np.ndarray | None]
    rows: np.ndarray
    ragged: dict[int, int]
    n_cells: int
    n_blank: int

    @property
    def n_read(self) -> int:
        return len(self.rows) + len(self.ragged) + self.n_blank


# --- which files -------------------------------------------------------------------------------


def deliveries(paths: Paths, wave: Wave) -> list[Delivery]:
    """Every file that the wave's exports name, by export and name, hashed.

    Raises FileRejected where an export has no file, a file belongs to two or to none, or is not
    a regular file of acceptable size within the wave's folder.
    """
    folder = paths.wave_raw(wave.id)
    if folder.resolve() != paths.raw.resolve() / wave.id:
        raise FileRejected([Found(Fault.NOT_A_FILE, Place(wave.id))])
    named = [(export, named_files(folder, export.glob)) for export in wave.exports]
    found = [Found(Fault.NO_FILE, Place(f"{wave.id}/"), detail=export.glob) for export, files in named if not files]
    found += _claimed_wrongly(folder, named)
    result = []
    for export, files in named:
        for path in files:
            try:
                content = _content(path)
                result.append(Delivery(export, path, len(content), hashlib.sha256(content).hexdigest()))
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
        # control, format and undecodable characters: neither Parquet nor a terminal can carry such a name
        if (claims or is_data) and any(unicodedata.category(each)[0] == "C" for each in path.name):
            found.append(Found(Fault.FILE_NAME, Place(path.name)))
        elif (claims or is_data) and found_in(path.name):
            found.append(Found(Fault.PERSONAL_NAME, Place(path.name)))
        elif not claims and is_data:
            found.append(Found(Fault.FILE_UNCLAIMED, Place(path.name)))
    return found


def _content(path: Path) -> bytes:
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
    return content


# --- one file ----------------------------------------------------------------------------------


def read_cells(delivered: Delivered, profile: Profile) -> Cells:
    """Cells of one file by its profile. Raises FileRejected with every fault of the file as a whole."""
    sheet = _xlsx(delivered, profile) if profile.file.type == "xlsx" else _csv_or_hint(delivered, profile)
    if sheet.name is not None and found_in(sheet.name):
        raise FileRejected([Found(Fault.PERSONAL_NAME, Place(delivered.name, sheet.name))])
    _require_tellable(sheet, delivered.name, profile.file.header_row)
    texts = {name: _normal(column) for name, column in sheet.texts.items() if name not in profile.drop}
    dropped = (_trimmed(sheet.texts[name]) for name in profile.drop)
    keep = _not_blank(itertools.chain(texts.values(), dropped), len(sheet.rows))
    if not keep.any() and not sheet.ragged:
        raise FileRejected([Found(Fault.NO_ROWS, Place(delivered.name, sheet.name))])
    mask = pa.array(keep)
    # the header row itself, and Excel's counting from 1
    first = profile.file.header_row + 1
    return Cells(
        file=delivered.name,
        sheet=sheet.name,
        texts={name: column.filter(mask) for name, column in texts.items()},
        kinds={name: None if (kinds := sheet.kinds[name]) is None else kinds[keep] for name in texts},
        rows=sheet.rows[keep] + first,
        ragged={row + first: n_cells for row, n_cells in sheet.ragged.items()},
        n_cells=sheet.n_cells,
        n_blank=sheet.n_blank + int((~keep).sum()),
    )


@dataclass(frozen=True)
class _Sheet:
    """The columns that have a header, as they stand in the file. `rows`, `ragged`: positions below the header."""

    name: str | None
    n_cells: int
    texts: dict[str, pa.DictionaryArray]
    kinds: dict[str, np.ndarray | None]
    rows: np.ndarray
    ragged: dict[int, int]
    n_blank: int


def _normal(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """NFC, trimmed; null where nothing is left."""
    words = column.dictionary
    return _trimmed(column, words if _is_ascii(words) else pc.utf8_normalize(words, form="NFC"))


def _trimmed(column: pa.DictionaryArray, words: pa.Array | None = None) -> pa.DictionaryArray:
    """The column with `words` in the place of its own, trimmed; null where nothing is left."""
    words = pc.utf8_trim_whitespace(column.dictionary if words is None else words)
    words = pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)
    if words.equals(column.dictionary):
        return column
    # words that differed may be one now
    distinct = words.dictionary_encode()
    return pa.DictionaryArray.from_arrays(distinct.indices.take(column.indices), distinct.dictionary)


def _is_ascii(words: pa.Array) -> bool:
    return bool((byte_view(words) < 128).all())


def _not_blank(texts: Iterable[pa.Array], n_rows: int) -> np.ndarray:
    filled = np.zeros(n_rows, dtype=bool)
    for column in texts:
        if column.null_count == 0:
            return np.ones(n_rows, dtype=bool)
        filled |= column.is_valid().to_numpy(zero_copy_only=False)
    return filled


def _require_tellable(sheet: _Sheet, file: str, header_row: int) -> None:
    """Refuse cells that nobody typed and that cannot be put into normal form within seconds."""
    found = []
    for name, column in sheet.texts.items():
        words = column.dictionary
        lengths = pc.utf8_length(words)
        is_wrong = pc.greater(lengths, MAX_CHARACTERS)
        may_be_marks = pc.greater_equal(lengths, FEWEST_CHARACTERS)
        if pc.any(may_be_marks).as_py():
            marks = pc.match_substring_regex(words.filter(may_be_marks), pattern=MANY_MARKS)
            is_wrong = pc.or_(is_wrong, pc.replace_with_mask(may_be_marks, may_be_marks, marks))
        if pc.any(is_wrong).as_py():
            wrong = np.flatnonzero(is_wrong.take(column.indices).to_numpy(zero_copy_only=False))
            found += [
                Found(Fault.CELL_TOO_LONG, Place(file, sheet.name, int(sheet.rows[each]) + header_row + 1, name))
                for each in wrong[: MAX_TOLD + 1]
            ]
    _raise_first(found, file, sheet.name)


def _header(names: Sequence[str], profile: Profile, file: str, sheet: str | None) -> list[str]:
    """The header in normal form, "" where a column has none. Raises FileRejected where it is not the profile's."""
    row = profile.file.header_row
    cells = pa.array(names, pa.string())
    is_endless = pc.match_substring_regex(cells, pattern=MANY_MARKS).to_pylist()
    header = [name if endless else normal(name) for name, endless in zip(names, is_endless, strict=True)]
    known = dict.fromkeys([*(column.header for column in profile.columns), *profile.drop])
    present = set(header)
    if present.isdisjoint(known):
        raise FileRejected([Found(Fault.HEADER_NOT_FOUND, Place(file, sheet, row), detail=shown_row(header))])
    found = [Found(Fault.HEADER_MISSING, Place(file, sheet, row, name)) for name in known if name not in present]
    seen = set()
    for name in header:
        if name and name not in known:
            found.append(Found(Fault.HEADER_UNKNOWN, Place(file, sheet, row, name)))
        if name and name in seen:
            found.append(Found(Fault.HEADER_TWICE, Place(file, sheet, row, name)))
        seen.add(name)
    _raise_first(found, file, sheet)
    return header


def _raise_first(found: list[Found], file: str, sheet: str | None) -> None:
    """Raise FileRejected where anything was found; where it is very much, with the first of it."""
    if len(found) > MAX_TOLD:
        found = [Found(Fault.TOO_MANY_FAULTS, Place(file, sheet), detail=f"{len(found)}"), *found[:MAX_TOLD]]
    if found:
        raise FileRejected(found)


def _without_header(file: str, sheet: str | None, row: int, number: int) -> FileRejected:
    """A column without a header is what a trailing delimiter leaves, unless it has content."""
    return FileRejected([Found(Fault.HEADER_UNKNOWN, Place(file, sheet, row, column_letters(number)))])


def _xlsx(delivered: Delivered, profile: Profile) -> _Sheet:
    file = profile.file
    result = read_workbook(delivered.content, delivered.name, file.sheet, file.header_row)
    columns = result["columns"]
    rows = [*result["above"], *zip(*(column["text"][:MAX_ROWS] for column in columns), strict=True)]
    if not columns or len(columns[0]["text"]) < 2:
        no_rows = FileRejected([Found(Fault.NO_ROWS, Place(delivered.name, result["sheet"]))])
        raise _with_hint(no_rows, search_rows(rows, profile), delivered.name, profile)
    n_rows = len(columns[0]["text"]) - 1
    try:
        header = _header([column["text"][0] for column in columns], profile, delivered.name, result["sheet"])
    except FileRejected as rejected:
        raise _with_hint(rejected, search_rows(rows, profile), delivered.name, profile) from None
    texts: dict[str, pa.DictionaryArray] = {}
    kinds: dict[str, np.ndarray | None] = {}
    for number, (name, column) in enumerate(zip(header, columns, strict=True)):
        if name:
            texts[name] = pa.array(column["text"][1:], pa.string()).dictionary_encode()
            kinds[name] = np.frombuffer(column["kinds"][1:].encode("ascii"), dtype="S1")
        else:
            filled = [row for row, text in enumerate(column["text"][1:], file.header_row + 1) if text.strip()]
            if filled:
                raise _without_header(delivered.name, result["sheet"], filled[0], number)
    return _Sheet(result["sheet"], len(header), texts, kinds, np.arange(n_rows), {}, 0)


def _with_hint(rejected: FileRejected, place: str | None, file: str, profile: Profile) -> FileRejected:
    """The rejection; where the declared header has another `place`, that one: missing columns follow from it."""
    if place is None:
        return rejected
    syntax = [each for each in rejected.found if each.fault is Fault.BAD_CSV]  # it may be the cause
    return FileRejected(
        [*syntax, Found(Fault.HEADER_ELSEWHERE, Place(file, row=profile.file.header_row), detail=place)]
    )


def _csv_or_hint(delivered: Delivered, profile: Profile) -> _Sheet:
    _require_encoding(delivered, profile.file.encoding)
    try:
        return _csv(delivered, profile)
    except FileRejected as rejected:
        raise _with_hint(rejected, search_text(delivered.content, profile), delivered.name, profile) from None


def _csv(delivered: Delivered, profile: Profile) -> _Sheet:
    plain = plain_records(delivered.content, profile.file)
    if plain is not None:
        header = _header(plain.header, profile, delivered.name, None)
        named = [number for number, name in enumerate(header) if name]
        if all(plain.is_blank(number) for number, name in enumerate(header) if not name):
            texts = {header[number]: plain.columns[number] for number in named}
            return _Sheet(None, len(header), texts, dict.fromkeys(texts), np.arange(plain.n_rows), {}, 0)
    return _any_csv(delivered, profile)


def _any_csv(delivered: Delivered, profile: Profile) -> _Sheet:
    """The reference: whatever `csv.reader` reads in the declared dialect."""
    file, place = profile.file, Place(delivered.name)
    records = _records(delivered, file)
    above = list(itertools.islice(records, file.header_row))
    if len(above) < file.header_row:
        raise FileRejected([Found(Fault.NO_ROWS, place)])
    header = _header(above[-1], profile, delivered.name, None)
    named = [number for number, name in enumerate(header) if name]
    unnamed = [number for number, name in enumerate(header) if not name]
    batches = _Batches(len(named))
    rows, ragged, n_blank = array("q"), {}, 0
    for position, record in enumerate(records):
        if len(record) == len(header):
            if unnamed:
                filled = [number for number in unnamed if record[number].strip()]
                if filled:
                    raise _without_header(delivered.name, None, position + file.header_row + 1, filled[0])
                record = [record[number] for number in named]
            batches.add(record)
            rows.append(position)
        elif record and any(cell.strip() for cell in record):
            ragged[position] = len(record)
            if len(ragged) > MAX_FAULTS:
                raise FileRejected([Found(Fault.TOO_MANY_FAULTS, place, detail=f"> {MAX_FAULTS} × E_RAGGED_ROW")])
        else:
            n_blank += 1
    texts = dict(zip([header[number] for number in named], batches.columns(), strict=True))
    return _Sheet(None, len(header), texts, dict.fromkeys(texts), np.array(rows, np.int64), ragged, n_blank)


class _Batches:
    """Records to columns, some at a time: cells as Python's strings take ten times their place in Arrow."""

    def __init__(self, n_columns: int):
        self.n_columns = n_columns
        self.n_rows = max(1, BATCH_CELLS // max(1, n_columns))
        self.records: list[Sequence[str]] = []
        self.parts: list[list[pa.Array]] = [[] for _ in range(n_columns)]

    def add(self, record: Sequence[str]) -> None:
        self.records.append(record)
        if len(self.records) == self.n_rows:
            self._pack()

    def columns(self) -> list[pa.DictionaryArray]:
        self._pack()
        return [pa.concat_arrays(parts).dictionary_encode() for parts in self.parts]

    def _pack(self) -> None:
        cells = zip(*self.records, strict=True) if self.records else [()] * self.n_columns
        for parts, column in zip(self.parts, cells, strict=True):
            parts.append(pa.array(column, pa.string()))
        self.records = []


def _records(delivered: Delivered, file: FileFormat) -> Iterator[list[str]]:
    """The records of a CSV in the declared encoding. Raises FileRejected where it breaks off."""
    lines = io.TextIOWrapper(io.BytesIO(delivered.content), file.encoding, newline="")
    reader = csv.reader(lines, delimiter=file.delimiter, quotechar=file.quote, strict=True)
    start = 1
    try:
        for record in reader:
            start = reader.line_num + 1
            yield record
    except csv.Error as error:
        detail = f"{shown(str(error))} (line {start}–{reader.line_num})"
        raise FileRejected([Found(Fault.BAD_CSV, Place(delivered.name), detail=detail)]) from None


def _require_encoding(delivered: Delivered, encoding: str) -> None:
    """Refuse a CSV that is not in exactly the encoding that its profile declares."""
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
        content.decode(encoding)
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
