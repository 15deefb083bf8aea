"""Characters that no name and no identifier may hold, because a reader cannot see or tell them.

Belongs here: classes of single characters. Does not belong here: which letters a person's name may have
(`corrections/names.py`), personal data (`ingest/personal.py`).
"""

import re
import unicodedata

# Default_Ignorable_Code_Point of Unicode, which `unicodedata` does not know, and the blank braille pattern.
# The ranges include code points that are reserved for future invisible characters.
BLANK = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BLANK = re.compile(f"[{BLANK}]")
# control, format, surrogate, private use, unassigned; separators of lines and paragraphs
_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def unusable_character(text: str) -> str | None:
    """The first character that cannot be seen or has no agreed meaning; None where there is none.

    Spaces of any width pass: callers that forbid them compare with what they allow.
    """
    return next(
        (each for each in text if unicodedata.category(each) in _CATEGORIES or each == "\ufffd" or _BLANK.match(each)),
        None,
    )


def code_point(character: str) -> str:
    """A character as messages name it: `U+034F COMBINING GRAPHEME JOINER`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()
