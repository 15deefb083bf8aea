"""Dagster's own SQLite event log, with its connections kept.

Dagster makes a new SQLAlchemy engine for every statement, so that every statement is compiled and
every file opened anew: 300 events of a run took four seconds, more than the scoring. Here one
engine lives as long as the process. Nothing else is changed: the file is Dagster's, and the UI
reads it. One run at a time per installation is what makes a single file enough.

And one correction to it: a run whose process was killed can not say that it has ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage

from dagster_project.team import own_mark

BUSY_SECONDS = 60  # the UI reads while a run writes


class RunHistory(ConsolidatedSqliteEventLogStorage):
    """Event log of one installation; configured in dagster.yaml with `base_dir`."""

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

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


def end_abandoned_runs(instance: dg.DagsterInstance, but: str | None = None) -> None:
    """Mark as failed what the history shows as running in this installation, `but` for one run id.

    Whoever calls holds the installation (`lock.run_lock`), which proves that no other run is at work in it.
    Of the other installations that share the history it proves nothing: their runs bear another mark.
    """
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    unended = dg.RunsFilter(statuses=statuses, tags=own_mark())
    for run in instance.get_runs(unended):
        if run.run_id != but:
            instance.report_run_failed(run, "进程已被终止,运行未完成 / its process was killed before the run had ended")
