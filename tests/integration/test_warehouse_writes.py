"""What another program writes to the warehouse is never published."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.conftest import Installation, copied
from tests.integration.conftest import WAVE


@pytest.fixture
def small(published_six: Installation, tmp_path: Path) -> Installation:
    return copied(published_six, tmp_path / "copy")


def write(installation: Installation, statement: str) -> None:
    with duckdb.connect(str(installation.paths.warehouse)) as connection:
        connection.execute(statement)


def materialize(installation: Installation, selection: str) -> subprocess.CompletedProcess[str]:
    environment = {**installation.variables(), "DAGSTER_HOME": str(installation.paths.dagster_home)}
    return subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "--select", selection, "--partition", WAVE,
         "-m", "dagster_project.definitions"],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip


def a_line(installation: Installation) -> str:
    with duckdb.connect(str(installation.paths.warehouse), read_only=True) as connection:
        return str(connection.execute("select min(line_id) from score_total").fetchall()[0][0])


def test_a_run_of_one_line_after_a_write_from_outside_recomputes_everything(small: Installation) -> None:
    line, hashes = a_line(small), small.hashes(WAVE)
    for table in ("score_l3", "score_nodes", "score_total"):
        write(small, f"update {table} set score_nano = score_nano // 2 where line_id <> '{line}'")
    result = small.run("--wave", WAVE, "--line", line, "--no-report")
    assert "changed outside the pipeline" in result.err
    assert "all 6 lines" in result.err
    assert small.hashes(WAVE) == hashes
    again = small.run("--wave", WAVE, "--line", line, "--no-report")
    assert "changed outside the pipeline" not in again.err
    assert "1 lines" in again.err
    assert small.hashes(WAVE) == hashes


@pytest.mark.parametrize(
    ("table", "step"), [("score_total", "pub_waves"), ("pub_line_scores", "release"), ("score_scenarios", "release")]
)
def test_a_write_between_two_steps_is_not_published(small: Installation, table: str, step: str) -> None:
    before = small.current(WAVE), small.hashes(WAVE)
    write(small, f"update {table} set score_nano = 0")
    done = materialize(small, step)
    assert done.returncode != 0
    assert "changed outside the pipeline" in done.stderr
    assert (small.current(WAVE), small.hashes(WAVE)) == before
    small.run("--wave", WAVE, "--no-report")
    assert small.hashes(WAVE) == before[1]


def test_the_scores_step_alone_computes_again_what_another_program_wrote(small: Installation) -> None:
    write(small, "update score_total set score_nano = 0")
    done = materialize(small, "score_total,score_nodes")
    assert done.returncode == 0, done.stderr
    assert "everything is recomputed" in done.stderr
