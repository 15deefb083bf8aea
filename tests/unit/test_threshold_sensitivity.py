"""Line classes under moved thresholds: hand cases in whole calls."""

import pytest

from dagster_project.statistics.threshold_sensitivity import Margin, Rule, line_class, margin, moved_thresholds

RULES = [
    Rule("not_measured", "no_attempts"), Rule("dead", "none_connected"), Rule("cold", "rate_below", 30),
    Rule("warm", "rate_below", 95), Rule("hot", "otherwise"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "connected", "expected"),
    [
        (0, 0, "not_measured"), (5, 0, "dead"), (20, 5, "cold"), (20, 6, "warm"), (20, 18, "warm"), (20, 19, "hot"),
        (20, 20, "hot"),
    ],
)  # fmt: skip
def test_the_first_rule_that_holds_decides(attempts: int, connected: int, expected: str) -> None:
    assert line_class(RULES, attempts, connected) == expected


@pytest.mark.parametrize(
    ("attempts", "connected", "expected"),
    [
        (20, 19, Margin(1, None)),  # hot by one call: 18 of 20 are 90 %
        (20, 20, Margin(2, None)),
        (20, 18, Margin(13, 1)),  # 5 of 20 are cold; 19 are hot
        (20, 5, Margin(5, 1)),  # none of 20 is dead; 6 are warm
        (5, 0, Margin(None, 1)),  # 1 of 5 is cold
        (3, 0, Margin(None, 1)),  # 1 of 3 is warm already
        (0, 0, Margin(None, None)),
    ],
)
def test_calls_to_another_class(attempts: int, connected: int, expected: Margin) -> None:
    assert margin(RULES, attempts, connected) == expected


def test_lines_per_class_under_moved_thresholds() -> None:
    """19 of 20 are hot up to 95 %, 18 of 20 up to 90 %; 6 of 20 are warm up to 30 %."""
    settings = {
        (each.threshold, each.below_pct): each.n_lines
        for each in moved_thresholds(RULES, [(20, 19), (20, 18), (20, 6), (20, 20), (5, 0)])
    }
    assert [key for key in settings if key[0] == "cold"] == [("cold", value) for value in range(25, 36)]
    assert [key for key in settings if key[0] == "warm"] == [("warm", value) for value in range(90, 101)]
    assert settings["warm", 90] == {"not_measured": 0, "dead": 1, "cold": 0, "warm": 1, "hot": 3}
    assert settings["warm", 91]["hot"] == settings["warm", 95]["hot"] == 2
    assert settings["warm", 96]["hot"] == settings["warm", 100]["hot"] == 1
    assert (settings["cold", 30]["cold"], settings["cold", 31]["cold"]) == (0, 1)
    assert {sum(n_lines.values()) for n_lines in settings.values()} == {5}


def test_thresholds_stay_within_what_a_rate_can_be() -> None:
    rules = [Rule("low", "rate_below", 3), Rule("high", "rate_below", 98), Rule("rest", "otherwise")]
    found = [(each.threshold, each.below_pct) for each in moved_thresholds(rules, [])]
    assert found == [("low", value) for value in range(1, 9)] + [("high", value) for value in range(93, 101)]


def test_rules_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="rate_above"):
        line_class([Rule("odd", "rate_above", 5)], 20, 10)
    with pytest.raises(ValueError, match="no class for 10 of 20"):
        line_class(RULES[:2], 20, 10)
