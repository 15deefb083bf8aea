"""Dagster's own SQLite event log, with its connections kept.

Dagster makes a new SQLAlchemy engine for every statement, so that every statement is compiled and
every file opened anew: 300 events of a run took four seconds, more than the scoring. Here one
engine lives as long as the process. Nothing else is changed: the file is Dagster's, and the UI
reads it. One run at a time per installation is what makes a single file enough.

A kept connection leaves new events in the write-ahead log, where Dagster's file watcher, which watches the main file,
misses them. So run pages are fed by polling.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from dagster_project.paths import Paths, paths
from dagster_project.runs import RecordedEnds

BUSY_SECONDS = 60  # the UI reads while a run writes
POLL_SECONDS = 0.5  # until a page shows an event

Callback = Callable[[EventLogEntry, str], None]


class RunHistory(RecordedEnds, ConsolidatedSqliteEventLogStorage):
    """Event log of one installation; configured in dagster.yaml with `base_dir`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._watching = threading.RLock()  # callbacks end their watch while they are called
        self._poller: threading.Thread | None = None
        self._disposed = threading.Event()
        super().__init__(base_dir, inst_data)

    @property
    def installation(self) -> Paths:
        return replace(paths(), home=Path(self._base_dir).parent)  # of this history, whatever the environment names

    @cached_property
    def _engine(self) -> sa.Engine:
        engine = sa.create_engine(self._conn_string, connect_args={"timeout": BUSY_SECONDS})

        @sa.event.listens_for(engine, "connect")
        def _no_flush_per_event(connection: Any, _record: Any) -> None:
            # With a write-ahead log this can not corrupt the file; a power cut may lose the last events.
            connection.execute("PRAGMA synchronous = NORMAL")

        return engine

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        # asked with every event; a table that is there stays
        if table_name not in self._tables:
            self._tables.update(sa.inspect(self._engine).get_table_names())
        return table_name in self._tables

    @cached_property
    def _tables(self) -> set[str]:
        return set()

    def watch(self, run_id: str, cursor: str | None, callback: Callback) -> None:
        """Call `callback` with every event of the run after `cursor`, until the run or the watch ends."""
        with self._watching:
            self._watchers[run_id][callback] = cursor
            if self._poller is None or not self._poller.is_alive():
                self._poller = threading.Thread(target=self._poll, name="run-history-poller", daemon=True)
                self._poller.start()

    def end_watch(self, run_id: str, handler: Callback) -> None:
        with self._watching:
            super().end_watch(run_id, handler)

    def _poll(self) -> None:
        while not self._disposed.wait(POLL_SECONDS):
            with self._watching:
                if not any(self._watchers.values()):
                    self._poller = None
                    return
                try:
                    self.on_modified()
                except sa.exc.DBAPIError:  # pages go on with the next poll
                    logging.getLogger("hotline").warning("运行记录暂时不可读 / run history not readable", exc_info=True)

    def dispose(self) -> None:
        self._disposed.set()
        super().dispose()
        self._engine.dispose()
