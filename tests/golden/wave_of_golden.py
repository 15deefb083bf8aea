"""The golden example as bronze: the same observations, in the shape in which a wave arrives."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES, QUARANTINE, REFERENCE_TABLES

GOLDEN = json.loads((Path(__file__).parent / "golden_small.json").read_text(encoding="utf-8"))
WAVE = "2023-golden"
POINT = 10**9

# Which field carries which indicator; the attempts carry R1a by telephone.
PHONE_FIELDS = {"R1b": "greeting", "N1a": "tone", "N2a": "listening", "P1a": "registered", "P1b": "clarity"}
WEB_FIELDS = {"R1a": "reachable", "N2a": "stable", "P1a": "registered", "P1b": "content_rich"}
NA_CODES = ("not_applicable", "invalid", "not_reached", "no_reply")
NOON = datetime(2023, 3, 1, 12)


def bronze_tables(golden: dict[str, Any] = GOLDEN) -> dict[str, list[dict[str, Any]]]:
    """Rows of every bronze table, keyed by table name; columns that stay empty are left out."""
    return {**_exports(golden), **_reference(golden), "quarantine": []}


def write_bronze(paths: Paths, wave: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write rows as the ingest would; a column that a row leaves out is null."""
    schemas = {
        **{name: table.schema() for name, table in EXPORT_TABLES.items()},
        **REFERENCE_TABLES,
        "quarantine": QUARANTINE,
    }
    tables = {**tables, "open_probes": _open_probes(tables)}
    for name, schema in schemas.items():
        target = paths.bronze_part(name, wave)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(tables.get(name, []), schema=schema), target)


