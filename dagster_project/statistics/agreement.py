"""How far two coders of the same probe agree, beyond what chance would give: Krippendorff's alpha.

Written from the formulas of K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011) and
"Content Analysis" (4th ed., 2019, ch. 12): alpha = 1 - (n - 1) sum o d / sum n n d, over pairs of levels,
o being the coincidences, n their sums and d the squared distance of two levels. Levels here are ordered
(wrong, partly, correct), so d is the ordinal one: by how many values lie between them.

The library `krippendorff` is GPL-3 and neither a source nor a dependency; the tests hold a few of its results.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# "the lowest conceivable limit", for tentative conclusions only (Content Analysis, ch. 12)
LOWEST_ALPHA = 0.667
LEVEL = 0.95
N_DRAWS = 2_000
# An interval is told where nearly every draw has an alpha: one without any disagreement to expect has none.
MIN_DEFINED = 0.95


@dataclass(frozen=True)
class Agreement:
    """Of the pairs that both coders gave a level.

    `alpha` is None without pairs, and where all values are of one level: chance would agree as well. `low`,
    `high`: its interval at LEVEL, None where too few draws have one. `share_agreed`: of pairs with equal
    levels (0 to 1), None without pairs.
    """

    n_pairs: int
    alpha: float | None
    low: float | None
    high: float | None
    share_agreed: float | None

    @property
    def is_flagged(self) -> bool:
        return self.alpha is not None and self.alpha < LOWEST_ALPHA


def agreement(counts: Ints, seed: int) -> Agreement:
    """Agreement of two coders; counts[a, b]: pairs of which the first gave level a and the second level b.

    Levels stand in their order. The interval is that of N_DRAWS bootstrap draws of whole pairs: a draw of
    pairs is a multinomial draw of the counts, so its cost does not grow with their number. The same counts and
    seed give the same interval. Pairs of one line or coder count as independent, so it is rather too narrow.
    """
    n_pairs = int(counts.sum())
    if n_pairs == 0:
        return Agreement(0, None, None, None, None)
    share = float(np.trace(counts)) / n_pairs
    alpha = float(ordinal_alpha(_coincidences(counts)))
    if np.isnan(alpha):
        return Agreement(n_pairs, None, None, None, share)
    drawn = np.random.default_rng(seed).multinomial(n_pairs, counts.ravel() / n_pairs, size=N_DRAWS)
    alphas = ordinal_alpha(_coincidences(drawn.reshape(N_DRAWS, *counts.shape)))
    is_defined = ~np.isnan(alphas)
    if is_defined.mean() < MIN_DEFINED:
        return Agreement(n_pairs, alpha, None, None, share)
    low, high = np.quantile(alphas[is_defined], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Agreement(n_pairs, alpha, float(low), float(high), share)


def _coincidences(counts: Ints) -> Floats:
    """Each pair stands in it twice, once each way round: neither coder is the measure of the other."""
    return (counts + np.swapaxes(counts, -1, -2)).astype(np.float64)


def ordinal_alpha(coincidences: Floats) -> Floats:
    """Alpha of each matrix (..., levels, levels) of coincidences; NaN where only one level occurs, or none.

    A level that does not occur makes no difference.
    """
    sums = coincidences.sum(axis=-1)
    return alpha_by(coincidences, _ordinal_distances(sums))


def alpha_by(coincidences: Floats, distances: Floats) -> Floats:
    """Alpha by any squared distances (..., levels, levels) of levels."""
    sums = coincidences.sum(axis=-1)
    observed = (coincidences * distances).sum(axis=(-1, -2))
    expected = (sums[..., :, None] * sums[..., None, :] * distances).sum(axis=(-1, -2))
    is_defined = expected > 0
    ratio = (sums.sum(axis=-1) - 1) * observed / np.where(is_defined, expected, 1.0)
    return np.where(is_defined, 1 - ratio, np.nan)


def _ordinal_distances(sums: Floats) -> Floats:
    """Squared: the values from one level to the other, of the two themselves one half."""
    middle = np.cumsum(sums, axis=-1) - sums / 2
    return (middle[..., :, None] - middle[..., None, :]) ** 2
