"""A release of six lines in two provinces, in the files and columns of a real one.

Belongs here: a valid release folder for the tests of whatever reads one. The method is the project's
own; scores follow from its weights, so that means, ranks and figures agree with one another.
Does not belong here: what a renderer makes of it.
"""

import csv
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.paths import PROJECT
from dagster_project.release.folder import MANIFEST, file_hashes

NANO = 10**9
METHOD = PROJECT / "raw" / "methods" / "v2023"
HOSTILE_NAMES = (
    "<script>alert('x')</script>",
    '=HYPERLINK("http://example.com","点我")',
    "右\u202e到左市",
    '#read("/etc/passwd") $x$ *粗* _斜_ @ref',
    "+1+cmd|' /C calc'!A0&amp;\"引号\"",
    "黔西南布依族苗族自治州",
)
# line_id, province code, province, tier, rank group, (attempts, connected), class
FRAME = (
    ("110100", "110000", "甲省", "一线", "key_city", (20, 20), "hot"),
    ("110200", "110000", "甲省", "二线", "ordinary_city", (20, 18), "warm"),
    ("110300", "110000", "甲省", "二线", "ordinary_city", (20, 18), "warm"),
    ("120100", "120000", "乙省", "二线", "key_city", (20, 20), "hot"),
    ("120200", "120000", "乙省", "五线", "ordinary_city", (30, 5), "cold"),
    ("120300", "120000", "乙省", "未分级", "ordinary_city", (30, 0), "dead"),
)
PROVINCES = {code: name for _, code, name, *_ in FRAME}
SAME_SCORES = {"110300": "110200"}  # the tie
CHANNELS = ("all", "phone", "web")
Row = dict[str, Any]
Scores = dict[tuple[str, str], int | None]

INTEGER, TEXT, FLAG, SHARE = pa.int64(), pa.string(), pa.bool_(), pa.float64()
POINTS, WEIGHT = pa.decimal128(6, 2), pa.decimal128(10, 9)
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "lines": dict.fromkeys(
        (
            "line_id", "city", "short_name", "division_code", "province_code", "province", "level", "tier",
            "tier_basis", "rank_group",
        ),
        TEXT,
    ),
    "line_scores": {
        "line_id": TEXT, "channel": TEXT, "level": INTEGER, "node_code": TEXT, "score_nano": INTEGER,
        "published": POINTS, "change": POINTS, "effective_weight": WEIGHT, "na_reason": TEXT,
    },
    "contributions": {
        "line_id": TEXT, "node_code": TEXT, "score_effect_nano": INTEGER, "structure_effect_nano": INTEGER,
        "contribution": POINTS,
    },
    "line_classes": {
        "line_id": TEXT, "attempts": INTEGER, "connected": INTEGER, "line_class": TEXT, "is_ranked": FLAG,
        "p_repeat_cold": SHARE, "p_repeat_dead": SHARE, "p_repeat_hot": SHARE, "p_repeat_warm": SHARE,
    },
    "line_flags": {"line_id": TEXT, "flag_code": TEXT, "is_set": FLAG},
    "rankings": {
        "group_code": TEXT, "rank": INTEGER, "is_tied": FLAG, "unit": TEXT, "unit_code": TEXT, "unit_name": TEXT,
        "line_class": TEXT, "n_lines": INTEGER, "published": POINTS, "change": POINTS, "places_gained": INTEGER,
        "standard_error": POINTS, "rank_low": INTEGER, "rank_high": INTEGER, "rank_low_all": INTEGER,
        "rank_high_all": INTEGER, "top_10": TEXT, "is_apart_from_next": FLAG,
    },
    "standard_errors": {"dimension": TEXT, "member": TEXT, "n": INTEGER, "standard_error": pa.decimal128(10, 6)},
    "aggregates": {
        "dimension": TEXT, "member": TEXT, "channel": TEXT, "level": INTEGER, "node_code": TEXT, "n": INTEGER,
        "n_na": INTEGER, "mean_nano": INTEGER, "published": POINTS,
    },
    "observations": {
        "wave": TEXT, "line_id": TEXT, "channel": TEXT, "unit": TEXT, "unit_id": TEXT, "probe_id": TEXT,
        "scenario_code": TEXT, "indicator_code": TEXT, "score_nano": INTEGER, "na_code": TEXT,
    },
    "scenarios": {
        "line_id": TEXT, "channel": TEXT, "indicator_code": TEXT, "scenario_code": TEXT, "n_observations": INTEGER,
        "n_observed": INTEGER, "n_valid": INTEGER, "score_nano": INTEGER,
    },
}  # fmt: skip


