"""DuckDB as every step opens it: no network, no extensions, and no files but the named ones.

Belongs here: what a connection may touch, how a name stands in a query. Does not belong here: queries.
The suites' queries and dbt's models are text that somebody edits; a confined connection reads neither
passwords nor keys, writes nothing beside the data, and can not be talked out of it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# What can be said only while a database is opened.
OPTIONS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_extension_repositories": "forbidden",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",  # a name in a query is a table, never a variable of Python
}


def connect(
    home: Path,
    database: Path | None = None,
    *,
    folders: Iterable[Path] = (),
    files: Iterable[Path] = (),
    **options: Any,
) -> "duckdb.DuckDBPyConnection":
    """The file `database`, or a database in memory, confined to itself, `folders` and `files`.

    Files below `home` may be named relative to it. `options`: of `duckdb.connect` (`read_only`) and of
    DuckDB (`threads`). The connection is the caller's to close.
    """
    import duckdb

    settings = {**OPTIONS, "file_search_path": str(home), **options}
    read_only = settings.pop("read_only", False)
    if database is None:
        settings["temp_directory"] = str(home / "duckdb.tmp")  # beside a file's database, but below no other folder
    connection = duckdb.connect(str(database or ":memory:"), read_only=read_only, config=settings)
    confine(connection, home, folders, files)
    return connection


def confine(
    connection: "duckdb.DuckDBPyConnection", home: Path, folders: Iterable[Path], files: Iterable[Path] = ()
) -> None:
    """Close everything but `folders` and `files` to a connection, for good. The open database itself stays open.

    What is allowed has to be said before the rest is closed, and the lock comes last. DuckDB asks
    twice whether a file that is named relative to the search path may be read: by the name as
    written, and by the file that it finds. So both are allowed.
    """
    for setting, paths in (("allowed_directories", folders), ("allowed_paths", files)):
        names = [name for path in paths for name in _names(path, home)]
        connection.execute(f"set global {setting} = [{', '.join(map(_literal, names))}]")
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set global enable_external_access = false")
    connection.execute("set global lock_configuration = true")


def attachable(database: Path) -> tuple[Path, Path]:
    """The `files` that let a database be attached: its own, and the log that DuckDB looks for."""
    return database, database.with_name(f"{database.name}.wal")


def quoted(name: str) -> str:
    """A name that is not ours, as a query may hold it."""
    return '"' + name.replace('"', '""') + '"'


def _names(path: Path, home: Path) -> list[str]:
    return [str(path.resolve()), *([str(path.relative_to(home))] if path.is_relative_to(home) else [])]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
