"""Personal data on its way in: what can be recognised, what is told of it, and what is keyed.

Belongs here: patterns, masks, keys. Does not belong here: which columns a vendor's export drops or
keys (`raw/profiles/`), the verdict on a row (`rows.py`).

A column that a profile drops is read past: nothing of it is written anywhere, quarantine included.
A keyed column leaves as HMAC-SHA-256, which without the secret cannot be tried out number by number
(a plain hash of a mobile number falls within the hour). All else is refused where it looks like
personal data, and what is told of a refused cell is masked. A person's name in a column of codes
can not be told from a wrong code: quarantine and messages show it, so they are not to be published.
"""

import hmac
import re
from collections.abc import Iterable

import pyarrow as pa

from dagster_project.errors import UsageError
from dagster_project.paths import secret

MIN_SECRET = 32  # characters: what `openssl rand -hex 16` gives
MOBILE = r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}(?![0-9])"
LANDLINE = r"(?<![0-9])0[1-9][0-9]{1,2}[- ][0-9]{7,8}(?![0-9])"
# region, birthday, serial number, check digit
IDENTITY_CARD = (
    r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
    r"(?![0-9A-Za-z])"
)
MAIL = r"[0-9A-Za-z._%+-]+@[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)+"
ADDRESS = r"(?<![0-9.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9.])"
PERSONAL = re.compile("|".join((IDENTITY_CARD, MOBILE, LANDLINE, MAIL, ADDRESS)))
# Every match has one of these: what most identifiers have not, and cheap to look for.
HINT = re.compile(r"[0-9]{7}|[0-9]{3}[- ][0-9]{4}[- ][0-9]{4}|@|[0-9]\.[0-9]{1,3}\.")
# A code of a person has a digit or is one Latin word; a name in Chinese or of several words has none.
PERSONS_NAME = re.compile(r"[^0-9]*[\u3400-\u9fff·][^0-9]*|[^\W\d]+(?: [^\W\d]+)+")
HIDDEN = "•"


def found_in(text: str, line_ids: Iterable[str] = ()) -> bool:
    """Whether the text holds a telephone number, identity card number, mail address or IP address.

    `line_ids`: codes that identifiers begin with. That of a line of Hebei and a number after it have
    the digits of a mobile number.
    """
    if not HINT.search(text):
        return False
    return any(not each[0].startswith(tuple(line_ids)) for each in PERSONAL.finditer(text))


def is_name(text: str) -> bool:
    """Whether the text, where the code of a person should stand, looks like a person's name."""
    return PERSONS_NAME.fullmatch(text) is not None


def masked(text: str) -> str:
    """The text with its personal data dotted out, but for two characters to find it by."""
    return PERSONAL.sub(lambda each: each[0][:2] + HIDDEN * (len(each[0]) - 2), text) if HINT.search(text) else text


def masked_name(text: str) -> str:
    return text[:1] + HIDDEN * (len(text) - 1)


# --- keys --------------------------------------------------------------------------------------


def require_key() -> bytes:
    """The secret of this installation. Raises UsageError where none is set, or one that can be guessed."""
    key = secret()
    if key is None or len(key) < MIN_SECRET:
        raise UsageError(
            f"档案要求对个人信息列加密钥(keyed: true),请在环境变量 HOTLINE_SECRET 中设置至少 {MIN_SECRET} 个字符的密钥,"
            "勿写入任何文件 / a profile keys personal data (keyed: true): set HOTLINE_SECRET in the environment to a "
            f"secret of at least {MIN_SECRET} characters (openssl rand -hex 32), and keep it out of every file"
        )
    return key.encode()


def keyed(texts: pa.Array, key: bytes) -> pa.Array:
    """Every text as HMAC-SHA-256 under the key: `k` and 128 bits in hexadecimal; null stays null."""
    distinct = texts.dictionary_encode()
    words = ["k" + hmac.digest(key, word.encode(), "sha256").hex()[:32] for word in distinct.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(distinct.indices)


def key_fingerprint() -> str:
    """What changes with the secret and does not tell it."""
    return hmac.digest((secret() or "").encode(), b"fingerprint of the key", "sha256").hex()
