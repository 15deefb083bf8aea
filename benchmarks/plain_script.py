"""One wave scored as a survey firm's analyst would: pandas, openpyxl, floating point.

Belongs here: a plain script of METHOD.md's scoring, written without a look at the dbt models, to
time the pipeline against and to hold its scores against. Does not belong here: what the pipeline
adds (guarded reading, quarantine, corrections, gates, releases, history).

`python -m benchmarks.plain_script 2023 scores.json`
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from dagster_project.paths import Paths, paths

CHANNELS = {"dial_attempt": "phone", "phone_probe": "phone", "web_inspection": "web", "web_submission": "web"}
UNIT = ["source", "line_id", "unit_id", "scenario_code"]
CELL = ["line_id", "channel", "node_code"]


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV of the method or the frame; every column text, an empty cell is NaN."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])


def read_method(folder: Path) -> dict[str, Any]:
    """The CSVs of a method version, numbers as numbers, and its settings."""
    method: dict[str, Any] = {path.stem: read_csv(path) for path in folder.glob("*.csv")}
    numbers = {
        "indicators": ["l1_weight", "l2_weight", "l3_weight"],
        "channel_weights": ["weight"],
        "scenarios": ["weight"],
        "scoring_rules": ["min_value", "max_value", "score"],
        "line_class_rules": ["rule_order", "below_pct"],
        "line_flags": ["min_rate_pct"],
        "line_bands": ["min_pct", "max_pct"],
    }
    for name, columns in numbers.items():
        method[name][columns] = method[name][columns].astype(float)
    weights = method["channel_weights"]
    method["channel_weights"] = weights[weights["weight"] > 0]
    method["settings"] = method["settings"].set_index("setting")["value"].to_dict()
    return method


# Exports ---------------------------------------------------------------------


def read_export(raw: Paths, wave: str, export: dict[str, str]) -> pd.DataFrame:
    """An export under its canonical column names, answers as codes, times as times."""
    profile = yaml.safe_load(raw.profile(export["profile"]).read_text(encoding="utf-8"))
    files = sorted(raw.wave_raw(wave).glob(export["glob"]))
    vendor = pd.concat([read_file(path, profile["file"]) for path in files], ignore_index=True)
    skipped = {"": None, **profile["skip_codes"]}
    table = pd.DataFrame()
    for header, column in profile["columns"].items():
        codes = {**column["values"], **skipped} if "values" in column else None
        table[column["field"]] = decode(vendor[header], codes, skipped)
    for field in table.columns[table.columns.str.endswith("_at")]:
        table[field] = pd.to_datetime(table[field].str.replace("/", "-"), format="%Y-%m-%d %H:%M:%S")
    return table


def read_file(path: Path, file: dict[str, str]) -> pd.DataFrame:
    if file["type"] == "xlsx":
        return pd.read_excel(path, engine="openpyxl", dtype=str, keep_default_na=False)
    return pd.read_csv(path, encoding=file["encoding"], dtype=str, keep_default_na=False)


def decode(values: pd.Series, codes: dict[str, str | None] | None, skipped: dict[str, str | None]) -> pd.Series:
    """Vendor text to codes; a text without a code list is kept, unless the question was skipped."""
    if codes is None:
        return values.mask(values.isin(list(skipped)))
    unknown = set(values) - set(codes)
    if unknown:
        raise ValueError(f"{values.name}: {sorted(unknown)}")
    return values.map(codes)


def phone_units(questionnaires: pd.DataFrame, attempts: pd.DataFrame) -> pd.DataFrame:
    """Completed phone probes, and the planned ones that were dialled but have no questionnaire."""
    completed = questionnaires.assign(
        response_minutes=(questionnaires["responded_at"] - questionnaires["called_at"]) // pd.Timedelta(minutes=1)
    )
    planned = (
        attempts.dropna(subset=["probe_id"])
        .assign(was_connected=lambda rows: rows["connected"] == "yes")
        .groupby("probe_id", as_index=False)
        .agg(line_id=("line_id", "min"), scenario_code=("scenario_code", "min"), was_connected=("was_connected", "max"))
    )
    unasked = planned[~planned["probe_id"].isin(completed["probe_id"])].copy()
    # never put through: nothing could be asked; put through without a questionnaire: the answers are missing
    answer = unasked["was_connected"].map({True: "missing", False: "not_reached"})
    for field in set(completed.columns) - set(unasked.columns) - {"called_at", "responded_at", "response_minutes"}:
        unasked[field] = answer
    return pd.concat([completed, unasked], ignore_index=True).assign(unit_id=lambda rows: rows["probe_id"])


def web_units(visits: pd.DataFrame) -> pd.DataFrame:
    """Web probes with what follows from their times."""
    is_replied = visits["replied_at"].notna()
    return visits.assign(
        unit_id=visits["probe_id"],
        submitted=np.where(visits["submitted_at"].notna(), "yes", "no"),
        replied=np.where(is_replied, "yes", "no"),
        reply_minutes=(visits["replied_at"] - visits["submitted_at"]) // pd.Timedelta(minutes=1),
        reply_wording=visits["reply_wording"].where(is_replied, "no_reply"),
        reply_quality=visits["reply_quality"].where(is_replied, "no_reply"),
    )


def read_units(raw: Paths, wave: str, exports: list[dict[str, str]]) -> dict[str, pd.DataFrame]:
    """{kind of unit: one row per unit} for the four kinds that the scoring rules know."""
    tables = {export["table"]: read_export(raw, wave, export) for export in exports}
    attempts = tables["dial_attempts"].assign(unit_id=lambda rows: rows["attempt_id"])
    attempts["wait_s"] = attempts["wait_s"].astype(float)
    web = web_units(tables["web_probes"])
    return {
        "dial_attempt": attempts,
        "phone_probe": phone_units(tables["phone_probes"], attempts),
        "web_inspection": web[web["probe_kind"] == "inspection"],
        "web_submission": web[web["probe_kind"] == "submission"],
    }


# From answers to line scores -------------------------------------------------


def observe(units: dict[str, pd.DataFrame], method: dict[str, Any]) -> pd.DataFrame:
    """One row per unit and indicator: its rule, its NA code and its score (NaN where excluded)."""
    rules = method["scoring_rules"]
    matches = []
    for source, table in units.items():
        rows = table.assign(source=source)
        own = rules[rules["source"] == source]
        by_text, by_range = own[own["match"].notna()], own[own["match"].isna()]
        answers = rows.melt(UNIT, sorted(set(by_text["field"])), "field", "match").fillna({"match": "missing"})
        matches.append(answers.merge(by_text, on=["source", "field", "match"]))
        if not by_range.empty:
            numbers = rows.melt(UNIT, sorted(set(by_range["field"])), "field", "number").dropna(subset=["number"])
            ranged = numbers.merge(by_range, on=["source", "field"])
            is_within = (ranged["number"] >= ranged["min_value"]) & ~(ranged["number"] >= ranged["max_value"])
            matches.append(ranged[is_within])
    observations = pd.concat(matches, ignore_index=True)
    require_one_rule_each(observations, units, rules)
    observations = observations.merge(method["na_policy"], on=["na_code", "indicator_code"], how="left")
    if (observations["na_code"].notna() & observations["treatment"].isna()).any():
        raise ValueError("an NA code without a policy")
    observations["score"] = observations["score"].mask(observations["treatment"] == "zero", 0.0)
    return observations.assign(channel=observations["source"].map(CHANNELS), node_code=observations["indicator_code"])


def require_one_rule_each(observations: pd.DataFrame, units: dict[str, pd.DataFrame], rules: pd.DataFrame) -> None:
    """Raise ValueError where an indicator of a unit has no rule, or several."""
    n_expected = sum(
        len(table) * rules.loc[rules["source"] == source, "indicator_code"].nunique() for source, table in units.items()
    )
    is_twice = observations.duplicated(["source", "unit_id", "indicator_code"])
    if is_twice.any() or len(observations) != n_expected:
        raise ValueError(f"{is_twice.sum()} answers have two rules, {n_expected - len(observations)} have none")


def weighted_mean(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Per group: sum of weight * score over sum of weight, among the rows that have a score."""
    present = rows[rows["score"].notna()].assign(weighted=lambda each: each["weight"] * each["score"])
    sums = present.groupby(by, as_index=False)[["weighted", "weight"]].sum()
    return sums.assign(score=sums["weighted"] / sums["weight"])[[*by, "score"]]


