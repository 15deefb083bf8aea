"""Each type of claim against figures whose arithmetic was done by hand."""

from decimal import Decimal as D
from fractions import Fraction

import pytest

from dagster_project.claims.claim import (
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
    half_up,
    is_printed,
    numerators,
    printed,
    share,
    signed,
    whole_parts,
)
from dagster_project.claims.wording import numbers_of, place_words, unbound_numbers, unsaid, wording

FIGURES = {
    "total": {"unit": "point", "value": D("89.08"), "baseline": D("85.5"), "change": D("3.58")},
    "worse": {"unit": "point", "value": D("88.05"), "baseline": D("89.61")},
    "stated": {"unit": "point", "value": D("80.0"), "change": D("-1.5"), "growth_pct": D("-1.84")},
    "same": {"unit": "count", "value": 2, "baseline": 2, "k": 2, "n": 349},
    "hot": {"unit": "count", "value": 242, "baseline": 120, "k": 242, "n": 349},
    "warm": {"unit": "count", "value": 104, "baseline": 215, "k": 104, "n": 349},
    "cold": {"unit": "count", "value": 1, "baseline": 12, "k": 1, "n": 349},
    "from_zero": {"unit": "count", "value": 5, "baseline": 0},
    "askew": {"unit": "count", "value": 7, "k": 8, "n": 10},
    "rate": {"unit": "percent", "value": D("70.71"), "k": 239, "n": 338},
    "raised": {"unit": "percent", "value": D("10.62"), "k": 38, "n": 358, "footnote": "largest remainder"},
    "far_off": {"unit": "percent", "value": D("10.63"), "k": 38, "n": 358, "footnote": "largest remainder"},
    "printed_only": {"unit": "percent", "value": D("70.71")},
    "empty": {"unit": "point", "value": None, "change": None},
    "plain_up": {"unit": "point", "value": D("86.45"), "change": D("2.63"), "comparable_change": D("-0.98")},
    "both_up": {"unit": "point", "value": D("86.45"), "change": D("2.63"), "comparable_change": D("0.98")},
    "flagged": {"unit": "point", "value": D("86.45"), "change": D("2.63"), "comparability": "not_comparable"},
    "tier2": {"unit": "point", "value": None},
    "tier3": {"unit": "point", "value": None},
    "lead": {"unit": "point", "value": D("0.07"), "of": "tier3", "minus": "tier2"},
    "days3": {"unit": "percent", "value": D("38.83"), "k": 139, "n": 358},
    "days5": {"unit": "percent", "value": D("35.75"), "k": 128, "n": 358},
    "none": {"unit": "percent", "value": D("14.80"), "k": 53, "n": 358},
}
RANKINGS = {
    "city": [
        {"unit_code": "a", "unit_name": "甲", "rank": 1, "published": D("97.10"), "rank_low": 1, "rank_high": 3},
        {"unit_code": "b", "unit_name": "乙", "rank": 2, "published": D("95.00")},
        {"unit_code": "c", "unit_name": "丙", "rank": 2, "published": D("95.00")},
        {"unit_code": "d", "unit_name": "朝阳", "rank": 4, "published": D("90.00")},
        {"unit_code": "e", "unit_name": "朝阳", "rank": 9, "published": D("80.00")},
        {"unit_code": "f", "unit_name": "己", "rank": None, "published": D("99.00")},
    ]
}
WORLD = World(FIGURES, RANKINGS)
REPLIES = ("days3", "days5", "raised", "none")

