"""What dbt's worker answers: the results of one invocation.

Imported by the worker only (`dagster_project.worker`), and the only module that imports dbt.
"""

import os
from typing import Any

import dbt.task.build  # noqa: F401  # what an invocation would import first of all
import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from dagster_project.errors import HotlineError
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.transform.dbt_step import NodeResult

MAX_FAILING_ROWS = 20


def answer(request: tuple[Paths, list[str]]) -> list[NodeResult]:
    """Invoke dbt with these arguments, on the stored manifest unless they are `parse`.

    One result per node in the order in which dbt ran them. Raises HotlineError where dbt itself
    fails; a node that fails is a result.
    """
    paths, arguments = request
    # dbt's profile reads where the installation is
    os.environ.update({"HOTLINE_HOME": str(paths.home), "HOTLINE_WAREHOUSE": str(paths.warehouse)})
    manifest = None if arguments[0] == "parse" else _stored_manifest(paths)
    done = dbtRunner(manifest=manifest).invoke([*arguments, *_arguments(paths)])
    # dbt-duckdb keeps its connection for the life of the process; the next reader could not open the file
    DuckDBConnectionManager.close_all_connections()
    if done.exception is not None:
        raise HotlineError(f"dbt 未能运行 / dbt could not {arguments[0]}: {done.exception}")
    return [] if arguments[0] in ("parse", "list") else [_node_result(paths, each) for each in done.result.results]


def _stored_manifest(paths: Paths) -> Manifest:
    return Manifest.from_msgpack((paths.dbt_target / "partial_parse.msgpack").read_bytes())


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


def _node_result(paths: Paths, result: Any) -> NodeResult:
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
    with duckdb.connect(str(paths.warehouse), read_only=True, config={"threads": 1}) as connection:
        connection.execute(f"set file_search_path = '{str(paths.home).replace(chr(39), chr(39) * 2)}'")
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MAX_FAILING_ROWS))
