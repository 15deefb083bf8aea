"""The observations of a release, in runs of whole lines: written, and read again.

Belongs here: that no step holds more of them than one run, and that none is lost on the way. Does not
belong here: what an observation weighs (`uncertainty.py`), how it is shown.

A wave has twenty thousand of them or a hundred million. The file's rows stand in the order of the lines,
its row groups are runs of lines: who wants one line reads one row group (`by_line.py`).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dagster_project.ahead import ahead
from dagster_project.errors import NotReconciled
from dagster_project.release.by_line import places
from dagster_project.release.folder import PARQUET

FILE = "observations.parquet"
# Rows of a run, and of a row group. Some 40 MB as Arrow: a query's cost is small beside such a run, and a
# run's size small beside what the process holds anyway. A wave of the usual size is one run.
RUN_ROWS = 2**18
COLUMNS = "wave, line_id, channel, unit, unit_id, probe_id, scenario_code, indicator_code, score_nano, na_code"
ORDER = "line_id, channel, unit, unit_id, indicator_code"
LAST_TEXT = "\U0010ffff"  # no line's code comes after it


def write_observations(connection: duckdb.DuckDBPyConnection, wave: str, folder: Path) -> None:
    """Write `observations.parquet` of the release in `folder` from the table `score_observations`, run by run.

    Raises NotReconciled where they are not those that the scores were made from: by their number, line by
    line as `score_scenarios` counted them; where one stands there twice; where the method has no rule for one.
    """
    query = f"""
        select {COLUMNS}, rule_code
        from score_observations
        where wave = $wave and line_id > $after and line_id <= $upto
        order by {ORDER}
    """  # noqa: S608  # identifiers come from the constants above, values are bound

    def found(run: tuple[str, str, int]) -> pa.RecordBatchReader:
        values = {"wave": wave, "after": run[0], "upto": run[1]}
        return connection.cursor().sql(query, params=values).to_arrow_reader(RUN_ROWS)

    runs = list(_runs(connection, wave))
    writer: pq.ParquetWriter | None = None
    try:
        with ThreadPoolExecutor(1) as pool:  # one run is looked up while the one before is written
            results = ahead(pool, found, runs, 1)
            for after, upto, n_expected in runs:
                n_rows = 0
                for table in _checked(next(results).result()):
                    writer = writer or pq.ParquetWriter(folder / FILE, table.schema, **PARQUET)
                    writer.write_table(table)
                    n_rows += len(table)
                if n_rows != n_expected:
                    raise NotReconciled(
                        f"{wave}:代码大于 {after!r}、至 {upto!r} 为止的线路有观测 {n_rows} 条,得分所依据的为 "
                        f"{n_expected} 条,请重新运行 / {n_rows} observations of the lines after {after!r} up to "
                        f"{upto!r}, but the scores were made from {n_expected}; run the wave again"
                    )
    finally:
        if writer is not None:
            writer.close()


def _checked(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows of one run as they stand in the file, each under a rule and of a key of its own."""
    last = rows.schema.empty_table()
    for batch in rows:
        table = pa.table(batch)
        _require_ruled(table)
        _require_distinct(pa.concat_tables([last, table]))
        last = table.slice(len(table) - 1)
        yield table.drop_columns("rule_code").replace_schema_metadata(None)


def _runs(connection: duckdb.DuckDBPyConnection, wave: str) -> Iterator[tuple[str, str, int]]:
    """(line before the first, last line, observations) of each run; together they are all lines that could be.

    A line that has more than a run's rows is a run by itself.
    """
    sizes = connection.execute(
        "select line_id, cast(sum(n_observations) as bigint) from score_scenarios where wave = ? group by line_id"
        " order by line_id",
        [wave],
    ).fetchall()
    after, last, n_rows = "", "", 0
    for line_id, n_of_line in sizes:
        if n_rows and n_rows + n_of_line > RUN_ROWS:
            yield after, last, n_rows
            after, n_rows = last, 0
        last, n_rows = line_id, n_rows + n_of_line
    yield after, LAST_TEXT, n_rows


def _require_ruled(table: pa.Table) -> None:
    unruled = table.filter(pc.field("rule_code").is_null()).slice(0, 1)
    for row in unruled.to_pylist():
        raise NotReconciled(
            f"线路 {row['line_id']} 的 {row['unit_id']} 没有适用于 {row['indicator_code']} 的计分规则 / no scoring "
            f"rule fits {row['indicator_code']} of {row['unit_id']}, line {row['line_id']}"
        )


def _require_distinct(table: pa.Table) -> None:
    """Rows of one key stand one after the other: their order, and so the file's bytes, would be left to chance."""
    before, after = table.slice(0, len(table) - 1), table.slice(1)
    same = reduce(pc.and_, (pc.equal(before[name], after[name]) for name in ORDER.split(", ")))
    for row in before.filter(same).slice(0, 1).to_pylist():
        raise NotReconciled(
            f"线路 {row['line_id']} 的 {row['unit_id']} 对 {row['indicator_code']} 有不止一条观测 / {row['unit_id']} "
            f"of line {row['line_id']} has more than one observation of {row['indicator_code']}"
        )


def read_by_lines(folder: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The observations of the release in `folder`, lines whole and in order; `columns` must hold `line_id`.

    A table is about a row group, or a line where that is more. In a release of an older version a line may
    begin in one row group and end in the next.
    """
    file = pq.ParquetFile(folder / FILE)
    held: list[pa.Table] = []  # of the last line that was read
    for number in range(file.num_row_groups):
        table = file.read_row_group(number, columns)
        if not len(table):
            continue
        runs = places(table["line_id"])
        first, last = next(iter(runs)), next(reversed(runs))
        if held and held[0]["line_id"][0].as_py() != first:
            yield pa.concat_tables(held)
            held = []
        begin = runs[last][0]
        if first != last:
            yield pa.concat_tables([*held, table.slice(0, begin)])
            held = []
        held.append(table.slice(begin))
    if held:
        yield pa.concat_tables(held)
