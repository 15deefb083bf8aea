"""A wave's rows between their files and bronze: in memory while they are few, in a folder of their own beyond.

Belongs here: how much stays in memory, sorting and merging rows, keys that stand twice. Does not belong
here: the verdict on a row (`rows.py`), what is written where (`bronze.py`). Where rows have waited
changes nothing of what comes out.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dagster_project.database import connect
from dagster_project.ingest.faults import Place
from dagster_project.ingest.rows import Known
from dagster_project.schema import PROVENANCE, TEXT, Table

# What waits in memory of one table's rows, of its keys and of quarantine: the demonstration's is a tenth of it.
WAITING_BYTES = 16 << 20
# Rows of all runs together that are in memory while they are merged, and those that a file gives at a time.
MERGED_ROWS = 300_000
BATCH_ROWS = 2048
# What DuckDB may take to find the keys that stand twice.
KEYS_MEMORY = "256MB"
N_PLACES = 4
WRITTEN_ROWS = 20_000
NONE = pa.nulls(0, TEXT)  # pa.array would import pandas


# --- rows ------------------------------------------------------------------------------------------


class Runs:
    """Rows of one table on their way to bronze: sorted runs, all but the last of them in files."""

    def __init__(self, table: Table, known: Known, folder: Path):
        self._table, self._folder = table, folder
        # a code's number is its place in the code list; that of a line, its place in the table's order
        self._words = {
            column.name: pa.array(sorted(known.codes[column.references]) if column.references else column.codes, TEXT)
            for column in table.columns
            if column.codes or column.references
        }
        self._waiting: list[pa.Table] = []
        self._files: list[Path] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows of the table, in any order."""
        self._waiting.append(self._encoded(rows))
        if sum(each.nbytes for each in self._waiting) > WAITING_BYTES:
            self._files.append(self._folder / f"{self._table.name}-{len(self._files)}.arrow")
            _write(self._files[-1], self._sorted(self._waiting))
            self._waiting = []

    def merged(self, without: pa.Array, instead: pa.Table) -> Iterator[pa.Table]:
        """All rows by the table's order, some at a time: `instead` in the place of those with a key of `without`."""
        runs = [_Run(_batches(path), self._table.key, without) for path in self._files]
        if self._waiting:
            runs.append(_Run(iter([self._sorted(self._waiting)]), self._table.key, without))
            self._waiting = []
        runs.append(_Run(iter([self._sorted([self._encoded(instead)])])))
        n_rows = max(BATCH_ROWS, MERGED_ROWS // len(runs))
        while True:
            for run in runs:
                run.fill(n_rows)
            runs = [run for run in runs if run.rows.num_rows]
            if not runs:
                return
            # what follows the rows at hand of a run is not known: nothing that may come after it can go
            ends = [self._end(run.rows) for run in runs if not run.is_last]
            counts = [self._count_until(run.rows, min(ends)) if ends else run.rows.num_rows for run in runs]
            parts = [run.take(count) for run, count in zip(runs, counts, strict=True) if count]
            rows = self._sorted(parts) if len(parts) > 1 else parts[0]
            for start in range(0, rows.num_rows, WRITTEN_ROWS):
                yield rows.slice(start, WRITTEN_ROWS).cast(self._table.schema())

    def _encoded(self, rows: pa.Table) -> pa.Table:
        """The rows with numbers for codes and files: a quarter of the memory, and sorted in a tenth of the time."""
        columns = []
        for field in self._table.schema():
            column = rows[field.name].combine_chunks()
            if field.name in self._words:
                words = self._words[field.name]
                column = pa.DictionaryArray.from_arrays(pc.index_in(column, value_set=words), words)
            elif field in PROVENANCE and field.type == TEXT:
                column = column.dictionary_encode()
            columns.append(column)
        return pa.Table.from_arrays(columns, rows.column_names)

    def _sorted(self, tables: list[pa.Table]) -> pa.Table:
        whole = pa.concat_tables(tables).combine_chunks()
        line, key = self._table.order
        keys = pa.table({line: _numbers(whole, line), key: whole[key]})
        return whole.take(pc.sort_indices(keys, sort_keys=[(line, "ascending"), (key, "ascending")]))

    def _end(self, rows: pa.Table) -> tuple[int, str]:
        line, key = self._table.order
        return _numbers(rows, line)[-1].as_py(), rows[key][-1].as_py()

    def _count_until(self, rows: pa.Table, end: tuple[int, str]) -> int:
        """How many of the sorted rows do not come after that line and key."""
        line, key = self._table.order
        numbers, keys = _numbers(rows, line).to_numpy(), rows[key]
        first, last = int(np.searchsorted(numbers, end[0])), int(np.searchsorted(numbers, end[0] + 1))
        return bisect_right(range(last), end[1], lo=first, key=lambda row: keys[row].as_py())


class _Run:
    """Sorted rows, those of keys in `without` left out, some of them at hand. `is_last`: no others follow."""

    def __init__(self, batches: Iterator[pa.Table], key: str = "", without: pa.Array = NONE):
        self._batches, self._key, self._without = batches, key, without
        self.rows = pa.table({})
        self.is_last = False

    def fill(self, n_rows: int) -> None:
        """Have about that many rows at hand, or all that there are."""
        while not self.is_last and self.rows.num_rows < n_rows:
            parts = list(islice(self._batches, 1 + (n_rows - self.rows.num_rows) // BATCH_ROWS))
            self.is_last = not parts
            if len(self._without):
                parts = [self._left(pa.concat_tables(parts))] if parts else []
            parts = [part for part in (self.rows, *parts) if part.num_rows]
            if parts:
                self.rows = pa.concat_tables(parts).combine_chunks()

    def _left(self, rows: pa.Table) -> pa.Table:
        return rows.filter(pc.invert(pc.is_in(rows[self._key], value_set=self._without)))

    def take(self, count: int) -> pa.Table:
        taken, self.rows = self.rows.slice(0, count), self.rows.slice(count)
        return taken


def _numbers(rows: pa.Table, column: str) -> pa.Array:
    return rows[column].combine_chunks().indices


# --- keys ------------------------------------------------------------------------------------------


class Keys:
    """Every key of a table's rows, faulty ones too, with its file and row, in the order of the files."""

    def __init__(self, table: Table, folder: Path):
        self._table, self._folder = table, folder
        self._sources: list[tuple[str, str | None]] = []
        self._waiting: list[pa.Table] = []
        self._files: list[Path] = []

    def add(self, keys: pa.Array, rows: np.ndarray, file: str, sheet: str | None) -> None:
        source = pa.repeat(pa.scalar(len(self._sources), pa.int32()), len(rows))
        self._sources.append((file, sheet))
        added = pa.table({"key": keys, "source": source, "row": pa.array(rows, pa.int64())})
        self._waiting.append(added.filter(added["key"].is_valid()))
        if sum(each.nbytes for each in self._waiting) > WAITING_BYTES:
            self._write()

    def repeated(self) -> pa.Array:
        """The keys that stand more than once, sorted."""
        if self._files:
            if self._waiting:
                self._write()
            with connect(self._folder, folders=[self._folder], memory_limit=KEYS_MEMORY) as connection:
                # ignored: the names of files are ours
                found: pa.Table = connection.sql(
                    f"select key from read_parquet('{self._table.name}-keys-*.parquet') "  # noqa: S608
                    "group by key having count(*) > 1 order by key"
                ).to_arrow_table()
                return found["key"].combine_chunks().cast(TEXT)
        keys = pa.concat_tables(self._waiting)["key"] if self._waiting else NONE
        counts = pc.value_counts(keys)
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        return repeated.take(pc.sort_indices(repeated))

    def files_with(self, keys: pa.Array) -> set[str]:
        """The files in which any of the keys stands."""
        numbers = {number for found in self._found(keys) for number in pc.unique(found["source"]).to_pylist()}
        return {self._sources[number][0] for number in numbers}

    def places(self, keys: pa.Array) -> dict[str, list[str]]:
        """{key: where it stands}, the first places only."""
        places: dict[str, list[str]] = {}
        for found in self._found(keys):
            for key, source, row in zip(*(found[name].to_pylist() for name in found.column_names), strict=True):
                told = places.setdefault(key, [])
                if len(told) < N_PLACES:
                    file, sheet = self._sources[source]
                    told.append(Place(file, sheet, row).text())
        return places

    def _found(self, keys: pa.Array) -> Iterator[pa.Table]:
        for part in (*map(pq.ParquetFile, self._files), *self._waiting):
            batches = part.iter_batches() if isinstance(part, pq.ParquetFile) else [part]
            for each in batches:
                yield pa.table(each).filter(pc.is_in(each["key"], value_set=keys))

    def _write(self) -> None:
        self._files.append(self._folder / f"{self._table.name}-keys-{len(self._files)}.parquet")
        self._folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(self._waiting), self._files[-1], compression="lz4")
        self._waiting = []


# --- tables of single files ------------------------------------------------------------------------


class Pieces:
    """Tables of one schema by number; the one that is put last under a number counts."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._pieces: dict[int, pa.Table | Path] = {}

    def put(self, number: int, rows: pa.Table) -> None:
        self._pieces[number] = rows
        held = {each: piece for each, piece in self._pieces.items() if isinstance(piece, pa.Table) and piece.num_rows}
        if sum(piece.nbytes for piece in held.values()) > WAITING_BYTES:
            for each, piece in held.items():
                self._pieces[each] = self._folder / f"piece-{each}.arrow"
                _write(self._folder / f"piece-{each}.arrow", piece)

    def tables(self, numbers: Iterable[int]) -> Iterator[pa.Table]:
        """The rows under these numbers, some at a time."""
        for number in numbers:
            piece = self._pieces[number]
            yield from [piece] if isinstance(piece, pa.Table) else _batches(piece)


# --- files -----------------------------------------------------------------------------------------


def _write(path: Path, rows: pa.Table) -> None:
    """Arrow's own format: it keeps the numbers of codes, which Parquet would give anew in each row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with path.open("wb") as stream, pa.ipc.new_file(stream, rows.schema, options=options) as writer:
        writer.write_table(rows, max_chunksize=BATCH_ROWS)


def _batches(path: Path) -> Iterator[pa.Table]:
    with pa.OSFile(str(path)) as stream, pa.ipc.open_file(stream) as reader:
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])
