"""What the codes say of the field work: whether coders agree, whether one stands out, whether scores drift.

Belongs here: bronze as the arrays that `statistics/` asks for, the rules by which a finding is flagged, the
file that keeps it, and the part of it that is published. Does not belong here: the statistics. A finding
never stops a release: it is told beside the scores.

What a code scores is looked up in the method's rules; only answers that somebody judged count, and not what
is computed from times. Numbers are rounded to what is told, so that equal bronze gives equal bytes.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dagster_project.errors import NotReconciled
from dagster_project.files import files_digest, read_sealed, write_sealed
from dagster_project.ingest.bronze import stored_report
from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES
from dagster_project.statistics import agreement as agreement_module
from dagster_project.statistics import coder_effects as effects_module
from dagster_project.statistics.agreement import LOWEST_ALPHA, agreement
from dagster_project.statistics.coder_effects import (
    DAYS,
    FALSE_ALARMS,
    CoderEffects,
    Drift,
    Records,
    coder_effects,
    critical_value,
    drift,
)

Floats = NDArray[np.float64]
Row = dict[str, Any]

# Bronze tables that a finding depends on.
READ = ("phone_probes", "web_probes", "scoring_rules", "indicators")
# A coder, or a drift over the whole field period, is flagged only where it matters: by chance alone the mean of
# a line's fifteen calls moves by about two points, and less than half of that does not show in its score.
LEAST_POINTS = 1.0
NANO = 10**9


@dataclass(frozen=True)
class Channel:
    """The coded records of a channel: a table, its time, and which rows each source of scoring rules is for."""

    name: str
    table: str
    time: str
    kinds: dict[str, str | None]  # rule source -> probe_kind


CHANNELS = (
    Channel("phone", "phone_probes", "called_at", {"phone_probe": None}),
    Channel("web", "web_probes", "visited_at", {"web_inspection": "inspection", "web_submission": "submission"}),
)


@dataclass(frozen=True)
class Scale:
    """What the answers to one question score for an indicator, in points; those with an NA code are not there."""

    indicator: str
    field: str
    points: dict[str, float]


class Columns:
    """A bronze table of which one column at a time is in memory, its texts as codes."""

    def __init__(self, part: Path):
        schema = pq.read_schema(part)
        self._file = pq.ParquetFile(part, read_dictionary=[field.name for field in schema if field.type == pa.string()])
        self.column_names: list[str] = schema.names
        self.num_rows: int = self._file.metadata.num_rows

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self._file.read([name])[name]

    def to_pylist(self) -> list[Row]:
        """All rows: for tables that the method declares."""
        rows: list[Row] = self._file.read().to_pylist()
        return rows


Bronze: TypeAlias = pa.Table | Columns


# --- the file ----------------------------------------------------------------------------------


def assess(paths: Paths, wave: str) -> Row:
    """The findings on a wave's bronze, from the wave's file where they were made from it, else computed and kept."""
    made_from = _made_from(paths, wave)
    standing = _standing(paths, wave, made_from["code"])
    if standing is not None and standing["made_from"] == made_from:
        return standing
    tables = {name: Columns(paths.bronze_part(name, wave)) for name in READ}
    if standing is not None and {**standing["made_from"], "web_probes": made_from["web_probes"]} == made_from:
        agreed = standing["agreement"]  # its draws take longest, and a changed web record changes none of them
    else:
        agreed = agreement_findings(tables)
    findings = {"wave": wave, "made_from": made_from, **all_findings(tables, agreed)}
    write_sealed(paths.fieldwork(wave), findings)
    return findings


def published(paths: Paths, wave: str) -> Row:
    """What a release tells of the findings. Raises NotReconciled where there are none on the bronze that stands."""
    made_from = _made_from(paths, wave)
    findings = _standing(paths, wave, made_from["code"])
    if findings is None or findings["made_from"] != made_from:
        raise NotReconciled(
            f"{wave}:现场工作的检查不是由当前数据得出,请重新运行(资产 fieldwork) / the findings on the field work were "
            "not made from the present input; run the wave again (asset fieldwork)"
        )
    return told(findings)


def told(findings: Row) -> Row:
    """Everything but the codes of coders: outside the installation they stand by a number for the channel."""
    coders = [{name: value for name, value in row.items() if name != "coder_id"} for row in findings["coders"]]
    return {name: value for name, value in findings.items() if name not in ("wave", "made_from")} | {"coders": coders}


def _standing(paths: Paths, wave: str, code: str) -> Row | None:
    """What the wave's file holds; None where there is none, or other code wrote it."""
    findings = read_sealed(paths.fieldwork(wave))
    return findings if findings is not None and findings["made_from"]["code"] == code else None


def _made_from(paths: Paths, wave: str) -> dict[str, str]:
    """Digests of the bronze files that findings depend on, and of the code that makes them."""
    outputs = stored_report(paths, wave).outputs
    code = [Path(str(each)) for each in (__file__, agreement_module.__file__, effects_module.__file__)]
    return {"code": files_digest(code), "numpy": version("numpy"), **{name: outputs[name] for name in READ}}


