"""The tables that the suites query: bronze, and for the second gate the scores.

Belongs here: connections and the views they offer, by the names that expectations/*.sql use.
Does not belong here: the queries. A connection is the caller's to close.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.database import connect
from dagster_project.errors import GateFailed
from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES, REFERENCE_TABLES

if TYPE_CHECKING:
    import duckdb

# What the queries hold of ten million probes is spilled beyond this, below the state folder.
MEMORY_LIMIT = "512MB"

BRONZE_TABLES = (*EXPORT_TABLES, "quarantine", *REFERENCE_TABLES)
SCORE_TABLES = ("score_total", "score_nodes", "score_line_classes", "score_scenarios")


def connect_delivered(paths: Paths, wave_id: str) -> "duckdb.DuckDBPyConnection":
    """An in-memory database with one view per bronze table; `wave` is text.

    The views hold every wave: queries select theirs by `$wave`. Raises GateFailed where the wave
    was never ingested.
    """
    return _connect(paths, wave_id, {})


def connect_publishable(paths: Paths, wave_id: str) -> "duckdb.DuckDBPyConnection":
    """The same, and one view per table of scores, read only.

    Raises GateFailed where the scores were never computed.
    """
    if not paths.warehouse.exists():
        raise GateFailed(_not_scored(wave_id, SCORE_TABLES))
    connection = _connect(paths, wave_id, {"warehouse": paths.warehouse})
    found = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'main'"
    ).fetchall()
    missing = sorted(set(SCORE_TABLES) - {name for (name,) in found})
    if missing:
        connection.close()
        raise GateFailed(_not_scored(wave_id, missing))
    for name in SCORE_TABLES:
        connection.execute(f"create view {name} as select * from warehouse.main.{name}")  # noqa: S608  # our names
    return connection


def _connect(paths: Paths, wave_id: str, attached: dict[str, Path]) -> "duckdb.DuckDBPyConnection":
    missing = [name for name in BRONZE_TABLES if not paths.bronze_part(name, wave_id).exists()]
    if missing:
        raise GateFailed(
            f"{wave_id}:缺少已采集的数据,请先运行采集(资产 bronze) / the wave has not been ingested; materialize the "
            f"bronze assets first. 缺少 / missing: {', '.join(missing)}"
        )
    connection = connect(paths.home, readable=[paths.bronze], attached=attached, memory_limit=MEMORY_LIMIT)
    for name in BRONZE_TABLES:
        connection.execute(
            f"create view {name} as select * from read_parquet('input://bronze/{name}/*/*.parquet', "  # noqa: S608  # our names
            "hive_partitioning = true, hive_types = {'wave': varchar})"
        )
    return connection


def _not_scored(wave_id: str, missing: list[str] | tuple[str, ...]) -> str:
    return (
        f"{wave_id}:尚未计算得分,请先运行评分(资产 score_*) / the scores have not been computed; materialize the "
        f"score_* assets first. 缺少 / missing: {', '.join(missing)}"
    )
