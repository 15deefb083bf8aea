"""How sure the totals and ranks of a release are: from its own files to standard errors and rank sets.

Belongs here: what the observations of a release weigh, and which rows the answers become. Does not
belong here: the formulas (`statistics/`), what readers are told of them.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dagster_project.files import replace_files
from dagster_project.ingest.reference import SOURCE_CHANNEL
from dagster_project.release.folder import write_parquet
from dagster_project.release.reading import Release
from dagster_project.statistics.rank_sets import rank_sets
from dagster_project.statistics.standard_errors import Observations, line_variances, variance_of_mean

NANO = 10**9
TOP = 10
KINDS = ("call", "inspection", "request")  # what a vendor is asked for; a call comes with its diallings
KIND_OF_SOURCE = {
    "dial_attempt": "call", "phone_probe": "call", "web_inspection": "inspection", "web_submission": "request",
}  # fmt: skip
MEMBERS = {"province": "province_code", "rank_group": "rank_group", "tier": "tier"}  # dimension: column of the frame
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STANDARD_ERRORS = pa.schema(
    {
        "dimension": pa.string(),  # line, or a dimension of `aggregates`
        "member": pa.string(),
        "n": pa.int64(),  # lines with a total
        "standard_error": pa.decimal128(10, 6),  # of the total, in points; null where no line has any
    }
)
RANK_COLUMNS = pa.schema(
    {
        "standard_error": pa.decimal128(6, 2),
        "rank_low": pa.int64(),  # the unit's own 95 % set
        "rank_high": pa.int64(),
        "rank_low_all": pa.int64(),  # sets that hold for all units of the table at once with 95 %
        "rank_high_all": pa.int64(),
        "top_10": pa.string(),  # sure, possible, no: by the sets that hold for all at once
        "is_apart_from_next": pa.bool_(),  # told apart from the unit that is listed next
    }
)


@dataclass(frozen=True)
class RankRow:
    """What RANK_COLUMNS say of a unit, but for its standard error."""

    rank_low: int
    rank_high: int
    rank_low_all: int
    rank_high_all: int
    top_10: str
    is_apart_from_next: bool | None


@dataclass(frozen=True)
class Unit:
    """A ranked line or province: its total in nanopoints and the standard error of it in points."""

    code: str
    total_nano: int
    error: float

    @property
    def points(self) -> float:
        return self.total_nano / NANO


@dataclass(frozen=True)
class ObservedLines:
    """Lines with a total, in the order of their codes, and what was observed of them.

    `tier`: a code per line. The kinds of probes of `observed` are KINDS.
    """

    ids: list[str]
    frame: list[dict[str, Any]]
    tier: Ints
    observed: Observations


def write_standard_errors(folder: Path) -> dict[tuple[str, str], float]:
    """Write `standard_errors.parquet` of the release in `folder`; returns {(dimension, member): points}."""
    rows = standard_errors(observed_lines(folder))
    columns = zip(*((*row[:3], _decimal(row[3], 6)) for row in rows), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, STANDARD_ERRORS, strict=True)]
    write_parquet(pa.table(arrays, STANDARD_ERRORS), folder / "standard_errors.parquet")
    return {(dimension, member): error for dimension, member, _, error in rows}


def standard_errors(lines: ObservedLines) -> list[tuple[str, str, int, float]]:
    """(dimension, member, lines, standard error in points) of every line, and of the mean of every set of lines.

    Lines count as independent.
    """
    variances = line_variances(lines.observed, lines.tier)
    rows = [("line", line_id, 1, float(variance)) for line_id, variance in zip(lines.ids, variances, strict=True)]
    rows.append(("national", "all", len(lines.ids), variance_of_mean(variances)))
    for dimension, column in MEMBERS.items():
        members = np.array([row[column] for row in lines.frame])
        for member in sorted(set(members.tolist())):
            own = variances[members == member]
            rows.append((dimension, member, len(own), variance_of_mean(own)))
    return [(dimension, member, n, float(np.sqrt(variance))) for dimension, member, n, variance in rows]


def with_rank_sets(folder: Path, rankings: pa.Table, errors: dict[tuple[str, str], float], kept: Path) -> pa.Table:
    """`rankings` with RANK_COLUMNS, for the release in `folder`. `errors`: what `write_standard_errors` returns.

    Sets are made within each group, of the ranked units; others have none. `kept`: folder where they are
    found again by the next run.
    """
    totals = _totals(folder)
    rows = rankings.select(["group_code", "rank", "unit", "unit_code"]).to_pylist()
    found: dict[tuple[str, str], RankRow] = {}
    for group in dict.fromkeys(row["group_code"] for row in rows):
        units = _ranked(rows, group, totals, errors)
        for unit, sets in zip(units, _kept_or_computed(units, kept / f"{group}.json"), strict=True):
            found[group, unit.code] = sets
    columns: dict[str, list[Any]] = {field.name: [] for field in RANK_COLUMNS}
    for row in rows:
        own = found.get((row["group_code"], row["unit_code"]))
        columns["standard_error"].append(_decimal(errors.get((row["unit"], row["unit_code"]), float("nan")), 2))
        for name in list(columns)[1:]:
            columns[name].append(getattr(own, name) if own else None)
    for field in RANK_COLUMNS:
        rankings = rankings.append_column(field, pa.array(columns[field.name], field.type))
    return rankings


def ranked_units(folder: Path, group: str, lines: ObservedLines) -> list[Unit]:
    """The ranked units of a table of the release, as they are listed there. `lines`: `observed_lines` of it."""
    errors = {(dimension, member): error for dimension, member, _, error in standard_errors(lines)}
    rows = _read(folder, "rankings", ["group_code", "rank", "unit", "unit_code"]).to_pylist()
    return _ranked(rows, group, _totals(folder), errors)


def _ranked(
    rows: list[dict[str, Any]], group: str, totals: dict[tuple[str, str], int], errors: dict[tuple[str, str], float]
) -> list[Unit]:
    keys = [(row["unit"], row["unit_code"]) for row in rows if row["group_code"] == group and row["rank"] is not None]
    return [Unit(key[1], totals[key], errors[key]) for key in keys]


def _totals(folder: Path) -> dict[tuple[str, str], int]:
    """{(unit of a ranking, code): total in nanopoints}."""
    is_total = (pc.field("channel") == "all") & (pc.field("level") == 0)
    lines = _read(folder, "line_scores", ["line_id", "channel", "level", "score_nano"]).filter(is_total)
    means = _read(folder, "aggregates", ["dimension", "member", "channel", "level", "mean_nano"]).filter(is_total)
    return {
        **{("line", row["line_id"]): row["score_nano"] for row in lines.to_pylist()},
        **{(row["dimension"], row["member"]): row["mean_nano"] for row in means.to_pylist()},
    }


def _kept_or_computed(units: list[Unit], file: Path) -> list[RankRow]:
    """A large group takes a second; most runs change no score of it."""
    digest = _digest(units)
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["inputs"] == digest:
            return [RankRow(**row) for row in kept["sets"]]
    rows = _rank_rows(units)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"inputs": digest, "sets": [asdict(row) for row in rows]})
    replace_files({file: content.encode()})
    return rows


def _digest(units: list[Unit]) -> str:
    content = [(unit.code, unit.total_nano, unit.error.hex()) for unit in units]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def rank_seed(units: list[Unit]) -> int:
    """What the draws for the rank sets of a table begin with: its content alone decides it."""
    return int(_digest(units)[:16], 16)


def _rank_rows(units: list[Unit]) -> list[RankRow]:
    if not units:
        return []
    sets = rank_sets([unit.points for unit in units], [unit.error for unit in units], rank_seed(units))
    n = len(units)
    return [
        RankRow(
            rank_low=int(sets.low[place]),
            rank_high=int(sets.high[place]),
            rank_low_all=int(sets.low_all[place]),
            rank_high_all=int(sets.high_all[place]),
            top_10="sure" if sets.high_all[place] <= TOP else "possible" if sets.low_all[place] <= TOP else "no",
            is_apart_from_next=bool(sets.is_apart[place, place + 1]) if place + 1 < n else None,
        )
        for place in range(n)
    ]


def observed_lines(folder: Path) -> ObservedLines:
    """The lines of the release in `folder` that have a total: from observations, line_scores, lines and the method."""
    columns = ["line_id", "channel", "level", "node_code", "score_nano", "effective_weight"]
    scores = _read(folder, "line_scores", columns).filter(pc.field("channel") == "all")
    totals = scores.filter((pc.field("level") == 0) & pc.field("score_nano").is_valid())
    ids = sorted(totals["line_id"].to_pylist())
    frame = {row["line_id"]: row for row in _read(folder, "lines").to_pylist()}
    tiers = np.array([frame[line_id]["tier"] for line_id in ids])
    observed = _observations(folder, ids, scores.filter(pc.field("level") == 3))
    tier = np.unique(tiers, return_inverse=True)[1].astype(np.int64)
    return ObservedLines(ids, [frame[line_id] for line_id in ids], tier, observed)


def probe_kinds(folder: Path) -> dict[tuple[str, str], str]:
    """{(channel, indicator): which of KINDS answers it}, by the method of the release in `folder`."""
    sources = {(row["indicator_code"], row["source"]) for row in Release(folder).method("scoring_rules")}
    return {(SOURCE_CHANNEL[source], indicator): KIND_OF_SOURCE[source] for indicator, source in sources}


def _observations(folder: Path, ids: list[str], leaves: pa.Table) -> Observations:
    """The observations that count in the totals of `ids`, in the order of the file, each with its weight there.

    A probe is a cluster, and so is a dialling that led to none. What a probe answers tells its kind.
    """
    table = _read(folder, "observations").filter(pc.is_in(pc.field("line_id"), pa.array(ids)))
    indicators = [row["indicator_code"] for row in Release(folder).method("indicators")]
    channels = sorted(table["channel"].unique().to_pylist())
    line, indicator = _codes(table["line_id"], ids), _codes(table["indicator_code"], indicators)
    channel = _codes(table["channel"], channels)
    scenario, scenario_weight = _scenarios(folder, table)
    probe = _codes(pc.coalesce(table["probe_id"], table["unit_id"]))
    kind = _kinds(folder, channels, indicators)[channel, indicator]
    leaf_weight = _leaf_weights(leaves, ids, indicators)[line, indicator]
    # an indicator without weight stands below a node that is NA
    counts = table["score_nano"].is_valid().to_numpy() & (leaf_weight > 0)
    score = table["score_nano"].fill_null(0).to_numpy() / NANO
    line, indicator, channel, scenario, scenario_weight, probe, kind, leaf_weight, score = (
        each[counts] for each in (line, indicator, channel, scenario, scenario_weight, probe, kind, leaf_weight, score)
    )
    item = (line * len(indicators) + indicator) * len(channels) + channel
    weight = (
        leaf_weight
        * _channel_shares(folder, indicators, channels, line, indicator, channel)
        * _shares_of_mean(item, scenario, scenario_weight)
    )
    return Observations(
        item=_dense(item),
        probe=_dense(probe),
        stratum=line * len(KINDS) + kind,
        weight=weight,
        score=score,
        n_kinds=len(KINDS),
    )


def _kinds(folder: Path, channels: list[str], indicators: list[str]) -> Ints:
    """(channels, indicators): the place in KINDS of what answers it; 0 where nothing does."""
    kinds = np.zeros((len(channels), len(indicators)), dtype=np.int64)
    for (channel, indicator), kind in probe_kinds(folder).items():
        if channel in channels:
            kinds[channels.index(channel), indicators.index(indicator)] = KINDS.index(kind)
    return kinds


def _scenarios(folder: Path, table: pa.Table) -> tuple[Ints, Floats]:
    """(code, weight) of each observation's scenario. Indicators of diallings are plain means, without one."""
    rows = Release(folder).method("scenarios")
    known = [row["scenario_code"] for row in rows]
    is_of_attempt = pc.equal(table["unit"], "attempt")
    scenario = _codes(pc.if_else(is_of_attempt, "", table["scenario_code"]), ["", *known])
    return scenario, np.array([1.0, *(float(row["weight"]) for row in rows)])[scenario]


