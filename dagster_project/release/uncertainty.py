"""How sure the totals and ranks of a release are: from its own files to standard errors and rank sets.

Belongs here: what the observations of a release weigh, and which rows the answers become. Does not
belong here: the formulas (`statistics/`), what readers are told of them.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dagster_project.ahead import ahead
from dagster_project.files import read_sealed, write_sealed
from dagster_project.ingest.reference import SOURCE_CHANNEL
from dagster_project.release.folder import write_parquet
from dagster_project.release.identity import code_version
from dagster_project.release.observations import read_by_lines
from dagster_project.release.reading import KIND_OF_SOURCE, Release
from dagster_project.statistics.rank_sets import rank_sets
from dagster_project.statistics.standard_errors import (
    LineSums,
    Observations,
    joined,
    line_sums,
    line_variances,
    no_sums,
    variance_of_mean,
)

NANO = 10**9
TOP = 10
N_SUMMED = 2  # runs of observations worked on at once
KINDS = tuple(dict.fromkeys(KIND_OF_SOURCE.values()))
MEMBERS = {"province": "province_code", "rank_group": "rank_group", "tier": "tier"}  # dimension: column of the frame
# of observations.parquet
COLUMNS = [
    "line_id", "channel", "unit", "unit_id", "probe_id", "scenario_code", "indicator_code", "score_nano",
]  # fmt: skip
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

    `tier`: a code per line. The kinds of probes of `sums` are KINDS.
    """

    ids: list[str]
    frame: list[dict[str, Any]]
    tier: Ints
    sums: LineSums


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
    variances = line_variances(lines.sums, lines.tier)
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
    found again by the next run of the same code.
    """
    totals = _totals(folder)
    rows = rankings.select(["group_code", "rank", "unit", "unit_code"]).to_pylist()
    code = {"code": code_version(), "numpy": np.__version__}
    found: dict[tuple[str, str], RankRow] = {}
    for group in dict.fromkeys(row["group_code"] for row in rows):
        units = _ranked(rows, group, totals, errors)
        for unit, sets in zip(units, _kept_or_computed(units, code, kept / f"{group}.json"), strict=True):
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


def _kept_or_computed(units: list[Unit], code: dict[str, str], file: Path) -> list[RankRow]:
    """A large group takes a second; most runs change no score of it. `code`: what the sets hang on beside the units."""
    made_from = {"units": _digest(units), **code}
    stored = read_sealed(file)
    if stored is not None and stored["made_from"] == made_from:
        return [RankRow(**row) for row in stored["sets"]]
    rows = _rank_rows(units)
    write_sealed(file, {"made_from": made_from, "sets": [asdict(row) for row in rows]})
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
    sums = _line_sums(folder, ids, scores.filter(pc.field("level") == 3))
    tier = np.unique(tiers, return_inverse=True)[1].astype(np.int64)
    return ObservedLines(ids, [frame[line_id] for line_id in ids], tier, sums)


def _line_sums(folder: Path, ids: list[str], leaves: pa.Table) -> LineSums:
    """Of the lines `ids`, in their order. The file is read by runs of lines: a wave may not fit in memory."""
    weights = _Weights(folder)

    def summed(run: tuple[pa.Table, list[str]]) -> LineSums:
        table, own = run
        return line_sums(weights.observed(table, own, leaves), len(own))

    def runs() -> Iterator[tuple[pa.Table, list[str]]]:
        n_done = 0
        for table in read_by_lines(folder, COLUMNS):
            n_until = bisect_right(ids, table["line_id"][-1].as_py())
            yield table, ids[n_done:n_until]
            n_done = n_until

    with ThreadPoolExecutor(N_SUMMED) as pool:
        found = [sums.result() for sums in ahead(pool, summed, runs(), N_SUMMED)]
    n_done = sum(len(sums.total) for sums in found)
    return joined([*found, no_sums(len(ids) - n_done, len(KINDS))])


class _Weights:
    """What an observation weighs in the total of its line, by the method of the release in `folder`."""

    def __init__(self, folder: Path) -> None:
        release = Release(folder)
        method = release.method
        self._indicators = [row["indicator_code"] for row in method("indicators")]
        self._channels = sorted(set(SOURCE_CHANNEL.values()))
        scenarios = method("scenarios")
        # indicators of diallings are plain means, without a scenario
        self._scenarios = ["", *(row["scenario_code"] for row in scenarios)]
        self._scenario_weights = np.array([1.0, *(float(row["weight"]) for row in scenarios)])
        shape = len(self._channels), len(self._indicators)
        self._channel_weights = np.zeros(shape)
        self._kinds = np.zeros(shape, dtype=np.int64)  # the place in KINDS of what answers it; 0 where nothing does
        for row in method("channel_weights"):
            self._channel_weights[self._place(row["channel"], row["indicator_code"])] = float(row["weight"])
        for (channel, indicator), kind in release.probe_kinds.items():
            self._kinds[self._place(channel, indicator)] = KINDS.index(kind)

    def _place(self, channel: str, indicator: str) -> tuple[int, int]:
        return self._channels.index(channel), self._indicators.index(indicator)

    def observed(self, table: pa.Table, ids: list[str], leaves: pa.Table) -> Observations:
        """The rows of COLUMNS that count in the totals of `ids`, in their order; `leaves`: third level of line_scores.

        A probe is a cluster, and so is a dialling that led to none. What a probe answers tells its kind.
        """
        table = table.filter(pc.is_in(pc.field("line_id"), pa.array(ids, pa.string())))
        line, indicator = _codes(table["line_id"], ids), _codes(table["indicator_code"], self._indicators)
        leaf_weight = self._leaf_weights(leaves, ids)[line, indicator]
        # an indicator without weight stands below a node that is NA
        counts = table["score_nano"].is_valid().to_numpy() & (leaf_weight > 0)
        table, line, indicator, leaf_weight = table.filter(counts), line[counts], indicator[counts], leaf_weight[counts]
        channel = _codes(table["channel"], self._channels)
        scenario = _codes(pc.if_else(pc.equal(table["unit"], "attempt"), "", table["scenario_code"]), self._scenarios)
        probe = _in_order_of_appearance(pc.coalesce(table["probe_id"], table["unit_id"]))
        item = (line * len(self._indicators) + indicator) * len(self._channels) + channel
        of_channel = self._channel_shares(len(ids), line, indicator, channel)
        return Observations(
            item=_dense(item),
            # two lines may have a probe of one name, in different channels
            probe=_in_order_of_appearance(pa.array(line * len(table) + probe)),
            stratum=line * len(KINDS) + self._kinds[channel, indicator],
            weight=leaf_weight * of_channel * self._shares_of_mean(item, scenario),
            score=table["score_nano"].to_numpy() / NANO,
            n_kinds=len(KINDS),
        )

    def _shares_of_mean(self, item: Ints, scenario: Ints) -> Floats:
        """What an observation weighs in its indicator: its scenario's share, divided among the scenario's."""
        weight = self._scenario_weights[scenario]
        cell = _dense(item * len(self._scenarios) + scenario)
        n = np.bincount(cell)
        of_cell = np.zeros(len(n))
        of_cell[cell] = weight
        item_of_cell = np.zeros(len(n), dtype=np.int64)
        item_of_cell[cell] = item
        whole = np.bincount(item_of_cell, weights=of_cell)
        return weight / whole[item] / n[cell]

    def _channel_shares(self, n_lines: int, line: Ints, indicator: Ints, channel: Ints) -> Floats:
        """The channel's weight among those in which the line has the indicator."""
        weights = self._channel_weights.T
        is_there = np.zeros((n_lines, *weights.shape), dtype=bool)
        is_there[line, indicator, channel] = True
        whole = (is_there * weights).sum(axis=2)
        return weights[indicator, channel] / whole[line, indicator]

    def _leaf_weights(self, leaves: pa.Table, ids: list[str]) -> Floats:
        """(lines, indicators): effective weights in the line's total; 0 where the line has not the indicator."""
        weights = np.zeros((len(ids), len(self._indicators)))
        is_known = pc.is_in(pc.field("line_id"), pa.array(ids, pa.string())) & pc.field("effective_weight").is_valid()
        known = leaves.filter(is_known)
        place = _codes(known["line_id"], ids), _codes(known["node_code"], self._indicators)
        weights[place] = known["effective_weight"].cast(pa.float64()).to_numpy()
        return weights


def _codes(values: pa.ChunkedArray, known: list[str]) -> Ints:
    """Numbers from 0 in place of texts: places in `known`."""
    places = pc.index_in(values, pa.array(known, pa.string()))
    if places.null_count:
        raise ValueError("a release names what its method and frame do not have")
    return places.to_numpy().astype(np.int64)


def _in_order_of_appearance(values: pa.Array | pa.ChunkedArray) -> Ints:
    """Numbers from 0, without a gap, in place of values: in the order in which they come."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pc.dictionary_encode(whole).indices.to_numpy().astype(np.int64)


def _dense(codes: Ints) -> Ints:
    """The places of the codes among those that there are; without sorting, since there are millions."""
    is_there = np.zeros(int(codes.max(initial=-1)) + 1, dtype=bool)
    is_there[codes] = True
    return (np.cumsum(is_there) - 1)[codes]


def _read(folder: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    return pq.ParquetFile(folder / f"{name}.parquet").read(columns)


def _decimal(value: float, places: int) -> Decimal | None:
    return Decimal(f"{value:.{places}f}") if value == value else None
