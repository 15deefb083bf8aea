"""Standard errors of a release a second time: plain loops over rows, no NumPy, from docs/method.md alone.

Belongs here: from observations and effective weights to the standard error of every line's total.
"""

import csv
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PRIOR_DF = 10
Row = dict[str, Any]


def standard_errors(folder: Path) -> dict[str, float]:
    """{line_id: standard error of its total in points} of the lines that have a total."""
    tier = {row["line_id"]: row["tier"] for row in _rows(folder, "lines")}
    weights, has_total = {}, set()
    for row in _rows(folder, "line_scores"):
        if row["channel"] == "all" and row["level"] == 3:
            weights[row["line_id"], row["node_code"]] = float(row["effective_weight"] or 0)
        if row["channel"] == "all" and row["level"] == 0 and row["score_nano"] is not None:
            has_total.add(row["line_id"])
    observed = _by_line(folder)
    lines = sorted(has_total)
    parts = {line: _parts(observed[line], weights, line, folder) for line in lines}
    own: dict[str, float] = {}
    freedom: dict[str, int] = {}
    single: dict[str, dict[object, float]] = {}
    for line, kinds in parts.items():
        single[line] = {kind: sums[0] for kind, (_, sums) in kinds.items() if len(sums) == 1}
        several = {kind: errors for kind, (errors, _) in kinds.items() if len(errors) > 1}
        own[line] = sum(len(each) / (len(each) - 1) * sum(z * z for z in each) for each in several.values())
        freedom[line] = sum(len(each) - 1 for each in several.values())
    variances = {}
    for line in lines:
        peers = [each for each in lines if tier[each] == tier[line]]
        prior = statistics.median([own[each] for each in peers if freedom[each]])
        variance = (freedom[line] * own[line] + PRIOR_DF * prior) / (freedom[line] + PRIOR_DF)
        for kind in single[line]:
            variance += statistics.variance([single[each][kind] for each in peers if kind in single[each]])
        variances[line] = variance
    return {line: variance**0.5 for line, variance in variances.items()}


def _parts(rows: list[Row], weights: dict[tuple[str, str], float], line: str, folder: Path) -> Any:
    """{kind: (each probe's part of the error, each probe's part of the total)}."""
    scenario_weights = {row["scenario_code"]: float(row["weight"]) for row in _csv(folder, "scenarios")}
    channel_weights = {
        (row["indicator_code"], row["channel"]): float(row["weight"]) for row in _csv(folder, "channel_weights")
    }
    kind_of: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row["channel"] == "phone":
            kind_of[_probe(row)] = ("phone", "")
        else:
            first = min(row["indicator_code"], kind_of.get(_probe(row), ("web", row["indicator_code"]))[1])
            kind_of[_probe(row)] = ("web", first)
    cells: dict[tuple[str, str], dict[str | None, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["score_nano"] is not None and weights.get((line, row["indicator_code"])):
            cells[row["indicator_code"], row["channel"]][
                row["scenario_code"] if row["unit"] == "probe" else None
            ].append(row)
    errors: dict[str, float] = defaultdict(float)
    sums: dict[str, float] = defaultdict(float)
    for (indicator, channel), by_scenario in cells.items():
        channels = [each for code, each in cells if code == indicator]
        share = channel_weights[indicator, channel] / sum(channel_weights[indicator, each] for each in channels)
        whole = sum(scenario_weights.get(scenario or "", 1.0) for scenario in by_scenario)
        mean = {
            scenario: statistics.fmean(row["score_nano"] / 1e9 for row in found)
            for scenario, found in by_scenario.items()
        }
        centre = sum(scenario_weights.get(scenario or "", 1.0) * each for scenario, each in mean.items()) / whole
        for scenario, found in by_scenario.items():
            omega = scenario_weights.get(scenario or "", 1.0) / whole / len(found)
            for row in found:
                weight = weights[line, indicator] * share * omega
                errors[_probe(row)] += weight * (row["score_nano"] / 1e9 - centre)
                sums[_probe(row)] += weight * row["score_nano"] / 1e9
    kinds: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for probe, error in errors.items():
        kinds[kind_of[probe]][0].append(error)
        kinds[kind_of[probe]][1].append(sums[probe])
    return kinds


def _probe(row: Row) -> str:
    return str(row["probe_id"] or row["unit_id"])


def _by_line(folder: Path) -> dict[str, list[Row]]:
    by_line: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(folder, "observations"):
        by_line[row["line_id"]].append(row)
    return by_line


def _rows(folder: Path, name: str) -> list[Row]:
    rows: list[Row] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


def _csv(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "method" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
