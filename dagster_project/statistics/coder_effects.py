"""Whether it matters who coded a probe, and when: effects of coders, and drift over the field period.

A record's deviation (mean of its answers against the mean of each question) is taken to be the sum of an
effect of its line, one of its scenario, one of its coder, and chance. Least squares compares coders within
lines and scenarios, so that nobody is harsh for having had the worse lines. Effects are deviations from the
median of the coders with whom lines are shared, directly or through others: one who is far out would move
their mean, and make all the others look different.

Effects of few records are mostly chance: they are shrunk towards zero (best linear prediction) with a
variance between coders that is estimated by moments, as in a random-effects model.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAYS = 30  # a drift is told per so many days
FALSE_ALARMS = 0.05  # how often a table of coders without any differences has one told apart
NEGLIGIBLE = 1e-10  # of the largest: rounding


@dataclass(frozen=True)
class Records:
    """Arrays of one entry per coded record; codes count from 0 and leave no gap.

    `score`: deviation in points. `day`: days since any one day. `period`: what means over time are told for.
    """

    line: Ints
    scenario: Ints
    coder: Ints
    day: Ints
    period: Ints
    score: Floats


@dataclass(frozen=True)
class CoderEffects:
    """Arrays of one entry per coder, in points; NaN for one who shares no line with others, or where nothing varies.

    `shrunk`: the effect as far as it is not chance. `between`: standard deviation of the true effects.
    `share`: of the variance of records of one line and scenario, what is due to coders (0 to 1).
    `line_shift`: per line, the mean shrunk effect of the coders that it had: how far they moved its mean.
    """

    n_records: Ints
    effect: Floats
    error: Floats
    shrunk: Floats
    between: float
    share: float
    line_shift: Floats


@dataclass(frozen=True)
class Drift:
    """Change of scores per DAYS days within lines, scenarios and coders, in points, and its standard error.

    NaN where days do not differ within lines, or nothing varies. `n_days`: from the first to the last, both
    counted. Per period: number of records, and the mean of what line, scenario and coder leave open.
    """

    slope: float
    error: float
    n_days: int
    n_records: Ints
    means: Floats


def critical_value(n_tests: int) -> float:
    """What |effect| / error exceeds by chance in one of `n_tests` tables' entries with FALSE_ALARMS (Bonferroni)."""
    return NormalDist().inv_cdf(1 - FALSE_ALARMS / (2 * max(n_tests, 1)))


def coder_effects(records: Records) -> CoderEffects:
    """Effects of the coders on the scores, each with its error; any number of records, also none."""
    layout = _Layout(records)
    n_records = np.bincount(records.coder, minlength=layout.n_coders)
    left = layout.residuals(records.score)
    common = _variance(left, layout.freedom, records.score)
    is_known = (layout.estimable > NEGLIGIBLE) & (common > 0)
    _, effect = layout.effects(records.score)
    own = np.bincount(records.coder, left**2, layout.n_coders) / n_records * (len(left) / max(layout.freedom, 1))
    # the larger of both: who had lines that vary more is not told apart for it
    variance = np.where(is_known, np.maximum(own, common) * np.diag(layout.coder_inverse), 1.0)
    between = _between(effect[is_known], variance[is_known], layout.estimable[is_known])
    effect = effect - np.array([np.median(effect[others]) for others in layout.compared])
    spread = between * layout.estimable
    shrunk = np.where(is_known, effect * spread / (spread + variance), 0.0)
    shift = np.bincount(records.line, shrunk[records.coder], layout.n_lines) / layout.line_counts
    return CoderEffects(
        n_records=n_records,
        effect=np.where(is_known, effect, np.nan),
        error=np.where(is_known, np.sqrt(variance), np.nan),
        shrunk=np.where(is_known, shrunk, np.nan),
        between=between**0.5,
        share=between / (between + common) if between else 0.0,
        line_shift=shift,
    )


def drift(records: Records) -> Drift:
    """Slope over days; its error holds where lines vary unequally (HC1)."""
    layout = _Layout(records)
    score, day = layout.residuals(records.score), layout.residuals(records.day.astype(np.float64))
    n_days = int(np.ptp(records.day)) + 1 if len(records.day) else 0
    n_records = np.bincount(records.period)
    means = np.bincount(records.period, score, len(n_records)) / n_records
    size, freedom = _squares(day), layout.freedom - 1
    if size <= NEGLIGIBLE * n_days**2 or _variance(score, freedom, records.score) == 0:
        return Drift(np.nan, np.nan, n_days, n_records, means)
    slope = float(np.sum(day * score)) / size
    left = score - slope * day
    error = (len(day) / freedom * _squares(day * left)) ** 0.5 / size
    return Drift(DAYS * slope, DAYS * error, n_days, n_records, means)