def write_small_release(folder: Path, names: Sequence[str] = HOSTILE_NAMES, *, synthetic: bool = True) -> Path:
    """Write the release into `folder`, one name per line of FRAME, and return the folder."""
    folder.mkdir(parents=True)
    shutil.copytree(METHOD, folder / "method")
    scores = {frame[0]: _scores(frame[0], is_dead=frame[6] == "dead") for frame in FRAME}
    tables: dict[str, list[Row]] = {
        "lines": _lines(names),
        "line_scores": _line_scores(scores),
        "contributions": _contributions(scores),
        "line_classes": _classes(),
        "line_flags": _flags(),
        "rankings": _rankings(scores, dict(zip((frame[0] for frame in FRAME), names, strict=True))),
        "standard_errors": _standard_errors(),
        "aggregates": _aggregates(scores),
        "observations": _observations(scores),
        "scenarios": _scenarios(scores),
    }
    for name, rows in tables.items():
        schema = pa.schema(list(SCHEMAS[name].items()))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet", compression="zstd")
    _write_rankings_csv(folder / "rankings.csv", tables["rankings"], "模拟数据" if synthetic else "")
    _write_json(folder / "figures.json", _figures(tables))
    _write_json(folder / "quality.json", _quality())
    _write_json(folder / "claims.json", _claims(tables, names))
    _write_json(folder / MANIFEST, _manifest(folder, synthetic))
    return folder