def indicator_scores(observations: pd.DataFrame, method: dict[str, Any], lines: pd.DataFrame) -> pd.DataFrame:
    """Third level: one row per line, channel (and `all`) and defined indicator; NaN where nothing counts."""
    by_scenario = observations.assign(
        # an attempt belongs to no scenario: its indicators are plain means
        scenario_code=observations["scenario_code"].where(observations["source"] != "dial_attempt", "none")
    )
    means = by_scenario.groupby([*CELL, "scenario_code"], as_index=False)["score"].mean()
    means = means.merge(method["scenarios"][["scenario_code", "weight"]], on="scenario_code", how="left")
    by_channel = weighted_mean(means.fillna({"weight": 1.0}), CELL)
    weights = method["channel_weights"].rename(columns={"indicator_code": "node_code"})
    pooled = weighted_mean(by_channel.merge(weights, on=["node_code", "channel"]), ["line_id", "node_code"])
    scores = pd.concat([by_channel, pooled.assign(channel="all")])
    defined = pd.concat([weights, weights.assign(channel="all")])[["node_code", "channel"]].drop_duplicates()
    return lines[["line_id"]].merge(defined, how="cross").merge(scores, on=CELL, how="left")


def roll_up(children: pd.DataFrame, edges: pd.DataFrame, settings: dict[str, str]) -> pd.DataFrame:
    """One level up; NaN where too little of a node's children is present."""
    rows = children.merge(edges, on="node_code")
    rows["defined"] = 1.0 if settings["availability_basis"] == "count" else rows["weight"]
    rows["present"] = rows["defined"].where(rows["score"].notna(), 0.0)
    by = ["line_id", "channel", "parent_code"]
    parents = rows.groupby(by, as_index=False)[["defined", "present"]].sum()
    parents = parents.merge(weighted_mean(rows, by), on=by, how="left")
    is_enough = 100 * parents["present"] >= float(settings["min_availability_pct"]) * parents["defined"]
    parents["score"] = parents["score"].where(is_enough)
    return parents.rename(columns={"parent_code": "node_code"})[[*CELL, "score"]]


