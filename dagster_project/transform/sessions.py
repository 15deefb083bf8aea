"""The sessions in which other engines than DuckDB execute the models. Imported by dbt's worker alone.

Belongs here: starting an engine on loopback, handing it the input as tables, asking it a question.
Does not belong here: what dbt does with it.

dbt-spark's session method asks pyspark for the session of the process: the one that is made here.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.paths import Paths, spark_master
from dagster_project.transform.engine import SAIL, Engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOPBACK = "127.0.0.1"
MODELS = "hotline"  # the schema of dbt/profiles.yml
_sessions: dict[str, "SparkSession"] = {}
_servers: list[Any] = []  # a server ends where nothing holds it


def empty_schema(paths: Paths, engine: Engine) -> None:
    """Start the engine, unless this process has; nothing that was made there before is left."""
    session = _session(paths, engine)
    session.sql(f"drop database if exists {MODELS} cascade")
    session.sql(f"create database {MODELS}")


def lend(paths: Paths, engine: Engine, tables: Iterable[tuple[str, str, Path]]) -> None:
    """Show folders of Parquet as tables: (schema, name, folder); what has been shown under the name is forgotten."""
    session = _session(paths, engine)
    for schema, name, folder in tables:
        session.sql(f"create database if not exists {schema}")
        session.sql(f"drop table if exists {schema}.{name}")
        session.sql(f"create table {schema}.{name} using parquet location {_literal(str(folder))}")


def first_rows(paths: Paths, engine: Engine, query: str, n_rows: int) -> tuple[dict[str, Any], ...]:
    """The first rows that the query gives."""
    return tuple(row.asDict() for row in _session(paths, engine).sql(query).limit(n_rows).collect())


def _session(paths: Paths, engine: Engine) -> "SparkSession":
    if engine.name not in _sessions:
        _sessions[engine.name] = _sail() if engine == SAIL else _spark(paths)
    return _sessions[engine.name]


def _spark(paths: Paths) -> "SparkSession":
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    from pyspark.sql import SparkSession

    settings = {
        "spark.app.name": "hotline",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(paths.home / "spark.tmp"),
        "spark.sql.warehouse.dir": str(paths.engine),
        # no metastore: what a session knows ends with it
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.hive.manageFilesourcePartitions": "false",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # a wave is text, also where it is 2023
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",  # a number that does not fit is an error, not another number
        # Spark 4.3's new code for unions can not send one to a task that also holds it: "cannot assign
        # instance of DefaultSerializationProxy to field UnionExec.children"
        "spark.sql.codegen.wholeStage.union.enabled": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.autoBroadcastJoinThreshold": "10m",
    }
    builder = SparkSession.builder.master(spark_master())
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _sail() -> "SparkSession":
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(LOOPBACK, 0)
    server.start(background=True)
    _servers.append(server)
    host, port = server.listening_address
    os.environ["SPARK_REMOTE"] = f"sc://{host}:{port}"
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
