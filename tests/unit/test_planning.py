"""How many probes a target needs: by hand, and against what is recomputed with those numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.statistics import planning
from dagster_project.statistics.planning import (
    FACTOR_LIMIT,
    AttemptsNeeded,
    ClassRule,
    allowed_misses,
    attempts_needed,
    best_class,
    cheapest,
    class_of,
    in_proportion,
    probability_of_best,
    separation,
    standard_error,
    unit_variances,
)
from dagster_project.statistics.rank_sets import Precision, rank_sets
from dagster_project.statistics.standard_errors import PRIOR_DF, line_variances, variance_parts
from tests.unit.test_standard_errors import sums

RULES = [
    ClassRule("not_measured", "no_attempts", None),
    ClassRule("dead", "none_connected", None),
    ClassRule("cold", "rate_below", 30),
    ClassRule("warm", "rate_below", 95),
    ClassRule("hot", "otherwise", None),
]
VARIANCES = st.lists(st.floats(0, 200), min_size=3, max_size=3)
COSTS = st.lists(st.floats(0.1, 50), min_size=3, max_size=3)
LEAST = st.lists(st.integers(1, 20), min_size=3, max_size=3)
TARGETS = st.floats(0.1, 5)


def two_kinds() -> tuple[list[tuple[int, str, str, int, float, float]], np.ndarray]:
    """Three lines: two calls each, of weight .5 per answer, and one request of weight .1; probes per kind."""
    rows = []
    for line, (low, high, request) in enumerate([(80, 80, 100), (70, 90, 50), (60, 100, 0)]):
        rows += [(line, "A", "p1", 0, 0.45, low), (line, "A", "p2", 0, 0.45, high), (line, "R", "w", 1, 0.1, request)]
    return rows, np.array([[2, 1], [2, 1], [2, 1]])


def test_the_variance_by_kind_by_hand() -> None:
    """Calls: z = .45 * (0, 10, 20) twice, 2/1 * 2 z^2 = 0, 81, 324. Requests: parts 10, 5, 0, variance 25."""
    rows, numbers = two_kinds()
    parts = variance_parts(sums(rows, n_kinds=2), np.array([0, 0, 0]))
    assert parts.own == pytest.approx(np.array([[0, 0], [81, 0], [324, 0]]))
    assert parts.single == pytest.approx(np.array([[0, 25], [0, 25], [0, 25]]))
    # of one probe: twice the part of two calls, and that of the single request as it is
    assert unit_variances(parts, numbers) == pytest.approx(np.array([[0, 25], [162, 25], [648, 25]]))


def test_the_parts_sum_to_the_variance_before_shrinking() -> None:
    rows, _ = two_kinds()
    of_lines, tier = sums(rows, n_kinds=2), np.array([0, 0, 1])
    parts = variance_parts(of_lines, tier)
    own = parts.own.sum(axis=1)
    assert own == pytest.approx([0, 81, 324])
    # a line alone in its tier is shrunk to itself: its published variance is the sum of its parts
    assert line_variances(of_lines, tier)[2] == pytest.approx((parts.own + parts.single)[2].sum())
    # the others to their tier's median, of 0 and 81
    shrunk = (own[:2] + PRIOR_DF * 40.5) / (1 + PRIOR_DF) + parts.single[:2].sum(axis=1)
    assert line_variances(of_lines, tier)[:2] == pytest.approx(shrunk)


def test_a_kind_that_a_line_has_none_of_says_nothing() -> None:
    rows = [(0, "A", "p1", 0, 0.5, 60), (0, "A", "p2", 0, 0.5, 100)]
    parts = variance_parts(sums(rows, n_kinds=2), np.array([0]))
    unit = unit_variances(parts, np.array([[2, 0]]))
    assert unit[0, 0] == pytest.approx(800)  # z = 10 twice, 2/1 * 200 = 400, by two calls
    assert math.isnan(unit[0, 1])


def test_more_probes_by_hand() -> None:
    """Unit variances 36 and 4: with 4 and 1 probes 9 + 4, with 9 and 4 probes 4 + 1."""
    assert standard_error([36, 4], [4, 1]) == pytest.approx(math.sqrt(13))
    assert standard_error([36, 4], [9, 4]) == pytest.approx(math.sqrt(5))
    assert standard_error([36, 0], [9, 0]) == pytest.approx(2)
    assert math.isinf(standard_error([36, 4], [9, 0]))


def test_in_proportion_by_hand() -> None:
    """A variance of 13 is to become 1: 13 times the probes. A factor of 3.25 is rounded up per kind."""
    assert in_proportion([36, 4], [4, 1], 1, [1, 1]) == (52, 13)
    assert in_proportion([36, 4], [4, 1], 2, [1, 1]) == (13, 4)
    # fewer would do, and are not commissioned
    assert in_proportion([36, 4], [4, 1], 10, [4, 1]) == (4, 1)
    with pytest.raises(ValueError, match="none to be multiplied"):
        in_proportion([36, 4], [4, 0], 1, [1, 1])


def test_neymans_numbers_by_hand() -> None:
    """s = 6 and 2. Equal costs: n_k = s_k (6 + 2) / 1 = 48 and 16; variance 36/48 + 4/16 = 1.

    Costs 1 and 4: n_k = s_k / sqrt(c_k) * (6*1 + 2*2) = 60 and 10; variance .6 + .4, cost 100 in place of 112.
    """
    assert cheapest([36, 4], [1, 1], 1, [1, 1]) == (48, 16)
    assert cheapest([36, 4], [1, 4], 1, [1, 1]) == (60, 10)
    # 40 of the second in any case leave .9 for the first: 36 / .9
    assert cheapest([36, 4], [1, 1], 1, [1, 40]) == (40, 40)
    # what does not vary is commissioned and no more
    assert cheapest([36, 0], [1, 1], 2, [1, 5]) == (9, 5)
    assert cheapest([0, 0], [1, 1], 1, [15, 1]) == (15, 1)


@given(VARIANCES, COSTS, LEAST, TARGETS)
def test_planned_numbers_reach_the_target(
    unit: list[float], costs: list[float], least: list[int], target: float
) -> None:
    for numbers in (in_proportion(unit, [15, 15, 1], target, least), cheapest(unit, costs, target, least)):
        assert standard_error(unit, numbers) <= target * (1 + 1e-9)
        assert all(n >= low for n, low in zip(numbers, least, strict=True))


@given(VARIANCES, COSTS, TARGETS, LEAST)
def test_no_other_allocation_is_cheaper_by_more_than_rounding(
    unit: list[float], costs: list[float], target: float, other: list[int]
) -> None:
    """Any allocation, scaled to the target: Neyman's costs no more, but for one probe of each kind."""
    scale = (standard_error(unit, other) / target) ** 2
    rival = sum(cost * max(n * scale, 1) for n, cost in zip(other, costs, strict=True))
    found = sum(cost * n for n, cost in zip(cheapest(unit, costs, target, [1, 1, 1]), costs, strict=True))
    assert found <= rival + sum(costs)


