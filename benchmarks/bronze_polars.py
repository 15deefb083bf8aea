"""The line scores from bronze with polars' streaming engine: a careful script, to time the models against.

Every rule is a condition; one pass over each kind of unit counts, per line and scenario, the units that meet
each. No observation is ever made.

`python -m benchmarks.bronze_polars 2101 v2023 scores.json`
"""

import sys
from collections import defaultdict
from pathlib import Path

import polars as pl

from benchmarks.bronze_columns import CHANNEL, Rule, na_policy, needed_columns, read_rows, run_script, worth
from tests.independent_scorer import Sums, read_method

CELL = ["line_id", "scenario_code"]
MINUTE_US = 60_000_000


def minutes(earlier: str, later: str) -> pl.Expr:
    return (pl.col(later).cast(pl.Int64) - pl.col(earlier).cast(pl.Int64)) // MINUTE_US


def yes_no(is_yes: pl.Expr) -> pl.Expr:
    return pl.when(is_yes).then(pl.lit("yes")).otherwise(pl.lit("no"))


def kinds_of_units(files: dict[str, Path], columns: dict[str, list[str]]) -> dict[str, pl.LazyFrame]:
    """{kind of unit: its rows, with the fields that rules look at}; planned probes without answers apart."""
    # the wave is a part of the path, and no column that is needed
    tables = {
        name: pl.scan_parquet(path, hive_partitioning=False).select(columns[name]) for name, path in files.items()
    }
    web = tables["web_probes"].with_columns(
        submitted=yes_no(pl.col("submitted_at").is_not_null()),
        replied=yes_no(pl.col("replied_at").is_not_null()),
        reply_minutes=minutes("submitted_at", "replied_at"),
        reply_quality=pl.when(pl.col("replied_at").is_null()).then(pl.lit("no_reply")).otherwise("reply_quality"),
        reply_wording=pl.when(pl.col("replied_at").is_null()).then(pl.lit("no_reply")).otherwise("reply_wording"),
    )
    phone = tables["phone_probes"].with_columns(response_minutes=minutes("called_at", "responded_at"))
    return {
        "dial_attempt": tables["dial_attempts"],
        "phone_probe": phone,
        "unasked": unasked(tables["dial_attempts"], phone),
        "web_inspection": web.filter(pl.col("probe_kind") == "inspection"),
        "web_submission": web.filter(pl.col("probe_kind") == "submission"),
    }


def unasked(attempts: pl.LazyFrame, completed: pl.LazyFrame) -> pl.LazyFrame:
    """Planned probes without a questionnaire: `answer` is what all their fields read."""
    probes = attempts.filter(pl.col("probe_id").is_not_null()).join(completed, on="probe_id", how="anti")
    was_connected = (pl.col("connected") == "yes").any()
    return probes.group_by("probe_id").agg(
        pl.col("line_id").min(),
        pl.col("scenario_code").min(),
        answer=pl.when(was_connected).then(pl.lit("missing")).otherwise(pl.lit("not_reached")),
    )


def meets(rule: Rule) -> pl.Expr:
    field = pl.col(rule["field"])
    if rule["match"]:
        return field.fill_null("missing") == rule["match"]
    is_within = field >= int(rule["min_value"])
    return is_within & (field < int(rule["max_value"])) if rule["max_value"] else is_within


def make_sums(files: dict[str, Path], method: Path) -> Sums:
    """Sums per line, channel, indicator and scenario of what counts."""
    rules = read_rows(method / "scoring_rules.csv")
    units = kinds_of_units(files, needed_columns(rules))
    # what no questionnaire says meets the rules for its answer, whatever the field
    of_source = {source: [rule for rule in rules if rule["source"] == source] for source in CHANNEL}
    of_source["unasked"] = [rule for rule in of_source["phone_probe"] if rule["match"] in ("missing", "not_reached")]
    conditions = {
        source: {
            rule["rule_code"] + source: pl.col("answer") == rule["match"] if source == "unasked" else meets(rule)
            for rule in own
        }
        for source, own in of_source.items()
    }
    counted = pl.collect_all(
        [units[source].group_by(CELL).agg(**{name: met.sum() for name, met in each.items()})
         for source, each in conditions.items()],
        engine="streaming",
    )  # fmt: skip
    policy, unit_of, sums = na_policy(method), read_method(method).unit, defaultdict(lambda: [0, 0])
    for (source, own), table in zip(of_source.items(), counted, strict=True):
        lines, scenarios = table["line_id"].to_list(), table["scenario_code"].to_list()
        for rule in own:
            points, indicator = worth(rule, policy), rule["indicator_code"]
            if points is None:
                continue
            for line, scenario, n in zip(lines, scenarios, table[rule["rule_code"] + source].to_list(), strict=True):
                if n:
                    in_scenario = "" if unit_of[indicator] == "attempt" else scenario
                    cell = sums[line, CHANNEL[rule["source"]], indicator, in_scenario]
                    cell[0] += n * points
                    cell[1] += n
    return sums


if __name__ == "__main__":
    run_script(make_sums, sys.argv[1], sys.argv[2], Path(sys.argv[3]))
