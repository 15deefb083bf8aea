"""Personal data on its way in: which written forms are recognised, how they are masked, and what is keyed.

Belongs here: the forms, the codes that may name a coder, masks, keys. Does not belong here: which columns a
vendor's export drops or keys (`raw/profiles/`), the verdict on a row (`rows.py`). docs/security.md lists the
forms and what they cannot tell.

A text is compared in plain form: compatibility characters and numerals of every script as ASCII, invisible
characters removed. Check digits decide where a number has one. Every search takes time linear in the text.

A column that a profile drops is read past: nothing of it is written anywhere, quarantine included.
A keyed column leaves as HMAC-SHA-256, which without the secret cannot be tried out number by number
(a plain hash of a mobile number falls within the hour).
"""

import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import pyarrow as pa

from dagster_project.characters import unusable_character
from dagster_project.errors import UsageError
from dagster_project.paths import secret

MIN_SECRET = 32  # characters: what `openssl rand -hex 16` gives
HIDDEN = "•"
Span = tuple[int, int]


@dataclass(frozen=True)
class Prefixes:
    """Codes of lines that identifiers begin with, which makes digits something else than they look like.

    `of_keys`: a number after such a code may have the digits of any telephone number. `of_tickets`: no identity
    or bank card begins so, but a telephone number may.
    """

    of_keys: tuple[str, ...] = ()
    of_tickets: tuple[str, ...] = ()

    def number_tickets(self, number: str) -> bool:
        return number.startswith(self.of_keys) or number.startswith(self.of_tickets)


NO_PREFIXES = Prefixes()

# --- plain form --------------------------------------------------------------------------------

# Signs that are written for the check digit X, and for zero.
_LOOK_ALIKE = {**dict.fromkeys("ХхΧχ×✕✖╳", "X"), **dict.fromkeys("○◯⭕", "0")}


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character in _LOOK_ALIKE:
        return _LOOK_ALIKE[character]
    if character.isspace():
        return " "
    number = unicodedata.numeric(character, -1)
    if number in range(10):  # of any script, Chinese numerals and circled digits included
        return str(int(number))
    if unusable_character(character) or unicodedata.category(character) in ("Mn", "Me"):
        return ""
    normal = unicodedata.normalize("NFKC", character)
    return normal if normal == character else "".join(map(_plain_character, normal))


def _plain(text: str) -> tuple[str, list[int] | None]:
    """(plain form, position in `text` of each of its characters; None where they are the same)."""
    if text.isascii() and text.isprintable():
        return text, None
    pieces = [(_plain_character(character), position) for position, character in enumerate(text)]
    return "".join(piece for piece, _ in pieces), [position for piece, position in pieces for _ in piece]


# --- numbers -----------------------------------------------------------------------------------

