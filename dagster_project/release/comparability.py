"""Whether the values of two waves can be compared, measure by measure.

Belongs here: what of a method version each measure rests on, and the word for what two waves share of
it. Does not belong here: rescoring on common indicators (dbt).

same_method        what the value rests on is the same in both waves: the plain difference is comparable
comparable_basis   the trees differ, and both waves are rescored on their common indicators
not_comparable     the plain difference is all there is
"""

import json
from dataclasses import dataclass
from pathlib import Path

from dagster_project.ingest.reference import Row, method_rows, reduce_weights, require_mapping
from dagster_project.release.folder import MANIFEST

SAME, RESCORED, NOT_COMPARABLE = "same_method", "comparable_basis", "not_comparable"
WORDS = (SAME, RESCORED, NOT_COMPARABLE)
SCORED = "mean_score"  # the measure that is rescored
# Columns by which a value can change; names and labels are free.
TREE = ("indicator_code", "l2_code", "l1_code", "l1_weight", "l2_weight", "l3_weight")
COLUMNS = {
    "indicators": (*TREE, "unit"),
    "channel_weights": ("indicator_code", "channel", "weight"),
    "scoring_rules": (
        "indicator_code", "source", "field", "match", "min_value", "max_value", "score_nano", "na_code",
        "partition_code",
    ),
    "na_policy": ("na_code", "indicator_code", "treatment"),
    "scenarios": ("scenario_code", "weight"),
    "settings": ("availability_basis", "min_availability_pct"),
    "line_class_rules": ("rule_order", "line_class", "test", "below_pct"),
    "line_flags": ("flag_code", "indicator_code", "channel", "min_rate_pct"),
    "line_bands": ("band_code", "partition_code", "indicator_code", "channel", "min_pct", "max_pct"),
}  # fmt: skip
SCORING = ("indicators", "channel_weights", "scoring_rules", "na_policy", "scenarios", "settings")
MEASURES = {
    SCORED: SCORING,
    "coverage": SCORING,
    "scenario_mean": SCORING,
    "rule_share": SCORING,
    "flag_share": (*SCORING, "line_flags"),
    "band_share": (*SCORING, "line_bands"),
    "class_count": ("line_class_rules",),
    "connection_rate": (),  # diallings put through of all: no method has a say in it
}


@dataclass(frozen=True)
class Comparability:
    """`measures`: {measure: word}. `older_tree`: what rescoring needs of the older method; empty where nothing is."""

    measures: dict[str, str]
    older_tree: tuple[Row, ...]


def compare_methods(method: Path, baseline: Path) -> Comparability:
    """How a wave scored by the method version in `method` compares with the release in `baseline`.

    Raises InputRejected where comparable_with.csv does not lead from the tree of that release to this one.
    """
    tables = [*COLUMNS, "comparable_with"]
    newer, older = method_rows(method, tables), method_rows(baseline / "method", COLUMNS)
    differing = {
        name for name, columns in COLUMNS.items() if _content(newer[name], columns) != _content(older[name], columns)
    }
    measures = {
        measure: NOT_COMPARABLE if differing.intersection(names) else SAME for measure, names in MEASURES.items()
    }
    if measures[SCORED] == SAME:
        return Comparability(measures, ())
    name = json.loads((baseline / MANIFEST).read_text(encoding="utf-8"))["method_version"]
    mapping = [row for row in newer["comparable_with"] if row["baseline_method"] == name]
    if not mapping:
        return Comparability(measures, ())
    require_mapping(mapping, older["indicators"], newer["indicators"], f"{method.name} ← {name} ({baseline.name})")
    reduce_weights(older)
    settings = {column: older["settings"][0][column] for column in COLUMNS["settings"]}
    tree = tuple(
        {"method": name, **{column: row[column] for column in TREE}, **settings} for row in older["indicators"]
    )
    return Comparability(measures | {SCORED: RESCORED}, tree)


def is_same_scoring(one: Path, other: Path) -> bool:
    """Whether two method folders score alike: tree, weights, rules, NA policy, scenarios, settings."""
    rows = [method_rows(folder, SCORING) for folder in (one, other)]
    return all(_content(rows[0][name], COLUMNS[name]) == _content(rows[1][name], COLUMNS[name]) for name in SCORING)


def _content(rows: list[Row], columns: tuple[str, ...]) -> list[tuple[str | int, ...]]:
    """The rows by what counts in them, in one order whatever the file's."""
    return sorted(tuple("" if row[name] is None else row[name] for name in columns) for row in rows)
