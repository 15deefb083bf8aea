"""The written forms of personal data that are refused, and identifiers that look like some of them and are not.

The table of docs/security.md says the same in words.
"""

import random
import uuid
from collections.abc import Iterator

import pytest
from stdnum.cn.ric import calc_check_digit

from dagster_project.ingest.personal import HINT, Prefixes, _numbers, _others, found_in, masked
from dagster_project.paths import PROJECT

MOBILE, CARD, BANK = "13812345678", "11010519491231002X", "6222021234567890128"
DIGITS = "0123456789"
SCRIPTS = {
    "full width": "０１２３４５６７８９",
    "Arabic-Indic": "٠١٢٣٤٥٦٧٨٩",
    "Devanagari": "०१२३४५६७८९",
    "mathematical": "".join(map(chr, range(0x1D7CE, 0x1D7D8))),
    "circled": "⓪①②③④⑤⑥⑦⑧⑨",
    "superscript": "⁰¹²³⁴⁵⁶⁷⁸⁹",
    "Chinese": "〇一二三四五六七八九",
    "as spoken": "零幺二三四五六七八九",
    "as on cheques": "零壹贰叁肆伍陆柒捌玖",
    "circles": "○一二三四五六七八九",
}
SEPARATORS = " .-‐‑‒–—―−_/\\·•、,|:~*\u00a0\u2009\u3000\t"
INVISIBLE = "\u200b\u200d\u2060\u00ad\ufeff\ufe00\ufe0f\u034f\u3164\u115f\u2800\u17b4\U000e0020\u180b\ue5e5\u0304"


def with_check_digit(number: str) -> str:
    return number + calc_check_digit(number + "0")


def forms() -> Iterator[str]:
    for digits in SCRIPTS.values():
        yield MOBILE.translate(str.maketrans(DIGITS, digits))
        yield CARD.translate(str.maketrans(DIGITS, digits))
    for gap in SEPARATORS:
        yield from (
            f"138{gap}1234{gap}5678",
            f"110105{gap}19491231{gap}002X",
            f"6222{gap}0212{gap}3456{gap}7890{gap}128",
        )
    for mark in INVISIBLE:
        yield mark.join(MOBILE)
        yield f"zhang{mark}@{mark}example{mark}.com"
    yield from (
        "0086" + MOBILE, "+86" + MOBILE, "+86 (0)" + MOBILE, "(+86)138-1234-5678", "86-138-1234-5678", "0" + MOBILE,
        "12593" + MOBILE, "A" + MOBILE, MOBILE + "B", "GD" + MOBILE, f"联系{MOBILE}。", f"{MOBILE}/13912345678",
        "138 1234-5678", "13812 345678", "1381234 5678", "1 3 8 1 2 3 4 5 6 7 8", "1-3-8-1-2-3-4-5-6-7-8",
        "2023 138 1234 5678",
    )  # fmt: skip
    yield from (
        "(010)12345678", "（010）12345678", "【010】12345678", "01012345678", "053182041234", "05318204123",
        "0531-82041234",
        "0531 8204 1234", "010-12345678-801", "010-12345678转801", "+86 10 12345678", "86-10-12345678",
        "008601012345678",
        "+852 9123 4567", "+853 6612 3456", "+886 912 345 678", "+1 (415) 555-2671", "0085291234567",
        "2023-07-03 +852 91234567",
        "电话82041234", "手机号:1381234567",
    )  # fmt: skip
    yield from (
        CARD, CARD.lower(), *(CARD[:-1] + each for each in "ＸХх×Χ"), "110105 1949 1231 002X",
        "1101 0519 4912 3100 2X",
        "A" + CARD, CARD + "号", "身份证110105194912310021", "110105491231002", "110105 491231 002", "512301801231002",
        with_check_digit("44190019900307001"), with_check_digit("81000019940823002"),
        with_check_digit("91112419810803002"),
        with_check_digit("37010220150307001"),
    )  # fmt: skip
    yield from (
        BANK, "4111111111111111", "4111-1111-1111-1111", "5555555555554444", "378282246310005",
        "6222 0212 3456 7890 123",
        "622202 1234567890128",
    )  # fmt: skip
    yield from (
        "E12345678", "e12345678", "E 12345678", "E-1234 5678", "EA1234567", "G12345678", "D1234567", "S1234567",
        "P1234567",
        "PE1234567", "Ｅ１２３４５６７８", "护照E12345678", "H12345678", "M1234567890", "C12345678",
        "CA1234567", "W12345678",
        "T12345678", "L12345678", "FRA110090030701",
    )  # fmt: skip
    yield from (
        "192.0.2.7", "192．0．2．7", "192。0。2。7", "192 . 0 . 2 . 7", "192.0.2[.]7", "x192.0.2.7", "192.000.002.007",
        "来自192.0.2.7.", "2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "::ffff:192.0.2.7",
        "[2001:db8::1]:8080",
        "fe80::1%eth0", "2001：db8：：1", "IP:2001:db8::7",
    )  # fmt: skip
    yield from (
        "zhang@example.com", "zhang＠example.com", "zhang﹫example.com", "zhang @ example.com", "zhang(at)example.com",
        "zhang [at] example [dot] com", "zhang at example.com", "zhang at example dot com", "zhang@example。com",
        "138    1234    5678", "138 -- 1234 -- 5678", "138----12345678", "0086-10-65529988", "8610-65529988",
        "138I2345678", "l38l2345678", "138-OO13-8OOO", "13812345O78", "11O10519491231002X", "A123456(3)",
        "AB987654（3）", "a123456 [3]", "QQ:12345678", "qq 12345678", "QQ号12345678", "扣扣12345678",
        "微信号 zhangsan88", "微信:zhang_san", "wx: zhangsan88", "WeChat:zhangsan88", "wxid_abcdefgh123456",
        "zhang艾特qq点com", "zhang#qq.com", "张三@例子.中国", "ｚｈａｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ",
    )  # fmt: skip


