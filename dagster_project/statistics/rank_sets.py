"""Which ranks a unit could have: confidence sets for ranks within one table.

Mogstad, Romano, Shaikh and Wilhelm, "Inference for Ranks" (Review of Economic Studies, doi
10.1093/restud/rdad006), written from the paper's formulas. Units whose scores can not be told apart
may have each other's ranks; a unit's set counts those that are surely ahead of it and surely behind it.
All pairs that matter are tested together, by steps: the critical value is the quantile of the largest
standardised difference among the pairs that no earlier step has told apart.

Percentiles of bootstrapped ranks are no confidence sets: under ties they cover 4 % in place of 95 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEVEL = 0.95
N_DRAWS = 10_000
# Candidates per draw for the largest difference: a unit that is far out decides it nearly always.
N_FAR = 40
BLOCK = 250  # draws at a time: what a step holds in memory fits a core's cache
DIFFERENCES = 2**17  # at a time, for the same reason: thousands of units by all draws would be hundreds of megabytes
UNKNOWN, SETTLES_NOTHING = 0, 1  # beyond the last unit: not a unit


@dataclass(frozen=True)
class RankSets:
    """Per unit, in the order given: lowest and highest rank that it could have.

    `low`, `high` hold for each unit by itself with probability LEVEL, `low_all` and `high_all` for all at once.
    `is_apart[j, k]`: j and k are told apart in the statement on all.
    """

    low: Ints
    high: Ints
    low_all: Ints
    high_all: Ints
    is_apart: Bools


def rank_sets(scores: Sequence[float], errors: Sequence[float], seed: int, n_draws: int = N_DRAWS) -> RankSets:
    """Rank sets of independent scores with these standard errors; rank 1 is the highest score.

    Draws are made in order from `seed`: the same call gives the same sets. Raises ValueError where a
    standard error is not positive, or the lengths differ.
    """
    observed, noise = _compared(scores, errors, seed, n_draws)
    size, itself = np.abs(observed), np.eye(len(observed), dtype=bool)
    each = np.empty_like(itself)
    for j in range(len(size)):
        one = slice(j, j + 1)
        each[one] = _stepped(size[one], noise, Largest.of(noise, one).copy(), itself[one])
    low, high = _bounds(observed, each & ~itself)
    together = _stepped(size, noise, Largest.of(noise), itself) & ~itself
    return RankSets(low, high, *_bounds(observed, together), is_apart=together)


def _compared(scores: Sequence[float], errors: Sequence[float], seed: int, n_draws: int) -> tuple[Floats, "_Noise"]:
    """(units, units): standardised differences, positive where the column is ahead of the row; and the draws."""
    x, se = np.asarray(scores, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if x.shape != se.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} scores, {se.shape} standard errors")
    if not (np.isfinite(se).all() and np.isfinite(x).all() and (se > 0).all()):
        raise ValueError("scores must be finite, standard errors positive")
    scale = np.sqrt(se[:, None] ** 2 + se[None, :] ** 2)
    observed = (x[None, :] - x[:, None]) / scale
    return observed, _Noise(observed, se, 1 / scale, seed, n_draws)


@dataclass(frozen=True)
class Told:
    """What the statement on all units tells apart at one precision. `high`: the highest rank each could have."""

    high: Ints
    is_apart: Bools
    largest: "Largest"


class Precision:
    """The statement on all units of `rank_sets`, were the same scores known more precisely.

    With all standard errors divided by one number, chance moves the units as before in standardised terms,
    and they stand further apart: what was told apart stays so. Thus each answer begins where a less precise
    one ended, which is as good as from the beginning and much faster.
    """

    def __init__(self, scores: Sequence[float], errors: Sequence[float], seed: int, n_draws: int = N_DRAWS) -> None:
        self._observed, self._noise = _compared(scores, errors, seed, n_draws)
        n = len(self._observed)
        self._itself = np.eye(n, dtype=bool)
        self.start = Told(np.full(n, n), self._itself, Largest.of(self._noise))

    def told(self, factor: float, since: Told) -> Told:
        """With `factor` times the probes: errors divided by its root. `since`: `start`, or of no greater factor."""
        size = np.abs(self._observed) * np.sqrt(factor)
        largest = since.largest.copy()
        is_apart = _stepped(size, self._noise, largest, since.is_apart)
        return Told(_bounds(self._observed, is_apart & ~self._itself)[1], is_apart, largest)


def _bounds(observed: Floats, is_apart: Bools) -> tuple[Ints, Ints]:
    ahead = (is_apart & (observed > 0)).sum(axis=1)
    behind = (is_apart & (observed < 0)).sum(axis=1)
    return 1 + ahead.astype(np.int64), len(observed) - behind.astype(np.int64)


class _Noise:
    """Draws of what chance adds to the scores, and how far it sets units apart.

    `largest`: (units, draws), the largest standardised difference of a unit to any other.
    """

    def __init__(self, observed: Floats, errors: Floats, inverse_scale: Floats, seed: int, n_draws: int) -> None:
        self._behind = np.where(observed > 0, -inverse_scale, inverse_scale)
        self._by_draw = np.empty((n_draws, len(errors)))
        self.largest = np.empty((len(errors), n_draws))
        random = np.random.default_rng(seed)
        for start in range(0, n_draws, BLOCK):
            normal = random.standard_normal((min(BLOCK, n_draws - start), len(errors)))
            part = slice(start, start + len(normal))
            noise = np.multiply(normal, errors, out=self._by_draw[part])
            self.largest[:, part] = _largest(normal, noise, inverse_scale).T

    def compared(self, units: Ints, draws: Ints, is_apart: Bools) -> tuple[Floats, Ints]:
        """Per pair of a unit and a draw: the largest difference to others in it, and the other that it is of.

        `is_apart`: (units, others), the others that are told apart from the units so far. That one of the two is
        ahead is settled then; that it is behind is a statement of its own, which was not made: differences that
        way count on. The other is told only where being told apart would settle the difference; else it is
        `SETTLES_NOTHING` beyond the last. A single unit is looked up in every draw.
        """
        pairs = np.arange(len(draws))
        behind = self._by_draw[draws]
        behind -= behind[pairs, units][:, None]
        behind *= self._behind[units]
        differences = behind * np.where(is_apart, 1.0, -1.0)
        np.maximum(behind, differences, out=differences)
        others = differences.argmax(axis=1)
        largest = differences[pairs, others]
        return largest, np.where(behind[pairs, others] == largest, differences.shape[1] + SETTLES_NOTHING, others)


@dataclass(frozen=True)
class Largest:
    """The largest standardised difference of units in every draw, to others that they are not told apart from.

    A difference that is told apart counts no more, so the largest of a draw can but fall. It is looked up anew only
    where the critical value depends on it: `bounds`, (units, draws), are never below the largest. `others`: whose
    difference a bound is, which is the largest as long as that is not told apart; N + UNKNOWN: not looked up yet.
    `units`: numbers of the units.
    """

    units: Ints
    bounds: Floats
    others: NDArray[np.unsignedinteger]

    @classmethod
    def of(cls, noise: _Noise, units: slice = slice(None)) -> "Largest":
        """Before anything is told apart; what is changed here is changed in `noise`."""
        bounds = noise.largest[units]
        n = len(noise.largest)
        others = np.full(bounds.shape, n + UNKNOWN, np.min_scalar_type(n + SETTLES_NOTHING))
        return cls(np.arange(n)[units], bounds, others)

    def copy(self) -> "Largest":
        return Largest(self.units, self.bounds.copy(), self.others.copy())

    def critical(self, noise: _Noise, is_apart: Bools) -> float:
        """The quantile, over the draws, of the largest difference of any unit. `is_apart`: (units, others)."""
        is_settled = np.zeros((len(is_apart), is_apart.shape[1] + 2), dtype=bool)
        is_settled[:, :-2] = is_apart
        is_settled[:, UNKNOWN - 2] = is_apart.sum(axis=1) > 1  # than itself
        top = self.bounds.max(axis=0)
        while True:
            critical = float(np.quantile(top, LEVEL, method="higher"))
            draws = np.flatnonzero(top >= critical)
            others = self.others[:, draws].astype(np.intp)
            is_old = np.take_along_axis(is_settled, others, axis=1) & (self.bounds[:, draws] >= critical)
            rows, columns = np.nonzero(is_old)
            if not len(rows):  # no largest below the critical value matters, and none above it is but a bound
                return critical
            if len(self.units) == 1:
                rows = rows[:1]
            for row, draw in _blocks(is_apart.shape[1], rows, draws[columns]):
                self.bounds[row, draw], self.others[row, draw] = noise.compared(self.units[row], draw, is_apart[row])
            top[draws] = self.bounds[:, draws].max(axis=0)


def _blocks(n_others: int, rows: Ints, draws: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of both in parts that give about DIFFERENCES with `n_others` each. One row: of every draw."""
    n = max(DIFFERENCES // n_others, 1)
    return (
        (rows if len(rows) == 1 else rows[start : start + n], draws[start : start + n])
        for start in range(0, len(draws), n)
    )


def _largest(normal: Floats, noise: Floats, inverse_scale: Floats) -> Floats:
    """(draws, units) of some draws: the largest standardised difference of a unit to any other.

    A difference of standard normals g is at most sqrt(g_j^2 + g_k^2). So only units that are far out
    need be looked at, unless even that bound leaves room for another; then all are.
    """
    best = np.zeros(noise.shape)
    far, others = _far_out(normal)
    rows = np.arange(len(noise))
    for units in far.T:
        difference = noise - noise[rows, units][:, None]
        np.abs(difference, out=difference)
        difference *= inverse_scale[units]
        np.maximum(best, difference, out=best)
    left = best**2 - normal**2 < others[:, None] ** 2
    for j in np.flatnonzero(left.any(axis=0)).tolist():
        own = noise[left[:, j]]
        best[left[:, j], j] = (np.abs(own - own[:, j, None]) * inverse_scale[j]).max(axis=1)
    return best


def _far_out(normal: Floats) -> tuple[Ints, Floats]:
    """((draws, N_FAR): the units that are furthest out; (draws,): how far out any other can be)."""
    n_draws, n = normal.shape
    if n <= N_FAR:
        return np.tile(np.arange(n), (n_draws, 1)), np.zeros(n_draws)
    size = np.abs(normal)
    order = np.argpartition(-size, N_FAR, axis=1)
    far, others = order[:, :N_FAR], order[:, N_FAR]
    return far, size[np.arange(n_draws), others]


def _stepped(size: Floats, noise: _Noise, largest: Largest, is_apart: Bools) -> Bools:
    """Tell apart, step by step, what can be beyond `is_apart` in the statement on the units of `largest`.

    `size`, `is_apart`: (units, others); a unit is apart from itself, as it is not compared. `largest` is changed.
    """
    while True:
        found = ~is_apart & (size > largest.critical(noise, is_apart))
        if not found.any():
            return is_apart
        is_apart = is_apart | found
