"""Holds two scripts' scores and a release against one another.

Belongs here: what must be equal, and how nearly. Does not belong here: scoring, timing.

`python -m benchmarks.agreement RELEASE PLAIN.json VECTORISED.json` prints the differences as JSON and
ends with 6 where the three do not agree.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

# Scripts add in floating point, the pipeline rounds each mean to a nanopoint: apart by some 1e-8 points at most.
TOLERANCE = 1e-6
NANO = 10**9


def release_scores(folder: Path) -> dict[str, Any]:
    """A release in the shape that the scripts write."""
    totals: dict[str, dict[str, float | None]] = {"all": {}, "phone": {}, "web": {}}
    columns = ["line_id", "channel", "level", "score_nano"]
    for row in pq.read_table(folder / "line_scores.parquet", columns=columns, partitioning=None).to_pylist():
        if row["level"] == 0:
            score = row["score_nano"]
            totals[row["channel"]][row["line_id"]] = None if score is None else score / NANO
    rankings: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(folder / "rankings.parquet", partitioning=None).to_pylist():
        unit = {name: row[name] for name in ("unit_code", "rank", "is_tied")}
        score = None if row["published"] is None else float(row["published"])
        rankings.setdefault(row["group_code"], []).append({**unit, "score": score})
    classes = pq.read_table(folder / "line_classes.parquet", partitioning=None).to_pylist()
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return {
        "totals": totals["all"],
        "channels": {name: totals[name] for name in ("phone", "web")},
        "classes": {
            row["line_id"]: {name: row[name] for name in ("attempts", "connected", "line_class")} for row in classes
        },
        "rankings": rankings,
        "figures": {
            figure["id"]: {"value": _decimal(figure["unrounded"]), "k": figure["k"], "n": figure["n"]}
            for figure in figures
        },
    }


def _decimal(text: str | None) -> float | None:
    return None if text is None else float(text)


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Largest differences in points, and what else is unequal, on everything that both have."""
    values = {name: each["value"] for name, each in ours["figures"].items()}
    their_values = {name: theirs["figures"][name]["value"] for name in values}
    counts = {name: _counts(each) for name, each in ours["figures"].items()}
    their_counts = {name: _counts(theirs["figures"][name]) for name in counts}
    return {
        "lines": len(ours["totals"]),
        "max_total_difference": largest_difference(ours["totals"], theirs["totals"]),
        "max_channel_total_difference": max(
            largest_difference(ours["channels"][name], theirs["channels"][name]) for name in ours["channels"]
        ),
        "unequal_classes": unequal(ours["classes"], theirs["classes"]),
        "unequal_rankings": [name for name in ours["rankings"] if ours["rankings"][name] != theirs["rankings"][name]],
        "figures": len(values),
        "max_figure_difference": largest_difference(values, their_values),
        "unequal_figure_counts": unequal(counts, their_counts),
    }


def _counts(figure: dict[str, Any]) -> tuple[int | None, int | None]:
    return figure["k"], figure["n"]


def largest_difference(ours: dict[str, float | None], theirs: dict[str, float | None]) -> float:
    """In points; infinite where one side lacks a key, or has a score where the other has none."""
    if ours.keys() != theirs.keys():
        return math.inf
    pairs = [(ours[key], theirs[key]) for key in ours]
    if any((one is None) != (other is None) for one, other in pairs):
        return math.inf
    return max((abs(one - other) for one, other in pairs if one is not None and other is not None), default=0.0)


def unequal(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))


def is_agreed(comparison: dict[str, Any]) -> bool:
    differences = (value for name, value in comparison.items() if name.startswith("max_"))
    lists = (value for name, value in comparison.items() if name.startswith("unequal_"))
    return all(value <= TOLERANCE for value in differences) and not any(lists)


def main(release: str, plain: str, vectorised: str) -> int:
    scores = {
        "plain_script": json.loads(Path(plain).read_text(encoding="utf-8")),
        "vectorised_script": json.loads(Path(vectorised).read_text(encoding="utf-8")),
        "release": release_scores(Path(release)),
    }
    pairs = [("plain_script", "vectorised_script"), ("plain_script", "release"), ("vectorised_script", "release")]
    comparisons = {f"{one} and {other}": compare(scores[one], scores[other]) for one, other in pairs}
    agreed = all(is_agreed(comparison) for comparison in comparisons.values())
    print(json.dumps({"tolerance_points": TOLERANCE, "is_agreed": agreed, **comparisons}, indent=1))
    return 0 if agreed else 6


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
