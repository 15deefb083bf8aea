"""The promise on hostile input, through the command line.

Whatever is delivered: `hotline check` ends within 30 s and 2 GB with 0 or 3, without a traceback;
every row read is in bronze, in quarantine or blank; what is refused is named, with its code and the
way to mend it, in Chinese and English.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dagster_project import cli
from tests.hostile.corpus import ALONE, MESSAGE, TOGETHER, Case
from tests.small_wave import WAVE, SmallWave

SECONDS = 30  # of processor time
PATIENCE = 1800  # of a process that does nothing: a busy machine is slow, and no fault
# of one process: a check has the command and one child for the one workbook that is spoilt, 2 GB together
MEGABYTES = 1024
COMMAND = ["check", "--wave", WAVE, "--json"]
DECLARATION = re.compile(r"[^\n]*wave\.yml[^\n]*[\u4e00-\u9fff][^\n]* / [a-z][^\n]*")
HEADLINE = re.compile(r"[^\n]+ 处错误 / input rejected, \d+ fault\(s\):")


@dataclass(frozen=True)
class Ended:
    """How a check ended: exit code, standard output and error."""

    code: int
    out: str
    err: str


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    wave = SmallWave(tmp_path)
    wave.write()
    return wave


@pytest.mark.parametrize("case", ALONE.values(), ids=ALONE)
def test_a_dangerous_delivery_in_a_process_of_its_own(
    case: Case, wave: SmallWave, tmp_path: Path, record_property: Any
) -> None:
    case.spoil(wave)
    ended, seconds, megabytes = checked_alone(wave, tmp_path)
    record_property("seconds", seconds)
    record_property("megabytes", megabytes)
    require_kept(case, ended)
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER)
def test_a_faulty_delivery(
    case: Case, wave: SmallWave, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.spoil(wave)
    monkeypatch.setenv("HOTLINE_RAW", str(wave.paths.raw))
    monkeypatch.setenv("HOTLINE_HOME", str(wave.paths.home))
    monkeypatch.setattr(sys, "argv", ["hotline", *COMMAND])
    code = cli.exit_code()
    require_kept(case, Ended(code, *capsys.readouterr()))
    assert not wave.paths.home.exists()
    assert {path.name for path in wave.paths.raw.parent.iterdir()} == {"raw"}


# a small process in between: the kernel counts the memory of the process that starts another as that one's
LAUNCHER = """
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
code = subprocess.call(sys.argv[3:], stdin=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as stream:
    print(code, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10, file=stream)
"""


def checked_alone(wave: SmallWave, folder: Path) -> tuple[Ended, float, int]:
    """(how the command ended, seconds of processor time, megabytes that it or its largest child took).

    Processor time, since other tests run beside this one: the kernel ends each process that takes twice as much.
    """
    command = [sys.executable, "-m", "dagster_project.cli", *COMMAND]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, str(folder / "usage"), str(2 * SECONDS), *command],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
        env={**os.environ, "HOTLINE_RAW": str(wave.paths.raw), "HOTLINE_HOME": str(wave.paths.home)},
    )  # fmt: skip
    code, seconds, megabytes = (folder / "usage").read_text(encoding="ascii").split()
    return Ended(int(code), done.stdout, done.stderr), round(float(seconds), 1), int(megabytes)


def require_kept(case: Case, ended: Ended) -> None:
    """The promise, and what the case says of its own."""
    assert ended.code == case.code, ended.err
    assert "Traceback" not in ended.out + ended.err
    result = json.loads(ended.out)
    if isinstance(result, dict):
        lines = result["message"].splitlines()
        told = [line for line in lines if not HEADLINE.fullmatch(line)]
        assert told and result["exit_code"] == 3
    else:
        [report] = result
        told = report["messages"]
        assert bool(told) == (case.code == 3)
        require_reconciled(case, report)
    for line in told:
        assert MESSAGE.fullmatch(line) or DECLARATION.fullmatch(line), line
        assert len(line) < 2000
    for piece in case.told:
        assert piece in "\n".join(told)


def require_reconciled(case: Case, report: dict[str, Any]) -> None:
    accounts = {file["file"]: file for file in report["files"]}
    for file in accounts.values():
        assert file["n_read"] == file["n_bronze"] + file["n_quarantined"] + file["n_blank"]
    assert case.rows is not None, "the case does not say how many rows it has"
    name, *counts = case.rows
    assert [accounts[name][count] for count in ("n_read", "n_bronze", "n_quarantined", "n_blank")] == counts
