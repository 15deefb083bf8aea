"""Files of a release whose rows stand in the order of the lines, read a line at a time.

Belongs here: finding a line's rows without holding those of all others as Python objects, which take
thirty times the room. Does not belong here: what the rows mean (`reading.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Lines whose entries are kept: all of a wave of the usual size, of thousands those that a page asks for.
HELD_LINES = 512

Row = dict[str, Any]
Entry = TypeVar("Entry")


class ByLine(Mapping[str, Entry]):
    """{line_id: what `entry` makes of its rows}, lines in order; a line without rows is not in it.

    A row group tells its first and its last line. The row groups that were read last are kept: whoever goes
    through the lines in their order reads the file once.
    """

    def __init__(self, file: Path, entry: Callable[[list[Row]], Entry], n_held: int = HELD_LINES) -> None:
        self._file = pq.ParquetFile(file)
        self._entry = entry
        self._held = lru_cache(n_held)(self._made)
        self._groups: tuple[int, ...] = ()
        self._table: pa.Table = None
        self._places: dict[str, tuple[int, int]] = {}
        column = self._file.schema_arrow.get_field_index("line_id")
        parts = [self._file.metadata.row_group(number) for number in range(self._file.num_row_groups)]
        told = [part.column(column).statistics if part.num_rows else None for part in parts]
        self._bounds = [(number, each.min, each.max) for number, each in enumerate(told) if each is not None]

    def __getitem__(self, line_id: str) -> Entry:
        return self._held(line_id)

    def __iter__(self) -> Iterator[str]:
        last = None
        for number, _, _ in self._bounds:
            for line in self._file.read_row_group(number, ["line_id"])["line_id"].unique().to_pylist():
                if line != last:
                    yield line
                last = line

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _made(self, line_id: str) -> Entry:
        groups = tuple(number for number, first, last in self._bounds if first <= line_id <= last)
        if groups and groups != self._groups:
            self._groups, self._table = groups, self._file.read_row_groups(groups)
            self._places = places(self._table["line_id"])
        if not groups or line_id not in self._places:
            raise KeyError(line_id)
        return self._entry(self._table.slice(*self._places[line_id]).to_pylist())


def places(lines: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    """{line: (place of its first row, number of rows)} of a column in the order of the lines."""
    runs = pc.run_end_encode(lines.combine_chunks(), pa.int64())
    ends = runs.run_ends.to_pylist()
    begins = [0, *ends[:-1]]
    return {line: (begin, end - begin) for line, begin, end in zip(runs.values.to_pylist(), begins, ends, strict=True)}
