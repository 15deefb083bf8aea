"""Matched, entry and exit parts of a set's change, against the golden values and by their sum."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.release.tables import _set_changes
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


def test_sets_of_a_release_are_those_of_each_waves_own_frame(tmp_path: Path) -> None:
    """The golden waves as a release has them; B changes its tier, C has no score of one of its waves."""
    after = {city: nano(golden["total"]["exact"]) for city, golden in GOLDEN["cities"].items()}
    before = {city: score * NANO for city, score in GOLDEN["yoy_national"]["t-1"].items()} | {"C": None}
    frames = {"before": {"A": "x", "B": "x", "C": "x", "D": "x"}, "after": {"A": "x", "B": "y", "C": "x"}}
    for name, tiers in frames.items():
        rows = [
            {"line_id": each, "tier": tier, "province_code": "p", "rank_group": "g"} for each, tier in tiers.items()
        ]
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "lines.parquet")
    scored = [{"line_id": each, "channel": "all", "level": 0, "score_nano": score} for each, score in before.items()]
    pq.write_table(pa.Table.from_pylist(scored), tmp_path / "before" / "line_scores.parquet")
    connection = duckdb.connect()
    connection.execute(
        "create table pub_line_scores (wave text, line_id text, channel text, level int, score_nano bigint)"
    )
    connection.executemany("insert into pub_line_scores values ('w', ?, 'all', 0, ?)", [*map(list, after.items())])
    connection.execute(
        "create table pub_aggregates as select 'w' as wave, unnest(['national', 'tier', 'tier']) as dimension,"
        " unnest(['all', 'x', 'y']) as member, 'all' as channel, 0 as level,"
        " unnest([-946, 0, null]) as change_centi, unnest(['same_method', 'same_method', null]) as comparability"
    )
    table = _set_changes(
        connection, "w", str(tmp_path / "after" / "lines.parquet"), str(tmp_path / "before")
    ).to_pylist()
    nation, tier = table
    assert (nation["dimension"], nation["n_matched"], nation["n_entry"], nation["n_exit"]) == ("national", 2, 1, 1)
    assert nation["matched"] + nation["entry"] + nation["exit"] == nation["change"] == Decimal("-9.46")
    exact = {name: float(Fraction(GOLDEN["yoy_national"][name])) for name in ("matched", "entry", "exit")}
    assert all(abs(float(nation[name]) - value) <= 0.01 for name, value in exact.items())
    # tier y had no line before; x lost B and D, and C came to be scored
    assert (tier["member"], tier["n_matched"], tier["n_entry"], tier["n_exit"]) == ("x", 1, 1, 2)
    whole = sum(tier[f"{name}_effect_nano"] for name in ("matched", "entry", "exit"))
    assert whole == round(Fraction(after["A"] + after["C"], 2)) - round(Fraction(75 + 60 + 50, 3) * NANO)