_GAP = r"[^0-9A-Za-z]{1,6}"
_GAPS = r"[^0-9A-Za-z]{0,6}"
# digit groups and what separates them; an identity card may end in X. No letter is a separator, and + begins a number.
_GROUPS = re.compile(r"[0-9]+(?:(?:[^\w+]|_){1,6}[0-9]+)*(?:(?:[^\w+]|_){0,6}[Xx](?![0-9A-Za-z]))?")
_RUN = re.compile(r"[0-9]+(?:[Xx](?![0-9A-Za-z]))?")
_GROUP = re.compile(r"[0-9]+|[\W_]+")
# what is dialled before a mobile number: country, trunk, or a carrier's prefix for cheap calls
_DIALLED = r"(?:(?:00)?860?|0|125(?:20|93)|179[0-9]{2}|10193)?"
_MOBILE = re.compile(rf"{_DIALLED}1[3-9][0-9]{{9}}")
_MOBILE_GROUPED = re.compile(r"(?<![0-9])1[3-9][0-9][\W_]{1,6}[0-9]{4}[\W_]{1,6}[0-9]{4}(?![0-9])")
_MOBILE_SPACED = re.compile(r"(?<![0-9])1[\W_]{1,6}[3-9](?:[\W_]{1,6}[0-9]){9}(?![0-9])")
_AREA = r"(?:10|2[0-57-9]|[3-9][0-9]{2})"
# the day of a ticket that begins with an area code: 021-20240101-0126
_DAY = r"20(?:1[5-9]|2[0-9]|3[0-9])(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_LANDLINE = re.compile(
    rf"(?<![0-9])(?:(?:00)?86[\W_]{{0,6}}0?|0){_AREA}[\W_]{{1,6}}"
    rf"(?!{_DAY}(?![0-9]))(?:[1-9][0-9]{{6,7}}|[1-9][0-9]{{2,3}}[\W_]{{1,6}}[0-9]{{4}})(?![0-9])"
)
# without a separator; the last kind without a leading 1, which times (0310 1345 001) have
_LANDLINE_RUN = re.compile(
    r"(?:(?:00)?86)?(?:0(?:10|2[0-57-9])[1-9][0-9]{7}|0[3-9][0-9]{2}[1-9][0-9]{7}|0[3-9][0-9]{2}[2-9][0-9]{6})"
)
_ABROAD = re.compile(r"00(?:852|853|886)[0-9]{8,9}")
# letters that are typed or recognised for 0 and 1, among digits and not only before them
_TYPED = re.compile(r"(?<![0-9A-Za-z])[0-9OoIl](?:[\W_]{0,3}[0-9OoIl]){9,24}[Xx]?(?![0-9A-Za-z])")
_TYPED_LETTER = re.compile(r"[0-9][\W_]{0,3}[OoIl]")
_AS_DIGITS = str.maketrans("OoIl", "0011")
_PROVINCES = frozenset(
    map(
        str,
        [
            *range(11, 16),
            *range(21, 24),
            *range(31, 38),
            *range(41, 47),
            *range(50, 55),
            *range(61, 66),
            71,
            81,
            82,
            83,
        ],
    )
)
# prefectures without counties, whose own code is on cards; Hong Kong, Macau and Taiwan
_OF_CARDS = frozenset(("441900", "442000", "460300", "460400", "620200", "810000", "820000", "830000"))
# Tickets are dated in the years of waves, and people who phone were born before.
_FIRST_TICKET_YEAR = 2010
_FIRST_YEAR_OF_TICKETS_ONLY = 2020  # who was born since phones no hotline
_CARD = re.compile(
    r"(?:62[0-9]{14,17}|81[0-9]{14}|4[0-9]{15}|5[1-5][0-9]{14}|3[47][0-9]{13}|36[0-9]{12}"
    r"|35[2-8][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|955[89][0-9]{12,15})"
)
_CARD_GROUPED = re.compile(r"(?<![0-9])(?:[0-9]{4}[\W_]{1,6}){3}[0-9]{1,4}(?:[\W_]{1,6}[0-9]{1,3})?(?![0-9])")


def _is_date(text: str) -> bool:
    """Whether YYYYMMDD is a day of 1900 to 2039."""
    try:
        return 1900 <= date(int(text[:4]), int(text[4:6]), int(text[6:])).year < 2040
    except ValueError:
        return False


def _is_identity_card(number: str, prefixes: Prefixes) -> bool:
    """Whether 18 or 15 digits are an identity card's, by region, birthday and check digit (GB 11643).

    What begins with a line's code and a day on which tickets are given is a ticket. A birthday before that
    needs no right check digit: the number is mistyped, and still a person's.
    """
    region = number[:6]
    is_county = region[4:] != "00" or region in _OF_CARDS
    if len(number) == 15:
        # issued until 1999; times such as yymmddhhmmss have a smaller number in the place of the year
        return (
            number.isdigit() and number[6] >= "3" and is_county and _is_date(f"19{number[6:12]}") and _is_region(region)
        )
    if len(number) != 18 or not _is_date(number[6:14]) or not (region[:2] in _PROVINCES or number[0] == "9"):
        return False
    from stdnum.cn.ric import calc_check_digit  # 50 ms, which most runs do not need

    is_right = calc_check_digit(number) == number[-1].upper()
    if number[0] == "9":  # residence permit of a foreigner
        return is_right
    if int(number[6:10]) >= _FIRST_YEAR_OF_TICKETS_ONLY:
        return False
    if int(number[6:10]) < _FIRST_TICKET_YEAR:
        return is_right or is_county
    return is_right and is_county and _is_region(region) and not prefixes.number_tickets(number)


