"""A full disk, or one that may not be written: said in words, harmless to readers, and over when there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.crash.conftest import Small

KIB = 1024
MOUNTED_BYTES = 64 << 20
# folder below the state folder -> bytes that are free there; None: it may not be written
SHORT = (("", 600 * KIB), ("releases", 40 * KIB), ("releases", None))
LONG = (
    ("", 0), ("", 200 * KIB), ("", 1200 * KIB), ("", 2000 * KIB), ("", 3000 * KIB), ("", 5000 * KIB), ("", None),
    ("bronze", 8 * KIB), ("bronze", None), ("ingest", None), ("quality", 4 * KIB), ("dagster", 0),
    ("dagster", 300 * KIB), ("dagster", None), ("dbt_target", None), ("reports", 100 * KIB), ("reports", None),
)  # fmt: skip


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@cache
def why_not() -> str | None:
    """Why no small disk can be made here; None where it can."""
    if os.geteuid() != 0:
        return "a disk of limited size needs root"
    done = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return None if done.returncode == 0 else f"this machine mounts nothing: {done.stderr.decode().strip()}"


@contextmanager
def narrow(folder: Path, n_free: int | None) -> Iterator[None]:
    """The folder on a disk of its own that has no more than `n_free` bytes to give, or is read-only."""
    beside = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, beside, symlinks=True)
    mount("-t", "tmpfs", "-o", f"size={MOUNTED_BYTES}", "tmpfs", str(folder))
    try:
        shutil.copytree(beside, folder, symlinks=True, dirs_exist_ok=True)
        if n_free is None:
            mount("-o", "remount,ro", str(folder))
        else:
            fill(folder / "filler", n_free)
        yield
        # what stands now is what a later run finds
        if n_free is not None:
            (folder / "filler").unlink()
        shutil.rmtree(beside)
        shutil.copytree(folder, beside, symlinks=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(folder)
    beside.rename(folder)


def fill(path: Path, n_free: int) -> None:
    free = os.statvfs(path.parent)
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free.f_bavail * free.f_bsize)
        stream.truncate(free.f_bavail * free.f_bsize - n_free)


needs_mounts = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def refused(small: Small, folder: str, n_free: int | None) -> None:
    home = small.installation.paths.home
    before = small.standing()
    with narrow(home / folder, n_free):
        result = small.installation.hotline("run")
        assert result.code == 1, result.err
        for words in ("系统错误 / the system refused", str(home), "再次运行同一命令", "run the same command again"):
            assert words in result.err, result.err
        assert "意外" not in result.err
        assert "Traceback" not in result.err
        assert (small.standing() == before) or folder == "reports"  # which come after the release


@needs_mounts
def test_a_run_without_room_says_so_and_leaves_what_is_published(small: Small) -> None:
    small.change()
    for folder, n_free in SHORT:
        refused(small, folder, n_free)
    small.run_again()


@needs_mounts
@pytest.mark.soak
@pytest.mark.parametrize(("folder", "n_free"), LONG)
def test_wherever_room_is_lacking(small: Small, folder: str, n_free: int | None) -> None:
    small.change()
    refused(small, folder, n_free)
    small.run_again()
