"""Finds the header that a profile declares in a file where it is not at its declared place.

Title rows and another delimiter are the usual causes. Reads the first rows only, and as a guess: the result goes into
a message, never into the reading of the file.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from itertools import islice

from dagster_project.ingest.faults import shown
from dagster_project.ingest.personal import HIDDEN
from dagster_project.ingest.profile import FileFormat, Profile, normal

MAX_ROWS = 30  # rows in which a header is looked for
MAX_CHARACTERS = 20_000  # of a row of text
MAX_CELLS = 5  # of a row that a message repeats
DELIMITERS = ",;\t|，；"
# A row with such a cell is taken for data: it may name persons, so a message shows two characters of a cell.
NUMBER_OR_TIME = re.compile(r"[0-9][0-9 :./,T+-]*")


def declared_headers(profile: Profile) -> set[str]:
    """Returns every header that the profile reads or drops, in normal form."""
    return {*(column.header for column in profile.columns), *profile.drop}


def search_text(content: bytes, profile: Profile) -> str | None:
    """Returns the keys under `file` that would find the header of a CSV, as YAML.

    None where the header is at its declared place, or nowhere.
    """
    stream = io.TextIOWrapper(io.BytesIO(content), profile.file.encoding, errors="replace", newline="")
    lines = [line[:MAX_CHARACTERS] for line in islice(iter(lambda: stream.readline(MAX_CHARACTERS), ""), MAX_ROWS)]
    declared = profile.file.delimiter
    return _best(
        profile, {each: [_cells(line, each, profile.file.quote) for line in lines] for each in {declared, *DELIMITERS}}
    )


def search_rows(rows: Sequence[Sequence[str]], profile: Profile) -> str | None:
    """Does the same for the first rows of a sheet."""
    return _best(profile, {profile.file.delimiter: rows[:MAX_ROWS]})


def shown_row(cells: Sequence[str]) -> str:
    """Returns the first cells of a row as a message may show them."""
    texts = [cell for each in cells if (cell := normal(each))]
    is_data = any(NUMBER_OR_TIME.fullmatch(each) for each in texts)
    first = [
        f"「{shown(each[: min(2, len(each) - 1)]) + HIDDEN if is_data else shown(each)}」" for each in texts[:MAX_CELLS]
    ]
    return " ".join([*first, *(["…"] if len(texts) > MAX_CELLS else [])]) or "—"


def _best(profile: Profile, rows: dict[str, Sequence[Sequence[str]]]) -> str | None:
    known = declared_headers(profile)
    declared = (profile.file.delimiter, profile.file.header_row)
    counts = {
        (delimiter, number): len(known & {normal(cell) for cell in cells})
        for delimiter, each in rows.items()
        for number, cells in enumerate(each, start=1)
    }
    # at the declared place if it is as good as any, else as near to it as possible
    best = max(counts, key=lambda place: (counts[place], place[0] == declared[0], -place[1]), default=declared)
    if 2 * counts.get(best, 0) < len(known) or 2 * counts.get(declared, 0) >= len(known):
        return None
    return _as_yaml(profile.file, *best)


def _as_yaml(file: FileFormat, delimiter: str, header_row: int) -> str:
    keys = []
    if delimiter != file.delimiter:
        keys.append(f"delimiter: {json.dumps(delimiter, ensure_ascii=False)}")
    if header_row != file.header_row:
        keys.append(f"header_row: {header_row}")
    return ", ".join(keys)


def _cells(line: str, delimiter: str, quote: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [])
    except csv.Error:
        return line.split(delimiter)
