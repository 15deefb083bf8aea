"""The one way to round what is printed: half up to 8 decimals, then half up to 2 (docs/method.md, arithmetic).

Belongs here: exact numbers to printed ones. Does not belong here: SQL (`dbt/macros/arithmetic.sql`) and the
page of other weights (`report/static/whatif.js`), which do the same in whole numbers.
"""

from decimal import Decimal
from fractions import Fraction

CENT = Decimal("0.01")


def half_up(value: Fraction) -> Decimal:
    """The value to 8 decimals, then to 2, halves away from zero."""
    centi = half_up_whole(Fraction(half_up_whole(abs(value) * 10**8), 10**6))
    return (Decimal(centi) if value >= 0 else -Decimal(centi)) * CENT


def share(k: int, n: int) -> Decimal:
    """k of n in per cent, as printed."""
    return half_up(Fraction(100 * k, n))


def half_up_whole(value: Fraction) -> int:
    """A value not below zero, to a whole number."""
    return int((2 * value + 1) // 2)
