"""What a query can not do, wherever it is written: leave the installation, use the network, load code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from jinja2 import Template

from dagster_project.database import connect, input_name
from dagster_project.errors import HotlineError, UsageError
from dagster_project.gate.tables import connect_delivered, connect_publishable
from dagster_project.paths import DBT_PROJECT, PROJECT, Paths
from dagster_project.transform import dbt_step
from dagster_project.transform.confined import Plugin, pipelines
from dagster_project.transform.engine import DUCKDB
from tests.unit.gate_world import WAVE, good_world, on_disk

# Each must fail in every connection. {outside}: a readable file and folder beside the installation.
ESCAPES = {
    "read a system file": "select * from read_text('/etc/passwd')",
    "read a file as a table": "select * from '/etc/passwd'",
    "read the environment": "select * from read_blob('/proc/self/environ')",
    "list a folder": "select * from glob('/etc/*')",
    "read beside the installation": "select * from read_csv('{outside}/secret.csv')",
    "climb out of bronze": "select * from read_csv('bronze/../../outside/secret.csv')",
    "follow a link out of bronze": "select * from read_csv('bronze/link/secret.csv')",
    "follow a link out of the input": "select * from read_csv('input://bronze/link/secret.csv')",
    "follow a link to a file": "select * from read_csv('input://bronze/secret.csv')",
    "climb out of the input": "select * from read_csv('input://bronze/../../outside/secret.csv')",
    "climb out by a pattern": "select * from glob('input://bronze/../*')",
    "list the state folder": "select * from glob('input://*')",
    "read what is no input": "select * from read_text('input://releases/2023/current/manifest.json')",
    "read from the root": "select * from read_text('input:///etc/passwd')",
    "list bronze by its path": "select * from glob('{home}/bronze/*')",
    "list what a link points to": "select * from glob('bronze/link/*')",
    "write to bronze": "copy (select 1) to 'bronze/written.csv'",
    "write to bronze by its path": "copy (select 1) to '{home}/bronze/written.csv'",
    "write to bronze by its address": "copy (select 1) to 'file://{home}/bronze/written.csv'",
    "write to the input": "copy (select 1) to 'input://bronze/written.csv'",
    "write over a file of bronze": "copy (select 1) to 'input://bronze/lines/wave=2023/part-0.parquet'",
    "write over it in place": "copy (select 1) to '{home}/bronze/lines/wave=2023/part-0.parquet' (use_tmp_file false)",
    "write a partition": "copy (select 1 as a) to 'input://bronze/lines' (format parquet, partition_by (a), overwrite)",
    "write a folder of threads": "copy (select 1) to 'input://bronze/lines' (per_thread_output true)",
    "write the scope": "copy (select 1) to 'input://scope/scope.parquet'",
    "write the scope by its path": "copy (select 1) to '{home}/scope/scope.parquet'",
    "export the database to bronze": "export database 'input://bronze/written'",
    "export the database by its path": "export database '{home}/bronze/written'",
    "attach a database in bronze": "attach 'input://bronze/written.duckdb' as written",
    "attach a database by its path": "attach '{home}/bronze/written.duckdb' as written",
    "write the log to bronze": "call enable_logging(storage = 'file', storage_path = '{home}/bronze/log')",
    "write the profile to bronze": "set profile_output = '{home}/bronze/profile.json'",
    "spill to bronze": "set temp_directory = '{home}/bronze'",
    "read a release": "select * from read_text('releases/2023/current/manifest.json')",
    "write a file": "copy (select 1) to '{outside}/written.csv'",
    "write into a release": "copy (select 1) to '{home}/releases/written.csv'",
    "write a database": "attach '{outside}/written.duckdb' as written",
    "export the database": "export database '{outside}/written'",
    "read over the network": "select * from read_parquet('https://example.com/x.parquet')",
    "install an extension": "install httpfs",
    "install a community extension": "install h3 from community",
    "load an extension": "load httpfs",
    "load a library": "load '{outside}/x.duckdb_extension'",
    "keep a secret": "create persistent secret kept (type http)",
    "open up again": "set enable_external_access = true",
    "allow more": "set allowed_directories = ['/']",
    "unlock": "set lock_configuration = false",
    "log to a file": "call enable_logging(storage = 'file', storage_path = '{outside}/log')",
    "read a variable of Python": "select * from a_variable_of_python",
}
CONNECTIONS: dict[str, Callable[[Paths], duckdb.DuckDBPyConnection]] = {
    "the first gate": lambda paths: connect_delivered(paths, WAVE.id),
    "the second gate": lambda paths: connect_publishable(paths, WAVE.id),
    "the warehouse": lambda paths: connect(paths.home, paths.warehouse),
    "the warehouse, read only": lambda paths: connect(paths.home, paths.warehouse, read_only=True),
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("confined")
    paths = on_disk(good_world(), root / "it's home")
    outside = root / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("secret\n1\n")
    (paths.bronze / "link").symlink_to(outside)
    (paths.bronze / "secret.csv").symlink_to(outside / "secret.csv")
    paths.scope.parent.mkdir()
    paths.scope.write_bytes(b"the scope of the run")
    (paths.releases(WAVE.id) / "current").mkdir(parents=True)
    (paths.current(WAVE.id) / "manifest.json").write_text("{}")
    return paths


def filled_in(escape: str, paths: Paths) -> str:
    names = {"outside": paths.home.parent / "outside", "home": paths.home}
    return ESCAPES[escape].format(**{name: str(path).replace("'", "''") for name, path in names.items()})


def files(paths: Paths) -> dict[str, bytes]:
    """{path: content} of everything that no query may change: all but the open database."""
    found = [path for path in paths.home.parent.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in found if not path.name.startswith("warehouse.duckdb")}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_is_confined(installation: Paths, name: str, escape: str) -> None:
    a_variable_of_python = [1]  # noqa: F841  # what DuckDB would find
    before = files(installation)
    with CONNECTIONS[name](installation) as connection, pytest.raises(duckdb.Error):
        connection.execute(filled_in(escape, installation)).fetchall()
    assert files(installation) == before


def test_a_folder_from_elsewhere_is_read_and_nothing_next_to_it(installation: Paths, tmp_path: Path) -> None:
    """As `hotline whatif` lends the baseline of another installation, and as a link to another disk gives a release."""
    lent = tmp_path / "lent"
    lent.mkdir()
    (lent / "a.csv").write_text("one\n1\n")
    (tmp_path / "b.csv").write_text("one\n2\n")
    with connect(installation.home, readable=[installation.bronze, lent]) as connection:
        assert connection.sql(f"from read_csv('{input_name(lent, installation.home)}/*.csv')").fetchall() == [(1,)]
        for name in (f"input://{tmp_path}/b.csv", f"input://{lent}/../b.csv", f"{lent}/a.csv"):
            with pytest.raises(duckdb.Error):
                connection.sql(f"from read_csv('{name}')").fetchall()


def test_what_a_step_works_on_stays_open(installation: Paths) -> None:
    with connect_publishable(installation, WAVE.id) as connection:
        assert connection.execute("select count(*) from lines where wave = $wave", {"wave": WAVE.id}).fetchall() == [
            (2,)
        ]
        assert connection.execute("select count(*) from score_total").fetchall() == [(6,)]
    with connect(installation.home, installation.warehouse) as connection:
        connection.execute("create table written as select 1 as one")
        assert connection.cursor().execute("select current_setting('TimeZone'), one from written").fetchall() == [
            ("UTC", 1)
        ]


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    """dbt/profiles.yml with the variables that a run sets still open."""
    return yaml.safe_load((DBT_PROJECT / "profiles.yml").read_text(encoding="utf-8"))["hotline"]["outputs"]["duckdb"]


def as_dbt_connects(profile: dict[str, Any], paths: Paths) -> Any:
    """A handle of dbt-duckdb's environment on the warehouse, made from the profile as dbt makes it."""
    from dbt.adapters.duckdb import environments
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    variables = {"HOTLINE_WAREHOUSE": str(paths.warehouse), "HOTLINE_HOME": str(paths.home)}

    def rendered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: rendered(each) for name, each in value.items()}
        if isinstance(value, list):
            return [rendered(each) for each in value]
        return (
            Template(value).render(env_var=lambda name, default: variables.get(name, default))
            if isinstance(value, str)
            else value
        )

    pipelines.add(paths.warehouse)
    credentials = DuckDBCredentials.from_dict({"database": "warehouse", "schema": "main", **rendered(profile)})
    return environments.create(credentials).handle()


