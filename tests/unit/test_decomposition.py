"""Contributions to a line's change, against the golden values and by their sum."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dagster_project.statistics.decomposition import Effect, Leaf, decompose, printed
from tests.golden.wave_of_golden import GOLDEN

NANO = 10**9


def nano(exact: str) -> int:
    return round(Fraction(exact) * NANO)


def golden_leaves(scores: dict[str, dict[str, str] | None], weights: dict[str, dict[str, str]]) -> dict[str, Leaf]:
    return {
        code: Leaf(None if score is None else nano(score["exact"]), nano(weights[code]["exact"]) // 100)
        for code, score in scores.items()
    }


def test_golden() -> None:
    case, city = GOLDEN["yoy_city_A"], GOLDEN["cities"]["A"]
    effects = decompose(
        golden_leaves(case["old_leaf"], case["old_effective_weights"]),
        golden_leaves(city["L3_pooled"], city["effective_weights"]),
        nano(case["old_total"]["exact"]),
        nano(case["new_total"]["exact"]),
    )
    assert list(effects) == list(case["contrib"])
    for code, expected in case["contrib"].items():
        assert abs(effects[code].score - nano(expected["score_effect"])) <= 1
        assert abs(effects[code].structure - nano(expected["weight_or_structure_effect"])) <= 1
    assert sum(effect.contribution for effect in effects.values()) == nano(case["delta"])


def test_an_indicator_that_one_wave_lacks_changes_the_structure_only() -> None:
    before = {"gone": Leaf(80 * NANO, NANO // 2), "stays": Leaf(60 * NANO, NANO // 2)}
    after = {"stays": Leaf(60 * NANO, NANO // 4), "new": Leaf(100 * NANO, NANO * 3 // 4), "never": Leaf(None, 0)}
    effects = decompose(before, after, 70 * NANO, 90 * NANO)
    # half a weight at 80 goes, three quarters at 100 come, a quarter at 60 goes; the mean of the totals is 80
    assert effects == {
        "stays": Effect(0, 5 * NANO),
        "new": Effect(0, 15 * NANO),
        "never": Effect(0, 0),
        "gone": Effect(0, 0),
    }


leaves = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 100 * NANO), st.integers(1, 100)), min_size=1
)


def weighted(drawn: dict[str, tuple[int, int]]) -> tuple[dict[str, Leaf], int]:
    """Leaves with weights that sum to one, rounded as a release has them, and the total that follows."""
    whole = sum(weight for _, weight in drawn.values())
    found = {code: Leaf(score, round(Fraction(weight * NANO, whole))) for code, (score, weight) in drawn.items()}
    return found, round(sum(Fraction(score * weight, whole) for score, weight in drawn.values()))


@given(leaves, leaves)
def test_contributions_sum_to_the_change_and_turn_round_with_it(
    one: dict[str, tuple[int, int]], other: dict[str, tuple[int, int]]
) -> None:
    (before, total_before), (after, total_after) = weighted(one), weighted(other)
    effects = decompose(before, after, total_before, total_after)
    assert sum(effect.contribution for effect in effects.values()) == total_after - total_before
    back = decompose(after, before, total_after, total_before)
    assert all(abs(effects[code].contribution + back[code].contribution) <= 2_000 for code in effects)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-5 * NANO, 5 * NANO), min_size=1), st.integers(-1, 1))
def test_printed_contributions_sum_to_the_printed_change(contributions: dict[str, int], off: int) -> None:
    """The printed change is a difference of two printed totals: up to a hundredth beside the rounded sum."""
    change = round(Fraction(sum(contributions.values()), NANO // 100)) + off
    found = printed(contributions, change)
    assert sum(found.values()) == change
    assert all(abs(found[code] * NANO // 100 - nano) <= 2 * NANO // 100 for code, nano in contributions.items())


def test_printed_by_largest_remainder() -> None:
    assert printed({"a": 14_000_000, "b": 16_000_000, "c": -5_000_000}, 3) == {"a": 1, "b": 2, "c": 0}
    assert printed({}, 0) == {}
