"""Ctrl-C, and the system's request to end: soon, without litter of processes or tracebacks; then run again."""

import os
import signal
from pathlib import Path

import pytest

from tests.crash.conftest import PATIENCE, Small, started, wait_until_ended

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (signal.SIGINT, "recomputing"),  # within a step of the job
        (signal.SIGTERM, "recomputing"),
        pytest.param(signal.SIGINT, "started", marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, "started", marks=pytest.mark.soak),
        pytest.param(signal.SIGINT, "published", marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, "published", marks=pytest.mark.soak),
    ],
)
def test_an_interrupted_run_ends_with_its_children(small: Small, asked: signal.Signals, words: str) -> None:
    small.change()
    with started(small.installation, "dagster_project.cli", "run") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if words in line:
                break
        os.killpg(process.pid, asked)  # as a terminal does, and a service manager
        _, errors = process.communicate(timeout=PATIENCE)
        wait_until_ended(process.pid)
    assert process.returncode in (130, -asked), errors
    assert "Traceback" not in errors
    assert "意外" not in errors
    if words == "recomputing":
        assert "已中断" in errors
        assert "interrupted" in errors
    small.standing()
    if asked == signal.SIGTERM:
        small.run_again()