@pytest.mark.parametrize("text", dict.fromkeys(forms()), ids=ascii)
def test_every_form_is_found_and_dotted_out(text: str) -> None:
    assert found_in(text)
    assert found_in(f"工单 {text} 。")
    hidden = masked(text)
    assert "•" in hidden
    assert not found_in(hidden)


LINES = tuple(
    row.split(",")[0] for row in (PROJECT / "raw/frames/lines_2023.csv").read_text(encoding="utf-8").splitlines()[1:]
)
OF_TICKETS = Prefixes(of_tickets=LINES)
COUNTIES = ("110105", "370102", "440103", "510104", "320505", "650102", "230103")  # of cards, and no line's code


def identifiers(chance: random.Random) -> Iterator[str]:
    """One of every kind of identifier that lines, vendors, switchboards and computers give."""
    line, number = chance.choice(LINES), chance.randint(1, 9999)
    day = f"2023{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    time = f"{chance.randint(0, 23):02}{chance.randint(0, 59):02}{chance.randint(0, 59):02}"
    yield from (
        f"P2023-{line}-{number % 100:02}", f"D2023-{line}-{number % 1000:03}", f"D2023-{line}-{number:05}",
        f"{line}{day}{number:04}", f"{line}{day}{number % 1000:03}", f"{line}{day[2:]}{number:04}",
        f"{line}-{day}-{number:04}",
        f"{line}-{number:04}", f"{line[:2]}{day}{number:05}", f"{day}{time}{number % 1000:03}",
        f"{day}{time}{number:04}",
        f"{day}{number:04}", f"{day[2:]}{time}{number % 1000:03}",
        f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}",
        f"GD{day}{number:04}", f"GD2023{number:06}", f"GDS{day}{number:04}", f"WTS{day[2:]}{time}",
        f"T{day}{number:04}",
        f"W{day}", f"京{day}{number:05}", f"[2023]第{number}号", f"SZ{day[2:]}{number:05}", f"12345-{line}-{number:06}",
        f"P{line}{number % 10}", f"P{number:07}", f"A-{number:05}", f"{number}", f"{number:010}",
        f"v1.{number % 20}.{number % 7}", f"1.{number % 20}.{number % 7}", f"v2.{number % 20}.{number % 7}.1",
        str(uuid.UUID(int=chance.getrandbits(128))), uuid.UUID(int=chance.getrandbits(128)).hex,
        f"{1_680_000_000 + chance.randint(0, 9_999_999)}.{number}", f"{1_680_000_000_000 + chance.randint(0, 10**10)}",
        f"REC_{day}_{time}_{number:04}.wav", f"rec-{day}-{time}-{line}.mp3", f"/rec/2023/07/03/{time}_{number}.wav",
        f"pbx{number % 9 + 1}-{1_680_000_000 + chance.randint(0, 9_999_999)}.{number:05}",
        f"{chance.choice(COUNTIES)}{day}{number:04}", f"{chance.choice(COUNTIES)}-{day}-{number:04}",
        f"{chance.choice(COUNTIES)}{day[2:]}{number:03}", f"{chance.choice(COUNTIES)}{day[2:]}{number:04}",
        f"021-{day}-{number:04}", f"010-{day}", f"wx{day}{number:04}", f"QQ{day}{number:04}", f"WX-{number:06}",
        f"微信公众号{number:05}", "微信12345", f"O{day}{number:04}", f"I{day[2:]}{number:04}", f"l{number:010}",
        f"A{number:06}(甲)", "".join(chance.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=26)),
        f"SIP/8001-{number:08x}", f"S{number % 20:02}", f"2023年{number % 12 + 1}月{number % 28 + 1}日",
    )  # fmt: skip


