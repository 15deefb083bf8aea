"""CSV whose records are its lines: read column by column, several times as fast as record by record.

Belongs here: how to tell such a file, and reading it. Does not belong here: any other file, a verdict
on one, or the meaning of a header (`read.py`, whose `csv.reader` is the reference). Where nothing
is quoted, no carriage return stands alone and every line has the header's number of delimiters, all
readers of CSV agree; the least doubt leaves the file to the reference.
"""

import codecs
import csv
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.ingest.profile import FileFormat

NEWLINE = ord("\n")


@dataclass(frozen=True)
class PlainRecords:
    """The header's cells, and the columns below it, cell by cell as they stand in the file."""

    header: list[str]
    columns: list[pa.DictionaryArray]
    n_rows: int

    def is_blank(self, number: int) -> bool:
        """Whether no cell of a column holds more than white space."""
        return not any(word.strip() for word in self.columns[number].dictionary.to_pylist())


def plain_records(content: bytes, file: FileFormat) -> PlainRecords | None:
    """What a file holds that is known to be in its declared encoding; None where it is not plain enough to tell."""
    text = _utf8(content, file.encoding)
    delimiter = file.delimiter.encode()
    if text is None or len(delimiter) > 1 or file.quote.encode() in text or codecs.BOM_UTF8 in text:
        return None
    if text.count(b"\r") != text.count(b"\r\n"):
        return None
    start = 0
    for _ in range(file.header_row):
        start, above = text.find(b"\n", start) + 1, start
        if not start or start - above > csv.field_size_limit():
            return None
    if start == len(text):
        return None
    header = text[above : start - 1].removesuffix(b"\r").decode().split(file.delimiter)
    n_rows = _n_rows(np.frombuffer(text, np.uint8, offset=start), ord(delimiter), len(header) - 1)
    if n_rows is None:
        return None
    columns = _columns(pa.py_buffer(text).slice(start), file.delimiter, len(header))
    return PlainRecords(header, columns, n_rows) if len(columns[0]) == n_rows else None


def byte_view(texts: pa.Array) -> NDArray[np.uint8]:
    """The bytes of an array of texts, one after the other."""
    start, end = (texts.offset, texts.offset + len(texts))
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[bounds[start] : bounds[end]]


def _utf8(content: bytes, encoding: str) -> bytes | None:
    if encoding == "utf-8":
        return content
    if encoding == "utf-8-sig":
        return content.removeprefix(codecs.BOM_UTF8)
    return content if content.isascii() else content.decode(encoding).encode()


def _n_rows(body: NDArray[np.uint8], delimiter: int, n_delimiters: int) -> int | None:
    """The number of lines, where each has that many delimiters and could be one field; else None."""
    ends = np.flatnonzero(body == NEWLINE)
    if body[-1] != NEWLINE:
        ends = np.append(ends, len(body))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if not n_delimiters or (ends - starts).max() > csv.field_size_limit():
        return None
    counts = np.add.reduceat(body == delimiter, starts, dtype=np.int32)
    return len(ends) if (counts == n_delimiters).all() else None


def _columns(body: pa.Buffer, delimiter: str, n_cells: int) -> list[pa.DictionaryArray]:
    from pyarrow import csv as arrow_csv

    names = [str(number) for number in range(n_cells)]
    table = arrow_csv.read_csv(
        pa.BufferReader(body),
        # one block: a column has one dictionary
        arrow_csv.ReadOptions(column_names=names, block_size=body.size + 1),
        arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False, double_quote=False, escape_char=False),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string())), check_utf8=False,
            null_values=[], strings_can_be_null=False,
        ),
    )  # fmt: skip
    return [column.combine_chunks() for column in table.columns]
