"""A published installation of six lines, small enough to run again and again, and what its exports must give."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dagster_project.files import sha256_of
from dagster_project.paths import PROJECT
from tests.conftest import Installation, Result, copied, made_once

WAVE = "2022"
ANSWERS = (",丰富,", ",欠缺,")  # one answer of the web export, as simulated and as changed
PATIENCE = 120  # seconds; a test asserts what happens, not how fast

Bytes = dict[str, str]


@dataclass(frozen=True)
class Small:
    """The installation, the release that stands in it, and by answer the bytes of the release of an undisturbed run."""

    installation: Installation
    undisturbed: dict[str, Bytes]

    @property
    def current(self) -> Path:
        return self.installation.paths.current(WAVE)

    def change(self) -> None:
        """Let the exports differ by one answer from those that are published, and nothing be there of theirs yet."""
        self.answer(self.next_answer())
        for folder in (self.installation.paths.releases(WAVE), self.installation.paths.reports(WAVE)):
            for each in folder.glob("[!.]*"):
                if not each.is_symlink() and each != (folder / "current").resolve():
                    shutil.rmtree(each)

    def next_answer(self) -> str:
        return ANSWERS[1] if self.standing() == ANSWERS[0] else ANSWERS[0]

    def answer(self, answer: str) -> None:
        head, row, *others = self.export().read_bytes().decode("utf-8-sig").split("\n")
        for each in ANSWERS:
            row = row.replace(each, answer, 1)
        self.export().write_bytes("\n".join([head, row, *others]).encode("utf-8-sig"))

    def export(self) -> Path:
        return self.installation.paths.raw / WAVE / f"web_{WAVE}.csv"

    def standing(self) -> str:
        """Of which answer the current release is; it must be the whole release of one of them."""
        found = bytes_of(self.current)
        (answer,) = (each for each, expected in self.undisturbed.items() if found == expected)
        return answer

    def run_again(self) -> Result:
        """The same command, whatever happened before: it gives what an undisturbed run gives, and leaves no litter."""
        result = self.installation.hotline("run", timeout=PATIENCE)
        assert result.code == 0, result.err
        row = self.export().read_text(encoding="utf-8-sig").split("\n")[1]
        assert self.standing() in row
        assert litter(self.installation.paths.home) == []
        return result


def bytes_of(folder: Path) -> Bytes:
    """{file: sha256} of everything in a release, its manifest too."""
    folder = folder.resolve()
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


def litter(home: Path) -> list[str]:
    """What only a run that was killed leaves behind."""
    names = (".staged-*", ".*.new", ".new", ".current-next", "*.wal")
    return sorted(path.relative_to(home).as_posix() for name in names for path in home.rglob(name))


@contextmanager
def started(installation: Installation, module: str, *arguments: str, **options: object) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, with pipes; the session is ended in any case."""
    environment = {**installation.variables(), "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=environment, cwd=installation.root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options,
    ) as process:  # type: ignore[call-overload]  # fmt: skip
        try:
            yield process
        finally:
            if living(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def living(session: int) -> list[int]:
    """Process ids of a session, but of those that have ended and are only not yet asked for their exit code."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session, *_ = each.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(each.parent.name))
    return found


def wait_until_ended(session: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := living(session):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Two runs that nothing disturbs, one per answer. Not to be changed: tests take a copy."""
    with made_once(tmp_path_factory, "undisturbed") as (root, is_ours):
        installation = Installation(root)
        if is_ours:
            root.mkdir()
            arguments = ("--wave", WAVE, "--lines", "6", "--probes", "6", "--out", str(root / "raw"))
            simulated = Installation(root, {"HOTLINE_RAW": str(PROJECT / "raw")}).hotline("simulate", *arguments)
            assert simulated.code == 0, simulated.err
            simulated_bytes = Small(installation, {}).export().read_bytes()
            for answer in reversed(ANSWERS):
                Small(installation, {}).answer(answer)
                installation.run()
            assert Small(installation, {}).export().read_bytes() == simulated_bytes
    folders = [path for path in installation.paths.releases(WAVE).glob("[!.]*") if not path.is_symlink()]
    (first,) = (each for each in folders if each == installation.paths.current(WAVE).resolve())
    (second,) = (each for each in folders if each != first)
    return Small(installation, {ANSWERS[0]: bytes_of(first), ANSWERS[1]: bytes_of(second)})


@pytest.fixture(scope="module")
def small(undisturbed: Small, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A copy for the tests of one file, which has the release of one answer only."""
    installation = copied(undisturbed.installation, tmp_path_factory.mktemp("small"))
    return Small(installation, undisturbed.undisturbed)
