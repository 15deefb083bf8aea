"""Effects of coders and drift: by hand, where nothing can be told, and what is planted is found."""

import numpy as np
import pytest

from dagster_project.statistics.coder_effects import Records, coder_effects, critical_value, drift

N_LINES, N_CODERS, N_CALLS = 120, 12, 15


def records(rows: list[tuple[int, int, int, int, float]]) -> Records:
    """Rows of (line, scenario, coder, day, score), all of one period."""
    line, scenario, coder, day = (np.array([row[column] for row in rows], dtype=np.int64) for column in range(4))
    score = np.array([row[4] for row in rows], dtype=np.float64)
    return Records(line, scenario, coder, day, np.zeros_like(line), score)


def test_two_coders_by_hand() -> None:
    """Two lines, each called once by both coders: 80 and 90, 62 and 68.

    The second is above the first by 10 and 6, 8 in the mean: effects -4 and +4. Left over: 1 each (squares 4)
    with 4 records - 2 lines - 1 difference = 1 degree of freedom: variance 4. The difference of two means of
    two has variance 4 (1/2 + 1/2) = 4, half of it an error of 1. True variance between coders: 64 = 2 b + 4
    gives b = 30. An effect of 4 shrinks by 2 * 30 / (2 * 30 + 4) = .9375.
    """
    found = coder_effects(records([(0, 0, 0, 0, 80), (0, 0, 1, 0, 90), (1, 0, 0, 0, 62), (1, 0, 1, 0, 68)]))
    assert found.effect == pytest.approx([-4, 4])
    assert found.error == pytest.approx([1, 1])
    assert found.between == pytest.approx(30**0.5)
    assert found.share == pytest.approx(30 / 34)
    assert found.shrunk == pytest.approx([-3.75, 3.75])
    assert found.line_shift == pytest.approx([0, 0])  # each line had both


def test_a_line_is_moved_by_the_coders_that_it_had() -> None:
    """Three lines: the first two as above, the third called by the second coder alone."""
    found = coder_effects(
        records([(0, 0, 0, 0, 80), (0, 0, 1, 0, 90), (1, 0, 0, 0, 62), (1, 0, 1, 0, 68), (2, 0, 1, 0, 75)])
    )
    both = found.shrunk.mean()
    assert found.line_shift == pytest.approx([both, both, found.shrunk[1]])
    assert found.shrunk[1] > 3


def test_a_coder_of_worse_lines_and_harder_scenarios_is_not_harsh() -> None:
    """Line and scenario account for everything: the coders, who had different ones, do not differ."""
    rows = [
        (line, scenario, coder, 0, 90 - 20 * line - 5 * scenario + 0.5 * (-1) ** (line + scenario + number))
        for line in (0, 1)
        for scenario in (0, 1)
        for number, coder in enumerate([0, 0, 0, 1] if line == 0 else [0, 1, 1, 1])
    ]
    raw = [np.mean([row[4] for row in rows if row[2] == coder]) for coder in (0, 1)]
    assert raw[0] - raw[1] > 9
    assert coder_effects(records(rows)).effect == pytest.approx([0, 0], abs=0.3)


def test_drift_by_hand() -> None:
    """80, 79, 75 after 0, 30 and 60 days: 2.5 points per 30 days. Left over -.5, 1, -.5 around 78.

    HC1: 3 records, 1 degree of freedom; sum (30 * .5)^2 * 2 = 450, so sqrt(3 * 450) / 1,800 per day.
    """
    found = drift(records([(0, 0, 0, 0, 80), (0, 0, 0, 30, 79), (0, 0, 0, 60, 75)]))
    assert (found.slope, found.n_days) == (pytest.approx(-2.5), 61)
    assert found.error == pytest.approx(30 * 1350**0.5 / 1800)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0, 0, 0, 0, 80.0)],
        [(0, 0, 0, 0, 80.0), (1, 0, 1, 3, 60.0), (1, 0, 1, 4, 61.0)],  # nobody shares a line
        [(0, 0, 0, 0, 80.0), (0, 0, 1, 0, 80.0), (1, 0, 0, 0, 80.0), (1, 0, 1, 0, 80.0)],  # nothing varies
        [(0, 0, 0, 0, 1.0), (0, 1, 1, 0, 2.0), (1, 0, 0, 0, 3.0), (1, 1, 1, 0, 5.0)],  # a coder is his scenario
    ],
    ids=["none", "one", "alone", "constant", "scenario"],
)
def test_who_can_not_be_compared_has_no_effect(rows: list[tuple[int, int, int, int, float]]) -> None:
    found = coder_effects(records(rows))
    assert np.isnan(found.effect).all() and np.isnan(found.error).all() and np.isnan(found.shrunk).all()
    assert (found.between, found.share) == (0, 0)
    assert (found.line_shift == 0).all()


def test_without_different_days_there_is_no_drift() -> None:
    found = drift(records([(0, 0, 0, 5, 80.0), (0, 0, 0, 5, 70.0), (1, 0, 0, 9, 60.0), (1, 0, 0, 9, 65.0)]))
    assert np.isnan(found.slope) and np.isnan(found.error)
    assert drift(records([])).n_days == 0