HOLDING: list[Claim] = [
    Level("total", D("89.08")),
    Level("stated", D("80")),
    Count("hot", 242),
    Count("hot", 242, 349),
    Difference("total", D("3.58")),
    Difference("total", D("3.58"), "up", D("85.50"), D("89.08")),
    Difference("worse", D("-1.56"), "down"),
    Difference("stated", D("-1.5")),
    Difference("same", D(0), "same"),
    Growth("hot", D("101.67")),  # 122 / 120 = 1.01666…
    Growth("warm", D("-51.63")),  # -111 / 215 = -0.516279…
    Growth("stated", D("-1.84")),
    Share("rate", D("70.71")),
    Share("rate", D("70.71"), 239, 338),
    Share("rate", D("70.71"), n=338),
    Share("printed_only", D("70.71"), n=338),
    Share(None, D("70.71"), n=338),
    Share("raised", D("10.62")),  # 38/358 = 10.6145: the footnote says why it is not 10.61
    Partition(REPLIES),
    Partition(REPLIES, (D("38.83"), D("35.75"), D("10.62"), D("14.80")), 358),
    Partition(("hot", "warm", "cold", "same")),
    Partition(("hot", "warm", "cold", "same"), (D(242), D(104), D(1), D(2)), 349),
    Rank("city", "a", 1),
    Rank("city", "乙", 2),
    Rank("city", "c", 2),
    Rank("city", "d", 4),
    RankSet("city", "a", 1, 3),
    Ordering(("worse", "total"), "increasing"),
    Ordering(("total", "worse", "stated"), "decreasing"),
    Ordering(("same", "cold"), "decreasing"),
    Ordering(("tier2", "tier3"), "increasing"),
    Threshold("cold", "below", D(10)),
    Threshold("cold", "at_most", D(1)),
    Threshold("cold", "at_least", D(1)),
    Threshold("total", "above", D("89.07")),
]

FALSE: list[tuple[Claim, str]] = [
    (Level("total", D("89.09")), "89.08"),
    (Level("empty", D("1")), "—"),
    (Level("nowhere", D("1")), "—"),
    (Count("hot", 241), "242"),
    (Count("hot", 242, 350), "242/349"),
    (Count("askew", 7), "7; k=8"),
    (Count("total", 89), "89.08"),
    (Difference("total", D("3.57")), "+3.58 (85.50 → 89.08)"),
    (Difference("total", D("-3.58")), "+3.58 (85.50 → 89.08)"),
    (Difference("worse", direction="up"), "-1.56 (89.61 → 88.05)"),
    (Difference("same", before=D(2), after=D(1)), "0 (2 → 2)"),
    (Difference("same", before=D(3), after=D(2)), "0 (2 → 2)"),
    (Difference("empty", D("0")), "—"),
    (Growth("hot", D("101.66")), "+101.67%"),
    (Growth("warm", D("51.63")), "-51.63%"),
    (Growth("from_zero", D("500")), "—"),
    (Share("rate", D("70.71"), n=349), "246/349 = 70.49%, 247/349 = 70.77%"),
    (Share("printed_only", D("70.71"), n=349), "246/349 = 70.49%, 247/349 = 70.77%"),
    (Share("rate", D("70.71"), 240, 338), "71.01% (240/338)"),
    (Share("rate", D("70.72")), "70.71%"),
    (Share("printed_only", D("70.71")), "70.71; k/n —"),
    (Share(None, D("10.62"), 38, 358), "10.61% (38/358)"),  # nothing says that it was raised
    (Share("raised", D("10.63")), "10.62%"),
    (Share("far_off", D("10.63")), "10.61% (38/358)"),  # a remainder lifts by one digit, not by two
    (Share(None, D("103.00"), n=100), "100/100 = 100.00%"),
    (Partition(REPLIES, (D("38.83"), D("35.75"), D("10.61"), D("14.80"))), "Σ = 99.99"),
    (Partition(REPLIES, n=349), "Σ = 100.00; k/349 —"),
    (Partition(("hot", "warm", "cold", "same"), (D(242), D(104), D(1), D(1)), 349), "Σ = 348"),
    (Partition(("hot", "warm")), "Σ = 346"),
    (Partition(("rate", "empty")), "—"),
    (Rank("city", "a", 2), "a: 1"),
    (Rank("city", "e", 9), "e: 5"),  # the place that is listed is not the one that the values give
    (Rank("city", "朝阳", 4), "—"),  # two units have this name
    (Rank("city", "f", 1), "—"),  # listed, unranked
    (RankSet("city", "a", 1, 2), "a: 1-3"),
    (RankSet("city", "b", 1, 2), "—"),  # a release without sets
    (Rank("city", "nobody", 1), "—"),
    (Ordering(("total", "worse"), "increasing"), "worse − total = -1.03"),
    (Ordering(("same", "hot", "same2"), "increasing"), "2, 242, —"),
    (Ordering(("tier3", "tier2"), "increasing"), "tier2 − tier3 = -0.07"),
    (Ordering(("tier2", "total"), "increasing"), "—, 89.08"),
    (Threshold("cold", "below", D(1)), "1"),
    (Threshold("cold", "above", D(1)), "1"),
    (Threshold("cold", "at_least", D(2)), "1"),
    (Threshold("cold", "at_most", D(0)), "1"),
    (Threshold("empty", "below", D(1)), "—"),
]


