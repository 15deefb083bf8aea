"""Run a wave through its Dagster job in this process, with the history kept where the UI shows it.

Belongs here: the Dagster instance of an installation, starting a job, turning a failed run into
the failure that caused it. Does not belong here: what the job does.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project import console, history_files, runlog, team
from dagster_project.errors import (
    GateFailed,
    HotlineError,
    InputRejected,
    Interrupted,
    NotReconciled,
    UsageError,
    explained,
)
from dagster_project.files import flush_folder, remove, replace_files, set_aside
from dagster_project.ingest.wave import export_files, load_wave, order_waves
from dagster_project.lock import run_lock
from dagster_project.paths import PROJECT, Paths
from dagster_project.transform.dbt_step import warm_up
from dagster_project.transform.engine import DUCKDB, engine_named
from dagster_project.worker import GATE

if TYPE_CHECKING:
    import dagster as dg

# Dagster asks nobody who he is: only this machine is served, or a proxy that asks (docs/deploy.md).
LOOPBACK, EVERY_ADDRESS = "127.0.0.1", "0.0.0.0"
DEFINITIONS = "dagster_project.definitions"
HOST = re.compile(r"(?!-)[0-9A-Za-z-]{1,63}(\.(?!-)[0-9A-Za-z-]{1,63})*(:[0-9]{1,5})?")
WEBSERVER = (sys.executable, "-P", "-m", "dagster_project.start_webserver")
OPERATORS_UI = ("--daemon",)  # which runs schedules and queued runs
READERS_UI = ("--read-only",)

SETTINGS = """\
# Written by the pipeline.
telemetry:
  enabled: false
nux:
  enabled: false # no sign-up form
python_logs:
  managed_python_loggers: [hotline]
  python_log_level: INFO
compute_logs: # what a step prints is in its events already; capturing it forks two processes per run
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
DAGSTER_YAML = f"""\
{SETTINGS}\
# runs, events and schedules of this installation are kept beside this file
event_log_storage:
  module: dagster_project.history
  class: RunHistory
  config: {{base_dir: {{env: DAGSTER_HOME}}}}
run_storage:
  module: dagster._core.storage.runs
  class: SqliteRunStorage
  config: {{base_dir: {{env: DAGSTER_HOME}}}}
schedule_storage:
  module: dagster._core.storage.schedules
  class: SqliteScheduleStorage
  config: {{base_dir: {{env: DAGSTER_HOME}}}}
run_launcher:
  module: dagster_project.runs
  class: RunLauncher
concurrency:
  runs:
    max_concurrent_runs: 1 # DuckDB has one writer
"""
SHARED_DAGSTER_YAML = SETTINGS + team.SETTINGS


@dataclass(frozen=True)
class RunOutcome:
    """One finished run: the release that it made, its site if it was rendered, and the run's seconds."""

    wave: str
    is_synthetic: bool
    run_id: str
    release: Path
    report: Path | None
    seconds: float


@dataclass(frozen=True)
class Request:
    """What a run is to do: `lines` to score anew (empty: all), and how far it goes."""

    lines: tuple[str, ...] = ()
    publish: bool = True  # give the release to readers
    report: bool = True  # render what they read
    target: str = DUCKDB.name  # the engine that executes the dbt steps


@dataclass
class Attempt:
    """What is known of a run that may be stopped: its wave, and its id as soon as Dagster has it."""

    wave: str | None = None
    run_id: str | None = None


