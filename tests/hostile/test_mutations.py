"""Valid files with random damage, against the reader and the judge: the promise for cases nobody thought of.

Belongs here: how files are damaged at random. Does not belong here: cases with a name (`corpus.py`).
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.ingest.faults import FileRejected
from dagster_project.ingest.profile import Profile, load_profile
from dagster_project.ingest.read import Delivered, read_cells
from dagster_project.ingest.rows import Known, all_faults, bronze_rows, hold_duplicates, judge, quarantine_rows
from dagster_project.ingest.spill import Keys
from dagster_project.ingest.wave import Export
from tests.hostile.corpus import BOOK, DIAL, MESSAGE, PHONE, SHEET, STRINGS, rezipped
from tests.small_wave import LINES, SmallWave

KNOWN = Known({"line": frozenset(LINES), "scenario": frozenset({"S01", "S02"})})
PARTS = (SHEET, BOOK, STRINGS, "xl/styles.xml", "xl/_rels/workbook.xml.rels", "[Content_Types].xml")
# what tends to matter to a parser of CSV or XML
PIECES = [
    b"", b'"', b",", b"\r", b"\n", b"\0", b"\xff", b"\x81\x30", b"<", b">", b"&#0;", b"&lt;", b"/>", b"-1", b"1e999",
    b"</c>", b"<row>", b'r="XFD1"', b't="s"', b't="e"', b"<f/>", b"9" * 400, b"\xef\xbb\xbf",
]  # fmt: skip
Damage = Callable[[bytes], bytes]


class World:
    """The content of one valid wave, by file, and the profiles to read it by."""

    def __init__(self, folder: Path):
        wave = SmallWave(folder)
        wave.write()
        self.files = {name: (wave.folder / name).read_bytes() for name in (PHONE, DIAL)}
        self.profiles = {PHONE: load_profile(wave.paths, "survey_phone"), DIAL: load_profile(wave.paths, "dialler")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("valid"))


@st.composite
def edits(draw: st.DrawFn) -> Damage:
    """One piece of the content replaced by another, or two pieces exchanged."""
    start, other = draw(st.floats(0, 1)), draw(st.floats(0, 1))
    length, piece = draw(st.integers(0, 12)), draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    is_exchange = draw(st.booleans())

    def damage(content: bytes) -> bytes:
        first, second = sorted(int(each * len(content)) for each in (start, other))
        if is_exchange and first + length <= second:
            return (content[:first] + content[second : second + length] + content[first + length : second]
                    + content[first : first + length] + content[second + length :])  # fmt: skip
        return content[:first] + piece + content[first + length :]

    return damage


@st.composite
def exchanged(draw: st.DrawFn, pattern: bytes) -> Damage:
    """Two of the places that a pattern finds, exchanged: cells, rows, attributes."""
    one, two = draw(st.integers(0, 10_000)), draw(st.integers(0, 10_000))

    def damage(content: bytes) -> bytes:
        places = [match.span() for match in re.finditer(pattern, content, re.DOTALL)]
        if not places:
            return content
        first, second = sorted((places[one % len(places)], places[two % len(places)]))
        if first[1] > second[0]:
            return content[: first[0]] + content[slice(*first)] + content[first[0] :]  # one place: twice
        return (content[: first[0]] + content[slice(*second)] + content[first[1] : second[0]]
                + content[slice(*first)] + content[second[1] :])  # fmt: skip

    return damage


CELLS = st.lists(edits() | exchanged(rb"[^,\r\n]+") | exchanged(rb"[^\n]*\n"), min_size=1, max_size=4)
XML = st.lists(
    edits() | exchanged(rb"<c [^>]*>.*?</c>") | exchanged(rb"<row .*?</row>") | exchanged(rb'"[^"]*"'),
    min_size=1, max_size=3,
)  # fmt: skip


def damaged(content: bytes, damages: list[Damage]) -> bytes:
    for damage in damages:
        content = damage(content)
    return content


def outcome(name: str, content: bytes, profile: Profile) -> int | None:
    """Rows read, each of which is accounted for; None where the whole file is refused with reasons."""
    delivered = Delivered(Export(profile.table.name, name, profile.name), name, content, "")
    try:
        cells = read_cells(delivered, profile)
        judged = judge(cells, profile, KNOWN)
        keys = Keys(profile.table, Path())
        keys.add(judged.values[profile.table.key], cells.rows, cells.file, cells.sheet)
        hold_duplicates(judged, profile.table, keys.repeated(), keys.places)
    except FileRejected as rejected:
        for each in rejected.found:
            assert MESSAGE.fullmatch(each.text()), each.text()
            assert each.place.file == name
        return None
    for found in all_faults(judged).values():
        for each in found:
            assert MESSAGE.fullmatch(each.text()), each.text()
            assert each.place.row is not None and each.place.file == name
    bronze, quarantine = bronze_rows(judged, profile.table), quarantine_rows(judged, profile.table)
    assert cells.n_read == bronze.num_rows + quarantine.num_rows + cells.n_blank
    assert not set(bronze["source_row"].to_pylist()) & set(quarantine["source_row"].to_pylist())
    return cells.n_read


@settings(max_examples=100, deadline=None, derandomize=True)
@given(damages=CELLS)
def test_a_damaged_csv_is_read_to_the_last_row_or_refused(world: Any, damages: list[Damage]) -> None:
    content = damaged(world.files[DIAL], damages)
    n_read = outcome(DIAL, content, world.profiles[DIAL])
    if n_read is not None:
        assert n_read == len(list(csv.reader(io.StringIO(content.decode("gb18030"), newline="")))) - 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(name=st.sampled_from(PARTS), damages=XML)
def test_a_workbook_with_damaged_xml_is_read_or_refused(world: Any, name: str, damages: list[Damage]) -> None:
    content = rezipped(world.files[PHONE], lambda each, old: damaged(old, damages) if each == name else old)
    outcome(PHONE, content, world.profiles[PHONE])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(damages=st.lists(edits(), min_size=1, max_size=2))
def test_a_workbook_with_damaged_bytes_is_read_or_refused(world: Any, damages: list[Damage]) -> None:
    outcome(PHONE, damaged(world.files[PHONE], damages), world.profiles[PHONE])


def test_the_undamaged_files_are_read(world: World) -> None:
    assert outcome(DIAL, world.files[DIAL], world.profiles[DIAL]) == 9
    assert outcome(PHONE, world.files[PHONE], world.profiles[PHONE]) == 6
    assert set(PARTS) <= set(zipfile.ZipFile(io.BytesIO(world.files[PHONE])).namelist())