def _is_region(region: str) -> bool:
    """Whether a division of China has, or had, this code."""
    from stdnum import numdb

    return sum(1 for _, found in numdb.get("cn/loc").info(region) if found) == 2


def _is_bank_card(number: str, prefixes: Prefixes, is_grouped: bool = False) -> bool:
    """Whether the digits are a bank card's: issuer, length, check digit (Luhn; not asked of UnionPay's in fours)."""
    from stdnum import luhn

    if not _CARD.fullmatch(number) or prefixes.number_tickets(number):
        return False
    if any(number[place : place + 2] == "20" and _is_date(number[place : place + 8]) for place in (2, 4, 6)):
        return False  # a ticket: division, day, running number
    if "2015" <= f"20{number[6:8]}" < "2040" and _is_date(f"20{number[6:12]}") and _is_region(number[:6]):
        return False  # the same with a year of two digits
    return (is_grouped and number.startswith("62")) or luhn.is_valid(number)


def _is_persons(number: str, prefixes: Prefixes) -> bool:
    """Whether a run of digits is a telephone, identity card or bank card number."""
    if len(number) < 11:
        return False
    is_dialled = _MOBILE.fullmatch(number) or _LANDLINE_RUN.fullmatch(number) or _ABROAD.fullmatch(number)
    if is_dialled:
        return not number.startswith(prefixes.of_keys)
    return _is_identity_card(number, prefixes) or _is_bank_card(number, prefixes)


def _numbers(text: str, prefixes: Prefixes) -> Iterator[Span]:
    """Places of telephone, identity card and bank card numbers."""
    if text.isdigit():  # as many numbers of tickets
        if _is_persons(text, prefixes):
            yield 0, len(text)
        return
    for found in _GROUPS.finditer(text):
        whole, start = found[0], found.start()
        if len(whole) < 8:
            continue
        for run in _RUN.finditer(whole):
            number = run[0] if len(run[0]) in (15, 18) else run[0].rstrip("Xx")
            if _is_persons(number, prefixes):
                yield start + run.start(), start + run.start() + len(number)
        groups = _GROUP.findall(whole)
        if len(groups) == 1 and text[start - 1 : start] != "+":
            continue
        for form in (_MOBILE_GROUPED, _MOBILE_SPACED, _LANDLINE):
            yield from ((start + each.start(), start + each.end()) for each in form.finditer(whole))
        for each in _CARD_GROUPED.finditer(whole):
            if _is_bank_card(re.sub(r"[^0-9]", "", each[0]), prefixes, is_grouped=True):
                yield start + each.start(), start + each.end()
        if len(whole) <= 80 and _is_persons_grouped(
            groups, whole, text[max(0, start - 4) : start].rstrip(" (").endswith("+"), prefixes
        ):
            yield found.span()


