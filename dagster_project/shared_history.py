"""Dagster's own event log in PostgreSQL, which also records in the log of the installation what stopped a run."""

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config

from dagster_project.runs import RecordedEnds


class SharedRunHistory(RecordedEnds, PostgresEventLogStorage):
    """Event log that several installations share; configured in dagster.yaml with `postgres_url`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SharedRunHistory":
        return cls(inst_data=inst_data, postgres_url=pg_url_from_config(config_value))
