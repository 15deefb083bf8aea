"""A change as it is told: the plain difference, and beside it what can be compared.

Belongs here: when the plain number may stand alone, and what stands beside it where it may not. Does
not belong here: how a number is printed, which each form of the report does in its own way.
"""

from collections.abc import Callable
from typing import Any

from dagster_project.release.comparability import NOT_COMPARABLE
from dagster_project.release.reading import Row


def told(row: Row, printed: Callable[[Any], str]) -> str:
    """`+0.12`; `-2.63（可比 +0.98）` where another number can be compared; `-2.63（不可比）` where none can.

    `row` has change, and where its release has them comparability and comparable_change.
    """
    plain, comparable = row["change"], row.get("comparable_change")
    if comparable is not None and comparable != plain:
        return f"{'–' if plain is None else printed(plain)}（可比 {printed(comparable)}）"
    if plain is not None and row.get("comparability") == NOT_COMPARABLE:
        return f"{printed(plain)}（不可比）"
    return printed(plain)


def is_plain(row: Row) -> bool:
    """Whether the plain change is all there is to say of it: then an arrow may show its direction."""
    return row.get("comparability") != NOT_COMPARABLE and row.get("comparable_change") in (None, row["change"])