def node_scores(thirds: pd.DataFrame, method: dict[str, Any]) -> pd.DataFrame:
    """Every node of every line and channel, from the 27 indicators to the total `T`."""
    tree = method["indicators"].assign(root="T")
    levels = [thirds]
    for child, parent, weight in [
        ("indicator_code", "l2_code", "l3_weight"),
        ("l2_code", "l1_code", "l2_weight"),
        ("l1_code", "root", "l1_weight"),
    ]:
        edges = tree[[child, parent, weight]].drop_duplicates()
        edges.columns = ["node_code", "parent_code", "weight"]
        levels.append(roll_up(levels[-1], edges, method["settings"]))
    return pd.concat(levels, ignore_index=True)


def line_classes(attempts: pd.DataFrame, method: dict[str, Any], lines: pd.DataFrame) -> pd.DataFrame:
    """Class of every line by its connection rate: the first rule that holds."""
    counts = attempts.assign(connected=attempts["connected"] == "yes").groupby("line_id")["connected"]
    classes = lines[["line_id"]].merge(
        counts.agg(attempts="count", connected="sum").reset_index(), on="line_id", how="left"
    )
    classes[["attempts", "connected"]] = classes[["attempts", "connected"]].fillna(0).astype(int)
    rules = method["line_class_rules"].sort_values("rule_order")

    def first_match(line: pd.Series) -> pd.Series:
        for _, rule in rules.iterrows():
            holds = {
                "no_attempts": line["attempts"] == 0,
                "none_connected": line["connected"] == 0,
                "rate_below": 100 * line["connected"] < rule["below_pct"] * line["attempts"],
                "otherwise": True,
            }
            if holds[rule["test"]]:
                return pd.Series([rule["line_class"], rule["is_ranked"] == "1"])
        raise ValueError(f"{line['line_id']}: no class rule holds")

    classes[["line_class", "is_ranked"]] = classes.apply(first_match, axis=1)
    return classes


# What is published -----------------------------------------------------------


def published(scores: pd.Series) -> pd.Series:
    """Half up to 2 decimals of the value first rounded half up to 8."""
    fine = np.floor(scores * 1e8 + 0.5)
    return np.floor(fine / 1e6 + 0.5) / 100


