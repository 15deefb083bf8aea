"""Run one dbt step in this process, from a parsed project that is kept.

dbt's start and parse cost more than the models: the command line needs 4-9 s for half a second of
SQL. So the parsed project is stored under the fingerprint of its files and loaded (30 ms) instead
of parsed again (1-3 s), and dbt runs in-process.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.errors import GateFailed, HotlineError, UsageError
from dagster_project.files import files_digest
from dagster_project.paths import DBT_PROJECT, Paths

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

SCORES, PUBLISHED = "scores", "published"
SELECTION = {SCORES: ["--exclude", "tag:published"], PUBLISHED: ["--select", "tag:published"]}
SOURCE_FILES = ("models/**/*", "macros/**/*", "tests/**/*", "*.yml")
MAX_FAILING_ROWS = 20


@dataclass(frozen=True)
class NodeResult:
    """What dbt did with one model or test.

    `status` is dbt's word (success, pass, fail, warn, error, skipped); `failures` counts the rows
    of a failed test, of which `failing_rows` holds the first.
    """

    resource_type: str
    name: str
    status: str
    seconds: float
    message: str
    failures: int
    failing_rows: tuple[dict[str, Any], ...] = ()

    @property
    def is_failed(self) -> bool:
        return self.status in ("error", "fail", "runtime error")


def preload() -> None:
    """Import what a step needs, while another process has something to do that the step must wait for."""
    import dbt.cli.main
    import dbt.task.build  # noqa: F401


def project_fingerprint() -> str:
    """The versions that interpret the dbt project, and a hash of every file of it."""
    versions = [f"{name}=={version(name)}" for name in ("dbt-core", "dbt-duckdb", "duckdb")]
    files = {path for pattern in SOURCE_FILES for path in DBT_PROJECT.glob(pattern) if path.is_file()}
    return " ".join([*versions, files_digest(files, DBT_PROJECT)])


def ensure_parsed(paths: Paths) -> Path:
    """Path of the current `manifest.json`; dbt parses the project only where it has changed.

    Raises HotlineError with dbt's own words where the project does not parse.
    """
    stamp = paths.dbt_target / "fingerprint"
    manifest = paths.dbt_target / "manifest.json"
    fingerprint = project_fingerprint()
    if stamp.exists() and stamp.read_text() == fingerprint and manifest.exists():
        return manifest
    with _environment(paths):
        result = _runner().invoke(["parse", "--no-partial-parse", *_arguments(paths)])
    if not result.success:
        raise HotlineError(f"dbt 项目无法解析 / the dbt project does not parse: {result.exception}")
    stamp.write_text(fingerprint)
    return manifest


def run_step(paths: Paths, step: str) -> list[NodeResult]:
    """Build the models of `step` and run their tests, for what the scope file names.

    Returns one result per node in the order in which dbt ran them; failed nodes are among them
    (see `raise_for_failures`). Raises HotlineError where dbt itself fails.
    """
    ensure_parsed(paths)
    with _environment(paths):
        result = _runner(_stored_manifest(paths)).invoke(
            ["build", *SELECTION[step], "--exclude-resource-type", "unit_test", "--no-write-json", *_arguments(paths)]
        )
        _close_connections()
    if result.result is None:
        raise HotlineError(f"dbt 未能运行 / dbt could not run step {step}: {result.exception}")
    return [_node_result(paths, each) for each in result.result.results]


def run_unit_tests(paths: Paths) -> list[NodeResult]:
    """Run the unit tests of the models; they need no data and stay out of production builds."""
    ensure_parsed(paths)
    with _environment(paths):
        result = _runner(_stored_manifest(paths)).invoke(["test", "--select", "test_type:unit", *_arguments(paths)])
        _close_connections()
    if result.result is None:
        raise HotlineError(f"dbt could not run the unit tests: {result.exception}")
    return [_node_result(paths, each) for each in result.result.results]


def raise_for_failures(results: list[NodeResult]) -> None:
    """Raise GateFailed where a test failed, HotlineError where a model did; both name all of them."""
    failed = [result for result in results if result.is_failed]
    if not failed:
        return
    lines = [f"  {result.name}: {result.message.strip()}{_first_rows(result)}" for result in failed]
    text = "数据模型的检验未通过,未发布任何内容 / checks of the models failed, nothing is published:\n" + "\n".join(
        lines
    )
    raise GateFailed(text) if all(result.resource_type == "test" for result in failed) else HotlineError(text)


def _first_rows(result: NodeResult) -> str:
    return "".join(f"\n    {json.dumps(row, ensure_ascii=False, default=str)}" for row in result.failing_rows[:3])


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
    import duckdb

    with duckdb.connect(str(paths.warehouse), read_only=True, config={"threads": 1}) as connection:
        connection.execute(f"set file_search_path = '{str(paths.home).replace(chr(39), chr(39) * 2)}'")
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MAX_FAILING_ROWS))


def _runner(manifest: "Manifest | None" = None) -> Any:
    from dbt.cli.main import dbtRunner

    return dbtRunner(manifest=manifest)


def _stored_manifest(paths: Paths) -> "Manifest":
    from dbt.contracts.graph.manifest import Manifest

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


@contextlib.contextmanager
def _environment(paths: Paths) -> Iterator[None]:
    """dbt's profile reads where the installation is; what the environment said before comes back."""
    if "," in str(paths.home):
        # DuckDB splits its search path there
        raise UsageError(
            f"状态目录的路径不能含逗号 / the path of the state folder must not contain a comma: {paths.home}"
        )
    values = {"HOTLINE_HOME": str(paths.home), "HOTLINE_WAREHOUSE": str(paths.warehouse)}
    before = {name: os.environ.get(name) for name in values}
    paths.home.mkdir(parents=True, exist_ok=True)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _close_connections() -> None:
    # dbt-duckdb keeps its connection for the life of the process; the next reader could not open the file.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()
