"""The two scripts that `make bench` times score the wave too: they and the release must agree."""

import subprocess
import sys
from pathlib import Path

from dagster_project.paths import PROJECT
from tests.conftest import Installation


def test_the_scripts_and_the_release_agree(published: Installation, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=PROJECT,
            env=published.variables(),
            capture_output=True,
            text=True,
            check=False,
        )

    outputs = [tmp_path / "plain.json", tmp_path / "vectorised.json"]
    for script, output in zip(("plain_script", "vectorised_script"), outputs, strict=True):
        done = run(f"benchmarks.{script}", "2023", str(output))
        assert done.returncode == 0, done.stderr
    compared = run("benchmarks.agreement", str(published.paths.current("2023")), *map(str, outputs))
    assert compared.returncode == 0, compared.stdout + compared.stderr
