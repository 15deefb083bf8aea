"""Which runs have a living process, and how the others end.

A process that executes a run holds a lock of the kernel on `running/<run id>`. The kernel drops the lock with
the process, whatever kills it, so the lock can neither go stale nor be mistaken for that of another process,
another container or another host. Belongs here: these files, ending runs whose process is gone, ending a run
from the UI, recording in the log what stopped a run. Does not belong here: one run at a time (`lock.py`).
"""

import fcntl
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._utils.error import SerializableErrorInfo

from dagster_project import console, errors, runlog
from dagster_project.errors import Busy, HotlineError, Interrupted, UsageError
from dagster_project.ingest.wave import list_waves
from dagster_project.lock import run_lock
from dagster_project.partitions import require_wave
from dagster_project.paths import Paths, paths
from dagster_project.recovery import clear_place
from dagster_project.runlog import Origin
from dagster_project.team import MARK, own_mark

if TYPE_CHECKING:
    from dagster._core.events import DagsterEvent

logger = logging.getLogger("hotline")

COMMAND_TAG, USER_TAG = "hotline/command", "hotline/by"  # of a run that the command line starts
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
ENDS = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED)
SPAN_OF_MISSING = timedelta(hours=1)
# A run that the UI starts holds its file only after its process has loaded the definitions.
SECONDS_TO_START = 300
GONE = "Abandoned"  # in the log, of a run whose process was killed
ENDED_OUTSIDE = (GONE, *(reason.value for reason in RunFailureReason))  # of a run that Dagster itself ended
ABANDONED = "进程已终止,运行未完成 / its process ended before the run did"
MAX_NAMED = 3  # assets in the description of a run

_held: dict[str, int] = {}  # run id -> how often this process holds it
_guard = threading.Lock()


# --- living processes --------------------------------------------------------------------------


@contextmanager
def run_process(paths: Paths, run_id: str) -> Iterator[None]:
    """Show, as long as the context lasts, that this process executes the run. May be nested."""
    with _guard:
        is_outermost = run_id not in _held
        handle = _create(paths.running(run_id)) if is_outermost else None
        _held[run_id] = _held.get(run_id, 0) + 1
    try:
        yield
    finally:
        with _guard:
            _held[run_id] -= 1
            if _held[run_id] == 0:
                del _held[run_id]
        if handle is not None:
            paths.running(run_id).unlink(missing_ok=True)
            handle.close()


def _create(path: Path) -> IO[str]:
    clear_place(path.parent.parent, path.parent, for_folder=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = path.open("a+", encoding="utf-8")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, path):
            break
        handle.close()  # removed between opening and locking
    handle.truncate(0)
    handle.write(f"pid {os.getpid()}")
    handle.flush()
    return handle


