"""What the UI of an operator shows of a wave: the results of its checks, and why an asset is stale."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Installation, copied
from tests.integration.conftest import WAVE
from tests.integration.test_ui import SELECTOR, ask, served
from tests.servers import free_port

RED, NEW = "2022-adhoc-1", "2022-adhoc-2"  # one whose gate fails, one that was never run
GATE_CHECK = ("bronze/dial_attempts", "attempts_per_line_as_planned")
SCORES_CHECK = ("score_total", "every_line_stands_in_the_scores")
MODEL_CHECK = ("score_total", "grain_score_total_wave__line_id__channel")
OURS = {"UsageError", "InputRejected", "GateFailed", "NotReconciled"}
SECONDS = 240

LAUNCH = """
mutation($run: ExecutionParams!) {
  launchPipelineExecution(executionParams: $run) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
RUN = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { status eventConnection { events {
  ... on ErrorEvent { error { className message causes { className message } } }
  ... on AssetCheckEvaluationEvent { evaluation { checkName success partition } }
} } } } }"""
CHECKS = """
query($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) { assetChecksOrError { ... on AssetChecks { checks {
  name partitionStatuses { ... on AssetCheckDefaultPartitionStatuses { succeededPartitions failedPartitions } }
} } } } }"""
STALE = """
query($keys: [AssetKeyInput!]!, $wave: String) { assetNodes(assetKeys: $keys) {
  staleStatus(partition: $wave) staleCauses(partition: $wave) { category dependency { path } key { path } }
} }"""


class Ui:
    """One served installation, asked as its pages ask."""

    def __init__(self, port: int) -> None:
        self._port = port

    def query(self, text: str, **variables: Any) -> Any:
        answer = json.loads(ask(self._port, "/graphql", {"query": text, "variables": variables})[1])
        assert "errors" not in answer, answer
        return answer["data"]

    def run_check(self, check: tuple[str, str], wave: str | None) -> tuple[str, list[Any], list[str]]:
        """How a run of one check ends: its status, what it evaluated, and what it says of ours."""
        asset, name = check
        selection = [{"assetKey": {"path": asset.split("/")}, "name": name}]
        selector = {**SELECTOR, "pipelineName": "__ASSET_JOB", "assetSelection": [], "assetCheckSelection": selection}
        tags = [{"key": "dagster/partition", "value": wave}] if wave is not None else []
        request = {
            "selector": selector, "mode": "default", "runConfigData": "{}", "executionMetadata": {"tags": tags}
        }  # fmt: skip
        launched = self.query(LAUNCH, run=request)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess"

        def ended() -> Any:
            run = self.query(RUN, id=launched["run"]["runId"])["runOrError"]
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        run = until(ended)
        events = run["eventConnection"]["events"]
        errors = [each["error"] for each in events if each.get("error")]
        chains = [each for error in errors for each in (error, *error["causes"])]
        explained = [each["message"] for each in chains if each["className"] in OURS]
        return run["status"], [each["evaluation"] for each in events if "evaluation" in each], explained

    def results(self, check: tuple[str, str]) -> tuple[list[str], list[str]]:
        """Waves for which a check passed, and those for which it failed."""
        asset, name = check
        (node,) = self.query(CHECKS, keys=[{"path": asset.split("/")}])["assetNodes"]
        (found,) = [each for each in node["assetChecksOrError"]["checks"] if each["name"] == name]
        statuses = found["partitionStatuses"]
        return statuses["succeededPartitions"], statuses["failedPartitions"]

    def causes(self, asset: str, wave: str) -> set[str]:
        """What an asset of the wave is stale because of."""
        (node,) = self.query(STALE, keys=[{"path": asset.split("/")}], wave=wave)["assetNodes"]
        causes = {"/".join((each["dependency"] or each["key"])["path"]) for each in node["staleCauses"]}
        assert (node["staleStatus"] == "STALE") == bool(causes), node
        return causes


def until(found: Callable[[], Any]) -> Any:
    """What `found` gives, once it gives something."""
    deadline = time.monotonic() + SECONDS
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.5)
    return result


def declare(installation: Installation, wave: str) -> Path:
    """Another wave with the exports of the published one."""
    raw = installation.paths.raw
    shutil.copytree(raw / WAVE, raw / wave)
    text = (raw / wave / "wave.yml").read_text(encoding="utf-8")
    lines = [f"wave: {wave}" if line.startswith("wave:") else line for line in text.splitlines()]
    (raw / wave / "wave.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return raw / wave


@pytest.fixture(scope="module")
def installation(published_six: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One wave is green, run after one whose gate failed; a third was never run."""
    installation = copied(published_six, tmp_path_factory.mktemp("state") / "copy")
    (export,) = declare(installation, RED).glob("dial_*.csv")
    export.write_bytes(b"".join(export.read_bytes().splitlines(keepends=True)[:-3]))
    declare(installation, NEW)
    refused = installation.hotline("run", "--wave", RED, "--no-report")
    assert refused.code == 4, refused.err
    installation.run("--wave", WAVE, "--no-report")
    return installation


