"""The lock of an installation within one process, whose parts share it."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from dagster_project.lock import append_lock, is_held, run_lock
from dagster_project.paths import Paths
from dagster_project.runs import run_process


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


def in_the_way(path: Path, kind: str) -> None:
    """Put something into the place of the file."""
    if kind == "folder":
        path.mkdir()
        (path / "mine").write_text("x", encoding="utf-8")
    elif kind == "link":
        path.symlink_to("nowhere/at-all")
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_in_the_place_of_a_lock_is_set_aside(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(tmp_path, tmp_path)
    for path in (paths.lock, paths.log_lock):
        in_the_way(path, kind)
    assert not is_held(paths)
    with run_lock(paths):
        assert not is_free(paths)
    with append_lock(paths.log_lock):
        assert paths.log_lock.is_file()
    kept = {path.relative_to(paths.home / "damaged").parts[1] for path in (paths.home / "damaged").glob("*/*")}
    assert kept == {"run.lock", "log.lock"}
    assert "moved to" in caplog.text


def test_a_run_sets_aside_what_is_in_the_place_of_the_folder_of_running_runs(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path)
    (tmp_path / "running").write_text("x", encoding="utf-8")
    with run_process(paths, "a"):
        assert paths.running("a").is_file()
    paths.running("b").mkdir()
    assert paths.running_files() == []
