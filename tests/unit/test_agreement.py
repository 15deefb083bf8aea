"""Krippendorff's alpha: his worked examples, another way to compute it, and what its interval covers."""

import math
from itertools import combinations

import numpy as np
import pytest

from dagster_project.statistics.agreement import LOWEST_ALPHA, agreement, alpha_by, ordinal_alpha

# "Computing Krippendorff's Alpha-Reliability" (2011), section C: twelve units, four observers, values missing.
FOUR_OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
# Its coincidences, as printed there.
COINCIDENCES = np.array(
    [
        [7, 4 / 3, 1 / 3, 1 / 3, 0],
        [4 / 3, 10, 4 / 3, 1 / 3, 0],
        [1 / 3, 4 / 3, 8, 1 / 3, 0],
        [1 / 3, 1 / 3, 1 / 3, 4, 0],
        [0, 0, 0, 0, 3],
    ]
)
LEVELS = np.arange(5)


@pytest.mark.parametrize(
    ("distances", "published"),
    [
        ((LEVELS[:, None] != LEVELS[None, :]).astype(float), 0.743),
        ((LEVELS[:, None] - LEVELS[None, :]) ** 2.0, 0.849),
    ],
    ids=["nominal", "interval"],
)
def test_the_published_example(distances: np.ndarray, published: float) -> None:
    assert float(alpha_by(COINCIDENCES, distances)) == pytest.approx(published, abs=5e-4)


def test_the_published_example_with_ordered_levels() -> None:
    assert float(ordinal_alpha(COINCIDENCES)) == pytest.approx(0.815, abs=5e-4)


def test_another_way_gives_the_same_for_the_published_example() -> None:
    units = [[value for value in unit if value is not None] for unit in zip(*FOUR_OBSERVERS, strict=True)]
    assert by_pairs(units) == pytest.approx(float(ordinal_alpha(COINCIDENCES)), abs=1e-12)


def test_two_coders_by_hand() -> None:
    """Four pairs: correct-correct, correct-correct, wrong-wrong, wrong-correct.

    Coincidences: wrong-wrong 2, wrong-correct 1 each way, correct-correct 4; sums 3 and 5, n = 8.
    With two levels all distances are one: alpha = 1 - 7 * 2 / (2 * 3 * 5) = 8/15.
    """
    found = agreement(np.array([[1, 1], [0, 2]]), seed=1)
    assert (found.n_pairs, found.share_agreed) == (4, 0.75)
    assert found.alpha == pytest.approx(8 / 15)
    assert found.is_flagged


def test_ordered_levels_by_hand() -> None:
    """15 pairs: wrong, partly and correct four times each by both, and one pair of every two levels.

    Each level occurs ten times; their middles lie at 5, 15 and 25. Distances: wrong-partly and partly-correct
    10^2 = 100, wrong-correct 20^2 = 400. Observed, each way round: 2 (100 + 400 + 100) = 1,200. Expected:
    2 * 10 * 10 (100 + 400 + 100) = 120,000. alpha = 1 - 29 * 1,200 / 120,000 = .71.
    """
    counts = np.array([[4, 1, 1], [0, 4, 1], [0, 0, 4]])
    assert agreement(counts, seed=1).alpha == pytest.approx(0.71)


def test_a_greater_slip_costs_more_and_the_two_coders_are_alike() -> None:
    near, far = np.diag([30, 30, 30]), np.diag([30, 30, 30])
    near[0, 1] += 5
    far[0, 2] += 5
    assert agreement(far, seed=1).alpha < agreement(near, seed=1).alpha
    assert agreement(far.T, seed=1).alpha == agreement(far, seed=1).alpha


@pytest.mark.parametrize(
    ("counts", "share"), [(np.diag([0, 0, 7]), 1.0), (np.diag([0, 0, 1]), 1.0), (np.zeros((3, 3), int), None)]
)
def test_constant_data_have_a_share_and_no_alpha(counts: np.ndarray, share: float | None) -> None:
    found = agreement(counts, seed=1)
    assert (found.alpha, found.low, found.high, found.share_agreed) == (None, None, None, share)
    assert not found.is_flagged


