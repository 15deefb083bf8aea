"""Scores a release a second time, from METHOD.md alone: plain Python integers, no SQL.

Belongs here: the way from observations to node scores, written without a look at the dbt
models, so that a release can be held against it digit by digit. Does not belong here:
what an observation is worth (the release's `observations.parquet` says it).

As a script: `python tests/independent_scorer.py data/releases/2023/current`
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = "T"
CHANNELS = ("all", "phone", "web")
# (line, channel, indicator, scenario or "") -> sum of valid observations in nanopoints, and their number
Sums = dict[tuple[str, str, str, str], list[int]]


@dataclass(frozen=True)
class Method:
    """A method version: children and weights per node, leaves per channel, scenario weights, availability."""

    children: dict[str, dict[str, int]]  # parent -> {child: weight}
    unit: dict[str, str]  # indicator -> probe | attempt
    channel_weights: dict[str, dict[str, int]]  # indicator -> {channel: weight}, where it is defined
    scenario_weights: dict[str, int]
    availability_basis: str
    min_availability_pct: int


def half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, halves upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


def read_method(method_dir: Path) -> Method:
    """The method version whose CSVs lie in `method_dir`."""

    def rows(name: str) -> list[dict[str, str]]:
        with (method_dir / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    children: dict[str, dict[str, int]] = defaultdict(dict)
    unit = {}
    for row in rows("indicators"):
        children[ROOT][row["l1_code"]] = int(row["l1_weight"])
        children[row["l1_code"]][row["l2_code"]] = int(row["l2_weight"])
        children[row["l2_code"]][row["indicator_code"]] = int(row["l3_weight"])
        unit[row["indicator_code"]] = row["unit"]
    channel_weights: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows("channel_weights"):
        if int(row["weight"]) > 0:
            channel_weights[row["indicator_code"]][row["channel"]] = int(row["weight"])
    settings = {row["setting"]: row["value"] for row in rows("settings")}
    return Method(
        children=dict(children),
        unit=unit,
        channel_weights=dict(channel_weights),
        scenario_weights={row["scenario_code"]: int(row["weight"]) for row in rows("scenarios")},
        availability_basis=settings["availability_basis"],
        min_availability_pct=int(settings["min_availability_pct"]),
    )


def score(observations: pa.Table, method_dir: Path, line_ids: Iterable[str]) -> dict[str, int | None]:
    """Total of every line in nanopoints; None where too little of it is available."""
    return {line: nodes[ROOT] for line, nodes in score_nodes(observations, method_dir, line_ids).items()}


def score_nodes(
    observations: pa.Table, method_dir: Path, line_ids: Iterable[str], channel: str = "all"
) -> dict[str, dict[str, int | None]]:
    """Score of every node per line in nanopoints: pooled (`all`), or on the sub-tree that a channel defines."""
    method = read_method(method_dir)
    return nodes_of(scenario_sums(observations, method), method, line_ids, channel)


def nodes_of(
    sums: Sums, method: Method, line_ids: Iterable[str], channel: str = "all"
) -> dict[str, dict[str, int | None]]:
    """The same from sums, however they were made (the benchmarks' scripts make them from bronze)."""
    by_channel = indicator_means(sums, method)
    scores = {}
    for line in line_ids:
        leaves: dict[str, int | None] = {}
        for indicator, weights in method.channel_weights.items():
            defined = weights if channel == "all" else {name: 1 for name in weights if name == channel}
            if defined:
                leaves[indicator] = pooled(
                    {
                        name: by_channel[line, name, indicator]
                        for name in defined
                        if (line, name, indicator) in by_channel
                    },
                    defined,
                )
        scores[line] = roll_up(ROOT, leaves, method)
    return scores


def scenario_sums(observations: pa.Table, method: Method) -> Sums:
    """Valid observations by scenario; those of an attempt belong to none."""
    sums: Sums = defaultdict(lambda: [0, 0])
    columns = (
        observations[name].to_pylist()
        for name in ("line_id", "channel", "indicator_code", "scenario_code", "score_nano")
    )
    for line, channel, indicator, scenario, points in zip(*columns, strict=True):
        if points is not None:
            cell = sums[line, channel, indicator, "" if method.unit[indicator] == "attempt" else scenario]
            cell[0] += points
            cell[1] += 1
    return sums


def indicator_means(sums: Sums, method: Method) -> dict[tuple[str, str, str], int]:
    """(line, channel, indicator) -> mean of its valid observations, over scenarios unless the unit is the attempt."""
    weighted: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (line, channel, indicator, scenario), (total, count) in sums.items():
        weight = method.scenario_weights[scenario] if scenario else 1
        cell = weighted[line, channel, indicator]
        cell[0] += weight * half_up(total, count)
        cell[1] += weight
    return {key: half_up(total, weight) for key, (total, weight) in weighted.items()}


def pooled(present: dict[str, int], weights: dict[str, int]) -> int | None:
    """Weighted mean of the children present."""
    if not present:
        return None
    return half_up(
        sum(weights[name] * value for name, value in present.items()), sum(weights[name] for name in present)
    )


def roll_up(root: str, leaves: dict[str, int | None], method: Method) -> dict[str, int | None]:
    """Scores of `root` and everything below it that has defined leaves."""
    nodes: dict[str, int | None] = {}

    def visit(node: str) -> bool:
        """Scores a node; whether it is defined at all."""
        if node not in method.children:
            if node in leaves:
                nodes[node] = leaves[node]
            return node in leaves
        defined = {child: weight for child, weight in method.children[node].items() if visit(child)}
        present = {child: score for child in defined if (score := nodes[child]) is not None}
        if defined:
            measure = dict.fromkeys(defined, 1) if method.availability_basis == "count" else defined
            share_present = sum(measure[child] for child in present), sum(measure.values())
            enough = share_present[0] * 100 >= share_present[1] * method.min_availability_pct
            nodes[node] = pooled(present, defined) if enough else None
        return bool(defined)

    visit(root)
    return nodes


def compare(release: Path) -> list[str]:
    """Differences between a release's node scores and ours, one line of text each."""
    observations = pq.read_table(release / "observations.parquet", partitioning=None)
    published = pq.read_table(release / "line_scores.parquet", partitioning=None).to_pylist()
    lines = sorted({row["line_id"] for row in published})
    ours = {channel: score_nodes(observations, release / "method", lines, channel) for channel in CHANNELS}
    differences = []
    for row in published:
        expected = ours[row["channel"]][row["line_id"]].get(row["node_code"])
        if row["score_nano"] != expected:
            differences.append(
                f"{row['line_id']} {row['channel']} {row['node_code']}: {row['score_nano']}, independent: {expected}"
            )
    totals = {row["line_id"] for row in published if row["channel"] == "all" and row["level"] == 0}
    differences += [f"{line}: no total in the release" for line in lines if line not in totals]
    return differences


def main(arguments: list[str]) -> int:
    """Compares the release folders named; 0 when every digit is the same."""
    if not arguments:
        print(__doc__)
        return 2
    wrong = 0
    for folder in arguments:
        differences = compare(Path(folder))
        wrong += len(differences)
        print(f"{folder}: {'equal to the digit' if not differences else f'{len(differences)} differences'}")
        for difference in differences[:20]:
            print(f"  {difference}")
    return 6 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
