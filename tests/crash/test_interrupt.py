"""Ctrl-C, and the system's request to end: soon, without orphans or tracebacks; then run again."""

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dagster_project import chain, console, runlog
from dagster_project.launch import webserver_command
from dagster_project.paths import PROJECT
from tests.conftest import Installation
from tests.crash.conftest import PATIENCE, Small, started, wait_until_ended

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")

MOMENTS = ("phone_2022", "开始 / started", "recomputing", "published", "report rendered")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (signal.SIGINT, ""),  # while modules are imported
        (signal.SIGINT, "recomputing"),  # within a step of the job
        (signal.SIGTERM, "recomputing"),
        *(pytest.param(signal.SIGINT, words, marks=pytest.mark.soak) for words in MOMENTS if words != "recomputing"),
        *(pytest.param(signal.SIGTERM, words, marks=pytest.mark.soak) for words in ("started", "published")),
    ],
)
def test_an_interrupted_run_ends_with_its_children(small: Small, asked: signal.Signals, words: str) -> None:
    small.change()
    with started(small.installation, "dagster_project", "run") as process:
        assert process.stderr is not None
        for line in process.stderr if words else ():
            if words in line:
                break
        else:
            wait_until_imported(process.pid, "typer")
        os.killpg(process.pid, asked)  # as a terminal does, and a service manager
        _, errors = process.communicate(timeout=PATIENCE)
        wait_until_ended(process.pid)
    assert process.returncode in (130, -asked if asked == signal.SIGTERM else 130), errors
    assert "Traceback" not in errors
    assert "意外" not in errors
    if asked == signal.SIGINT:
        assert errors.rstrip().endswith(console.MESSAGE)
    small.standing()
    if words == "recomputing":
        small.run_again()


def wait_until_imported(pid: int, name: str) -> None:
    """Waits until a process has a compiled module of a package open, or mapped: it is in the middle of its imports."""
    while name not in Path(f"/proc/{pid}/cmdline").read_text() and console_is_not_up(pid):
        pass


def console_is_not_up(pid: int) -> bool:
    """Returns whether the thread that watches for Ctrl-C is still missing."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) < 2


# What a library can make of Ctrl-C, and of threads.
HANGING = {
    "the interrupt is swallowed": """
        try:
            while True: time.sleep(60)
        except KeyboardInterrupt:
            while True: time.sleep(60)
    """,
    "another handler takes it": """
        signal.signal(signal.SIGINT, lambda *_: None)
        say()
        while True: time.sleep(60)
    """,
    "a thread never ends": """
        threading.Thread(target=time.sleep, args=(10_000,)).start()
        say()
        time.sleep(60)
    """,
    "a thread holds the import lock": """
        def load():
            import _imp
            _imp.acquire_lock()
            time.sleep(10_000)
        threading.Thread(target=load, daemon=True).start()
        time.sleep(.2)
        say()
        import colorsys
    """,
    "a child goes on": """
        subprocess.Popen(["sleep", "10000"])
        signal.signal(signal.SIGINT, lambda *_: None)
        say()
        while True: time.sleep(60)
    """,
    "it becomes another failure": """
        say()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            raise RuntimeError("INTERRUPT Error: Interrupted!") from None
    """,
}


@pytest.mark.parametrize("body", HANGING.values(), ids=HANGING)
def test_ctrl_c_ends_a_process_whatever_it_does(body: str, tmp_path: Path) -> None:
    program = (
        "import fcntl, signal, subprocess, sys, threading, time\n"
        "from dagster_project import cli, console\n"
        "def say(): print('ready', flush=True)\n"
        "def app():\n"
        f"    lock = open({str(tmp_path / 'lock')!r}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        f"{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        "cli.app = app\n"
        "console.run(cli.exit_code)\n"
    )
    if "say()" not in body:
        program = program.replace("    try:\n", "    say()\n    try:\n", 1)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        wait_until_ended(process.pid)
    assert process.returncode == 130, errors
    assert errors == f"{console.MESSAGE}\n"
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_ctrl_c_at_the_very_end_does_not_kill() -> None:
    """The interpreter gives SIGINT back its default, death without a message, before it destroys what is left."""
    program = (
        "import os, signal\n"
        "from dagster_project import console\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid(), SIGINT=signal.SIGINT): kill(pid, SIGINT)\n"
        "last = Last()\n"
        "console.run(lambda: 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_ctrl_c_ends_a_ui_that_is_still_being_imported() -> None:
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'dagster': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dagster_project.start_webserver import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, f"{console.MESSAGE}\n")
    assert webserver_command(3000, "127.0.0.1", (), ())[:4] == [
        sys.executable, "-P", "-m", "dagster_project.start_webserver",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_end_before_it_exists_is_in_the_log(tmp_path: Path, asked: signal.Signals) -> None:
    program = (
        "import os\n"
        "from dagster_project import cli, console, launch\n"
        "console.GRACE_S = 60\n"  # a busy machine may need more than the usual time
        f"launch.load_wave = lambda *_: os.kill(os.getpid(), {int(asked)})\n"
        "console.run(cli.exit_code)\n"
    )
    installation = Installation(tmp_path, {"HOTLINE_RAW": str(PROJECT / "raw")})
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "--wave", "2022"],
        env=installation.variables(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, console.MESSAGE in done.stderr) == (130, True), done.stderr
    records = [each for each in chain.read(installation.paths.log) if each["event"] == runlog.FAILED]
    assert [(each["error"], each["exit_code"]) for each in records] == [("Interrupted", 130)]