def _open_probes(tables: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    asked = {row["probe_id"] for row in tables["phone_probes"]}
    probes: dict[str, dict[str, Any]] = {}
    for row in tables["dial_attempts"]:
        if row["probe_id"] is not None and row["probe_id"] not in asked:
            names = {name: row[name] for name in ("line_id", "probe_id", "scenario_code")}
            probe = probes.setdefault(row["probe_id"], {**names, "is_connected": False})
            probe["is_connected"] |= row["connected"] == "yes"
    return list(probes.values())


def _answer(observation: Any) -> str:
    return observation[1] if isinstance(observation, list) else str(observation)


def _exports(golden: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    phone, dials, web = [], [], []
    source = {"source_file": "golden", "source_row": 1}
    for line, channels in golden["observations"].items():
        reached = golden["attempts"][line]["connected"] > 0
        n_probes = len(channels["phone"]["R1b"])
        for number, score in enumerate(channels["phone"]["R1a"]):
            # a line never reached still had its probe planned
            probe = f"{line}-p0" if not reached and number == 0 else None
            dials.append(
                {
                    "attempt_id": f"{line}-a{number}", "line_id": line, "dialled_at": NOON, "probe_id": probe,
                    "scenario_code": "S01" if probe else None, "connected": "yes" if score == 100 else "no", **source,
                }
            )  # fmt: skip
        for number in range(n_probes if reached else 0):
            answers = {field: _answer(channels["phone"][code][number]) for code, field in PHONE_FIELDS.items()}
            phone.append(
                {"probe_id": f"{line}-p{number}", "line_id": line, "scenario_code": "S01", "called_at": NOON,
                 "coder_id": "c", **answers, **source}
            )  # fmt: skip
        for number in range(len(channels["web"]["R1a"])):
            answers = {field: _answer(channels["web"][code][number]) for code, field in WEB_FIELDS.items()}
            web.append(
                {"probe_id": f"{line}-w{number}", "line_id": line, "scenario_code": "S01", "platform": "portal",
                 "probe_kind": "inspection", "visited_at": NOON, "coder_id": "c", **answers, **source}
            )  # fmt: skip
    return {"phone_probes": phone, "dial_attempts": dials, "web_probes": web}


def _rules() -> list[dict[str, Any]]:
    def rule(indicator: str, source: str, field: str, match: str, score: int | None) -> dict[str, Any]:
        return {
            "rule_code": f"{source}_{indicator}_{match}", "indicator_code": indicator, "source": source, "field": field,
            "match": match, "score_nano": None if score is None else score * POINT,
            "na_code": match if score is None else None, "label": match,
        }  # fmt: skip

    rules = [rule("R1a", "dial_attempt", "connected", "yes", 100), rule("R1a", "dial_attempt", "connected", "no", 0)]
    for source, fields in (("phone_probe", PHONE_FIELDS), ("web_inspection", WEB_FIELDS)):
        for indicator, field in fields.items():
            rules += [rule(indicator, source, field, str(score), score) for score in (0, 50, 100)]
            rules += [rule(indicator, source, field, code, None) for code in NA_CODES]
    return rules


def _reference(golden: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    tree = golden["tree"]
    leaves = [code for code, node in tree.items() if node["level"] == 3]
    parent = {code: node["parent"] for code, node in tree.items()}
    indicators = [
        {
            "indicator_code": leaf, "indicator": leaf, "l2_code": parent[leaf], "l2": parent[leaf],
            "l1_code": parent[parent[leaf]], "l1": parent[parent[leaf]],
            # R1a is counted per attempt by telephone; its two web visits are of one scenario, so the mean is the same
            "unit": "attempt" if leaf == "R1a" else "probe", "l3_weight": tree[leaf]["weight"],
            "l2_weight": tree[parent[leaf]]["weight"], "l1_weight": tree[parent[parent[leaf]]]["weight"],
        }
        for leaf in leaves
    ]  # fmt: skip
    policy = [
        {"na_code": code, "indicator_code": leaf, "treatment": rule if isinstance(rule, str) else rule[leaf]}
        for code, rule in golden["na_policy"].items()
        for leaf in leaves
        if isinstance(rule, str) or leaf in rule
    ]
    classes = [
        (1, "not_measured", "no_attempts", None, 0), (2, "dead", "none_connected", None, 0),
        (3, "cold", "rate_below", 30, 1), (4, "warm", "rate_below", 95, 1), (5, "hot", "otherwise", None, 1),
    ]  # fmt: skip
    figures = [
        ("total.score", "mean", "mean_score", "national", "all", "all", "T"),
        ("phone.score", "mean", "mean_score", "national", "all", "phone", "T"),
        ("web.score", "mean", "mean_score", "national", "all", "web", "T"),
        *[(f"class.{name}", "count", "class_count", "national", "all", "phone", name) for _, name, *_ in classes],
    ]
    return {
        "waves": [
            {"label": "golden", "kind": "annual", "is_synthetic": True, "period_start": "2023-03-01",
             "period_end": "2023-06-30", "method": "golden", "frame": "golden"}
        ],
        "lines": [
            {"line_id": line, "city": line, "short_name": line, "division_code": line, "province": meta["province"],
             "province_code": meta["province"], "level": "city", "tier": meta["tier"], "rank_group": "ordinary_city"}
            for line, meta in golden["meta"].items()
        ],
        "line_inputs": [{"line_id": line, "input_fingerprint": line} for line in golden["meta"]],
        "indicators": indicators,
        "channel_weights": [
            {"indicator_code": leaf, "channel": channel, "weight": weight}
            for leaf, weights in golden["channel_weights"].items()
            for channel, weight in weights.items()
        ],
        "scoring_rules": _rules(),
        "na_policy": policy,
        "scenarios": [{"scenario_code": "S01", "scenario": "S01", "weight": 1}],
        "settings": [{"availability_basis": "weight", "min_availability_pct": 50}],
        "line_class_rules": [
            dict(zip(("rule_order", "line_class", "test", "below_pct", "is_ranked"), rule, strict=True), label=rule[1])
            for rule in classes
        ],
        "line_flags": [
            {"flag_code": "mostly_answered", "indicator_code": "R1a", "channel": "phone", "min_rate_pct": 50}
        ],
        "rank_groups": [
            {"group_code": "ordinary_city", "group_label": "ordinary", "unit": "line", "rank_group": "ordinary_city"},
            {"group_code": "province", "group_label": "province", "unit": "province"},
        ],
        "figure_definitions": [
            dict(zip(("figure_id", "kind", "measure", "dimension", "member", "channel", "code"), figure, strict=True),
                 figure_order=order, label=figure[0], section="all", unit="point")
            for order, figure in enumerate(figures, start=1)
        ],
    }  # fmt: skip
