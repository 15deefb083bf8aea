"""The claims that a sentence can make about figures, and whether they hold.

Belongs here: the types of claim and their arithmetic, as pure functions of figures and rankings.
Does not belong here: reading files, and the wording of sentences.

Everything is computed from printed values in Decimal or Fraction, so that a reader can redo it.
A claim about a figure that has no value does not hold.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, ClassVar, Protocol

from dagster_project.release.comparability import NOT_COMPARABLE
from dagster_project.rounding import CENT, half_up, share

Row = Mapping[str, Any]
NONE = "—"
WHOLE_CENTI = 10000
OPERATORS: dict[str, tuple[str, Callable[[Decimal, Decimal], bool]]] = {
    "above": (">", operator.gt),
    "at_least": ("≥", operator.ge),
    "below": ("<", operator.lt),
    "at_most": ("≤", operator.le),
}


@dataclass(frozen=True)
class World:
    """What claims are held against.

    `figures`: {id: value, unit, k, n, change, growth_pct and, where known, baseline, comparability,
    comparable_change, footnote; `of` and `minus` for a figure that is the difference of two others}.
    `rankings`: {group: rows with unit_code, unit_name, rank, published}.
    """

    figures: Mapping[str, Row]
    rankings: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def number(self, figure: str, name: str = "value") -> Decimal | None:
        value = self.figures.get(figure, {}).get(name)
        return None if value is None else Decimal(value)

    def whole(self, figure: str, name: str) -> int | None:
        value = self.figures.get(figure, {}).get(name)
        return None if value is None else int(value)

    def unit(self, figure: str) -> str:
        return str(self.figures.get(figure, {}).get("unit") or "")

    def change(self, figure: str) -> Decimal | None:
        """Printed value minus the baseline's; where the baseline's is not at hand, the stated change."""
        value, before = self.number(figure), self.number(figure, "baseline")
        if value is not None and before is not None:
            return value - before
        return self.number(figure, "change")

    def growth(self, figure: str) -> Decimal | None:
        """Change in per cent of the baseline's printed value; None where that is not above zero."""
        value, before = self.number(figure), self.number(figure, "baseline")
        if value is not None and before is not None:
            return half_up(100 * Fraction(value - before) / Fraction(before)) if before > 0 else None
        return self.number(figure, "growth_pct")

    def is_comparable(self, figure: str) -> bool:
        """Whether the sign of the plain change can be told without a qualifier.

        It can where the change on comparable basis has the same one. Without such a change, it can where
        nothing says that the waves are not comparable.
        """
        plain, comparable = self.change(figure), self.number(figure, "comparable_change")
        if plain is None:
            return True
        if comparable is None:
            return self.figures[figure].get("comparability") != NOT_COMPARABLE
        return _sign(plain) == _sign(comparable)

    def is_plain(self, figure: str) -> bool:
        """Whether the plain change is all there is to say: comparable, and the same on comparable basis."""
        comparable = self.number(figure, "comparable_change")
        return self.is_comparable(figure) and comparable in (None, self.change(figure))


@dataclass(frozen=True)
class Verdict:
    """One claim, judged. `claimed` and `computed` as printed."""

    type: str
    figures: tuple[str, ...]
    claimed: str
    computed: str
    holds: bool

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "figures": list(self.figures)}


Stated = tuple[str, str, Decimal]  # figure, what of it, claimed value


class Claim(Protocol):
    """One claim of a sentence."""

    type: ClassVar[str]

    def judge(self, world: World) -> Verdict: ...

    def stated(self) -> list[Stated]:
        """The values that it gives to figures: two sentences may not give one figure two."""


# --- arithmetic --------------------------------------------------------------------------------


def numerators(percent: Decimal, n: int) -> list[int]:
    """Every whole k that prints as this share of n."""
    middle = int(Fraction(percent) * n / 100)
    reach = n // WHOLE_CENTI + 1
    return [k for k in range(max(0, middle - reach), min(n, middle + reach) + 1) if share(k, n) == percent]


def whole_parts(shares: Sequence[Decimal], n: int) -> list[int] | None:
    """Whole numbers that sum to n and print as these shares by largest remainders; None if there are none."""
    centi = [int(each * 100) for each in shares]
    if any(each != Decimal(part) * CENT for each, part in zip(shares, centi, strict=True)):
        return None
    if sum(centi) != WHOLE_CENTI or min(centi) < 0:
        return None
    nearest = _largest_remainders([Fraction(each * n, WHOLE_CENTI) for each in centi])
    if is_printed(nearest, n, centi):
        return nearest
    if n > 2 * WHOLE_CENTI:
        return None  # from there on the nearest numbers always print so
    ranges = [[k for k in range(n + 1) if abs(WHOLE_CENTI * k - part * n) < n] for part in centi]
    return next((found for found in _sums(ranges, n) if is_printed(found, n, centi)), None)