def _is_persons_grouped(groups: list[str], whole: str, has_plus: bool, prefixes: Prefixes) -> bool:
    """Whether digits in groups of any size are one number that is a person's.

    A code of a division and what follows it, times and lists are not one number.
    """
    number = re.sub(r"[^0-9Xx]", "", whole)
    if has_plus and 8 <= len(number) <= 15:
        return True
    sizes = [len(each) for each in groups if each.isdigit()]
    gaps = {each for each in groups if not each.isdigit()}
    is_list = len(gaps) > 3 or any(set(each) & set("、,;") for each in gaps)
    is_time = sizes[:3] in ([2, 2, 2], [4, 2, 2], [4, 1, 2], [4, 1, 1], [4, 2, 1])
    # a division and a counter; seconds since 1970 and a counter
    is_counted = sizes[0] == 6 or sizes == [10, 1]
    if not (is_list or is_time or is_counted) and _MOBILE.fullmatch(number):
        return not number.startswith(prefixes.of_keys)
    if _is_identity_card(number, prefixes):
        return True
    # a server, and its seconds since 1970: pbx8-1641007268.46137
    is_one_number = sizes[0] >= 3 or max(sizes) <= 2
    return is_one_number and not is_list and not is_time and _is_bank_card(number, prefixes)


# --- other forms -------------------------------------------------------------------------------

_AT = r"(?:\s{0,3}@\s{0,3}|\s{0,3}[(\[{<]\s?(?:at|@|#)\s?[)\]}>]\s{0,3})"
_SPELT_AT = r"(?:\s{1,3}at\s{1,3}|\s?艾特\s?|#)"
_LABEL = r"(?:[^\W点]|-)+"
_DOMAINS = "(?:com|cn|net|org|edu|gov|hk|mo|tw|me|io|cc|co|vip|top|info)"
_DOT = r"(?:\s?[.。]\s?|\s?[(\[{<]\s?(?:dot|[.。]|点)\s?[)\]}>]\s?|\s{1,3}dot\s{1,3}|点)"
_MAIL = re.compile(
    rf"(?<![\w.%+-])[\w.%+-]+(?:{_AT}{_LABEL}(?:{_DOT}{_LABEL})+"
    rf"|{_SPELT_AT}{_LABEL}(?:{_DOT}{_LABEL})*{_DOT}{_DOMAINS}(?![0-9A-Za-z]))",
    re.IGNORECASE,
)
_OCTET = r"0{0,2}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_STOP = r"(?:[.。]| [.。] |\[\.\]|\(\.\))"
_IPV4 = re.compile(rf"(?<![0-9])(?<![0-9][.。])(?:{_OCTET}{_STOP}){{3}}{_OCTET}(?![.。]?[0-9])")
_IPV6 = re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f:.]{6,46}(?![0-9A-Za-z])")
_DOCUMENT = re.compile(
    # passports, permits for Hong Kong, Macau and Taiwan: letters and 7 to 10 digits
    r"(?<![0-9A-Za-z])(?:[EGHMCWTL][\W_]{0,3}([0-9]{4}[\W_]?[0-9]{4})|[HM][\W_]{0,3}([0-9]{10})"
    r"|(?:E[A-Z]|C[A-Z]|[DSP]E?)[\W_]{0,3}([0-9]{7}))(?![0-9A-Za-z])",
    re.IGNORECASE,
)
# a counter, a year and a counter, a day and a counter
_SERIAL = re.compile(r"00|20(?:1[5-9]|2[0-9]|3[0-9])|(?:1[5-9]|2[0-9])(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_RESIDENT = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{3}([0-9]{12})(?![0-9A-Za-z])")  # foreigners', until 2023
_LABELLED = re.compile(
    r"(?:电话|手机|座机|身份证|护照|证件|卡号)(?:号码|号)?[\s:是为]{0,3}((?:[A-Za-z][\W_]?)?[0-9](?:[\W_]?[0-9]){6,17}[Xx]?)(?![0-9])"
)
_MOBILE_TYPED = re.compile(rf"(?:{_DIALLED}1[3-9][0-9]{{9}}|1[3-9][0-9](?:[\W_]{{1,3}}[0-9]{{4}}){{2}})")
# Hong Kong: A123456(3); without brackets it is too much like a counter
_HONG_KONG = re.compile(r"(?<![0-9A-Za-z])([A-Za-z]{1,2}) ?([0-9]{6}) ?[(\[{] ?([0-9Aa]) ?[)\]}]")
# accounts that say what they are; Latin letters alone before digits begin a ticket's number
_ACCOUNT = re.compile(
    r"(?:(?<![0-9A-Za-z])qq(?:\s?号码?|\s?[:：])\s?|(?<![0-9A-Za-z])qq\s|(?:扣扣|企鹅)号?\s?[:：]?\s?)([1-9][0-9]{4,10})(?![0-9A-Za-z])"
    r"|微信号?(?:id)?\s?[:：是为]?\s?([A-Za-z][\w-]{5,19}|1[0-9]{10})(?![\w-])"
    r"|(?<![0-9A-Za-z])(?:wx|wechat|weixin|vx)(?:\s?号|\s?id)?\s?[:：]\s?([A-Za-z][\w-]{5,19})(?![\w-])"
    r"|(?<![0-9A-Za-z])(wxid_[0-9a-z]{6,20})(?![0-9A-Za-z])",
    re.IGNORECASE | re.ASCII,
)
_HASH = re.compile(
    r"(?<![0-9A-Za-z])(?:k?[0-9a-f]{32,}|[0-9A-F]{32,}|[0-9a-f]{24}"
    r"|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?![0-9A-Za-z])"
)


