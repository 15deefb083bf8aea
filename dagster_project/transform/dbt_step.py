"""Run one dbt step, in a worker that has dbt loaded, from a parsed project that is kept.

dbt's start and parse cost more than the models: the command line needs 4-9 s for half a second of
SQL. So the parsed project is stored under the fingerprint of its files and loaded (30 ms) instead
of parsed again (1-3 s), and dbt is imported while the run does other things (`child.py`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.errors import GateFailed, HotlineError, UsageError
from dagster_project.files import files_digest
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.worker import DBT

SCORES, PUBLISHED = "scores", "published"
SELECTION = {SCORES: ["--exclude", f"tag:{PUBLISHED}"], PUBLISHED: ["--select", f"tag:{PUBLISHED}"]}
SOURCE_FILES = ("models/**/*", "macros/**/*", "tests/**/*", "*.yml")


@dataclass(frozen=True)
class NodeResult:
    """What dbt did with one model or test.

    `status` is dbt's word (success, pass, fail, warn, error, skipped); `failures` counts the rows
    of a failed test, of which `failing_rows` holds the first. `n_rows`: rows that a table has of
    the wave, where one was named.
    """

    resource_type: str
    name: str
    status: str
    seconds: float
    message: str = ""
    failures: int = 0
    failing_rows: tuple[dict[str, Any], ...] = ()
    n_rows: int | None = None

    @property
    def is_failed(self) -> bool:
        return self.status in ("error", "fail", "runtime error")


def step_of(tags: Iterable[str]) -> str:
    """The step that builds a model with these tags."""
    return PUBLISHED if PUBLISHED in tags else SCORES


def project_fingerprint() -> str:
    """The versions that interpret the dbt project, and a hash of every file of it."""
    versions = [f"{name}=={version(name)}" for name in ("dbt-core", "dbt-duckdb", "duckdb")]
    files = {path for pattern in SOURCE_FILES for path in DBT_PROJECT.glob(pattern) if path.is_file()}
    return " ".join([*versions, files_digest(files, DBT_PROJECT)])


def warm_up(paths: Paths) -> None:
    """Let dbt be imported, and the parsed project be read once, while the caller does other things."""
    # dbt's first invocation takes twice as long as the next, and listing is the cheapest
    DBT.warm_up((paths, ["list"], None) if _is_parsed(paths) else None)


def ensure_parsed(paths: Paths) -> Path:
    """Path of the current `manifest.json`; dbt parses the project only where it has changed.

    Raises HotlineError with dbt's own words where the project does not parse.
    """
    if not _is_parsed(paths):
        _stamp(paths).unlink(missing_ok=True)  # it may come to be true again of what is half written now
        list(_invoke(paths, ["parse", "--no-partial-parse"]))
        _stamp(paths).write_text(project_fingerprint())
    return paths.dbt_target / "manifest.json"


def _is_parsed(paths: Paths) -> bool:
    stamp = _stamp(paths)
    return stamp.exists() and stamp.read_text() == project_fingerprint()


def _stamp(paths: Paths) -> Path:
    """Written last: where it stands, manifest.json and its binary form do."""
    return paths.dbt_target / "fingerprint"


def run_step(paths: Paths, step: str, wave: str | None = None) -> Iterator[NodeResult]:
    """Build the models of `step` and run their tests, for what the scope file names.

    Yields one result per node as dbt gets done with it; failed nodes come last (see
    `raise_for_failures`). Raises HotlineError where dbt itself fails.
    """
    ensure_parsed(paths)
    arguments = ["build", *SELECTION[step], "--exclude-resource-type", "unit_test", "--no-write-json"]
    return _invoke(paths, arguments, wave)


def run_unit_tests(paths: Paths) -> list[NodeResult]:
    """Run the unit tests of the models; they need no data and stay out of production builds."""
    ensure_parsed(paths)
    return list(_invoke(paths, ["test", "--select", "test_type:unit"]))


def _invoke(paths: Paths, arguments: list[str], wave: str | None = None) -> Iterator[NodeResult]:
    if "," in str(paths.home):
        # DuckDB splits its search path there
        raise UsageError(
            f"状态目录的路径不能含逗号 / the path of the state folder must not contain a comma: {paths.home}"
        )
    paths.home.mkdir(parents=True, exist_ok=True)
    return DBT.follow((paths, arguments, wave))


def raise_for_failures(results: Iterable[NodeResult]) -> None:
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