def _shares_of_mean(item: Ints, scenario: Ints, weight: Floats) -> Floats:
    """What an observation weighs in its indicator: its scenario's share, divided among the scenario's."""
    cell = _dense(item * (int(scenario.max()) + 1) + scenario)
    n = np.bincount(cell)
    of_cell = np.zeros(len(n))
    of_cell[cell] = weight
    item_of_cell = np.zeros(len(n), dtype=np.int64)
    item_of_cell[cell] = item
    whole = np.bincount(item_of_cell, weights=of_cell)
    return weight / whole[item] / n[cell]


def _channel_shares(
    folder: Path, indicators: list[str], channels: list[str], line: Ints, indicator: Ints, channel: Ints
) -> Floats:
    """The channel's weight among those in which the line has the indicator."""
    weights = np.zeros((len(indicators), len(channels)))
    for row in Release(folder).method("channel_weights"):
        if row["channel"] in channels:
            weights[indicators.index(row["indicator_code"]), channels.index(row["channel"])] = float(row["weight"])
    is_there = np.zeros((int(line.max()) + 1, *weights.shape), dtype=bool)
    is_there[line, indicator, channel] = True
    whole = (is_there * weights).sum(axis=2)
    return weights[indicator, channel] / whole[line, indicator]


def _leaf_weights(leaves: pa.Table, ids: list[str], indicators: list[str]) -> Floats:
    """(lines, indicators): effective weights in the line's total; 0 where the line has not the indicator."""
    weights = np.zeros((len(ids), len(indicators)))
    known = leaves.filter(pc.is_in(pc.field("line_id"), pa.array(ids)) & pc.field("effective_weight").is_valid())
    place = _codes(known["line_id"], ids), _codes(known["node_code"], indicators)
    weights[place] = known["effective_weight"].cast(pa.float64()).to_numpy()
    return weights


def _codes(values: pa.ChunkedArray, known: list[str] | None = None) -> Ints:
    """Numbers from 0 in place of texts: places in `known`, or else in the order in which they come."""
    if known is None:
        return pc.dictionary_encode(values).combine_chunks().indices.to_numpy().astype(np.int64)
    places = pc.index_in(values, pa.array(known))
    if places.null_count:
        raise ValueError("a release names what its method and frame do not have")
    return places.to_numpy().astype(np.int64)


def _dense(codes: Ints) -> Ints:
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _read(folder: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    return pq.ParquetFile(folder / f"{name}.parquet").read(columns)


def _decimal(value: float, places: int) -> Decimal | None:
    return Decimal(f"{value:.{places}f}") if value == value else None