def _others(text: str) -> Iterator[Span]:
    """Places of mail addresses, IP addresses, passports and permits, and numbers that say what they are."""
    is_ascii = text.isascii()
    for each in _TYPED.finditer(text) if _TYPED_LETTER.search(text) else ():
        typed = each[0].translate(_AS_DIGITS)
        if _TYPED_LETTER.search(each[0]) and (_MOBILE_TYPED.fullmatch(typed) or _is_identity_card(typed, NO_PREFIXES)):
            yield each.span()
    yield from (each.span() for each in _HONG_KONG.finditer(text) if _has_hong_kong_digit(each[1], each[2], each[3]))
    yield from (each.span(each.lastindex or 0) for each in _ACCOUNT.finditer(text) if each[1] != "12345")
    if "@" in text or "#" in text or "at" in text.lower() or not is_ascii:
        yield from (each.span() for each in _MAIL.finditer(text))
    for each in _IPV4.finditer(text) if text.count(".") >= 3 or not is_ascii else ():
        is_version = text[each.start() - 1 : each.start()] in ("v", "V")
        if not is_version or max(map(int, re.findall("[0-9]+", each[0]))) > 99:
            yield each.span()
    for each in _IPV6.finditer(text) if text.count(":") >= 2 else ():
        yield from _ipv6(each[0], each.start())
    for each in _DOCUMENT.finditer(text):
        digits = re.sub(r"[^0-9]", "", each[1] or each[2] or each[3])
        # a province, prefecture or city that belongs to none, and a counter
        is_of_line = digits[:2] in _PROVINCES and (digits[4:6] == "00" or digits[2:4] == "90")
        if not (_SERIAL.match(digits) or is_of_line or (each[3] and digits[0] == "0")):
            yield each.span()
    for each in _RESIDENT.finditer(text):
        # born 1932 to 1999: smaller numbers are days of months
        if each[1][:2] in _PROVINCES and each[1][4:6] > "31" and _is_date(f"19{each[1][4:10]}"):
            yield each.span()
    for each in _LABELLED.finditer(text) if not is_ascii else ():
        if not _SERIAL.match(re.sub(r"[^0-9]", "", each[1])):
            yield each.span(1)


def _has_hong_kong_digit(letters: str, digits: str, check: str) -> bool:
    """Whether a Hong Kong identity card has the right check digit."""
    values = [36 if each == " " else ord(each) - 55 for each in letters.upper().rjust(2)] + [*map(int, digits)]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return (total + (10 if check in "Aa" else int(check))) % 11 == 0


