"""Every check of expectations/ holds on good data and fails on data made to fail it; what the gate then says."""

import json
from pathlib import Path
from typing import Any

import pytest

from dagster_project.errors import GateFailed, InputRejected
from dagster_project.gate import verdicts
from dagster_project.gate.suites import DELIVERED, PUBLISHABLE, Suite, load_suites
from dagster_project.gate.tables import BRONZE_TABLES
from dagster_project.gate.verdicts import evaluate_gate, read_quality, require, write_quality
from dagster_project.ingest.wave import Threshold
from dagster_project.paths import Paths
from tests.unit.gate_world import SPOILERS, WAVE, World, good_world, in_memory, on_disk, wave

SUITES = {suite.name: suite for suite in load_suites()}
CHECKS = {each.check: suite for suite in SUITES.values() for each in suite.expectations}


def judge(suite: Suite, world: World) -> dict[str, dict[str, Any]]:
    with in_memory(world) as connection:
        found = verdicts.judge(connection, [suite], WAVE)[suite.name]
    return {verdict["check"]: verdict for verdict in found}


@pytest.mark.parametrize("name", SUITES)
def test_good_data_pass(name: str) -> None:
    found = judge(SUITES[name], good_world())
    assert {check: verdict["observed"] for check, verdict in found.items() if not verdict["success"]} == {}


def test_every_check_has_data_that_must_fail_it() -> None:
    assert sorted(SPOILERS) == sorted(CHECKS)


@pytest.mark.parametrize("check", SPOILERS)
def test_bad_data_fail(check: str) -> None:
    world = good_world()
    SPOILERS[check](world)
    verdict = judge(CHECKS[check], world)[check]
    assert not verdict["success"]
    json.dumps(verdict, allow_nan=False)


def test_other_waves_do_not_count() -> None:
    with in_memory(good_world(), wave="2022") as connection, pytest.raises(GateFailed, match="0 lines"):
        verdicts.judge(connection, [*SUITES.values()], WAVE)


def test_failing_rows_stand_in_the_order_of_their_keys() -> None:
    world = good_world()
    world["dial_attempts"].clear()
    verdict = judge(SUITES["line_coverage"], world)["attempts_per_line_as_planned"]
    assert verdict["n_evaluated"] == verdict["n_failing"] == 2
    assert verdict["observed"] == 0
    assert verdict["bounds"] == {"min_value": 4}
    assert verdict["failing_rows"] == [
        {"line_id": "110000", "city": "北京", "n_attempts": 0},
        {"line_id": "370100", "city": "济南", "n_attempts": 0},
    ]


def test_at_most_twenty_rows_are_shown() -> None:
    world = good_world()
    first = world["dial_attempts"][0]
    world["dial_attempts"] += [
        {**first, "attempt_id": f"B{number:02}", "dialled_at": first["dialled_at"].replace(year=1900)}
        for number in range(30)
    ]
    verdict = judge(SUITES["field_dates"], world)["dates_within_field_period"]
    assert verdict["n_failing"] == 30
    assert [row["unit_id"] for row in verdict["failing_rows"]] == [f"B{number:02}" for number in range(20)]


# --- a wave's own bounds -----------------------------------------------------------------------


def test_a_wave_may_set_a_bound_with_its_reason(tmp_path: Path) -> None:
    world = good_world()
    world["score_scenarios"][0]["n_missing"] = 1
    paths = on_disk(world, tmp_path)
    with pytest.raises(GateFailed, match="no_observation_is_missing"):
        require(paths, WAVE, (PUBLISHABLE,))
    require(paths, wave(thresholds={"max_missing_observations": Threshold(1, "录音损坏")}), (PUBLISHABLE,))
    found = {each["check"]: each for each in read_quality(paths, WAVE.id)["stages"][PUBLISHABLE]}
    verdict = found["no_observation_is_missing"]
    assert verdict["bounds"] == {"min_value": 0, "max_value": 1}
    assert verdict["parameter_reasons"] == {"max_missing_observations": "wave.yml: 录音损坏"}


@pytest.mark.parametrize("name", ["max_no_such_thing", "frame_lines"])
def test_a_threshold_that_changes_nothing_is_refused(name: str, tmp_path: Path) -> None:
    paths = on_disk(good_world(), tmp_path)
    with pytest.raises(InputRejected, match=rf"2023/wave\.yml: thresholds\.{name}"):
        evaluate_gate(paths, wave(thresholds={name: Threshold(1, "x")}), DELIVERED)


def test_the_reason_for_quarantined_rows_is_carried(tmp_path: Path) -> None:
    world = good_world()
    SPOILERS["quarantined_share_within_bound"](world)
    paths = on_disk(world, tmp_path)
    result = evaluate_gate(paths, wave(max_quarantined_share_pct=50, quarantine_reason="停电"), DELIVERED)
    (verdict,) = [each for each in result.verdicts if each["check"] == "quarantined_share_within_bound"]
    assert verdict["success"]
    assert verdict["parameter_reasons"] == {"max_quarantined_share_pct": "quarantine.max_share_pct: 停电"}


