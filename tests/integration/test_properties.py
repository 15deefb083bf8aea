"""What must not change a score, through the production models."""

import copy
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.paths import Paths
from dagster_project.transform.dbt_step import PUBLISHED, SCORES, raise_for_failures, run_step
from dagster_project.transform.scope import plan_scope, write_scope
from tests.golden.wave_of_golden import WAVE, bronze_tables, write_bronze

Tables = dict[str, list[dict[str, Any]]]
NODES = "select * from score_nodes order by line_id, channel, level, node_code"


def built(home: Path, tables: Tables) -> Paths:
    paths = Paths(raw=home / "raw", home=home / "data")
    write_bronze(paths, WAVE, tables)
    write_scope(paths, plan_scope(paths, WAVE, ()))
    for step in (SCORES, PUBLISHED):
        raise_for_failures(run_step(paths, step))
    return paths


def rows(paths: Paths, query: str) -> list[tuple]:
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    return rows(built(tmp_path_factory.mktemp("reference"), bronze_tables()), NODES)


@pytest.mark.parametrize("seed", [1, 2])
def test_row_order_changes_nothing(tmp_path: Path, reference: list[tuple], seed: int) -> None:
    tables = bronze_tables()
    for name in sorted(tables):
        random.Random(seed).shuffle(tables[name])
    assert rows(built(tmp_path, tables), NODES) == reference


def test_scaling_all_weights_changes_nothing(tmp_path: Path, reference: list[tuple]) -> None:
    tables = bronze_tables()
    for indicator in tables["indicators"]:
        for level in ("l1_weight", "l2_weight", "l3_weight"):
            indicator[level] *= 7
    for weight in tables["channel_weights"]:
        weight["weight"] *= 3
    for scenario in tables["scenarios"]:
        scenario["weight"] *= 5
    assert rows(built(tmp_path, tables), NODES) == reference


def test_another_line_changes_no_score_of_the_others(tmp_path: Path, reference: list[tuple]) -> None:
    tables = with_copy_of_line(bronze_tables(), "B", "D")
    paths = built(tmp_path, tables)
    assert rows(paths, NODES.replace("order by", "where line_id <> 'D' order by")) == reference
    own = "select * exclude (line_id) from score_nodes where line_id = '{}' order by channel, level, node_code"
    assert rows(paths, own.format("D")) == rows(paths, own.format("B"))
    ranks = "select unit_code, rank, is_tied from pub_rankings where group_code = 'ordinary_city' order by list_order"
    assert rows(paths, ranks) == [("A", 1, False), ("B", 2, True), ("D", 2, True), ("C", None, False)]


def test_some_lines_only_equals_all_lines(tmp_path: Path) -> None:
    """One line's input changes: recomputing it alone leaves the same tables as recomputing everything."""
    changed = bronze_tables()
    next(row for row in changed["dial_attempts"] if row["line_id"] == "B" and row["connected"] == "yes")[
        "connected"
    ] = "no"
    changed["line_inputs"] = [
        {**row, "input_fingerprint": "B changed"} if row["line_id"] == "B" else row for row in changed["line_inputs"]
    ]
    full = built(tmp_path / "full", changed)
    part = built(tmp_path / "part", bronze_tables())
    write_bronze(part, WAVE, changed)
    scope = plan_scope(part, WAVE, ("B",))
    assert (scope.lines, scope.is_full) == (("B",), False)
    write_scope(part, scope)
    for step in (SCORES, PUBLISHED):
        raise_for_failures(run_step(part, step))
    tables = rows(full, "select table_name from duckdb_tables() order by 1")
    assert rows(part, "select table_name from duckdb_tables() order by 1") == tables
    for (table,) in tables:
        assert rows(part, f"select * from {table} order by all") == rows(full, f"select * from {table} order by all"), (
            table
        )


def test_a_line_whose_input_changed_unasked_is_recomputed_too(tmp_path: Path) -> None:
    paths = built(tmp_path, bronze_tables())
    tables = bronze_tables()
    tables["line_inputs"][2]["input_fingerprint"] = "changed"
    write_bronze(paths, WAVE, tables)
    scope = plan_scope(paths, WAVE, ("B",))
    assert (scope.lines, scope.added) == (("B", "C"), ("C",))


def test_a_line_that_left_the_frame_leaves_the_tables(tmp_path: Path) -> None:
    paths = built(tmp_path, with_copy_of_line(bronze_tables(), "B", "D"))
    write_bronze(paths, WAVE, bronze_tables())
    scope = plan_scope(paths, WAVE, ("B",))
    assert scope.is_full
    write_scope(paths, scope)
    for step in (SCORES, PUBLISHED):
        raise_for_failures(run_step(paths, step))
    for table in ("score_answers", "score_nodes", "pub_line_scores", "pub_rankings"):
        column = "unit_code" if table == "pub_rankings" else "line_id"
        assert rows(paths, f"select count(*) from {table} where {column} = 'D'") == [(0,)], table


def with_copy_of_line(tables: Tables, line: str, twin: str) -> Tables:
    tables = copy.deepcopy(tables)
    for name in ("phone_probes", "dial_attempts", "web_probes", "lines", "line_inputs"):
        for row in [row for row in tables[name] if row["line_id"] == line]:
            renamed = {
                key: value.replace(f"{line}-", f"{twin}-") if key.endswith("_id") and isinstance(value, str) else value
                for key, value in row.items()
            }
            tables[name].append({**renamed, "line_id": twin})
    return tables
