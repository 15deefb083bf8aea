"""Confidence sets for ranks: the golden cases, a slow second way, and what must hold of any."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.paths import PROJECT
from dagster_project.statistics import rank_sets as module
from dagster_project.statistics.rank_sets import LEVEL, rank_sets
from tests.golden.wave_of_golden import GOLDEN

ORACLE = PROJECT / "tests/golden/rank_sets_of_multiple_inference.json"
CASES = [case for case in GOLDEN["rank_cs_cases"] if "sets" in case]


@pytest.mark.parametrize("case", CASES)
def test_golden(case: dict) -> None:
    found = rank_sets(case["x"], case["se"], seed=1)
    assert np.stack([found.low, found.high], axis=1).tolist() == case["sets"]
    assert np.stack([found.low_all, found.high_all], axis=1).tolist() == case["sets"]


@pytest.mark.parametrize("case", json.loads(ORACLE.read_text(encoding="utf-8")))
def test_another_implementation_agrees(case: dict) -> None:
    """What the package multiple-inference 1.2 (MIT; in no environment of ours) gives for random scores and errors."""
    found = rank_sets(case["x"], case["se"], seed=1)
    assert np.stack([found.low, found.high], axis=1).tolist() == case["marginal"]
    assert np.stack([found.low_all, found.high_all], axis=1).tolist() == case["simultaneous"]


def slowly(x: np.ndarray, se: np.ndarray, seed: int, n_draws: int, together: bool) -> tuple[list[int], list[int]]:
    """The same by the book: every pair both ways, every draw, every step.

    That j is ahead of k and that it is behind are two statements: only the one that was made is settled.
    """
    n = len(x)
    noise = np.random.default_rng(seed).standard_normal((n_draws, n)) * se
    scale = np.sqrt(se[:, None] ** 2 + se[None, :] ** 2)
    ahead_by = (noise[:, None, :] - noise[:, :, None]) / scale  # (draws, j, k): k ahead of j
    observed = (x[None, :] - x[:, None]) / scale
    apart = np.zeros((n, n), dtype=bool)
    while True:
        is_open = ~apart & ~np.eye(n, dtype=bool)
        k_ahead = np.where(apart & (observed > 0), 0, ahead_by)
        j_ahead = np.where(apart & (observed < 0), 0, -ahead_by)
        largest = np.maximum(k_ahead, j_ahead).max(axis=2)
        if together:
            largest = np.repeat(largest.max(axis=1, keepdims=True), n, axis=1)
        critical = np.quantile(largest, LEVEL, axis=0, method="higher")
        new = is_open & (np.abs(observed) > critical[:, None])
        if not new.any():
            break
        apart |= new
    ahead = (apart & (x[None, :] > x[:, None])).sum(axis=1)
    behind = (apart & (x[None, :] < x[:, None])).sum(axis=1)
    return (1 + ahead).tolist(), (n - behind).tolist()


@pytest.mark.parametrize("n_far", [1, 3, 40])
@pytest.mark.parametrize("seed", range(4))
def test_a_slow_second_way_agrees(n_far: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few candidates per draw the bound decides nearly nothing, and every comparison is made."""
    monkeypatch.setattr(module, "N_FAR", n_far)
    monkeypatch.setattr(module, "BLOCK", 7)
    monkeypatch.setattr(module, "DIFFERENCES", 50)  # of hundreds: thousands of units are compared piece by piece
    random = np.random.default_rng(seed)
    x, se = 80 + 6 * random.standard_normal(12), random.uniform(0.3, 2, 12)
    found = rank_sets(x, se, seed, n_draws=300)
    assert (found.low.tolist(), found.high.tolist()) == slowly(x, se, seed, 300, together=False)
    assert (found.low_all.tolist(), found.high_all.tolist()) == slowly(x, se, seed, 300, together=True)


scores = st.lists(st.integers(0, 100), min_size=1, max_size=12)


@settings(deadline=None, max_examples=30)
@given(scores, st.integers(0, 5), st.integers(-50, 50))
def test_what_must_hold_of_any(points: list[int], spread: int, more: int) -> None:
    x = np.array(points, dtype=float)
    se = 1 + np.arange(len(x)) % (spread + 1)
    found = rank_sets(x, se, seed=3, n_draws=200)
    rank = np.array([1 + (x > value).sum() for value in x])
    last = np.array([(x >= value).sum() for value in x])  # a tied unit's rank, the other way
    for low, high in ((found.low, found.high), (found.low_all, found.high_all)):
        assert (low <= rank).all() and (last <= high).all()
    assert (found.low_all <= found.low).all() and (found.high <= found.high_all).all(), "all at once is more to promise"
    moved = rank_sets(x + more, se, seed=3, n_draws=200)
    assert (moved.low.tolist(), moved.high_all.tolist()) == (found.low.tolist(), found.high_all.tolist())


def test_units_in_another_order_have_the_same_sets() -> None:
    """Up to the draws, which are others: scores far apart or close together leave no doubt."""
    x, se = np.array([90.0, 60.0, 60.5, 30.0]), np.array([1.0, 1.0, 1.0, 1.0])
    order = [2, 0, 3, 1]
    one, other = rank_sets(x, se, 1), rank_sets(x[order], se[order], 1)
    assert one.low[order].tolist() == other.low.tolist()
    assert one.high[order].tolist() == other.high.tolist()


def test_one_unit_is_first() -> None:
    found = rank_sets([80.0], [1.0], seed=1)
    assert (found.low.tolist(), found.high.tolist(), found.high_all.tolist()) == ([1], [1], [1])


@pytest.mark.parametrize(
    ("x", "se"), [([1.0], [0.0]), ([1.0], [float("nan")]), ([float("nan")], [1.0]), ([1.0, 2.0], [1.0])]
)
def test_what_is_no_score_is_refused(x: list[float], se: list[float]) -> None:
    with pytest.raises(ValueError):
        rank_sets(x, se, seed=1)
