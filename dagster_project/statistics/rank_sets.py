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
    each = np.array([_apart_from(j, np.abs(row), noise) for j, row in enumerate(observed)]).reshape(observed.shape)
    low, high = _bounds(observed, each)
    together = _of_others(_stepped(np.abs(observed), noise, noise.largest, np.eye(len(observed), dtype=bool)))
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
    """What the statement on all units tells apart at one precision. `high`: the highest rank each could have.

    `largest`: (units, draws), of what is not told apart.
    """

    high: Ints
    is_apart: Bools
    largest: Floats


class Precision:
    """The statement on all units of `rank_sets`, were the same scores known more precisely.

    With all standard errors divided by one number, chance moves the units as before in standardised terms,
    and they stand further apart: what was told apart stays so. Thus each answer begins where a less precise
    one ended, which is as good as from the beginning and much faster.
    """

    def __init__(self, scores: Sequence[float], errors: Sequence[float], seed: int, n_draws: int = N_DRAWS) -> None:
        self._observed, self._noise = _compared(scores, errors, seed, n_draws)
        n = len(self._observed)
        self.start = Told(np.full(n, n), np.eye(n, dtype=bool), self._noise.largest)

    def told(self, factor: float, since: Told) -> Told:
        """With `factor` times the probes: errors divided by its root. `since`: `start`, or of no greater factor."""
        size = np.abs(self._observed) * np.sqrt(factor)
        largest = since.largest.copy()
        is_apart = _stepped(size, self._noise, largest, since.is_apart)
        return Told(_bounds(self._observed, _of_others(is_apart))[1], is_apart, largest)


def _bounds(observed: Floats, is_apart: Bools) -> tuple[Ints, Ints]:
    ahead = (is_apart & (observed > 0)).sum(axis=1)
    behind = (is_apart & (observed < 0)).sum(axis=1)
    return 1 + ahead.astype(np.int64), len(observed) - behind.astype(np.int64)


class _Noise:
    """Draws of what chance adds to the scores, and how far it sets units apart.

    `largest`: (units, draws), the largest standardised difference of a unit to any other.
    """

    def __init__(self, observed: Floats, errors: Floats, inverse_scale: Floats, seed: int, n_draws: int) -> None:
        self._direction = np.sign(observed).astype(np.int8)
        self._inverse_scale = inverse_scale
        shape = len(errors), n_draws
        self._by_unit, self.largest = np.empty(shape), np.empty(shape)
        random = np.random.default_rng(seed)
        for start in range(0, n_draws, BLOCK):
            normal = random.standard_normal((min(BLOCK, n_draws - start), len(errors)))
            part = slice(start, start + len(normal))
            noise = normal * errors
            self._by_unit[:, part] = noise.T
            self.largest[:, part] = self._largest(normal, noise).T

    def _largest(self, normal: Floats, noise: Floats) -> Floats:
        """(draws, units) of some draws.

        A difference of standard normals g is at most sqrt(g_j^2 + g_k^2). So only units that are far out
        need be looked at, unless even that bound leaves room for another; then all are.
        """
        best = np.zeros(noise.shape)
        far, others = _far_out(normal)
        rows = np.arange(len(noise))
        for units in far.T:
            difference = noise - noise[rows, units][:, None]
            np.abs(difference, out=difference)
            difference *= self._inverse_scale[units]
            np.maximum(best, difference, out=best)
        left = best**2 - normal**2 < others[:, None] ** 2
        for j in np.flatnonzero(left.any(axis=0)).tolist():
            own = noise[left[:, j]]
            best[left[:, j], j] = (np.abs(own - own[:, j, None]) * self._inverse_scale[j]).max(axis=1)
        return best

    def narrowed(self, j: int, largest: Floats, is_closed: Bools, is_apart: Bools) -> Floats:
        """(draws,): `largest` of unit `j` once the others `is_closed` are told apart from it, and `is_apart` in all.

        That one of the two is ahead is then settled; that it is behind is a statement of its own, which was not
        made: differences that way count on. Few draws have their largest difference in what was closed: only
        those are looked at again.
        """
        result = largest.copy()
        closed = np.flatnonzero(is_closed)
        settled, behind = self._direction[j, closed][:, None], -self._direction[j][:, None]
        for part in _blocks(len(closed), np.arange(len(largest))):
            highest = (settled * self._differences(j, part, closed)).max(axis=0)
            for draws in _blocks(len(is_apart), part[highest >= largest[part]]):
                again = self._differences(j, draws)
                result[draws] = np.where(is_apart[:, None], behind * again, np.abs(again)).max(axis=0)
        return result

    def _differences(self, j: int, draws: Ints, others: Ints | None = None) -> Floats:
        """(others, draws): by how much chance puts the others ahead of `j`, standardised; of itself 0. None: all."""
        units = slice(None) if others is None else others
        consecutive = slice(draws[0], draws[-1] + 1)
        if len(draws) == consecutive.stop - consecutive.start:
            differences: Floats = self._by_unit[units, consecutive] - self._by_unit[j, consecutive]
        elif others is None:
            differences = self._by_unit[:, draws] - self._by_unit[j, draws]
        else:
            differences = self._by_unit[np.ix_(others, draws)] - self._by_unit[j, draws]
        differences *= self._inverse_scale[j, units][:, None]
        return differences


def _blocks(n_others: int, draws: Ints) -> Iterator[Ints]:
    """`draws` in parts that give about DIFFERENCES with `n_others` each."""
    n = max(DIFFERENCES // max(n_others, 1), 1)
    return (draws[start : start + n] for start in range(0, len(draws), n))


def _far_out(normal: Floats) -> tuple[Ints, Floats]:
    """((draws, N_FAR): the units that are furthest out; (draws,): how far out any other can be)."""
    n_draws, n = normal.shape
    if n <= N_FAR:
        return np.tile(np.arange(n), (n_draws, 1)), np.zeros(n_draws)
    size = np.abs(normal)
    order = np.argpartition(-size, N_FAR, axis=1)
    far, others = order[:, :N_FAR], order[:, N_FAR]
    return far, size[np.arange(n_draws), others]


def _apart_from(j: int, size: Floats, noise: _Noise) -> Bools:
    """(units,): which the statement on `j` alone tells apart from it. `size`: of its standardised differences."""
    is_apart = np.arange(len(size)) == j  # a unit is not compared with itself
    largest = noise.largest[j]
    while True:
        found = ~is_apart & (size > _critical(largest))
        if not found.any():
            return is_apart & (np.arange(len(size)) != j)
        is_apart = is_apart | found
        largest = noise.narrowed(j, largest, found, is_apart)


def _stepped(size: Floats, noise: _Noise, largest: Floats, is_apart: Bools) -> Bools:
    """Tell apart, step by step, what can be beyond `is_apart` in the statement on all.

    `largest`: of the pairs that are not apart yet, in the end of those that are not apart then: it is changed.
    """
    while True:
        found = ~is_apart & (size > _critical(largest.max(axis=0)))
        if not found.any():
            return is_apart
        is_apart = is_apart | found
        for j in np.flatnonzero(found.any(axis=1)).tolist():
            largest[j] = noise.narrowed(j, largest[j], found[j], is_apart[j])


def _critical(largest: Floats) -> float:
    return float(np.quantile(largest, LEVEL, method="higher"))


def _of_others(is_apart: Bools) -> Bools:
    return is_apart & ~np.eye(len(is_apart), dtype=bool)