def test_two_teams_that_share_no_line_are_compared_within() -> None:
    rows = [(0, 0, 0, 0, 80), (0, 0, 1, 0, 90), (1, 0, 0, 0, 62), (1, 0, 1, 0, 68)]
    other = [(line + 2, 0, coder + 2, 0, score - 30) for line, _, coder, _, score in rows]
    assert coder_effects(records(rows + other)).effect == pytest.approx([-4, 4, -4, 4])


def test_the_least_squares_are_those_of_a_dense_solver() -> None:
    """The same model with a column per line, scenario and coder, solved whole."""
    some = simulated(np.random.default_rng(3), effects=np.linspace(-3, 3, N_CODERS))
    columns = [codes[:, None] == np.arange(codes.max() + 1) for codes in (some.line, some.scenario, some.coder)]
    dense, *_ = np.linalg.lstsq(np.hstack(columns).astype(float), some.score, rcond=None)
    coders = dense[-N_CODERS:] - np.median(dense[-N_CODERS:])
    assert coder_effects(some).effect == pytest.approx(coders, abs=1e-8)
    with_days = np.hstack([*columns, some.day[:, None] / 30]).astype(float)
    dense, *_ = np.linalg.lstsq(with_days, some.score, rcond=None)
    assert drift(some).slope == pytest.approx(dense[-1], abs=1e-8)


def simulated(
    rng: np.random.Generator, effects: np.ndarray | None = None, per_month: float = 0.0, spread: float = 8.0
) -> Records:
    """Lines of unequal level and unequal spread, each called once per scenario, coders in turn at random."""
    line, scenario = np.repeat(np.arange(N_LINES), N_CALLS), np.tile(np.arange(N_CALLS), N_LINES)
    coder, day = rng.integers(0, N_CODERS, len(line)), rng.integers(0, 100, len(line))
    chance = rng.standard_normal(len(line)) * np.repeat(rng.choice([0.25, 1.0, 1.5], N_LINES) * spread, N_CALLS)
    score = rng.normal(0, 6, N_LINES)[line] + rng.normal(0, 3, N_CALLS)[scenario] + chance + per_month * day / 30
    score = score + (effects[coder] if effects is not None else 0.0)
    return Records(line, scenario, coder, day, day // 30, score)


def outliers(some: Records) -> set[int]:
    found = coder_effects(some)
    return set(np.flatnonzero(np.abs(found.effect) > critical_value(N_CODERS) * found.error).tolist())


def test_nobody_is_told_apart_where_nobody_differs() -> None:
    """A table of 12 coders has one told apart by chance in 5 of 100 waves at most: 100 waves, 10 at most."""
    rng = np.random.default_rng(11)
    assert sum(bool(outliers(simulated(rng))) for _ in range(100)) <= 10


def test_a_harsh_coder_is_found_and_he_alone() -> None:
    rng, harsh = np.random.default_rng(12), np.zeros(N_CODERS)
    harsh[7] = -6
    waves = [simulated(rng, harsh) for _ in range(30)]
    assert all(np.argmin(coder_effects(each).effect) == 7 for each in waves)
    found = [outliers(each) for each in waves]
    assert sum(7 in each for each in found) >= 29
    assert sum(len(each - {7}) for each in found) <= 3  # of 330


def test_the_variance_between_coders_is_recovered_and_shrinking_brings_effects_nearer() -> None:
    rng = np.random.default_rng(13)
    between, raw, shrunk = [], [], []
    for _ in range(40):
        true = rng.normal(0, 2, N_CODERS)
        found = coder_effects(simulated(rng, true))
        between.append(found.between**2)
        raw.append(np.mean((found.effect - (true - np.median(true))) ** 2))
        shrunk.append(np.mean((found.shrunk - (true - np.median(true))) ** 2))
    assert np.mean(between) == pytest.approx(4, rel=0.2)
    assert np.mean(shrunk) < np.mean(raw)


def test_the_error_of_a_drift_is_true_and_a_planted_one_is_found() -> None:
    rng = np.random.default_rng(14)
    still = [drift(simulated(rng)) for _ in range(200)]
    assert np.std([each.slope / each.error for each in still]) == pytest.approx(1, abs=0.15)
    moved = [drift(simulated(rng, per_month=-1.5)) for _ in range(30)]
    assert np.mean([each.slope for each in moved]) == pytest.approx(-1.5, abs=0.15)
    assert all(each.slope < -critical_value(2) * each.error for each in moved)
    falling = moved[0].means
    assert (np.diff(falling) < 0).sum() >= 2 and falling[0] > falling[-1]


def test_the_order_of_records_makes_no_difference() -> None:
    some = simulated(np.random.default_rng(15), np.linspace(-3, 3, N_CODERS))
    order = np.random.default_rng(1).permutation(len(some.score))
    other = Records(*(getattr(some, name)[order] for name in ("line", "scenario", "coder", "day", "period", "score")))
    assert coder_effects(other).shrunk == pytest.approx(coder_effects(some).shrunk, abs=1e-9)
    assert drift(other).slope == pytest.approx(drift(some).slope, abs=1e-9)


def test_critical_values() -> None:
    """Two-sided, 5 %: 1.960 for one, 2.241 for two (1.25 % each side)."""
    assert critical_value(1) == pytest.approx(1.95996, abs=1e-5)
    assert critical_value(2) == pytest.approx(2.24140, abs=1e-5)
    assert critical_value(0) == critical_value(1)
