"""Persons' names: what a name may hold, and which names cannot be told apart.

Belongs here: names as text. Does not belong here: who may ask or approve (`people.py`), the rules between
entries of the ledger (`ledger.py`).

Two comparisons:
  cannot_be_told_apart  of undeclared persons: by spelling, reading and word order. It refuses some pairs of
                        different persons; declaring them settles it.
  skeleton              of declared persons, whose names are written once: equal where two names look alike.
"""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dagster_project.characters import code_point, unusable_character

MAX_NAME = 80
MAX_WORDS = 8
MAX_SPELLINGS = 400  # of one name: a Chinese character can have several readings
SEPARATORS = " -'’.·・,()（），、"
TITLES = re.compile(
    r"先生|女士|小姐|老师|同志|主任|处长|科长|局长|经理|博士|教授|某|总|工|^[小老阿](?=.$)"
    r"|\b(?:mr|mrs|ms|dr|prof|jr|sr|ii|iii|iv)\b",
    re.IGNORECASE,
)
# Letters that look like another, or like two. Spellings are compared with all of them replaced.
LOOK_ALIKE = str.maketrans({"w": "uu", "v": "u", "m": "rn", "d": "ci", "l": "i"})
VOWELS = set("aeiouv")
DECLARE = "请在 raw/people.csv 中登记经办人"
DECLARE_EN = "declare the persons in raw/people.csv"


def name_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with the form of a person's name, in Chinese and in English; None where nothing is.

    A name has letters (Chinese characters among them), accents on letters, digits, spaces and a few signs.
    """
    if len(name) > MAX_NAME:
        return f"超过 {MAX_NAME} 个字符", f"longer than {MAX_NAME} characters"
    wrong = unusable_character(name) or next(_impossible(name), None)
    if wrong is not None:
        return f"姓名中不能有字符 {code_point(wrong)},请删去", f"a name cannot hold {code_point(wrong)}; delete it"
    if not any(_is_letter(each) for each in name):
        return "姓名中没有文字", "a name must have a letter"
    return None


def comparison_fault(name: str) -> tuple[str, str] | None:
    """Why a well-formed name cannot be compared with others, in Chinese and in English; None where it can.

    Only Latin letters and Chinese characters with a known reading can: another script would hide a name.
    """
    wrong = next((each for each in name if (_readings if _is_chinese(each) else _letters)(each) is None), None)
    if wrong is not None:
        return (
            f"「{wrong}」({code_point(wrong)})既非拉丁字母,也非有已知读音的汉字,无法与他人的姓名比较;{DECLARE}",
            f"{code_point(wrong)} is neither a Latin letter nor a Chinese character of known reading: the name "
            f"cannot be compared with others; {DECLARE_EN}",
        )
    weighty = [each for each in name if each in SEPARATORS or _letters(each) != ""]
    if any(
        _is_chinese(each) != _is_chinese(after)
        for each, after in itertools.pairwise(weighty)
        if each not in SEPARATORS and after not in SEPARATORS
    ):
        return (
            f"汉字与拉丁字母须以空格分开;{DECLARE}",
            f"put a space between Chinese characters and Latin letters, or {DECLARE_EN}",
        )
    words = _words(name)
    if not words:
        return "除称谓外没有姓名", "there is no name but a title"
    if len(words) > MAX_WORDS or math.prod(len(each.pinyin) for each in words) > MAX_SPELLINGS:
        return f"姓名过长或读法过多,无法比较;{DECLARE}", f"the name is too long to compare; {DECLARE_EN}"
    return None


def cannot_be_told_apart(one: str, other: str) -> bool:
    """Whether two names without a `comparison_fault` may be one person's.

    So they are where the words of one, in any order and division, are among the words of the other; where one
    abbreviates the other; and where one has a letter less, or a digit in place of each letter that it lacks.
    Chinese characters count by their readings, letters by what they look like. So accents, case, hyphens, titles
    and suffixes do not matter.
    """
    first, second = _words(one), _words(other)
    return (
        _is_among(first, second)
        or _is_among(second, first)
        or _abbreviates(first, second)
        or _abbreviates(second, first)
        or _is_short_of(first, second, 1 + _n_digits(one))
        or _is_short_of(second, first, 1 + _n_digits(other))
    )


def skeleton(text: str) -> str:
    """The text as it looks (Unicode TR39): equal for texts that differ by look-alikes, accents, case or separators."""
    letters = "".join(_prototype(each) for each in _decomposed(text) if not _is_mark(each) and each not in SEPARATORS)
    return "".join(each for each in _decomposed(letters) if not _is_mark(each)).translate({ord("i"): "l"})


# --- words ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Word:
    """A word in Latin letters, or one Chinese character: the ways to spell it."""

    pinyin: tuple[str, ...]
    wade_giles: tuple[str, ...]


@cache
def _words(name: str) -> tuple[_Word, ...]:
    """The words of a name without titles and, where there are others, without initials."""
    words: list[_Word] = []
    latin = ""
    for each in TITLES.sub(" ", name) + " ":
        if _is_chinese(each) or each in SEPARATORS:
            words += [_Word((latin,), (latin,))] if latin else []
            latin = ""
        if _is_chinese(each):
            words.append(_readings(each) or _Word((), ()))
        else:
            latin += _letters(each) or ""
    longer = tuple(each for each in words if max(map(len, each.pinyin), default=0) > 1)
    return longer or tuple(words)


def _is_among(words: Sequence[_Word], others: Sequence[_Word]) -> bool:
    """Whether some of the other words have the same letters together, or one run of letters holds every word."""
    if not _spellings(words).isdisjoint(
        spelling
        for count in range(1, len(others) + 1)
        for some in itertools.combinations(others, count)
        for spelling in _spellings(some)
    ):
        return True
    return any(_holds(run, spelled) for run in _runs(others) for spelled in _spelled(words, "pinyin"))


def _spellings(words: Sequence[_Word]) -> set[str]:
    """The letters of the words in alphabetical order, once for every way to spell them."""
    return {
        "".join(sorted("".join(each).translate(LOOK_ALIKE)))
        for system in ("pinyin", "wade_giles")
        for each in _spelled(words, system)
    }


def _spelled(words: Sequence[_Word], system: str) -> Iterator[tuple[str, ...]]:
    return itertools.product(*(getattr(each, system) for each in words))


def _runs(words: Sequence[_Word]) -> set[str]:
    """Every way to write the words without spaces."""
    return {"".join(each) for each in _spelled(words, "pinyin")}


def _holds(run: str, words: Sequence[str]) -> bool:
    """Whether every word occurs in the letters of `run`, none in the place of another; the longest first."""
    left = run.translate(LOOK_ALIKE)
    for each in sorted((word.translate(LOOK_ALIKE) for word in words), key=len, reverse=True):
        if each not in left:
            return False
        left = left.replace(each, " ", 1)
    return True


def _abbreviates(words: Sequence[_Word], others: Sequence[_Word]) -> bool:
    """Whether words without a vowel, or of one letter, have no letter that the others lack."""
    short = "".join(each.pinyin[0] for each in words)
    if not all(
        len(each.pinyin) == 1 and (len(each.pinyin[0]) == 1 or not set(each.pinyin[0]) & VOWELS) for each in words
    ):
        return False
    return any(not Counter(short) - Counter(run) for run in _runs(others))


def _is_short_of(words: Sequence[_Word], others: Sequence[_Word], count: int) -> bool:
    """Whether the words lack at most `count` letters of the others and have no other letter: Wag Wu, W4ng Wu."""
    return any(
        not Counter(run) - Counter(other) and (Counter(other) - Counter(run)).total() <= count
        for run in _runs(words)
        for other in _runs(others)
    )


def _n_digits(name: str) -> int:
    return sum(unicodedata.category(each) == "Nd" for each in name)


# --- characters ---------------------------------------------------------------------------------


def _impossible(name: str) -> Iterator[str]:
    before = ""
    for each in name:
        is_mark_of_letter = unicodedata.category(each) in ("Mn", "Mc") and (_is_letter(before) or _is_mark(before))
        if not (_is_letter(each) or each in SEPARATORS or unicodedata.category(each) == "Nd" or is_mark_of_letter):
            yield each
        before = each


def _is_letter(character: str) -> bool:
    return character == "〇" or (character != "" and unicodedata.category(character)[0] == "L")


def _is_mark(character: str) -> bool:
    return character != "" and unicodedata.category(character)[0] == "M"


def _decomposed(text: str) -> str:
    """Compatibility forms, case and accents taken apart."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