@pytest.fixture(scope="module")
def ui(installation: Installation) -> Iterator[Ui]:
    port = free_port()
    with served(installation, port):
        yield Ui(port)


def test_a_green_wave_does_not_hide_a_red_one(ui: Ui) -> None:
    assert ui.results(GATE_CHECK) == ([WAVE], [RED])


@pytest.mark.parametrize("check", [GATE_CHECK, SCORES_CHECK, MODEL_CHECK])
def test_a_check_is_executed_for_the_wave_that_is_chosen(ui: Ui, check: tuple[str, str]) -> None:
    status, evaluations, _ = ui.run_check(check, WAVE)
    assert status == "SUCCESS"
    assert evaluations == [{"checkName": check[1], "success": True, "partition": WAVE}]


@pytest.mark.parametrize(
    ("check", "wave", "words"),
    [
        (GATE_CHECK, None, "本次运行没有指定监测期"),
        (MODEL_CHECK, None, "this run names no wave (partition)"),
        (SCORES_CHECK, "2050", "there is no wave 2050"),
        (MODEL_CHECK, "../x", "not a wave id"),
        (GATE_CHECK, RED, "attempts_per_line_as_planned"),
        (GATE_CHECK, NEW, NEW),
        (SCORES_CHECK, NEW, NEW),
        (MODEL_CHECK, NEW, NEW),
    ],
)
def test_a_check_that_cannot_be_executed_says_why(ui: Ui, check: tuple[str, str], wave: str | None, words: str) -> None:
    status, _, explained = ui.run_check(check, wave)
    assert status == "FAILURE"
    assert any(words in each for each in explained), explained


@pytest.mark.parametrize(
    ("tags", "words"), [("{}", "本次运行没有指定监测期"), ('{"dagster/partition": "2050"}', "there is no wave 2050")]
)
def test_a_job_of_the_command_line_says_what_is_missing(installation: Installation, tags: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "dagster_project.definitions", "-j", "annual_wave",
         "--tags", tags],
        capture_output=True, text=True, cwd=installation.root, check=False,
        env={**installation.variables(), "DAGSTER_HOME": str(installation.paths.dagster_home)},
    )  # fmt: skip
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_changed_input_is_the_cause_until_the_wave_is_run_again(ui: Ui, installation: Installation) -> None:
    paths = installation.paths
    assert ui.causes("release", WAVE) == set()
    (export,) = paths.wave_raw(WAVE).glob("web_*.csv")
    export.write_bytes(export.read_bytes().rstrip(b"\r\n"))
    until(lambda: ui.causes("release", WAVE) == {"raw/exports"})
    assert ui.causes("bronze/web_probes", WAVE) == {"raw/exports"}

    profile = paths.profile("web_inspection")
    profile.write_text(profile.read_text(encoding="utf-8") + "# noted\n", encoding="utf-8")
    until(lambda: ui.causes("release", WAVE) == {"raw/exports", "raw/profiles"})

    installation.run("--wave", WAVE, "--no-report")
    for asset in ("bronze/web_probes", "bronze/reference", "score_total", "pub_figures", "release"):
        assert ui.causes(asset, WAVE) == set(), asset

    paths.ledger(WAVE).parent.mkdir()
    paths.ledger(WAVE).write_text("{}\n")
    until(lambda: ui.causes("release", WAVE) == {"raw/corrections"})
