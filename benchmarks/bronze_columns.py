"""What scoring needs to read of bronze, and the scores that the benchmark's scripts make of their sums.

Belongs here: what the floor and both scripts share. Does not belong here: how each of them reads
(`bronze_floor.py`, `bronze_polars.py`, `bronze_pandas.py`), scoring above the sums (the tests'
independent scorer, which is not the models').

`python -m benchmarks.bronze_columns RELEASE scores.json` ends with 6 where they differ by a nanopoint
"""

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from dagster_project.paths import Paths, paths
from tests.independent_scorer import CHANNELS, Sums, nodes_of, read_method

NANO = 10**9
CHANNEL = {"dial_attempt": "phone", "phone_probe": "phone", "web_inspection": "web", "web_submission": "web"}
TABLE = {
    "dial_attempt": "dial_attempts", "phone_probe": "phone_probes",
    "web_inspection": "web_probes", "web_submission": "web_probes",
}  # fmt: skip
KEYS = {
    "dial_attempts": ("line_id", "probe_id", "scenario_code", "connected"),  # a planned probe may have no questionnaire
    "phone_probes": ("line_id", "probe_id", "scenario_code"),
    "web_probes": ("line_id", "scenario_code", "probe_kind"),
}
# fields of scoring rules that staging makes of others
MADE_OF = {
    "response_minutes": ("called_at", "responded_at"),
    "reply_minutes": ("submitted_at", "replied_at"),
    "submitted": ("submitted_at",),
    "replied": ("replied_at",),
    "reply_quality": ("replied_at", "reply_quality"),
    "reply_wording": ("replied_at", "reply_wording"),
}
Rule = dict[str, str]


def read_rows(path: Path) -> list[Rule]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def needed_columns(rules: list[Rule]) -> dict[str, list[str]]:
    """{bronze table: columns that the line scores depend on}."""
    needed = {table: dict.fromkeys(keys) for table, keys in KEYS.items()}
    for rule in rules:
        needed[TABLE[rule["source"]]] |= dict.fromkeys(MADE_OF.get(rule["field"], (rule["field"],)))
    return {table: list(columns) for table, columns in needed.items()}


def worth(rule: Rule, na_policy: dict[tuple[str, str], str]) -> int | None:
    """Nanopoints of an answer that meets the rule; None where it does not count."""
    if not rule["na_code"]:
        return round(float(rule["score"]) * NANO)
    return {"zero": 0, "exclude": None}[na_policy[rule["na_code"], rule["indicator_code"]]]


def na_policy(method: Path) -> dict[tuple[str, str], str]:
    return {(row["na_code"], row["indicator_code"]): row["treatment"] for row in read_rows(method / "na_policy.csv")}


def run_script(make_sums: Callable[[dict[str, Path], Path], Sums], wave: str, method: str, out: Path) -> None:
    """Time `make_sums(bronze files, method folder)` with the scoring above it, write the scores, print the seconds.

    Libraries are loaded and files are named before the clock starts.
    """
    installation: Paths = paths()
    folder = installation.method(method)
    files = {table: installation.bronze_part(table, wave) for table in KEYS}
    started = time.perf_counter()
    sums = make_sums(files, folder)
    read = read_method(folder)
    lines = sorted({line for line, *_ in sums})
    nodes = {channel: nodes_of(sums, read, lines, channel) for channel in CHANNELS}
    seconds = time.perf_counter() - started
    out.write_text(json.dumps(nodes), encoding="utf-8")
    print(json.dumps({"seconds": seconds}))


def differences(release: Path, scores: Path) -> list[str]:
    """Nodes of a release that a script's scores say otherwise."""
    ours = json.loads(scores.read_text(encoding="utf-8"))
    columns = ["line_id", "channel", "node_code", "score_nano"]
    return [
        f"{line} {channel} {node}: {nano}, script: {said}"
        for line, channel, node, nano in zip(
            *pq.ParquetFile(release / "line_scores.parquet").read(columns).to_pydict().values(), strict=True
        )
        # a line without any unit stands in no sum
        if (said := ours[channel].get(line, {}).get(node)) != nano
    ]


def main(release: str, scores: str) -> int:
    different = differences(Path(release), Path(scores))
    print(*different[:20], sep="\n", file=sys.stderr)
    return 6 if different else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
