"""One run at a time per installation.

The kernel holds the lock and drops it with the process, so it cannot go stale; the file's text
only says who holds it, and what a killed holder left there stays until the next one writes.
"""

import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from dagster_project.errors import Busy
from dagster_project.paths import Paths
from dagster_project.private import keep_private, make_private
from dagster_project.recovery import clear_place

# A run started by the command line takes the lock before Dagster is even imported; the same
# process then asks again from within the run.
_held: dict[str, "_Held"] = {}
_guard = threading.Lock()

# How long to wait for another process that appends a record; it needs milliseconds.
APPEND_SECONDS = 30.0
# How long a holder may take from getting the lock to saying so.
SECONDS_TO_SAY_SO = 2.0


@dataclass
class _Held:
    """The lock file of an installation that this process holds, and how many parts of the process hold it."""

    handle: IO[str]
    n_holders: int = 0


@contextlib.contextmanager
def run_lock(paths: Paths) -> Iterator[None]:
    """Hold the installation. Raises Busy, naming pid and start of the holder, where another process has it.

    The process releases it when the last of its parts does, in whatever order and thread they end.
    """
    key = str(paths.lock)
    with _guard:
        if key not in _held:
            _held[key] = _Held(_acquire(paths))
        _held[key].n_holders += 1
    try:
        yield
    finally:
        with _guard:
            held = _held[key]
            held.n_holders -= 1
            if held.n_holders == 0:
                del _held[key]
                held.handle.truncate(0)
                held.handle.close()


def _acquire(paths: Paths) -> IO[str]:
    make_private(paths.home)
    clear_place(paths.home, paths.lock)
    handle = paths.lock.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(handle) or "?"
        handle.close()
        raise Busy(f"另一次运行正在进行 / another run holds this installation: {holder}") from None
    keep_private(paths.home)
    handle.truncate(0)
    handle.write(f"pid {os.getpid()}, 开始于 / since {datetime.now().astimezone().isoformat(timespec='seconds')}")
    handle.flush()
    return handle


def _holder(handle: IO[str]) -> str:
    """What the holder says of itself; waits a little while nothing stands there, or what a dead one left."""
    deadline = time.monotonic() + SECONDS_TO_SAY_SO
    while True:
        handle.seek(0)
        said = handle.read().strip()
        pid = re.match(r"pid (\d+)", said)
        if (pid and _is_alive(int(pid[1]))) or time.monotonic() > deadline:
            return said
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def is_held(paths: Paths) -> bool:
    """Whether a process holds the installation at this moment."""
    if not paths.lock.is_file():
        return False
    with paths.lock.open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def append_lock(path: Path) -> Iterator[None]:
    """Hold `path` for one append to a log. Raises Busy where another process keeps it for APPEND_SECONDS.

    Apart from the installation: a run that may not have that must still record so.
    """
    make_private(path.parent)
    clear_place(path.parent, path)
    deadline = time.monotonic() + APPEND_SECONDS
    with path.open("a", encoding="utf-8") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Busy(f"另一进程占用日志 / another process holds the log: {path}") from None
                time.sleep(0.01)
        yield
