"""A wave as large as one likes: the demonstration wave's export rows, repeated under new unit ids.

Belongs here: the raw folder of such a wave (vendors' files, profile, frame, wave.yml). Does not belong
here: what a row says. That is the simulated wave's, so every mean, class and rank of the large wave is
that of the small one, and a scoring that is wrong at scale shows.

A table's files are texts with holes where the copy's number goes into the ids of units. So a copy costs
one join, memory is that of one copy, and the same size gives the same bytes. Equal rows beside one another
would pack into nothing and be read in no time: the number stands before the last part of an id, so that the
copies of a line follow one another in the order of ids, and the times of a row move by some seconds
together, which changes no difference between them.

`python -m benchmarks.scale_data RAW --observations 1000000 [--waves 5] [--source RAW]`
"""

import argparse
import csv
import io
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from benchmarks.vectorised_script import read_cells, text
from dagster_project.paths import Paths, paths
from dagster_project.schema import EXPORT_TABLES, TIME

BASE = "2022"  # it has no baseline: nothing outside the large wave takes part
# Observations that the demonstration wave's rows make; a test holds it against the models.
BASE_OBSERVATIONS, BASE_LINES = 109_145, 349
FIRST_WAVE = 2101  # ids of the large waves: no year that anybody measures
MAX_FILE_BYTES = 24 << 20  # the reader takes CSV up to 32 MB
HOLE = "\0"
NUMBERED = ("attempt_id", "probe_id", "ticket_no", "recording_ref")  # what no two rows share
SHIFTS, SHIFT_S = 128, 29  # at most an hour: nobody calls that late
FRAME = "lines_scale"
# A sample of the frame has its own mean and shares; with all lines these are the demonstration wave's.
SAMPLE_BOUNDS = {"min_hot_share_pct": 0.0, "max_dead_share_pct": 100.0, "min_national_mean": 0.0}


@dataclass(frozen=True)
class Size:
    """How the base wave becomes one of about so many observations: all its lines `copies` times, or some once."""

    lines: int
    copies: int

    @classmethod
    def of(cls, observations: int) -> "Size":
        if observations >= BASE_OBSERVATIONS:
            return cls(BASE_LINES, round(observations / BASE_OBSERVATIONS))
        return cls(max(1, round(observations / BASE_OBSERVATIONS * BASE_LINES)), 1)


@dataclass(frozen=True)
class Export:
    """One export of the base wave: rows of text, and the fields that its columns fill (None: left behind).

    `profile`: the name of that by which a CSV of these rows is read. `skipped`: what stands where nothing does.
    """

    table: str
    profile: str
    encoding: str
    time_formats: tuple[str, ...]
    skipped: frozenset[str]
    header: list[str]
    fields: list[str | None]
    rows: list[list[str]]

    def pieces(self, shift: timedelta) -> list[bytes]:
        """The rows as CSV with their times moved, cut where a copy's number goes."""
        times = {column.name for column in EXPORT_TABLES[self.table].columns if column.type == TIME}
        change = {
            place: (lambda cell: self._moved(cell, shift)) if field in times else _holed
            for place, field in enumerate(self.fields)
            if field in times or field in NUMBERED
        }
        rows = [
            [change[place](cell) if place in change and cell not in self.skipped else cell
             for place, cell in enumerate(row)]
            for row in self.rows
        ]  # fmt: skip
        return _encoded(rows, self.encoding.removesuffix("-sig")).split(HOLE.encode())

    def _moved(self, cell: str, shift: timedelta) -> str:
        # one format writes what it reads; another would not read it
        for each in self.time_formats:
            try:
                return (datetime.strptime(cell, each) + shift).strftime(each)
            except ValueError:
                continue
        raise ValueError(f"{self.table}: not a time of the profile's: {cell!r}")


def _holed(cell: str) -> str:
    head, dash, last = cell.rpartition("-")
    return f"{head}{HOLE}-{last}" if dash else f"{cell}{HOLE}"


def write_waves(source: Paths, raw: Path, size: Size, waves: Sequence[str]) -> None:
    """Make `raw` a raw folder with these large waves, which hold the same rows; others in it stay.

    `source`: an installation whose BASE wave has its exports.
    """
    there = Paths(raw=raw, home=raw)
    for folder in (source.profile("any").parent, source.method("any").parent, source.raw / "narratives"):
        if folder.exists():
            shutil.copytree(folder, raw / folder.name, dirs_exist_ok=True)
    lines = _write_frame(source, there, size.lines)
    declared = yaml.safe_load(source.wave_yml(BASE).read_text(encoding="utf-8"))
    exports = [_read(source, there, export, lines) for export in declared["exports"]]
    for wave in waves:
        shutil.rmtree(there.wave_raw(wave), ignore_errors=True)
        there.wave_raw(wave).mkdir(parents=True)
        _write_declaration(there, wave, declared, exports, size)
    for export in exports:
        _write_files([there.wave_raw(wave) for wave in waves], export, size.copies)


