"""Sensitivity of a release folder: its tables, whatever the order of rows, and what is refused."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dagster_project.errors import NotReconciled, UsageError
from dagster_project.release.reading import Release
from dagster_project.release.sensitivity import Sensitivity, sensitivity_of, sobol_of
from dagster_project.release.sensitivity_text import as_json, as_text
from dagster_project.statistics.importance import importance
from dagster_project.statistics.sobol import mean_shifts, sobol_indices
from dagster_project.statistics.weight_sensitivity import SPREAD, Tree, draw_factors
from tests.unit.small_release import FRAME, write_small_release


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small_release(tmp_path / "release")


def rows(found: Sensitivity) -> dict[str, list[dict]]:
    return {name: table.to_pylist() for name, table in vars(found).items()}


def test_every_ranked_unit_weight_threshold_and_line_is_told(folder: Path) -> None:
    found = rows(sensitivity_of(folder))
    ranked = {
        (group, row["unit_code"])
        for group, listed in Release(folder).rankings.items()
        for row in listed
        if row["rank"] is not None
    }
    assert {(row["group_code"], row["unit_code"]) for row in found["weight_sensitivity"]} == ranked
    assert all(1 <= row["rank_p05"] <= row["rank_p95"] for row in found["weight_sensitivity"])
    assert {row["p_top_10"] for row in found["weight_sensitivity"]} == {1.0}, "no group has more than ten"
    assert len(found["weight_importance"]) == 3 * (3 + 12 + 27)
    assert all(0 <= row["low"] <= row["importance"] <= row["high"] <= 1 for row in found["weight_importance"])
    assert [(row["group_code"], row["n_units"], row["n_draws"]) for row in found["rank_shifts"]] == [
        ("key_city", 2, 2000), ("ordinary_city", 3, 2000), ("province", 2, 2000)
    ]  # fmt: skip
    n_lines = {row["line_class"]: row["n_lines"] for row in found["threshold_sensitivity"]
               if (row["threshold"], row["below_pct"]) == ("warm", 95)}  # fmt: skip
    assert n_lines == {"not_measured": 0, "dead": 1, "cold": 1, "warm": 2, "hot": 2}
    assert [row["line_id"] for row in found["class_margins"]] == sorted(line for line, *_ in FRAME)
    assert found["class_margins"][1] == {
        "line_id": "110200", "line_class": "warm", "misses_to_other": 13, "hits_to_other": 1
    }  # fmt: skip


def test_the_order_of_rows_does_not_matter(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for name in ("line_scores", "lines", "line_classes", "rankings"):
        table = pq.read_table(other / f"{name}.parquet")
        pq.write_table(table.take(np.random.default_rng(1).permutation(len(table))), other / f"{name}.parquet")
    for name in ("indicators", "rank_groups", "line_class_rules"):
        path = other / "method" / f"{name}.csv"
        head, *body = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([head, *reversed(body)]) + "\n", encoding="utf-8")
    assert rows(sensitivity_of(other)) == rows(sensitivity_of(folder))


def test_draws_hang_on_the_weights_and_not_on_the_scores(folder: Path) -> None:
    """A line that is corrected does not move another's range by chance."""
    before = rows(sensitivity_of(folder))
    path = folder / "line_scores.parquet"
    table = pq.read_table(path)
    is_cold = pc.and_(pc.equal(table["line_id"], "120200"), pc.equal(table["level"], 3))
    lower = pc.if_else(is_cold, pc.subtract(table["score_nano"], 10**6), table["score_nano"])
    pq.write_table(table.set_column(table.column_names.index("score_nano"), "score_nano", lower.cast(pa.int64())), path)
    after = rows(sensitivity_of(folder))
    assert [row for row in after["weight_sensitivity"] if row["group_code"] == "key_city"] == [
        row for row in before["weight_sensitivity"] if row["group_code"] == "key_city"
    ]


def test_another_weight_makes_other_draws(folder: Path) -> None:
    before = rows(sensitivity_of(folder))["rank_shifts"]
    path = folder / "method" / "indicators.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        listed = list(csv.DictReader(stream))
    for row in listed:  # the same shares: twice the weight throughout
        row["l1_weight"] = str(2 * int(row["l1_weight"]))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, listed[0])
        writer.writeheader()
        writer.writerows(listed)
    assert rows(sensitivity_of(folder))["rank_shifts"] != before


def test_ranks_that_are_not_the_releases_are_refused(folder: Path) -> None:
    path = folder / "rankings.parquet"
    table = pq.read_table(path)
    is_it = pc.and_(pc.equal(table["group_code"], "key_city"), pc.equal(table["rank"], 1))
    worse = pc.if_else(is_it, 2, table["rank"])
    pq.write_table(table.set_column(table.column_names.index("rank"), "rank", worse), path)
    with pytest.raises(NotReconciled, match="key_city/"):
        sensitivity_of(folder)


def test_a_group_without_a_ranked_unit_is_left_out(folder: Path) -> None:
    path = folder / "rankings.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(pc.not_equal(table["group_code"], "key_city")), path)
    found = rows(sensitivity_of(folder))
    assert [row["group_code"] for row in found["rank_shifts"]] == ["ordinary_city", "province"]


def test_people_and_programs_read_it(folder: Path) -> None:
    release, found = Release(folder), sensitivity_of(folder)
    text = as_text(release, found)
    assert "模拟数据" in text and "not sampling uncertainty" in text
    assert "* 温线 warm < 95 " in text
    told = json.loads(as_json(release, found))
    assert told["synthetic"] is True
    assert told["weight_importance"] == rows(found)["weight_importance"]


def test_without_salib_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib", None)
    with pytest.raises(UsageError, match=r"\[sensitivity\]") as raised:
        sobol_of(folder)
    assert "可选依赖" in str(raised.value)


def test_salib_agrees_with_the_draws_at_hand() -> None:
    """A and B change places where 1200 f1 < 1120 f2. SALib is an optional extra: without it this is left out."""
    pytest.importorskip("SALib")
    tree = Tree(np.array([60.0, 40.0]), np.array([-1, -1]), np.array([60.0, 40.0]), 50)
    scores, groups = np.array([[90.0, 50.0], [70.0, 78.0], [10.0, 10.0]]), [[[0], [1], [2]]]
    [theirs] = sobol_indices(scores, tree, groups, seed=1, n_base=4096)
    factors = draw_factors(2, 1, 4000)
    ours = importance((factors - 1) / SPREAD, mean_shifts(scores, tree, groups, factors))
    for node, index in theirs.items():
        assert ours.share[node] == pytest.approx(index.first, abs=0.03 + index.first_error)
        assert index.first < index.total
    assert sum(index.total for index in theirs.values()) > 1, "they do part of it together"