def run_wave(paths: Paths, wave_id: str, request: Request) -> RunOutcome:
    """Run a wave through its job.

    Raises the failure that stopped the run: InputRejected, GateFailed, Busy, NotReconciled, UsageError.
    """
    started = time.perf_counter()
    attempt = Attempt(wave_id)
    with _our_failures(paths, attempt), run_lock(paths):
        wave = load_wave(paths, wave_id)
        GATE.warm_up()
        warm_up(paths)
        from dagster._core.utils import make_new_run_id

        from dagster_project.definitions import defs
        from dagster_project.runs import COMMAND_TAG, USER_TAG, run_process

        with dagster_instance(paths) as instance:
            instance.add_dynamic_partitions("waves", [wave_id])
            job = defs.resolve_job_def(f"{wave.kind}_wave")
            wanted = [key for key in job.asset_layer.selected_asset_keys if key.to_user_string() != "report"]
            logging.getLogger("hotline").info("%s:开始 / started", wave_id)
            attempt.run_id = make_new_run_id()
            with run_process(paths, attempt.run_id):  # before the run exists: whenever it is killed, that shows
                result = job.execute_in_process(
                    instance=instance,
                    run_id=attempt.run_id,
                    tags={COMMAND_TAG: runlog.command(), USER_TAG: runlog.user(), **team.own_mark()},
                    partition_key=wave_id,
                    asset_selection=None if request.report else wanted,
                    run_config={
                        "ops": {
                            "scores": {"config": {"lines": list(request.lines)}},
                            "release": {"config": {"publish": request.publish}},
                        },
                        "resources": {"installation": {"config": {"target": request.target}}},
                        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    },
                )
    (made,) = (
        each.metadata["release"].value
        for event in result.get_asset_materialization_events()
        for each in [event.step_materialization_data.materialization]
        if each.asset_key.to_user_string() == "release"
    )
    index = paths.site_index(wave_id).resolve() if request.report else None
    seconds = time.perf_counter() - started
    return RunOutcome(wave_id, wave.is_synthetic, result.run_id, paths.releases(wave_id) / str(made), index, seconds)


def run_waves(
    paths: Paths, wave_ids: tuple[str, ...], request: Request
) -> tuple[list[RunOutcome], dict[str, HotlineError]]:
    """Run several waves (none named: all under raw/), each after its baseline. Lines need one wave.

    Returns the outcomes and, where no wave is named, the failures of waves that were declared wrongly or stopped.
    """
    with _our_failures(paths, Attempt(wave_ids[0] if len(wave_ids) == 1 else None)):
        ordered, faults = _selected(paths, wave_ids, request)
    for wave_id, fault in faults.items():
        logging.getLogger("hotline").warning("%s:跳过 / left out: %s", wave_id, fault)
        _log_failure(paths, Attempt(wave_id), fault)
    outcomes = []
    for wave_id in ordered:
        try:
            outcomes.append(run_wave(paths, wave_id, request))
        except (UsageError, InputRejected, GateFailed, NotReconciled) as stopped:
            if wave_ids or len(ordered) == 1:
                raise
            logging.getLogger("hotline").warning("%s:未完成,继续其他监测期 / stopped; the others go on", wave_id)
            faults[wave_id] = stopped
    return outcomes, faults


def _selected(paths: Paths, wave_ids: tuple[str, ...], request: Request) -> tuple[list[str], dict[str, HotlineError]]:
    order = order_waves(paths)
    for wave_id in wave_ids:
        if wave_id in order.faults:
            raise order.faults[wave_id]
        load_wave(paths, wave_id)  # raises where there is no such wave
    ordered = [wave_id for wave_id in order.ordered if not wave_ids or wave_id in wave_ids]
    faults = {} if wave_ids else dict(order.faults)
    if request.lines and len(ordered) + len(faults) != 1:
        raise UsageError("--line 需要且只能配一个 --wave / --line needs exactly one --wave")
    if not ordered and not faults:
        raise UsageError("raw/ 下没有任何监测期 / there is no wave under raw/")
    engine_named(request.target)  # says what is wrong with it before anything is read
    return ordered, faults


def synthetic_waves(paths: Paths, lacking_exports: bool) -> tuple[list[str], dict[str, HotlineError]]:
    """Waves that may be simulated, each after its baseline, and what is wrong with those declared wrongly.

    `lacking_exports`: only those without exports.
    """
    order = order_waves(paths)
    waves = [load_wave(paths, wave_id) for wave_id in order.ordered]
    chosen = [wave.id for wave in waves if wave.is_synthetic and not (lacking_exports and export_files(paths, wave))]
    return chosen, order.faults


def prepare_ui(
    paths: Paths,
    port: int,
    address: str = LOOPBACK,
    form: tuple[str, ...] = OPERATORS_UI,
    allowed_hosts: tuple[str, ...] = (),
) -> list[str]:
    """The command that serves the UI; for operators, instance and partitions are there before it starts.

    Raises UsageError where it would bring a second daemon into an instance that installations share.
    """
    if form == OPERATORS_UI and team.is_shared():
        raise UsageError(
            "共用 PostgreSQL 时,hotline ui 会多启动一个调度进程;请用 hotline serve code、daemon、webserver "
            "(docs/deploy.md) / with HOTLINE_POSTGRES_URL, `hotline ui` would start one daemon too many: use `hotline "
            "serve code`, `daemon` and `webserver`; `hotline ui --read-only` is allowed"
        )
    if form == OPERATORS_UI:
        _prepare_instance(paths)  # a reader's UI writes nothing
    return webserver_command(port, address, form, allowed_hosts)


