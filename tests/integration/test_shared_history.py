"""Runs, events and the queue in PostgreSQL: one installation, and two that share an instance."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.doctor import diagnose
from dagster_project.launch import LOOPBACK, SHARED_DAGSTER_YAML, dagster_instance, prepare_code_server
from dagster_project.team import MARK
from tests.conftest import Installation, fresh
from tests.integration.conftest import WAVE
from tests.integration.test_ui import ask
from tests.servers import SECRETS, Postgres, free_port, wait_for

PATIENCE = 240  # seconds; a test asserts what happens, not how fast
LAUNCH = "mutation($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename } }"


def member(root: Path, raw: Path, url: str, name: str) -> Installation:
    return fresh(root, raw, HOTLINE_POSTGRES_URL=url, HOTLINE_INSTALLATION=name)


@contextmanager
def instance_of(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance as a process of the installation sees it."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    with dagster_instance(installation.paths) as instance:
        yield instance


def files_that_hold(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_wave_is_run_with_its_history_in_postgresql(
    published_six: Installation, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database("one")
    installation = member(tmp_path, published_six.paths.raw, url, "host-a")
    done = installation.run("--wave", WAVE, "--no-report", "--json")
    (outcome,) = done.json
    with instance_of(installation, monkeypatch) as instance:
        run = instance.get_run_by_id(outcome["run_id"])
        assert run is not None
        assert (run.status, run.tags[MARK]) == (dg.DagsterRunStatus.SUCCESS, "host-a")
        assert run.run_op_concurrency is not None
        assert run.run_op_concurrency.all_pools == {"installation-host-a"}
        (event,) = instance.fetch_materializations(dg.AssetKey("release"), limit=5).records
        made = event.asset_materialization
        assert made is not None
        assert (made.partition, made.metadata["release"].value) == (WAVE, outcome["release"])
        assert "store" not in made.metadata
        assert instance.get_dynamic_partitions("waves") == [WAVE]
    # the same bytes as with the embedded history, which was not made at all
    assert installation.hashes(WAVE) == published_six.hashes(WAVE)
    assert not installation.paths.dagster_home.exists()
    settings = (installation.paths.shared_dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    assert settings == SHARED_DAGSTER_YAML
    for secret in SECRETS:
        assert files_that_hold(installation.paths.home, secret) == []
        assert secret not in done.err + done.out
    findings = {each["name"]: each for each in installation.hotline("doctor", "--json").json}
    assert findings["PostgreSQL"]["is_ok"], findings
    assert findings["PostgreSQL"]["detail"].startswith("host-a")


def test_doctor_tells_of_postgresql_what_is_wrong(
    six_lines: Path, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    def told(url: str, name: str = "host-a") -> tuple[bool, str]:
        monkeypatch.setenv("HOTLINE_POSTGRES_URL", url)
        monkeypatch.setenv("HOTLINE_INSTALLATION", name)
        (finding,) = [each for each in diagnose(fresh(tmp_path, six_lines).paths) if each.name == "PostgreSQL"]
        assert not any(secret in finding.detail for secret in SECRETS)
        return finding.is_ok, finding.detail

    url = postgres.database("asked")
    is_ok, detail = told(url)
    assert is_ok
    assert "empty" in detail
    with instance_of(member(tmp_path, six_lines, url, "host-a"), monkeypatch):
        pass
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("update alembic_version set version_num = '000000000000'")
    connection.close()
    for wrong, words in (
        (url, "dagster instance migrate"),
        (url.replace(f":{postgres.port}/", f":{free_port()}/"), "can not be reached"),
        (url.replace("tests", "guess"), "can not be reached"),
        ("mysql" + url, "must look like"),
    ):
        is_ok, detail = told(wrong)
        assert not is_ok
        assert words in detail
    refused = member(tmp_path, six_lines, url.replace("tests", "guess"), "host-a").hotline("run")
    assert (refused.code, "password authentication failed" in refused.err) == (1, True), refused.err
    for name in ("Host A", ""):
        is_ok, detail = told(url, name)
        assert not is_ok
        assert "HOTLINE_INSTALLATION" in detail


def test_an_installation_ends_its_own_abandoned_runs_alone(
    six_lines: Path, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def at_work() -> None: ...

    installation = member(tmp_path, six_lines, postgres.database("abandoned"), "host-a")
    with instance_of(installation, monkeypatch) as instance:

        def started(**tags: str) -> str:
            return instance.create_run_for_job(at_work, status=dg.DagsterRunStatus.STARTED, tags=tags).run_id

        ours, theirs, unmarked = started(**{MARK: "host-a"}), started(**{MARK: "host-b"}), started()
        prepare_code_server(installation.paths, free_port(), LOOPBACK)  # what is done when the service starts
        assert {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()} == {
            "installation-host-a": 1
        }
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses == {
            ours: dg.DagsterRunStatus.FAILURE,
            theirs: dg.DagsterRunStatus.STARTED,
            unmarked: dg.DagsterRunStatus.STARTED,
        }


def test_what_is_for_sharing_needs_something_to_share(six_lines: Path, postgres: Postgres, tmp_path: Path) -> None:
    alone = fresh(tmp_path, six_lines).hotline("serve", "code")
    assert alone.code == 2
    assert "HOTLINE_POSTGRES_URL" in alone.err
    nameless = fresh(tmp_path, six_lines, HOTLINE_POSTGRES_URL=postgres.url("postgres"))
    for arguments in (("run",), ("serve", "code")):
        refused = nameless.hotline(*arguments)
        assert refused.code == 2, refused.err
        assert "HOTLINE_INSTALLATION" in refused.err
    second_daemon = nameless.hotline("ui")
    assert second_daemon.code == 2
    assert "hotline serve" in second_daemon.err


# --- two installations, one queue ---------------------------------------------------------------


@contextmanager
def service(installation: Installation, *arguments: str) -> Iterator[subprocess.Popen]:
    """A service in a session of its own, so that all that it starts can be ended."""
    with (installation.root / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.cli", "serve", *arguments],
            stdout=log, stderr=log, env=installation.variables(), cwd=installation.root, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def workers(code_server: subprocess.Popen) -> list[int]:
    """Process ids of the runs that a code server has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid, rest = int(path.parent.name), path.read_text().rpartition(")")[2].split()
            command = path.with_name("cmdline").read_bytes()
            if int(rest[1]) == code_server.pid and b"spawn_main" in command:
                found.append(pid)
    return found


