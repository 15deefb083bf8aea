"""Shares of variance: known ones, their intervals, and another library's estimate of the same."""

import numpy as np
import pytest
from scipy import stats

from dagster_project.statistics.importance import DRAWS_PER_TERM, importance


def even(seed: int, n_draws: int, n_factors: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n_draws, n_factors))


def test_shares_of_a_sum_are_those_of_the_squares() -> None:
    """3a and 4b: 9 and 16 of 25; nothing is left to chance but the sum's own variance."""
    factors = even(1, 2000, 3)
    found = importance(factors, factors @ np.array([[3.0], [4.0], [0.0]]))
    assert found.share == pytest.approx([9 / 25, 16 / 25, 0], abs=0.03)
    assert (found.low[:2] <= [9 / 25, 16 / 25]).all() and (found.high[:2] >= [9 / 25, 16 / 25]).all()


def test_outcomes_count_by_their_variance() -> None:
    """Two outcomes: 3a and 4b."""
    factors = even(2, 2000, 2)
    assert importance(factors, factors * [3.0, 4.0]).share == pytest.approx([9 / 25, 16 / 25], abs=0.03)


def test_what_factors_do_only_together_is_in_no_share() -> None:
    factors = even(3, 2000, 2)
    together = factors[:, :1] * factors[:, 1:]
    assert importance(factors, together).share == pytest.approx([0, 0], abs=0.01)


def test_nothing_moves() -> None:
    found = importance(even(4, 100, 2), np.zeros((100, 3)))
    assert found.share.tolist() == found.low.tolist() == found.high.tolist() == [0, 0]


def test_too_few_draws_are_refused() -> None:
    terms = 1 + 2 * 4
    importance(even(5, DRAWS_PER_TERM * terms, 4), even(6, DRAWS_PER_TERM * terms, 1))
    with pytest.raises(ValueError, match="too few"):
        importance(even(5, DRAWS_PER_TERM * terms - 1, 4), even(6, DRAWS_PER_TERM * terms - 1, 1))


def test_intervals_hold_the_truth() -> None:
    """Lines, a curve and an effect of two together, rounded as ranks are; 300 times, nominal 95 %."""
    variance = np.array([9 / 3, 4 / 3, 1 / 3 + 0.64 * (1 / 5 - 1 / 9), 0.25 / 3])
    truth = variance / (variance.sum() + 1.5**2 / 9)
    held = []
    for seed in range(300):
        at = even(seed, 400, 4)
        outcome = at @ [3.0, 2.0, 1.0, 0.5] + 1.5 * at[:, 0] * at[:, 1] + 0.8 * at[:, 2] ** 2
        found = importance(at, np.round(20 * outcome)[:, None])
        held.append((found.low <= truth) & (truth <= found.high))
    assert np.mean(held, axis=0) == pytest.approx([0.95] * 4, abs=0.04)


def test_another_estimator_agrees() -> None:
    """A weighted mean as its weights move: SciPy's Sobol' indices, from a design of its own."""
    points, weights = np.array([90.0, 50.0, 75.0, 20.0]), np.array([40.0, 30.0, 20.0, 10.0])

    def mean(at: np.ndarray) -> np.ndarray:
        drawn = weights[:, None] * (1 + 0.25 * at)
        return (points @ drawn / drawn.sum(axis=0))[None, :]

    theirs = stats.sobol_indices(func=mean, n=4096, dists=[stats.uniform(-1, 2)] * 4, rng=np.random.default_rng(8))
    factors = even(7, 2000, 4)
    ours = importance(factors, mean(factors.T).T)
    assert ours.share == pytest.approx(theirs.first_order.ravel(), abs=0.02)
    assert (np.argsort(ours.share) == np.argsort(theirs.first_order.ravel())).all()
