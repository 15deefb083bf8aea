"""Both dbt steps on one engine, for all waves at once: `python -m tests.integration.engine_steps ENGINE HOME WAVE …`.

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
from dagster_project.transform.scope import full_scope, write_scope
from dagster_project.transform.warehouse import begin_step


def main(engine: str, home: str, *waves: str) -> int:
    paths = Paths(raw=Path(home), home=Path(home))
    scopes = [full_scope(paths, wave) for wave in waves]
    try:
        for step in (SCORES, PUBLISHED):
            started = time.perf_counter()
            write_scope(paths, *scopes)
            for scope in scopes:
                begin_step(paths, scope.wave, step)
            raise_for_failures(run_step(paths, step, engine=engine_named(engine)))
            print(f"{engine} {step}: {time.perf_counter() - started:.1f} s", flush=True)
    except HotlineError as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
