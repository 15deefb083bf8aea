"""Waves run in an installation that is thrown away: the command line itself, upon another raw folder or home.

Belongs here: running there, and passing on what stopped it. Does not belong here: what such an
installation holds, or what its release is compared with (`verify.py`, `whatif.py`).
"""

import os
import subprocess
import sys
from collections.abc import Iterable

from dagster_project.errors import UNEXPECTED, failure
from dagster_project.paths import SHARED, Paths


def run_apart(scratch: Paths, waves: Iterable[str]) -> None:
    """Run the waves, each after its baseline, in a process of their own; no report is rendered.

    What stops them is raised as the kind of failure that it is there, with the words that it has there.
    """
    command = [sys.executable, "-P", "-m", "dagster_project.cli", "--quiet", "run", "--no-report"]
    for each in waves:
        command += ["--wave", each]
    # what is thrown away goes to no store and stands in no history that others read
    shared = dict.fromkeys(SHARED, "")
    environment = {**os.environ, **shared, "HOTLINE_HOME": str(scratch.home), "HOTLINE_RAW": str(scratch.raw)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        # a line that points into the installation leads nowhere by the time it is read
        said = [
            line
            for line in done.stderr.splitlines()
            if str(scratch.home) not in line or line.startswith(UNEXPECTED)  # which is all that is known then
        ]
        raise failure(done.returncode)("\n".join(said).strip())