# --- the gate as a whole -----------------------------------------------------------------------


@pytest.fixture
def good(tmp_path: Path) -> Paths:
    return on_disk(good_world(), tmp_path)


def spoilt(home: Path, *checks: str) -> Paths:
    world = good_world()
    for check in checks:
        SPOILERS[check](world)
    return on_disk(world, home)


def test_good_data_may_be_published(good: Paths) -> None:
    require(good, WAVE, (DELIVERED, PUBLISHABLE))
    quality = read_quality(good, WAVE.id)
    assert quality["counts"] == {"n_checks": len(CHECKS), "n_failed": {"critical": 0, "warning": 0}}
    told = [verdict["check"] for stage in (DELIVERED, PUBLISHABLE) for verdict in quality["stages"][stage]]
    declared = [
        each.check
        for stage in (DELIVERED, PUBLISHABLE)
        for suite in SUITES.values()
        if suite.stage == stage
        for each in suite.expectations
    ]
    assert told == declared


def test_the_message_names_check_bound_rows_and_file(tmp_path: Path) -> None:
    paths = spoilt(tmp_path, "attempts_per_line_as_planned", "lines_scored")
    with pytest.raises(GateFailed) as raised:
        require(paths, WAVE, (DELIVERED, PUBLISHABLE))
    text = str(raised.value)
    assert "line_coverage · attempts_per_line_as_planned: expect_column_values_to_be_between 「n_attempts」" in text
    assert '{"min_value": 4}' in text
    assert '{"line_id": "110000", "city": "北京", "n_attempts": 3}' in text
    assert "scored_lines · lines_scored" in text
    assert "未发布任何内容" in text and "nothing is published" in text
    assert str(paths.quality(WAVE.id)) in text
    assert read_quality(paths, WAVE.id)["counts"]["n_failed"]["critical"] >= 2


def test_a_warning_never_blocks(tmp_path: Path) -> None:
    paths = spoilt(tmp_path, "no_coder_dominates", "line_jumps_within_bound")
    require(paths, WAVE, (DELIVERED, PUBLISHABLE))
    assert read_quality(paths, WAVE.id)["counts"]["n_failed"] == {"critical": 0, "warning": 2}


def test_quarantined_rows_reject_the_input(tmp_path: Path) -> None:
    paths = spoilt(tmp_path, "quarantined_share_within_bound", "attempts_per_line_as_planned")
    with pytest.raises(InputRejected, match="quarantined_share_within_bound"):
        require(paths, WAVE, (DELIVERED,))


def test_the_tables_are_read_again(good: Paths, tmp_path: Path) -> None:
    require(good, WAVE, (DELIVERED,))
    spoilt(tmp_path, "attempts_per_line_as_planned")
    with pytest.raises(GateFailed):
        require(good, WAVE, (DELIVERED,))


def test_quality_is_the_same_bytes_whatever_the_order_of_rows_stage_by_stage_or_at_once(tmp_path: Path) -> None:
    checks = ("no_coder_dominates", "dates_within_field_period", "line_jumps_within_bound", "lines_classified")
    first = spoilt(tmp_path / "a", *checks)
    write_quality(first, WAVE.id, [evaluate_gate(first, WAVE, stage) for stage in (DELIVERED, PUBLISHABLE)])
    world = good_world()
    for check in checks:
        SPOILERS[check](world)
    second = on_disk({name: rows[::-1] for name, rows in world.items()}, tmp_path / "b")
    for stage in (DELIVERED, PUBLISHABLE):
        write_quality(second, WAVE.id, [evaluate_gate(second, WAVE, stage)])
    assert first.quality(WAVE.id).read_bytes() == second.quality(WAVE.id).read_bytes()
    assert [path.name for path in first.quality(WAVE.id).parent.iterdir()] == [f"{WAVE.id}.json"]


def test_verdicts_on_what_stood_before_go_when_an_earlier_stage_is_given_anew(good: Paths) -> None:
    require(good, WAVE, (DELIVERED, PUBLISHABLE))
    write_quality(good, WAVE.id, [evaluate_gate(good, WAVE, DELIVERED)])
    assert list(read_quality(good, WAVE.id)["stages"]) == [DELIVERED]


def test_files_of_other_waves_are_not_opened(good: Paths) -> None:
    for name in BRONZE_TABLES:
        other = good.bronze_part(name, "2024")
        other.parent.mkdir()
        other.write_bytes(b"no Parquet")
    require(good, WAVE, (DELIVERED, PUBLISHABLE))


def test_missing_tables_say_what_to_run_first(tmp_path: Path, good: Paths) -> None:
    empty = Paths(raw=tmp_path, home=tmp_path / "empty")
    with pytest.raises(GateFailed, match="bronze assets first"):
        require(empty, WAVE, (DELIVERED,))
    with pytest.raises(GateFailed, match="not been ingested"):
        evaluate_gate(good, wave(id="2024"), DELIVERED)  # another wave's bronze is there
    good.warehouse.unlink()
    with pytest.raises(GateFailed, match="score_"):
        evaluate_gate(good, WAVE, PUBLISHABLE)
