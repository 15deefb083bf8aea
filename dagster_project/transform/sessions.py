"""The sessions in which other engines than DuckDB execute the models. Imported by dbt's worker alone.

Belongs here: starting an engine, handing it the input as tables, asking it a question,
fetching what it made. Does not belong here: what dbt does with it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dagster_project.database import connect
from dagster_project.errors import HotlineError, UsageError
from dagster_project.paths import Paths, models_database, spark_address, spark_master
from dagster_project.transform.engine import POSTGRES, SAIL, SPARK, Engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOPBACK = "127.0.0.1"
MAX_LINES = 5  # of an engine's words; below them come stacks
MODELS = "hotline"  # the schema of dbt/profiles.yml


class Session(Protocol):
    """One engine, at work for one installation."""

    def empty(self) -> None:
        """Forget whatever models have made there before."""

    def lend(self, schema: str, name: str, folder: Path) -> None:
        """Show a folder of Parquet as a table."""

    def first_rows(self, query: str, n_rows: int) -> tuple[dict[str, Any], ...]:
        """The first rows that the query gives."""

    def fetch(self, name: str, columns: Mapping[str, str], folder: Path) -> None:
        """Leave what a model has made as Parquet in `folder`. `columns`: {name: type}."""


def session(paths: Paths, engine: Engine) -> Session:
    """The engine's session for an installation; the engine is started when this process first asks for it."""
    if engine == POSTGRES:
        return _on_postgres(paths)
    return OnSpark(_sail() if engine == SAIL else _spark(paths))


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """What the engine itself reports becomes a HotlineError with its words."""
    try:
        yield
    except _failures(engine) as error:
        words = "\n".join(str(error).strip().splitlines()[:MAX_LINES])
        raise HotlineError(f"计算引擎 {engine.name} 报错 / the engine {engine.name} says: {words}") from error


def _failures(engine: Engine) -> tuple[type[Exception], ...]:
    """What its client raises; asked only once something was raised, so the client is loaded or can not be."""
    if engine == POSTGRES:
        import psycopg2

        return (psycopg2.Error,)
    if engine == SAIL:
        from pyspark.errors import PySparkException

        return (PySparkException,)
    if engine == SPARK:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        return (PySparkException, Py4JError)
    return ()


_servers: list[Any] = []  # a server ends where nothing holds it


class OnSpark:
    """Spark, or Sail. dbt-spark's session method finds the session by itself: it is the process's only one."""

    def __init__(self, spark: "SparkSession") -> None:
        self._spark = spark

    def empty(self) -> None:
        self._spark.sql(f"drop database if exists {MODELS} cascade")
        self._spark.sql(f"create database {MODELS}")

    def lend(self, schema: str, name: str, folder: Path) -> None:
        location = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        self._spark.sql(f"create database if not exists {schema}")
        self._spark.sql(f"drop table if exists {schema}.{name}")
        self._spark.sql(f"create table {schema}.{name} using parquet location '{location}'")

    def first_rows(self, query: str, n_rows: int) -> tuple[dict[str, Any], ...]:
        return tuple(row.asDict() for row in self._spark.sql(query).limit(n_rows).collect())

    def fetch(self, name: str, columns: Mapping[str, str], folder: Path) -> None:  # noqa: ARG002  # the protocol's
        """Its tables are such folders (dbt/macros/spark.sql); of one without rows there may be no file."""
        folder.mkdir(exist_ok=True)
        if not any(folder.glob("*.parquet")):
            typed = ", ".join(f"cast(null as {type_}) as {column}" for column, type_ in columns.items())
            with connect(folder, folders=[folder]) as connection:
                connection.sql(f"select {typed} where false").write_parquet(str(folder / "part-0.parquet"))


