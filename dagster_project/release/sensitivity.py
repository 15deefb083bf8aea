"""How far a release's ranks and classes hang on the method's weights and thresholds, as tables.

Belongs here: reading what the statistics need from a release folder, and their results as tables.
Does not belong here: the statistics (`statistics/weight_sensitivity.py`, `statistics/threshold_sensitivity.py`).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.errors import NotReconciled
from dagster_project.release.reading import TOTAL, Node, Release
from dagster_project.statistics.sobol import Sobol, sobol_indices
from dagster_project.statistics.threshold_sensitivity import Rule, margin, moved_thresholds
from dagster_project.statistics.weight_sensitivity import N_DRAWS, Floats, RankSpread, Tree, weight_sensitivity

NANO = 10**9
DECIMALS = 6  # of shares: what a sum of floats may end in otherwise differs from machine to machine
TEXT, INTEGER, SHARE = pa.string(), pa.int64(), pa.float64()
WEIGHTS = pa.schema(
    {"group_code": TEXT, "unit_code": TEXT, "rank_p05": INTEGER, "rank_p95": INTEGER, "p_top_10": SHARE}
)
IMPORTANCE = pa.schema(
    {"group_code": TEXT, "level": INTEGER, "node_code": TEXT, "importance": SHARE, "low": SHARE, "high": SHARE}
)
SHIFTS = pa.schema({"group_code": TEXT, "n_units": INTEGER, "n_draws": INTEGER, "mean_rank_shift": SHARE})
THRESHOLDS = pa.schema({"threshold": TEXT, "below_pct": INTEGER, "line_class": TEXT, "n_lines": INTEGER})
MARGINS = pa.schema({"line_id": TEXT, "line_class": TEXT, "misses_to_other": INTEGER, "hits_to_other": INTEGER})


@dataclass(frozen=True)
class Sensitivity:
    """Tables, sorted by their keys.

    `weight_sensitivity`: a row per group and ranked unit; ranks of which 5 % and 95 % of the draws are at most,
    share of the draws with a rank of 10 or better. `weight_importance`: a row per group and weight; the share of
    the variance of the group's ranks that the weight explains by itself, with its 95 % interval.
    `rank_shifts`: a row per group; ranks by which a unit moves in the mean. `threshold_sensitivity`: a row per
    threshold (the class that it bounds from above), its value and class; lines of the class. `class_margins`: a
    row per line; calls that would have had to fail, or to connect, for another class, null where none would do.
    """

    weight_sensitivity: pa.Table
    weight_importance: pa.Table
    rank_shifts: pa.Table
    threshold_sensitivity: pa.Table
    class_margins: pa.Table


def sensitivity_of(folder: Path, n_draws: int = N_DRAWS) -> Sensitivity:
    """Sensitivity of the release in `folder`; all but its manifest, figures and text must be there.

    Raises NotReconciled where the method's own weights do not give the ranks of the release.
    """
    ranking = Ranking(Release(folder))
    spreads = weight_sensitivity(ranking.scores, ranking.tree, ranking.groups, ranking.seed, n_draws)
    by_group = dict(zip(ranking.units, spreads, strict=True))
    ranking.require_own_ranks(by_group)
    return Sensitivity(
        _table(WEIGHTS, ranking.weight_rows(by_group)),
        _table(IMPORTANCE, ranking.importance_rows(by_group)),
        _table(
            SHIFTS,
            [(group, len(each.rank), n_draws, round(each.mean_shift, DECIMALS)) for group, each in by_group.items()],
        ),
        *_class_tables(ranking.release),
    )


def sobol_of(folder: Path) -> dict[str, dict[str, Sobol]]:
    """{group: {node: Sobol indices of the group's mean absolute rank shift}}. Raises UsageError without SALib."""
    ranking = Ranking(Release(folder))
    found = sobol_indices(ranking.scores, ranking.tree, ranking.groups, ranking.seed)
    codes = [node.code for node in ranking.nodes]
    return {
        group: {codes[number]: index for number, index in each.items()}
        for group, each in zip(ranking.units, found, strict=True)
    }


class Ranking:
    """What is ranked in a release, as arrays. Lines, nodes and units go by their codes, whatever their order there."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._line = dict(zip(sorted(release.lines), count()))

    @cached_property
    def _leaf_scores(self) -> list[tuple[Any, ...]]:
        """(line, channel, level, node, score) of every third-level indicator, pooled over channels."""
        columns = ["line_id", "channel", "level", "node_code", "score_nano"]
        table = pq.ParquetFile(self.release.folder / "line_scores.parquet").read(columns=columns)
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        return [row for row in rows if row[1:3] == ("all", 3)]

    @cached_property
    def nodes(self) -> list[Node]:
        """Below the total, by level and code; without indicators that no channel has."""
        tree = self.release.tree
        defined: set[str | None] = {code for *_, code, _ in self._leaf_scores}
        for level in (3, 2):
            defined |= {node.parent for node in tree.values() if node.level == level and node.code in defined}
        below = [node for node in tree.values() if node.code in defined and node.code != TOTAL]
        return sorted(below, key=lambda node: (node.level, node.code))

    @cached_property
    def _weights(self) -> dict[str, int]:
        return {
            row[code]: int(row[weight])
            for row in self.release.method("indicators")
            for code, weight in (("l1_code", "l1_weight"), ("l2_code", "l2_weight"), ("indicator_code", "l3_weight"))
        }

    @cached_property
    def tree(self) -> Tree:
        settings = {row["setting"]: row["value"] for row in self.release.method("settings")}
        number: dict[str | None, int] = {TOTAL: -1, **{node.code: place for place, node in enumerate(self.nodes)}}
        weight = np.array([self._weights[node.code] for node in self.nodes], dtype=np.float64)
        return Tree(
            weight,
            np.array([number[node.parent] for node in self.nodes], dtype=np.int64),
            np.ones_like(weight) if settings["availability_basis"] == "count" else weight,
            int(settings["min_availability_pct"]),
        )

    @cached_property
    def scores(self) -> Floats:
        """(lines, leaves) in points, NaN for NA."""
        column = {self.nodes[number].code: place for place, number in enumerate(self.tree.leaves.tolist())}
        found = np.full((len(self._line), len(column)), np.nan)
        for line_id, _, _, code, nano in self._leaf_scores:
            if nano is not None:
                found[self._line[line_id], column[code]] = nano / NANO
        return found

    @cached_property
    def units(self) -> dict[str, dict[str, int]]:
        """{group: {unit: rank}} of the units that have one; groups without any are left out."""
        ranked = {
            group: {
                row["unit_code"]: row["rank"]
                for row in sorted(rows, key=itemgetter("unit_code"))
                if row["rank"] is not None
            }
            for group, rows in sorted(self.release.rankings.items())
        }
        return {group: units for group, units in ranked.items() if units}

    @cached_property
    def groups(self) -> list[list[list[int]]]:
        """Per group and unit the numbers of its lines."""
        is_province = {row["group_code"]: row["unit"] == "province" for row in self.release.method("rank_groups")}
        lines_of: dict[str, list[int]] = {}
        for line_id, number in self._line.items():
            lines_of.setdefault(self.release.lines[line_id]["province_code"], []).append(number)
        return [
            [lines_of[unit] if is_province[group] else [self._line[unit]] for unit in units]
            for group, units in self.units.items()
        ]

    @property
    def seed(self) -> int:
        """From the tree alone: releases under the same weights draw the same ones.

        So a correction of one line moves no other line's range by chance, and two waves can be compared.
        """
        content = "\n".join(f"{node.level} {node.code} {node.parent} {self._weights[node.code]}" for node in self.nodes)
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")

    def require_own_ranks(self, spreads: dict[str, RankSpread]) -> None:
        differing = [
            f"{group}/{unit}: {rank}, {again}"
            for group, units in self.units.items()
            for (unit, rank), again in zip(units.items(), spreads[group].rank.tolist(), strict=True)
            if rank != again
        ]
        if differing:
            raise NotReconciled(
                f"{self.release.folder.name}:按原权重重算的名次与发布不符 / the method's weights do not give the "
                f"release's ranks again: {', '.join(differing[:5])}"
            )

    def weight_rows(self, spreads: dict[str, RankSpread]) -> list[tuple[Any, ...]]:
        return [
            (group, *row)
            for group, each in spreads.items()
            for row in zip(self.units[group], each.low.tolist(), each.high.tolist(), each.p_top.tolist(), strict=True)
        ]

    def importance_rows(self, spreads: dict[str, RankSpread]) -> list[tuple[Any, ...]]:
        return [
            (group, node.level, node.code, *(round(float(values[number]), DECIMALS) for values in parts))
            for group, each in spreads.items()
            for parts in [(each.importance.share, each.importance.low, each.importance.high)]
            for number, node in enumerate(self.nodes)
        ]


def _class_tables(release: Release) -> tuple[pa.Table, pa.Table]:
    rows = sorted(release.method("line_class_rules"), key=lambda row: int(row["rule_order"]))
    rules = [Rule(row["line_class"], row["test"], int(row["below_pct"]) if row["below_pct"] else None) for row in rows]
    lines = sorted(release.classes.items())
    settings = moved_thresholds(rules, [(line["attempts"], line["connected"]) for _, line in lines])
    margins = ((line_id, line, margin(rules, line["attempts"], line["connected"])) for line_id, line in lines)
    return (
        _table(
            THRESHOLDS,
            [(each.threshold, each.below_pct, *of) for each in settings for of in each.n_lines.items()],
        ),
        _table(MARGINS, [(line_id, line["line_class"], each.misses, each.hits) for line_id, line, each in margins]),
    )


def _table(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
