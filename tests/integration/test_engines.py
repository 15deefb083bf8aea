"""The dbt steps on other engines than DuckDB: the same tables, row for row, to the last digit.

Sail runs with every test run. Spark runs where `make spark` has put it into .spark (CI does) and a
Java is there, PostgreSQL where its server is installed; where not, the skipped test says why. An
engine builds all waves at once: what a statement costs is most of its time.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from dagster_project.errors import NotReconciled, UsageError
from dagster_project.paths import MODELS_DATABASE, PROJECT, Paths, java
from dagster_project.transform.dbt_step import PUBLISHED, SCORES, raise_for_failures, run_step
from dagster_project.transform.engine import engine_named
from dagster_project.transform.scope import full_scope, write_scope
from dagster_project.transform.warehouse import require_unchanged
from tests.conftest import Installation, copied
from tests.golden.wave_of_golden import WAVE, bronze_tables, write_bronze
from tests.servers import USER, WORD, Postgres, free_port

SPARK = PROJECT / ".spark"
MARK = "HOTLINE_TEST_PROCESS"  # in the environment of every process that an engine's test starts
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
DEMONSTRATION, LARGE = "2023", "2023-large"
OBSERVATIONS = 10_000_000


@dataclass(frozen=True)
class On:
    """An engine, and what a process needs in its environment to use it."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)

    def build(self, home: Path, *waves: str, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """Both steps of these waves."""
        path = os.pathsep.join([str(PROJECT), self.environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return subprocess.run(
            [sys.executable, "-m", "tests.integration.engine_steps", self.name, str(home), *waves],
            capture_output=True, text=True, timeout=timeout, cwd=PROJECT,
            env={**os.environ, **self.environment, "PYTHONPATH": path}, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def on_sail() -> On:
    return On("sail")


@pytest.fixture(scope="module")
def on_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[On]:
    """A master and two workers on loopback. At their end none is left, and none has listened elsewhere."""
    if not (SPARK / "pyspark").exists():
        pytest.skip("Spark is not installed here: `make spark` installs it into .spark")
    if java() is None:
        pytest.skip("there is no Java here (JAVA_HOME, or java on the PATH): Spark needs 17 or later")
    mark = str(tmp_path_factory.mktemp("spark"))
    path = [str(PROJECT), str(SPARK), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        MARK: mark,
        # of every Java that is started here: so short a run ends before its code is compiled to the last
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    cluster = subprocess.Popen(
        [sys.executable, str(PROJECT / "deploy/spark_cluster.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert cluster.stdin and cluster.stdout
    name, _, master = cluster.stdout.readline().strip().partition("=")
    assert name == "SPARK_MASTER" and master.startswith("spark://127.0.0.1:")
    addresses: set[str] = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.5):
            addresses.update(listening(mark))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield On("spark", {**environment, "SPARK_MASTER": master})
    finally:
        is_over.set()
        watcher.join()
        cluster.stdin.close()
        assert cluster.wait(60) == 0
    assert addresses and addresses <= LOOPBACK
    assert processes(mark) == []


@pytest.fixture(scope="module")
def on_postgres(postgres: Postgres) -> On:
    postgres.database("models")
    environment = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": USER, "PGPASSWORD": WORD}
    return On("postgres", {**environment, "PGDATABASE": "models"})


def processes(mark: str) -> list[int]:
    """Processes that have inherited the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is not ours
    return found


def listening(mark: str) -> set[str]:
    """The addresses, as the kernel writes them, on which processes with the mark listen."""
    sockets = set()
    for pid in processes(mark):
        for descriptor in _descriptors(pid):
            if descriptor.startswith("socket:["):
                sockets.add(descriptor[8:-1])
    rows = [
        row.split()
        for name in ("tcp", "tcp6")
        for row in Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}


def _descriptors(pid: int) -> list[str]:
    try:
        return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended meanwhile


def assert_same_tables(ours: Path, theirs: Path, wave: str) -> int:
    """Both warehouses have the same tables, types and rows of the wave. Returns the number of rows."""
    n_rows = 0
    with duckdb.connect() as connection:
        for name, home in (("ours", ours), ("theirs", theirs)):
            connection.execute(f"attach '{home}/warehouse.duckdb' as {name} (read_only)")
        columns = "select table_name, column_name, data_type, is_nullable from duckdb_columns() where database_name = ?"
        described = [sorted(connection.execute(columns, [name]).fetchall()) for name in ("ours", "theirs")]
        assert described[0] == described[1]
        tables = connection.execute("select table_name from duckdb_tables() where database_name = 'ours'").fetchall()
        assert len(tables) > 15
        for (table,) in tables:
            each = [f"select * from {name}.main.{table} where wave = '{wave}'" for name in ("ours", "theirs")]
            for one, other in (each, each[::-1]):
                difference = connection.execute(f"({one}) except all ({other}) limit 3").fetchall()
                assert difference == [], table
            n_rows += connection.execute(f"select count(*) from ({each[0]})").fetchall()[0][0]
    return n_rows


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example on DuckDB."""
    home = tmp_path_factory.mktemp("golden")
    paths = Paths(raw=home, home=home)
    write_bronze(paths, WAVE, bronze_tables())
    write_scope(paths, full_scope(paths, WAVE))
    for step in (SCORES, PUBLISHED):
        raise_for_failures(run_step(paths, step))
    return home


@pytest.fixture(scope="module")
def large(published: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten million observations on DuckDB: the demonstration wave as often as it takes, under a name of its own."""
    home = tmp_path_factory.mktemp("large")
    with duckdb.connect(str(published.paths.warehouse), read_only=True) as connection:
        count = "select sum(n_units) from score_answer_counts where wave = ?"
        n_observations = connection.execute(count, [DEMONSTRATION]).fetchall()[0][0]
    repeat(published.paths.bronze, home / "bronze", -(-OBSERVATIONS // int(n_observations)))
    done = On("duckdb").build(home, LARGE)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select sum(n_units) from score_answer_counts").fetchall()[0][0] >= OBSERVATIONS
    return home


@pytest.mark.parametrize(
    ("engine", "is_large"),
    [
        ("sail", False),
        ("postgres", False),
        ("spark", True),
        pytest.param("sail", True, marks=pytest.mark.soak),
        pytest.param("postgres", True, marks=pytest.mark.soak),
    ],
)
def test_every_wave_is_equal(
    engine: str, is_large: bool, golden: Path, published: Installation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The worked example, the demonstration wave, and ten million observations."""
    on = request.getfixturevalue(f"on_{engine}")
    home = tmp_path / "home"
    ours = {WAVE: golden, DEMONSTRATION: published.paths.home}
    if is_large:
        ours[LARGE] = request.getfixturevalue("large")
    for wave, each in ours.items():
        for part in (each / "bronze").glob(f"*/wave={wave}"):
            shutil.copytree(part, home / part.relative_to(each))
    done = on.build(home, *ours, timeout=7200)
    assert done.returncode == 0, done.stderr
    print(done.stdout)  # seconds of each step, for who looks at the run
    n_rows = {wave: assert_same_tables(each, home, wave) for wave, each in ours.items()}
    assert n_rows[DEMONSTRATION] > 100_000


def test_a_run_on_another_engine_makes_the_same_release(on_sail: On, published: Installation, tmp_path: Path) -> None:
    """From the first command to the last byte; the wave's other lines stand as DuckDB has left them."""
    ours = copied(published, tmp_path / "copy")
    before = ours.hashes(DEMONSTRATION)
    ours.run("--wave", DEMONSTRATION, "--no-report", "--target", on_sail.name, "--line", "370100")
    assert ours.hashes(DEMONSTRATION) == before
    assert {each.name for each in ours.paths.engine.iterdir()} >= {"score_nodes", "pub_rankings"}  # brought home
    assert_same_tables(published.paths.home, ours.paths.home, DEMONSTRATION)


def test_a_step_that_fails_elsewhere_leaves_the_warehouse_alone(on_sail: On, golden: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(golden, home)
    tables = bronze_tables()
    line = tables["phone_probes"][0]["line_id"]
    tables["phone_probes"][0]["greeting"] = "unheard_of"
    write_bronze(Paths(raw=home, home=home), WAVE, tables)
    done = on_sail.build(home, WAVE)
    assert done.returncode == 4, done.stderr
    assert "every_answer_is_in_the_rules" in done.stderr
    assert line in done.stderr  # the failing row
    assert (home / "warehouse.duckdb").read_bytes() == (golden / "warehouse.duckdb").read_bytes()
    with pytest.raises(NotReconciled, match="did not finish"):
        require_unchanged(Paths(raw=home, home=home))  # its scores are not of the present input


def test_an_engine_that_does_not_answer_is_named_with_what_it_says(golden: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(golden, home)
    nowhere = On("postgres", {"PGHOST": "127.0.0.1", "PGPORT": str(free_port())})
    done = nowhere.build(home, WAVE)
    assert done.returncode == 1
    assert "计算引擎 postgres 报错 / the engine postgres says:" in done.stderr
    assert "refused" in done.stderr


def test_the_session_and_dbt_mean_the_same_database() -> None:
    profile = (PROJECT / "dbt" / "profiles.yml").read_text(encoding="utf-8")
    for name, (variable, default) in MODELS_DATABASE.items():
        assert re.search(rf"{name}: .*env_var\('{variable}', '{re.escape(default)}'\)", profile), name


def repeat(bronze: Path, target: Path, n_times: int) -> None:
    """The demonstration wave with every probe and dialling so many times, each under a name of its own."""
    with duckdb.connect() as connection:
        for part in bronze.glob(f"*/wave={DEMONSTRATION}/part-0.parquet"):
            made = target / part.relative_to(bronze).parent.parent / f"wave={LARGE}" / part.name
            made.parent.mkdir(parents=True)
            source = f"read_parquet('{part}', hive_partitioning = false)"
            names = [name for name, *_ in connection.execute(f"describe select * from {source}").fetchall()]
            if part.parent.parent.name not in ("phone_probes", "dial_attempts", "web_probes", "open_probes"):
                shutil.copy(part, made)
                continue
            renamed = ", ".join(
                f"{name} || '-' || turn as {name}" for name in ("probe_id", "attempt_id") if name in names
            )
            connection.execute(
                f"copy (select * exclude (turn) replace ({renamed}) from {source}, "
                f"(select range as turn from range({n_times})) order by line_id) to '{made}' (row_group_size 20000)"
            )


def test_an_engine_that_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such engine: flink"):
        engine_named("flink")
    monkeypatch.setattr("dagster_project.transform.engine._version", lambda name: None if name == "pyspark" else "1")
    with pytest.raises(UsageError, match=r"pip install '\.\[spark\]' \(pyspark\)"):
        engine_named("spark")
    monkeypatch.undo()
    monkeypatch.setattr("dagster_project.transform.engine._version", lambda _: "1")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(UsageError, match="needs Java 17"):
        engine_named("spark")