@cache
def _letters(character: str) -> str | None:
    """The letter a to z that a character stands for, "" for an accent, a digit or a separator; None: unknown."""
    letters = ""
    for each in _decomposed(character):
        if _is_mark(each) or each in SEPARATORS or unicodedata.category(each) == "Nd":
            continue
        latin = each if each.isascii() else _latin_look_alike(each)
        if not (latin.isascii() and latin.isalpha()):
            return None
        letters += latin
    # two letters in one are a letter that an honest spelling does not need
    return letters if len(letters) < 2 else None


def _latin_look_alike(letter: str) -> str:
    """The ASCII letter that a Latin letter without a decomposition looks like; itself where there are none."""
    if not unicodedata.name(letter, "").startswith("LATIN"):
        return letter
    return "".join(each for each in _decomposed(_prototype(letter)) if not _is_mark(each))


def _is_chinese(character: str) -> bool:
    return character == "〇" or unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")


@cache
def _readings(character: str) -> _Word | None:
    """How a Chinese character is spelled; None where no reading is known."""
    # slow to import, and needed only where somebody corrects
    from pypinyin import Style, pinyin

    systems = []
    for style in (Style.NORMAL, Style.WADEGILES):
        readings = pinyin(character, style=style, heteronym=True, errors="ignore")
        if not readings:
            return None
        spelled = {"".join(filter(str.isalpha, _decomposed(each))) for each in readings[0]}
        # ü is written v, u or yu
        systems.append(tuple(sorted(spelled | {each.replace("v", "yu") for each in spelled})))
    return _Word(*systems)


def _prototype(character: str) -> str:
    """What Unicode TR39 lists a character to look like; itself where it lists nothing."""
    # 1 MB of JSON, needed only for names with other letters than a to z and for raw/people.csv
    from confusable_homoglyphs.confusables import confusables_data

    listed = [each["c"] for each in confusables_data.get(character, ())]
    # a prototype lists all that look like it, each of those lists the prototype alone
    if len(listed) != 1:
        return character
    if len(confusables_data.get(listed[0], ())) == 1:
        return min(character, listed[0])
    return str(listed[0]).replace("\u200e", "")
