"""What a line's change between two waves is made of: one score and one structure effect per indicator.

T1 - T0 = sum (e0+e1)/2 (x1-x0) + sum (e1-e0) ((x0+x1)/2 - (T0+T1)/2), over third-level indicators with
effective weight e and score x (docs/method.md, Changes between waves). In whole nanopoints, so that
the effects sum to the change without a residual.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WHOLE = 10**9  # an effective weight of one


@dataclass(frozen=True)
class Leaf:
    """A third-level indicator of a line: score in nanopoints (None: NA), effective weight in billionths."""

    score: int | None
    weight: int


@dataclass(frozen=True)
class Effect:
    """What an indicator added to the change of the total, in nanopoints.

    `score`: by another score at the mean of both weights. `structure`: by another weight, as where the
    indicator, or a sibling, was not observed in one of the waves.
    """

    score: int
    structure: int

    @property
    def contribution(self) -> int:
        return self.score + self.structure


def decompose(
    before: Mapping[str, Leaf], after: Mapping[str, Leaf], total_before: int, total_after: int
) -> dict[str, Effect]:
    """{indicator: effect}, in the order of `after` and then of what only `before` has.

    Contributions sum to `total_after - total_before` exactly: what the rounding of weights leaves (some
    hundred nanopoints) is added to the largest. An indicator that one wave lacks has no score effect.
    """
    nothing = Leaf(None, 0)
    effects = {
        code: _effect(before.get(code, nothing), after.get(code, nothing), total_before + total_after)
        for code in [*after, *(code for code in before if code not in after)]
    }
    residual = total_after - total_before - sum(effect.contribution for effect in effects.values())
    if residual and effects:
        largest = max(effects, key=lambda code: abs(effects[code].score))
        effects[largest] = Effect(effects[largest].score + residual, effects[largest].structure)
    return effects


def _effect(before: Leaf, after: Leaf, totals: int) -> Effect:
    # absent from one wave, it has there no weight, and so no score that could matter
    x0 = before.score if before.score is not None else after.score
    x1 = after.score if after.score is not None else before.score
    if x0 is None or x1 is None:
        return Effect(0, 0)
    return Effect(
        score=rounded((before.weight + after.weight) * (x1 - x0), 2 * WHOLE),
        structure=rounded((after.weight - before.weight) * (x0 + x1 - totals), 2 * WHOLE),
    )


def rounded(numerator: int, denominator: int) -> int:
    """Half away from zero: a loss is the negative of the gain that undoes it."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def printed(contributions: Mapping[str, int], change: int) -> dict[str, int]:
    """Contributions in hundredths of a point that sum to `change`, the printed one; by largest remainder.

    `contributions` in nanopoints. Equal remainders go by the order of the indicators.
    """
    unit = WHOLE // 100
    floors = {code: nano // unit for code, nano in contributions.items()}
    if not floors:
        return {}
    missing = change - sum(floors.values())
    by_remainder = sorted(contributions, key=lambda code: contributions[code] % unit, reverse=missing > 0)
    for number in range(abs(missing)):
        floors[by_remainder[number % len(by_remainder)]] += 1 if missing > 0 else -1
    return floors
