"""Standard streams that are closed, or whose reader is gone: no traceback, and the command's own exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from dagster_project.paths import PROJECT
from tests.conftest import Installation

HOTLINE = f"{sys.executable} -m dagster_project"


def in_shell(tmp_path: Path, command: str) -> tuple[int, str]:
    """(exit code of `hotline`, everything that was printed) of a shell command, in which HOTLINE is the program."""
    installation = Installation(tmp_path, {"HOTLINE_RAW": str(PROJECT / "raw")})
    done = subprocess.run(
        ["bash", "-c", command.replace("HOTLINE", HOTLINE) + "; exit ${PIPESTATUS[0]}"],
        env=installation.variables(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -0", "2>&1 | head -1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("status", 0),
        ("status --json", 0),
        ("--help", 0),
        ("nonsense", 2),
        ("check --wave 1999", 2),
        ("releases --wave 2023", 0),
    ],
)
def test_output_that_nobody_reads_changes_nothing(tmp_path: Path, arguments: str, code: int, closed: str) -> None:
    ended, printed = in_shell(tmp_path, f"HOTLINE {arguments} {closed}")
    assert "Traceback" not in printed and "Exception" not in printed and "意外错误" not in printed
    assert ended == code, printed


def test_a_closed_stream_does_not_become_a_file_of_the_run(tmp_path: Path) -> None:
    """Descriptor 2 would be the next file that is opened, and messages would end in it."""
    _, printed = in_shell(
        tmp_path,
        f"{sys.executable} -c 'from dagster_project import console; import sys; "
        'console.run(lambda: print(open("/dev/zero").fileno()) or 0)\' 2>&-',
    )
    assert int(printed) > 2


def test_output_that_cannot_be_stored_is_a_failure(tmp_path: Path) -> None:
    ended, printed = in_shell(tmp_path, "HOTLINE doctor > /dev/full")
    assert ended == 1
    assert "No space left" in printed and "Traceback" not in printed


@pytest.mark.parametrize("command", ["doctor --json > /dev/full", "check --wave 1999 --json > /dev/full"])
def test_a_failure_as_json_that_cannot_be_stored_is_explained(tmp_path: Path, command: str) -> None:
    ended, printed = in_shell(tmp_path, f"HOTLINE {command}")
    assert ended == (1 if "doctor" in command else 2)
    assert "No space left" in printed or "1999" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(("arguments", "code"), [("nonsense", 2), ("check --wave 1999", 2), ("status", 0)])
def test_messages_that_cannot_be_stored_leave_the_exit_code(tmp_path: Path, arguments: str, code: int) -> None:
    assert in_shell(tmp_path, f"HOTLINE {arguments} 2> /dev/full")[0] == code