def test_identifiers_are_not_taken_for_personal_data() -> None:
    """Of 180,000 identifiers none is refused."""
    chance = random.Random(20230703)
    refused = {each for _ in range(3000) for each in identifiers(chance) if found_in(each, OF_TICKETS)}
    assert refused == set()


def test_of_undated_numbers_few_have_the_check_digits_of_a_bank_card() -> None:
    """What cannot be told apart: one in a hundred random numbers of sixteen digits is a card's."""
    chance = random.Random(20230703)
    numbers = [str(chance.randint(10**15, 10**16 - 1)) for _ in range(20_000)]
    assert 0 < sum(map(found_in, numbers)) < 500


@pytest.mark.parametrize(
    "ticket", ["110000202307030012", "220200202404120014", "370100202406300016", "451400202405200015"]
)
def test_a_ticket_that_begins_with_a_line_and_a_day_is_no_identity_card(ticket: str) -> None:
    for number in range(90):
        assert not found_in(f"{ticket[:16]}{number:02}", OF_TICKETS)
        assert not found_in(f"{ticket[:16]}{number:02}")


def test_what_has_none_of_the_hints_has_no_form() -> None:
    """The filter of a column's words passes no form over: random damage to every form, searched with and without it."""
    chance = random.Random(7)
    known = [each for each in forms() if each.isascii() and each.isprintable()]
    for _ in range(30_000):
        letters = list(chance.choice(known))
        for _ in range(chance.randint(0, 4)):
            place = chance.randrange(len(letters))
            letters[place : place + chance.randint(0, 1)] = chance.choice("0123456789-. ()+:@XxEGaf#/_")
        text = "".join(letters)
        assert HINT.search(text) or not [*_numbers(text, Prefixes()), *_others(text)], text


def test_a_long_text_is_searched_in_linear_time() -> None:
    """Texts as long as a cell may be; a search in quadratic time takes minutes for one of them."""
    for piece in (
        "1 ",
        "13 ",
        "a@",
        "a.",
        "点",
        "a#点",
        "1.",
        "+1 ",
        "::",
        "E1",
        "0531-",
        "电话1",
        "at ",
        "(",
        "6222 ",
    ):
        found_in(piece * (32_000 // len(piece)))
