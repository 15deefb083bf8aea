"""What the words and digits of a sentence say, next to the claims that it makes.

Belongs here: words of direction, and the numbers of a text. Does not belong here: whether a claim
holds by its figures (`claim.py`).
"""

import re
from collections.abc import Iterable
from decimal import Decimal

from dagster_project.claims.claim import Claim, Difference, Growth, Row, Verdict, World, signed

# Words that say which way a change went, and what must stand beside them where the basis is not comparable.
UP_WORDS = ("提升", "提高", "上升", "升高", "升至", "增长", "增加")
DOWN_WORDS = ("下降", "降低", "降至", "减少", "回落", "下滑")
QUALIFIERS = ("不可比", "可比口径")
NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
NAME = "12345"  # what the hotlines are called


# A set of ranks is wide where it holds more than this share of a table, and more than two places.
WIDE_SHARE = Decimal("0.1")


def place_words(row: Row, n_ranked: int) -> str:
    """The place of a row of a ranking: 第5名, or 第5–23名之间 where its 95 % set is too wide for a bare rank."""
    if row["rank"] is None:
        return "未排名"
    if is_wide(row, n_ranked):
        return f"第{row['rank_low']}–{row['rank_high']}名之间"
    return f"第{row['rank']}名" + ("（并列）" if row["is_tied"] else "")


def is_wide(row: Row, n_ranked: int) -> bool:
    """Whether the set of ranks of a row is too wide for its rank to be told alone. No set is not wide."""
    low, high = row.get("rank_low"), row.get("rank_high")
    return low is not None and high is not None and high - low >= 2 and high - low + 1 > WIDE_SHARE * n_ranked


def numbers_of(text: str) -> list[Decimal]:
    """The numbers that a text shows, without signs; the name of the hotlines is none."""
    return [Decimal(each.replace(",", "")) for each in NUMBER.findall(text.replace(NAME, ""))]


def unbound_numbers(text: str, claims: Iterable[tuple[Claim, str | None]]) -> list[Decimal]:
    """The numbers of a text that no claim states, by its value or by the words that it names."""
    stated: set[Decimal] = set()
    for claim, words in claims:
        stated.update(abs(value) for _, _, value in claim.stated())
        stated.update(numbers_of(words or ""))
    return [each for each in numbers_of(text) if each not in stated]


def unsaid(claim: Claim, words: str | None, text: str) -> str | None:
    """What a claim states and the text does not say: the words that it names, or one of its numbers."""
    if words is not None:
        return None if words in text else words
    said = set(numbers_of(text))
    return next((f"{abs(value)}" for _, _, value in claim.stated() if abs(value) not in said), None)


def judged(claim: Claim, text: str, world: World) -> list[Verdict]:
    """The verdict on a claim, and where `text` puts its change into wrong words, that on the words."""
    misworded = wording(claim, text, world)
    return [claim.judge(world), *([misworded] if misworded is not None and not misworded.holds else [])]


def wording(claim: Claim, text: str, world: World) -> Verdict | None:
    """Whether `text` may use the words of direction that it uses for a change; None where it uses none.

    Words of one direction only must be those of the change. Where the change on comparable basis has
    another sign, no word of direction may stand without its qualifier.
    """
    if not isinstance(claim, Difference | Growth):
        return None
    ups, downs = ([word for word in words if word in text] for words in (UP_WORDS, DOWN_WORDS))
    change = world.change(claim.figure)
    if not (ups or downs) or change is None:
        return None
    unit = world.unit(claim.figure)
    computed = signed(change, unit)
    fits = not (ups and not downs and change <= 0) and not (downs and not ups and change >= 0)
    if not world.is_comparable(claim.figure):
        comparable = world.number(claim.figure, "comparable_change")
        computed += f"; 可比口径 {signed(comparable, unit)}"
        fits = fits and any(word in text for word in QUALIFIERS)
    said = "、".join(f"「{word}」" for word in (*ups, *downs))
    return Verdict(claim.type, (claim.figure,), said, computed, fits)