def webserver_command(port: int, address: str, options: tuple[str, ...], allowed_hosts: tuple[str, ...]) -> list[str]:
    """The command of `webserver.py`. Raises UsageError for an allowed host that is no name."""
    for host in allowed_hosts:
        if not HOST.fullmatch(host):
            raise UsageError(
                f"--allowed-host 应为主机名,可带端口,如 hotline.example.org / --allowed-host takes a host name, "
                f"with or without a port, such as hotline.example.org: {host!r}"
            )
    names = [option for host in allowed_hosts for option in ("--allowed-host", host.lower())]
    return [*WEBSERVER, *options, "-h", address, "-p", str(port), *names]


def prepare_code_server(paths: Paths, port: int, address: str) -> list[str]:
    """The command that serves this installation's code location; the runs of the instance that are its own start there.

    Raises UsageError where there is no instance to share, or this installation has no name in it.
    """
    _require_shared()
    team.own_name()
    _prepare_instance(paths)
    location = ("-m", DEFINITIONS, "-d", str(PROJECT))
    return [_beside_python("dagster"), "api", "grpc", *location, "-h", address, "-p", str(port)]


def prepare_shared_daemon(paths: Paths, workspace: Path) -> list[str]:
    """The command of the shared instance's daemon, which knows the code locations by `workspace`.

    Raises UsageError where there is no instance to share, or no such file.
    """
    _require_workspace(workspace)
    with dagster_instance(paths):
        pass
    return [_beside_python("dagster-daemon"), "run", "-w", str(workspace.resolve())]


def prepare_shared_ui(
    paths: Paths, workspace: Path, port: int, form: tuple[str, ...], allowed_hosts: tuple[str, ...]
) -> list[str]:
    """The command of the shared instance's webserver; raises what `prepare_shared_daemon` raises."""
    _require_workspace(workspace)
    if form != READERS_UI:
        with dagster_instance(paths):
            pass
    return webserver_command(port, LOOPBACK, (*form, "-w", str(workspace.resolve())), allowed_hosts)


def _require_workspace(workspace: Path) -> None:
    _require_shared()
    if not workspace.is_file():
        raise UsageError(f"没有 {workspace} 这个文件 / there is no such file (an example: deploy/workspace.yaml)")


def _require_shared() -> None:
    if not team.is_shared():
        raise UsageError(
            "hotline serve 需要 HOTLINE_POSTGRES_URL;单机请用 hotline ui / `hotline serve` needs "
            "HOTLINE_POSTGRES_URL; on one host use `hotline ui`"
        )


def _prepare_instance(paths: Paths) -> None:
    order = order_waves(paths)
    for fault in order.faults.values():
        logging.getLogger("hotline").warning("%s", fault)
    with dagster_instance(paths) as instance:
        instance.add_dynamic_partitions("waves", order.ordered)
        if (pool := team.pool()) is not None:
            # the queue gives a pool its limit only after it has once let runs of it through
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
        from dagster_project.runs import end_runs_of_before

        end_runs_of_before(paths, instance)  # the queue starts nothing while the history shows a run


def _beside_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


@contextmanager
def dagster_instance(paths: Paths) -> Iterator["dg.DagsterInstance"]:
    """The instance of this installation; run history lies under `data/dagster`, or in PostgreSQL where one is named."""
    import dagster as dg

    is_shared = team.is_shared()
    home = paths.shared_dagster_home if is_shared else paths.dagster_home
    if is_shared:
        team.require_reachable()
        os.environ["HOTLINE_POSTGRES_URL"] = team.database_url()  # for this process and those that it starts
        write_dagster_yaml(home, SHARED_DAGSTER_YAML)
    else:
        _prepare_history(paths)
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        if is_shared:
            team.keep_connections(instance)
        yield instance