@given(VARIANCES, COSTS, TARGETS, TARGETS)
def test_a_finer_target_never_needs_fewer(unit: list[float], costs: list[float], one: float, other: float) -> None:
    fine, coarse = sorted((one, other))
    for numbers in (
        [in_proportion(unit, [15, 15, 1], target, [1, 1, 1]) for target in (fine, coarse)],
        [cheapest(unit, costs, target, [1, 1, 1]) for target in (fine, coarse)],
    ):
        assert all(more >= fewer for more, fewer in zip(*numbers, strict=True))


# --- telling the top apart ---------------------------------------------------------------------

SCORES, ERRORS = [90.0, 88.0, 87.0, 80.0, 79.5], [1.5, 2.0, 1.0, 1.5, 2.5]


def precision(scores: list[float]) -> Precision:
    return Precision(scores, ERRORS, seed=3, n_draws=2000)


@pytest.mark.parametrize("factor", [1, 4, 16, 64])  # of which the root is exact
def test_more_probes_are_smaller_errors(factor: int) -> None:
    start = precision(SCORES).start
    found = precision(SCORES).told(factor, start).high
    errors = [error / math.sqrt(factor) for error in ERRORS]
    assert found.tolist() == rank_sets(SCORES, errors, seed=3, n_draws=2000).high_all.tolist()


def test_an_answer_may_begin_where_a_less_precise_one_ended() -> None:
    table = precision(SCORES)
    state = table.start
    for factor in (1, 2, 5, 20, 100):
        state = table.told(factor, state)
        assert state.high.tolist() == table.told(factor, table.start).high.tolist()


