"""One stage of a wave in this process, timed by itself: the child of `bench_scale.py`.

Belongs here: which public function of the pipeline each stage is, and the state that it starts from. Does
not belong here: repetition, memory, what is reported.

Seconds are those of the stage's own work: modules are imported, and the workers (Great Expectations, dbt)
have answered once, before the clock starts. A whole run pays for that once, as a part of its overhead.

`python -m benchmarks.scale_stages scores 2101 [LINE]` prints JSON
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster_project.ingest.wave import Wave, load_wave
from dagster_project.paths import Paths, paths

Told = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a stage works on. `lines` empty: all."""

    paths: Paths
    wave: Wave
    lines: tuple[str, ...]


def nothing(_: Task) -> None:
    """No worker to wait for, or the state that the stage before left."""


# Workers that are waited for ----------------------------------------------------------------------


def load_gate(_: Task) -> None:
    import pyarrow as pa

    from dagster_project.worker import GATE

    expectation = {
        "type": "expect_table_row_count_to_equal", "kwargs": {"value": 1}, "severity": "critical",
        "meta": {"check": "is_loaded"}, "notes": "",
    }  # fmt: skip
    GATE.ask(("loading", [expectation], [], pa.table({"any": [1]})))


def load_dbt(task: Task) -> None:
    from dagster_project.transform.dbt_step import Invocation, ensure_parsed
    from dagster_project.transform.engine import DUCKDB
    from dagster_project.worker import DBT

    ensure_parsed(task.paths)
    DBT.ask(Invocation(task.paths, DUCKDB, ("list",)))  # the first invocation takes twice as long as the next


# The states that stages start from ----------------------------------------------------------------


def forget_bronze(task: Task) -> None:
    for part in task.paths.bronze.glob(f"*/wave={task.wave.id}"):
        shutil.rmtree(part)
    task.paths.ingest_report(task.wave.id).unlink(missing_ok=True)


def forget_fieldwork(task: Task) -> None:
    task.paths.fieldwork(task.wave.id).unlink(missing_ok=True)


def forget_scores(task: Task) -> None:
    warehouse = task.paths.warehouse
    for file in (warehouse, warehouse.with_name(f"{warehouse.name}.wal")):
        file.unlink(missing_ok=True)


def forget_release(task: Task) -> None:
    for folder in (task.paths.releases(task.wave.id), task.paths.rank_sets(task.wave.id)):
        shutil.rmtree(folder, ignore_errors=True)


# The stages, as the assets run them ---------------------------------------------------------------


def ingest(task: Task) -> Told:
    from dagster_project.ingest.bronze import ingest_wave, write_tables
    from dagster_project.release.baseline import baseline_tables

    report = ingest_wave(task.paths, task.wave)
    write_tables(task.paths, task.wave.id, baseline_tables(task.paths, task.wave))
    return {"rows": report.n_bronze, "bytes": sum(file.bytes for file in report.files)}


def fieldwork(task: Task) -> Told:
    from dagster_project.fieldwork import assess

    assess(task.paths, task.wave.id)
    return {}


def gate(stage: str) -> Callable[[Task], Told]:
    def evaluate(task: Task) -> Told:
        from dagster_project.gate.verdicts import evaluate_gate, raise_for_failures, write_quality

        result = evaluate_gate(task.paths, task.wave, stage)
        write_quality(task.paths, task.wave.id, [result])
        raise_for_failures(task.paths, [result])
        return {}

    return evaluate


def scores(task: Task) -> Told:
    from dagster_project.transform.dbt_step import SCORES
    from dagster_project.transform.scope import plan_scope

    return _dbt_step(task, SCORES, plan_scope(task.paths, task.wave.id, task.lines))


def published(task: Task) -> Told:
    from dagster_project.transform.dbt_step import PUBLISHED
    from dagster_project.transform.scope import full_scope, require_scored

    require_scored(task.paths, task.wave.id)
    return _dbt_step(task, PUBLISHED, full_scope(task.paths, task.wave.id))


def _dbt_step(task: Task, step: str, scope: Any) -> Told:
    from dagster_project.transform.dbt_step import raise_for_failures, run_step
    from dagster_project.transform.scope import write_scope
    from dagster_project.transform.warehouse import begin_step, drop_stale_warehouse

    drop_stale_warehouse(task.paths)
    write_scope(task.paths, scope)
    begin_step(task.paths, scope.wave, step)
    results = list(run_step(task.paths, step, scope.wave))
    raise_for_failures(results)
    return {
        "lines": len(scope.lines),
        "nodes": {f"{each.resource_type} {each.name}": round(each.seconds, 4) for each in results},
        "rows": {each.name: each.n_rows for each in results if each.n_rows is not None},
    }