def _prepare_history(paths: Paths) -> None:
    """Leave whole databases and settings below `data/dagster`; a damaged history is set aside, and logged.

    Raises Busy where another program holds one of the databases.
    """
    home = paths.dagster_home
    if home.is_dir():
        if history_files.unusable_databases(paths):
            with run_lock(paths):
                # again: another process may have mended it before this one had the lock
                if names := history_files.unusable_databases(paths):
                    _begin_history_again(paths, names, history_files.database_files(paths, names))
        write_dagster_yaml(home)
        return
    with run_lock(paths):
        if home.exists() or home.is_symlink():  # no folder
            _begin_history_again(paths, history_files.database_names(), [home])
        _make_missing_databases(paths)


def _begin_history_again(paths: Paths, names: list[str], found: list[Path]) -> None:
    """Set aside what is left of these databases, make new ones, and say so."""
    kept = set_aside(paths.home, *found).relative_to(paths.home).as_posix() if found else None
    _make_missing_databases(paths)
    logging.getLogger("hotline").warning(
        "Dagster 的运行历史已损坏或缺失(%s),已重新开始,原文件移至 %s;请重启已打开的界面,并重新启用调度与传感器 / the "
        "history of Dagster is damaged or missing (%s) and is begun again; the old files were moved to %s. Restart an "
        "open UI, and switch schedules and sensors on again",
        ", ".join(names), kept or "—", ", ".join(names), kept or "—",
    )  # fmt: skip
    _log(lambda: runlog.record(paths, runlog.HISTORY_SET_ASIDE, databases=names, kept=kept))


def _make_missing_databases(paths: Paths) -> None:
    """Make an empty history next to the old one and rename what is missing.

    Dagster takes a database that a crash left half made for a whole one.
    """
    import dagster as dg

    new = replace(paths, home=paths.home / ".new")
    remove(new.home)
    write_dagster_yaml(new.dagster_home)
    os.environ["DAGSTER_HOME"] = str(new.dagster_home)
    with dg.DagsterInstance.from_config(str(new.dagster_home)):
        pass
    if not paths.dagster_home.exists():
        new.dagster_home.rename(paths.dagster_home)
    for name in history_files.database_names():
        target = paths.dagster_home / name
        if not target.exists():
            (new.dagster_home / name).rename(target)
    flush_folder(paths.dagster_home)
    remove(new.home)


def write_dagster_yaml(dagster_home: Path, settings: str = DAGSTER_YAML) -> None:
    dagster_home.mkdir(parents=True, exist_ok=True)
    config = dagster_home / "dagster.yaml"
    if not config.is_file() or config.read_bytes() != settings.encode():
        remove(config)
        replace_files({config: settings.encode()})


@contextmanager
def _our_failures(paths: Paths, attempt: Attempt) -> Iterator[None]:
    """Dagster wraps what a step raises; the failure that we can explain is logged, and what the caller gets."""
    try:
        yield
    except BaseException as error:
        cause = _interruption(error) or explained(error) or history_files.busy_history(paths, error)
        is_interrupted = console.is_interrupted() or isinstance(error, KeyboardInterrupt)
        if is_interrupted or cause is not None or isinstance(error, Exception):
            _log_failure(paths, attempt, Interrupted() if is_interrupted else cause or error)
        if cause is None:
            raise
        raise cause from error


def _interruption(error: BaseException) -> Interrupted | None:
    """What Dagster makes of Ctrl-C or a request to end."""
    import dagster as dg

    if not isinstance(error, dg.DagsterExecutionInterruptedError):
        return None
    return Interrupted("已中断;再次运行同一命令即可 / interrupted; run the same command again")


def _log_failure(paths: Paths, attempt: Attempt, error: BaseException) -> None:
    """Record what stopped a run, unless the end of the run was recorded already."""
    exit_code = error.exit_code if isinstance(error, HotlineError) else HotlineError.exit_code
    origin = runlog.Origin(runlog.user(), runlog.command(), attempt.run_id)
    _log(lambda: runlog.record_failure(paths, attempt.wave, type(error).__name__, exit_code, origin))


def _log(record: Callable[[], None]) -> None:
    try:
        record()
    except (HotlineError, OSError) as refused:  # reported next to what stopped the run, and not in its place
        logging.getLogger("hotline").warning("%s", refused)