def method_rows(name: str) -> list[dict[str, str]]:
    with (METHOD / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _points(nano: int | None) -> Decimal | None:
    return None if nano is None else (Decimal(nano) / NANO).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _number(*key: object) -> int:
    """A number from 0 to 999 that depends on the key alone."""
    return int(hashlib.sha256(repr(key).encode()).hexdigest()[:8], 16) % 1000


def _mean(parts: Iterable[tuple[int, int | None]]) -> int | None:
    """Mean of (weight, score) over what is present, where that is at least half of the weight."""
    parts = list(parts)
    present = [(weight, score) for weight, score in parts if score is not None]
    weight = sum(weight for weight, _ in present)
    if not present or 2 * weight < sum(weight for weight, _ in parts):
        return None
    return sum(share * score for share, score in present) // weight


def _scores(line: str, *, is_dead: bool) -> Scores:
    """{(channel, node): score}; the phone of a dead line reaches nobody, so most of it is NA."""
    channel_of = {row["indicator_code"]: row["channel"] for row in method_rows("channel_weights")}
    rows = method_rows("indicators")
    scores: Scores = {}
    for channel in CHANNELS:
        chosen = [row for row in rows if channel in ("all", channel_of[row["indicator_code"]])]
        for row in chosen:
            code = row["indicator_code"]
            value = (60_000 + 40 * _number(SAME_SCORES.get(line, line), code)) * 10**6
            is_na = is_dead and channel_of[code] == "phone" and code != "I01"
            scores[channel, code] = None if is_na else 0 if is_dead and code == "I01" else value
        for key, weight, parent in (
            ("indicator_code", "l3_weight", "l2_code"), ("l2_code", "l2_weight", "l1_code"),
            ("l1_code", "l1_weight", None),
        ):  # fmt: skip
            for group in dict.fromkeys(row[parent] if parent else "T" for row in chosen):
                children = {row[key]: int(row[weight]) for row in chosen if (row[parent] if parent else "T") == group}
                scores[channel, group] = _mean((share, scores[channel, code]) for code, share in children.items())
    return scores


def _level(code: str) -> int:
    return {"T": 0, "A": 1, "B": 2, "I": 3}[code[0]]


def _change(line: str, channel: str, code: str) -> Decimal:
    return Decimal(_number(line, channel, code, "change") - 400) / 100


def _sorted_keys(scores: Mapping[tuple[str, str], int | None]) -> list[tuple[str, str]]:
    return sorted(scores, key=lambda key: (key[0], _level(key[1]), key[1]))


def _lines(names: Sequence[str]) -> list[Row]:
    return [
        {
            "line_id": line, "city": name, "short_name": name, "division_code": line, "province_code": province_code,
            "province": province, "level": "prefecture_city", "tier": tier, "tier_basis": "published",
            "rank_group": group,
        }
        for (line, province_code, province, tier, group, _, _), name in zip(FRAME, names, strict=True)
    ]  # fmt: skip


def _line_scores(scores: Mapping[str, Scores]) -> list[Row]:
    rows = []
    for line, by_node in scores.items():
        for channel, code in _sorted_keys(by_node):
            nano = by_node[channel, code]
            reason = "no_valid_observation" if _level(code) == 3 else "availability_below_minimum"
            rows.append(
                {
                    "line_id": line, "channel": channel, "level": _level(code), "node_code": code, "score_nano": nano,
                    "published": _points(nano), "change": None if nano is None else _change(line, channel, code),
                    "effective_weight": None if nano is None else Decimal("0.100000000"),
                    "na_reason": reason if nano is None else None,
                }
            )  # fmt: skip
    return rows


def _contributions(scores: Mapping[str, Scores]) -> list[Row]:
    """Whole hundredths for each third-level indicator that is there, the rest of the line's change for the last."""
    rows = []
    for line, by_node in scores.items():
        left = _change(line, "all", "T") if by_node["all", "T"] is not None else None
        codes = [code for (channel, code), nano in by_node.items() if channel == "all" and code[0] == "I" and nano]
        for code in codes if left is not None else []:
            share = left if code == codes[-1] else Decimal(_number(line, code, "share") - 500) / 1000
            share = share.quantize(Decimal("0.01"))
            left -= share
            structure = NANO // 50 if code == codes[0] else 0
            effect = int(share * NANO) - structure
            rows.append(
                {
                    "line_id": line, "node_code": code, "score_effect_nano": effect,
                    "structure_effect_nano": structure, "contribution": share,
                }
            )  # fmt: skip
    return rows


def _classes() -> list[Row]:
    rows = []
    for line, *_, (attempts, connected), line_class in FRAME:
        repeats = {f"p_repeat_{name}": 0.75 if name == line_class else 0.05 for name in ("cold", "dead", "hot", "warm")}
        rows.append(
            {
                "line_id": line, "attempts": attempts, "connected": connected, "line_class": line_class,
                "is_ranked": line_class != "dead", **repeats,
            }
        )  # fmt: skip
    return rows


def _flags() -> list[Row]:
    codes = sorted(row["flag_code"] for row in method_rows("line_flags"))
    return [
        {"line_id": frame[0], "flag_code": code, "is_set": _number(frame[0], code) > 400}
        for frame in FRAME
        for code in codes
    ]


def _rankings(scores: Mapping[str, Scores], names: Mapping[str, str]) -> list[Row]:
    rows = []
    for group in sorted(method_rows("rank_groups"), key=lambda row: row["group_code"]):
        units = _provinces(scores) if group["unit"] == "province" else _ranked_lines(scores, names, group["rank_group"])
        placed = sorted((unit for unit in units if unit["is_ranked"]), key=lambda unit: -unit["published"])
        unplaced = [unit for unit in units if not unit["is_ranked"]]
        values = [unit["published"] for unit in placed]
        for unit in [*placed, *unplaced]:
            is_ranked = unit.pop("is_ranked")
            rank = values.index(unit["published"]) + 1 if is_ranked else None
            rows.append(
                {
                    "group_code": group["group_code"], "rank": rank, "unit": group["unit"], **unit,
                    "is_tied": is_ranked and values.count(unit["published"]) > 1,
                    "change": _change(unit["unit_code"], "all", "T"), "places_gained": 2 - rank if rank else None,
                    "standard_error": Decimal("1.50"), **_sets(rank, len(placed)),
                }
            )  # fmt: skip
    return rows


def _sets(rank: int | None, n: int) -> Row:
    """The last of a table is surely behind the others, which can not be told apart."""
    if rank is None:
        names = ("rank_low", "rank_high", "rank_low_all", "rank_high_all", "top_10", "is_apart_from_next")
        return dict.fromkeys(names)
    low, high = (n, n) if rank == n else (1, max(n - 1, rank))
    return {
        "rank_low": low, "rank_high": high, "rank_low_all": low, "rank_high_all": high, "top_10": "sure",
        "is_apart_from_next": rank == n - 1,
    }  # fmt: skip


def _standard_errors() -> list[Row]:
    members = [("national", "all"), *(("province", code) for code in PROVINCES), *(("line", row[0]) for row in FRAME)]
    return [
        {"dimension": dimension, "member": member, "n": 1, "standard_error": Decimal("1.5")}
        for dimension, member in members
    ]


def _provinces(scores: Mapping[str, Scores]) -> list[Row]:
    units = []
    for code, name in PROVINCES.items():
        members = [frame[0] for frame in FRAME if frame[1] == code]
        published = _points(_mean((1, scores[line]["all", "T"]) for line in members))
        units.append(
            {"unit_code": code, "unit_name": name, "line_class": None, "n_lines": len(members),
             "published": published, "is_ranked": True}
        )  # fmt: skip
    return units


def _ranked_lines(scores: Mapping[str, Scores], names: Mapping[str, str], rank_group: str) -> list[Row]:
    return [
        {"unit_code": frame[0], "unit_name": names[frame[0]], "line_class": frame[6], "n_lines": 1,
         "published": _points(scores[frame[0]]["all", "T"]), "is_ranked": frame[6] != "dead"}
        for frame in FRAME
        if frame[4] == rank_group
    ]  # fmt: skip


def _aggregates(scores: Mapping[str, Scores]) -> list[Row]:
    groups: dict[tuple[str, str], list[str]] = {}
    for line, province, _, tier, rank_group, *_ in FRAME:
        for key in (("national", "all"), ("province", province), ("rank_group", rank_group), ("tier", tier)):
            groups.setdefault(key, []).append(line)
    rows = []
    for (dimension, member), lines in sorted(groups.items()):
        for channel, code in _sorted_keys(scores[lines[0]]):
            values = [value for line in lines if (value := scores[line][channel, code]) is not None]
            mean = sum(values) // len(values) if values else None
            rows.append(
                {
                    "dimension": dimension, "member": member, "channel": channel, "level": _level(code),
                    "node_code": code, "n": len(values), "n_na": len(lines) - len(values), "mean_nano": mean,
                    "published": _points(mean),
                }
            )  # fmt: skip
    return rows


def _observations(scores: Mapping[str, Scores]) -> list[Row]:
    rows = []
    for line, by_node in scores.items():
        for channel, code in _sorted_keys(by_node):
            if channel == "all" or _level(code) != 3:
                continue
            nano = by_node[channel, code]
            rows.extend(
                {
                    "wave": "2023", "line_id": line, "channel": channel, "unit": "probe",
                    "unit_id": f"U{line}-{number}", "probe_id": f"U{line}-{number}",
                    "scenario_code": f"S{number:02}", "indicator_code": code,
                    "score_nano": nano, "na_code": "not_reached" if nano is None else None,
                }
                for number in (1, 2)
            )  # fmt: skip
    return sorted(rows, key=lambda row: (row["line_id"], row["channel"], row["unit_id"], row["indicator_code"]))


def _scenarios(scores: Mapping[str, Scores]) -> list[Row]:
    rows = [
        {
            "line_id": row["line_id"], "channel": row["channel"], "indicator_code": row["indicator_code"],
            "scenario_code": row["scenario_code"], "n_observations": 1,
            "n_observed": int(row["score_nano"] is not None), "n_valid": int(row["score_nano"] is not None),
            "score_nano": row["score_nano"],
        }
        for row in _observations(scores)
    ]  # fmt: skip
    keys = ("line_id", "channel", "indicator_code", "scenario_code")
    return sorted(rows, key=lambda row: [row[key] for key in keys])


def _figures(tables: Mapping[str, list[Row]]) -> list[Row]:
    means = {(row["dimension"], row["member"], row["channel"], row["node_code"]): row for row in tables["aggregates"]}
    figures = []
    for row in method_rows("figures"):
        mean = means.get((row["dimension"], row["member"], row["channel"], row["code"]))
        figures.append(_figure(row, mean, tables["line_classes"]))
    return figures


def _figure(row: Mapping[str, str], mean: Row | None, classes: list[Row]) -> Row:
    k: int | None = None
    n: int | None = len(FRAME)
    value: float | int | None = _number(row["figure_id"]) / 10
    if row["measure"] == "class_count":
        value = k = sum(line["line_class"] == row["code"] for line in classes)
    elif row["kind"] == "count":
        value = k = _number(row["figure_id"]) % len(FRAME)
    elif row["measure"] == "mean_score":
        value, n = (None, 0) if mean is None or mean["published"] is None else (float(mean["published"]), mean["n"])
    elif row["kind"] == "share":
        n, k = 1000, _number(row["figure_id"])
    else:
        n = None
    return {
        "id": row["figure_id"], "label": row["label"], "section": row["section"], "kind": row["kind"],
        "unit": row["unit"], "value": value, "unrounded": None if value is None else f"{value:.9f}", "k": k, "n": n,
        "change": None if value is None else _number(row["figure_id"], "change") % 5 - 2 if row["kind"] == "count"
        else (_number(row["figure_id"], "change") - 400) / 100,
        "growth_pct": 1.25, "change_basis": "published values of the baseline wave, plain difference",
        "footnote": "largest-remainder rounding: the shares sum to 100.00" if row["figure_id"] == "web.no_reply"
        else None,
    }  # fmt: skip


def _write_rankings_csv(path: Path, rows: list[Row], note: str) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        names = list(SCHEMAS["rankings"])
        writer.writerow([*names, "note"])
        writer.writerows(["" if row[name] is None else row[name] for name in names] + [note] for row in rows)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _claims(tables: Mapping[str, list[Row]], names: Sequence[str]) -> Row:
    total = next(row for row in tables["aggregates"] if (row["dimension"], row["node_code"]) == ("national", "T"))
    claim = {"kind": "figure", "figure": "total.score"}
    sentences = [
        {"text": f"总体得分为{total['published']}分。", "claims": [claim]},
        {"text": f"监测了{names[0]}和{names[3]}。", "claims": []},
    ]
    recommendations = [{"title": "接通", "text": f"建议{names[4]}增加坐席。"}]
    return {
        "sections": [{"id": "overall", "title": "总体", "sentences": sentences}],
        "recommendations": recommendations,
    }


def _quality() -> Row:
    check = {
        "suite": "scored_lines", "check": "every_line_stands_in_the_scores",
        "expectation": "expect_table_row_count_to_equal", "column": None, "severity": "critical", "success": True,
        "observed": len(FRAME), "n_evaluated": len(FRAME), "n_failing": 0, "failing_rows": [],
        "bounds": {"value": len(FRAME)}, "notes": "Every line of the frame is accounted for.",
        "stage": "publishable", "asset": "score_total", "parameter_reasons": {},
    }  # fmt: skip
    counts = {"n_checks": 1, "n_failed": {"critical": 0, "warning": 0}}
    stages = {"delivered": [], "publishable": [check]}
    return {"wave": "2023", "stages": stages, "counts": counts, "fieldwork": _fieldwork()}


def _fieldwork() -> Row:
    agreement = {
        "indicator_code": "I08", "n_double_coded": 41, "n_compared": 40, "n_scored_by_one": 1, "alpha": 0.6,
        "low": 0.412, "high": 0.741, "percent_agreement": 81.25, "is_flagged": True, "label": "语气态度",
    }  # fmt: skip
    constant = {
        **agreement, "indicator_code": "I07", "label": "问候与自报身份", "alpha": None, "low": None, "high": None,
        "percent_agreement": 100.0, "is_flagged": False,
    }  # fmt: skip
    coder = {"channel": "phone", "coder": 1, "n_records": 87, "effect": -3.5, "error": 0.5, "shrunk": -3.25}
    channel = {
        "n_records": 90, "n_coders": 4, "coder_sd": 1.5, "coder_variance_percent": 4.25, "largest_shrunk": 3.25,
        "largest_line_shift": 0.75,
    }  # fmt: skip
    drift = {"n_days": 90, "slope": -0.125, "error": 0.25, "is_flagged": False}
    return {
        "counts": {"agreement": 1, "coders": 1, "drift": 0},
        "rules": {
            "lowest_alpha": 0.667, "least_points": 1.0, "false_alarms": 0.05, "critical_value": 2.5, "drift_days": 30,
        },
        "agreement": [constant, agreement],
        "coders": [{**coder, "is_flagged": True}, {**coder, "coder": 2, "effect": 1.1, "is_flagged": False}],
        "drift": [
            {**drift, "channel": name, "months": [{"month": "2023-03", "n_records": 90, "mean": 0.0}]}
            for name in ("phone", "web")
        ],
        "channels": [{**channel, "channel": name} for name in ("phone", "web")],
    }  # fmt: skip


def _manifest(folder: Path, synthetic: bool) -> Row:
    return {
        "release": "0123456789abcdef", "wave": "2023", "label": "2023年度小样", "kind": "annual",
        "synthetic": synthetic, "field_period": {"start": "2023-03-01", "end": "2023-06-30"}, "raw_files": [],
        "ledger_head": None, "baseline": {"wave": "2022", "release": "fedcba9876543210"}, "method_version": "v2023",
        "declaration_version": "d" * 64, "declaration_files": {"methods/v2023/indicators.csv": "e" * 64},
        "corrections": [], "code_version": "c" * 64, "packages": {},
        "gate": {"n_checks": 1, "n_failed": {"critical": 0, "warning": 0}}, "files": file_hashes(folder),
    }  # fmt: skip
