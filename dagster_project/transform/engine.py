"""Which engine executes the dbt steps: DuckDB, unless a run names another.

Belongs here: the engines, what each needs, and where each says what it made. Does not belong here:
their sessions (`sessions.py`, in dbt's worker alone), and what differs in their SQL (dbt/macros).

Whatever the engine, the input is bronze and the result ends in the warehouse, where gate, release
and report read it. Another engine keeps nothing from one step to the next: it is handed what it
reads, and what it made is brought home only when every node of the step has ended well.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from dagster_project.errors import UsageError
from dagster_project.paths import java


@dataclass(frozen=True)
class Engine:
    """`target`: its output in dbt/profiles.yml. `packages`: what it needs beside the project's own, from `extra`."""

    name: str
    target: str
    packages: tuple[str, ...]
    extra: str = ""
    needs_java: bool = False


DUCKDB = Engine("duckdb", "duckdb", ("dbt-duckdb", "duckdb"))
# The same database, its tables filled with what another engine has made of them.
WAREHOUSE = Engine("warehouse", "warehouse", DUCKDB.packages)
SPARK = Engine("spark", "spark", ("dbt-spark", "pyspark"), "spark", needs_java=True)
SAIL = Engine("sail", "spark", ("dbt-spark", "pysail"), "sail")
POSTGRES = Engine("postgres", "postgres", ("dbt-postgres", "psycopg2-binary"), "postgres")
ENGINES = {engine.name: engine for engine in (DUCKDB, SPARK, SAIL, POSTGRES)}


def engine_named(name: str) -> Engine:
    """The engine of this name. Raises UsageError where there is none, or where it is not installed: with the way to."""
    engine = ENGINES.get(name)
    if engine is None:
        raise UsageError(f"没有此计算引擎 / no such engine: {name} ({', '.join(ENGINES)})")
    missing = [package for package in engine.packages if _version(package) is None]
    if missing:
        raise UsageError(
            f"计算引擎 {name} 未安装,请运行 / the engine {name} is not installed; run: "
            f"pip install '.[{engine.extra}]' ({', '.join(missing)})"
        )
    if engine.needs_java and java() is None:
        raise UsageError(
            f"计算引擎 {name} 需要 Java 17 或更新版本(JAVA_HOME 或 PATH 中的 java)/ the engine {name} needs Java 17 or "
            "later (JAVA_HOME, or java on the PATH)"
        )
    return engine


def versions(engine: Engine) -> list[str]:
    """`name==version` of what interprets the models on this engine."""
    return [f"{package}=={_version(package)}" for package in ("dbt-core", *engine.packages)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
