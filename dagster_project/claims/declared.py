"""Claims as a YAML file declares them.

Belongs here: which keys a claim of each type has, and what is told of a wrong one.
Does not belong here: whether a claim holds.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.claims.claim import (
    DIRECTIONS,
    OPERATORS,
    Claim,
    Count,
    Difference,
    Growth,
    Level,
    Ordering,
    Partition,
    Rank,
    RankSet,
    Share,
    Threshold,
    World,
)
from dagster_project.ingest.declaration import Declaration, read_declaration
from dagster_project.ingest.faults import shown

MAX_PARTS = 20  # of a partition or an ordering
MAX_N = 10**9


def read_yaml(path: Path, shown_as: str) -> Declaration:
    """The YAML mapping of a text's file. One that can not be read comes back empty, with the fault."""
    try:
        return read_declaration(path, shown_as)
    except OSError as error:
        fault = f"无法读取 / can not be read: {error.strerror}"
        return Declaration({}, shown_as, faults=[f"{shown_as}: {fault}"])


def each_of(yml: Declaration, key: str, default: Any = ...) -> list[Declaration]:
    """The mappings of the list under `key`."""
    content = yml.take(key, list, default) or []
    found = []
    for at, item in enumerate(content):
        place = f"{yml.at}{key}[{at}]"
        if isinstance(item, dict):
            found.append(Declaration(item, yml.file, f"{place}.", yml.faults))
        else:
            yml.fault(f"{key}[{at}]", "应为映射", "must be a mapping")
    return found


def claims_under(yml: Declaration, key: str = "claims") -> list[tuple[Claim, str | None]]:
    """The claims listed under `key`, each with the words of the text that make it, where it says them."""
    return [found for each in each_of(yml, key, []) if (found := _claim(each)) is not None]


def require_known(yml: Declaration, key: str, claim: Claim, world: World) -> None:
    """Tell the figures and the group that a claim names and that there are not."""
    figure: str | None = getattr(claim, "figure", None)
    figures: tuple[str, ...] = getattr(claim, "figures", ())
    for each in (figure,) if figure is not None else figures:
        if each not in world.figures:
            yml.fault(key, f"没有指标「{shown(each)}」", "there is no such figure")
    group: str | None = getattr(claim, "group", None)
    if group is not None and group not in world.rankings:
        yml.fault(key, f"没有排名「{shown(group)}」", "there is no such ranking")


def number(yml: Declaration, key: str, default: Any = ...) -> Decimal | None:
    """A number with the digits that the file shows."""
    value = yml.take(key, float, default)
    if value is None or isinstance(value, Decimal):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        yml.fault(key, "应为有限的数字", "must be a finite number")
        return None
    if abs(value) > MAX_N:
        yml.fault(key, "数字过大", "the number is too large")
        return None
    return Decimal(repr(value))


def whole(yml: Declaration, key: str, minimum: int = 0, default: Any = ...) -> int | None:
    value: int | None = yml.take(key, int, default)
    if value is not None and not minimum <= value <= MAX_N:
        yml.fault(key, f"{value} 超出范围 {minimum}..{MAX_N}", f"outside {minimum}..{MAX_N}")
        return None
    return value


def _claim(yml: Declaration) -> tuple[Claim, str | None] | None:
    name: str | None = yml.take("type", str, choices=tuple(TYPES))
    words: str | None = yml.take("printed", str, None)
    if name is None:
        return None
    n_faults = len(yml.faults)
    claim = TYPES[name](yml)
    yml.close()
    return (claim, words) if len(yml.faults) == n_faults else None


def _difference(yml: Declaration) -> Difference:
    claim = Difference(
        yml.take("figure", str),
        number(yml, "value", None),
        yml.take("direction", str, None, tuple(DIRECTIONS.values())),
        number(yml, "from", None),
        number(yml, "to", None),
    )
    if (claim.value, claim.direction, claim.before, claim.after) == (None, None, None, None):
        yml.fault("value", "须有 value、direction、from 或 to", "needs value, direction, from or to")
    return claim


def _share(yml: Declaration) -> Share:
    claim = Share(
        yml.take("figure", str, None), _value(yml), whole(yml, "k", default=None), whole(yml, "n", 1, default=None)
    )
    if claim.figure is None and claim.n is None:
        yml.fault("n", "未指明 figure 时须有 n", "needed where no figure is named")
    if claim.k is not None and claim.n is None:
        yml.fault("n", "有 k 时须有 n", "needed where there is a k")
    return claim


def _partition(yml: Declaration) -> Partition:
    figures = _figures(yml)
    values: tuple[Decimal, ...] | None = None
    given = yml.take("values", list, None)
    if given is not None:
        if len(given) != len(figures):
            yml.fault("values", "应与 figures 一一对应", "one for each of figures")
        items = Declaration({str(at): item for at, item in enumerate(given)}, yml.file, f"{yml.at}values.", yml.faults)
        found = [number(items, str(at)) for at in range(len(given))]
        values = tuple(each for each in found if each is not None)
    return Partition(figures, values, whole(yml, "n", 1, default=None))


def _ordering(yml: Declaration) -> Ordering:
    return Ordering(
        _figures(yml),
        yml.take("direction", str, choices=("increasing", "decreasing")),
        yml.take("strict", bool, True),
    )


def _threshold(yml: Declaration) -> Threshold:
    return Threshold(yml.take("figure", str), yml.take("operator", str, choices=tuple(OPERATORS)), _value(yml, "bound"))


def _figures(yml: Declaration) -> tuple[str, ...]:
    given = yml.take("figures", list) or []
    names = tuple(each for each in given if isinstance(each, str))
    if not 2 <= len(given) <= MAX_PARTS or len(set(names)) < len(given):
        yml.fault(
            "figures", f"应为 2 至 {MAX_PARTS} 个不同的指标编号", f"must be 2 to {MAX_PARTS} different figure ids"
        )
    return names


def _value(yml: Declaration, key: str = "value") -> Decimal:
    value = number(yml, key)
    return Decimal(0) if value is None else value  # its fault is told


TYPES: dict[str, Callable[[Declaration], Claim]] = {
    "level": lambda yml: Level(yml.take("figure", str), _value(yml)),
    "difference": _difference,
    "growth": lambda yml: Growth(yml.take("figure", str), _value(yml)),
    "share": _share,
    "partition": _partition,
    "count": lambda yml: Count(yml.take("figure", str), whole(yml, "value") or 0, whole(yml, "n", 1, default=None)),
    "rank": lambda yml: Rank(yml.take("group", str), yml.take("unit", str), whole(yml, "rank", 1) or 0),
    "rank_set": lambda yml: RankSet(
        yml.take("group", str), yml.take("unit", str), whole(yml, "low", 1) or 0, whole(yml, "high", 1) or 0
    ),
    "ordering": _ordering,
    "threshold": _threshold,
}
