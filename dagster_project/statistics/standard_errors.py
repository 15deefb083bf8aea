"""How far a line's score would move if it were probed again: linearised variances, clustered by probe.

A total is a sum of w y over observations; a probe's part of its error is z = sum w (y - x), x being the
line's mean of the indicator in the channel. Var = sum over strata of n/(n-1) sum z^2, n the number of
probes in the stratum. Strata are the kinds of probes (calls, web inspections, web requests) and not
scenarios: with one probe per scenario nothing could be estimated within one. So differences between
scenarios count as chance, and the errors are rather too large than too small.

Where a line has one probe of a kind (as with web requests) its own data say nothing of the variance;
that of the lines of its tier stands in, which holds their true differences too and is thus an upper bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR_DF = 10  # degrees of freedom that the tier's median is worth against a line's own variance


@dataclass(frozen=True)
class Observations:
    """Arrays of one entry per valid observation; codes count from 0, those of items and probes without a gap.

    `item`: an indicator of a line in a channel. `probe`: a probe of a line. `stratum`: line * n_kinds + kind of
    probe. `weight`: of the observation in the line's total. `score`: in points.
    """

    item: Ints
    probe: Ints
    stratum: Ints
    weight: Floats
    score: Floats
    n_kinds: int


@dataclass(frozen=True)
class LineSums:
    """(lines, kinds): what the observations of lines come to; of every line by itself, so parts of a wave add up.

    `own`, `freedom`, `counts`: as in `Parts`. `total`: the kind's part of the line's total, in points.
    """

    own: Floats
    freedom: Ints
    counts: Ints
    total: Floats


@dataclass(frozen=True)
class Parts:
    """(lines, kinds): what each kind of probe adds to the variance of a line's total before shrinking, and the counts.

    `own`: from the line's own probes, 0 where it has fewer than two. `single`: what stands in where it has
    one. In squared points. `freedom`: degrees of freedom of `own`. `counts`: probes and lone diallings.
    """

    own: Floats
    single: Floats
    freedom: Ints
    counts: Ints


def line_variances(sums: LineSums, tier: Ints) -> Floats:
    """Variance of each line's total in squared points; `tier` holds a code per line. NaN for a line without any.

    A line's own variance is shrunk towards the median of its tier with PRIOR_DF degrees of freedom: some
    lines have the same answer everywhere, and no variance of their own.
    """
    parts = variance_parts(sums, tier)
    by_line, df = parts.own.sum(axis=1), parts.freedom.sum(axis=1)
    is_known = df > 0
    prior = _by_tier(np.where(is_known, by_line, np.nan), tier, _median)
    shrunk = (df * by_line + PRIOR_DF * prior) / (df + PRIOR_DF)
    variance = shrunk + parts.single.sum(axis=1)
    return np.where(parts.counts.any(axis=1), variance, np.nan)


def variance_parts(sums: LineSums, tier: Ints) -> Parts:
    """The variance of each line's total by kind of probe, as the line's data have it; `tier` as above."""
    single = _variances_of_single_probes(sums.total, sums.counts == 1, tier)
    return Parts(sums.own, single, sums.freedom, sums.counts)


def line_sums(observed: Observations, n_lines: int) -> LineSums:
    """The sums of lines of which these are all observations; strata are numbered below `n_lines` * kinds."""
    shape = n_lines, observed.n_kinds
    n_strata = n_lines * observed.n_kinds
    total = _sums(observed.stratum, observed.weight * observed.score, n_strata)
    own, freedom, counts = _own_variances(observed, n_strata)
    return LineSums(own.reshape(shape), freedom.reshape(shape), counts.reshape(shape), total.reshape(shape))


def no_sums(n_lines: int, n_kinds: int) -> LineSums:
    """Of lines without an observation."""
    shape = n_lines, n_kinds
    zeros, none = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    return LineSums(zeros, none, none, zeros)


def joined(sums: Sequence[LineSums]) -> LineSums:
    """The sums of the lines of each, one after the other; at least one."""
    return LineSums(
        own=np.concatenate([each.own for each in sums]),
        freedom=np.concatenate([each.freedom for each in sums]),
        counts=np.concatenate([each.counts for each in sums]),
        total=np.concatenate([each.total for each in sums]),
    )


def _own_variances(observed: Observations, n_strata: int) -> tuple[Floats, Ints, Ints]:
    """Per stratum: its part of the line's variance, degrees of freedom, number of probes."""
    mean = _sums(observed.item, observed.weight * observed.score) / _sums(observed.item, observed.weight)
    error = observed.weight * (observed.score - mean[observed.item])
    z = _sums(observed.probe, error)
    stratum = np.zeros(len(z), dtype=np.int64)
    stratum[observed.probe] = observed.stratum
    counts = np.bincount(stratum, minlength=n_strata)
    squares = np.bincount(stratum, weights=z**2, minlength=n_strata)
    freedom = np.maximum(counts - 1, 0)
    own = np.where(freedom > 0, squares * counts / np.maximum(freedom, 1), 0.0)
    return own, freedom, counts


def _variances_of_single_probes(total: Floats, is_single: NDArray[np.bool_], tier: Ints) -> Floats:
    """(lines, kinds): where a line has one probe of a kind, the variance of its part among the lines of its tier."""
    spread = np.where(is_single, total, np.nan)
    variances = [_by_tier(of_kind, tier, _variance) for of_kind in spread.T]
    return np.where(is_single, np.column_stack(variances), 0.0)


def _median(values: Floats) -> float:
    return float(np.median(values))


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else float("nan")


def _by_tier(values: Floats, tier: Ints, summary: Callable[[Floats], float]) -> Floats:
    """Per line the summary of its tier's values, of all lines' where the tier has too few; 0 where all have."""
    known = values[~np.isnan(values)]
    fallback = summary(known) if len(known) else 0.0
    result = np.full(len(values), np.nan_to_num(fallback))
    for code in np.unique(tier):
        ours = values[(tier == code) & ~np.isnan(values)]
        found = summary(ours) if len(ours) else float("nan")
        if not np.isnan(found):
            result[tier == code] = found
    return result


def _sums(codes: Ints, values: Floats, at_least: int = 0) -> Floats:
    # one after the other, in the order given: the same digits on every machine
    return np.bincount(codes, weights=values, minlength=at_least).astype(np.float64)


def variance_of_mean(variances: Floats) -> float:
    """Variance of the unweighted mean of independent scores; NaN where there is none, or one is unknown."""
    return float(variances.sum()) / len(variances) ** 2 if len(variances) else float("nan")
