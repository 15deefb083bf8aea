"""`hotline plan` on the demonstration waves: its numbers against the release's, its faults, its chart."""

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from dagster_project.release.plan import class_rules
from dagster_project.release.reading import Release
from dagster_project.release.uncertainty import observed_lines
from dagster_project.statistics.planning import class_of
from dagster_project.statistics.standard_errors import PRIOR_DF, line_variances, variance_parts
from tests.conftest import Installation, fresh

KINDS = ("call", "inspection", "request")


@pytest.fixture(scope="module")
def release(published: Installation) -> Release:
    return Release(published.paths.current("2023").resolve())


def test_planned_numbers_reach_the_target(published: Installation) -> None:
    plan = published.hotline("plan", "--wave", "2023", "--target-se", "1.5", "--cost", "request=4", "--json").json
    tiers = plan["errors"]["tiers"]
    assert tiers[0]["tier"] == "全部" and tiers[0]["n_lines"] == sum(tier["n_lines"] for tier in tiers[1:])
    for tier in tiers:
        for which in ("now", "proportional", "cheapest"):
            planned = tier[which]
            parts = zip(tier["unit_variances"], (planned[kind] for kind in KINDS), strict=True)
            error = math.sqrt(sum(unit / n for unit, n in parts))
            assert planned["standard_error"] == pytest.approx(error, abs=1e-5)
        for which in ("proportional", "cheapest"):
            assert tier[which]["standard_error"] <= 1.5
            # a call comes with its diallings, and less than what is commissioned is never planned
            assert tier[which]["diallings"] == max(20, -(-tier["now"]["diallings"] * tier[which]["call"] // 15))
            assert tier[which]["inspection"] >= 15 and tier[which]["request"] >= 1
        costs = [sum(tier[which][kind] * cost for kind, cost in zip(KINDS, (1, 1, 4), strict=True)) for which in
                 ("cheapest", "proportional")]  # fmt: skip
        assert costs[0] <= costs[1] + 6


def test_a_plan_starts_from_what_the_release_states(published: Installation, release: Release) -> None:
    plan = published.hotline("plan", "--wave", "2023", "--target-se", "1.0", "--json").json
    stated = pq.read_table(release.folder / "standard_errors.parquet").to_pylist()
    errors = {row["member"]: float(row["standard_error"]) for row in stated if row["dimension"] == "line"}
    for tier in plan["errors"]["tiers"]:
        ours = [errors[line] for line, row in release.lines.items() if tier["tier"] in ("全部", row["tier"])]
        assert tier["published_error"] == pytest.approx(median(ours), abs=1e-6)
        # the median line is put together from medians: near to it, not equal
        assert tier["now"]["standard_error"] == pytest.approx(tier["published_error"], rel=0.05)


def test_the_parts_are_those_of_the_standard_errors(release: Release) -> None:
    lines = observed_lines(release.folder)
    parts = variance_parts(lines.sums, lines.tier)
    own, freedom = parts.own.sum(axis=1), parts.freedom.sum(axis=1)
    medians = np.array([np.median(own[lines.tier == tier]) for tier in lines.tier])
    shrunk = (freedom * own + PRIOR_DF * medians) / (freedom + PRIOR_DF) + parts.single.sum(axis=1)
    assert line_variances(lines.sums, lines.tier) == pytest.approx(shrunk)
    # lone diallings are clusters of the calls; inspections and requests are themselves
    assert (parts.counts[:, 0] >= 15).all()
    assert set(parts.counts[:, 1].tolist()) == {15}
    assert set(parts.counts[:, 2].tolist()) == {1, 2}


@pytest.mark.parametrize("group", ["key_city", "province"])
def test_with_the_present_probes_those_are_sure_that_the_release_calls_sure(
    published: Installation, release: Release, group: str
) -> None:
    plan = published.hotline(
        "--quiet", "plan", "--wave", "2023", "--separate-top", "10", "--group", group, "--json"
    ).json["top"]
    first = plan["steps"][0]
    assert (first["factor"], first["n_sure"]) == (1, sum(row["top_10"] == "sure" for row in release.rankings[group]))
    counts = [step["n_sure"] for step in plan["steps"]]
    assert counts == sorted(counts)
    assert (plan["needed"] is None) == (counts[-1] < 10)
    assert plan["last_in"] >= plan["first_out"]


def test_classes_of_numbers_of_diallings_are_those_of_the_models(published: Installation, release: Release) -> None:
    rules = class_rules(release)
    with duckdb.connect(str(published.paths.warehouse), read_only=True) as connection:
        outcomes = connection.execute(
            "select attempts, connected_from, line_class from pub_class_outcomes where wave = '2023' order by all"
        ).fetchall()
    by_attempts = {attempts: {} for attempts, *_ in outcomes}
    for attempts, connected_from, line_class in outcomes:
        by_attempts[attempts][connected_from] = line_class
    assert len(by_attempts) > 5
    for attempts, classes in by_attempts.items():
        line_class = None
        for connected in range(attempts + 1):
            line_class = classes.get(connected, line_class)
            assert class_of(rules, attempts, connected) == line_class


def test_a_plan_is_told_and_drawn_alike_each_time_and_changes_nothing(published: Installation, tmp_path: Path) -> None:
    before = published.paths.log.read_bytes()
    charts = [tmp_path / name for name in ("one.svg", "two.svg")]
    said = [
        published.hotline("plan", "--wave", "2023", "--target-se", "1.0", "--chart", str(chart)) for chart in charts
    ]
    assert [each.code for each in said] == [0, 0], said[0].err
    assert said[0].out.replace("one.svg", "") == said[1].out.replace("two.svg", "")
    assert "模拟数据" in said[0].out and "标准误 1.0 分" in said[0].out
    assert charts[0].read_bytes() == charts[1].read_bytes()
    text = charts[0].read_text(encoding="utf-8")
    assert "模拟数据" in text and text.count("http") == 1  # the name of the vocabulary: nothing is loaded
    assert len(ElementTree.fromstring(text).findall(".//{http://www.w3.org/2000/svg}polyline")) == 5
    assert published.paths.log.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "须用其一"),
        (("--target-se", "1", "--separate-top", "3"), "须用其一"),
        (("--target-se", "0"), "0.01"),
        (("--target-se", "nan"), "0.01"),
        (("--target-se", "one"), "0.01"),
        (("--target-se", "1", "--cost", "call"), "--cost call"),
        (("--target-se", "1", "--cost", "letter=1"), "call, inspection, request"),
        (("--target-se", "1", "--cost", "call=1,call=2"), "call, inspection, request"),
        (("--target-se", "1", "--cost", "call=-1"), "--cost call"),
        (("--target-se", "1", "--group", "key_city"), "--group"),
        (("--separate-top", "3", "--cost", "call=1"), "--cost"),
        (("--separate-top", "0"), "1 至 31"),
        (("--separate-top", "32"), "1 至 31"),
        (("--separate-top", "3", "--group", "nowhere"), "key_city"),
        (("--target-se", "1", "--chart", "plan.html"), ".svg"),
    ],
)
def test_usage_errors(published: Installation, arguments: tuple[str, ...], expected: str) -> None:
    result = published.hotline("plan", "--wave", "2023", *arguments)
    assert result.code == 2, result.err
    assert expected in result.err and not result.out


def test_without_a_release_there_is_nothing_to_plan_from(raw: Path, tmp_path: Path) -> None:
    result = fresh(tmp_path / "installation", raw).hotline("plan", "--wave", "2023", "--target-se", "1")
    assert result.code == 2
    assert "尚无发布" in result.err
