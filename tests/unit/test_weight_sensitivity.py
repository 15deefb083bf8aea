"""Ranks under other weights: a hand case, the golden example, exact fractions, and what must hold of any."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dagster_project.statistics.weight_sensitivity import Tree, draw_factors, ranks, weight_sensitivity
from tests.golden.wave_of_golden import GOLDEN

# Two weights below the total, 60 and 40. By hand: A = .6 * 90 + .4 * 50 = 74, B = 74, C = 64.
PAIR = Tree(np.array([60.0, 40.0]), np.array([-1, -1]), np.array([60.0, 40.0]), 50)
HAND = np.array([[90.0, 50.0], [70.0, 80.0], [40.0, 100.0]])
EACH = [[[0], [1], [2]]]


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1, 1), [1, 1, 3]),
        ((1.25, 0.75), [1, 2, 3]),  # 75 : 30 -> 78.57, 72.86, 57.14
        ((0.75, 1.25), [3, 1, 2]),  # 45 : 50 -> 68.95, 75.26, 71.58
        ((0.8, 1.2), [2, 1, 2]),  # 48 : 48 -> 70, 75, 70
    ],
)
def test_ranks_by_hand(factors: tuple[float, float], expected: list[int]) -> None:
    [found] = ranks(HAND, PAIR, EACH, np.array([factors], dtype=float))
    assert found[:, 0].tolist() == expected


def test_spread_by_hand() -> None:
    """A is ahead of B where f1 > f2, behind C where f1 < 2/3 f2 (1/48 of the draws); B is always ahead of C."""
    [found] = weight_sensitivity(HAND, PAIR, EACH, seed=1)
    assert found.rank.tolist() == [1, 1, 3]
    assert (found.low.tolist(), found.high.tolist()) == ([1, 1, 3], [2, 2, 3])
    assert found.p_top.tolist() == [1, 1, 1]
    # A and B: one of them is moved by one, in nearly every draw; C in 1/48 of them, and A then by one more
    assert found.mean_shift == pytest.approx((1 + 2 / 48) / 3, abs=0.01)


def test_top_ten_by_hand() -> None:
    """Nine units are always ahead; the tenth and eleventh change places where f1 and f2 do."""
    scores = np.vstack([np.full((9, 2), 99.0), HAND[:2]])
    [found] = weight_sensitivity(scores, PAIR, [[[line] for line in range(11)]], seed=1)
    assert found.p_top[:9].tolist() == [1] * 9
    assert found.p_top[9:] == pytest.approx([0.5, 0.5], abs=0.04)
    [tied] = weight_sensitivity(np.full((12, 2), 80.0), PAIR, [[[line] for line in range(12)]], seed=1)
    assert tied.rank.tolist() == tied.low.tolist() == tied.high.tolist() == [1] * 12
    assert tied.p_top.tolist() == [1] * 12
    assert tied.importance.share.tolist() == tied.importance.high.tolist() == [0, 0]


def golden_tree() -> tuple[Tree, list[str]]:
    nodes = sorted(GOLDEN["tree"], key=lambda code: GOLDEN["tree"][code]["level"])
    number = {"T": -1, **{code: place for place, code in enumerate(nodes)}}
    weight = np.array([GOLDEN["tree"][code]["weight"] for code in nodes], dtype=float)
    parent = np.array([number[GOLDEN["tree"][code]["parent"]] for code in nodes])
    tree = Tree(weight, parent, weight, 50)
    return tree, [nodes[leaf] for leaf in tree.leaves]


def golden_scores(codes: list[str]) -> np.ndarray:
    def points(value: dict[str, Any] | None) -> float:
        return float("nan") if value is None else float(Fraction(value["exact"]))

    return np.array([[points(city["L3_pooled"].get(code)) for code in codes] for city in GOLDEN["cities"].values()])


def test_golden() -> None:
    tree, codes = golden_tree()
    of_cities, of_provinces = ranks(
        golden_scores(codes), tree, [EACH[0], [[0, 1], [2]]], np.ones((1, len(tree.weight)))
    )
    assert dict(zip(GOLDEN["cities"], of_cities[:, 0].tolist(), strict=True)) == GOLDEN["rank_on_published"]
    assert of_provinces[:, 0].tolist() == [1, 2], "74.88 and 6.86"


@pytest.mark.parametrize(("by_count", "expected"), [(False, 2), (True, 1)])
def test_what_is_na_counts_by_the_methods_rule(by_count: bool, expected: int) -> None:
    """City C has 6.86 by weight and 19.80 by count: behind a line that has 10 everywhere, or ahead of it."""
    tree, codes = golden_tree()
    if by_count:
        tree = replace(tree, availability=np.ones(len(tree.weight)))
    scores = np.vstack([golden_scores(codes)[2], np.full(len(codes), 10.0)])
    for factors in (np.ones((1, len(tree.weight))), draw_factors(len(tree.weight), 1, 50)):
        [found] = ranks(scores, tree, [[[0], [1]]], factors)
        assert set(found[0].tolist()) == {expected}, "what is NA is so in every draw"


def random_case(seed: int, availability_by_count: bool) -> tuple[np.ndarray, Tree, list[list[list[int]]], np.ndarray]:
    """Twelve lines under 3 + 6 + 14 weights; some scores are NA, many alike; lines, and provinces of one to four."""
    random = np.random.default_rng(seed)
    parent = np.concatenate([[-1] * 3, random.permutation([0, 0, 1, 1, 1, 2]), random.integers(3, 9, 8), range(3, 9)])
    weight = random.integers(1, 60, len(parent)).astype(float)
    availability = np.ones(len(parent)) if availability_by_count else weight
    tree = Tree(weight, parent, availability, int(random.integers(0, 80)))
    scores = np.round(random.choice([0.0, 50.0, 75.0, 100 / 3, 100.0], (12, len(tree.leaves))), 9)
    scores[random.random(scores.shape) < 0.2] = np.nan
    scores[:, 0] = 50.0
    return scores, tree, [[[0, 5, 7, 9], [1], [2, 3], [4, 6, 8, 10, 11]]], draw_factors(len(parent), seed, 25)


def slowly(scores: np.ndarray, tree: Tree, units: list[list[int]], factor: np.ndarray) -> list[int] | None:
    """The same by the book, in fractions; None where a unit has no line with a total."""

    def node_score(node: int, line: int) -> Fraction | None:
        children = [child for child, parent in enumerate(tree.parent) if parent == node]
        if not children:
            value = scores[line, tree.leaves.tolist().index(node)]
            return None if np.isnan(value) else Fraction(value)
        found = {child: node_score(child, line) for child in children}
        present = {child: value for child, value in found.items() if value is not None}
        share = sum(Fraction(tree.availability[child]) for child in present) / sum(
            Fraction(tree.availability[child]) for child in children
        )
        if not present or 100 * share < tree.min_present_pct:
            return None
        weight = {child: Fraction(tree.weight[child]) * Fraction(factor[child]) for child in present}
        return sum((weight[child] * value for child, value in present.items()), Fraction()) / sum(weight.values())

    printed = []
    for lines in units:
        totals = [total for line in lines if (total := node_score(-1, line)) is not None]
        if not totals:
            return None
        mean = sum(totals, Fraction()) / len(totals)
        eight = (mean * 10**8 + Fraction(1, 2)).__floor__()
        printed.append((Fraction(eight, 10**6) + Fraction(1, 2)).__floor__())
    return [1 + sum(other > own for other in printed) for own in printed]


@pytest.mark.parametrize("by_count", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_exact_fractions_agree(seed: int, by_count: bool) -> None:
    scores, tree, groups, factors = random_case(seed, by_count)
    groups = [groups[0], [[line] for line in range(len(scores))]]
    expected = [slowly(scores, tree, group, np.ones(len(tree.weight))) for group in groups]
    if expected[1] is None:  # a line without a total is in no group of lines
        groups[1] = [unit for unit in groups[1] if slowly(scores, tree, [unit], np.ones(len(tree.weight)))]
    for group, found in zip(groups, ranks(scores, tree, groups, factors), strict=True):
        for draw, factor in enumerate(factors):
            assert found[:, draw].tolist() == slowly(scores, tree, group, factor)


def test_blocks_of_draws_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, tree, groups, factors = random_case(3, False)
    [whole] = ranks(scores, tree, groups, factors)
    monkeypatch.setattr("dagster_project.statistics.weight_sensitivity.BLOCK", 7)
    [parts] = ranks(scores, tree, groups, factors)
    assert whole.tolist() == parts.tolist()


def test_the_same_call_gives_the_same_and_another_order_of_lines_too() -> None:
    scores = np.random.default_rng(5).uniform(60, 100, (20, 2))
    group = [[line] for line in range(20)]
    [one] = weight_sensitivity(scores, PAIR, [group], seed=9)
    [again] = weight_sensitivity(scores, PAIR, [group], seed=9)
    order = np.random.default_rng(6).permutation(20)
    [other] = weight_sensitivity(scores[order], PAIR, [group], seed=9)
    for name in ("rank", "low", "high", "p_top"):
        assert getattr(one, name).tolist() == getattr(again, name).tolist()
        assert getattr(one, name)[order].tolist() == getattr(other, name).tolist()
    assert one.importance.share.tolist() == again.importance.share.tolist()
    assert one.importance.share == pytest.approx(other.importance.share, abs=1e-12)


def test_two_weights_of_one_mean_matter_alike() -> None:
    [found] = weight_sensitivity(HAND, PAIR, EACH, seed=1)
    first, second = found.importance.share
    assert first == pytest.approx(second, abs=0.05)
    assert first > 0.2


def test_the_weight_of_an_only_child_is_without_effect() -> None:
    """Node 2 is alone below node 0."""
    weight = np.array([60.0, 40.0, 100.0])
    tree = Tree(weight, np.array([-1, -1, 0]), weight, 50)
    assert tree.leaves.tolist() == [1, 2]
    [found] = weight_sensitivity(HAND[:, ::-1], tree, EACH, seed=1)
    assert found.rank.tolist() == [1, 1, 3]
    assert (found.importance.share[2], found.importance.high[2]) == (0, 0)
    assert (found.importance.share[:2] > 0.2).all()


def test_a_unit_without_a_total_can_not_be_ranked() -> None:
    with pytest.raises(ValueError, match="no line with a total"):
        weight_sensitivity(np.full((1, 2), np.nan), PAIR, [[[0]]], seed=1)