def is_printed(parts: Sequence[int], n: int, centi: Sequence[int]) -> bool:
    """Whether largest-remainder rounding may print these parts of n as these hundredths; ties fall either way."""
    raised: list[int] = []
    kept: list[int] = []
    for k, part in zip(parts, centi, strict=True):
        floor, remainder = divmod(WHOLE_CENTI * k, n)
        if part - floor not in (0, 1):
            return False
        (raised if part > floor else kept).append(remainder)
    return sum(parts) == n and sum(centi) == WHOLE_CENTI and (not raised or not kept or min(raised) >= max(kept))


def _sign(value: Decimal) -> int:
    return (value > 0) - (value < 0)


def _largest_remainders(exact: list[Fraction]) -> list[int]:
    floors = [int(each) for each in exact]
    missing = int(sum(exact)) - sum(floors)
    by_remainder = sorted(range(len(exact)), key=lambda at: floors[at] - exact[at])
    return [floor + (at in by_remainder[:missing]) for at, floor in enumerate(floors)]


def _sums(ranges: list[list[int]], total: int) -> Iterator[list[int]]:
    """Every choice of one number per range that sums to `total`."""
    if not ranges:
        if total == 0:
            yield []
        return
    low, high = sum(each[0] for each in ranges[1:] if each), sum(each[-1] for each in ranges[1:] if each)
    for first in ranges[0]:
        if low <= total - first <= high:
            for rest in _sums(ranges[1:], total - first):
                yield [first, *rest]


# --- numbers as text ---------------------------------------------------------------------------


def printed(value: Decimal | None, unit: str = "") -> str:
    """Two decimals, none for a count; a dash where there is no value."""
    if value is None:
        return NONE
    return f"{value:f}" if unit == "count" and value == value.to_integral_value() else f"{_two_decimals(value):f}"


def signed(value: Decimal | None, unit: str = "") -> str:
    return printed(value, unit) if value is None or value <= 0 else f"+{printed(value, unit)}"


def _two_decimals(value: Decimal) -> Decimal:
    """At least two decimals; a claim that has more keeps them, to be seen."""
    exponent = value.as_tuple().exponent
    return value.quantize(CENT, ROUND_HALF_UP) if not isinstance(exponent, int) or exponent > -2 else value


# --- the types ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """A figure's printed value."""

    type: ClassVar[str] = "level"
    figure: str
    value: Decimal

    def judge(self, world: World) -> Verdict:
        computed, unit = world.number(self.figure), world.unit(self.figure)
        holds = computed == self.value
        return Verdict(self.type, (self.figure,), printed(self.value, unit), printed(computed, unit), holds)

    def stated(self) -> list[Stated]:
        return [(self.figure, "value", self.value)]


@dataclass(frozen=True)
class Count:
    """A whole number of things, and of how many; it is also the numerator, where the figure has one."""

    type: ClassVar[str] = "count"
    figure: str
    value: int
    n: int | None = None

    def judge(self, world: World) -> Verdict:
        computed, k, n = world.number(self.figure), world.whole(self.figure, "k"), world.whole(self.figure, "n")
        holds = computed == self.value and k in (None, self.value) and self.n in (None, n)
        text = printed(computed, "count")
        if k is not None and computed != k:
            text += f"; k={k}"
        claimed = str(self.value)
        if self.n is not None:
            claimed, text = f"{claimed}/{self.n}", f"{text}/{NONE if n is None else n}"
        return Verdict(self.type, (self.figure,), claimed, text, holds)

    def stated(self) -> list[Stated]:
        return [(self.figure, "value", Decimal(self.value))]


@dataclass(frozen=True)
class Difference:
    """Change against the baseline: points, percentage points or things. `before`, `after`: both ends, where told."""

    type: ClassVar[str] = "difference"
    figure: str
    value: Decimal | None = None
    direction: str | None = None  # up, down, same
    before: Decimal | None = None
    after: Decimal | None = None

    def judge(self, world: World) -> Verdict:
        unit = world.unit(self.figure)
        change = world.change(self.figure)
        was, now = world.number(self.figure, "baseline"), world.number(self.figure)
        holds = (
            change is not None
            and self.value in (None, change)
            and self.direction in (None, DIRECTIONS[_sign(change)])
            and self.before in (None, was)
            and self.after in (None, now)
        )
        has_ends = (self.before, self.after) != (None, None)
        said = [
            *([signed(self.value, unit)] if self.value is not None else []),
            *([self.direction] if self.direction else []),
            *([f"{_end(self.before, unit)} → {_end(self.after, unit)}"] if has_ends else []),
        ]
        ends = "" if was is None else f" ({printed(was, unit)} → {printed(now, unit)})"
        return Verdict(self.type, (self.figure,), "; ".join(said), f"{signed(change, unit)}{ends}", holds)

    def stated(self) -> list[Stated]:
        each = (("change", self.value), ("baseline", self.before), ("value", self.after))
        return [(self.figure, what, value) for what, value in each if value is not None]


