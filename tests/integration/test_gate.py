"""A red check publishes nothing and leaves `current` as it was, from every entry point."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dagster_project import chain
from dagster_project.paths import PROJECT
from tests.conftest import Installation

# A bound that the wave can not meet, by its own wave.yml.
PUBLISHABLE_RED = {"max_national_mean": {"value": 80, "reason": "a bound that the wave can not meet"}}


def drop_attempts_of(installation: Installation, line: str) -> None:
    """The dialler's log comes without one line: the frame is no longer covered."""
    path = installation.paths.raw / "2023" / "dial_2023.csv"
    text = path.read_bytes().decode("gb18030")
    kept = [row for row in text.splitlines(keepends=True) if f",{line}," not in row]
    path.write_bytes("".join(kept).encode("gb18030"))


def set_thresholds(installation: Installation, thresholds: dict) -> None:
    path = installation.paths.wave_yml("2023")
    wave = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**wave, "thresholds": thresholds}, allow_unicode=True), encoding="utf-8")


def materialize(installation: Installation, selection: str) -> subprocess.CompletedProcess[str]:
    """What the UI's Materialize button does, from Dagster's own command line."""
    environment = {**installation.variables(), "DAGSTER_HOME": str(installation.paths.dagster_home)}
    return subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "--select", selection, "--partition", "2023",
         "-m", "dagster_project.definitions"],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip


def red_checks(installation: Installation) -> set[str]:
    quality = json.loads(installation.paths.quality("2023").read_text(encoding="utf-8"))
    return {
        verdict["check"]
        for verdicts in quality["stages"].values()
        for verdict in verdicts
        if not verdict["success"] and verdict["severity"] == "critical"
    }


def test_a_gap_in_the_delivery_stops_the_run(copy: Installation) -> None:
    before = copy.current("2023"), copy.hashes("2023")
    drop_attempts_of(copy, "370100")
    result = copy.hotline("run", "--wave", "2023")
    assert result.code == 4, result.err
    assert "attempts_per_line_as_planned" in result.err
    assert "370100" in result.err
    assert "Traceback" not in result.err
    assert "attempts_per_line_as_planned" in red_checks(copy)
    assert (copy.current("2023"), copy.hashes("2023")) == before


def test_implausible_scores_stop_the_run(copy: Installation) -> None:
    before = copy.current("2023")
    set_thresholds(copy, PUBLISHABLE_RED)
    result = copy.hotline("run", "--wave", "2023", "--json")
    assert result.code == 4, result.err
    assert result.json["error"] == "GateFailed"
    assert red_checks(copy) == {"national_mean_within_bound"}
    assert copy.current("2023") == before
    *_, last = chain.read(copy.paths.log)
    logged = {name: last[name] for name in ("event", "wave", "error", "exit_code")}
    assert logged == {"event": "failed", "wave": "2023", "error": "GateFailed", "exit_code": 4}


def test_a_false_sentence_publishes_nothing(copy: Installation) -> None:
    """One in the narrative, one in the recommendations: both are told, and nothing of the release is left."""
    before = published_files(copy), copy.current("2023"), copy.hashes("2023")
    figures = json.loads((copy.paths.current("2023") / "figures.json").read_text(encoding="utf-8"))
    values = {figure["id"]: figure["value"] for figure in figures}
    with edited(copy.paths.raw / "narratives/default.yml") as narrative:
        level = {"type": "level", "figure": "total.score", "value": 99.99}
        narrative["sections"][0]["sentences"].append({"text": "全国总体得分为99.99分。", "claims": [level]})
    with edited(copy.paths.raw / "2023/recommendations.yml") as advice:
        order = {"type": "ordering", "figures": ["phone.score", "web.score"], "direction": "increasing"}
        advice["recommendations"].append({"title": "向网络端看齐", "text": "网络端优于电话端。", "claims": [order]})
    result = copy.hotline("run", "--wave", "2023")
    assert result.code == 4, result.err
    told = [line for line in result.err.splitlines() if line.startswith("「")]
    assert [line.split("」")[0] for line in told] == ["「全国总体得分为99.99分。", "「网络端优于电话端。"]
    assert told[0].endswith(f"claimed 99.99, computed {values['total.score']:.2f}")
    gap = f"{values['web.score'] - values['phone.score']:.2f}"
    assert told[1].endswith(f"claimed phone.score < web.score, computed web.score − phone.score = {gap}")
    assert (published_files(copy), copy.current("2023"), copy.hashes("2023")) == before


@contextmanager
def edited(path: Path) -> Iterator[dict]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield content
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def published_files(installation: Installation) -> list[str]:
    """Everything below releases/ and reports/, hidden or not."""
    home = installation.paths.home
    return sorted(str(path.relative_to(home)) for name in ("releases", "reports") for path in (home / name).rglob("*"))


@pytest.mark.parametrize("selection", ["pub_rankings", "release", "tag:dagster/kind/dbt"])
def test_no_entry_point_leads_around_the_gate(copy: Installation, selection: str) -> None:
    """Rankings alone, the release alone, all models without the checks: each asks the gate itself."""
    before = copy.current("2023"), copy.hashes("2023")
    set_thresholds(copy, PUBLISHABLE_RED)
    done = materialize(copy, selection)
    assert done.returncode != 0
    assert "national_mean_within_bound" in done.stdout + done.stderr
    assert (copy.current("2023"), copy.hashes("2023")) == before


def test_rankings_alone_are_made_where_the_gate_is_open(copy: Installation) -> None:
    done = materialize(copy, "pub_rankings")
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_release_is_not_made_of_tables_of_another_time(copy: Installation) -> None:
    """The bronze has moved on, the rankings have not: neither they nor a release may be made of them."""
    path = copy.paths.raw / "2023" / "web_2023.csv"
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace(",丰富,", ",一般,", 1), encoding="utf-8-sig", newline="")
    before = copy.current("2023")
    assert materialize(copy, "group:bronze").returncode == 0
    for selection in ("release", "pub_rankings"):
        done = materialize(copy, selection)
        assert done.returncode != 0
        assert "NotReconciled" in done.stdout + done.stderr
    assert copy.current("2023") == before
    copy.run("--wave", "2023")
    assert copy.current("2023") != before


def test_a_misspelt_expectation_is_refused(copy: Installation, tmp_path: Path) -> None:
    """The same installation with a project copy whose suite has a typing slip: nothing passes, nothing is published."""
    project = tmp_path / "project"
    for name in ("dagster_project", "dbt", "expectations", "requirements.lock"):
        source = PROJECT / name
        shutil.copytree(source, project / name) if source.is_dir() else shutil.copy(source, project / name)
    suite = project / "expectations" / "line_coverage.json"
    text = suite.read_text(encoding="utf-8")
    suite.write_text(text.replace("expect_column_values_to_be_between", "expect_column_values_to_be_betwen", 1))
    before = copy.current("2023")
    done = subprocess.run(
        [sys.executable, "-m", "dagster_project.cli", "run", "--wave", "2023"],
        cwd=project, env={**copy.variables(), "PYTHONPATH": str(project)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "expect_column_values_to_be_betwen" in done.stderr
    assert copy.current("2023") == before
