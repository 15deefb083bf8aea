"""`kill -9` at any moment of a run: readers keep a whole release, and the same command then gives the same bytes."""

import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.conftest import Installation, copied
from tests.crash.conftest import PATIENCE, WAVE, Small, bytes_of, litter, started, wait_until_ended

# one moment of each step, in their order; see `doomed.py`
STEPS = (
    "os.rename /bronze/web_probes",  # between two files of bronze
    "heard from dagster_project.transform.child",  # dbt at work
    "os.rename /quality",
    f"os.symlink /releases/{WAVE}/.current-next",  # the release has its name and is not current
    f"os.rename /reports/{WAVE}/current",
)
SEED = 12345
N_RANDOM, N_RANDOM_SHORT = 50, 3
WHOM = ("main", "all")  # the process alone, whose children must then end by themselves; or with its children

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")


def killed_at(installation: Installation, moment: str, whom: str) -> bool:
    """Run to that moment. False where the run has ended before it came. Its children end in any case."""
    with started(installation, "tests.crash.doomed", str(points(installation)), moment, whom, "run") as process:
        _, errors = process.communicate(timeout=PATIENCE)
        wait_until_ended(process.pid)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def killed_after(installation: Installation, seconds: float, whom: str) -> None:
    with started(installation, "dagster_project.cli", "run") as process:
        time.sleep(seconds)
        if whom == "all":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.communicate(timeout=PATIENCE)
        wait_until_ended(process.pid)


def points(installation: Installation) -> Path:
    return installation.root / "points.txt"


def n_moments(installation: Installation) -> int:
    """How many moments a run has that nothing disturbs."""
    assert not killed_at(installation, "0", "main")
    return len(points(installation).read_text(encoding="utf-8").splitlines())


def run_states(installation: Installation) -> list[str]:
    """What the UI shows of the runs, the oldest first."""
    with sqlite3.connect(installation.paths.dagster_home / "runs.db") as connection:
        return [status for (status,) in connection.execute("select status from runs order by id")]


def test_a_run_killed_in_every_step_is_made_good_by_the_next(small: Small) -> None:
    """Killed in one step after the other by the same command: each run gets over what the one before has left."""
    small.change()
    before = small.standing()
    for number, moment in enumerate(STEPS):
        assert killed_at(small.installation, moment, WHOM[number % 2]), moment
        assert (small.standing() == before) == (moment != STEPS[-1])  # the report comes after the release
    small.run_again()
    assert small.standing() != before
    states = run_states(small.installation)
    assert states[-1] == "SUCCESS"
    assert "STARTED" not in states  # a run that was killed does not run for ever
    assert states.count("FAILURE") >= len(STEPS)


def test_a_run_killed_at_random_times_is_made_good_by_the_next(small: Small) -> None:
    chance = random.Random(SEED)
    small.change()
    started_at = time.monotonic()
    small.run_again()
    seconds = time.monotonic() - started_at
    small.change()
    for number in range(N_RANDOM_SHORT):
        killed_after(small.installation, chance.uniform(0.1, seconds), WHOM[number % 2])
        small.standing()
    small.run_again()


@pytest.mark.soak
def test_a_run_killed_at_any_moment_is_made_good_by_the_next(small: Small) -> None:
    small.change()
    n_all = n_moments(small.installation)
    for moment in range(1, n_all + 1):
        small.change()
        was_killed = killed_at(small.installation, str(moment), WHOM[moment % 2])
        small.standing()
        if was_killed:
            small.run_again()
    assert n_all > 100


@pytest.mark.soak
@pytest.mark.parametrize("number", range(N_RANDOM))
def test_a_run_killed_at_a_random_time_is_made_good_by_the_next(small: Small, number: int) -> None:
    small.change()
    killed_after(small.installation, random.Random(SEED + number).uniform(0.1, 12), WHOM[number % 2])
    small.standing()
    small.run_again()


@pytest.mark.soak
def test_a_first_run_killed_at_any_moment_is_made_good_by_the_next(undisturbed: Small, tmp_path: Path) -> None:
    """Every fifth moment of a run in an empty state folder: history, parsed models and warehouse are made there too."""
    installation = copied(undisturbed.installation, tmp_path / "first")
    home = installation.paths.home
    shutil.rmtree(home)
    n_all = n_moments(installation)
    expected = bytes_of(installation.paths.current(WAVE))
    assert expected in undisturbed.undisturbed.values()
    for moment in range(1, n_all + 1, 5):
        shutil.rmtree(home)
        killed_at(installation, str(moment), WHOM[moment % 2])
        current = installation.paths.current(WAVE)
        assert not current.exists() or bytes_of(current) == expected
        installation.run()
        assert bytes_of(current) == expected
        assert litter(home) == []