def _variance(left: Floats, freedom: int, values: Floats) -> float:
    """Of the residuals of `values`; 0 where nothing but rounding is left, or no freedom."""
    squares = _squares(left)
    return squares / freedom if freedom > 0 and squares > NEGLIGIBLE * _squares(values) else 0.0


def _squares(values: Floats) -> float:
    return float(np.sum(values**2))


def _between(effect: Floats, variance: Floats, estimable: Floats) -> float:
    """Variance of the true effects by moments: E[sum effect^2 / variance] = n + between * sum estimable / variance."""
    if len(effect) == 0:
        return 0.0
    return max(0.0, float((np.sum(effect**2 / variance) - len(effect)) / np.sum(estimable / variance)))


class _Layout:
    """Who coded what: the normal equations of lines, scenarios and coders, solved one kind after the other.

    Lines are many, and each record has one: they leave the equations by subtracting their means. Scenarios
    leave those of the coders; what is left is small.
    """

    def __init__(self, records: Records) -> None:
        self._line, self._scenario, self._coder = records.line, records.scenario, records.coder
        self.n_lines, self._n_scenarios, self.n_coders = (
            int(codes.max()) + 1 if len(codes) else 0 for codes in (records.line, records.scenario, records.coder)
        )
        self.line_counts = np.bincount(records.line, minlength=self.n_lines)
        self._of_lines = np.hstack(
            [self._crossed(self._line, records.scenario), self._crossed(self._line, records.coder)]
        )
        equations = self._equations()
        split = self._n_scenarios
        self._across = equations[:split, split:]
        self._scenario_inverse, scenario_rank = self._inverse(equations[:split, :split])
        coders = equations[split:, split:] - self._across.T @ self._scenario_inverse @ self._across
        # of all solutions the one that sums to zero among coders who are compared with one another
        self.coder_inverse, coder_rank = self._inverse(coders)
        # the part of a true effect that is left then: 1 - 1/n, and nothing of one who is compared with nobody
        left = self.coder_inverse @ coders
        self.estimable = np.diag(left)
        # (coders, coders): who is compared with whom, himself included
        self.compared = (np.abs(left) > NEGLIGIBLE) | np.eye(self.n_coders, dtype=bool)
        self.freedom = len(self._line) - self.n_lines - scenario_rank - coder_rank

    def effects(self, values: Floats) -> tuple[Floats, Floats]:
        """(scenarios,), (coders,): their effects on `values`."""
        means = self._line_means(values)
        own = [np.bincount(self._scenario, values, self._n_scenarios), np.bincount(self._coder, values, self.n_coders)]
        sums = np.concatenate(own) - np.einsum("li,l->i", self._of_lines, means)
        of_scenarios, of_coders = sums[: self._n_scenarios], sums[self._n_scenarios :]
        coder = self.coder_inverse @ (of_coders - self._across.T @ self._scenario_inverse @ of_scenarios)
        return self._scenario_inverse @ (of_scenarios - self._across @ coder), coder

    def residuals(self, values: Floats) -> Floats:
        """`values` less what line, scenario and coder account for."""
        scenario, coder = self.effects(values)
        left = values - scenario[self._scenario] - coder[self._coder]
        return left - self._line_means(left)[self._line]

    def _line_means(self, values: Floats) -> Floats:
        return np.bincount(self._line, values, self.n_lines) / self.line_counts

    def _equations(self) -> Floats:
        both = self._crossed(self._scenario, self._coder)
        counts = np.block([[np.diag(both.sum(axis=1)), both], [both.T, np.diag(both.sum(axis=0))]])
        # not by BLAS: its threads cost more than the sums, and add them up in any order
        return counts - np.einsum("li,lj,l->ij", self._of_lines, self._of_lines, 1 / self.line_counts)

    @staticmethod
    def _crossed(rows: Ints, columns: Ints) -> Floats:
        """Number of records by two kinds of codes."""
        shape = tuple(int(codes.max()) + 1 if len(codes) else 0 for codes in (rows, columns))
        return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    def _inverse(self, equations: Floats) -> tuple[Floats, int]:
        """Pseudo-inverse and rank; what is small beside the number of records is rounding."""
        values, vectors = np.linalg.eigh(equations)
        is_there = values > NEGLIGIBLE * len(self._line)
        kept = vectors[:, is_there]
        return (kept / values[is_there]) @ kept.T, int(is_there.sum())