DIRECTIONS = {1: "up", 0: "same", -1: "down"}


def _end(value: Decimal | None, unit: str) -> str:
    return "?" if value is None else printed(value, unit)


@dataclass(frozen=True)
class Growth:
    """Change in per cent of the baseline's printed value."""

    type: ClassVar[str] = "growth"
    figure: str
    value: Decimal

    def judge(self, world: World) -> Verdict:
        computed = world.growth(self.figure)
        text = NONE if computed is None else f"{signed(computed)}%"
        return Verdict(self.type, (self.figure,), f"{signed(self.value)}%", text, computed == self.value)

    def stated(self) -> list[Stated]:
        return [(self.figure, "growth", self.value)]


@dataclass(frozen=True)
class Share:
    """k of n in per cent. With an n of its own and no k: some whole k must print so."""

    type: ClassVar[str] = "share"
    figure: str | None
    value: Decimal
    k: int | None = None
    n: int | None = None

    def judge(self, world: World) -> Verdict:
        figure = self.figure or ""
        k, n = self.k, self.n
        if n is None or n == world.whole(figure, "n"):
            n = world.whole(figure, "n") if n is None else n
            k = world.whole(figure, "k") if k is None else k
        told = "" if n is None else f" ({'k' if k is None else k}/{n})"
        claimed = f"{printed(self.value)}%{told}"
        known = world.number(figure)
        agrees = known in (None, self.value)
        figures = (self.figure,) if self.figure else ()
        if not n:
            return Verdict(self.type, figures, claimed, f"{printed(known)}; k/n {NONE}", False)
        if k is not None:
            is_adjusted = bool(world.figures.get(figure, {}).get("footnote"))
            holds = share(k, n) == self.value or (is_adjusted and abs(self.value * n - 100 * k) < n * CENT)
            text = f"{printed(share(k, n))}% ({k}/{n})" if agrees else f"{printed(known)}%"
            return Verdict(self.type, figures, claimed, text, holds and agrees and 0 <= k <= n)
        fitting = numerators(self.value, n)
        if not fitting:
            below = min(n, int(Fraction(self.value) * n / 100))
            near = [each for each in (below, below + 1) if 0 <= each <= n]
            text = ", ".join(f"{each}/{n} = {printed(share(each, n))}%" for each in near)
        else:
            text = f"{fitting[0]}/{n} = {printed(share(fitting[0], n))}%"
        return Verdict(self.type, figures, claimed, text if agrees else f"{printed(known)}%", bool(fitting) and agrees)

    def stated(self) -> list[Stated]:
        return [(self.figure, "value", self.value)] if self.figure else []


@dataclass(frozen=True)
class Partition:
    """Parts of one whole: shares that sum to 100.00, or counts that sum to n."""

    type: ClassVar[str] = "partition"
    figures: tuple[str, ...]
    values: tuple[Decimal, ...] | None = None  # as claimed; None: the figures' own
    n: int | None = None

    def judge(self, world: World) -> Verdict:
        known = [world.number(figure) for figure in self.figures]
        told = known if self.values is None else list(self.values)
        values = [each for each in told if each is not None]
        are_counts = all(world.unit(figure) == "count" for figure in self.figures)
        unit = "count" if are_counts else ""
        ks = [world.whole(figure, "k") for figure in self.figures]
        ns = {world.whole(figure, "n") for figure in self.figures}
        own = ns.pop() if len(ns) == 1 else None
        n = self.n or own
        claimed = " + ".join(printed(each, unit) for each in told) + (f" (n={n})" if n else "")
        if len(values) < len(told):
            return Verdict(self.type, self.figures, claimed, NONE, False)
        agrees = all(mine in (None, value) for mine, value in zip(known, values, strict=True))
        total = sum(values, Decimal(0))
        text = f"Σ = {printed(total, unit)}"
        if are_counts:
            return Verdict(self.type, self.figures, claimed, text, agrees and n is not None and total == n)
        holds = total == 100
        if holds and n:
            parts = [each for each in ks if each is not None]
            if len(parts) == len(ks) and n == own:
                holds = is_printed(parts, n, [int(each * 100) for each in values])
                text += f"; {' + '.join(map(str, parts))} = {sum(parts)}"
            else:
                found = whole_parts(values, n)
                holds = found is not None
                text += f"; {' + '.join(map(str, found))} = {n}" if found else f"; k/{n} {NONE}"
        return Verdict(self.type, self.figures, claimed, text, agrees and holds)

    def stated(self) -> list[Stated]:
        return [(figure, "value", value) for figure, value in zip(self.figures, self.values or (), strict=False)]


