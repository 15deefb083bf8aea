"""What is read at once is what the reference reads: CSV by lines, times with all their digits, words as they stand."""

import csv
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.ingest.faults import FileRejected
from dagster_project.ingest.plain_csv import plain_records
from dagster_project.ingest.profile import FileFormat, Profile, ProfileColumn
from dagster_project.ingest.read import Delivered, _any_csv, _csv, read_cells
from dagster_project.ingest.rows import Known, _any_times, _doubtful, _verdict, parse_times
from dagster_project.ingest.wave import Export
from dagster_project.schema import DIAL_ATTEMPTS

COLUMNS = tuple(ProfileColumn(name, DIAL_ATTEMPTS.columns[number], None) for number, name in enumerate("ab"))
# what ends a line, a cell or a text for some reader or other
PIECES = [
    "a",
    "中",
    " ",
    ",",
    ",",
    "\n",
    "\r\n",
    "\r",
    '"',
    ";",
    "\ufeff",
    "\x0b",
    "\x1c",
    "\x85",
    "\u2028",
    "",
    "\u3000",
]
LINE = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
TEXT_BODY = st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n", "\r\n"])), max_size=6).map(
    lambda lines: "".join(line + end for line, end in lines)
)
# three cells a line, so that many are plain
CELL = st.sampled_from(["", "x", "中文", " y ", "0", "'", "\x0b"])
PLAIN_BODY = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5).map(
    lambda rows: "\r\n".join(map(",".join, rows))
)


def profile(header_row: int = 1, encoding: str = "utf-8", drop: tuple[str, ...] = ("c",)) -> Profile:
    return Profile("x", DIAL_ATTEMPTS, FileFormat("csv", header_row, encoding), {}, (), COLUMNS, drop)


def delivered(content: bytes) -> Delivered:
    return Delivered(Export("dial_attempts", "x.csv", "x"), "x.csv", content, "")


def outcome(reader: Any, content: bytes, by: Profile) -> object:
    try:
        sheet = reader(delivered(content), by)
    except FileRejected as rejected:
        return str(rejected)
    texts = {name: column.cast(pa.string()).to_pylist() for name, column in sheet.texts.items()}
    return texts, sheet.rows.tolist(), sheet.ragged, sheet.n_blank, sheet.n_cells


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    body=TEXT_BODY | PLAIN_BODY, header=st.sampled_from(["a,b,c", "a,b,c\r", "b,a,c", "a,b,", "a,b", ""]),
    above=st.sampled_from(["", "title\n", "x,y,z,z\r\n"]), encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
)  # fmt: skip
def test_a_csv_is_read_as_the_reference_reads_it(body: str, header: str, above: str, encoding: str) -> None:
    by = profile(1 + bool(above), encoding, ("c",) if "c" in header else ())
    content = f"{above}{header}\n{body}".encode(encoding)
    expected = outcome(_any_csv, content, by)
    # the reference judges no encoding
    assert outcome(_csv, content, by) == expected or "E_BAD_ENCODING" in str(outcome(_csv, content, by))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_ordinary_export_is_plain(encoding: str, end: str) -> None:
    content = end.join(["a,b,c", "1,中,", ",,x", ""]).encode(encoding)
    plain = plain_records(content, profile(encoding=encoding).file)
    assert plain is not None
    assert (plain.header, plain.n_rows) == (["a", "b", "c"], 2)
    assert [column.to_pylist() for column in plain.columns] == [["1", ""], ["中", ""], ["", "x"]]


NOT_PLAIN = {
    "a quote": b'a,b\n"1",2\n', "a lone carriage return": b"a,b\n1,2\r3,4\n", "a blank line": b"a,b\n1,2\n\n3,4\n",
    "a ragged line": b"a,b\n1,2\n1,2,3\n", "lines that make up for each other": b"a,b,c\n1,2\n1,2,3,4\n",
    "one column": b"a\n1\n", "a mark of the encoding": b"a,b\n\xef\xbb\xbf1,2\n", "no line": b"a,b\n", "nothing": b"",
    "a long line": b"a,b\n1," + b"2" * csv.field_size_limit() + b"\n",
}  # fmt: skip


@pytest.mark.parametrize("content", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_the_least_doubt_leaves_a_file_to_the_reference(content: bytes) -> None:
    assert plain_records(content, profile().file) is None


def test_blank_rows_are_seen_in_dropped_columns_too() -> None:
    cells = read_cells(delivered("a,b,c\n , ,\u3000\n,,x\n1,,\n".encode()), profile())
    assert (cells.n_blank, cells.rows.tolist(), list(cells.texts)) == (1, [3, 4], ["a", "b"])


# --- times and words -----------------------------------------------------------------------------

FORMATS = [
    ("%Y-%m-%d %H:%M:%S",), ("%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"), ("%Y年%m月%d日 %H:%M",), ("%d.%m.%Y",),
    ("%Y%m%d%H", "%Y%m%d"), ("%Y%m%d", "%Y%m%d%H"), ("%m/%d/%Y", "%Y/%m/%d"), ("[%Y-%m-%d]",),
]  # fmt: skip
PARTS = ["0", "00", "1", "01", "2", "29", "30", "31", "12", "13", "23", "24", "59", "60", "99"]
NUMBERS = st.lists(st.sampled_from(PARTS), min_size=6, max_size=6)
YEARS = st.sampled_from(["0000", "0001", "1600", "1900", "1969", "1970", "2000", "2023", "2024", "9999", "203"])


@st.composite
def times(draw: st.DrawFn, time_format: str) -> str:
    year, numbers = draw(YEARS), draw(NUMBERS)
    parts = dict(zip("mdHMSx", numbers, strict=True)) | {"Y": year}
    text = time_format
    for part, number in parts.items():
        text = text.replace(f"%{part}", number)
    edit = draw(st.sampled_from(["", "", "", " ", "x", "９", "-"]))
    place = draw(st.integers(0, len(text)))
    return text[:place] + edit + text[place:]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), formats=st.sampled_from(FORMATS))
def test_times_are_read_as_the_reference_reads_them(data: st.DataObject, formats: tuple[str, ...]) -> None:
    texts = data.draw(st.lists(st.none() | st.sampled_from(formats).flatmap(times), max_size=8))
    column = pa.array(texts, pa.string())
    assert parse_times(column, formats).equals(_any_times(column, formats))


WORD = (
    st.text(max_size=20) | st.text("0123456789-. @+a", max_size=24) | st.text("０1三京\u200b\u3164\ufe00-", max_size=14)
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(words=st.lists(WORD, max_size=8))
def test_a_word_without_doubt_is_a_value_as_it_is(words: list[str]) -> None:
    """What `_doubtful` spares, `_verdict` accepts unchanged."""
    by = profile()
    each = by.columns[0]
    array = pa.array(words, pa.string())
    spared = set(range(len(words))) - set(_doubtful(array, each, by).tolist())
    known = Known({"line": frozenset(), "scenario": frozenset()})
    assert [_verdict(words[number], each, by, known) for number in spared] == [
        (words[number], None, "") for number in spared
    ]
