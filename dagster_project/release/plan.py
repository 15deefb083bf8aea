"""What the next wave needs, by the variances of a release: numbers of probes and diallings per line.

Belongs here: what of a release goes into the formulas, and what comes out of them. Does not belong
here: the formulas (`statistics/planning.py`), how a plan is told (`plan_text.py`) or drawn
(`report/plan_chart.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dagster_project.errors import UsageError
from dagster_project.ingest.faults import shown
from dagster_project.release.observations import read_by_lines
from dagster_project.release.reading import Release
from dagster_project.release.uncertainty import (
    KINDS,
    ObservedLines,
    observed_lines,
    rank_seed,
    ranked_units,
    standard_errors,
)
from dagster_project.statistics.planning import (
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
    whole,
)
from dagster_project.statistics.rank_sets import Precision
from dagster_project.statistics.standard_errors import variance_parts

if TYPE_CHECKING:
    from dagster_project.ingest.wave import Plan

ALL = "全部"  # all lines, beside their tiers
# Below and above the commissioned twenty, and where one more miss is allowed.
ATTEMPTS = (5, 10, 15, 19, 20, 21, 30, 40, 60, 80, 100)
RATES_PCT = (97, 98, 99)  # lines that deserve the best class, the first of them barely

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Allocation:
    """Per line: probes of each of KINDS, diallings (the calls' among them), and the standard error in points."""

    probes: tuple[int, ...]
    diallings: int
    standard_error: float


@dataclass(frozen=True)
class TierPlan:
    """A tier's median line. `unit_variances`: of one probe of each of KINDS, in squared points.

    `published_error`: the median of the standard errors that the release states; those are shrunk.
    """

    tier: str
    n_lines: int
    unit_variances: tuple[float, ...]
    published_error: float
    now: Allocation
    proportional: Allocation
    cheapest: Allocation


@dataclass(frozen=True)
class ErrorPlan:
    """For a standard error of `target` points. `costs`: of one probe of each of KINDS. The first tier is ALL."""

    target: Decimal
    costs: tuple[Decimal, ...]
    tiers: tuple[TierPlan, ...]


@dataclass(frozen=True)
class Step:
    """With `factor` times the probes, so many of the top are sure."""

    factor: float
    n_sure: int
    per_line: Allocation


@dataclass(frozen=True)
class TopPlan:
    """To tell the `top` of `n_units` ranked ones apart from the rest.

    `last_in`, `first_out`: scores on both sides of the edge, in points. `steps`: at doubling factors.
    `needed`: None where probing alone does not get there.
    """

    group: str
    top: int
    n_units: int
    last_in: float
    first_out: float
    steps: tuple[Step, ...]
    needed: Step | None


@dataclass(frozen=True)
class AttemptsRow:
    """With so many diallings: misses that leave a line in the best class, its class after one miss.

    `probabilities`: of the best class in one wave, for lines of RATES_PCT.
    """

    attempts: int
    allowed_misses: int
    after_one_miss: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class AttemptsPlan:
    """How the best class depends on the number of diallings; classes by their labels.

    `misses`: that leave a line in it, at 1, 2, 3 … diallings.
    """

    best_class: str
    commissioned: int
    rows: tuple[AttemptsRow, ...]
    misses: tuple[int, ...]
    needed: tuple[AttemptsNeeded, ...]


@dataclass(frozen=True)
class FieldPlan:
    """All of it, from one release. One of `errors` and `top` is there: what was asked for."""

    wave: str
    label: str
    note: str
    release: str
    errors: ErrorPlan | None
    top: TopPlan | None
    attempts: AttemptsPlan


def plan_for_error(release: Release, commissioned: "Plan", target: Decimal, costs: Sequence[Decimal]) -> FieldPlan:
    """Probes per line for a standard error of `target` points. `commissioned`: what is asked for in any case.

    `costs`: of one probe of each of KINDS. Target and costs are positive.
    """
    measured = _measured(release)
    plans = []
    for tier in (ALL, *release.tiers):
        chosen = np.array([tier in (ALL, row["tier"]) for row in measured.lines.frame])
        if chosen.any():
            plans.append(
                _tier_plan(tier, measured, chosen, commissioned, float(target), [float(each) for each in costs])
            )
    return _plan(release, commissioned, ErrorPlan(target, tuple(costs), tuple(plans)), None)


def _tier_plan(
    tier: str, measured: "_Measured", chosen: Bools, commissioned: "Plan", target: float, costs: list[float]
) -> TierPlan:
    typical, least = measured.typical(chosen), _least(commissioned)
    in_step = in_proportion(typical.unit, typical.numbers, target, least)
    at_least_cost = cheapest(typical.unit, costs, target, least)
    return TierPlan(
        tier=tier,
        n_lines=int(chosen.sum()),
        unit_variances=typical.unit,
        published_error=float(np.median(measured.errors[chosen])),
        now=typical.allocation(typical.numbers, 0),
        proportional=typical.allocation(in_step, commissioned.dial_attempts),
        cheapest=typical.allocation(at_least_cost, commissioned.dial_attempts),
    )


def _least(commissioned: "Plan") -> tuple[int, ...]:
    """What is commissioned of each of KINDS."""
    return commissioned.phone_probes, commissioned.web_inspections, commissioned.web_submissions


def plan_for_top(
    release: Release, commissioned: "Plan", top: int, group: str | None, progress: Callable[[int, int], None]
) -> FieldPlan:
    """How many times the probes of the release set the `top` of a table apart for sure.

    `group`: its code; None for the method's first table of lines. `progress`: called with (factor, how many
    are sure). Raises UsageError where there is no such table, or it ranks no other units than the top.
    """
    groups = {row["group_code"]: row for row in release.method("rank_groups")}
    code = group or next(code for code, row in groups.items() if row["unit"] == "line")
    if code not in groups:
        raise UsageError(f"没有排名组 {shown(code)};现有 / there is no such group; there are: {', '.join(groups)}")
    measured = _measured(release)
    units = ranked_units(release.folder, code, measured.lines)
    most = len(units) - 1
    if not 1 <= top <= most:
        raise UsageError(
            f"{code} 共 {len(units)} 个单位参加排名,前几名须为 1 至 {most} / {len(units)} units are ranked there: the "
            f"top must be 1 to {most} of them"
        )
    found = separation(
        Precision([unit.points for unit in units], [unit.error for unit in units], rank_seed(units)), top, progress
    )
    scores = sorted((unit.points for unit in units), reverse=True)
    members = groups[code]["rank_group"]  # empty for provinces: all lines
    typical = measured.typical(np.array([members in ("", row["rank_group"]) for row in measured.lines.frame]))
    plan = TopPlan(
        group=groups[code]["group_label"],
        top=top,
        n_units=len(units),
        last_in=scores[top - 1],
        first_out=scores[top],
        steps=tuple(typical.step(factor, n_sure) for factor, n_sure in found.sure),
        needed=None if found.factor is None else typical.step(found.factor, top),
    )
    return _plan(release, commissioned, None, plan)


def _plan(release: Release, commissioned: "Plan", errors: ErrorPlan | None, top: TopPlan | None) -> FieldPlan:
    return FieldPlan(
        wave=release.manifest["wave"],
        label=release.label,
        note=release.note,
        release=release.id,
        errors=errors,
        top=top,
        attempts=_attempts_plan(release, commissioned.dial_attempts),
    )


def class_rules(release: Release) -> list[ClassRule]:
    """The class rules of the release's method, in the order of the rules."""
    rows = sorted(release.method("line_class_rules"), key=lambda row: int(row["rule_order"]))
    return [
        ClassRule(row["line_class"], row["test"], int(row["below_pct"]) if row["below_pct"] else None) for row in rows
    ]


def _attempts_plan(release: Release, commissioned: int) -> AttemptsPlan:
    rules, labels = class_rules(release), release.class_labels
    rows = [
        AttemptsRow(
            attempts=n,
            allowed_misses=allowed_misses(rules, n),
            after_one_miss=labels[class_of(rules, n, n - 1)],
            probabilities=tuple(float(probability_of_best(rules, n, rate)) for rate in RATES_PCT),
        )
        for n in sorted({*ATTEMPTS, max(commissioned, 1)})
    ]
    needed = tuple(attempts_needed(rules, rate, commissioned) for rate in RATES_PCT)
    misses = tuple(allowed_misses(rules, n) for n in range(1, rows[-1].attempts + 1))
    return AttemptsPlan(labels[best_class(rules)], commissioned, tuple(rows), misses, needed)


@dataclass(frozen=True)
class _Typical:
    """The median line of some lines: unit variances and numbers of probes of each of KINDS, diallings."""

    unit: tuple[float, ...]
    numbers: tuple[int, ...]
    diallings: int

    def allocation(self, probes: tuple[int, ...], least_diallings: int) -> Allocation:
        """A call comes with its diallings: more calls, more diallings in proportion."""
        calls, now = probes[0], self.numbers[0]
        diallings = -(-self.diallings * calls // now) if now else self.diallings
        return Allocation(probes, max(diallings, least_diallings), standard_error(self.unit, probes))

    def step(self, factor: float, n_sure: int) -> Step:
        probes = tuple(whole(factor * n) for n in self.numbers)
        return Step(factor, n_sure, self.allocation(probes, 0))


@dataclass(frozen=True)
class _Measured:
    """What a release says of its lines: (lines, kinds) unit variances and probes; diallings, standard errors."""

    lines: ObservedLines
    unit: Floats
    numbers: Ints
    diallings: Ints
    errors: Floats

    def typical(self, chosen: Bools) -> _Typical:
        """The median of each. A kind that the median line has none of does not count."""
        numbers = tuple(median_low(of_kind) for of_kind in self.numbers[chosen].T.tolist())
        unit = tuple(
            float(np.nanmedian(of_kind)) if n else 0.0 for of_kind, n in zip(self.unit[chosen].T, numbers, strict=True)
        )
        return _Typical(unit, numbers, median_low(self.diallings[chosen].tolist()))


def _measured(release: Release) -> _Measured:
    lines = observed_lines(release.folder)
    numbers = _numbers_of_probes(release, lines.ids)
    return _Measured(
        lines=lines,
        unit=unit_variances(variance_parts(lines.sums, lines.tier), numbers),
        numbers=numbers,
        diallings=np.array([release.classes[line_id]["attempts"] for line_id in lines.ids]),
        errors=np.array([error for dimension, _, _, error in standard_errors(lines) if dimension == "line"]),
    )


def _numbers_of_probes(release: Release, ids: list[str]) -> Ints:
    """(lines, KINDS): probes of each line, whether or not they count in its total."""
    kinds, places = release.probe_kinds, {line_id: place for place, line_id in enumerate(ids)}
    numbers = np.zeros((len(ids), len(KINDS)), dtype=np.int64)
    of_probe, told_by = ["line_id", "channel", "unit_id"], "indicator_code_min"
    for rows in read_by_lines(release.folder, [*of_probe, "unit", "indicator_code"]):
        probes = rows.filter(pc.field("unit") == "probe").group_by(of_probe).aggregate([("indicator_code", "min")])
        counted = probes.group_by(["line_id", "channel", told_by]).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            if row["line_id"] in places:
                kind = kinds[row["channel"], row[told_by]]
                numbers[places[row["line_id"]], KINDS.index(kind)] += row["count_all"]
    return numbers
