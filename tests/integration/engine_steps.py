"""Both dbt steps on one engine: `python -m tests.integration.engine_steps HOME ENGINE WAVE [LINE …]`.

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
from dagster_project.transform.scope import Scope, full_scope, withdraw_stamps, write_scope


def main(home: str, engine: str, wave: str, *lines: str) -> int:
    paths = Paths(raw=Path(home), home=Path(home))
    everything = full_scope(paths, wave)
    try:
        for step in (SCORES, PUBLISHED):
            scope = Scope(wave, lines, is_full=False) if lines and step == SCORES else everything
            started = time.perf_counter()
            write_scope(paths, scope)
            withdraw_stamps(paths, scope, step)
            raise_for_failures(run_step(paths, step, wave, engine_named(engine)))
            print(f"{engine} {wave} {step}: {time.perf_counter() - started:.1f} s", flush=True)
    except HotlineError as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
