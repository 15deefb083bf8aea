"""The UI as a server: whom it answers, what its read-only form refuses, and whose code it runs."""

import hashlib
import http.client
import json
import os
import shutil
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
from urllib.parse import quote

import pytest
from dagster_graphql.schema import create_schema
from graphql import (
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_required_input_field,
)

from tests.conftest import Installation, fresh
from tests.servers import free_port

LOCATION = "dagster_project.definitions"
SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
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


COMMAND = (sys.executable, "-m", "dagster_project.cli")


@contextmanager
def served(
    installation: Installation, port: int, *options: str, program: tuple[str, ...] = COMMAND, folder: Path | None = None
) -> Iterator[None]:
    """`hotline ui` in a session of its own, so that all that it starts can be ended."""
    server = subprocess.Popen(
        [*program, "ui", "--port", str(port), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=installation.variables(),
        cwd=folder or installation.root, start_new_session=True,
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
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def graphql(port: int, query: str, variables: dict[str, Any] | None = None) -> Any:
    """The `data` of an answer."""
    return json.loads(ask(port, "/graphql", {"query": query, "variables": variables or {}})[1])["data"]


LAUNCH = """mutation($run: ExecutionParams!) {
  launchRun(executionParams: $run) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""


def launch(port: int, wave: str) -> str:
    """The id of a run of the wave that is launched as the launchpad does it."""
    selector = {**SELECTOR, "pipelineName": "annual_wave"}
    tags = [{"key": "dagster/partition", "value": wave}]
    run = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
    launched = graphql(port, LAUNCH, {"run": run})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def finished(port: int, run_id: str) -> str:
    """The status of the run when it has ended."""
    deadline = time.monotonic() + 600
    while True:
        run = graphql(port, "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", {"id": run_id})
        if (status := run["runOrError"]["status"]) in ("SUCCESS", "FAILURE", "CANCELED"):
            return str(status)
        assert time.monotonic() < deadline, status
        time.sleep(0.5)


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


def every_mutation() -> dict[str, tuple[str, dict[str, Any]]]:
    """{name: a call of it} for all that Dagster's schema has, with something in every argument."""
    mutations = create_schema().graphql_schema.mutation_type
    assert mutations is not None
    calls = {}
    for name, field in mutations.fields.items():
        declared = ", ".join(f"${each}: {argument.type}" for each, argument in field.args.items())
        passed = ", ".join(f"{each}: ${each}" for each in field.args)
        selection = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
        calls[name] = (
            f"mutation({declared}) {{ {name}({passed}) {selection} }}"
            if declared
            else f"mutation {{ {name} {selection} }}",
            {each: something(argument.type) for each, argument in field.args.items()},
        )
    return calls


def something(kind: Any, depth: int = 0) -> Any:
    """A value of the type, with the names of this code location where it has such a field."""
    kind = get_nullable_type(kind)
    if is_list_type(kind):
        return [something(kind.of_type, depth + 1)] if depth < 6 else []
    if is_enum_type(kind):
        return next(iter(kind.values))
    if is_input_object_type(kind):
        known = {**SELECTOR, "scheduleName": "every_july", "sensorName": "new_input", "pipelineName": "adhoc_wave"}
        return {
            name: known.get(name) or something(field.type, depth + 1)
            for name, field in kind.fields.items()
            if is_required_input_field(field) or name in known
        }
    return {"Int": 1, "Float": 1.0, "Boolean": True, "RunConfigData": {}}.get(kind.name, "2023")


def state(home: Path) -> dict[str, Any]:
    """Every file and folder under the state folder: kind, mode, time and bytes."""
    return {
        str(path.relative_to(home)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else "",
        )
        for path in ([home, *home.rglob("*")] if home.exists() else [])
    }


WITH_EVENTS = "{ runsOrError { ... on Runs { results { runId status stats { __typename } } } } }"


@pytest.mark.parametrize("history", ["closed", "killed", "none", "no state folder"])
def test_a_read_only_session_leaves_every_byte_as_it_is(copy: Installation, history: str) -> None:
    """Whatever is asked: every mutation of the schema, dry runs, pages, a WebSocket; also after a run was killed."""
    home = copy.paths.home
    event_log = home / "dagster" / "event_log.db"
    if history == "killed":  # it leaves its write-ahead log
        dying = f"import sqlite3, os; c = sqlite3.connect({str(event_log)!r}); c.execute('delete from event_logs where "
        subprocess.run([sys.executable, "-c", dying + "id = 1'); c.commit(); os._exit(0)"], check=True)
        assert event_log.with_name("event_log.db-wal").stat().st_size
    if history == "none":
        shutil.rmtree(home / "dagster")
        (home / "dbt_target" / "fingerprint").write_text("of another version")
    if history == "no state folder":
        shutil.rmtree(home)
    before = state(home)
    port = free_port()
    with served(copy, port, "--read-only"):
        runs = graphql(port, WITH_EVENTS)["runsOrError"]["results"]
        assert len(runs) == (2 if history in ("closed", "killed") else 0)
        assert graphql(port, "{ assetNodes { id } }")["assetNodes"]  # the code location has loaded
        for path in ("/", "/runs", "/assets/release", "/overview"):
            assert ask(port, path)[0] == 200
        calls = every_mutation()
        assert set(MUTATIONS) | {"setNuxSeen", "logTelemetry", "sensorDryRun"} <= set(calls)
        for name, (query, variables) in calls.items():
            status, text = ask(port, "/graphql", {"query": query, "variables": variables})
            assert status in (200, 500), (name, text)
        for run in runs:
            ask(port, "/graphql", {"query": f'mutation {{ deleteRun(runId: "{run["runId"]}") {{ __typename }} }}'})
            assert ask(port, f"/download_debug/{run['runId']}", None)[0] == 200
        assert state(home) == before
    assert state(home) == before


def test_a_read_only_ui_shows_what_is_running_and_what_comes(copy: Installation) -> None:
    """It follows a history that begins, and grows, after it was started."""
    shutil.rmtree(copy.paths.home / "dagster")
    port = free_port()
    with served(copy, port, "--read-only"):
        assert graphql(port, WITH_EVENTS)["runsOrError"]["results"] == []
        copy.run("--wave", "2023", "--no-report")
        (run,) = graphql(port, WITH_EVENTS)["runsOrError"]["results"]
        assert run["status"] == "SUCCESS"


def test_only_a_read_only_ui_may_leave_this_machine(raw: Path, tmp_path: Path) -> None:
    result = fresh(tmp_path, raw).hotline("ui", "--behind-proxy")
    assert result.code == 2
    assert "--read-only" in result.err
    for name in ((), ("--allowed-host", "*"), ("--allowed-host", "hotline.example.org/path")):
        result = Installation(tmp_path).hotline("ui", "--read-only", "--behind-proxy", *name)
        assert result.code == 2
        assert "--allowed-host" in result.err


def test_another_site_operates_nothing(raw: Path, tmp_path: Path) -> None:
    """What the pages of other sites can send, sent to the operators' UI itself."""
    installation = fresh(tmp_path, raw)
    port = free_port()
    add = (
        f'mutation {{ addDynamicPartition(partitionsDefName: "waves", partitionKey: "2099", repositorySelector: '
        f'{{repositoryName: "__repository__", repositoryLocationName: "{LOCATION}"}}) {{ __typename }} }}'
    )
    body = json.dumps({"query": add})

    def sent(method: str, path: str, body: str | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        status = connection.getresponse().status
        connection.close()
        return status

    as_json, by_url = {"Content_Type": "application/json"}, f"/graphql?query={quote(add)}"
    with served(installation, port):
        assert sent("GET", by_url) == 405  # <img>
        assert sent("GET", by_url, Accept="image/*", Sec_Fetch_Site="cross-site") == 403
        assert sent("POST", by_url, Origin="https://example.com") == 403  # <form>
        assert sent("POST", "/graphql", body, **as_json, Origin="https://example.com") == 403
        assert sent("POST", "/graphql", body, **as_json, Origin="null") == 403
        assert sent("POST", "/graphql", body, **as_json, Origin=f"http://127.0.0.1:{port + 1}") == 403
        assert sent("POST", "/graphql", body, **as_json, Sec_Fetch_Site="same-site") == 403
        assert sent("POST", "/graphql", body, **as_json, Host="example.com") == 400
        assert sent("POST", by_url, body, Content_Type="text/plain") == 415
        assert sent("POST", "/graphql", body, Content_Type="text/plain; application/json") == 415
        assert sent("POST", "/report_asset_materialization/release", body, Content_Type="text/plain") == 415
        assert sent("POST", "/report_asset_materialization/release", "{}", **as_json, Origin="null") == 403
        handshake = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Protocol": "graphql-ws",
        }  # fmt: skip
        assert sent("GET", "/graphql", **handshake, Origin="https://example.com") == 403
        assert sent("GET", "/graphql", **handshake, Host="example.com") == 400
        assert sent("GET", "/graphql", **handshake, Origin=f"http://127.0.0.1:{port}") == 101
        nodes = graphql(port, "{ assetNodes { partitionKeys } }")["assetNodes"]
        assert all("2099" not in node["partitionKeys"] for node in nodes)
        # nobody but another site is refused
        assert sent("GET", f"/graphql?query={quote('{ version }')}") == 200
        assert graphql(port, add) == {"addDynamicPartition": {"__typename": "AddDynamicPartitionSuccess"}}


def test_addresses_of_the_two_servers(raw: Path, tmp_path: Path) -> None:
    from dagster_project.launch import EVERY_ADDRESS, READERS_UI, prepare_ui

    paths = fresh(tmp_path, raw).paths
    operators, readers = prepare_ui(paths, 3000), prepare_ui(paths, 3001, EVERY_ADDRESS, READERS_UI)
    assert operators[operators.index("-h") + 1] == "127.0.0.1"
    assert readers[readers.index("-h") + 1] == "0.0.0.0"
    assert "--read-only" in readers