def rankings(scored: pd.DataFrame, method: dict[str, Any]) -> dict[str, list[dict]]:
    """{group: its lines or provinces with published score and rank}; `scored`: one row per line."""
    provinces = scored.groupby("province_code", as_index=False).agg(
        score=("score", "mean"), is_ranked=("is_ranked", "max")
    )
    tables = {}
    for group in method["rank_groups"].itertuples():
        if group.unit == "province":
            units = provinces.rename(columns={"province_code": "unit_code"})
        else:
            units = scored[scored["rank_group"] == group.rank_group].rename(columns={"line_id": "unit_code"})
        tables[group.group_code] = rank(units[["unit_code", "score", "is_ranked"]])
    return tables


def rank(units: pd.DataFrame) -> list[dict]:
    """Competition ranks on the published score; the unranked are listed last."""
    units = units.assign(score=published(units["score"]))
    ranked = units.loc[units["is_ranked"].astype(bool) & units["score"].notna(), "score"]
    units["rank"] = ranked.rank(method="min", ascending=False)
    units["is_tied"] = ranked.duplicated(keep=False).reindex(units.index, fill_value=False)
    ordered = units.sort_values(["rank", "unit_code"], na_position="last")
    return [
        {
            "unit_code": unit.unit_code,
            "rank": None if pd.isna(unit.rank) else int(unit.rank),
            "is_tied": bool(unit.is_tied),
            "score": number(unit.score),
        }
        for unit in ordered[["unit_code", "rank", "is_tied", "score"]].itertuples()
    ]


def figures(
    nodes: pd.DataFrame, classes: pd.DataFrame, observations: pd.DataFrame, lines: pd.DataFrame, method: dict[str, Any]
) -> dict[str, dict]:
    """{figure id: value, k, n} of every mean, share and count that the method's figures.csv names."""
    thirds = nodes[nodes["node_code"].isin(method["indicators"]["indicator_code"])]
    measures = pd.concat(
        [
            mean_scores(nodes, lines),
            connection_rates(classes, lines),
            class_counts(classes, method, lines),
            flag_shares(thirds, method, lines),
            coverages(nodes, lines),
            band_shares(thirds, observations, method),
            rule_shares(observations, method),
            scenario_means(observations),
        ]
    )
    keys = ["measure", "dimension", "member", "channel", "code"]
    wanted = method["figures"][method["figures"]["kind"].isin(["mean", "share", "count"])]
    found = wanted.fillna({"code": "none"}).merge(measures, on=keys, how="left")
    is_share = found["value"].isna() & (found["n"] > 0)
    found["value"] = found["value"].mask(is_share, 100 * found["k"] / found["n"])
    found["value"] = found["value"].mask(found["kind"] == "count", found["k"])
    return {
        row.figure_id: {"value": number(row.value), "k": whole(row.k), "n": whole(row.n)} for row in found.itertuples()
    }


