"""How many probes a wave needs: the errors of a past one, were there more of them.

Belongs here: formulas on variances and counts. Does not belong here: what a release holds
(`release/plan.py`), how a plan is told.

A line's variance is a sum over kinds of probes, s_k^2 / n_k: s_k^2, the unit variance, is what one probe
of the kind would leave, n_k their number. More probes change n_k and nothing else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dagster_project.statistics.rank_sets import Precision, Told
from dagster_project.statistics.standard_errors import Parts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FACTOR_STEP = 1.01  # a factor is found to one in a hundred: probes come in whole numbers
FACTOR_DOUBLINGS = 10  # a thousand times the probes is more than anyone can commission
FACTOR_LIMIT = 2**FACTOR_DOUBLINGS
PROBABILITY = Fraction(9, 10)  # how surely a line should keep its class
ATTEMPTS_LIMIT = 1000  # diallings of one line in one wave


def unit_variances(parts: Parts, numbers: Ints) -> Floats:
    """(lines, kinds): s_k^2 in squared points, from `numbers` of probes per line; NaN where a line has none."""
    return np.where(numbers > 0, (parts.own + parts.single) * numbers, np.nan)


def standard_error(unit: Sequence[float], numbers: Sequence[float]) -> float:
    """In points, with these unit variances and numbers of probes; infinite where a kind that varies has none."""
    return math.sqrt(sum(_part(variance, n) for variance, n in zip(unit, numbers, strict=True)))


def _part(variance: float, n: float) -> float:
    if variance == 0:
        return 0.0
    return variance / n if n else math.inf


def in_proportion(
    unit: Sequence[float], numbers: Sequence[int], target: float, least: Sequence[int]
) -> tuple[int, ...]:
    """Numbers of probes for a standard error of `target` points: all kinds times one factor, rounded up.

    `least`: what is commissioned in any case. Raises ValueError where a kind that varies has no probes now.
    """
    error = standard_error(unit, numbers)
    if math.isinf(error):
        raise ValueError("a kind of probes that varies has none to be multiplied")
    factor = (error / target) ** 2
    return tuple(max(low, whole(factor * n)) for n, low in zip(numbers, least, strict=True))


def cheapest(unit: Sequence[float], costs: Sequence[float], target: float, least: Sequence[int]) -> tuple[int, ...]:
    """Numbers of probes for a standard error of `target` points at the lowest cost, rounded up.

    Neyman's allocation: n_k in proportion to s_k / sqrt(cost_k). Where that is below `least`, n_k is `least`
    and the others share what is left of the variance. Before rounding no allocation is cheaper; rounding
    costs less than one probe of each kind.
    """
    root = [math.sqrt(variance) for variance in unit]
    fixed: set[int] = {k for k, s in enumerate(root) if s == 0}
    while True:
        free = [k for k in range(len(root)) if k not in fixed]
        left = target**2 - sum(_part(unit[k], least[k]) for k in fixed)
        # left is positive: what is fixed at its least would need fewer for all of the target
        scale = sum(root[k] * math.sqrt(costs[k]) for k in free) / left if free else 0.0
        wanted = {k: scale * root[k] / math.sqrt(costs[k]) for k in free}
        short = {k for k in free if wanted[k] < least[k]}
        if not short:
            return tuple(max(least[k], whole(wanted[k])) if k in wanted else least[k] for k in range(len(root)))
        fixed |= short


def whole(number: float) -> int:
    """Rounded up, but for what floating point adds to a whole number: how many probes are commissioned."""
    return math.ceil(number - 1e-9 * max(1.0, number))


@dataclass(frozen=True)
class Separation:
    """How much probing it takes to tell the units at the top of a table apart from all others.

    `factor`: the smallest, to one in a hundred; None where FACTOR_LIMIT does not suffice. `sure`: (factor,
    how many units are surely among the top), at doubling factors.
    """

    factor: float | None
    sure: tuple[tuple[int, int], ...]


def separation(
    precision: Precision, top: int, progress: Callable[[int, int], None] = lambda _factor, _sure: None
) -> Separation:
    """What it takes so that the simultaneous rank sets of `top` units end at place `top` or above it.

    The scores stay as they were, and all standard errors are divided by the root of the factor.
    """
    sure: list[tuple[int, int]] = []
    low, before = 1.0, precision.start
    for doublings in range(FACTOR_DOUBLINGS + 1):
        factor = 2**doublings
        told = precision.told(factor, before)
        n_sure = int((told.high <= top).sum())
        sure.append((factor, n_sure))
        progress(factor, n_sure)
        if n_sure == top:
            return Separation(_bisected(precision, top, low, float(factor), before), tuple(sure))
        low, before = float(factor), told
    return Separation(None, tuple(sure))


def _bisected(precision: Precision, top: int, low: float, high: float, before: Told) -> float:
    """The smallest factor within (`low`, `high`] that suffices, to one in a hundred; `before`: what `low` tells."""
    while high > low * FACTOR_STEP:
        middle = math.sqrt(low * high)
        told = precision.told(middle, before)
        if (told.high <= top).sum() == top:
            high = middle
        else:
            low, before = middle, told
    return math.ceil(high * 100) / 100


@dataclass(frozen=True)
class ClassRule:
    """A row of the method's `line_class_rules`, in the order of the rules."""

    line_class: str
    test: str
    below_pct: int | None


