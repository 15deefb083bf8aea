"""Whether Dagster's own databases can be used: whole, not held by another program, and of the right kind.

Belongs here: the SQLite files below `data/dagster`. Does not belong here: what Dagster keeps in them
(`history.py`), an instance that several installations share (`team.py`).
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dagster_project.database import POLL_SECONDS, WAIT_SECONDS, busy
from dagster_project.errors import Busy
from dagster_project.files import causes, refusal
from dagster_project.paths import Paths

logger = logging.getLogger("hotline")

# Files that only make sense together; {name: table and column of the JSON that Dagster stores}
RUNS = {"runs.db": ("runs", "run_body"), "event_log.db": ("event_logs", "event")}
SCHEDULES = {"schedules.db": ("jobs", "job_body")}
GROUPS = (RUNS, SCHEDULES)
BESIDE = ("", "-wal", "-shm", "-journal")
LAST_ROWS = 5000  # of a table: older ones are read by the UI alone
IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
UNKNOWN = "pid 未知 / unknown"
PRIMARY = 0xFF  # of SQLite's extended result codes


def unusable_databases(paths: Paths) -> list[str]:
    """Names of every database in a group that misses one or has a damaged one. Raises Busy for a locked one."""
    return [
        name
        for group in GROUPS
        if not all(_is_whole(paths.dagster_home / name, *stored) for name, stored in group.items())
        for name in group
    ]


def database_files(paths: Paths, names: list[str]) -> list[Path]:
    """What exists of these databases, with the files that SQLite puts next to them."""
    return [path for name in names for path in _existing(paths.dagster_home / name)]


def database_names() -> list[str]:
    return [name for group in GROUPS for name in group]


def busy_history(paths: Paths, error: BaseException) -> Busy | None:
    """Busy where SQLite says, anywhere among the causes of `error`, that another program holds a lock."""
    if not any(is_busy(each) for each in causes(error)):
        return None
    holders = {lock_holder(paths.dagster_home / name) for name in database_names()} - {UNKNOWN}
    return busy(paths.dagster_home, ", ".join(sorted(holders)) or UNKNOWN)


def is_busy(error: BaseException) -> bool:
    """Whether SQLite says that another program holds a lock."""
    return isinstance(error, sqlite3.Error) and _code(error) in IN_USE


def lock_holder(database: Path) -> str:
    """The process that holds a lock on a database, as `pid N (program)`."""
    ours = str(os.getpid())
    for pid in _lock_pids(database):
        if pid != ours:
            return f"pid {pid} ({_program(pid)})"
    return UNKNOWN


def _existing(database: Path) -> list[Path]:
    files = (database.with_name(database.name + suffix) for suffix in BESIDE)
    return [path for path in files if path.exists() or path.is_symlink()]


def _is_whole(database: Path, table: str, column: str) -> bool:
    """Whether SQLite can read every page, and Dagster the latest rows. Raises what the system refuses, and Busy."""
    # SQLite removes the files next to it while others close the database: they may be gone, but be no folders
    if not database.is_file() or any(path.is_dir() for path in _existing(database)):
        return False
    try:
        with closing(_connected(database)) as connection:
            (found,) = connection.execute("pragma quick_check(1)").fetchone()
            connection.execute("select version_num from alembic_version").fetchall()
            rows = connection.execute(f"select {column} from {table} order by id desc limit {LAST_ROWS}")  # noqa: S608  # our names
            for (text,) in rows:
                json.loads(text)
    except sqlite3.Error as error:
        if refusal(error) is not None or is_busy(error):
            raise
        return False
    except ValueError:  # a row is not JSON, or not UTF-8
        return False
    return bool(found == b"ok")


def _connected(database: Path) -> sqlite3.Connection:
    """A connection with the write lock, waited for up to WAIT_SECONDS; closing it gives the lock back.

    While it has the lock, no other program's commit can interrupt what it reads.
    """
    deadline = None
    while True:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        connection.text_factory = bytes
        try:
            connection.execute("begin immediate")
        except sqlite3.Error as error:
            connection.close()
            if not is_busy(error):
                raise
            if deadline is None:
                deadline = time.monotonic() + WAIT_SECONDS
                process = lock_holder(database)
                logger.warning(
                    "%s 被其他程序占用(%s),最多等待 %d 秒 / is in use by another program (%s); waiting up to %d s",
                    database.name, process, WAIT_SECONDS, process, WAIT_SECONDS,
                )  # fmt: skip
            if time.monotonic() > deadline:
                raise busy(database, lock_holder(database)) from error
            time.sleep(POLL_SECONDS)
        else:
            return connection


def _code(error: sqlite3.Error) -> int:
    # errors of the module itself, such as for text that is not UTF-8, have no code
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY


def _lock_pids(database: Path) -> Iterator[str]:
    """Process ids with a lock on the database or its shared memory, writers first (Linux: /proc/locks)."""
    try:
        inodes = {path.stat().st_ino for path in _existing(database)}
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return
    # number: kind, mode, READ or WRITE, pid, device:inode, start, end; "->" marks one that waits
    held = [words for words in lines if "->" not in words and int(words[5].rpartition(":")[2]) in inodes]
    for words in sorted(held, key=lambda words: words[3] != "WRITE"):
        yield words[4]


def _program(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "?"
