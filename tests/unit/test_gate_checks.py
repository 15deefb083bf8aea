"""The gate within Dagster: a red critical check stops what comes after it, a warning does not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from dagster_project.errors import GateFailed, UsageError
from dagster_project.gate import checks
from dagster_project.gate.checks import delivered_gate, publishable_gate
from dagster_project.gate.suites import load_suites
from dagster_project.gate.verdicts import read_quality
from dagster_project.paths import Paths
from dagster_project.resources import Installation
from dagster_project.transform.warehouse import finish_step
from tests.unit.gate_world import SPOILERS, WAVE, good_world, on_disk

WAVES = dg.DynamicPartitionsDefinition(name="waves")
BRONZE = sorted({suite.asset for suite in load_suites() if suite.stage == "delivered"})


@dg.multi_asset(specs=[dg.AssetSpec(name.split("/")) for name in BRONZE], partitions_def=WAVES)
def bronze() -> Iterator[dg.MaterializeResult]:
    for name in BRONZE:
        yield dg.MaterializeResult(name.split("/"))


@dg.asset(deps=[["bronze", "dial_attempts"]], partitions_def=WAVES)
def score_total() -> None: ...


@dg.asset(deps=[["bronze", "dial_attempts"]], partitions_def=WAVES)
def score_nodes() -> None: ...


@dg.asset(deps=[score_total], partitions_def=WAVES)
def ranking() -> None: ...


def run(
    home: Path,
    spoilt: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    afterwards: Callable[[Paths], None] = lambda _: None,
    **options: Any,
) -> tuple[Paths, dg.ExecuteInProcessResult]:
    world = good_world()
    for check in spoilt:
        SPOILERS[check](world)
    paths = declared(on_disk(world, home), WAVE.id)
    afterwards(paths)
    monkeypatch.setenv("HOTLINE_RAW", str(paths.raw))
    monkeypatch.setenv("HOTLINE_HOME", str(paths.home))
    monkeypatch.setattr(checks, "load_wave", lambda _, wave_id: replace(WAVE, id=wave_id))
    with dg.DagsterInstance.ephemeral() as instance:
        return paths, execute(instance, WAVE.id, **options)


def declared(paths: Paths, wave: str) -> Paths:
    paths.wave_raw(wave).mkdir(parents=True, exist_ok=True)
    paths.wave_yml(wave).touch()
    return paths


def execute(instance: dg.DagsterInstance, wave: str | None, **options: Any) -> dg.ExecuteInProcessResult:
    defs = dg.Definitions(
        assets=[bronze, score_total, score_nodes, ranking],
        asset_checks=[delivered_gate, publishable_gate],
        jobs=[dg.define_asset_job("wave")],
        resources={"installation": Installation()},
        executor=dg.in_process_executor,
    )
    if wave is not None:
        instance.add_dynamic_partitions("waves", [wave])
    return defs.resolve_job_def("wave").execute_in_process(
        partition_key=wave,
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        **options,
    )


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_the_second_gate_judges_only_what_the_steps_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed_outside(paths: Paths) -> None:
        finish_step(paths)
        with duckdb.connect(str(paths.warehouse)) as connection:
            connection.execute("update score_total set score_nano = 1")

    _, result = run(tmp_path, (), monkeypatch, changed_outside)
    assert not result.success
    assert "ranking" not in made(result)
    failed = [event for event in result.all_events if event.is_step_failure]
    assert [event.step_key for event in failed] == ["publishable_gate"]
    assert "changed outside the pipeline" in str(failed[0].step_failure_data.error)


def test_green_everything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result = run(tmp_path, (), monkeypatch)
    assert result.success
    assert made(result) == {*BRONZE, "score_total", "score_nodes", "ranking"}
    assert set(evaluations(result)) == set(SPOILERS)


def test_a_warning_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result = run(tmp_path, ("line_jumps_within_bound",), monkeypatch)
    assert result.success
    assert "ranking" in made(result)
    evaluation = evaluations(result)["line_jumps_within_bound"]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN


def test_a_red_delivery_is_not_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, result = run(tmp_path, ("attempts_per_line_as_planned",), monkeypatch)
    assert not result.success
    assert made(result) == set(BRONZE)
    evaluation = evaluations(result)["attempts_per_line_as_planned"]
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert evaluation.metadata["observed"].value == '{"min": 3, "max": 4}'
    rows = evaluation.metadata["failing rows"].records
    assert [row.data for row in rows] == [{"line_id": "110000", "city": "北京", "n_attempts": 3}]
    assert list(read_quality(paths, WAVE.id)["stages"]) == ["delivered"]


def test_red_scores_are_not_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the ranking reads score_total; the failing check hangs on score_nodes
    _, result = run(tmp_path, ("national_mean_within_bound",), monkeypatch)
    assert not result.success
    assert made(result) == {*BRONZE, "score_total", "score_nodes"}


def test_the_failure_keeps_our_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result = run(tmp_path, ("lines_scored",), monkeypatch)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None and error.cause is not None
    assert error.cause.cls_name == GateFailed.__name__
    assert "scored_lines · lines_scored" in error.cause.message


def test_some_assets_alone_bring_their_checks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result = run(tmp_path, (), monkeypatch, asset_selection=[dg.AssetKey("score_total")])
    assert result.success
    told = set(evaluations(result))
    assert told <= {
        each.check for suite in load_suites() if suite.asset == "score_total" for each in suite.expectations
    }


def test_a_green_wave_leaves_the_red_one_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red, home = "attempts_per_line_as_planned", tmp_path
    monkeypatch.setenv("HOTLINE_RAW", str(home / "raw"))
    monkeypatch.setenv("HOTLINE_HOME", str(home))
    monkeypatch.setattr(checks, "load_wave", lambda _, wave_id: replace(WAVE, id=wave_id))
    (key,) = [spec.key for spec in delivered_gate.check_specs if spec.name == red]
    with dg.DagsterInstance.ephemeral() as instance:
        spoilt = good_world()
        SPOILERS[red](spoilt)
        declared(on_disk(spoilt, home, "2023"), "2023")
        assert not execute(instance, "2023").success
        declared(on_disk(good_world(), home, "2022"), "2022")
        assert execute(instance, "2022").success
        found = {
            info.partition_key: info.latest_execution_status.value
            for info in instance.event_log_storage.get_asset_check_partition_info([key])
        }
    assert found == {"2022": "SUCCEEDED", "2023": "FAILED"}


@pytest.mark.parametrize(
    ("wave", "missing"),
    [(None, "this run names no wave (partition)"), ("x/2023", "not a wave id"), ("2050", "there is no wave 2050")],
)
def test_a_run_without_a_wave_says_what_is_missing(
    wave: str | None, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTLINE_RAW", str(tmp_path / "raw"))
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(instance, wave)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.event_type_value == "RESOURCE_INIT_FAILURE"]
    error = failure.engine_event_data.error
    assert error is not None
    assert error.cls_name == UsageError.__name__
    assert missing in error.message
    assert not (tmp_path / "run.lock").exists()  # before anything is held or written