@pytest.mark.parametrize("escape", ESCAPES)
def test_the_connection_of_the_models_is_confined(installation: Paths, profile: dict[str, Any], escape: str) -> None:
    before = files(installation)
    handle = as_dbt_connects(profile, installation)
    cursor = handle.cursor()
    with pytest.raises(duckdb.Error):
        cursor.execute(filled_in(escape, installation)).fetchall()
    assert cursor.execute("select count(*) from read_parquet('input://bronze/lines/*/*.parquet')").fetchall() == [(2,)]
    handle.close()
    assert files(installation) == before


def test_plain_dbt_opens_no_warehouse_whatever_target_and_environment_say(tmp_path: Path) -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    plugin = Plugin("confined", {"home": str(tmp_path)})
    for path, is_scratch in (
        (":memory:", True),
        ("target/sample.duckdb", True),
        (f"{tmp_path}/warehouse.duckdb", False),
    ):
        credentials = DuckDBCredentials(path=path, schema="main")
        if is_scratch:
            plugin.update_connection_config(credentials, {})
        else:
            with pytest.raises(UsageError, match="only hotline run writes"):
                plugin.update_connection_config(credentials, {})


def test_a_link_is_not_among_the_files_of_a_folder(installation: Paths) -> None:
    with connect(installation.home, readable=[installation.bronze]) as connection:
        listed = "select file from glob('input://bronze/{}')"
        for pattern in ("link/*", "link/secret.csv", "*.csv", "**/*.csv", "*"):
            assert connection.execute(listed.format(pattern)).fetchall() == []
        assert len(connection.execute(listed.format("lines/*/*.parquet")).fetchall()) == 1


def test_a_folder_of_input_may_itself_be_a_link(installation: Paths, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "bronze").symlink_to(installation.bronze)
    with connect(home, readable=[home / "bronze"]) as connection:
        query = "select count(*) from read_parquet('input://bronze/lines/*/*.parquet')"
        assert connection.execute(query).fetchall() == [(2,)]


def test_a_model_that_reads_a_system_file_fails(tmp_path: Path) -> None:
    home = Paths(raw=tmp_path, home=tmp_path / "home")
    dbt_step.ensure_parsed(home)
    with pytest.raises(HotlineError, match="file system operations are disabled by configuration"):
        inline = ("show", "--inline", "select * from read_text('/etc/passwd')")
        list(dbt_step._invoke(dbt_step.Invocation(home, DUCKDB, inline)))


def test_nothing_else_opens_duckdb() -> None:
    """One door: who opens DuckDB by itself has no confinement."""
    doors = [
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "dagster_project").rglob("*.py")
        if "duckdb.connect(" in path.read_text(encoding="utf-8")
    ]
    assert doors == ["dagster_project/database.py"]
