"""The run history for readers: Dagster's three SQLite files, opened so that no byte near them changes.

Even to read, SQLite creates and deletes `-wal` and `-shm` files beside a database in WAL mode. Here a connection uses
those of the process that writes at the moment (`readonly_shm`); where there are none, nobody writes, and the file is
read as it is (`immutable`). Connections live for one transaction, so each finds out again.

Belongs here: these storages, and the folders of a reader's processes, which are temporary. Does not belong here: the
history that is written (`history.py`).
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._config import StringSource
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData

from dagster_project import team
from dagster_project.history import BUSY_SECONDS, RunHistory
from dagster_project.launch import DAGSTER_YAML, SETTINGS, SHARED_DAGSTER_YAML, write_dagster_yaml
from dagster_project.paths import Paths
from dagster_project.transform.dbt_step import PARSED

READERS_YAML = f"""\
{SETTINGS}\
event_log_storage: {{module: dagster_project.readers_history, class: ReadersEvents, config: &files {{
  base_dir: {{env: HOTLINE_READ_HISTORY}}, empty_dir: {{env: DAGSTER_HOME}}}}}}
run_storage: {{module: dagster_project.readers_history, class: ReadersRuns, config: *files}}
schedule_storage: {{module: dagster_project.readers_history, class: ReadersSchedules, config: *files}}
"""
CONFIG = {"base_dir": StringSource, "empty_dir": StringSource}


@contextmanager
def readers_instance(paths: Paths) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that shows the history of the installation and writes to a temporary folder.

    The code server, which this process starts, gets a temporary state folder too: it parses the dbt project there.
    """
    with tempfile.TemporaryDirectory(prefix="hotline-readers-") as folder:
        home = Path(folder)
        os.environ["HOTLINE_HOME"] = str(_state_of_readers(paths, home / "state"))
        os.environ["DAGSTER_HOME"] = folder  # of the code server too
        if team.is_shared():
            team.require_reachable()
            os.environ["HOTLINE_POSTGRES_URL"] = team.database_url()
            write_dagster_yaml(home, SHARED_DAGSTER_YAML)
        else:
            write_dagster_yaml(home, DAGSTER_YAML)
            with dg.DagsterInstance.from_config(folder):
                pass  # an empty history, shown until the first run begins one
            os.environ["HOTLINE_READ_HISTORY"] = str(paths.dagster_home)
            write_dagster_yaml(home, READERS_YAML)
        with dg.DagsterInstance.from_config(folder) as instance:
            yield instance


def _state_of_readers(paths: Paths, home: Path) -> Path:
    """A state folder with nothing but what dbt has parsed, so that it need not be parsed again."""
    own = replace(paths, home=home)
    own.dbt_target.mkdir(parents=True)
    for name in (*PARSED, "fingerprint"):
        with suppress(FileNotFoundError):  # not parsed yet
            shutil.copyfile(paths.dbt_target / name, own.dbt_target / name)
    return home


class ReadersEvents(RunHistory):
    """Event log that is only read; configured with `base_dir`, and `empty_dir` for the time before it exists."""

    def __init__(self, base_dir: str, empty_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._empty_dir = empty_dir
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return CONFIG

    def get_db_path(self) -> str:
        return str(_file(self._base_dir, self._empty_dir, "event_log"))

    @cached_property
    def _engine(self) -> sa.Engine:
        return _reading_engine(self._base_dir, self._empty_dir, "event_log")


class _Readers:
    """What the other two storages have in common."""

    _name: str

    def __init__(self, base_dir: str, empty_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _reading_engine(base_dir, empty_dir, self._name)
        super().__init__("sqlite://", inst_data)  # type: ignore[call-arg]  # mixed into a storage, which takes these

    @classmethod
    def config_type(cls) -> Any:
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection


class ReadersRuns(_Readers, SqliteRunStorage):
    """Run storage that is only read."""

    _name = "runs"

    def get_run_storage_id(self) -> str:
        """An id that pages keep their settings under. The one of the history may not have been made yet."""
        return "readers"


class ReadersSchedules(_Readers, SqliteScheduleStorage):
    """Schedule storage that is only read."""

    _name = "schedules"


def _file(base_dir: str, empty_dir: str, name: str) -> Path:
    file = Path(base_dir, f"{name}.db")
    return file if file.exists() else Path(empty_dir, file.name)


def _reading_engine(base_dir: str, empty_dir: str, name: str) -> sa.Engine:
    return sa.create_engine(
        "sqlite://", creator=lambda: _connect(_file(base_dir, empty_dir, name)), poolclass=sa.NullPool
    )


def _connect(file: Path) -> sqlite3.Connection:
    """A connection that has begun to read. Raises sqlite3.OperationalError where the file cannot be read."""
    is_written = file.with_name(f"{file.name}-shm").exists()
    options = ["readonly_shm=1", "immutable=1"] if is_written else ["immutable=1"]
    while True:  # the process that writes may end meanwhile
        option = options.pop(0)
        connection = sqlite3.connect(
            f"{file.as_uri()}?mode=ro&{option}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False
        )
        try:
            connection.execute("select 1 from sqlite_master limit 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            if not options:
                raise
        else:
            return connection
