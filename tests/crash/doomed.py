"""`hotline` that dies at a chosen moment: `python -m tests.crash.doomed POINTS MOMENT WHOM run …`.

A moment is the n-th time that this process is about to change something in its state folder (open a
file for writing, rename or remove one), or has heard from a worker. Each is written to the
file POINTS as it comes; 0 is never reached. WHOM: `main`, this process alone, or `all`, with its
children: its whole process group, which should be its own. MOMENT may be words of that file instead
of a number: the first moment that has them.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

from dagster_project import cli, worker

# audit event -> the argument that names what is about to change
CHANGES = {"open": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.symlink": 1, "os.truncate": 0,
           "sqlite3.connect": 0}  # fmt: skip


def main() -> None:
    points, moment, whom, *arguments = sys.argv[1:]
    home = os.environ["HOTLINE_HOME"]
    numbers = count(1)
    log = os.open(points, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def reached(what: str) -> None:
        number = next(numbers)
        os.write(log, f"{number} {what}\n".encode())
        if str(number) == moment or (not moment.isdigit() and moment in what):
            if whom == "all":
                os.killpg(os.getpgrp(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        name = arguments[CHANGES[event]]
        if isinstance(name, str | Path) and str(name).startswith(home):
            reached(f"{event} {str(name)[len(home) :]}")

    sys.addaudithook(hook)
    receive = worker.Worker._receive

    def heard(self: worker.Worker, child: Any) -> Any:
        said = receive(self, child)
        reached(f"heard from {self._module}")
        return said

    # ignored: putting another method in its place is what this is for
    worker.Worker._receive = heard  # type: ignore[method-assign]
    sys.argv = ["hotline", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
