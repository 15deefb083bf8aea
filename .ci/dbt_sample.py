"""Makes dbt/sample, the bronze that plain dbt runs on: `.venv/bin/python .ci/dbt_sample.py`, after a change of bronze.

Six simulated lines of the first demonstration wave, ingested as any delivery, and a scope that names all of them.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dagster_project.ingest.bronze import ingest_wave, write_tables
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import DBT_PROJECT, PROJECT, Paths
from dagster_project.release.baseline import baseline_tables
from dagster_project.transform.scope import full_scope, write_scope

WAVE = "2022"


def make(sample: Path) -> None:
    """Write bronze and scope of the sample into the folder `sample`."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(raw=Path(folder) / "raw", home=Path(folder) / "home")
        command = [sys.executable, "-m", "dagster_project.cli", "simulate", "--wave", WAVE, "--lines", "6"]
        subprocess.run([*command, "--probes", "6", "--out", str(paths.raw)], check=True, cwd=PROJECT)
        wave = load_wave(paths, WAVE)
        ingest_wave(paths, wave)
        write_tables(paths, WAVE, baseline_tables(paths, wave))
        write_scope(paths, full_scope(paths, WAVE))
        for name in (paths.bronze.name, paths.scope.parent.name):
            shutil.rmtree(sample / name, ignore_errors=True)
            shutil.copytree(paths.home / name, sample / name)


if __name__ == "__main__":
    make(DBT_PROJECT / "sample")
