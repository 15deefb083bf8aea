"""How far line classes hang on their thresholds: lines per class under moved ones, calls to another class.

Whole numbers throughout; the rules are the method's (`line_class_rules.csv`), the first that holds decides.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

REACH = 5  # per cent by which a threshold is moved, down and up


@dataclass(frozen=True)
class Rule:
    """`test`: no_attempts, none_connected, rate_below (with `below_pct`) or otherwise."""

    line_class: str
    test: str
    below_pct: int | None = None

    def holds(self, attempts: int, connected: int) -> bool:
        """Raises ValueError for a test that is none."""
        match self.test:
            case "no_attempts":
                return attempts == 0
            case "none_connected":
                return connected == 0
            case "rate_below" if self.below_pct is not None:
                return 100 * connected < self.below_pct * attempts
            case "otherwise":
                return True
        raise ValueError(f"{self.line_class}: {self.test}")


@dataclass(frozen=True)
class Setting:
    """Lines per class where the upper bound of class `threshold` is `below_pct`, the other rules being as they are."""

    threshold: str
    below_pct: int
    n_lines: dict[str, int]


@dataclass(frozen=True)
class Margin:
    """How many calls of the same number would have had to go the other way for another class; None: no number does.

    `misses`: connected ones that fail. `hits`: failed ones that connect.
    """

    misses: int | None
    hits: int | None


def line_class(rules: Sequence[Rule], attempts: int, connected: int) -> str:
    """Class by the first rule that holds. Raises ValueError where none does."""
    for rule in rules:
        if rule.holds(attempts, connected):
            return rule.line_class
    raise ValueError(f"no class for {connected} of {attempts}")


def moved_thresholds(rules: Sequence[Rule], counts: Iterable[tuple[int, int]]) -> list[Setting]:
    """Each threshold moved by up to REACH per cent, within 1 to 100. `counts`: (attempts, connected) per line."""
    n_lines = Counter(counts)
    settings = []
    for number, rule in enumerate(rules):
        if rule.below_pct is None:
            continue
        for below_pct in range(max(rule.below_pct - REACH, 1), min(rule.below_pct + REACH, 100) + 1):
            moved = [*rules[:number], replace(rule, below_pct=below_pct), *rules[number + 1 :]]
            found = dict.fromkeys((each.line_class for each in rules), 0)
            for (attempts, connected), n in n_lines.items():
                found[line_class(moved, attempts, connected)] += n
            settings.append(Setting(rule.line_class, below_pct, found))
    return settings


def margin(rules: Sequence[Rule], attempts: int, connected: int) -> Margin:
    """The fewest calls that decide a line's class; the number of calls stays."""
    own = line_class(rules, attempts, connected)
    misses = (n for n in range(1, connected + 1) if line_class(rules, attempts, connected - n) != own)
    hits = (n for n in range(1, attempts - connected + 1) if line_class(rules, attempts, connected + n) != own)
    return Margin(next(misses, None), next(hits, None))
