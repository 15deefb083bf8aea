"""Plain dbt, as an analyst uses it in dbt/: on the sample, without a variable, and without a way to an installation."""

import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.files import sha256_of
from dagster_project.paths import DBT_PROJECT, PROJECT
from dagster_project.release.identity import CODE, code_version
from tests.conftest import Installation, copied
from tests.integration.conftest import WAVE

MAX_BYTES = 200_000
OURS = ("HOTLINE_", "DBT_", "DAGSTER_")


@dataclass(frozen=True)
class Project:
    """A copy of the dbt project, with the scratch database that plain dbt has made of it."""

    folder: Path

    def dbt(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return subprocess.run(
            [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments],
            capture_output=True, text=True, cwd=self.folder, env={**variables, **environment}, check=False,
        )  # fmt: skip

    def must(self, *arguments: str) -> str:
        done = self.dbt(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def rows(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.folder / "target" / "sample.duckdb")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Built once. Not to be changed: tests take a copy."""
    folder = tmp_path_factory.mktemp("plain") / "dbt"
    shutil.copytree(DBT_PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    project = Project(folder)
    assert "ERROR=0" in project.must("build")
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    shutil.copytree(built.folder, tmp_path / "dbt")
    return Project(tmp_path / "dbt")


def test_every_command_works_without_a_variable(project: Project) -> None:
    assert "PASS=27" in project.must("test", "--exclude", "test_type:unit")
    assert "score_total" in project.must("ls")
    assert "line_id" in project.must("show", "--select", "score_total")
    project.must("docs", "generate")
    assert "score_total" in (project.folder / "target" / "catalog.json").read_text(encoding="utf-8")
    project.must("compile")


def test_an_installation_is_out_of_reach(project: Project, published_six: Installation, tmp_path: Path) -> None:
    """Also where the environment names it, as that of an operator does."""
    theirs = copied(published_six, tmp_path / "copy")
    before = sha256_of(theirs.paths.warehouse)
    named = {name: theirs.variables()[name] for name in ("HOTLINE_HOME", "HOTLINE_RAW")}
    named["HOTLINE_WAREHOUSE"] = str(theirs.paths.warehouse)
    done = project.dbt("build", "--select", "score_total", **named)
    assert done.returncode == 0, done.stdout
    attached = project.dbt("show", "--inline", f"from read_blob('{theirs.paths.warehouse}')", **named)
    assert attached.returncode != 0
    assert "file system operations are disabled by configuration" in attached.stdout
    assert sha256_of(theirs.paths.warehouse) == before
    again = theirs.run("--wave", WAVE, "--line", a_line(theirs), "--no-report")
    assert "1 lines" in again.err  # nothing of the installation has to be computed again


def a_line(installation: Installation) -> str:
    with duckdb.connect(str(installation.paths.warehouse), read_only=True) as connection:
        return str(connection.execute("select min(line_id) from score_total").fetchall()[0][0])


@pytest.mark.parametrize("options", [(), ("--full-refresh",)])
def test_an_edited_view_is_rebuilt(project: Project, options: tuple[str, ...]) -> None:
    assert project.rows(
        "select count(*) from duckdb_views() where view_name = 'stg_attempts' and sql like '%limit%'"
    ) == [(0,)]
    path = project.folder / "models" / "staging" / "stg_attempts.sql"
    path.write_text(f"select * from (\n{path.read_text(encoding='utf-8')}\n) limit 3", encoding="utf-8")
    project.must("run", "--select", "stg_attempts", *options)
    query = "select count(*) from duckdb_views() where view_name = 'stg_attempts' and sql ilike '%limit 3%'"
    assert project.rows(query) == [(1,)]


def test_a_full_refresh_makes_a_table_new(project: Project) -> None:
    n_rows = project.rows("select count(*) from score_total")
    project.rows("insert into score_total select * replace ('1999' as wave) from score_total limit 1")
    project.rows("alter table score_total add column extra text")
    project.must("run", "--select", "score_total")
    assert project.rows("select count(*) from score_total where wave = '1999'") == [(1,)]  # rows out of scope stay
    project.must("run", "--select", "score_total", "--full-refresh")
    assert project.rows("select count(*) from score_total") == n_rows
    columns = "select count(*) from duckdb_columns() where table_name = 'score_total' and column_name = 'extra'"
    assert project.rows(columns) == [(0,)]


def test_a_relation_of_the_other_kind_is_replaced(project: Project) -> None:
    project.rows("drop table score_total; create view score_total as select 1 as one")
    project.rows("drop view stg_attempts; create table stg_attempts as select 1 as one")
    project.must("run", "--select", "score_total", "stg_attempts")
    names = "('score_total', 'stg_attempts')"
    kinds = f"select table_name, table_type from information_schema.tables where table_name in {names} order by 1"
    assert project.rows(kinds) == [("score_total", "BASE TABLE"), ("stg_attempts", "VIEW")]


def test_what_plain_dbt_writes_is_no_part_of_the_code() -> None:
    """Else a compiled model in dbt/target would give every release another name."""
    files = {path.relative_to(PROJECT) for pattern in CODE for path in PROJECT.glob(pattern)}
    assert [path for path in files if path.parts[:2] in (("dbt", "target"), ("dbt", "logs"))] == []
    assert {Path("dbt/models/scores/score_total.sql"), Path("dbt/profiles.yml")} <= files
    assert len(code_version()) == 64


def test_the_sample_is_small_and_as_the_command_makes_it(tmp_path: Path) -> None:
    """`.venv/bin/python .ci/dbt_sample.py` makes it; fingerprints of models and code are of no use to plain dbt."""
    runpy.run_path(str(PROJECT / ".ci" / "dbt_sample.py"))["make"](tmp_path)
    assert tables(tmp_path) == tables(DBT_PROJECT / "sample")
    assert sum(path.stat().st_size for path in (DBT_PROJECT / "sample").rglob("*.parquet")) < MAX_BYTES


def tables(folder: Path) -> dict[str, pa.Table]:
    found = {
        path.relative_to(folder).as_posix(): pq.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet"))
    }
    assert len(found) > 20
    return {
        name: table.drop_columns("input_fingerprint") if "input_fingerprint" in table.column_names else table
        for name, table in found.items()
    }