def test_without_any_disagreement_alpha_is_one_and_where_values_are_nearly_constant_there_is_no_interval() -> None:
    found = agreement(np.diag([20, 20, 20]), seed=1)
    assert (found.alpha, found.low, found.high) == (1.0, 1.0, 1.0)
    rare = agreement(np.diag([0, 1, 40]), seed=1)  # a draw in three lacks the one that differs
    assert (rare.alpha, rare.low, rare.high) == (1.0, None, None)


def test_a_level_that_does_not_occur_makes_no_difference() -> None:
    counts = np.array([[4, 1], [2, 9]])
    wide = np.zeros((3, 3), dtype=int)
    wide[np.ix_([0, 2], [0, 2])] = counts
    assert agreement(wide, seed=1).alpha == pytest.approx(agreement(counts, seed=1).alpha, abs=1e-12)


def test_alpha_below_the_limit_is_flagged_and_at_it_is_not() -> None:
    """Two levels, k of n = 600 pairs differ evenly both ways, half of all values each: alpha = 1 - 1199 k / 360,000.

    k = 98 gives .67361, k = 100 .66694.
    """
    for differing, is_flagged in ((98, False), (100, True)):
        half = differing // 2
        found = agreement(np.array([[300 - half, half], [half, 300 - half]]), seed=1)
        assert found.alpha == pytest.approx(1 - 1199 * differing / 360_000)
        assert (found.alpha < LOWEST_ALPHA) is is_flagged is found.is_flagged


@pytest.mark.parametrize(
    ("counts", "alpha"),
    [
        ([[20, 5, 1], [4, 30, 6], [0, 3, 60]], 0.864948569),
        ([[7, 2], [9, 300]], 0.542716858),
        ([[3, 1, 0, 0], [0, 8, 2, 1], [1, 3, 20, 4], [0, 0, 6, 90]], 0.841320281),
        ([[1, 4, 2], [3, 2, 5], [6, 1, 1]], -0.337634095),
        ([[9, 0, 3], [0, 0, 0], [2, 0, 40]], 0.726342711),
    ],
)
def test_results_of_the_library(counts: list[list[int]], alpha: float) -> None:
    """What `krippendorff` 0.9.0 gave, once; it is GPL-3 and no dependency. (300 random tables: equal to 2e-16.)"""
    assert agreement(np.array(counts), seed=1).alpha == pytest.approx(alpha, abs=5e-10)


@pytest.mark.parametrize("seed", range(20))
def test_random_tables_agree_with_pairs_of_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, (int(rng.integers(2, 5)),) * 2)
    units = [[a, b] for (a, b), n in np.ndenumerate(counts) for _ in range(n)]
    assert agreement(counts, seed=1).alpha == pytest.approx(by_pairs(units), abs=1e-12)


def by_pairs(units: list[list[int]]) -> float:
    """Alpha without coincidences: mean distance of values within units against that of all pairs of values."""
    units = [unit for unit in units if len(unit) > 1]
    values = sorted(value for unit in units for value in unit)

    def distance(one: int, other: int) -> float:
        low, high = sorted((one, other))
        between = sum(low <= value <= high for value in values)
        return (between - (values.count(low) + values.count(high)) / 2) ** 2 if low != high else 0.0

    within = sum(2 * distance(a, b) / (len(unit) - 1) for unit in units for a, b in combinations(unit, 2))
    among = sum(2 * distance(a, b) for a, b in combinations(values, 2))
    n = len(values)
    return 1 - (within / n) / (among / (n * (n - 1)))


def test_the_same_seed_gives_the_same_interval() -> None:
    counts = np.array([[20, 5, 1], [4, 30, 6], [0, 3, 60]])
    assert agreement(counts, seed=7) == agreement(counts, seed=7)
    assert agreement(counts, seed=7) != agreement(counts, seed=8)


def test_the_interval_covers_what_was_planted() -> None:
    """400 samples of 150 pairs from a known table: 95 % intervals hold its alpha 90 to 98 times in 100."""
    table = np.array([[6, 2, 1], [2, 20, 4], [1, 4, 60]]) / 100
    truth = float(ordinal_alpha((table + table.T) * 1e9))
    rng = np.random.default_rng(5)
    held = 0
    for number in range(400):
        found = agreement(rng.multinomial(150, table.ravel()).reshape(3, 3), seed=number)
        assert found.low is not None and found.high is not None and found.alpha is not None
        assert found.low <= found.alpha <= found.high
        held += found.low <= truth <= found.high
    assert 0.90 <= held / 400 <= 0.98
    assert math.isfinite(truth)
