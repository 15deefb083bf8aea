"""The floor: DuckDB reads the columns that scoring needs from bronze, and does nothing with them.

Each column goes through the cheapest aggregate that every value has to be decoded for: the length of
texts (taken once per entry of a page's dictionary), the sum of numbers, of times as microseconds. `min`
and `max` are answered from the file's statistics without reading a page, `count` needs no values, and
`hash` costs more than the reading.

`python -m benchmarks.bronze_floor 2101 v2023`
"""

import json
import sys
import time

import duckdb

from benchmarks.bronze_columns import needed_columns, read_rows
from dagster_project.paths import paths
from dagster_project.schema import EXPORT_TABLES, INT, TIME

THREADS = 2


def scan(table: str, columns: list[str]) -> str:
    """A query over one bronze file, which is bound."""
    types = {column.name: column.type for column in EXPORT_TABLES[table].columns}
    aggregates = [
        f"sum({name})" if types[name] == INT
        else f"sum(epoch_us({name}))" if types[name] == TIME
        else f"sum(strlen({name}))"
        for name in columns
    ]  # fmt: skip
    return f"select {', '.join(aggregates)} from read_parquet($file)"  # noqa: S608  # our own names


def main(wave: str, method: str) -> None:
    installation = paths()
    needed = needed_columns(read_rows(installation.method(method) / "scoring_rules.csv"))
    queries = {table: scan(table, columns) for table, columns in needed.items()}
    connection = duckdb.connect(config={"threads": THREADS})
    started = time.perf_counter()
    for table, query in queries.items():
        connection.execute(query, {"file": str(installation.bronze_part(table, wave))}).fetchall()
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