@pytest.mark.parametrize("claim", HOLDING, ids=repr)
def test_what_is_so_holds(claim: Claim) -> None:
    verdict = claim.judge(WORLD)
    assert verdict.holds, verdict


@pytest.mark.parametrize(("claim", "computed"), FALSE, ids=[repr(claim) for claim, _ in FALSE])
def test_what_is_not_so_does_not_hold_and_says_what_is(claim: Claim, computed: str) -> None:
    verdict = claim.judge(WORLD)
    assert (verdict.holds, verdict.computed) == (False, computed)


def test_equal_neighbours_are_ordered_only_weakly() -> None:
    world = World({name: {"value": D(1)} for name in "ab"})
    assert Ordering(("a", "b"), "increasing", is_strict=False).judge(world).holds
    assert Ordering(("a", "b"), "decreasing", is_strict=False).judge(world).holds
    assert not Ordering(("a", "b"), "increasing").judge(world).holds


def test_rounding_is_half_up_of_eight_decimals() -> None:
    assert half_up(Fraction("89.085")) == D("89.09")
    assert half_up(Fraction("89.084999996")) == D("89.09")  # 89.08500000 at eight decimals
    assert half_up(Fraction("89.084999994")) == D("89.08")
    assert half_up(Fraction("89.0849996")) == D("89.08")
    assert share(5001, 10001) == D("50.00")
    assert numerators(D("50.00"), 10001) == [5000, 5001]
    assert half_up(Fraction("-0.005")) == D("-0.01")
    assert share(1, 3) == D("33.33")


def test_numerators_agree_with_trying_all() -> None:
    for n in (1, 7, 338, 349, 358, 25000):
        for value in (D("0"), D("70.71"), D("40.62"), D("100"), D("33.33"), D("100.01")):
            assert numerators(value, n) == [k for k in range(n + 1) if share(k, n) == value], (n, value)


def test_the_published_reply_shares_are_of_358_and_not_of_349() -> None:
    replies = [D("38.83"), D("35.75"), D("10.62"), D("14.80")]
    assert whole_parts(replies, 358) == [139, 128, 38, 53]
    assert whole_parts(replies, 349) is None
    assert [numerators(each, 349) for each in replies] == [[]] * 4


def test_the_resolved_shares_fit_342_with_one_digit_mended() -> None:
    assert whole_parts([D("40.64"), D("52.05"), D("7.31")], 342) == [139, 178, 25]
    assert whole_parts([D("40.62"), D("52.05"), D("7.31")], 342) is None  # 99.98


def test_whole_parts_of_a_large_whole() -> None:
    assert whole_parts([D("33.33"), D("66.67")], 1_000_003) is not None
    assert whole_parts([D("33.33"), D("66.66")], 1_000_003) is None
    assert whole_parts([D("33.333"), D("66.667")], 3) is None
    assert whole_parts([D("-1"), D("101")], 100) is None


def test_thirds_need_the_largest_remainder() -> None:
    assert is_printed([1, 1, 1], 3, [3334, 3333, 3333])
    assert is_printed([1, 1, 1], 3, [3333, 3333, 3334])  # a tie may fall either way
    assert not is_printed([1, 1, 1], 3, [3335, 3332, 3333])
    assert not is_printed([2, 1], 3, [6666, 3334])  # the larger remainder was passed over


