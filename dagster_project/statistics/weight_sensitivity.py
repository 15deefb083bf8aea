"""How far ranks hang on the weights: the roll-up again under other weights, and which of them move ranks.

Every weight at every level is multiplied by a number drawn evenly from 0.75 to 1.25; siblings are
renormalised by the mean itself. What comes out says what a rank owes to the choice of weights. It says
nothing of chance in the probes (`rank_sets.py`), and the two are never added up.

What is NA under the method's weights stays NA in every draw: whether enough was observed is a matter of
the observations. Judged by the drawn weights, a node with just half of its weight present would come and
go, and lines would leave the ranking, for no reason of theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagster_project.statistics.importance import Importance, importance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SPREAD = 0.25  # a weight may be a quarter larger or smaller
N_DRAWS = 2_000
LOW, HIGH = 0.05, 0.95  # ranks below and above which a twentieth of the draws lies
TOP = 10
BLOCK = 250  # draws at a time: what a step holds in memory fits a core's cache
# Printed scores: half up to 8 decimals, then to 2 (docs/method.md, Arithmetic).
FIRST_DECIMALS, PER_HUNDREDTH = 1e8, 1e6


@dataclass(frozen=True)
class Tree:
    """The nodes below the total, parents before their children; the leaves are those without children.

    `weight`: (nodes,), positive. `parent`: (nodes,) number of the parent in these arrays, -1 for the total.
    `availability`: (nodes,) what a node counts when it is asked whether enough of its siblings is present.
    `min_present_pct`: with less than this share of it the parent is NA.
    """

    weight: Floats
    parent: Ints
    availability: Floats
    min_present_pct: int

    @property
    def leaves(self) -> Ints:
        """(leaves,): numbers of the nodes without children."""
        return np.setdiff1d(np.arange(len(self.parent)), self.parent)

    @property
    def has_siblings(self) -> Bools:
        """(nodes,): the weight of an only child is without effect."""
        return np.bincount(self.parent + 1, minlength=len(self.parent) + 1)[self.parent + 1] > 1


@dataclass(frozen=True)
class RankSpread:
    """A group's units under drawn weights, in the order given: (units,) each.

    `rank`: by the method's weights. `low`, `high`: 5 % and 95 % of the draws. `p_top`: share of the draws
    with a rank of at most TOP. `mean_shift`: how many ranks a unit is from `rank` in the mean of units and draws.
    """

    rank: Ints
    low: Ints
    high: Ints
    p_top: Floats
    mean_shift: float
    importance: Importance


def weight_sensitivity(
    scores: Floats, tree: Tree, groups: Sequence[Sequence[Sequence[int]]], seed: int, n_draws: int = N_DRAWS
) -> list[RankSpread]:
    """Per group its ranks under drawn weights.

    `scores`: (lines, leaves) in points, NaN for NA. `groups`: per group and unit the lines whose mean is the
    unit's score; lines without a total do not count. The same call gives the same result. Raises ValueError
    where a unit has no line with a total, or there are too few draws to share out the variance.
    """
    factors = draw_factors(len(tree.weight), seed, n_draws)
    by_method = ranks(scores, tree, groups, np.ones((1, len(tree.weight))))
    drawn = ranks(scores, tree, groups, factors)
    return [_spread(own[:, 0], each, factors, tree) for own, each in zip(by_method, drawn, strict=True)]


def draw_factors(n_nodes: int, seed: int, n_draws: int) -> Floats:
    """(draws, nodes): numbers drawn evenly from 1 - SPREAD to 1 + SPREAD."""
    return np.random.default_rng(seed).uniform(1 - SPREAD, 1 + SPREAD, (n_draws, n_nodes))


def _spread(rank: Ints, drawn: Ints, factors: Floats, tree: Tree) -> RankSpread:
    low, high = np.quantile(drawn, [LOW, HIGH], axis=1, method="inverted_cdf")
    shift = drawn - rank[:, None]
    matters = tree.has_siblings
    found = importance((factors[:, matters] - 1) / SPREAD, shift.T)
    return RankSpread(
        rank,
        low.astype(np.int64),
        high.astype(np.int64),
        (drawn <= TOP).mean(axis=1),
        float(np.abs(shift).mean()),
        Importance(*(_among_all(each, matters) for each in (found.share, found.low, found.high))),
    )


def _among_all(values: Floats, matters: Bools) -> Floats:
    """(nodes,): the values of the weights that matter; 0 for those of only children."""
    found = np.zeros(len(matters))
    found[matters] = values
    return found


def ranks(scores: Floats, tree: Tree, groups: Sequence[Sequence[Sequence[int]]], factors: Floats) -> list[Ints]:
    """Per group (units, draws): competition ranks on printed scores, weights multiplied by `factors` (draws, nodes)."""
    roll_up = _RollUp(scores, tree)
    units = [_Units(group, roll_up.has_total) for group in groups]
    found = [np.empty((len(group), len(factors)), dtype=np.int64) for group in groups]
    for start in range(0, len(factors), BLOCK):
        part = slice(start, start + BLOCK)
        totals = roll_up.totals(factors[part])
        for each, into in zip(units, found, strict=True):
            into[:, part] = _competition_ranks(_printed(each.means(totals)))
    return found


class _RollUp:
    """Totals of lines under given weights; what is present is settled beforehand."""

    def __init__(self, scores: Floats, tree: Tree) -> None:
        self._weight = tree.weight
        self._leaf = dict(zip(tree.leaves.tolist(), np.nan_to_num(scores).T[:, :, None], strict=True))
        is_present = dict(zip(self._leaf, ~np.isnan(scores).T, strict=True))
        self._steps: list[tuple[int, Ints, Bools, Ints, Bools]] = []
        for node in range(len(tree.parent) - 1, -2, -1):
            children = np.flatnonzero(tree.parent == node)
            if not len(children):
                continue
            present = np.stack([is_present[child] for child in children.tolist()], axis=1)
            defined = tree.availability[children]
            is_present[node] = present.any(axis=1) & (100 * (present @ defined) >= tree.min_present_pct * defined.sum())
            patterns, pattern = np.unique(present, axis=0, return_inverse=True)
            self._steps.append((node, children, patterns, pattern.reshape(-1), ~is_present[node]))
        self.has_total = is_present[-1]

    def totals(self, factors: Floats) -> Floats:
        """(lines, draws); 0 where a line has no total. Sums in the order of the nodes: the same digits everywhere."""
        weight = (self._weight * factors).T
        values = dict(self._leaf)
        for node, children, patterns, pattern, is_absent in self._steps:
            total, present = 0.0, 0.0
            for number, child in enumerate(children.tolist()):
                total = total + values[child] * weight[child]
                present = present + patterns[:, number, None] * weight[child]
            mean = total / np.where(present > 0, present, 1.0)[pattern]
            mean[is_absent] = 0.0
            values[node] = mean
        return values[-1]


class _Units:
    """The units of a group as runs of line numbers."""

    def __init__(self, group: Sequence[Sequence[int]], has_total: Bools) -> None:
        members = [[line for line in lines if has_total[line]] for lines in group]
        self._count = np.array([len(lines) for lines in members], dtype=np.int64)
        if not self._count.all():
            raise ValueError("a unit has no line with a total")
        self._lines = np.array([line for lines in members for line in lines], dtype=np.int64)
        self._start = np.cumsum(self._count) - self._count

    def means(self, totals: Floats) -> Floats:
        """(units, draws): the unweighted mean of the lines' totals."""
        return np.add.reduceat(totals[self._lines], self._start, axis=0) / self._count[:, None]


def _printed(points: Floats) -> Ints:
    """Hundredths of a point, half up as the method prints; whole numbers of this size are exact in floats."""
    return np.floor(np.floor(points * FIRST_DECIMALS + 0.5) / PER_HUNDREDTH + 0.5).astype(np.int64)


def _competition_ranks(printed: Ints) -> Ints:
    """(units, draws): 1 for the highest of a draw; equal ones share the best of their places."""
    by_draw = -printed.T
    order = np.argsort(by_draw, axis=1, kind="stable")
    ordered = np.take_along_axis(by_draw, order, axis=1)
    place = np.broadcast_to(np.arange(1, by_draw.shape[1] + 1), order.shape)
    is_new = np.ones(order.shape, dtype=bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    found = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(found, order, np.maximum.accumulate(np.where(is_new, place, 0), axis=1), axis=1)
    return found.T
