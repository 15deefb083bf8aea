"""What the change of a set's mean between two waves is made of: matched lines, entries and exits.

m1 - m0 = [m1(M)-m0(M)] + nE/n1 (m1(E)-m1(M)) - nL/n0 (m0(L)-m0(M)), for the lines M that both waves
scored, E that only the later and L that only the earlier one did (docs/method.md, Changes between
waves). In whole nanopoints, so that the parts sum to the change without a residual.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from dagster_project.statistics.decomposition import rounded


@dataclass(frozen=True)
class SetChange:
    """Parts of a change in nanopoints; they sum to the later mean minus the earlier one, each half up."""

    n_matched: int
    n_entry: int
    n_exit: int
    matched: int
    entry: int
    exit: int


def set_change(before: Mapping[str, int], after: Mapping[str, int]) -> SetChange | None:
    """The parts of a set's change, from the scores of its lines in nanopoints; None where no line is matched.

    What the rounding of both means leaves (a nanopoint) is added to the matched part.
    """
    matched = before.keys() & after.keys()
    entry, exit_ = after.keys() - matched, before.keys() - matched
    if not matched:
        return None
    mean_before, mean_after = _mean(before, matched), _mean(after, matched)
    entered = Fraction(len(entry), len(after)) * (_mean(after, entry) - mean_after) if entry else Fraction(0)
    left = -Fraction(len(exit_), len(before)) * (_mean(before, exit_) - mean_before) if exit_ else Fraction(0)
    change = _rounded(_mean(after, after)) - _rounded(_mean(before, before))
    parts = _rounded(entered), _rounded(left)
    return SetChange(len(matched), len(entry), len(exit_), change - sum(parts), *parts)


def _mean(scores: Mapping[str, int], lines: Collection[str]) -> Fraction:
    return Fraction(sum(scores[line] for line in lines), len(lines))


def _rounded(value: Fraction) -> int:
    return rounded(value.numerator, value.denominator)
