"""What dbt's worker does: one invocation, telling of each node.

Imported by the worker only (`dagster_project.worker`), and the only module that imports dbt.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import dbt.task.build  # noqa: F401  # what an invocation would import first of all
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from dagster_project.database import connect
from dagster_project.errors import HotlineError
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.transform.confined import model_inputs
from dagster_project.transform.dbt_step import NodeResult

MAX_FAILING_ROWS = 20
STORED_MANIFEST = "partial_parse.msgpack"


def answer(request: tuple[Paths, list[str], str | None], tell: Callable[[NodeResult], None]) -> None:
    """Invoke dbt with these arguments, on the stored manifest unless they are `parse`.

    Tells one result per node, each as soon as it is there: nodes that did well while dbt goes on,
    the others at the end. Tables come with the number of their rows of the wave that is named.
    Raises HotlineError where dbt itself fails; a node that fails is a result.
    """
    paths, arguments, wave = request
    # dbt's profile reads where the installation is
    os.environ.update({"HOTLINE_HOME": str(paths.home), "HOTLINE_WAREHOUSE": str(paths.warehouse)})
    told: set[str] = set()

    def on_event(event: EventMsg) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.node_status in ("success", "pass"):
            told.add(event.data.node_info.unique_id)
            tell(_done_well(event.data, wave))

    manifest = None if arguments[0] == "parse" else _manifest((paths.dbt_target / STORED_MANIFEST).read_bytes())
    done = dbtRunner(manifest=manifest, callbacks=[on_event]).invoke([*arguments, *_arguments(paths)])
    # dbt-duckdb keeps its connection for the life of the process; the next reader could not open the file
    DuckDBConnectionManager.close_all_connections()
    if done.exception is not None:
        raise HotlineError(f"dbt 未能运行 / dbt could not {arguments[0]}: {done.exception}")
    if isinstance(done.result, RunExecutionResult):  # of `build` and `test`
        for result in done.result.results:
            if result.node.unique_id not in told:
                tell(_not_done(paths, result))


@cache
def _manifest(content: bytes) -> Manifest:
    return Manifest.from_msgpack(content)


def _arguments(paths: Paths) -> list[str]:
    return [
        "--project-dir", str(DBT_PROJECT),
        "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(paths.dbt_target),
        "--log-path", str(paths.dbt_target),
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


def _not_done(paths: Paths, result: Any) -> NodeResult:
    node = result.node
    failed_test = str(result.status) == "fail" and node.resource_type == "test"
    return NodeResult(
        resource_type=str(node.resource_type),
        name=node.name,
        status=str(result.status),
        seconds=float(result.execution_time),
        message=result.message or "",
        failures=int(result.failures or 0),
        failing_rows=_failing_rows(paths, node.compiled_code) if failed_test else (),
    )


def _failing_rows(paths: Paths, query: str) -> tuple[dict[str, Any], ...]:
    inputs = model_inputs(paths.home)
    with connect(paths.home, paths.warehouse, folders=inputs, read_only=True, threads=1) as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MAX_FAILING_ROWS))
