"""The line scores from bronze as an analyst would: the plain script's pandas, without its reading of exports.

`python -m benchmarks.bronze_pandas 2101 v2023 scores.json`
"""

import sys
from pathlib import Path

import pandas as pd

from benchmarks.bronze_columns import NANO, needed_columns, read_rows, run_script
from benchmarks.plain_script import observe, phone_units, read_method, web_units
from tests.independent_scorer import Sums

KEY = {"dial_attempts": "attempt_id", "phone_probes": "probe_id", "web_probes": "probe_id"}
SCENARIO = ["line_id", "channel", "node_code", "scenario_code"]


def make_sums(files: dict[str, Path], method: Path) -> Sums:
    """Sums per line, channel, indicator and scenario of what counts."""
    columns = needed_columns(read_rows(method / "scoring_rules.csv"))
    tables = {
        # the script tells units apart by their ids
        name: pd.read_parquet(path, columns=list({KEY[name]: None, **dict.fromkeys(columns[name])}), partitioning=None)
        for name, path in files.items()
    }
    attempts = tables["dial_attempts"].assign(unit_id=lambda rows: rows["attempt_id"])
    attempts["wait_s"] = attempts["wait_s"].astype(float)
    web = web_units(tables["web_probes"])
    units = {
        "dial_attempt": attempts,
        "phone_probe": phone_units(tables["phone_probes"], attempts),
        "web_inspection": web[web["probe_kind"] == "inspection"],
        "web_submission": web[web["probe_kind"] == "submission"],
    }
    valid = observe(units, read_method(method)).dropna(subset=["score"])
    valid = valid.assign(
        nano=(valid["score"] * NANO).round().astype("int64"),
        scenario_code=valid["scenario_code"].where(valid["source"] != "dial_attempt", ""),
    )
    cells = valid.groupby(SCENARIO)["nano"].agg(["sum", "count"])
    return {key: [int(total), int(count)] for key, total, count in cells.itertuples(name=None)}


if __name__ == "__main__":
    run_script(make_sums, sys.argv[1], sys.argv[2], Path(sys.argv[3]))
