"""What dbt's worker does: one invocation, telling of each node.

Imported by the worker only (`dagster_project.worker`), and the only module that imports dbt.
"""

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import dbt.task.build  # noqa: F401  # what an invocation would import first of all
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from dagster_project.database import busy, connect, holder, is_lock_conflict
from dagster_project.errors import HotlineError
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.transform.confined import model_inputs, pipelines
from dagster_project.transform.dbt_step import PUBLISHED, SCORES, Invocation, NodeResult, step_of
from dagster_project.transform.engine import DUCKDB, WAREHOUSE, Engine
from dagster_project.transform.sessions import MODELS, explained, session
from dagster_project.transform.warehouse import finish_step

MAX_FAILING_ROWS = 20
# DuckDB asks Python for each piece of an input file, while dbt's other thread holds the interpreter for 5 ms at a time:
# a query on four small files took 43 ms beside a busy thread, 26 with this.
sys.setswitchinterval(0.001)
WRITES = ("build", "run")  # the commands that change the warehouse
STORED_MANIFEST = "partial_parse.msgpack"


def answer(invocation: Invocation, tell: Callable[[NodeResult], None]) -> None:
    """Invoke dbt with these arguments, on the stored manifest unless they are `parse`.

    Tells one result per node, each as soon as it is there: nodes that did well while dbt goes on,
    the others at the end. Tables come with the number of their rows of the wave that is named.
    Raises HotlineError where dbt itself fails; a node that fails is a result.
    """
    paths, engine = invocation.paths, invocation.engine
    # dbt's profile reads where the installation is
    os.environ.update({"HOTLINE_HOME": str(paths.home), "HOTLINE_WAREHOUSE": str(paths.warehouse)})
    pipelines.add(paths.warehouse)
    told: set[str] = set()

    def on_event(event: EventMsg) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.node_status in ("success", "pass"):
            told.add(event.data.node_info.unique_id)
            tell(_done_well(event.data, invocation.wave))

    manifest = None
    if invocation.arguments[0] != "parse":
        manifest = _manifest((paths.parsed_project(_parsed_for(engine)) / STORED_MANIFEST).read_bytes())
        if invocation.step:
            with explained(engine):
                _hand_over(paths, engine, invocation.step, manifest)
    done = dbtRunner(manifest=manifest, callbacks=[on_event]).invoke(
        [*invocation.arguments, *_arguments(paths, engine)]
    )
    # dbt-duckdb keeps its connection for the life of the process; the next reader could not open the file
    DuckDBConnectionManager.close_all_connections()
    if done.success and invocation.arguments[0] in WRITES and engine in (DUCKDB, WAREHOUSE):
        finish_step(paths)
    if done.exception is not None and is_lock_conflict(str(done.exception)):
        raise busy(paths.warehouse, holder(str(done.exception)))
    if done.exception is not None:
        raise HotlineError(f"dbt 未能运行 / dbt could not {invocation.arguments[0]}: {done.exception}")
    if isinstance(done.result, RunExecutionResult):  # of `build` and `test`
        for result in done.result.results:
            if result.node.unique_id not in told:
                tell(_not_done(paths, engine, result))
            if invocation.step and _is_table(result.node) and result.status == "success":
                columns = {name: str(column.data_type) for name, column in result.node.columns.items()}
                with explained(engine):
                    session(paths, engine).fetch(result.node.name, columns, paths.engine / result.node.name)


@cache
def _manifest(content: bytes) -> Manifest:
    return Manifest.from_msgpack(content)


def _parsed_for(engine: Engine) -> str:
    return DUCKDB.target if engine == WAREHOUSE else engine.target


def _hand_over(paths: Paths, engine: Engine, step: str, manifest: Manifest) -> None:
    """Show the engine what `step` reads: bronze, the scope, and for what is published the scores of the warehouse."""
    shutil.rmtree(paths.engine, ignore_errors=True)
    paths.engine.mkdir(parents=True)
    there = session(paths, engine)
    there.empty()
    there.lend("bronze", "scope", paths.scope.parent)
    for source in manifest.sources.values():
        there.lend(source.schema, source.name, paths.bronze / source.name)
    if step == PUBLISHED:
        for node in manifest.nodes.values():
            if _is_table(node) and step_of(node.tags) == SCORES:
                there.lend(MODELS, node.name, _copied(paths, node.name))


def _is_table(node: Any) -> bool:
    return node.resource_type == "model" and node.config.materialized == "scoped"


def _copied(paths: Paths, table: str) -> Path:
    """The rows that a table of the warehouse has of the wave in scope, as a folder of Parquet."""
    folder = paths.engine / table
    folder.mkdir()
    folders = [paths.scope.parent, paths.engine]
    with connect(paths.home, paths.warehouse, folders=folders, read_only=True) as connection:
        # the table is one of dbt's own names
        query = f"select * from {table} where wave in (select wave from read_parquet('scope/scope.parquet'))"  # noqa: S608
        connection.sql(query).write_parquet(str(folder / "part-0.parquet"))
    return folder


def _arguments(paths: Paths, engine: Engine) -> list[str]:
    parsed = str(paths.parsed_project(_parsed_for(engine)))
    return [
        "--target", engine.target,
        "--project-dir", str(DBT_PROJECT),
        "--profiles-dir", str(DBT_PROJECT),
        "--target-path", parsed,
        "--log-path", parsed,
        "--log-level", "none",
        "--log-level-file", "none",
        "--no-version-check",
    ]  # fmt: skip


def _done_well(event: Any, wave: str | None) -> NodeResult:
    node = event.node_info
    is_table = node.resource_type == "model" and node.materialized != "view"
    return NodeResult(
        resource_type=node.resource_type,
        name=node.node_name,
        status=node.node_status,
        seconds=event.run_result.execution_time,
        n_rows=_row_count(node.node_relation.relation_name, wave) if is_table and wave else None,
    )


def _row_count(relation: str, wave: str) -> int:
    # beside dbt's own connections: the file can have no other while they are open
    connection = DuckDBConnectionManager.env().conn.cursor()  # type: ignore[attr-defined]  # the local one has it
    # the relation is dbt's own word for its table, the wave is bound
    n_rows: int = connection.execute(f"select count(*) from {relation} where wave = ?", [wave]).fetchall()[0][0]  # noqa: S608
    return n_rows


def _not_done(paths: Paths, engine: Engine, result: Any) -> NodeResult:
    node = result.node
    failed_test = str(result.status) == "fail" and node.resource_type == "test"
    return NodeResult(
        resource_type=str(node.resource_type),
        name=node.name,
        status=str(result.status),
        seconds=float(result.execution_time),
        message=result.message or "",
        failures=int(result.failures or 0),
        failing_rows=_failing_rows(paths, engine, node.compiled_code) if failed_test else (),
    )


def _failing_rows(paths: Paths, engine: Engine, query: str) -> tuple[dict[str, Any], ...]:
    if engine != DUCKDB:
        with explained(engine):
            return session(paths, engine).first_rows(query, MAX_FAILING_ROWS)
    inputs = model_inputs(paths.home)
    with connect(paths.home, paths.warehouse, readable=inputs, read_only=True, threads=1) as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MAX_FAILING_ROWS))
