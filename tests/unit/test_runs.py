"""Runs whose process is gone end; those that live or wait do not. Whatever stops a run is in the log, once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id

from dagster_project import chain, errors, runlog
from dagster_project.errors import HotlineError
from dagster_project.launch import Attempt, _our_failures, dagster_instance
from dagster_project.lock import append_lock, run_lock
from dagster_project.paths import Paths
from dagster_project.resources import Installation
from dagster_project.runs import (
    COMMAND_TAG,
    UNFINISHED,
    USER_TAG,
    RunLauncher,
    end_abandoned_runs,
    end_runs_of_before,
    pid_of,
    record_missing_ends,
    run_process,
)

Status = dg.DagsterRunStatus
TAGS = {COMMAND_TAG: "hotline run", USER_TAG: "somebody"}
# a process that shows itself as the one of a run, says so, and waits to be ended
LIVING = """
import sys
from dagster_project.paths import paths
from dagster_project.runs import run_process
with run_process(paths(), sys.argv[1]):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("HOTLINE_RAW", str(tmp_path / "raw"))
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path / "data"))
    return Paths(raw=tmp_path / "raw", home=tmp_path / "data")


@pytest.fixture
def instance(home: Paths) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(home) as instance:
        yield instance


@dg.op
def step() -> None: ...


@dg.job
def empty() -> None:
    step()


# of a run that is launched through a code server
LAUNCHED = RemoteJobOrigin(RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", 1), "code"), "empty")


def made(instance: dg.DagsterInstance, status: Status, **tags: str) -> str:
    origin = LAUNCHED if status == Status.QUEUED else None
    return instance.create_run_for_job(empty, status=status, tags=tags, remote_job_origin=origin).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def failures(home: Paths) -> list[dict[str, Any]]:
    return [each for each in chain.read(home.log) if each["event"] == runlog.FAILED]


@contextmanager
def living(run_id: str) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-c", LIVING, run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.NOT_STARTED, Status.FAILURE),
        (Status.STARTING, Status.FAILURE),
        (Status.STARTED, Status.FAILURE),
        (Status.CANCELING, Status.CANCELED),
    ],
)
def test_a_run_ends_when_its_process_is_killed_and_not_before(
    home: Paths, instance: dg.DagsterInstance, before: Status, after: Status
) -> None:
    run_id = made(instance, before, **TAGS)
    with living(run_id) as process:
        assert end_abandoned_runs(home, instance) == []
        end_runs_of_before(home, instance)
        assert status(instance, run_id) == before
        assert pid_of(home, run_id) == process.pid
        process.kill()
        process.wait()
    assert pid_of(home, run_id) is None
    assert end_abandoned_runs(home, instance) == [run_id]
    assert status(instance, run_id) == after
    assert end_abandoned_runs(home, instance) == []
    record_missing_ends(home, instance)
    (record,) = failures(home)
    assert (record["run_id"], record["by"], record["command"]) == (run_id, "somebody", "hotline run")
    assert home.running_files() == []


def test_a_process_killed_before_its_run_exists_leaves_nothing(home: Paths, instance: dg.DagsterInstance) -> None:
    with living(make_new_run_id()) as process:
        process.kill()
        process.wait()
    assert end_abandoned_runs(home, instance) == []
    assert (home.running_files(), failures(home)) == ([], [])


def test_the_file_of_a_killed_process_does_not_speak_for_another_of_its_id(
    home: Paths, instance: dg.DagsterInstance
) -> None:
    """Process ids are given again; a copied installation names processes of the other."""
    run_id = made(instance, Status.STARTED)
    home.running(run_id).parent.mkdir()
    home.running(run_id).write_text(f"pid {os.getpid()}")
    assert end_abandoned_runs(home, instance) == [run_id]


