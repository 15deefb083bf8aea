"""Cells to typed bronze columns, and the verdict on every row.

Belongs here: what a value must be, by the schema and the profile. Does not belong here: reading
files (`read.py`), scoring, and what is plausible for a wave as a whole (the gate).
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dagster_project.characters import code_point, unusable_character
from dagster_project.ingest import personal
from dagster_project.ingest.faults import MAX_FAULTS, Fault, FileRejected, Found, Place
from dagster_project.ingest.plain_csv import byte_view
from dagster_project.ingest.profile import Profile, ProfileColumn
from dagster_project.ingest.read import Cells
from dagster_project.schema import INT, QUARANTINE, TEXT, TIME, Column, Table

ISO = "%Y-%m-%d %H:%M:%S"
EARLIEST, LATEST = np.datetime64("2000-01-01", "us"), np.datetime64("2100-01-01", "us")
INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd]")
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")
# a time that cannot lie before another: an answer follows its request
TIME_ORDER = {"responded_at": "called_at", "replied_at": "submitted_at"}
# kinds of workbook cells that a column cannot take (letters of workbook_child.py)
TEXT_KINDS = {
    b"f": Fault.DIGITS_LOST, b"l": Fault.DIGITS_LOST, b"z": Fault.ZEROS_LOST, b"d": Fault.DATE_IN_TEXT,
    b"t": Fault.DATE_IN_TEXT, b"x": Fault.ERROR_CELL, b"q": Fault.FORMULA_WITHOUT_VALUE,
}  # fmt: skip
NUMBER_KINDS = {
    b"d": Fault.BAD_NUMBER, b"t": Fault.BAD_NUMBER, b"x": Fault.ERROR_CELL, b"q": Fault.FORMULA_WITHOUT_VALUE,
}  # fmt: skip
TIME_KINDS = {
    b"n": Fault.SERIAL_TIME, b"f": Fault.SERIAL_TIME, b"l": Fault.SERIAL_TIME, b"z": Fault.SERIAL_TIME,
    b"x": Fault.ERROR_CELL, b"q": Fault.FORMULA_WITHOUT_VALUE,
}  # fmt: skip
# For Arrow: a text without any of this is what it seems.
DOUBTFUL = f"{personal.UNPLAIN}|{personal.HINT.pattern}"
N_TOLD = 10
Detail = str | tuple[str, str]
Verdict = tuple[str | int | None, Fault | None, Detail]


@dataclass(frozen=True)
class Known:
    """Codes that a row may refer to: {"line": ..., "scenario": ...}."""

    codes: dict[str, frozenset[str]]


UNKNOWN = {"line": Fault.UNKNOWN_LINE, "scenario": Fault.UNKNOWN_SCENARIO}


class Judged:
    """The rows of one sheet: typed columns by bronze name, and faults by row position."""

    def __init__(self, cells: Cells, profile: Profile):
        self.cells, self.profile = cells, profile
        self.by_field = {each.column.name: each for each in profile.columns}
        self.values: dict[str, pa.Array] = {}
        self.faulty: dict[str, np.ndarray] = {}
        self.faults: dict[int, list[Found]] = {}
        self.n_faults = 0

    def hold(self, name: str, where: np.ndarray, fault: Fault, detail: Detail | Callable[[int], Detail] = "") -> None:
        """Record a fault of column `name` in the rows that the mask `where` marks.

        Raises FileRejected where the file has more than MAX_FAULTS.
        """
        positions = np.flatnonzero(where).tolist()
        header = self.by_field[name].header
        self.n_faults += len(positions)
        is_too_much = self.n_faults > MAX_FAULTS
        for position in positions[:N_TOLD] if is_too_much else positions:
            place = Place(self.cells.file, self.cells.sheet, int(self.cells.rows[position]), header)
            value = told_of(self.by_field[name], self.cells.texts[header][position].as_py())
            told = detail(position) if callable(detail) else detail
            self.faults.setdefault(position, []).append(Found(fault, place, value, told))
        if is_too_much:
            first = [found for position in sorted(self.faults)[:N_TOLD] for found in self.faults[position]]
            too_much = Found(Fault.TOO_MANY_FAULTS, Place(self.cells.file, self.cells.sheet), detail=f"> {MAX_FAULTS}")
            raise FileRejected([too_much, *first])
        if positions:
            self.faulty[name] = self.faulty[name] | where

    def given(self, name: str) -> np.ndarray:
        """Mask of the rows in which the column has a value."""
        return _mask(self.values[name].is_valid())

    def kept(self) -> np.ndarray:
        """Mask of the rows without a fault."""
        keep = np.ones(len(self.cells.rows), dtype=bool)
        keep[list(self.faults)] = False
        return keep


def judge(cells: Cells, profile: Profile, known: Known, key: bytes | None = None) -> Judged:
    """Type every cell of a sheet and check every row by itself (keys: `hold_duplicates`).

    `key`: what the profile's keyed columns are keyed with; None where it has none.
    """
    judged = Judged(cells, profile)
    for column in profile.table.columns:
        judged.faulty[column.name] = np.zeros(len(cells.rows), dtype=bool)
        if column.name not in judged.by_field:
            judged.values[column.name] = pa.nulls(len(cells.rows), column.type)
        elif column.type == TIME:
            _judge_times(judged, judged.by_field[column.name])
        else:
            _judge_words(judged, judged.by_field[column.name], known)
    for column in profile.table.columns:
        if column.name in judged.by_field:
            _judge_presence(judged, column)
            _judge_order(judged, column)
    for each in profile.columns:
        if each.is_keyed:
            assert key is not None
            judged.values[each.column.name] = personal.keyed(judged.values[each.column.name], key)
    return judged


def told_of(each: ProfileColumn, text: str | None) -> str | None:
    """What messages and quarantine may hold of a cell; None of a keyed one."""
    if text is None or each.is_keyed:
        return None
    hides_name = each.column.is_person and personal.is_name(text)
    return personal.masked_name(text) if hides_name else personal.masked(text)


def _mask(values: pa.Array) -> np.ndarray:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)


def _hold_kinds(judged: Judged, each: ProfileColumn, refused: dict[bytes, Fault], spared: np.ndarray) -> None:
    """Faults of workbook cells whose kind the column cannot take."""
    kinds = judged.cells.kinds[each.header]
    if kinds is None:
        return
    for kind, fault in refused.items():
        judged.hold(each.column.name, (kinds == kind) & ~spared, fault)


# --- texts and numbers: every distinct word is judged once --------------------------------------


def _judge_words(judged: Judged, each: ProfileColumn, known: Known) -> None:
    column = each.column
    texts = judged.cells.texts[each.header]
    no_rows = np.zeros(len(texts), dtype=bool)
    _hold_kinds(judged, each, NUMBER_KINDS if column.type == INT else TEXT_KINDS, no_rows)
    doubtful = _doubtful(texts.dictionary, each, judged.profile)
    words = texts.dictionary.take(pa.array(doubtful)).to_pylist()
    verdicts = {
        number: _verdict(word, each, judged.profile, known) for number, word in zip(doubtful, words, strict=True)
    }
    judged.values[column.name] = _typed(texts.dictionary, column, verdicts).take(texts.indices)
    faulty = {number: verdict[1] for number, verdict in verdicts.items() if verdict[1] is not None}
    if not faulty:
        return
    indices = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    already = judged.faulty[column.name]
    for each_fault in dict.fromkeys(faulty.values()):
        numbers = [number for number, fault in faulty.items() if fault is each_fault]
        where = np.isin(indices, numbers) & ~already
        judged.hold(column.name, where, each_fault, lambda position: verdicts[indices[position]][2])


def _doubtful(words: pa.Array, each: ProfileColumn, profile: Profile) -> NDArray[np.int64]:
    """Numbers of the words that need a verdict of their own; the others are values as they stand.

    Of free texts, such as identifiers, hardly any does.
    """
    column = each.column
    if each.values is not None or column.type != TEXT or column.references is not None or column.is_person:
        return np.arange(len(words))
    is_skip = pc.is_in(words, value_set=pa.array(profile.skip_codes, TEXT))
    return np.flatnonzero(_mask(pc.or_(is_skip, pc.match_substring_regex(words, pattern=DOUBTFUL))))


def _typed(words: pa.Array, column: Column, verdicts: dict[int, Verdict]) -> pa.Array:
    """The value of every word of a column: that of its verdict, or the word itself."""
    values = pa.array([value for value, _, _ in verdicts.values()], column.type)
    if len(values) == len(words) or not len(values):
        return values if len(values) else words.cast(column.type)
    is_told = np.zeros(len(words), dtype=bool)
    is_told[list(verdicts)] = True
    return pc.replace_with_mask(words, pa.array(is_told), values)


def _verdict(word: str, each: ProfileColumn, profile: Profile, known: Known) -> Verdict:
    """(typed value, fault, detail) of one word of a column."""
    column = each.column
    if each.values is not None:
        if word in each.values:
            return each.values[word], None, ""
        if word in profile.skip_codes:
            code = profile.skip_codes[word]
            if code is None or code in column.codes:
                return code, None, ""
        return None, Fault.NOT_IN_CODES, " | ".join(each.values)
    if word in profile.skip_codes:
        return None, None, ""
    if column.type == INT:
        return _number(word, column)
    character = unusable_character(word)
    if column.is_identifier:
        # invisible characters are looked for first: some have a compatibility form that can be seen
        word = unicodedata.normalize("NFKC", word)
        if not each.is_keyed:
            character = character or next((letter for letter in word if not _is_of_identifiers(letter)), None)
    if character is not None:
        return None, Fault.CONTROL_CHARACTER, code_point(character)
    if column.references is not None:
        return (word, None, "") if word in known.codes[column.references] else (None, UNKNOWN[column.references], "")
    if not each.is_keyed and _is_personal(word, each, profile, known):
        return None, Fault.PERSONAL_DATA, ""
    return word, None, ""


def _is_of_identifiers(character: str) -> bool:
    """Whether an identifier in compatibility form (NFKC) may have the character: no two that look alike differ.

    Allowed are ASCII, letters of every script, pictures, and punctuation but dashes and low lines. Digits, signs of
    arithmetic and spaces are ASCII's.
    """
    if character.isascii():
        return character.isprintable()
    category = unicodedata.category(character)
    return category[0] == "L" or category in ("Po", "Ps", "Pe", "Pi", "Pf", "So")


def _is_personal(word: str, each: ProfileColumn, profile: Profile, known: Known) -> bool:
    lines = tuple(known.codes["line"])
    is_key = each.column.name in (profile.table.key, "probe_id")
    prefixes = personal.Prefixes(of_keys=lines) if is_key else personal.Prefixes(of_tickets=lines)
    return personal.found_in(word, prefixes) or (each.column.is_person and personal.is_name(word))


def _number(word: str, column: Column) -> tuple[int | None, Fault | None, str]:
    if not WHOLE_NUMBER.fullmatch(word):
        return None, Fault.BAD_NUMBER, ""
    number = int(word)
    low, high = column.minimum, column.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        return None, Fault.OUT_OF_RANGE, f"{'' if low is None else low}..{'' if high is None else high}"
    return number, None, ""


# --- times -------------------------------------------------------------------------------------


def _judge_times(judged: Judged, each: ProfileColumn) -> None:
    name, profile = each.column.name, judged.profile
    texts, kinds = judged.cells.texts[each.header], judged.cells.kinds[each.header]
    words, indices = texts.dictionary, texts.indices
    skipped = _mask(pc.is_in(words, value_set=pa.array(profile.skip_codes, TEXT)).take(indices))
    _hold_kinds(judged, each, TIME_KINDS, skipped)
    values = parse_times(words, profile.time_formats).take(indices)
    if kinds is not None and (kinds == b"d").any():
        values = pc.if_else(pa.array(kinds == b"d"), parse_times(words, (ISO,)).take(indices), values)
    given = _mask(texts.is_valid()) & ~skipped & ~judged.faulty[name]
    parsed = _mask(values.is_valid())
    judged.hold(name, given & ~parsed, Fault.BAD_TIME, " | ".join(profile.time_formats))
    times = values.to_numpy(zero_copy_only=False)
    judged.hold(name, given & parsed & ~((times >= EARLIEST) & (times < LATEST)), Fault.TIME_IMPLAUSIBLE)
    judged.values[name] = pc.if_else(pa.array(given), values, pa.scalar(None, TIME))


def parse_times(texts: pa.Array, formats: tuple[str, ...]) -> pa.Array:
    """Timestamps of texts in one of the formats; null where none fits or there is no such day or time.

    Texts whose numbers have all their digits are read at once; where parts of a format touch, a text
    may fit two of them, and each is asked in turn.
    """
    result = pa.nulls(len(texts), TIME)
    if all(all(_literals(each)[1:-1]) for each in formats):
        result = pc.coalesce(result, *(padded_times(texts, each) for each in formats))
        texts = pc.if_else(result.is_valid(), pa.scalar(None, TEXT), texts)
    return result if texts.null_count == len(texts) else pc.coalesce(result, _any_times(texts, formats))


def padded_times(texts: pa.Array, time_format: str) -> pa.Array:
    """Timestamps of the texts in which every part has all its digits; null for any other text."""
    parts = re.findall(r"%([YmdHMS])", time_format)
    literals = [literal.encode() for literal in _literals(time_format)]
    starts, start = [], len(literals[0])
    for part, literal in zip(parts, literals[1:], strict=True):
        starts.append(start)
        start += DIGITS[part] + len(literal)
    rows = np.flatnonzero(_mask(pc.equal(pc.binary_length(texts), start)))
    result = np.full(len(texts), np.datetime64("NaT", "us"))
    characters = byte_view(texts.take(pa.array(rows))).reshape(len(rows), start)
    is_number = np.zeros(start, dtype=bool)
    numbers = {part: np.zeros(len(rows), np.int64) for part in COMPONENTS}
    for part, place in zip(parts, starts, strict=True):
        is_number[place : place + DIGITS[part]] = True
        for number in range(place, place + DIGITS[part]):
            numbers[part] = numbers[part] * 10 + characters[:, number] - ord("0")
    written = b"".join(
        literal + b"0" * DIGITS[part] for literal, part in zip(literals, [*parts, None], strict=True) if part
    ) + literals[-1]  # fmt: skip
    fits = ((characters >= ord("0")) & (characters <= ord("9")) | ~is_number).all(axis=1)
    fits &= (characters[:, ~is_number] == np.frombuffer(written, np.uint8)[~is_number]).all(axis=1)
    fits &= (numbers["m"] >= 1) & (numbers["m"] <= 12) & (numbers["d"] >= 1)
    fits &= (numbers["H"] < 24) & (numbers["M"] < 60) & (numbers["S"] < 60)
    rows, numbers = rows[fits], {part: each[fits] for part, each in numbers.items()}
    months = ((numbers["Y"] - 1970) * 12 + numbers["m"] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + numbers["d"] - 1
    exists = days.astype("datetime64[M]") == months
    seconds = numbers["H"] * 3600 + numbers["M"] * 60 + numbers["S"]
    result[rows[exists]] = (days.astype("datetime64[s]") + seconds)[exists]
    return pa.array(result, TIME)


def _any_times(texts: pa.Array, formats: tuple[str, ...]) -> pa.Array:
    """The reference of `parse_times`.

    Arrow's parser turns 30 February into 2 March, so every part is compared with what was written.
    """
    result = pa.nulls(len(texts), TIME)
    for each in formats:
        parts = pc.extract_regex(texts, pattern=_pattern(each))
        fits = pc.if_else(parts.is_valid(), texts, pa.scalar(None, TEXT))
        parsed = pc.strptime(fits, format=each, unit="us", error_is_null=True)
        for part, component in COMPONENTS.items():
            if f"%{part}" in each:
                written = pc.cast(pc.struct_field(parts, part), pa.int64())
                parsed = pc.if_else(pc.equal(written, component(parsed)), parsed, pa.scalar(None, TIME))
        result = pc.coalesce(result, parsed)
    return result


COMPONENTS = {
    "Y": pc.year, "m": pc.month, "d": pc.day, "H": pc.hour, "M": pc.minute, "S": pc.second,
}  # fmt: skip
DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}


def _literals(time_format: str) -> list[str]:
    """What stands before, between and after the parts."""
    return re.split(r"%[YmdHMS]", time_format)


def _pattern(time_format: str) -> str:
    """A regular expression with one named group per part: four digits for the year, one or two else."""
    pieces = re.split(r"%([YmdHMS])", time_format)
    literals = [re.escape(piece) for piece in pieces[::2]]
    groups = [f"(?P<{part}>[0-9]{{{'4' if part == 'Y' else '1,2'}}})" for part in pieces[1::2]]
    joined = literals[0] + "".join(group + literal for group, literal in zip(groups, literals[1:], strict=True))
    return f"^{joined}$"


# --- a row's cells against each other ----------------------------------------------------------


def _judge_presence(judged: Judged, column: Column) -> None:
    """Required, required where another column says so, and given although that column says otherwise."""
    name = column.name
    empty, faulty = ~judged.given(name), judged.faulty[name].copy()
    if column.required:
        judged.hold(name, empty & ~faulty, Fault.MISSING)
    for other, code in column.required_when.items():
        applies = _mask(pc.equal(judged.values[other], code))
        is_open = judged.faulty[other]
        words = _in_vendors_words(judged.by_field[other], code)
        judged.hold(name, applies & empty & ~faulty, Fault.REQUIRED_WHEN, words)
        judged.hold(name, ~applies & ~is_open & ~empty & ~faulty, Fault.CONTRADICTION, words)


def _in_vendors_words(each: ProfileColumn, code: str) -> str:
    words = [word for word, meant in (each.values or {}).items() if meant == code]
    return f"「{each.header}」=「{'/'.join(words) or code}」"


def _judge_order(judged: Judged, column: Column) -> None:
    earlier = TIME_ORDER.get(column.name)
    if earlier is None or earlier not in judged.by_field:
        return
    later_time = judged.values[column.name].to_numpy(zero_copy_only=False)
    earlier_time = judged.values[earlier].to_numpy(zero_copy_only=False)
    in_order = later_time >= earlier_time  # never, where either is NaT
    doubtful = judged.faulty[column.name] | judged.faulty[earlier]
    wrong = judged.given(column.name) & ~in_order & ~doubtful
    judged.hold(column.name, wrong, Fault.TIME_ORDER, judged.by_field[earlier].header)


def hold_duplicates(
    judged: Judged, table: Table, repeated: pa.Array, places: Callable[[pa.Array], dict[str, list[str]]]
) -> None:
    """Every row whose key another row of the wave bears too: none of them can be trusted.

    `repeated`: the keys that stand more than once; `places`: where such keys stand.
    """
    keys = judged.values[table.key]
    where = _mask(pc.is_in(keys, value_set=repeated)) & judged.given(table.key)
    positions = np.flatnonzero(where)
    if judged.n_faults + len(positions) > MAX_FAULTS:
        positions = positions[:N_TOLD]
    told = places(keys.take(pa.array(positions)))
    judged.hold(table.key, where, Fault.DUPLICATE_KEY, lambda position: "; ".join(told[keys[position].as_py()]))


# --- the two ways out --------------------------------------------------------------------------


def bronze_rows(judged: Judged, table: Table) -> pa.Table:
    """The rows without a fault, as they stand in the sheet."""
    cells = judged.cells
    n_rows = len(cells.rows)
    places = [pa.repeat(pa.scalar(each, TEXT), n_rows) for each in (cells.file, cells.sheet)]
    columns = [judged.values[column.name] for column in table.columns] + [*places, pa.array(cells.rows, INT)]
    rows = pa.Table.from_arrays(columns, schema=table.schema())
    return rows.filter(pa.array(judged.kept())) if judged.faults else rows


def quarantine_rows(judged: Judged, table: Table) -> pa.Table:
    """The rows with a fault, with every reason. `raw` holds what may be told of the mapped columns (`told_of`)."""
    return pa.Table.from_pylist(_quarantined(judged, table), QUARANTINE)


def all_faults(judged: Judged) -> dict[int, list[Found]]:
    """Faults by row number as Excel shows it, ragged rows included."""
    cells = judged.cells
    by_row = {int(cells.rows[position]): found for position, found in judged.faults.items()}
    for row, n_cells in cells.ragged.items():
        detail = (f"有 {n_cells} 格,应为 {cells.n_cells} 格", f"{n_cells}, not {cells.n_cells}")
        by_row[row] = [Found(Fault.RAGGED_ROW, Place(cells.file, cells.sheet, row), detail=detail)]
    return dict(sorted(by_row.items()))


def _quarantined(judged: Judged, table: Table) -> list[dict[str, str | int | None]]:
    cells = judged.cells
    position_of = {int(row): position for position, row in enumerate(cells.rows)} if judged.faults else {}
    line_header = next(each.header for each in judged.profile.columns if each.column.references == "line")
    result = []
    for row, found in all_faults(judged).items():
        # the cells of a ragged row may stand under the wrong header: none of them is kept
        position = position_of.get(row)
        raw = {} if position is None else {
            each.header: told_of(each, cells.texts[each.header][position].as_py()) or ""
            for each in judged.profile.columns
        }  # fmt: skip
        result.append(
            {
                "table_name": table.name, "source_file": cells.file, "source_sheet": cells.sheet, "source_row": row,
                "line_id": raw.get(line_header) or None,
                "codes": "|".join(dict.fromkeys(each.fault.code for each in found)),
                "messages": "\n".join(each.text() for each in found),
                "raw": json.dumps(raw, ensure_ascii=False),
            }
        )  # fmt: skip
    return result