def command_lines() -> Iterator[bytes]:
    """Of every process of this machine, as anybody on it can read them."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield path.read_bytes()


def test_runs_of_one_installation_wait_for_one_another_and_for_no_other(
    six_lines: Path, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real daemon: two code locations, as on two hosts, three runs asked for at once, one of them killed."""
    url = postgres.database("queue")
    names = ("host-a", "host-b")
    hosts = {name: member(tmp_path / name, six_lines, url, name) for name in names}
    ports = {name: free_port() for name in (*names, "webserver")}
    workspace = tmp_path / "workspace.yaml"
    locations = [{"grpc_server": {"host": "127.0.0.1", "port": ports[name], "location_name": name}} for name in names]
    workspace.write_text(json.dumps({"load_from": locations}))  # JSON is YAML

    def launched(name: str) -> None:
        selector = {"repositoryLocationName": name, "repositoryName": "__repository__", "pipelineName": "annual_wave"}
        tags = [{"key": "dagster/partition", "value": WAVE}]
        run = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
        status, text = ask(ports["webserver"], "/graphql", {"query": LAUNCH, "variables": {"run": run}})
        assert (status, json.loads(text)["data"]["launchRun"]["__typename"]) == (200, "LaunchRunSuccess"), text

    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(service(hosts[name], "code", "--port", str(ports[name]))) for name in names
        }
        for name in names:
            wait_for(ports[name], servers[name])
        served = stack.enter_context(
            service(hosts["host-a"], "webserver", "-w", str(workspace), "--port", str(ports["webserver"]))
        )
        wait_for(ports["webserver"], served)
        instance = stack.enter_context(instance_of(hosts["host-a"], monkeypatch))

        def until(reached: Callable[[list[dg.RunRecord]], bool]) -> list[dg.RunRecord]:
            """Records of the runs in the order in which they were asked for, as soon as they are as they should be."""
            deadline = time.monotonic() + PATIENCE
            while not reached(records := sorted(instance.get_run_records(), key=lambda each: each.create_timestamp)):
                assert time.monotonic() < deadline, [each.dagster_run.status for each in records]
                time.sleep(0.2)
            return records

        for name in ("host-a", "host-a", "host-b"):
            launched(name)
        # only now, so that the queue finds all of them at once, and pools that were never used
        stack.enter_context(service(hosts["host-a"], "daemon", "-w", str(workspace)))
        before = set(workers(servers["host-a"]))
        until(lambda records: records[0].dagster_run.is_finished)
        until(lambda records: records[1].dagster_run.status == dg.DagsterRunStatus.STARTED)
        for pid in set(workers(servers["host-a"])) - before:
            os.kill(pid, signal.SIGKILL)
        first, second, other = until(lambda records: all(each.dagster_run.is_finished for each in records))
        assert [each.dagster_run.tags[MARK] for each in (first, other)] == ["host-a", "host-b"]
        assert [each.dagster_run.status for each in (first, other)] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert first.end_time is not None
        assert second.start_time is not None
        assert other.start_time is not None
        assert first.end_time <= second.start_time
        assert other.start_time < second.start_time  # it did not wait for what another host does
        # one whose process dies is not taken for being at work: the code server says that it has failed
        assert second.dagster_run.status == dg.DagsterRunStatus.FAILURE
        # each was at work on the host of its code location
        assert hosts["host-a"].hashes(WAVE) == hosts["host-b"].hashes(WAVE)
        assert not any(host.paths.dagster_home.exists() for host in hosts.values())
        # the daemon's own folder, which it names to the code server of another host, is not written there
        assert [path.name for path in hosts["host-b"].paths.shared_dagster_home.iterdir()] == ["dagster.yaml"]

        # nothing shows the secret: neither the UI, nor a command line, nor a log
        _, told = ask(ports["webserver"], "/graphql", {"query": "{ instance { info } }"})
        assert "local_artifact_storage" in told
        commands = b"".join(command_lines())
        assert b"grpc" in commands
        for secret in SECRETS:
            assert secret not in told
            assert secret.encode() not in commands
            assert files_that_hold(tmp_path, secret) == []
