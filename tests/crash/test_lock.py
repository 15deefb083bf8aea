"""One run at a time: the others are told whose turn it is, and a killed one is in nobody's way."""

import os
import re
import signal
from contextlib import ExitStack

from tests.crash.conftest import PATIENCE, Small, started, wait_until_ended

N_AT_ONCE = 4


def test_of_four_runs_at_once_one_works_and_the_others_name_it(small: Small) -> None:
    """And before them one was killed, whose name still stands in the lock file."""
    small.change()
    with started(small.installation, "tests.crash.doomed", os.devnull, "os.rename /bronze/lines", "all", "run") as dead:
        dead.communicate(timeout=PATIENCE)
        wait_until_ended(dead.pid)
    assert dead.returncode == -signal.SIGKILL
    assert f"pid {dead.pid}," in small.installation.paths.lock.read_text(encoding="utf-8")
    before = small.standing()
    with ExitStack() as stack:
        runs = [
            stack.enter_context(started(small.installation, "dagster_project.cli", "run")) for _ in range(N_AT_ONCE)
        ]
        told = {run.pid: run.communicate(timeout=PATIENCE) for run in runs}
    codes = {run.pid: run.returncode for run in runs}
    assert sorted(codes.values()) == [0, 5, 5, 5], told
    (at_work,) = (pid for pid, code in codes.items() if code == 0)
    for pid, (_, errors) in told.items():
        if pid != at_work:
            assert re.search(rf"pid {at_work}, 开始于 / since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d", errors), errors
    assert small.standing() != before
