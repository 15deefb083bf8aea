"""DuckDB as every step opens it: no network, no extensions, and no files but the named ones.

Belongs here: what a connection may touch, how a name stands in a query, who else has the file open. Does
not belong here: queries.
The suites' queries and dbt's models are text that somebody edits; a confined connection reads neither
passwords nor keys, writes nothing beside the data, and can not be talked out of it. What such a text
reads is named `input://…` and cannot be written (`read_only_files.py`).
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dagster_project.errors import Busy, Damaged
from dagster_project.files import refusal

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("hotline")
Opened = TypeVar("Opened")

INPUT = "input"  # the scheme of files that are read and not written
# What can be said only while a database is opened.
OPTIONS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_extension_repositories": "forbidden",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",  # a name in a query is a table, never a variable of Python
    "enable_external_file_cache": "false",  # input files are on this disk: a copy in memory serves nobody
}
# How long to wait for another program that has a database open.
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.25
LOCK_CONFLICT = re.compile(r"Could not set lock on file")
HOLDER = re.compile(r"Conflicting lock is held in (.*?)\(PID (\d+)\)")


def connect(
    home: Path,
    database: Path | None = None,
    *,
    readable: Sequence[Path] = (),
    attached: Mapping[str, Path] | None = None,
    folders: Iterable[Path] = (),
    **options: Any,
) -> "duckdb.DuckDBPyConnection":
    """The file `database`, or a database in memory, confined to itself and what is named.

    Args:
        home: the state folder. Files below it may be named relative to it.
        database: None for one in memory.
        readable: folders whose files a query reads as `input_name` calls them.
        attached: {name: database}, attached for reading.
        folders: read and written. For statements of the pipeline itself only: never where a model or a
            suite is executed.
        options: of `duckdb.connect` (`read_only`) and of DuckDB (`threads`).

    The connection is the caller's to close. Raises what `opened` raises.
    """
    import duckdb

    settings = {**OPTIONS, "file_search_path": str(home), **options}
    read_only = settings.pop("read_only", False)
    if database is None:
        settings["temp_directory"] = str(home / "duckdb.tmp")  # beside a file's database, but below no other folder
        connection = duckdb.connect(":memory:", read_only=read_only, config=settings)
    else:
        connection = opened(database, lambda: duckdb.connect(str(database), read_only=read_only, config=settings))
    for name, other in (attached or {}).items():
        _attach(connection, name, other)
    confine(connection, home, readable, folders)
    return connection


def _attach(connection: "duckdb.DuckDBPyConnection", name: str, database: Path) -> None:
    statement = f"attach $database as {quoted(name)} (read_only)"
    opened(database, lambda: connection.execute(statement, {"database": str(database)}))


def opened(database: Path, open_it: Callable[[], Opened]) -> Opened:
    """What `open_it` returns, once no other program has `database` open.

    Raises Busy, naming the process, after WAIT_SECONDS of waiting; Damaged where the file is not a database
    that can be read. A refusal of the system (no permission, no space) is raised as it is.
    """
    import duckdb

    deadline = None
    while True:
        try:
            return open_it()
        except duckdb.Error as error:
            if not is_lock_conflict(str(error)):
                raise damaged(database, error) from error
            if deadline is None:
                deadline = time.monotonic() + WAIT_SECONDS
                logger.warning(
                    "%s 被其他程序打开(%s),最多等待 %d 秒 / is open in another program (%s); waiting up to %d s",
                    database.name, holder(str(error)), WAIT_SECONDS, holder(str(error)), WAIT_SECONDS,
                )  # fmt: skip
            if time.monotonic() > deadline:
                raise busy(database, holder(str(error))) from error
            time.sleep(POLL_SECONDS)


@contextmanager
def reading(database: Path) -> Iterator[None]:
    """Raises Damaged for what DuckDB says of the blocks of `database` while it reads them."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise damaged(database, error) from error


def damaged(database: Path, error: "duckdb.Error") -> Exception:
    """Damaged, with a remedy, for what DuckDB says of a file.

    The error itself where the system refused, memory was short, or the user interrupted.
    """
    import duckdb

    if refusal(error) is not None or isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
        return error
    return Damaged(
        f"{database} 已损坏,不能读取;重新运行该监测期即可重新生成 / is damaged and cannot be read; run the wave again, "
        f"which makes it again: hotline run\n{str(error).splitlines()[0]}"
    )


def busy(database: Path, process: str) -> Busy:
    return Busy(
        f"{database} 被其他程序占用({process}),已等待 {WAIT_SECONDS:.0f} 秒;请关闭该程序后重新运行 / is in use by "
        f"another program ({process}); waited {WAIT_SECONDS:.0f} s. Close that program, then run the same command again"
    )


def is_lock_conflict(words: str) -> bool:
    """Whether DuckDB, or dbt repeating it, says that another program has the database open."""
    return LOCK_CONFLICT.search(words) is not None


def holder(words: str) -> str:
    """`pid N (program)` as DuckDB's words name the other program."""
    found = HOLDER.search(words)
    return f"pid {found[2]} ({found[1].strip()})" if found else "pid 未知 / unknown"


def confine(
    connection: "duckdb.DuckDBPyConnection", home: Path, readable: Sequence[Path], folders: Iterable[Path] = ()
) -> None:
    """Close everything but `readable` and `folders` to a connection, for good. Open databases stay open.

    What is allowed has to be said before the rest is closed, and the lock comes last. DuckDB asks
    twice whether a file that is named relative to the search path may be read: by the name as
    written, and by the file that it finds. So both are allowed.
    """
    names = [name for path in folders for name in _names(path, home)]
    if readable:
        from dagster_project.read_only_files import ReadOnlyFiles

        connection.register_filesystem(ReadOnlyFiles(home, readable))
        names.append(f"{INPUT}://")
    connection.execute(f"set global allowed_directories = [{', '.join(map(_literal, names))}]")
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set global enable_external_access = false")
    connection.execute("set global lock_configuration = true")


def input_name(path: Path, home: Path) -> str:
    """What a query calls a file of `readable`; patterns are possible.

    A path that is not below `home` is named in full: `hotline whatif` reads another installation's baseline, and a
    folder of releases may be a link to another disk.
    """
    return f"{INPUT}://{(path.relative_to(home) if path.is_relative_to(home) else path.absolute()).as_posix()}"


def quoted(name: str) -> str:
    """A name that is not ours, as a query may hold it."""
    return '"' + name.replace('"', '""') + '"'


def _names(path: Path, home: Path) -> list[str]:
    return [str(path.resolve()), *([str(path.relative_to(home))] if path.is_relative_to(home) else [])]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