def _is_at(handle: IO[str], path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock_if_free(path: Path) -> IO[str] | None:
    """The file, locked, where no process holds it; None where one does, or where the file does not exist."""
    try:
        handle = path.open("r", encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    if _is_at(handle, path):
        return handle
    handle.close()
    return None


def pid_of(paths: Paths, run_id: str) -> int | None:
    """Process id of the living process on this host that executes the run; None where there is none."""
    path = paths.running(run_id)
    free = _lock_if_free(path)
    if free is not None:
        free.close()
        return None
    with suppress(FileNotFoundError):
        found = re.fullmatch(r"pid (\d+)", path.read_text(encoding="utf-8"))
        return int(found[1]) if found else None
    return None


# --- runs whose process is gone ----------------------------------------------------------------


def end_abandoned_runs(paths: Paths, instance: dg.DagsterInstance, but: str | None = None) -> list[str]:
    """End every run of this installation whose process is gone, `but` for one run id; returns their ids.

    Queued runs wait for their turn and are left alone, as are runs of other installations.
    """
    ended = []
    for path in sorted(paths.running_files()):
        handle = _lock_if_free(path)
        if handle is None:
            continue
        with handle:  # held meanwhile: two processes that look at once do not end a run twice
            run = instance.get_run_by_id(path.name)
            if run is not None and not run.is_finished:
                _end(instance, run)
                ended.append(run.run_id)
            path.unlink()
    silent = [run for run in _runs_without_file(paths, instance, SECONDS_TO_START) if run.run_id != but]
    if silent:
        with suppress(Busy), run_lock(paths):
            ended += _end_all(instance, silent)
    return ended


def end_runs_of_before(paths: Paths, instance: dg.DagsterInstance) -> None:
    """The same at the start of a service, which also knows that no run of it is just starting."""
    end_abandoned_runs(paths, instance)
    with suppress(Busy), run_lock(paths):
        _end_all(instance, _runs_without_file(paths, instance, 0))


def _runs_without_file(paths: Paths, instance: dg.DagsterInstance, idle_s: float) -> list[dg.DagsterRun]:
    """Unfinished runs of which nothing has been heard for so long and no process ever showed itself.

    Such a run either died while it was starting, or is one of an earlier version of this program.
    """
    unfinished = dg.RunsFilter(statuses=UNFINISHED, tags=own_mark())
    return [
        record.dagster_run
        for record in instance.get_run_records(unfinished)
        if not paths.running(record.dagster_run.run_id).exists()
        and time.time() - record.update_timestamp.timestamp() >= idle_s
    ]


def _end_all(instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> list[str]:
    ended = []
    for each in runs:
        run = instance.get_run_by_id(each.run_id)
        if run is not None and not run.is_finished:
            _end(instance, run)
            ended.append(run.run_id)
    return ended


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, ABANDONED)
    else:
        instance.report_run_failed(run, ABANDONED)


class RunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher; "Terminate" in the UI also reaches a run of the command line on this host.

    A run that names no wave ends before a process is started, with the message alone: what the process raises is shown
    as a stack trace.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        try:
            require_wave(run.tags, list_waves(paths()))
        except UsageError as refused:
            error = SerializableErrorInfo(str(refused), [], type(refused).__name__)
            self._instance.report_run_failed(run, str(refused), JobFailureData(error, RunFailureReason.UNKNOWN))
            return
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        pid = pid_of(paths(), run_id) if run is not None and COMMAND_TAG in run.tags else None
        if run is None or run.is_finished or pid is None:
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)
        os.kill(pid, signal.SIGTERM)
        return True


# --- what stopped a run ------------------------------------------------------------------------


class RecordedEnds(EventLogStorage):
    """Event log storage that appends to the log of the installation what stopped a run.

    Every end of a run passes here, whoever started the run, and whichever process reports its end.
    """

    def store_event(self, event: dg.EventLogEntry) -> None:
        super().store_event(event)  # type: ignore[safe-super]  # abstract here; the storage that follows has it
        if event.dagster_event is not None and event.dagster_event.event_type in ENDS:
            run = self._instance.get_run_by_id(event.run_id) if self.has_instance else None
            if run is not None and _is_ours(run):
                record_end(self.installation, run, event.dagster_event)

    @property
    def installation(self) -> Paths:
        """The installation whose log this is."""
        return paths()


def _is_ours(run: dg.DagsterRun) -> bool:
    """Whether the run is of this installation, where several share the history."""
    try:
        mark = own_mark()
    except UsageError:  # daemon and webserver of a shared instance belong to no installation
        return False
    return not mark or run.tags.get(MARK) == mark[MARK]


def record_missing_ends(paths: Paths, instance: dg.DagsterInstance) -> None:
    """Record the ends of runs that another process reported and could not record, such as a daemon elsewhere."""
    since = datetime.now(UTC) - SPAN_OF_MISSING
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    runs = instance.get_run_records(dg.RunsFilter(statuses=ended, tags=own_mark(), updated_after=since))
    for run in (record.dagster_run for record in reversed(runs)):
        if (end := _end_of(instance, run)) is not None:
            record_end(paths, run, end)


def stop_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Name of what stopped the run; None where it was not stopped."""
    end = _end_of(instance, run)
    return what_stopped(end)[0] if end is not None else None


def _end_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> "DagsterEvent | None":
    """The event by which the run was stopped."""
    ends = instance.all_logs(run.run_id, of_type=set(ENDS))
    return ends[-1].dagster_event if ends else None


def record_end(paths: Paths, run: dg.DagsterRun, event: "DagsterEvent") -> None:
    """Append what stopped the run to the log, once. A log that cannot be written is reported as a warning."""
    error, exit_code = what_stopped(event)
    if console.is_interrupted():  # DuckDB, for one, turns Ctrl-C into a failure of its own
        error, exit_code = Interrupted.__name__, Interrupted.exit_code
    try:
        runlog.record_failure(paths, run.tags.get("dagster/partition"), error, exit_code, origin_of(run))
    except (HotlineError, OSError) as refused:
        logger.warning("%s", refused)


def what_stopped(event: "DagsterEvent") -> tuple[str, int | None]:
    """(name of the failure, exit code) of the event that ends a run. Without its words: they may quote data."""
    if event.event_type == dg.DagsterEventType.RUN_CANCELED:
        return Interrupted.__name__, Interrupted.exit_code
    data = event.event_specific_data
    if not isinstance(data, JobFailureData):
        return GONE, None
    step = data.first_step_failure_event
    info = data.error or (step.step_failure_data.error if step is not None else None)
    if info is None:
        return (data.failure_reason.value if data.failure_reason else GONE), None
    for each in _chain(info):
        kind = getattr(errors, each.cls_name or "", None)
        if isinstance(kind, type) and issubclass(kind, HotlineError):
            return kind.__name__, kind.exit_code
        if each.cls_name in (dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__):
            return Interrupted.__name__, Interrupted.exit_code
    names = [each.cls_name or "Exception" for each in _chain(info)]
    return next((name for name in names if not name.startswith("Dagster")), names[0]), HotlineError.exit_code


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """The error and its causes, the outermost first."""
    while error is not None:
        yield error
        error = error.cause or error.context


def origin_of(run: dg.DagsterRun) -> Origin:
    """Who started the run, and how: in one short line."""
    user = runlog.user()
    if COMMAND_TAG in run.tags:
        return Origin(run.tags.get(USER_TAG, user), run.tags[COMMAND_TAG], run.run_id)
    if "user" in run.tags:  # Dagster itself knows no users; a proxy or a script may set the tag
        user = f"{user} ({run.tags['user']})"
    if run.remote_job_origin is None:  # executed by the process that made it
        return Origin(user, runlog.command(), run.run_id)
    starters = [f"{name} {run.tags[f'dagster/{name}_name']}" for name in ("schedule", "sensor")
                if f"dagster/{name}_name" in run.tags]  # fmt: skip
    if "dagster/backfill" in run.tags:
        starters.append(f"backfill {run.tags['dagster/backfill']}")
    return Origin(user, f"dagster: {_target(run)}, launched by {', '.join(starters) or 'UI'}", run.run_id)


def _target(run: dg.DagsterRun) -> str:
    if not run.job_name.startswith("__"):
        return f"job {run.job_name}"
    keys = sorted(key.to_user_string() for key in run.asset_selection or ())
    checks = sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in run.asset_check_selection or ())
    names = keys or checks
    return f"{'assets' if keys else 'checks'} {', '.join(names[:MAX_NAMED])}{' …' * (len(names) > MAX_NAMED)}"