def test_runs_that_wait_are_left_alone(home: Paths, instance: dg.DagsterInstance) -> None:
    queued, created = made(instance, Status.QUEUED), made(instance, Status.NOT_STARTED)
    end_runs_of_before(home, instance)
    assert (status(instance, queued), status(instance, created)) == (Status.QUEUED, Status.NOT_STARTED)


@pytest.mark.parametrize("before", UNFINISHED)
def test_a_run_of_which_no_process_shows_itself_ends_with_the_next_start_of_the_ui(
    home: Paths, instance: dg.DagsterInstance, before: Status
) -> None:
    run_id = made(instance, before)
    assert end_abandoned_runs(home, instance) == []  # it may be starting
    with run_lock(home):
        assert end_abandoned_runs(home, instance, but=run_id) == []
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        end_runs_of_before(home, instance)  # or it is the one that holds the installation
        assert status(instance, run_id) == before
        holder.kill()
    end_runs_of_before(home, instance)
    assert status(instance, run_id) in (Status.FAILURE, Status.CANCELED)


HOLDING = """
import sys
from dagster_project.lock import run_lock
from dagster_project.paths import paths
with run_lock(paths()):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_never_started_ends_after_a_while(
    home: Paths, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.runs.SECONDS_TO_START", 0)
    run_id = made(instance, Status.STARTING)
    assert end_abandoned_runs(home, instance) == [run_id]


def test_a_process_may_show_itself_twice(home: Paths) -> None:
    run_id = make_new_run_id()
    with run_process(home, run_id):
        with run_process(home, run_id):
            assert pid_of(home, run_id) == os.getpid()
        assert pid_of(home, run_id) == os.getpid()
    assert pid_of(home, run_id) is None
    assert home.running_files() == []


def test_terminate_reaches_a_run_of_the_command_line(home: Paths, instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, RunLauncher)
    run_id = made(instance, Status.STARTED, **TAGS)
    with living(run_id) as process:
        assert instance.run_launcher.terminate(run_id)
        assert process.wait() == -signal.SIGTERM
    assert status(instance, run_id) == Status.CANCELING
    end_abandoned_runs(home, instance)
    assert status(instance, run_id) == Status.CANCELED
    assert not instance.run_launcher.terminate(run_id)


@pytest.mark.parametrize("tags", [{}, {"dagster/partition": "2050"}, {"dagster/partition": "../x"}])
def test_a_run_without_a_wave_ends_with_the_message_alone(
    home: Paths, instance: dg.DagsterInstance, tags: dict[str, str]
) -> None:
    run_id = made(instance, Status.STARTING, **tags)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    (event,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.dagster_event is not None
    assert "监测期" in str(event.dagster_event.message)
    assert event.dagster_event.job_failure_data.error.stack == []
    assert [(each["run_id"], each["error"], each["exit_code"]) for each in failures(home)] == [
        (run_id, "UsageError", 2)
    ]


# --- what stopped a run ------------------------------------------------------------------------

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HotlineError)]


def stopped_by(error: BaseException) -> dg.JobDefinition:
    @dg.op
    def stops() -> None:
        raise error

    @dg.job
    def stopped() -> None:
        stops()

    return stopped


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raise_on_error", [True, False])
def test_what_stops_a_run_is_in_the_log_once(
    home: Paths, instance: dg.DagsterInstance, kind: type[HotlineError], raise_on_error: bool
) -> None:
    run_id = make_new_run_id()
    try:
        stopped_by(kind("13800138000")).execute_in_process(
            instance=instance, run_id=run_id, raise_on_error=raise_on_error, tags=TAGS
        )
    except kind:
        assert raise_on_error
    record_missing_ends(home, instance)
    (record,) = failures(home)
    assert (record["error"], record["exit_code"]) == (kind.__name__, kind.exit_code)
    assert record["run_id"] == run_id
    assert "13800138000" not in home.log.read_text()


def test_a_failure_of_a_library_and_an_interruption_are_named(home: Paths, instance: dg.DagsterInstance) -> None:
    for error in (KeyError("x"), dg.DagsterExecutionInterruptedError()):
        with pytest.raises(type(error)):
            stopped_by(error).execute_in_process(instance=instance)
    assert [(each["error"], each["exit_code"]) for each in failures(home)] == [("KeyError", 1), ("Interrupted", 130)]


def test_a_failed_check_is_in_the_log(home: Paths, instance: dg.DagsterInstance) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="number", blocking=True)])
    def number() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False)])

    @dg.asset(deps=[number])
    def following() -> None: ...

    result = dg.materialize([number, following], instance=instance, raise_on_error=False)
    assert not result.success
    (record,) = failures(home)
    assert record["run_id"] == result.run_id
    assert record["error"] == "DagsterAssetCheckFailedError"


def test_a_run_refused_as_busy_is_in_the_log(home: Paths, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def number(installation: Installation) -> None: ...

    home.wave_yml("2023").parent.mkdir(parents=True)
    home.wave_yml("2023").touch()
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        result = dg.materialize(
            [number],
            instance=instance,
            resources={"installation": Installation()},
            tags={"dagster/partition": "2023"},
            raise_on_error=False,
        )
        holder.kill()
    (record,) = failures(home)
    assert (record["error"], record["exit_code"], record["run_id"]) == ("Busy", 5, result.run_id)


def test_a_run_cancelled_in_the_queue_is_in_the_log(home: Paths, instance: dg.DagsterInstance) -> None:
    run_id = made(instance, Status.QUEUED)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_canceled(run)
    (record,) = failures(home)
    assert (record["error"], record["run_id"]) == ("Interrupted", run_id)
    assert record["command"] == "dagster: job empty, launched by UI"


def test_a_run_that_succeeds_is_no_failure(home: Paths, instance: dg.DagsterInstance) -> None:
    empty.execute_in_process(instance=instance)
    assert failures(home) == []


def test_a_damaged_log_stops_no_run_from_ending(home: Paths, instance: dg.DagsterInstance) -> None:
    home.log.write_text("{}\n")
    result = stopped_by(errors.GateFailed("x")).execute_in_process(instance=instance, raise_on_error=False)
    assert status(instance, result.run_id) == Status.FAILURE
    assert home.log.read_text() == "{}\n"


def test_what_follows_ctrl_c_is_recorded_as_interrupted(
    home: Paths, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), _our_failures(home, Attempt("2023")):
        raise KeyboardInterrupt  # before there is a run
    monkeypatch.setattr("dagster_project.console.is_interrupted", lambda: True)
    run_id = make_new_run_id()
    with pytest.raises(ValueError, match="Query interrupted"), _our_failures(home, Attempt("2023", run_id)):
        stopped_by(ValueError("Query interrupted")).execute_in_process(instance=instance, run_id=run_id)
    assert [(each["error"], each["exit_code"], each.get("run_id")) for each in failures(home)] == [
        ("Interrupted", 130, None),
        ("Interrupted", 130, run_id),
    ]


# --- the lock of the log -----------------------------------------------------------------------

APPENDING = """
import sys
from dagster_project import runlog
from dagster_project.paths import paths
for number in range(20):
    runlog.record(paths(), "tested", who=sys.argv[1], number=number)
"""


def test_records_of_processes_that_write_at_once_are_all_there(home: Paths) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", APPENDING, str(who)]) for who in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    records = chain.read(home.log)
    assert sorted((each["who"], each["number"]) for each in records) == [
        (str(who), number) for who in range(3) for number in range(20)
    ]


def test_a_log_that_another_process_keeps_is_busy(home: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.lock.APPEND_SECONDS", 0.05)
    with append_lock(home.log_lock), pytest.raises(errors.Busy, match="log"):
        runlog.record(home, "tested")
    runlog.record(home, "tested")
    assert len(chain.read(home.log)) == 1
