"""The two dbt steps on each engine at growing sizes: `python -m benchmarks.engines [OBSERVATIONS …]`, JSON.

Belongs here: what docs/engines.md says of time. The wave is the demonstration's bronze, every unit as
often as the size asks for, under new ids. An engine has one process per size: its first turn is cold
(sessions, compiled code), of the next three the medians are told. Every table must be DuckDB's.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.errors import HotlineError, NotReconciled
from dagster_project.paths import PROJECT, Paths, java, paths
from dagster_project.transform.dbt_step import PUBLISHED, SCORES, raise_for_failures, run_step
from dagster_project.transform.engine import ENGINES, engine_named
from dagster_project.transform.scope import full_scope, write_scope

WAVE = "2023"
SIZES = (100_000, 1_000_000, 10_000_000)
TURNS = 3
SPARK = PROJECT / ".spark"  # `make spark`
UNITS = ("phone_probes", "dial_attempts", "web_probes", "open_probes")


def main(sizes: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="hotline-engines-") as folder, environments() as variables:
        for size in sizes:
            reference: Path | None = None
            for engine, environment in variables.items():
                home = Path(folder, f"{engine}-{size}")
                enlarge(paths().bronze, home / "bronze", size)
                load = os.getloadavg()[0]
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.engines", "--turns", engine, str(home)],
                    env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT,
                )  # fmt: skip
                told = {"observations": size, "engine": engine, "load_before": load, **json.loads(done.stdout)}
                if reference is None:
                    reference = home
                else:
                    compare(reference, home)
                    shutil.rmtree(home)
                print(json.dumps(told), flush=True)


@contextmanager
def environments() -> Iterator[dict[str, dict[str, str]]]:
    """{engine: what its process needs}, of the engines that are installed; DuckDB first."""
    found: dict[str, dict[str, str]] = {}
    for name in ENGINES:
        try:
            engine_named(name)
        except HotlineError:
            continue
        if name != "postgres" or os.environ.get("PGDATABASE"):
            found[name] = {}
    if not (SPARK / "pyspark").exists() or java() is None:
        yield found
        return
    path = os.pathsep.join(filter(None, [str(PROJECT), str(SPARK), os.environ.get("PYTHONPATH")]))
    cluster = subprocess.Popen(
        [sys.executable, str(PROJECT / "deploy/spark_cluster.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert cluster.stdin and cluster.stdout
    try:
        master = cluster.stdout.readline().strip().partition("=")[2]
        yield {**found, "spark": {"PYTHONPATH": path, "SPARK_MASTER": master}}
    finally:
        cluster.stdin.close()
        cluster.wait()


def enlarge(bronze: Path, target: Path, size: int) -> None:
    with duckdb.connect() as connection:
        # the wave's observations as its own scores count them
        warehouse = bronze.with_name("warehouse.duckdb")
        connection.execute(f"attach '{warehouse}' as warehouse (read_only)")
        count = "select sum(n_units) from warehouse.main.score_answer_counts where wave = ?"
        copies = max(1, round(size / int(connection.execute(count, [WAVE]).fetchall()[0][0])))
        for part in sorted(bronze.glob(f"*/wave={WAVE}/part-0.parquet")):
            made = target / part.relative_to(bronze)
            made.parent.mkdir(parents=True)
            if part.parent.parent.name not in UNITS:
                shutil.copy(part, made)
                continue
            source = f"read_parquet('{part}', hive_partitioning = false)"
            described = connection.execute(f"describe select * from {source}").fetchall()  # noqa: S608  # our paths
            ids = [name for name, *_ in described if name in ("probe_id", "attempt_id")]
            renamed = ", ".join(f"{name} || '-' || turn as {name}" for name in ids)
            connection.execute(
                f"copy (select * exclude (turn) replace ({renamed}) from {source}, "  # noqa: S608
                f"(select range as turn from range({copies})) order by line_id) to '{made}' (row_group_size 20000)"
            )


def turns(engine: str, home: Path) -> dict[str, Any]:
    """Seconds of each step: the first turn, and the median of the next."""
    installation = Paths(raw=home, home=home)
    seconds: dict[str, list[float]] = {SCORES: [], PUBLISHED: []}
    for _ in range(1 + TURNS):
        write_scope(installation, full_scope(installation, WAVE))
        for step, taken in seconds.items():
            started = time.perf_counter()
            raise_for_failures(run_step(installation, step, WAVE, engine_named(engine)))
            taken.append(round(time.perf_counter() - started, 2))
    return {
        step: {"first": taken[0], "median": statistics.median(taken[1:]), "all": taken[1:]}
        for step, taken in seconds.items()
    }


def compare(ours: Path, theirs: Path) -> None:
    """Raise NotReconciled where a table has other rows."""
    with duckdb.connect() as connection:
        for name, home in (("ours", ours), ("theirs", theirs)):
            connection.execute(f"attach '{home}/warehouse.duckdb' as {name} (read_only)")
        tables = connection.execute("select table_name from duckdb_tables() where database_name = 'ours'").fetchall()
        for (table,) in tables:
            one, other = (f"select * from {name}.main.{table}" for name in ("ours", "theirs"))  # noqa: S608  # dbt's
            for query in (f"({one}) except all ({other})", f"({other}) except all ({one})"):
                if connection.execute(f"{query} limit 1").fetchall():
                    raise NotReconciled(f"{theirs.name}: {table}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--turns"]:
        print(json.dumps(turns(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(tuple(map(int, sys.argv[1:])) or SIZES)