def release(task: Task) -> Told:
    """The gate once more, on what the second dbt step wrote, and the folder."""
    import pyarrow.parquet as pq

    from dagster_project.release.freeze import freeze
    from dagster_project.release.publish import publish

    started = time.perf_counter()
    gate("publishable")(task)
    gate_s = time.perf_counter() - started
    folder = freeze(task.paths, task.wave)
    publish(task.paths, task.wave.id, folder.name)
    return {
        "gate_s": gate_s,
        "observations": pq.ParquetFile(folder / "observations.parquet").metadata.num_rows,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }


def statistics(task: Task) -> Told:
    """What a release spends on standard errors and rank sets, done once more for the release that stands."""
    import pyarrow.parquet as pq

    from dagster_project.release.uncertainty import with_rank_sets, write_standard_errors

    current = task.paths.current(task.wave.id).resolve()
    with tempfile.TemporaryDirectory(dir=task.paths.home) as folder:
        copy = Path(folder) / "release"
        shutil.copytree(current, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
        (copy / "standard_errors.parquet").unlink()
        rankings = pq.ParquetFile(copy / "rankings.parquet").read(["group_code", "rank", "unit", "unit_code"])
        started = time.perf_counter()
        errors = write_standard_errors(copy)
        errors_s = time.perf_counter() - started
        with_rank_sets(copy, rankings, errors, Path(folder) / "kept")
        return {"seconds": time.perf_counter() - started, "standard_errors_s": errors_s}


def report(task: Task) -> Told:
    from dagster_project.report.publish import publish_report

    publish_report(task.paths, task.wave.id)
    return {}


def forget_wave(task: Task) -> Told:
    """Not a stage: leave of every wave nothing but its exports, for a full run."""
    for forget in (forget_bronze, forget_fieldwork, forget_scores, forget_release):
        forget(task)
    shutil.rmtree(task.paths.reports(task.wave.id), ignore_errors=True)
    return {}


def run_steps(task: Task) -> Told:
    """Not a stage: what the steps of the last run took, as Dagster has written down."""
    from dagster_project.launch import dagster_instance

    with dagster_instance(task.paths) as instance:
        (record,) = instance.get_run_records(limit=1)
        steps = instance.get_run_step_stats(record.dagster_run.run_id)
    # a step that has not ended has no time, and no run that is measured leaves one
    return {"steps": {step.step_key: step.end_time - step.start_time for step in steps}}


@dataclass(frozen=True)
class Stage:
    run: Callable[[Task], Told]
    modules: tuple[str, ...] = ()
    load: Callable[[Task], None] = nothing
    prepare: Callable[[Task], None] = nothing


# Where the pipeline's functions change their names or places, this file is what changes with them.
GATE, DBT = ("dagster_project.gate.verdicts", "pyarrow"), ("dagster_project.transform.scope", "pyarrow.parquet")
RELEASE = ("dagster_project.release.freeze", "dagster_project.release.publish")
STAGES = {
    "ingest": Stage(
        ingest, ("dagster_project.ingest.bronze", "dagster_project.release.baseline"), prepare=forget_bronze
    ),
    "fieldwork": Stage(fieldwork, ("dagster_project.fieldwork",), prepare=forget_fieldwork),
    "gate_1": Stage(gate("delivered"), GATE, load_gate),
    "scores": Stage(scores, DBT, load_dbt, forget_scores),
    "gate_2": Stage(gate("publishable"), GATE, load_gate),
    "published": Stage(published, DBT, load_dbt),
    "release": Stage(release, (*GATE, *RELEASE), load_gate, forget_release),
    "report": Stage(report, ("dagster_project.report.publish",)),
    "statistics": Stage(statistics, ("dagster_project.release.uncertainty", "pyarrow.parquet")),
    "one_line_scores": Stage(scores, DBT, load_dbt),
    "forget_wave": Stage(forget_wave),
    "run_steps": Stage(run_steps),
}


def main(name: str, wave: str, *lines: str) -> None:
    installation = paths()
    task = Task(installation, load_wave(installation, wave), lines)
    stage = STAGES[name]
    stage.prepare(task)
    for module in stage.modules:
        import_module(module)
    stage.load(task)
    started = time.perf_counter()
    told = stage.run(task)
    print(json.dumps({"seconds": time.perf_counter() - started, **told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