@dataclass(frozen=True)
class Rank:
    """The place of a unit, by code or by a name that only one unit has, in a group."""

    type: ClassVar[str] = "rank"
    group: str
    unit: str
    rank: int

    def judge(self, world: World) -> Verdict:
        rows = world.rankings.get(self.group, ())
        found = [row for row in rows if row["unit_code"] == self.unit] or [
            row for row in rows if row["unit_name"] == self.unit
        ]
        claimed, figures = f"{self.unit}: {self.rank}", (f"ranking.{self.group}",)
        if len(found) != 1 or found[0]["rank"] is None:
            return Verdict(self.type, figures, claimed, NONE, False)
        own = found[0]["published"]
        computed = 1 + sum(row["published"] > own for row in rows if row["rank"] is not None)
        holds = computed == self.rank == found[0]["rank"]
        return Verdict(self.type, figures, claimed, f"{self.unit}: {computed}", holds)

    def stated(self) -> list[Stated]:
        return [(f"ranking.{self.group}.{self.unit}", "rank", Decimal(self.rank))]


@dataclass(frozen=True)
class RankSet:
    """The places that a unit, by its code, could have: its own 95 % set in a group."""

    type: ClassVar[str] = "rank_set"
    group: str
    unit: str
    low: int
    high: int

    def judge(self, world: World) -> Verdict:
        found = [row for row in world.rankings.get(self.group, ()) if row["unit_code"] == self.unit]
        claimed, figures = f"{self.unit}: {self.low}-{self.high}", (f"ranking.{self.group}",)
        if len(found) != 1 or found[0].get("rank_low") is None:
            return Verdict(self.type, figures, claimed, NONE, False)
        low, high = found[0]["rank_low"], found[0]["rank_high"]
        return Verdict(self.type, figures, claimed, f"{self.unit}: {low}-{high}", (low, high) == (self.low, self.high))

    def stated(self) -> list[Stated]:
        name = f"ranking.{self.group}.{self.unit}"
        return [(name, "rank_low", Decimal(self.low)), (name, "rank_high", Decimal(self.high))]


@dataclass(frozen=True)
class Ordering:
    """Figures that rise or fall in the order in which they are named.

    Where a value is not known, a figure that is the difference of two of them decides for these two.
    """

    type: ClassVar[str] = "ordering"
    figures: tuple[str, ...]
    direction: str  # increasing, decreasing
    is_strict: bool = True

    def judge(self, world: World) -> Verdict:
        steps = [
            (first, second, self._step(world, first, second))
            for at, first in enumerate(self.figures)
            for second in self.figures[at + 1 :]
        ]
        neighbours = dict(zip(self.figures, self.figures[1:], strict=False))
        broken = [(first, second, step) for first, second, step in steps if step is not None and not self._fits(step)]
        is_known = all(step is not None for first, second, step in steps if neighbours.get(first) == second)
        sign = {"increasing": "<", "decreasing": ">"}[self.direction] + ("" if self.is_strict else "=")
        if broken:
            text = "; ".join(f"{second} − {first} = {signed(step)}" for first, second, step in broken)
        else:
            text = ", ".join(printed(world.number(figure), world.unit(figure)) for figure in self.figures)
        claimed = f" {sign} ".join(self.figures)
        return Verdict(self.type, self.figures, claimed, text, is_known and not broken)

    def _fits(self, step: Decimal) -> bool:
        forward = step if self.direction == "increasing" else -step
        return forward > 0 if self.is_strict else forward >= 0

    @staticmethod
    def _step(world: World, first: str, second: str) -> Decimal | None:
        one, other = world.number(first), world.number(second)
        if one is not None and other is not None:
            return other - one
        for figure, row in world.figures.items():
            lead = world.number(figure)
            if lead is not None and (row.get("of"), row.get("minus")) == (second, first):
                return lead
            if lead is not None and (row.get("of"), row.get("minus")) == (first, second):
                return -lead
        return None

    def stated(self) -> list[Stated]:
        return []


@dataclass(frozen=True)
class Threshold:
    """A figure's value on one side of a bound."""

    type: ClassVar[str] = "threshold"
    figure: str
    operator: str  # of OPERATORS
    bound: Decimal

    def judge(self, world: World) -> Verdict:
        value, unit = world.number(self.figure), world.unit(self.figure)
        sign, compare = OPERATORS[self.operator]
        holds = value is not None and compare(value, self.bound)
        claimed = f"{sign} {printed(self.bound, unit)}"
        return Verdict(self.type, (self.figure,), claimed, printed(value, unit), holds)

    def stated(self) -> list[Stated]:
        return []