def test_numbers_are_printed_from_their_digits() -> None:
    assert printed(D("3.5"), "point") == "3.50"
    assert printed(D("89.0")) == "89.00"
    assert printed(D("70.705")) == "70.705"  # more digits than are printed stay to be seen
    assert printed(D("1E+2"), "count") == "100"
    assert printed(D("1E+2")) == "100.00"
    assert printed(None) == "—"
    assert (signed(D("3.5")), signed(D("-3.5")), signed(D(0), "count")) == ("+3.50", "-3.50", "0")


def test_words_of_direction_follow_the_sign() -> None:
    up, down, same = Difference("total", D("3.58")), Difference("worse", D("-1.56")), Difference("same", D(0))
    for claim, text, holds in (
        (up, "提升3.58分", True),
        (up, "下降3.58分", False),
        (down, "下降1.56分", True),
        (down, "提高1.56分", False),
        (same, "提升0条", False),
        (up, "甲上升,乙下降", True),  # both words: which is whose can not be told
        (Growth("warm", D("-51.63")), "增长51.63%", False),
    ):
        verdict = wording(claim, text, WORLD)
        assert verdict is not None and verdict.holds is holds, (claim, text)
    assert wording(up, "为89.08分", WORLD) is None
    assert wording(Level("total", D("89.08")), "下降", WORLD) is None


@pytest.mark.parametrize("word", ["提升", "提高", "上升", "下降"])
def test_no_word_of_direction_where_the_comparable_change_has_another_sign(word: str) -> None:
    verdict = wording(Difference("plain_up", D("2.63")), f"总体得分{word}2.63分", WORLD)
    assert verdict is not None and not verdict.holds
    assert "-0.98" in verdict.computed and word in verdict.claimed


@pytest.mark.parametrize("claim", [Difference("flagged", D("2.63")), Growth("flagged", D("3.14"))])
def test_no_word_of_direction_where_nothing_compares_the_waves(claim: Difference | Growth) -> None:
    verdict = wording(claim, "总体得分提升", WORLD)
    assert verdict is not None and not verdict.holds
    verdict = wording(claim, "总体得分提升(口径不可比)", WORLD)
    assert verdict is not None and verdict.holds


def test_a_qualified_word_may_stand() -> None:
    verdict = wording(Difference("plain_up", D("2.63")), "提升2.63分(口径不可比)", WORLD)
    assert verdict is not None and verdict.holds
    verdict = wording(Difference("both_up", D("2.63")), "提升2.63分", WORLD)
    assert verdict is not None and verdict.holds


def test_numbers_of_a_text() -> None:
    assert numbers_of("12345热线共7,152次,接通93.37%") == [D("7152"), D("93.37")]
    text = "得分89.08分,覆盖349条"
    assert unbound_numbers(text, [(Level("total", D("89.08")), None)]) == [D("349")]
    assert unbound_numbers(text, [(Level("total", D("89.08")), "覆盖349条")]) == []
    assert unsaid(Level("total", D("89.08")), None, text) is None
    assert unsaid(Level("total", D("89.80")), None, text) == "89.80"
    assert unsaid(Growth("hot", D(800)), "8倍", "增长8倍") is None
    assert unsaid(Growth("hot", D(800)), "9倍", "增长8倍") == "9倍"


@pytest.mark.parametrize(
    ("rank", "low", "high", "n", "words"),
    [
        (7, 5, 23, 32, "第5–23名之间"),
        (7, 7, 7, 32, "第7名"),
        (7, 7, 8, 8, "第7名"),  # two places are told by the one rank, however short the table
        (7, 5, 9, 50, "第7名"),  # 5 of 50: not more than a tenth
        (7, 5, 10, 50, "第5–10名之间"),
        (7, None, None, 32, "第7名"),  # a release without sets
        (None, None, None, 32, "未排名"),
    ],
)
def test_a_wide_set_stands_in_place_of_a_bare_rank(
    rank: int | None, low: int | None, high: int | None, n: int, words: str
) -> None:
    assert place_words({"rank": rank, "is_tied": False, "rank_low": low, "rank_high": high}, n) == words
