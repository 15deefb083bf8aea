"""Run one dbt step, in a worker that has dbt loaded, from a parsed project that is kept.

dbt's start and parse cost more than the models: the command line needs 4-9 s for half a second of
SQL. So the parsed project is stored under the fingerprint of its files and loaded (30 ms) instead
of parsed again (1-3 s), and dbt is imported while the run does other things (`child.py`).

On another engine than DuckDB a step has two halves: the models and their tests there, then, where
all of them did well, dbt's run upon the warehouse, whose tables take their rows from what the
engine made (`scoped` in dbt/macros). A step that fails has changed nothing in the warehouse.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dagster_project.database import holder, is_lock_conflict
from dagster_project.errors import Busy, GateFailed, HotlineError
from dagster_project.files import files_digest, flush, remove, replace_files, sha256_of
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.private import make_private
from dagster_project.transform.engine import DUCKDB, WAREHOUSE, Engine, versions
from dagster_project.worker import DBT

logger = logging.getLogger("hotline")

SCORES, PUBLISHED = "scores", "published"
SELECTION = {SCORES: ["--exclude", f"tag:{PUBLISHED}"], PUBLISHED: ["--select", f"tag:{PUBLISHED}"]}
VIEWS = ("config.materialized:view",)  # an engine knows them in the step that they were made in
PRODUCTION = ("--exclude-resource-type", "unit_test", "--no-write-json")
PARSED = ("manifest.json", "partial_parse.msgpack")  # what a parse makes and later steps read
WRITTEN = ("run", "compiled")  # folders that every step writes and nobody reads
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


@dataclass(frozen=True)
class Invocation:
    """One call of dbt. `wave`: whose rows are counted. `step`: what an engine is handed the input of."""

    paths: Paths
    engine: Engine
    arguments: tuple[str, ...]
    wave: str | None = None
    step: str | None = None


def project_fingerprint(engine: Engine = DUCKDB) -> str:
    """The versions that interpret the dbt project, and a hash of every file of it."""
    files = {path for pattern in SOURCE_FILES for path in DBT_PROJECT.glob(pattern) if path.is_file()}
    return " ".join([*versions(engine), files_digest(files, DBT_PROJECT)])


def warm_up(paths: Paths) -> None:
    """Let dbt be imported, and the parsed project be read once, while the caller does other things."""
    # dbt's first invocation takes twice as long as the next, and listing is the cheapest
    DBT.warm_up(Invocation(paths, DUCKDB, ("list",)) if _is_parsed(paths, DUCKDB) else None)


def ensure_parsed(paths: Paths, engine: Engine = DUCKDB) -> Path:
    """Path of the current `manifest.json`; dbt parses the project only where it has changed.

    Raises HotlineError with dbt's own words where the project does not parse.
    """
    folder, stamp = paths.parsed_project(engine.target), _stamp(paths, engine)
    if not _is_parsed(paths, engine):
        if stamp.is_file() and stamp.read_bytes().startswith(project_fingerprint(engine).encode()):
            logger.warning("dbt 的解析结果已损坏,重新解析 / what dbt has parsed is damaged: it is parsed again")
        if not folder.is_dir():
            remove(folder)
        remove(stamp)  # first: it may come to be true again of what is half written now
        for name in PARSED:
            remove(folder / name)
        list(_invoke(Invocation(paths, engine, ("parse", "--no-partial-parse"))))
        for name in PARSED:
            flush(folder / name)
        replace_files({stamp: _stamp_of(folder, engine)})
    return folder / "manifest.json"


def _is_parsed(paths: Paths, engine: Engine) -> bool:
    folder, stamp = paths.parsed_project(engine.target), _stamp(paths, engine)
    is_there = stamp.is_file() and all((folder / name).is_file() for name in PARSED)
    return is_there and stamp.read_bytes() == _stamp_of(folder, engine)


def _stamp(paths: Paths, engine: Engine) -> Path:
    """Written last: it says what was parsed, and the hashes of what came of it."""
    return paths.parsed_project(engine.target) / "fingerprint"


def _stamp_of(folder: Path, engine: Engine) -> bytes:
    return "\n".join([project_fingerprint(engine), *(sha256_of(folder / name) for name in PARSED)]).encode()


def run_step(paths: Paths, step: str, wave: str | None = None, engine: Engine = DUCKDB) -> Iterator[NodeResult]:
    """Build the models of `step` and run their tests, for what the scope file names.

    Yields one result per node as dbt gets done with it; failed nodes come last (see
    `raise_for_failures`). Raises HotlineError where dbt itself fails.
    """
    ensure_parsed(paths)
    if step == SCORES:
        for name in WRITTEN:
            remove(paths.dbt_target / name)
    if engine != DUCKDB:
        return _run_step_elsewhere(paths, step, wave, engine)
    return _invoke(Invocation(paths, DUCKDB, ("build", *SELECTION[step], *PRODUCTION), wave))


def _run_step_elsewhere(paths: Paths, step: str, wave: str | None, engine: Engine) -> Iterator[NodeResult]:
    """What the engine says of its tests and failures, and of its tables once the warehouse has them."""
    ensure_parsed(paths, engine)
    models = SELECTION[step] if step == SCORES else [*SELECTION[step], *VIEWS]
    made = {}
    is_failed = False
    for result in _invoke(Invocation(paths, engine, ("build", *models, *PRODUCTION), step=step)):
        is_failed |= result.is_failed
        if result.resource_type == "model" and not result.is_failed:
            made[result.name] = result
        else:
            yield result
    if not is_failed:
        for result in _invoke(Invocation(paths, WAREHOUSE, ("run", *SELECTION[step], "--no-write-json"), wave)):
            yield result if result.is_failed else replace(result, seconds=made[result.name].seconds)


def run_unit_tests(paths: Paths) -> list[NodeResult]:
    """Run the unit tests of the models; they need no data and stay out of production builds."""
    ensure_parsed(paths)
    return list(_invoke(Invocation(paths, DUCKDB, ("test", "--select", "test_type:unit"))))


def _invoke(invocation: Invocation) -> Iterator[NodeResult]:
    make_private(invocation.paths.home)
    return DBT.follow(invocation)


def raise_for_failures(results: Iterable[NodeResult]) -> None:
    """Raise GateFailed where a test failed, HotlineError where a model did; both name all of them.

    Raises Busy where another program has the warehouse open.
    """
    failed = [result for result in results if result.is_failed]
    if not failed:
        return
    for result in failed:
        if is_lock_conflict(result.message):
            raise Busy(f"warehouse.duckdb 被其他程序占用 / is in use by another program: {holder(result.message)}")
    lines = [f"  {result.name}: {result.message.strip()}{_first_rows(result)}" for result in failed]
    text = "数据模型的检验未通过,未发布任何内容 / checks of the models failed, nothing is published:\n" + "\n".join(
        lines
    )
    raise GateFailed(text) if all(result.resource_type == "test" for result in failed) else HotlineError(text)


def _first_rows(result: NodeResult) -> str:
    return "".join(f"\n    {json.dumps(row, ensure_ascii=False, default=str)}" for row in result.failing_rows[:3])
