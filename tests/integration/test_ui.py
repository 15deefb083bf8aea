"""The UI as a server: whom it answers, and what its read-only form refuses."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Installation, fresh
from tests.servers import free_port

SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "dagster_project.definitions"}
SCHEDULE = (
    '{repositoryName: "__repository__", repositoryLocationName: "dagster_project.definitions", '
    'scheduleName: "every_july"}'
)
# What a reader might want to change. Dagster refuses each with a type of its own.
MUTATIONS = {
    "launchRun": (
        "mutation($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename } }",
        {"run": {"selector": {**SELECTOR, "pipelineName": "adhoc_wave"}, "runConfigData": {}, "mode": "default"}},
    ),
    "addDynamicPartition": (
        "mutation($code: RepositorySelector!) { addDynamicPartition(partitionsDefName: \"waves\", "
        'partitionKey: "2099", repositorySelector: $code) { __typename } }',
        {"code": SELECTOR},
    ),
    "startSchedule": (f"mutation {{ startSchedule(scheduleSelector: {SCHEDULE}) {{ __typename }} }}", {}),
    "deleteRun": ('mutation { deleteRun(runId: "x") { __typename } }', {}),
    "wipeAssets": (
        'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["release"]}}]) { __typename } }', {}
    ),
    "reportRunlessAssetEvents": (
        "mutation { reportRunlessAssetEvents(eventParams: {eventType: ASSET_MATERIALIZATION, "
        'assetKey: {path: ["release"]}}) { __typename } }',
        {},
    ),
    "shutdownRepositoryLocation": (
        'mutation { shutdownRepositoryLocation(repositoryLocationName: "dagster_project.definitions") '
        "{ __typename } }",
        {},
    ),
}  # fmt: skip


@contextmanager
def served(installation: Installation, port: int, *options: str) -> Iterator[None]:
    """`hotline ui` in a session of its own, so that all that it starts can be ended."""
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster_project.cli", "ui", "--port", str(port), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=installation.variables(), cwd=installation.root,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                ask(port, "/server_info")
                break
            except (ConnectionError, urllib.error.URLError):
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.3)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # the code server, if it is still about to end
        server.wait()


def ask(port: int, path: str, body: Any = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def listening_addresses(port: int) -> set[str]:
    """Addresses on which this machine accepts connections to the port, as the kernel writes them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            address, its_port = local.split(":")
            if state == "0A" and int(its_port, 16) == port:
                found.add(address)
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks the Linux kernel who listens")
def test_the_read_only_ui_answers_this_machine_and_changes_nothing(raw: Path, tmp_path: Path) -> None:
    installation = fresh(tmp_path, raw)
    port = free_port()
    with served(installation, port, "--read-only"):
        assert listening_addresses(port) == {"0100007F"}  # 127.0.0.1
        status, text = ask(port, "/graphql", {"query": "{ version instance { info } }"})
        assert (status, "version" in text) == (200, True)
        for name, (query, variables) in MUTATIONS.items():
            status, text = ask(port, "/graphql", {"query": query, "variables": variables})
            assert json.loads(text) == {"data": {name: {"__typename": "UnauthorizedError"}}}, (name, text)
        assert ask(port, "/report_asset_materialization/release", {})[0] == 401
        waves = "{ assetNodes { partitionKeys } runsOrError { ... on Runs { results { runId } } } }"
        told = json.loads(ask(port, "/graphql", {"query": waves})[1])["data"]
        assert all("2099" not in node["partitionKeys"] for node in told["assetNodes"])
        assert told["runsOrError"]["results"] == []


def test_only_a_read_only_ui_may_leave_this_machine(raw: Path, tmp_path: Path) -> None:
    result = fresh(tmp_path, raw).hotline("ui", "--behind-proxy")
    assert result.code == 2
    assert "--read-only" in result.err


def test_addresses_of_the_two_servers(raw: Path, tmp_path: Path) -> None:
    from dagster_project.launch import EVERY_ADDRESS, READERS_UI, prepare_ui

    paths = fresh(tmp_path, raw).paths
    operators, readers = prepare_ui(paths, 3000), prepare_ui(paths, 3001, EVERY_ADDRESS, READERS_UI)
    assert operators[operators.index("-h") + 1] == "127.0.0.1"
    assert readers[readers.index("-h") + 1] == "0.0.0.0"
    assert "--read-only" in readers
