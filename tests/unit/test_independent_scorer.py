"""The second scorer against the worked example: what is held against a release must itself be right."""

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.independent_scorer import half_up, score, score_nodes

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "golden_small.json").read_text(encoding="utf-8"))
NANO = 10**9


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def method_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example's tree as a method version."""
    folder, tree = tmp_path_factory.mktemp("method"), GOLDEN["tree"]
    leaves = [code for code, node in tree.items() if node["level"] == 3]
    indicators = []
    for code in leaves:
        l2 = tree[code]["parent"]
        l1 = tree[l2]["parent"]
        indicators.append(
            {
                "indicator_code": code,
                "l2_code": l2,
                "l1_code": l1,
                "unit": "probe",
                "l1_weight": tree[l1]["weight"],
                "l2_weight": tree[l2]["weight"],
                "l3_weight": tree[code]["weight"],
            }
        )
    _write(folder / "indicators.csv", indicators)
    _write(
        folder / "channel_weights.csv",
        [
            {"indicator_code": code, "channel": channel, "weight": weight}
            for code in leaves
            for channel, weight in GOLDEN["channel_weights"][code].items()
        ],
    )
    _write(folder / "scenarios.csv", [{"scenario_code": "S01", "weight": 1}])
    _write(
        folder / "settings.csv",
        [
            {"setting": "availability_basis", "value": "weight"},
            {"setting": "min_availability_pct", "value": 50},
        ],
    )
    return folder


@pytest.fixture(scope="module")
def observations() -> pa.Table:
    """The worked example's observations, after its NA policy."""
    rows = [
        {
            "line_id": city,
            "channel": channel,
            "indicator_code": code,
            "scenario_code": "S01",
            "score_nano": _after_policy(code, value),
        }
        for city, channels in GOLDEN["observations"].items()
        for channel, indicators in channels.items()
        for code, values in indicators.items()
        for value in values
    ]
    return pa.Table.from_pylist(rows)


def _after_policy(code: str, value: Any) -> int | None:
    if not isinstance(value, list):
        return value * NANO
    policy = GOLDEN["na_policy"][value[1]]
    return 0 if (policy if isinstance(policy, str) else policy[code]) == "zero" else None


def _close(nano: int | None, expected: dict[str, str] | None) -> bool:
    if expected is None or nano is None:
        return expected is None and nano is None
    return abs(Fraction(nano, NANO) - Fraction(expected["exact"])) <= Fraction(1, NANO)


@pytest.mark.parametrize("city", GOLDEN["cities"])
def test_totals_of_the_worked_example(city: str, observations: pa.Table, method_dir: Path) -> None:
    expected = GOLDEN["cities"][city]
    assert _close(score(observations, method_dir, [city])[city], expected["total"])
    for channel, total in expected["channel_totals"].items():
        assert _close(score_nodes(observations, method_dir, [city], channel)[city]["T"], total)


@pytest.mark.parametrize("city", GOLDEN["cities"])
@pytest.mark.parametrize("level", ["L1", "L2", "L3_pooled"])
def test_nodes_of_the_worked_example(city: str, level: str, observations: pa.Table, method_dir: Path) -> None:
    nodes = score_nodes(observations, method_dir, [city])[city]
    for code, expected in GOLDEN["cities"][city][level].items():
        assert _close(nodes[code], expected), code


def test_halves_go_up() -> None:
    assert [half_up(1, 2), half_up(3, 2), half_up(1, 3), half_up(2, 3)] == [1, 2, 0, 1]