# --- findings ----------------------------------------------------------------------------------


def all_findings(tables: Mapping[str, Bronze], agreed: list[Row]) -> Row:
    """Everything that is found on the bronze tables of READ, in plain JSON types.

    `agreement`: what `agreement_findings` gave. `coders`: a row per channel and coder, numbered by the size of
    the effect. `channels`: what coders account for. `drift`: a row per channel, with the means of its months.
    Effects, errors, shifts and slopes are in points. `counts`: flagged rows.
    """
    scales = _scales(tables["scoring_rules"])
    coded = {channel.name: _coded(channel, tables[channel.table], scales) for channel in CHANNELS}
    effects = {name: coder_effects(each.records) for name, each in coded.items()}
    critical = critical_value(sum(int(np.isfinite(each.effect).sum()) for each in effects.values()))
    sections = {
        "agreement": agreed,
        "coders": [row for name, each in effects.items() for row in _coders(name, each, coded[name].coders, critical)],
        "drift": [_drift(name, drift(each.records), each.months) for name, each in coded.items()],
    }
    return {
        "counts": {name: sum(row["is_flagged"] for row in rows) for name, rows in sections.items()},
        "rules": {
            "lowest_alpha": LOWEST_ALPHA, "least_points": LEAST_POINTS, "false_alarms": FALSE_ALARMS,
            "critical_value": _rounded(critical), "drift_days": DAYS,
        },
        **sections,
        "channels": [_channel(name, each) for name, each in effects.items()],
    }  # fmt: skip


def agreement_findings(tables: Mapping[str, Bronze]) -> list[Row]:
    """One row per indicator and question that a second coder answered too, by the rules' order.

    `n_double_coded`: probes with an answer of both; `n_compared`: of those, with two scored ones;
    `n_scored_by_one`: those that one of them scored and the other gave an NA code.
    """
    probes, indicators = tables["phone_probes"], tables["indicators"]
    labels = dict(zip(indicators["indicator_code"].to_pylist(), indicators["indicator"].to_pylist(), strict=True))
    scales = _scales(tables["scoring_rules"]).get("phone_probe", [])
    doubled = [scale for scale in scales if f"second_{scale.field}" in probes.column_names]
    return [{**_agreement(probes, scale), "label": labels[scale.indicator]} for scale in doubled]


def _agreement(probes: Bronze, scale: Scale) -> Row:
    answers = [probes[name] for name in (scale.field, f"second_{scale.field}")]
    both = pc.and_(*(each.is_valid() for each in answers))
    first, second = (_points(each.filter(both), scale) for each in answers)
    n_scored = (~np.isnan(first)).astype(int) + ~np.isnan(second)
    levels = np.unique([*scale.points.values()])
    places = [np.searchsorted(levels, each[n_scored == 2]) for each in (first, second)]
    counts = np.bincount(places[0] * len(levels) + places[1], minlength=len(levels) ** 2)
    found = agreement(counts.reshape(len(levels), -1), _seed(scale, counts))
    return {
        "indicator_code": scale.indicator,
        "n_double_coded": len(first),
        "n_compared": found.n_pairs,
        "n_scored_by_one": int((n_scored == 1).sum()),
        "alpha": _rounded(found.alpha),
        "low": _rounded(found.low),
        "high": _rounded(found.high),
        "percent_agreement": _rounded(None if found.share_agreed is None else 100 * found.share_agreed, 2),
        "is_flagged": found.is_flagged,
    }


def _seed(scale: Scale, counts: NDArray[np.int64]) -> int:
    """From what is drawn from: the same codes give the same interval."""
    text = json.dumps([scale.indicator, scale.field, counts.tolist()])
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)


def _coders(channel: str, effects: CoderEffects, coders: list[str], critical: float) -> list[Row]:
    size = np.where(np.isnan(effects.effect), -1.0, np.abs(effects.effect).round(4))
    order = sorted(range(len(coders)), key=lambda number: (-size[number], coders[number]))
    return [
        {
            "channel": channel,
            "coder": place,
            "coder_id": coders[number],
            "n_records": int(effects.n_records[number]),
            "effect": _rounded(effects.effect[number], 2),
            "error": _rounded(effects.error[number], 2),
            "shrunk": _rounded(effects.shrunk[number], 2),
            "is_flagged": bool(
                abs(effects.effect[number]) > critical * effects.error[number]
                and abs(effects.shrunk[number]) >= LEAST_POINTS
            ),
        }
        for place, number in enumerate(order, start=1)
    ]


def _channel(name: str, effects: CoderEffects) -> Row:
    return {
        "channel": name,
        "n_records": int(effects.n_records.sum()),
        "n_coders": len(effects.n_records),
        "coder_sd": _rounded(effects.between, 2),
        "coder_variance_percent": _rounded(100 * effects.share, 2),
        "largest_shrunk": _rounded(np.nanmax(np.abs(effects.shrunk), initial=0.0), 2),
        "largest_line_shift": _rounded(np.max(np.abs(effects.line_shift), initial=0.0), 2),
    }