def nation_and_tiers(rows: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Every row twice: as one of the nation, as one of its line's tier."""
    nation = rows.assign(dimension="national", member="all")
    tiers = rows.merge(lines[["line_id", "tier"]], on="line_id").rename(columns={"tier": "member"})
    return pd.concat([nation, tiers.assign(dimension="tier")])


def mean_scores(nodes: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    rows = nation_and_tiers(nodes, lines).rename(columns={"node_code": "code"})
    grouped = rows.groupby(["dimension", "member", "channel", "code"], as_index=False)["score"]
    return grouped.agg(value="mean", n="count").assign(measure="mean_score")


def connection_rates(classes: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    grouped = nation_and_tiers(classes, lines).groupby(["dimension", "member"], as_index=False)
    return grouped.agg(k=("connected", "sum"), n=("attempts", "sum")).assign(
        measure="connection_rate", channel="phone", code="none"
    )


def class_counts(classes: pd.DataFrame, method: dict[str, Any], lines: pd.DataFrame) -> pd.DataFrame:
    counts = classes["line_class"].value_counts().reindex(method["line_class_rules"]["line_class"], fill_value=0)
    return national(counts.rename("k").rename_axis("code").reset_index(), "class_count").assign(
        channel="phone", n=len(lines)
    )


def flag_shares(thirds: pd.DataFrame, method: dict[str, Any], lines: pd.DataFrame) -> pd.DataFrame:
    flags = method["line_flags"].rename(columns={"indicator_code": "node_code", "flag_code": "code"})
    rows = flags.merge(thirds, on=["channel", "node_code"])
    rows["k"] = rows["score"] >= rows["min_rate_pct"]
    return national(rows.groupby(["channel", "code"], as_index=False)["k"].sum(), "flag_share").assign(n=len(lines))


def coverages(nodes: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    counts = nodes[nodes["node_code"] == "T"].groupby("channel")["score"].count()
    return national(counts.rename("k").reset_index(), "coverage").assign(code="none", n=len(lines))


def band_shares(thirds: pd.DataFrame, observations: pd.DataFrame, method: dict[str, Any]) -> pd.DataFrame:
    """Lines by the band that their score falls into, among those of which it was observed at all."""
    seen = observations.loc[observations["na_code"].isna(), CELL].drop_duplicates()
    bands = method["line_bands"].rename(columns={"indicator_code": "node_code", "band_code": "code"})
    rows = bands.merge(thirds.merge(seen, on=CELL), on=["channel", "node_code"])
    is_below = (rows["score"] < rows["max_pct"]) | (rows["max_pct"] == 100)
    rows["k"] = (rows["score"] >= rows["min_pct"]) & is_below
    return national(rows.groupby(["channel", "code"], as_index=False)["k"].agg(k="sum", n="count"), "band_share")


def rule_shares(observations: pd.DataFrame, method: dict[str, Any]) -> pd.DataFrame:
    """Answers by the rule that scored them, within each partition."""
    rows = observations[observations["partition_code"].notna()]
    wholes = rows.groupby(["partition_code", "channel"]).size().rename("n").reset_index()
    parts = rows.groupby(["rule_code", "channel"]).size().rename("k").reset_index()
    rules = method["scoring_rules"][["rule_code", "partition_code"]].dropna()
    shares = rules.merge(wholes, on="partition_code").merge(parts, on=["rule_code", "channel"], how="left")
    return national(shares.fillna({"k": 0}).rename(columns={"rule_code": "code"}), "rule_share")


def scenario_means(observations: pd.DataFrame) -> pd.DataFrame:
    rows = observations[observations["source"] != "dial_attempt"]
    means = rows.groupby(["scenario_code", "channel", "node_code"], as_index=False)["score"].agg(
        value="mean", n="count"
    )
    means.columns = ["member", "channel", "code", "value", "n"]
    return means.assign(measure="scenario_mean", dimension="scenario")


def national(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    return rows.assign(measure=measure, dimension="national", member="all")


# The whole -------------------------------------------------------------------


def number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def numbers(values: pd.Series) -> dict[str, float | None]:
    return {key: number(value) for key, value in values.items()}


def whole(value: float) -> int | None:
    return None if pd.isna(value) else int(value)


def score_wave(raw: Paths, wave: str) -> dict[str, Any]:
    """Totals, channel totals, classes, rankings and figures of a wave, in points."""
    declared = yaml.safe_load(raw.wave_yml(wave).read_text(encoding="utf-8"))
    method = read_method(raw.method(declared["method"]))
    lines = read_csv(raw.frame(declared["frame"]))
    units = read_units(raw, wave, declared["exports"])
    observations = observe(units, method)
    nodes = node_scores(indicator_scores(observations, method, lines), method)
    classes = line_classes(units["dial_attempt"], method, lines)
    totals = nodes[nodes["node_code"] == "T"].pivot(index="line_id", columns="channel", values="score")
    scored = lines.merge(classes, on="line_id").merge(totals["all"].rename("score"), on="line_id")
    return {
        "wave": wave,
        "totals": numbers(totals["all"]),
        "channels": {name: numbers(totals[name]) for name in ("phone", "web")},
        "classes": classes.set_index("line_id")[["attempts", "connected", "line_class"]].to_dict("index"),
        "rankings": rankings(scored, method),
        "figures": figures(nodes, classes, observations, lines, method),
    }


def main(wave: str, out: str) -> None:
    Path(out).write_text(json.dumps(score_wave(paths(), wave), ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
