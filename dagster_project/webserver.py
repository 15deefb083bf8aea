"""Dagster's webserver behind `origin_guard`; its process is `python -P -m dagster_project.start_webserver …`.

Belongs here: what the process is made of: the instance, the code location, the daemon of an operators' UI.
Does not belong here: which requests are refused (`origin_guard.py`), options for users (`cli.py`, `serve.py`).
"""

import argparse
import logging
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import uvicorn
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from dagster_project import team
from dagster_project.launch import DEFINITIONS, dagster_instance
from dagster_project.origin_guard import guard
from dagster_project.paths import PROJECT, paths
from dagster_project.readers_history import readers_instance

POLL_MILLISECONDS = 2000  # how often pages ask for news of assets: Dagster's default
SECONDS_TO_END = 30
LOCATION = ModuleTarget(DEFINITIONS, attribute=None, working_directory=str(PROJECT), location_name=None)


def main() -> int:
    """Serve until the process is asked to end (exit code 0), or its daemon ends (the daemon's)."""
    options = _options()
    for asked_to_end in (signal.SIGINT, signal.SIGTERM):  # an exception, so that children are ended
        signal.signal(asked_to_end, signal.default_int_handler)
    try:
        return _serve(options)
    except KeyboardInterrupt:
        return 0


def _serve(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        instance = stack.enter_context((readers_instance if options.read_only else dagster_instance)(paths()))
        team.keep_connections(instance)
        workspace: str | None = options.workspace
        if options.daemon:
            workspace = stack.enter_context(_code_server(instance))
        target = WorkspaceFileTarget([workspace]) if workspace else LOCATION
        context = stack.enter_context(WorkspaceProcessContext(instance, target, __version__, options.read_only))
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_MILLISECONDS)
        guard(app, tuple(options.allowed_host))
        server = uvicorn.Server(
            uvicorn.Config(app, options.host, options.port, log_level="warning", timeout_graceful_shutdown=3)
        )
        if not options.daemon or workspace is None:
            server.run()
            return 0
        daemon = stack.enter_context(_daemon(workspace))
        threading.Thread(target=_end_with, args=(daemon, server), daemon=True).start()
        server.run()
        return daemon.poll() or 0


@contextmanager
def _code_server(instance: dg.DagsterInstance) -> Iterator[str]:
    """The code server that webserver and daemon share, as `dagster dev` starts it; a workspace file that names it."""
    with (
        ProxyServerManager(instance, LOCATION, code_server_log_level="WARNING") as manager,
        tempfile.TemporaryDirectory(prefix="hotline-ui-") as folder,
    ):
        workspace = Path(folder, "workspace.yaml")
        workspace.write_text(yaml.safe_dump({"load_from": list(manager.get_code_server_specs())}), encoding="utf-8")
        yield str(workspace)


@contextmanager
def _daemon(workspace: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process that runs schedules, sensors and queued runs."""
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    daemon = subprocess.Popen([program, "run", "-w", workspace])
    try:
        yield daemon
    finally:
        daemon.terminate()
        try:
            daemon.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _end_with(daemon: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    """An operators' UI without a daemon would queue runs for ever."""
    code = daemon.wait()
    if not server.should_exit:
        logging.getLogger("hotline").error(
            "调度进程已结束,界面随之关闭 / the daemon ended (code %s), so the UI does", code
        )
        server.should_exit = True


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-h", dest="host", required=True)
    parser.add_argument("-p", dest="port", type=int, required=True)
    parser.add_argument("-w", dest="workspace")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--daemon", action="store_true")
    parser.add_argument("--allowed-host", action="append", default=[])
    return parser.parse_args()