def _drift(name: str, found: Drift, months: list[str]) -> Row:
    over_all = abs(found.slope) * found.n_days / DAYS
    return {
        "channel": name,
        "n_days": found.n_days,
        "slope": _rounded(found.slope),
        "error": _rounded(found.error),
        "is_flagged": bool(abs(found.slope) > critical_value(len(CHANNELS)) * found.error and over_all >= LEAST_POINTS),
        "months": [
            {"month": month, "n_records": int(n_records), "mean": _rounded(mean, 2)}
            for month, n_records, mean in zip(months, found.n_records, found.means, strict=True)
        ],
    }


def _rounded(value: float | None, digits: int = 3) -> float | None:
    """None for what there is not; no negative zero."""
    return None if value is None or math.isnan(value) else round(float(value), digits) + 0.0


# --- bronze as arrays --------------------------------------------------------------------------


@dataclass(frozen=True)
class Coded:
    """A channel's records, and what the codes of coders and months in them stand for."""

    records: Records
    coders: list[str]
    months: list[str]


def _coded(channel: Channel, rows: Bronze, scales: dict[str, list[Scale]]) -> Coded:
    """The records of which at least one answer is scored."""
    score = np.full(rows.num_rows, np.nan)
    for source, kind in channel.kinds.items():
        is_kind = np.ones(rows.num_rows, bool) if kind is None else _is(rows["probe_kind"], kind)
        score[is_kind] = _deviations(rows, is_kind, scales.get(source, []))
    is_scored = ~np.isnan(score)
    scored = pa.array(is_scored)
    days = pc.cast(rows[channel.time].filter(scored), pa.date32()).to_numpy()
    months, month = np.unique(days.astype("datetime64[M]"), return_inverse=True)
    coders, coder = _codes(rows["coder_id"].filter(scored))
    records = Records(
        line=_codes(rows["line_id"].filter(scored))[1],
        scenario=_codes(rows["scenario_code"].filter(scored))[1],
        coder=coder,
        day=days.astype("datetime64[D]").astype(np.int64),
        period=month,
        score=score[is_scored],
    )
    return Coded(records, coders, [str(each) for each in months])


def _codes(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """(the texts that occur, sorted; the place of each row's text among them)."""
    distinct = _distinct(column)
    texts = sorted(pc.unique(distinct.indices).to_pylist())
    words = distinct.dictionary.take(pa.array(texts, pa.int64())).to_pylist()
    order = sorted(range(len(texts)), key=words.__getitem__)
    place = np.empty(len(distinct.dictionary), dtype=np.int64)
    place[[texts[number] for number in order]] = np.arange(len(texts))
    return [words[number] for number in order], place[distinct.indices.to_numpy()]


def _distinct(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Every text once, and its number in each row; texts that no row has may be among them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.unify_dictionaries().combine_chunks()


def _is(column: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    distinct = _distinct(column)
    return pc.equal(distinct.dictionary, text).take(distinct.indices).fill_null(False).to_numpy(zero_copy_only=False)


def _deviations(rows: Bronze, where: NDArray[np.bool_], scales: list[Scale]) -> Floats:
    """Mean over a record's scored answers of points less the answer's mean over all records; NaN without any.

    Of the records that the mask `where` marks.
    """
    n_records = int(where.sum())
    total, n_scored = np.zeros(n_records), np.zeros(n_records)
    for scale in scales:
        points = _points(rows[scale.field], scale)[where]
        is_scored = ~np.isnan(points)
        total[is_scored] += points[is_scored] - (points[is_scored].mean() if is_scored.any() else 0.0)
        n_scored += is_scored
    return np.where(n_scored > 0, total / np.maximum(n_scored, 1), np.nan)


def _points(column: pa.ChunkedArray, scale: Scale) -> Floats:
    """What each answer scores; NaN where none was given, or it has an NA code."""
    distinct = _distinct(column)
    points = [scale.points.get(code, math.nan) for code in distinct.dictionary.to_pylist()]
    return np.array([*points, math.nan])[pc.fill_null(distinct.indices, len(points)).to_numpy()]


def _scales(rules: Bronze) -> dict[str, list[Scale]]:
    """{source: the questions whose answer somebody wrote down, by the rules that look them up}."""
    scales: dict[str, dict[tuple[str, str], Scale]] = {}
    columns = {source: EXPORT_TABLES[channel.table] for channel in CHANNELS for source in channel.kinds}
    for rule in rules.to_pylist():
        source, indicator, field = rule["source"], rule["indicator_code"], rule["field"]
        known = {column.name for column in columns[source].columns} if source in columns else set()
        if rule["match"] is None or field not in known:
            continue
        scale = scales.setdefault(source, {}).setdefault((indicator, field), Scale(indicator, field, {}))
        if rule["score_nano"] is not None:
            scale.points[rule["match"]] = rule["score_nano"] / NANO
    return {source: [scale for scale in each.values() if scale.points] for source, each in scales.items()}
