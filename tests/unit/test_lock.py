"""The lock of an installation within one process, whose parts share it."""

import fcntl
import threading
from pathlib import Path

import pytest

from dagster_project.lock import run_lock
from dagster_project.paths import Paths


def is_free(paths: Paths) -> bool:
    """Returns whether another process could take the lock."""
    with paths.lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_first_thread_may_end_before_the_second(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path)
    entered, leave = threading.Event(), threading.Event()

    def second() -> None:
        with run_lock(paths):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=second)
    with run_lock(paths):
        thread.start()
        entered.wait()
    assert not is_free(paths)
    leave.set()
    thread.join()
    assert is_free(paths)
    assert paths.lock.read_text() == ""


def test_a_failure_within_releases_the_lock(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path)
    with pytest.raises(ValueError), run_lock(paths), run_lock(paths):
        raise ValueError
    assert is_free(paths)