def _write_frame(source: Paths, there: Paths, n_lines: int) -> set[str]:
    """Every so manieth line of the base's frame, so that provinces and tiers are all there; returns their ids."""
    declared = yaml.safe_load(source.wave_yml(BASE).read_text(encoding="utf-8"))
    with source.frame(declared["frame"]).open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    chosen = [rows[number * len(rows) // n_lines] for number in range(n_lines)]
    there.frame(FRAME).parent.mkdir(parents=True, exist_ok=True)
    with there.frame(FRAME).open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows([header, *chosen])
    return {row[header.index("line_id")] for row in chosen}


def _read(source: Paths, there: Paths, export: dict[str, str], lines: set[str]) -> Export:
    """The base's rows of `lines`. A workbook gets a profile for CSV."""
    profile = yaml.safe_load(source.profile(export["profile"]).read_text(encoding="utf-8"))
    files = [read_cells(path, profile["file"]) for path in sorted(source.wave_raw(BASE).glob(export["glob"]))]
    header = [text(cell) for cell in files[0][0]]
    fields = [profile["columns"].get(name, {}).get("field") for name in header]
    line = fields.index("line_id")
    rows = [[text(cell) for cell in row] for file in files for row in file[1:]]
    if profile["file"]["type"] != "csv":
        profile = _as_csv(there, profile)
    return Export(
        table=export["table"],
        profile=profile["profile"],
        encoding=profile["file"]["encoding"],
        time_formats=tuple(profile["time_formats"]),
        skipped=frozenset({"", *profile["skip_codes"]}),
        header=header,
        fields=fields,
        rows=[row for row in rows if row[line] in lines],
    )


def _encoded(rows: Iterable[Sequence[str]], encoding: str) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode(encoding)


def _as_csv(there: Paths, profile: dict[str, Any]) -> dict[str, Any]:
    """The same columns in a CSV: a workbook holds a million rows at most, and a large wave has more."""
    name = f"{profile['profile']}_csv"
    file = {"type": "csv", "encoding": "utf-8", "delimiter": ",", "quote": '"', "header_row": 1}
    # a cell that was left empty in the workbook is an empty text here
    written = {**profile, "profile": name, "file": file, "skip_codes": {"": None, **profile["skip_codes"]}}
    there.profile(name).write_text(yaml.safe_dump(written, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return written


def _write_files(folders: list[Path], export: Export, copies: int) -> None:
    """Copies 1 to `copies` into each folder, in files as large as the reader takes them; those moved alike together."""
    header = _encoded([export.header], export.encoding)
    numbers = range(1, copies + 1)
    written, n_files = MAX_FILE_BYTES, 0
    with ExitStack() as open_files:
        for shift in range(min(SHIFTS, copies)):
            pieces = export.pieces(timedelta(seconds=shift * SHIFT_S))
            for number in numbers[shift::SHIFTS]:
                content = f"-{number:05}".encode("ascii").join(pieces)
                if written + len(content) > MAX_FILE_BYTES:
                    open_files.close()
                    n_files += 1
                    name = f"{export.table}_{n_files:04}.csv"
                    handles = [open_files.enter_context((folder / name).open("wb")) for folder in folders]
                    content, written = header + content, 0
                written += len(content)
                for handle in handles:
                    handle.write(content)


def _write_declaration(there: Paths, wave: str, declared: dict[str, Any], exports: list[Export], size: Size) -> None:
    reason = "a sample of the frame, for a benchmark"
    bounds = {name: {"value": value, "reason": reason} for name, value in SAMPLE_BOUNDS.items()}
    content = {
        **{name: declared[name] for name in ("label", "kind", "synthetic", "field_period", "method", "quarantine")},
        "wave": wave,
        "frame": FRAME,
        "plan": {name: number * size.copies for name, number in declared["plan"].items()},
        "exports": [{"table": each.table, "glob": f"{each.table}_*.csv", "profile": each.profile} for each in exports],
        **({"thresholds": bounds} if size.lines < BASE_LINES else {}),
    }
    there.wave_yml(wave).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_data")
    parser.add_argument("raw", type=Path, help="raw folder to make")
    parser.add_argument("--observations", type=int, required=True)
    parser.add_argument("--waves", type=int, default=1)
    parser.add_argument("--source", type=Path, default=paths().raw, help="raw folder with the demonstration's exports")
    options = parser.parse_args()
    source = Paths(raw=options.source, home=paths().home)
    waves = [str(FIRST_WAVE + number) for number in range(options.waves)]
    write_waves(source, options.raw, Size.of(options.observations), waves)


if __name__ == "__main__":
    main()
