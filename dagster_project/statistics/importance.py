"""Which of many drawn numbers moves an outcome, and by what share: first-order indices from draws at hand.

Belongs here: the shares of variance and their intervals. Does not belong here: what is drawn, or what
comes of it (`weight_sensitivity.py`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A straight line and a curve in each factor. On ranks, more terms change a share by less than its interval.
DEGREE = 2
N_FOLDS = 40  # parts of the draws, each left out once
T_QUANTILE = 2.0227  # of Student's t with N_FOLDS - 1 degrees of freedom: 95 %, both sides
DRAWS_PER_TERM = 5


@dataclass(frozen=True)
class Importance:
    """(factors,) each: share of the variance of all outcomes that a factor explains by itself.

    `low`, `high`: 95 % interval; it holds the chance of the draws and nothing else. What factors do only
    together is in no share, so the shares sum to one at most, up to that chance.
    """

    share: Floats
    low: Floats
    high: Floats


def importance(factors: Floats, outcomes: Floats | Ints) -> Importance:
    """First-order indices over all outcomes together.

    `factors`: (draws, factors), independent, even from -1 to 1. `outcomes`: (draws, outcomes). A factor's index
    is the sum over outcomes of the variance that it explains by itself, over the sum of their variances
    (Lamboni, Monod and Makowski 2011, doi 10.1016/j.ress.2010.12.002). Outcomes are regressed on orthonormal
    polynomials of all factors at once, so that no index carries the noise of the others. Intervals are a
    jackknife's, which leaves out one of N_FOLDS parts of the draws at a time, and takes the bias away.
    Where no outcome varies, all is zero. Raises ValueError for fewer than DRAWS_PER_TERM draws per term.
    """
    n_draws, n_factors = factors.shape
    terms = _terms(factors)
    if n_draws < DRAWS_PER_TERM * terms.shape[1]:
        raise ValueError(f"{n_draws} draws are too few for {terms.shape[1]} terms")
    parts = zip(np.array_split(terms, N_FOLDS), np.array_split(outcomes, N_FOLDS), strict=True)
    folds = [_Sums.of(term, outcome.astype(np.float64)) for term, outcome in parts]
    whole = _Sums(
        sum(fold.n for fold in folds),
        np.sum([fold.gram for fold in folds], axis=0),
        np.sum([fold.cross for fold in folds], axis=0),
        np.sum([fold.squares for fold in folds], axis=0),
    )
    if not whole.variance > 0:
        return Importance(np.zeros(n_factors), np.zeros(n_factors), np.zeros(n_factors))
    without = np.stack([whole.without(fold).shares() for fold in folds])
    mean = without.mean(axis=0)
    share = N_FOLDS * whole.shares() - (N_FOLDS - 1) * mean
    error = T_QUANTILE * np.sqrt((N_FOLDS - 1) / N_FOLDS * ((without - mean) ** 2).sum(axis=0))
    return Importance(*(np.clip(each, 0.0, 1.0) for each in (share, share - error, share + error)))


def _terms(factors: Floats) -> Floats:
    """(draws, 1 + factors * DEGREE): one, then Legendre polynomials of each factor, each of variance one."""
    line, curve = np.sqrt(3) * factors, np.sqrt(5) * (3 * factors**2 - 1) / 2
    pairs = np.stack([line, curve], axis=2).reshape(len(factors), -1)
    return np.concatenate([np.ones((len(factors), 1)), pairs], axis=1)


@dataclass(frozen=True)
class _Sums:
    """What a regression has to know of some draws: their number, and sums of products of terms and outcomes."""

    n: int
    gram: Floats
    cross: Floats
    squares: Floats

    @classmethod
    def of(cls, terms: Floats, outcomes: Floats) -> "_Sums":
        # not `@`: the threads of the linear algebra wait for one another on a busy machine, a second in all
        gram, cross = (np.einsum("dk,dm->km", terms, each) for each in (terms, outcomes))
        return cls(len(terms), gram, cross, (outcomes**2).sum(axis=0))

    def without(self, fold: "_Sums") -> "_Sums":
        return _Sums(self.n - fold.n, self.gram - fold.gram, self.cross - fold.cross, self.squares - fold.squares)

    @property
    def variance(self) -> float:
        """Of all outcomes together. The first term is one, so its products are the outcomes' sums."""
        return float((self.squares / self.n - (self.cross[0] / self.n) ** 2).sum())

    def shares(self) -> Floats:
        """(factors,): terms are orthonormal, so their squared coefficients are the variances that they explain."""
        explained = (np.linalg.solve(self.gram, self.cross)[1:] ** 2).sum(axis=1)
        return explained.reshape(-1, DEGREE).sum(axis=1) / self.variance
