"""A published installation of the demonstration waves, made once; tests change copies of it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dagster_project.paths import PROJECT, Paths

# A shell's background ignores Ctrl-C, and nohup the end of the terminal; so would every process that a test ends.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if threading.current_thread() is threading.main_thread() and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Installation:
    """One raw folder and one home, and `hotline` run in a process of its own upon them."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        return Paths(raw=self.root / "raw", home=self.root / "data")

    def variables(self) -> dict[str, str]:
        """The environment of a process that works upon this installation."""
        return {
            **os.environ,
            "HOTLINE_RAW": str(self.paths.raw),
            "HOTLINE_HOME": str(self.paths.home),
            **self.environment,
        }

    def hotline(self, *arguments: str, timeout: float = 300) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "dagster_project.cli", *arguments],
            capture_output=True, text=True, timeout=timeout, env=self.variables(), cwd=self.root, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str) -> Result:
        result = self.hotline("run", *arguments)
        assert result.code == 0, result.err
        return result

    def current(self, wave: str) -> str:
        return str(self.paths.current(wave).readlink())

    def hashes(self, wave: str) -> dict[str, str]:
        """{file: sha256} of the current release's data files, as its manifest states them."""
        return json.loads((self.paths.current(wave) / "manifest.json").read_text(encoding="utf-8"))["files"]


def fresh(root: Path, source: Path, **environment: str) -> Installation:
    """A new installation with the declarations and exports of `source`, nothing run."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, root / "raw", dirs_exist_ok=True)
    return Installation(root, environment)


def copied(published: Installation, root: Path) -> Installation:
    """A copy of a whole installation, state and all."""
    shutil.copytree(published.root, root, symlinks=True, dirs_exist_ok=True)
    return Installation(root)


@contextmanager
def made_once(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """(folder shared by the parallel test processes, whether it is this one's to fill)."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = base / f"{name}.done"
        yield base / name, not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's declarations with freshly simulated exports of both waves."""
    with made_once(tmp_path_factory, "simulated") as (root, is_ours):
        if is_ours:
            exports = shutil.ignore_patterns("*.xlsx", "phone_*.csv", "dial_*.csv", "web_*.csv")
            shutil.copytree(PROJECT / "raw", root / "raw", ignore=exports)
            result = Installation(root).hotline("simulate")
            assert result.code == 0, result.err
    return root / "raw"


@pytest.fixture(scope="session")
def published(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Both waves run and published by the command line."""
    with made_once(tmp_path_factory, "published") as (root, is_ours):
        if is_ours:
            fresh(root, raw).run()
    return Installation(root)


@pytest.fixture
def copy(published: Installation, tmp_path: Path) -> Installation:
    return copied(published, tmp_path / "copy")