def test_the_factor_is_the_smallest() -> None:
    table = precision(SCORES)
    found = separation(table, 2)
    assert found.factor is not None and found.factor > 2
    assert (table.told(found.factor, table.start).high <= 2).sum() == 2
    assert (table.told(found.factor / 1.03, table.start).high <= 2).sum() < 2
    counts = [n for _, n in found.sure]
    assert counts == sorted(counts) and counts[-1] == 2 and counts[-2] < 2
    assert [factor for factor, _ in found.sure] == [2**n for n in range(len(counts))]
    assert found == separation(precision(SCORES), 2)


def test_the_order_of_the_units_does_not_matter_to_who_is_at_the_top() -> None:
    far = [50.0, 95.0, 60.0, 90.0, 40.0]
    assert separation(precision(far), 2) == planning.Separation(1.0, ((1, 2),))


def test_equal_scores_are_not_told_apart_by_probing() -> None:
    found = separation(precision([90.0, 88.0, 88.0, 80.0, 70.0]), 2)
    assert found.factor is None
    assert found.sure[-1] == (FACTOR_LIMIT, 1)


# --- diallings and the best class --------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "connected", "expected"),
    [
        (0, 0, "not_measured"), (20, 0, "dead"), (10, 2, "cold"), (10, 3, "warm"), (20, 19, "hot"), (19, 18, "warm"),
        (40, 38, "hot"), (40, 37, "warm"), (5, 4, "warm"), (5, 5, "hot"),
    ],
)  # fmt: skip
def test_a_class_by_hand(attempts: int, connected: int, expected: str) -> None:
    """18 of 19 is 94.7 %: below 95. 19 of 20 is 95 %: not below."""
    assert class_of(RULES, attempts, connected) == expected


def test_one_miss_in_twenty_is_allowed_and_one_in_nineteen_is_not() -> None:
    assert best_class(RULES) == "hot"
    allowed = {n: allowed_misses(RULES, n) for n in (1, 5, 10, 15, 19, 20, 21, 30, 39, 40, 60, 80, 100)}
    assert allowed == {
        1: 0, 5: 0, 10: 0, 15: 0, 19: 0, 20: 1, 21: 1, 30: 1, 39: 1, 40: 2, 60: 3, 80: 4, 100: 5,
    }  # fmt: skip


def test_the_threshold_is_the_methods() -> None:
    rules = [ClassRule("warm", "rate_below", 90), ClassRule("good", "otherwise", None)]
    assert (best_class(rules), allowed_misses(rules, 9), allowed_misses(rules, 10)) == ("good", 0, 1)
    assert allowed_misses([ClassRule("any", "otherwise", None)], 7) == 7


def test_the_probability_of_the_best_class_by_hand() -> None:
    """At 98 %: .98^19 for none of 19; .98^20 + 20 * .02 * .98^19 for at most one of 20. All of it at 100 %."""
    assert probability_of_best(RULES, 19, 98) == Fraction(98, 100) ** 19
    assert (
        probability_of_best(RULES, 20, 98) == Fraction(98, 100) ** 20 + 20 * Fraction(2, 100) * Fraction(98, 100) ** 19
    )
    assert probability_of_best(RULES, 21, 100) == 1


def test_the_diallings_that_a_class_needs() -> None:
    """At 98 % twenty diallings give .940, thirty-nine .817, fifty-nine .886, sixty .968, seventy-nine .926."""
    assert attempts_needed(RULES, 98, 20) == AttemptsNeeded(smallest=20, always_from=60)
    assert attempts_needed(RULES, 98, 21) == AttemptsNeeded(smallest=21, always_from=60)
    assert probability_of_best(RULES, 59, 98) < planning.PROBABILITY
    assert all(probability_of_best(RULES, n, 98) >= planning.PROBABILITY for n in range(60, 200))
    # a line at the threshold itself loses its class about every second time
    assert attempts_needed(RULES, 95, 20) == AttemptsNeeded(None, None)


@given(st.integers(1, 300), st.sampled_from([90, 97, 98, 99]))
def test_a_better_line_is_more_often_in_the_best_class(attempts: int, rate: int) -> None:
    assert 0 < probability_of_best(RULES, attempts, rate) <= probability_of_best(RULES, attempts, rate + 1) <= 1
