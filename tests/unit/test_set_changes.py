"""Matched, entry and exit parts of a set's change, against the golden values and by their sum."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dagster_project.statistics.set_changes import SetChange, set_change
from tests.golden.wave_of_golden import GOLDEN

NANO = 10**9


def nano(exact: str) -> int:
    return round(Fraction(exact) * NANO)


def test_golden() -> None:
    case = GOLDEN["yoy_national"]
    after = {city: nano(golden["total"]["exact"]) for city, golden in GOLDEN["cities"].items()}
    change = set_change({city: score * NANO for city, score in case["t-1"].items()}, after)
    assert change is not None
    assert (change.n_matched, change.n_entry, change.n_exit) == (2, 1, 1)
    for name in ("matched", "entry", "exit"):
        assert abs(getattr(change, name) - nano(case[name])) <= 1, name
    assert change.matched + change.entry + change.exit == nano(case["raw_change"])


def test_by_hand() -> None:
    # 60 and 80 become 70 and 90; a line with 100 comes, one with 10 goes: 50 -> 86 2/3
    before = {"a": 60 * NANO, "b": 80 * NANO, "gone": 10 * NANO}
    after = {"a": 70 * NANO, "b": 90 * NANO, "new": 100 * NANO}
    # 10 + 1/3 (100 - 80) - 1/3 (10 - 70)
    assert set_change(before, after) == SetChange(2, 1, 1, 10 * NANO, 6_666_666_667, 20 * NANO)


def test_the_same_lines_have_a_matched_part_alone() -> None:
    assert set_change({"a": 1, "b": 2}, {"a": 5, "b": 9}) == SetChange(2, 0, 0, 5, 0, 0)


def test_where_no_line_is_matched_there_is_nothing_to_take_apart() -> None:
    assert set_change({"a": 1}, {"b": 2}) is None
    assert set_change({}, {"b": 2}) is None


scores = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 100 * NANO), min_size=1)


@given(scores, scores)
def test_parts_sum_to_the_change_of_the_printed_means(before: dict[str, int], after: dict[str, int]) -> None:
    change = set_change(before, after)
    if change is None:
        assert not before.keys() & after.keys()
        return
    means = [(2 * sum(each.values()) + len(each)) // (2 * len(each)) for each in (before, after)]
    assert change.matched + change.entry + change.exit == means[1] - means[0]
