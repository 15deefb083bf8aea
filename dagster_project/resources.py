"""What a run needs from outside: the installation that it works in.

Does not belong here: connections (DuckDB has one writer; each step opens and closes its own).
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg

from dagster_project.ingest.wave import list_waves
from dagster_project.inputs import record_inputs
from dagster_project.lock import run_lock
from dagster_project.partitions import require_wave, waves
from dagster_project.paths import Paths, paths
from dagster_project.recovery import clear_state_folder
from dagster_project.runlog import within
from dagster_project.runs import end_abandoned_runs, origin_of, run_process
from dagster_project.team import keep_connections, own_mark
from dagster_project.transform.engine import DUCKDB, Engine, engine_named

logger = logging.getLogger("hotline")


def _wave_of(context: dg.InitResourceContext) -> str | None:
    return context.run.tags.get("dagster/partition") if context.run else None


class Installation(dg.ConfigurableResource):
    """The installation of this process, held by one run from its first step to its last.

    `target`: the engine that executes the dbt steps; what they make is the same on each.
    """

    target: str = DUCKDB.name

    @property
    def paths(self) -> Paths:
        return paths()

    @property
    def engine(self) -> Engine:
        """Raises UsageError where it is unknown or not installed."""
        return engine_named(self.target)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Installation"]:
        if _is_over(context):
            yield self
            return
        with ExitStack() as stack:
            if context.run is not None:
                stack.enter_context(run_process(self.paths, context.run.run_id))
                stack.enter_context(within(origin_of(context.run)))
            if context.instance is not None and context.run is not None and own_mark():
                # before the lock: whose run it is must be known of one that may not have it
                keep_connections(context.instance)
                context.instance.add_run_tags(context.run.run_id, own_mark())
            wave_id = require_wave(context.run.tags, list_waves(self.paths)) if context.run is not None else None
            stack.enter_context(run_lock(self.paths))
            clear_state_folder(self.paths, _wave_of(context))
            if context.instance is not None:
                end_abandoned_runs(self.paths, context.instance, but=context.run.run_id if context.run else None)
                if wave_id is not None:
                    context.instance.add_dynamic_partitions(str(waves.name), [wave_id])
                    record_inputs(context.instance, self.paths, wave_id, logger)
            yield self


def _is_over(context: dg.InitResourceContext) -> bool:
    """Whether the run has ended: `dagster job execute` initializes resources once more to look at its result."""
    if context.instance is None or context.run is None:
        return False
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.is_finished
