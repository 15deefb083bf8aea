"""No process imports code from the folder where it happens to be started.

Python puts that folder on its path for `python -m` and for empty or relative entries of PYTHONPATH, and Dagster reads
`.env` and modules from it. Absolute entries of PYTHONPATH are the operator's own choice and stay.

Imports nothing of ours but `paths`: `dagster_project/__init__.py` calls it before anything else is imported.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from dagster_project.paths import PROJECT, paths, python_path


def leave_current_folder() -> None:
    """Take the current folder off this process's path, as far as nobody named it."""
    entries = python_path()
    if entries != [""]:
        found = {True: set[str](), False: set[str]()}  # where Python finds them: {is it named?: folders}
        for entry in map(Path, entries):
            found[entry.is_absolute()].add(os.path.normpath(entry.absolute()))
        sys.path[:] = [entry for entry in sys.path if entry not in found[False] - found[True]]
    if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:  # one of our own modules is about to be run by its name
        del sys.path[0]


def protect_children() -> None:
    """Give every process that this one starts, and those that they start, a path without their current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in python_path() if Path(entry).is_absolute())


def become(command: list[str]) -> NoReturn:
    """Replace this process by a server that runs in the project's folder; it keeps the signals of this one."""
    installation = paths()  # relative ones are of the folder that is left
    os.environ.update(HOTLINE_RAW=str(installation.raw), HOTLINE_HOME=str(installation.home))
    protect_children()
    sys.stdout.flush()
    os.chdir(PROJECT)
    os.execv(command[0], command)
