"""Both dbt steps on one engine: `python -m tests.integration.engine_steps ENGINE HOME WAVE [HOME WAVE …]`.

A process of its own, because an engine stays where it was started: Sail's threads, Spark's Java.
"""

import logging
import sys
import time
from pathlib import Path

from dagster_project.errors import HotlineError
from dagster_project.paths import Paths
from dagster_project.transform.dbt_step import PUBLISHED, SCORES, raise_for_failures, run_step
from dagster_project.transform.engine import engine_named
from dagster_project.transform.scope import full_scope, withdraw_stamps, write_scope


def main(engine: str, *homes_and_waves: str) -> int:
    try:
        for home, wave in zip(homes_and_waves[::2], homes_and_waves[1::2], strict=True):
            build(engine, Paths(raw=Path(home), home=Path(home)), wave)
    except HotlineError as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_code
    return 0


def build(engine: str, paths: Paths, wave: str) -> None:
    scope = full_scope(paths, wave)
    for step in (SCORES, PUBLISHED):
        started = time.perf_counter()
        write_scope(paths, scope)
        withdraw_stamps(paths, scope, step)
        raise_for_failures(run_step(paths, step, wave, engine_named(engine)))
        print(f"{engine} {wave} {step}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
