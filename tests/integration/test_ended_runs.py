"""Runs that end otherwise than by finishing, with the real daemon: each is seen to have ended, and is in the log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dagster_project import chain, runlog
from tests.conftest import Installation, fresh
from tests.integration.conftest import WAVE
from tests.integration.test_ui import SELECTOR, ask, served
from tests.servers import free_port

PATIENCE = 240  # seconds; a test asserts what happens, not how fast
LAUNCH = """mutation($run: ExecutionParams!) { launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
    __typename ... on TerminateRunFailure { message } } }"""


@pytest.fixture(scope="module")
def installation(six_lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return fresh(tmp_path_factory.mktemp("ended"), six_lines)


@pytest.fixture(scope="module")
def port(installation: Installation) -> Iterator[int]:
    port = free_port()
    with served(installation, port):
        yield port


def query(port: int, text: str, **variables: Any) -> Any:
    return json.loads(ask(port, "/graphql", {"query": text, "variables": variables})[1])["data"]


def launch(port: int, job: str, **selection: Any) -> str:
    tags = [{"key": "dagster/partition", "value": WAVE}]
    run = {"selector": {**SELECTOR, "pipelineName": job, **selection}, "runConfigData": {}, "mode": "default",
           "executionMetadata": {"tags": tags}}  # fmt: skip
    launched = query(port, LAUNCH, run=run)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def statuses(port: int) -> dict[str, str]:
    return {run["runId"]: run["status"] for run in query(port, RUNS)["runsOrError"]["results"]}


def wait(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def end_of(port: int, run_id: str) -> str:
    ended = ("SUCCESS", "FAILURE", "CANCELED")
    wait(lambda: statuses(port).get(run_id) in ended, f"{run_id} does not end: {statuses(port)}")
    return statuses(port)[run_id]


def record_of(installation: Installation, run_id: str) -> dict[str, Any]:
    """The one record of what stopped the run."""
    (record,) = [
        each
        for each in chain.read(installation.paths.log)
        if each["event"] == runlog.FAILED and each.get("run_id") == run_id
    ]
    assert record["by"] == runlog.user()
    assert len(record["command"]) < 120
    return record


def command_line(installation: Installation) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dagster_project.cli", "run", "--no-report"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=installation.variables(), cwd=installation.root,
        start_new_session=True,
    )  # fmt: skip


def new_run(port: int, known: dict[str, str]) -> str:
    return wait(lambda: [run_id for run_id in statuses(port) if run_id not in known], "no run")[0]


@pytest.mark.parametrize("until", ["NOT_STARTED", "STARTED"])
def test_a_killed_run_of_the_command_line_is_in_nobodys_way(installation: Installation, port: int, until: str) -> None:
    known = statuses(port)
    process = command_line(installation)
    killed = new_run(port, known)
    if until == "STARTED":
        wait(lambda: statuses(port)[killed] == until, "not started")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # asked for while the history still shows the killed one
    following = launch(port, "annual_wave")
    assert end_of(port, killed) == "FAILURE"
    assert (record_of(installation, killed)["error"]) == "Abandoned"
    assert record_of(installation, killed)["command"] == "cli.py run --no-report"
    assert end_of(port, following) == "SUCCESS"


def test_terminate_ends_a_run_of_the_command_line(installation: Installation, port: int) -> None:
    known = statuses(port)
    process = command_line(installation)
    run_id = new_run(port, known)
    wait(lambda: statuses(port)[run_id] == "STARTED", "not started")
    assert query(port, TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    assert process.wait(PATIENCE) == 130
    assert end_of(port, run_id) == "CANCELED"
    assert record_of(installation, run_id)["error"] == "Interrupted"


def test_whatever_stops_a_run_of_the_ui_is_in_the_log(installation: Installation, port: int) -> None:
    web = installation.paths.raw / WAVE / f"web_{WAVE}.csv"
    content = web.read_bytes()
    web.write_bytes(b"not a web export\n")
    release = [{"path": ["release"]}]
    bronze = [{"path": ["bronze", name]} for name in ("web_probes", "phone_probes", "dial_attempts", "open_probes",
              "quarantine", "reference")]  # fmt: skip
    try:
        job = launch(port, "annual_wave")
        assert end_of(port, job) == "FAILURE"
        page = launch(port, "__ASSET_JOB", assetSelection=bronze)
        assert end_of(port, page) == "FAILURE"
    finally:
        web.write_bytes(content)
    for run_id, target in ((job, "job annual_wave"), (page, "assets bronze/dial_attempts, bronze/open_probes, ")):
        record = record_of(installation, run_id)
        assert (record["error"], record["exit_code"], record["wave"]) == ("InputRejected", 3, WAVE)
        assert record["command"].startswith(f"dagster: {target}")
        assert record["command"].endswith("launched by UI")
    with installation.paths.lock.open("a") as lock:  # as `hotline verify` holds it, which is no run
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = launch(port, "__ASSET_JOB", assetSelection=release)
        assert end_of(port, busy) == "FAILURE"
    assert record_of(installation, busy)["error"] == "Busy"


def test_a_run_of_the_ui_that_is_terminated_is_in_the_log(installation: Installation, port: int) -> None:
    run_id = launch(port, "annual_wave")
    wait(lambda: statuses(port)[run_id] == "STARTED", "not started")
    query(port, TERMINATE, id=run_id)
    assert end_of(port, run_id) == "CANCELED"
    assert record_of(installation, run_id)["error"] == "Interrupted"


def test_a_killed_run_of_the_ui_is_in_the_log(installation: Installation, port: int) -> None:
    run_id = launch(port, "annual_wave")
    file = installation.paths.running(run_id)
    wait(lambda: file.exists() and file.read_text().startswith("pid "), "no process")
    os.kill(int(file.read_text().removeprefix("pid ")), signal.SIGKILL)
    assert end_of(port, run_id) == "FAILURE"
    assert record_of(installation, run_id)["error"] == "Abandoned"
    assert record_of(installation, run_id)["command"] == "dagster: job annual_wave, launched by UI"
