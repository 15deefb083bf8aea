"""The scripts that the benchmarks time score the wave too: they and the release must agree."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.bronze_columns import differences
from benchmarks.scale_data import BASE, BASE_LINES, BASE_OBSERVATIONS
from dagster_project.paths import PROJECT
from tests.conftest import Installation


def run(published: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env={**published.variables(), "PYTHONPATH": str(PROJECT)},  # the current folder is on no path
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_scripts_and_the_release_agree(published: Installation, tmp_path: Path) -> None:
    outputs = [tmp_path / "plain.json", tmp_path / "vectorised.json"]
    for script, output in zip(("plain_script", "vectorised_script"), outputs, strict=True):
        done = run(published, f"benchmarks.{script}", "2023", str(output))
        assert done.returncode == 0, done.stderr
    compared = run(published, "benchmarks.agreement", str(published.paths.current("2023")), *map(str, outputs))
    assert compared.returncode == 0, compared.stdout + compared.stderr


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_scripts_from_bronze_score_every_node_to_the_digit(
    published: Installation, tmp_path: Path, library: str
) -> None:
    pytest.importorskip(library, reason="polars is of the benchmark alone: an installation may lack it")
    scores, release = tmp_path / "scores.json", published.paths.current(BASE)
    done = run(published, f"benchmarks.bronze_{library}", BASE, "v2023", str(scores))
    assert done.returncode == 0, done.stderr
    assert differences(release, scores) == []
    assert len(differences(published.paths.current("2023"), scores)) > 1000


def test_the_large_waves_are_as_large_as_they_say(published: Installation) -> None:
    release = published.paths.current(BASE)
    assert pq.ParquetFile(release / "observations.parquet").metadata.num_rows == BASE_OBSERVATIONS
    assert pq.ParquetFile(release / "lines.parquet").metadata.num_rows == BASE_LINES
