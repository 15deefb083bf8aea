"""Variances of totals, by hand and by chance."""

import math

import numpy as np
import pytest

from dagster_project.statistics.standard_errors import (
    PRIOR_DF,
    LineSums,
    Observations,
    joined,
    line_sums,
    line_variances,
    no_sums,
    variance_of_mean,
)


def sums(rows: list[tuple[int, str, str, int, float, float]], n_kinds: int = 1, n_lines: int | None = None) -> LineSums:
    """Of rows of (line, indicator, probe, kind, weight, score); `n_lines` where the last ones have no row."""
    items = {key: number for number, key in enumerate(dict.fromkeys((row[0], row[1]) for row in rows))}
    probes = {key: number for number, key in enumerate(dict.fromkeys((row[0], row[2]) for row in rows))}
    observed = Observations(
        item=np.array([items[row[0], row[1]] for row in rows]),
        probe=np.array([probes[row[0], row[2]] for row in rows]),
        stratum=np.array([row[0] * n_kinds + row[3] for row in rows]),
        weight=np.array([row[4] for row in rows]),
        score=np.array([row[5] for row in rows]),
        n_kinds=n_kinds,
    )
    return line_sums(observed, max(row[0] for row in rows) + 1 if n_lines is None else n_lines)


def test_one_line_by_hand() -> None:
    """Two probes, indicators A (weight .6) and B (.4), each the mean of two: .3 and .2 per observation.

    A: 100, 60, mean 80; B: 50, 100, mean 75. z1 = .3*20 - .2*25 = 1, z2 = -.3*20 + .2*25 = -1.
    Var = 2/1 * (1 + 1) = 4. Its tier's median is itself: shrinking changes nothing.
    """
    rows = [
        (0, "A", "p1", 0, 0.3, 100),
        (0, "A", "p2", 0, 0.3, 60),
        (0, "B", "p1", 0, 0.2, 50),
        (0, "B", "p2", 0, 0.2, 100),
    ]
    assert line_variances(sums(rows), np.array([0])) == pytest.approx([4.0])


def test_probes_are_what_is_independent() -> None:
    """The same answers in four probes of one answer each: errors do not cancel within a probe."""
    rows = [
        (0, "A", "p1", 0, 0.3, 100),
        (0, "A", "p2", 0, 0.3, 60),
        (0, "B", "p3", 0, 0.2, 50),
        (0, "B", "p4", 0, 0.2, 100),
    ]
    assert line_variances(sums(rows), np.array([0])) == pytest.approx([4 / 3 * (36 + 36 + 25 + 25)])


def test_a_variance_is_shrunk_towards_its_tiers_median() -> None:
    rows = []
    for line, (low, high) in enumerate([(80, 80), (70, 90), (60, 100)]):
        rows += [(line, "A", "p1", 0, 0.5, low), (line, "A", "p2", 0, 0.5, high)]
    own = np.array([0.0, 100.0, 400.0])  # 2 * (.5 * 10)^2 * 2, and four times as much
    found = line_variances(sums(rows), np.array([0, 0, 0]))
    assert found == pytest.approx((1 * own + PRIOR_DF * 100) / (1 + PRIOR_DF))
    # the third in a tier of its own: nothing to be shrunk to but itself
    assert line_variances(sums(rows), np.array([0, 0, 1]))[2] == pytest.approx(400)


def test_one_probe_of_a_kind_has_the_spread_of_its_tier() -> None:
    """A request per line, weight .1: its part is 10, 5, 0; their variance 25. The other kind is the same everywhere."""
    rows = []
    for line, score in enumerate([100, 50, 0]):
        rows += [(line, "A", "p1", 0, 0.45, 80), (line, "A", "p2", 0, 0.45, 80), (line, "R", "w", 1, 0.1, score)]
    assert line_variances(sums(rows, n_kinds=2), np.array([0, 0, 0])) == pytest.approx([25, 25, 25])


def test_a_line_without_an_observation_has_no_variance() -> None:
    rows = [(0, "A", "p1", 0, 0.5, 100), (0, "A", "p2", 0, 0.5, 60)]
    for of_both in (sums(rows, n_lines=2), joined([sums(rows), no_sums(1, 1)])):
        found = line_variances(of_both, np.array([0, 0]))
        assert found[0] == pytest.approx(400)
        assert math.isnan(found[1])


def test_the_mean_of_independent_scores() -> None:
    assert variance_of_mean(np.array([1.0, 2.0, 6.0])) == pytest.approx(1.0)
    assert math.isnan(variance_of_mean(np.array([])))


def test_the_errors_are_those_of_repeated_probing() -> None:
    """A line probed again and again: the mean of the estimated variances is the variance of the totals."""
    random = np.random.default_rng(5)
    n_repeats, n_probes = 1500, 15
    means, spread = np.array([80.0, 60.0, 90.0]), np.array([10.0, 20.0, 5.0])
    weights = np.array([0.5, 0.3, 0.2])
    shared = random.standard_normal((n_repeats, n_probes, 1))  # what a probe's answers have in common
    scores = means + spread * (0.6 * shared + 0.8 * random.standard_normal((n_repeats, n_probes, 3)))
    totals = (scores.mean(axis=1) * weights).sum(axis=1)
    line, probe, indicator = np.meshgrid(np.arange(n_repeats), np.arange(n_probes), np.arange(3), indexing="ij")
    observed = Observations(
        item=(line * 3 + indicator).ravel(),
        probe=(line * n_probes + probe).ravel(),
        stratum=line.ravel(),
        weight=np.broadcast_to(weights / n_probes, scores.shape).ravel(),
        score=scores.ravel(),
        n_kinds=1,
    )
    estimated = line_variances(line_sums(observed, n_repeats), np.zeros(n_repeats, dtype=np.int64))
    assert estimated.mean() == pytest.approx(totals.var(ddof=1), rel=0.08)