def class_of(rules: Sequence[ClassRule], attempts: int, connected: int) -> str:
    """The class of a line, `connected` of `attempts` diallings put through: the first rule that holds.

    dbt classes the lines of a wave (macro `line_class`); this is for numbers of diallings that no line had.
    """
    return next(rule.line_class for rule in rules if _holds(rule, attempts, connected))


def _holds(rule: ClassRule, attempts: int, connected: int) -> bool:
    if rule.test == "rate_below" and rule.below_pct is not None:
        return 100 * connected < rule.below_pct * attempts
    return {"no_attempts": attempts == 0, "none_connected": connected == 0, "otherwise": True}[rule.test]


def best_class(rules: Sequence[ClassRule]) -> str:
    """The class of a line that is put through every time."""
    return class_of(rules, 1, 1)


def allowed_misses(rules: Sequence[ClassRule], attempts: int) -> int:
    """Of so many diallings (1 or more), how many may fail before a line is no more in the best class."""
    best, misses = class_of(rules, attempts, attempts), 0
    while misses < attempts and class_of(rules, attempts, attempts - misses - 1) == best:
        misses += 1
    return misses


def probability_of_best(rules: Sequence[ClassRule], attempts: int, rate_pct: int) -> Fraction:
    """Of a line that is truly put through `rate_pct` times in a hundred, in so many independent diallings; exact."""
    misses = allowed_misses(rules, attempts)
    term = rate_pct**attempts
    total = term
    for k in range(misses):
        term = term * (attempts - k) * (100 - rate_pct) // ((k + 1) * rate_pct)
        total += term
    return Fraction(total, 100**attempts)


@dataclass(frozen=True)
class AttemptsNeeded:
    """How often to dial so that a line of that true rate is in the best class with PROBABILITY.

    `smallest`: the first number from the commissioned one on; `always_from`: from it on every number does,
    up to ATTEMPTS_LIMIT. The two differ since the misses allowed go up in steps. None: not within the limit.
    """

    smallest: int | None
    always_from: int | None


def attempts_needed(rules: Sequence[ClassRule], rate_pct: int, commissioned: int) -> AttemptsNeeded:
    """The numbers of diallings that suffice, `commissioned` being asked for in any case."""
    suffices = [probability_of_best(rules, n, rate_pct) >= PROBABILITY for n in range(1, ATTEMPTS_LIMIT + 1)]
    smallest = next((n for n in range(max(commissioned, 1), ATTEMPTS_LIMIT + 1) if suffices[n - 1]), None)
    last_failure = max((n for n, holds in enumerate(suffices, start=1) if not holds), default=0)
    return AttemptsNeeded(smallest, last_failure + 1 if last_failure < ATTEMPTS_LIMIT else None)
