"""Replication probabilities of a line's class, against the golden values."""

import math

import pytest

from dagster_project.statistics.replication import class_probabilities, predictive
from tests.golden.wave_of_golden import GOLDEN

CLASSES = {"热线": "hot", "温线": "warm", "冷线": "cold", "死线": "dead"}


def class_of(connected: int, attempts: int) -> str:
    if connected == 0:
        return "dead"
    return "cold" if 100 * connected < 30 * attempts else "warm" if 100 * connected < 95 * attempts else "hot"


def one_by_one(attempts: int) -> list[tuple[int, str]]:
    return [(connected, class_of(connected, attempts)) for connected in range(attempts + 1)]


@pytest.mark.parametrize("city", GOLDEN["cities"])
def test_golden(city: str) -> None:
    counts = GOLDEN["attempts"][city]
    result = class_probabilities(counts["n"], counts["connected"], one_by_one(counts["n"]))
    expected = GOLDEN["cities"][city]["class_replication_probability_jeffreys"]
    for label, probability in expected.items():
        assert result.get(CLASSES[label], 0.0) == pytest.approx(probability, abs=1.5e-6)


@pytest.mark.parametrize(("attempts", "connected"), [(1, 0), (20, 19), (400, 0), (400, 400), (2000, 1234)])
def test_is_a_distribution(attempts: int, connected: int) -> None:
    probabilities = predictive(attempts, connected)
    assert len(probabilities) == attempts + 1
    assert math.fsum(probabilities) == pytest.approx(1, abs=1e-12)
    mean = math.fsum(k * probability for k, probability in enumerate(probabilities))
    assert mean == pytest.approx(attempts * (connected + 0.5) / (attempts + 1), rel=1e-9)


def test_no_attempts_leave_one_outcome() -> None:
    assert class_probabilities(0, 0, [(0, "not_measured")]) == {"not_measured": 1.0}


def test_of_a_class_that_holds_for_many_numbers_the_first_is_enough() -> None:
    """A line of monitoring that never ends: its 20,000 diallings are as many numbers."""
    attempts, connected = 20_000, 6_010
    classes = [(0, "dead"), (1, "cold"), (6_000, "warm"), (19_000, "hot")]
    found = class_probabilities(attempts, connected, classes)
    assert found == class_probabilities(attempts, connected, one_by_one(attempts))
    assert found["warm"] == pytest.approx(0.54, abs=0.01)  # ten beyond the bound, spread about 92


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        predictive(2, 3)