def _ipv6(text: str, start: int) -> Iterator[Span]:
    stripped = text.rstrip(".")
    if stripped.startswith(":") and not stripped.startswith("::"):
        stripped, start = stripped[1:], start + 1
    if stripped.endswith(":") and not stripped.endswith("::"):
        stripped = stripped[:-1]
    try:
        ipaddress.IPv6Address(stripped)
    except ValueError:
        return
    if max(map(len, stripped.split(":"))) >= 3:  # ::1, and C::17 which is no address
        yield start, start + len(stripped)


# --- what is asked -----------------------------------------------------------------------------

# Every form in plain text has one of these. For Arrow, which searches a million words in half a second, so no
# lookaround, and numbers begin where a group of digits does: elsewhere the search takes fifty times as long.
_SIDE, _END, _START, _FINISH = r"(?:^|[^0-9])", r"(?:$|[^0-9])", r"(?:^|[^0-9A-Za-z])", r"(?:$|[^0-9A-Za-z])"
HINT = re.compile(
    "|".join(
        (
            rf"{_SIDE}(?:(?:(?:0{_GAPS}0{_GAPS})?8{_GAPS}6{_GAPS})?0?|1[0-9]{{4}}){_GAPS}1{_GAPS}[3-9](?:{_GAPS}[0-9]){{9}}{_END}",
            rf"{_SIDE}0[1-9][0-9]{{1,2}}(?:{_GAP}[1-9][0-9]{{2}}|[0-9]{{7,9}}{_END})",
            rf"{_SIDE}(?:00)?86{_GAPS}0?[1-9][0-9](?:{_GAPS}[0-9]){{6}}",
            rf"{_SIDE}00(?:852|853|886)[0-9]{{8}}",
            rf"\+{_GAPS}[0-9]",
            rf"{_SIDE}[1-9](?:{_GAPS}[0-9]){{5}}{_GAPS}(?:1{_GAPS}9|2{_GAPS}0)(?:{_GAPS}[0-9]){{4}}{_GAPS}[0-9]{_GAPS}[0-9]",
            rf"{_SIDE}[1-8](?:{_GAPS}[0-9]){{5}}{_GAPS}[3-9]{_GAPS}[0-9]{_GAPS}[01]{_GAPS}[0-9]{_GAPS}[0-3](?:{_GAPS}[0-9]){{4}}",
            rf"{_SIDE}(?:[3-6]|8{_GAPS}1|9{_GAPS}5)(?:{_GAPS}[0-9]){{12}}",
            r"@|#|[^0-9A-Za-z][aA][tT][^0-9A-Za-z]|艾特",
            r"[0-9][ \[(]?[.。][ \])]?[0-9]{1,3}[ \[(]?[.。]",
            r":[0-9A-Fa-f.]*:",
            rf"{_START}[EGHMCWTLeghmcwtl]{_GAPS}[0-9]{{4}}[^0-9A-Za-z]?[0-9]{{4}}(?:[0-9]{{2}})?{_FINISH}",
            rf"{_START}(?:[EeCc][A-Za-z]|[DSPdsp][Ee]?){_GAPS}[0-9]{{7}}{_FINISH}",
            rf"{_START}[A-Za-z]{{3}}[0-9]{{12}}{_FINISH}",
            r"电话|手机|座机|身份证|护照|证件|卡号|微信|扣扣|企鹅|[qQ][qQ][号:： ]|[wWvV][xX][iI号:： ]",
            r"[wW][eE](?:[cC][hH][aA][tT]|[iI][xX][iI][nN])",
            r"[0-9][^0-9A-Za-z]{0,3}[OoIl]",
            r"[A-Za-z] ?[0-9]{6} ?[(\[{]",
        )
    )
)
# Characters that are other than they seem in plain form: all but ASCII, Chinese that is no numeral, its punctuation.
UNPLAIN = "[^ -~、。一-\u9fff]|[一七三九二五亖仨伍兩八六叁参參叄四壱壹幺廾弌弍弎弐捌柒漆玖肆貮貳贰陆陸零]"


