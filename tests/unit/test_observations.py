"""The observations of a release: the same whatever the runs, found by line, and all of them."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.errors import NotReconciled
from dagster_project.release import observations
from dagster_project.release.by_line import ByLine
from dagster_project.release.observations import read_by_lines, write_observations

LINES = {"110000": 7, "120000": 1, "310000": 12, "370100": 3, "370200": 4}  # probes, of two indicators each


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The two tables that are read, for one wave and a line of another."""
    with duckdb.connect() as connection:
        connection.execute("create table sizes (line_id varchar, n bigint)")
        connection.executemany("insert into sizes values (?, ?)", [*LINES.items()])
        connection.execute("""
            create table score_observations as
            select '2023' as wave, line_id, 'phone' as channel, 'probe' as unit, line_id || '-' || place as unit_id,
                line_id || '-' || place as probe_id, 'S01' as scenario_code, indicator_code, 'r' as rule_code,
                cast(place * 1000000000 as bigint) as score_nano, cast(null as varchar) as na_code
            from (select line_id, unnest(range(n)) as place from sizes),
                (values ('I1'), ('I2')) as named (indicator_code)
            union all by name
            select '2022' as wave, '110000' as line_id, 'I1' as indicator_code
        """)
        connection.execute("""
            create table score_scenarios as
            select wave, line_id, indicator_code, count(*) as n_observations from score_observations group by all
        """)
        yield connection


def written(connection: duckdb.DuckDBPyConnection, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_observations(connection, "2023", folder)
    return folder


@pytest.mark.parametrize("rows", [1, 5, 16, 17, 40])
def test_runs_make_no_difference_to_what_is_written(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    whole = pq.ParquetFile(written(warehouse, tmp_path / "whole") / "observations.parquet")
    monkeypatch.setattr(observations, "RUN_ROWS", rows)
    by_runs = pq.ParquetFile(written(warehouse, tmp_path / "runs") / "observations.parquet")
    assert whole.num_row_groups == 1
    assert by_runs.num_row_groups > 1
    assert by_runs.read().equals(whole.read())
    assert by_runs.schema_arrow.equals(whole.schema_arrow, check_metadata=True)
    assert whole.read().num_rows == 2 * sum(LINES.values())


def test_one_run_is_the_file_that_was_always_written(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    folder = written(warehouse, tmp_path / "release")
    query = f"select {observations.COLUMNS} from score_observations where wave = '2023' order by {observations.ORDER}"
    pq.write_table(
        warehouse.sql(query).to_arrow_table(), tmp_path / "plain", compression="zstd", write_page_index=False
    )
    assert (folder / "observations.parquet").read_bytes() == (tmp_path / "plain").read_bytes()


def test_a_line_is_read_whole_and_without_the_others(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "RUN_ROWS", 16)
    folder = written(warehouse, tmp_path / "release")
    file = pq.ParquetFile(folder / "observations.parquet")
    reads: list[tuple[int, ...]] = []
    read = pq.ParquetFile.read_row_groups

    def noted(self: pq.ParquetFile, groups: tuple[int, ...]) -> pa.Table:
        reads.append(groups)
        return read(self, groups)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)
    by_line = ByLine(folder / "observations.parquet", list)
    for line, probes in LINES.items():
        assert [row["unit_id"] for row in by_line[line]] == sorted(2 * [f"{line}-{place}" for place in range(probes)])
    assert not {"999999", "000000", "200000"} & by_line.keys()
    assert [by_line.get(line) for line in ("999999", "000000", "200000")] == [None, None, None]
    assert ([*by_line], len(by_line)) == ([*LINES], len(LINES))
    # each row group once, the line that is larger than one of them at a time
    assert [number for groups in reads for number in groups] == list(range(file.num_row_groups))
    assert len(reads) == file.num_row_groups - 1


@pytest.mark.parametrize("rows", [1, 3, 14, 15, 16, 100])
def test_batches_hold_whole_lines_in_order(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, rows: int) -> None:
    """Also where the row groups do not, as in releases from before."""
    folder = written(warehouse, tmp_path / "release")
    whole = pq.ParquetFile(folder / "observations.parquet").read()
    pq.write_table(whole, folder / "observations.parquet", row_group_size=rows)
    batches = list(read_by_lines(folder, ["line_id", "unit_id"]))
    assert pa.concat_tables(batches).equals(whole.select(["line_id", "unit_id"]))
    lines = [line for batch in batches for line in batch["line_id"].unique().to_pylist()]
    assert lines == [*LINES]


@pytest.mark.parametrize("rows", [10, 100])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from score_observations where unit_id = '310000-3' and indicator_code = 'I2'", "observations of"),
        ("insert into score_observations select * replace ('150000' as line_id) from score_observations"
         " where unit_id = '120000-0'", "observations of"),
        ("update score_observations set rule_code = null where unit_id = '370100-2'", "no scoring rule"),
        ("update score_observations set unit_id = '370200-1' where unit_id = '370200-2'", "more than one"),
    ],
)  # fmt: skip
def test_what_is_not_what_was_scored_is_no_release(
    warehouse: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    change: str,
    said: str,
) -> None:
    monkeypatch.setattr(observations, "RUN_ROWS", rows)
    warehouse.execute(change)
    with pytest.raises(NotReconciled, match=said):
        written(warehouse, tmp_path / "release")