def _spark(paths: Paths) -> "SparkSession":
    """The process's session; what is set only at its start is of the installation that came first."""
    os.environ["SPARK_LOCAL_IP"] = spark_address()
    from pyspark.sql import SparkSession

    settings = {
        "spark.app.name": "hotline",
        "spark.driver.host": spark_address(),
        "spark.driver.bindAddress": spark_address(),
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
    }
    builder = SparkSession.builder.master(spark_master())
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@cache
def _sail() -> "SparkSession":
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(LOOPBACK, 0)
    server.start(background=True)
    _servers.append(server)
    host, port = server.listening_address
    os.environ["SPARK_REMOTE"] = f"sc://{host}:{port}"
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


# A type of DuckDB, where PostgreSQL calls it otherwise.
POSTGRES_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}
NO_VALUE = "\\N"  # an empty text is one


class OnPostgres:
    """A PostgreSQL database that the variables of its own clients name (PGHOST, PGDATABASE, …)."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        query = "select datcollate from pg_database where datname = current_database()"
        ((collation,),) = self._execute(query)
        if collation != "C":
            raise UsageError(
                "PostgreSQL 数据库须按字节排序,请另建 / the database must sort by bytes; make another: "
                f"createdb --template template0 --encoding UTF8 --locale C NAME ({collation})"
            )

    def empty(self) -> None:
        self._execute(f"drop schema if exists {MODELS} cascade; create schema {MODELS}")

    def lend(self, schema: str, name: str, folder: Path) -> None:
        """Its rows of the wave in scope, copied: PostgreSQL reads no Parquet."""
        rows = self._paths.engine / "copied.csv"
        with connect(self._paths.home, folders=self._folders()) as connection:
            files = f"read_parquet('{folder.relative_to(self._paths.home)}/**/*.parquet', hive_types_autocast = false)"
            found = connection.sql(
                f"select * from {files} where wave in (select wave from read_parquet('scope/scope.parquet'))"  # noqa: S608  # our names
            )
            columns = [
                f'"{column}" {POSTGRES_TYPES.get(str(type_), str(type_))}'
                for column, type_ in zip(found.columns, found.types, strict=True)
            ]
            found.write_csv(str(rows), header=False, na_rep=NO_VALUE)
        self._execute(f"create schema if not exists {schema}; drop table if exists {schema}.{name} cascade")
        self._execute(f"create table {schema}.{name} ({', '.join(columns)})")
        with (
            closing(self._connected()) as connection,
            connection,
            connection.cursor() as cursor,
            rows.open("rb") as csv,
        ):
            cursor.copy_expert(f"copy {schema}.{name} from stdin (format csv, null '{NO_VALUE}')", csv)
            cursor.execute(f"analyze {schema}.{name}")
        rows.unlink()

    def first_rows(self, query: str, n_rows: int) -> tuple[dict[str, Any], ...]:
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            names = [column.name for column in cursor.description]
            return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchmany(n_rows))

    def fetch(self, name: str, columns: Mapping[str, str], folder: Path) -> None:
        folder.mkdir()
        rows = self._paths.engine / "fetched.csv"
        query = f"copy (select {', '.join(columns)} from {MODELS}.{name}) to stdout (format csv, null '{NO_VALUE}')"  # noqa: S608  # the contract's names
        with closing(self._connected()) as connection, connection.cursor() as cursor, rows.open("wb") as csv:
            cursor.copy_expert(query, csv)
        typed = ", ".join(f"{column}: '{type_}'" for column, type_ in columns.items())
        with connect(self._paths.home, folders=self._folders()) as duckdb:
            read = (
                f"select * from read_csv('engine/{rows.name}', columns = {{{typed}}}, auto_detect = false, "  # noqa: S608  # the contract's
                f"header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '{NO_VALUE}')"
            )
            duckdb.sql(read).write_parquet(str(folder / "part-0.parquet"))
        rows.unlink()

    def _folders(self) -> list[Path]:
        return [self._paths.bronze, self._paths.scope.parent, self._paths.engine]

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self._connected()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _connected(self) -> Any:
        import psycopg2

        # the password, and what else there is, the client's library reads by itself
        return psycopg2.connect(**models_database())


@cache
def _on_postgres(paths: Paths) -> OnPostgres:
    return OnPostgres(paths)