def _spans(text: str, prefixes: Prefixes = NO_PREFIXES) -> tuple[list[Span], list[int] | None]:
    """Where personal data is in the plain form of a text, and `_plain`'s positions."""
    plain, positions = _plain(text)
    if len(plain) >= 24:
        plain = _HASH.sub(lambda each: "z" * len(each[0]), plain)
    others = () if plain.isdigit() else _others(plain)  # digits alone, as many tickets are, have none
    return [*_numbers(plain, prefixes), *others], positions


def found_in(text: str, prefixes: Prefixes = NO_PREFIXES) -> bool:
    """Whether the text holds a telephone, identity card, bank card or passport number, a mail or IP address."""
    return bool(_spans(text, prefixes)[0])


def masked(text: str) -> str:
    """The text with its personal data dotted out, but for two characters to find it by."""
    spans, positions = _spans(text)
    if not spans:
        return text
    characters = list(text)
    for start, end in spans:
        places = range(start, end) if positions is None else range(positions[start], positions[end - 1] + 1)
        for number, place in enumerate(places):
            if number >= 2:
                characters[place] = HIDDEN
    return "".join(characters)


# What separates the numbers of our own sentences, and hashes, which hold no number.
_PARTS_OF_A_MESSAGE = re.compile(
    r"([()（）→;；,，/「」|\n]+|\b(?=[0-9a-f]*[a-f])(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b)"
)


def masked_message(text: str) -> str:
    """The sentences of a message with the personal data in them masked.

    `masked` joins digits across punctuation, as people write telephone numbers; in a message that would
    join figures: +3.58 (85.50 → 89.08). Cells that a message repeats are masked as a whole before (`faults.shown`).
    """
    return "".join(map(masked, _PARTS_OF_A_MESSAGE.split(text)))


# --- codes of persons --------------------------------------------------------------------------

# words that a code may have beside its number; any other word of more than three letters may be a name
_ROLES = (
    "coder|rater|reviewer|auditor|interviewer|agent|user|staff|emp|team|group|supervisor"
    "|编码员|编码|复核员|复核|审核员|访问员|访员|调查员|监测员|督导员|督导|质检员|质检|坐席|工号|编号|号|组"
)
_CODE = re.compile(rf"(?:(?:{_ROLES})|(?<![A-Za-z])[A-Za-z]{{1,3}}(?![A-Za-z])|[0-9]+|[-_./# ])+", re.IGNORECASE)
_ROLE = re.compile(_ROLES, re.IGNORECASE)
_KEY = re.compile(r"k[0-9a-f]{32}")
MAX_CODE = 32
# what a Chinese syllable of two or three letters is in pinyin, as surnames are: Li, Wu, Hu; Liu, Sun
_SYLLABLE = re.compile(
    r"(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])(?:a|o|e|i|u|v|ai|ei|ao|ou|an|en|ang|eng|ong|ia|ie|iu|in|ua|uo|ui|un|ue)|an|ai|ao|ou",
    re.IGNORECASE,
)


def is_name(text: str) -> bool:
    """Whether the text, where the code of a person should stand, may be a person's name.

    A code has a number, beside at most three letters in a row or a word such as `coder`, and no pinyin that
    may be a surname (`Li3`; `LI3` in capitals is a code). A role alone passes.
    """
    text = unicodedata.normalize("NFKC", text)
    if _KEY.fullmatch(text):
        return False
    if len(text) > MAX_CODE or not _CODE.fullmatch(text):
        return True
    if _ROLE.fullmatch(text):
        return False
    if not any(each in "0123456789" for each in text):
        return True
    letters = re.findall(r"[A-Za-z]+", _ROLE.sub("", text))
    return any(_SYLLABLE.fullmatch(each) and not (len(each) == 2 and each.isupper()) for each in letters)


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
