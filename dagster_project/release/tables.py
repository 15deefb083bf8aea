"""The data files of a release, from the tables of the warehouse.

Parquet is written in the order of each table's key, so that its bytes depend on its content alone.
"""

import csv
import json
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.database import connect, input_name, quoted
from dagster_project.paths import Paths
from dagster_project.release.comparability import NOT_COMPARABLE
from dagster_project.release.folder import write_parquet
from dagster_project.release.observations import write_observations
from dagster_project.release.uncertainty import with_rank_sets, write_standard_errors
from dagster_project.statistics.decomposition import Leaf, decompose, printed
from dagster_project.statistics.replication import class_probabilities
from dagster_project.statistics.set_changes import set_change

NANO = 10**9
# Of DuckDB, which keeps what it has read until its limit, by default most of the machine; a run of observations
# is sorted in a fifth of it.
MEMORY = "512MiB"
# Spreadsheets in Chinese take the wide forms too.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _decimal(name: str) -> str:
    """Column `<name>_centi`, whole hundredths, as the decimal number that is printed."""
    return f"cast(cast({name}_centi as decimal(6, 0)) * 0.01 as decimal(6, 2)) as {name}"


EFFECTIVE_WEIGHT = (
    "cast(cast(effective_weight_nano as decimal(10, 0)) * 0.000000001 as decimal(10, 9)) as effective_weight"
)

# file name -> (table, columns, order)
TABLES = {
    "line_scores": (
        "pub_line_scores",
        f"line_id, channel, level, node_code, score_nano, {_decimal('published')}, {_decimal('change')},"
        f" comparability, {_decimal('comparable_change')}, {EFFECTIVE_WEIGHT}, na_reason",
        "line_id, channel, level, node_code",
    ),
    "aggregates": (
        "pub_aggregates",
        f"dimension, member, channel, level, node_code, n, n_na, mean_nano, {_decimal('published')},"
        f" {_decimal('change')}, comparability, {_decimal('comparable_change')}, {_decimal('comparable_before')},"
        f" {_decimal('comparable_after')}",
        "dimension, member, channel, level, node_code",
    ),
    "scenarios": (
        "score_scenarios",
        "line_id, channel, indicator_code, scenario_code, n_observations, n_observed, n_valid, score_nano",
        "line_id, channel, indicator_code, scenario_code",
    ),
    "line_flags": ("pub_line_flags", "line_id, flag_code, is_set", "line_id, flag_code"),
}
RANKINGS = (
    "pub_rankings",
    "group_code, rank, is_tied, unit, unit_code, unit_name, line_class, n_lines,"
    f" {_decimal('published')}, {_decimal('change')}, places_gained, comparability, {_decimal('comparable_change')}",
    "group_code, list_order",
)
CONTRIBUTIONS = pa.schema(
    {
        "line_id": pa.string(),
        "node_code": pa.string(),
        "score_effect_nano": pa.int64(),
        "structure_effect_nano": pa.int64(),
        "contribution": pa.decimal128(6, 2),  # printed: a line's sum to the change of its printed total
    }
)
SET_CHANGES = pa.schema(
    {
        "dimension": pa.string(),
        "member": pa.string(),
        "n_matched": pa.int64(),
        "n_entry": pa.int64(),
        "n_exit": pa.int64(),
        "matched_effect_nano": pa.int64(),
        "entry_effect_nano": pa.int64(),
        "exit_effect_nano": pa.int64(),
        # printed: the three sum to the change of the set's printed mean
        "matched": pa.decimal128(6, 2),
        "entry": pa.decimal128(6, 2),
        "exit": pa.decimal128(6, 2),
        "change": pa.decimal128(6, 2),
        "comparability": pa.string(),
    }
)
FRAME_COLUMNS = "line_id, city, short_name, division_code, province_code, province, level, tier, tier_basis, rank_group"


def write_tables(paths: Paths, wave: str, folder: Path, note: str, baseline: Path | None) -> None:
    """Write every data file of the release of `wave` into `folder`, which has the method already.

    `note` stands in every row of the CSV: a file that travels alone must say what it is. `baseline` is
    the folder of the release that changes are told against, where there is one.
    """
    readable = [paths.bronze, *([baseline] if baseline else [])]  # the observations are a view of bronze
    frame_file = paths.bronze_part("lines", wave)
    before = input_name(baseline, paths.home) if baseline else None
    with connect(paths.home, paths.warehouse, readable=readable, read_only=True, memory_limit=MEMORY) as connection:
        write_observations(connection, wave, folder)
        for name, declared in TABLES.items():
            write_parquet(_table(connection, wave, declared), folder / f"{name}.parquet")
        write_parquet(_line_classes(connection, wave), folder / "line_classes.parquet")
        write_parquet(_contributions(connection, wave, before), folder / "contributions.parquet")
        write_parquet(
            _set_changes(connection, wave, input_name(frame_file, paths.home), before), folder / "set_changes.parquet"
        )
        _write_json(_figures(connection, wave), folder / "figures.json")
        rankings = _table(connection, wave, RANKINGS)
    frame = pq.ParquetFile(frame_file).read()
    write_parquet(frame.select(FRAME_COLUMNS.split(", ")).sort_by("line_id"), folder / "lines.parquet")
    rankings = with_rank_sets(folder, rankings, write_standard_errors(folder), paths.rank_sets(wave))
    write_parquet(rankings, folder / "rankings.parquet")
    _write_csv(rankings, folder / "rankings.csv", note)


def _table(connection: duckdb.DuckDBPyConnection, wave: str, declared: tuple[str, str, str]) -> pa.Table:
    table, columns, order = declared
    # identifiers come from the constants above, the wave is bound
    query = f"select {columns} from {table} where wave = $wave order by {order}"  # noqa: S608
    return connection.sql(query, params={"wave": wave}).to_arrow_table()


def _line_classes(connection: duckdb.DuckDBPyConnection, wave: str) -> pa.Table:
    outcomes: dict[int, list[tuple[int, str]]] = {}
    for attempts, connected_from, name in connection.execute(
        "select attempts, connected_from, line_class from pub_class_outcomes where wave = ? order by all", [wave]
    ).fetchall():
        outcomes.setdefault(attempts, []).append((connected_from, name))
    counts = connection.execute(
        "select distinct attempts, connected from pub_line_classes where wave = ? order by all", [wave]
    ).fetchall()
    repeats = [class_probabilities(attempts, connected, outcomes[attempts]) for attempts, connected in counts]
    names = sorted({name for classes in outcomes.values() for _, name in classes})
    columns = ", ".join(f"unnest($p{number}) as {quoted(f'p_repeat_{name}')}" for number, name in enumerate(names))
    query = f"""
        select classes.line_id, classes.attempts, classes.connected, classes.line_class, classes.is_ranked,
            repeats.* exclude (attempts, connected)
        from pub_line_classes as classes
        inner join (select unnest($attempts) as attempts, unnest($connected) as connected, {columns}) as repeats
            using (attempts, connected)
        where classes.wave = $wave
        order by classes.line_id
    """  # noqa: S608  # the method's class names are quoted, all values are bound
    values = {
        "wave": wave,
        "attempts": [attempts for attempts, _ in counts],
        "connected": [connected for _, connected in counts],
        **{f"p{number}": [repeat.get(name, 0.0) for repeat in repeats] for number, name in enumerate(names)},
    }
    return connection.sql(query, params=values).to_arrow_table()


def _contributions(connection: duckdb.DuckDBPyConnection, wave: str, baseline: str | None) -> pa.Table:
    """One row per line that both waves have a total of, and third-level indicator that either observed.

    No row where the waves do not have the same indicators: what only one tree has can not be told apart.
    """
    if baseline is None:
        return CONTRIBUTIONS.empty_table()
    query = """
        with
        before as (
            select line_id, level, node_code, score_nano, cast(100 * published as bigint) as published_centi,
                cast(1000000000 * cast(effective_weight as decimal(28, 9)) as bigint) as effective_weight_nano
            from read_parquet($baseline)
            where channel = 'all' and level in (0, 3)
        ),
        after as (
            select line_id, level, node_code, score_nano, published_centi, effective_weight_nano, comparability
            from pub_line_scores
            where wave = $wave and channel = 'all' and level in (0, 3)
        )
        select line_id, level, node_code,
            before.score_nano, coalesce(before.effective_weight_nano, 0), before.published_centi,
            after.score_nano, coalesce(after.effective_weight_nano, 0), after.published_centi,
            before.node_code is null or after.node_code is null as is_of_one_tree, after.comparability
        from before full outer join after using (line_id, level, node_code)
        order by line_id, level, node_code
    """
    values = {"wave": wave, "baseline": f"{baseline}/line_scores.parquet"}
    rows: list[tuple[Any, ...]] = []
    for line_id, found in groupby(connection.execute(query, values).fetchall(), key=itemgetter(0)):
        total, *nodes = found
        _, level, _, nano_before, _, centi_before, nano_after, _, centi_after, _, comparability = total
        if level != 0 or nano_before is None or nano_after is None:
            continue
        if comparability == NOT_COMPARABLE or any(is_of_one_tree for *_, is_of_one_tree, _ in nodes):
            continue
        before = {code: Leaf(nano, weight) for _, _, code, nano, weight, *_ in nodes}
        after = {code: Leaf(nano, weight) for _, _, code, _, _, _, nano, weight, *_ in nodes}
        effects = decompose(before, after, nano_before, nano_after)
        shown = printed({code: effect.contribution for code, effect in effects.items()}, centi_after - centi_before)
        rows += [
            (line_id, code, each.score, each.structure, Decimal(shown[code]) / 100) for code, each in effects.items()
        ]
    return _of_rows(rows, CONTRIBUTIONS)


def _set_changes(connection: duckdb.DuckDBPyConnection, wave: str, frame_file: str, baseline: str | None) -> pa.Table:
    """One row per set of lines (nation, tier, province, ranking group) that both waves have a score of a line of."""
    if baseline is None:
        return SET_CHANGES.empty_table()
    query = """
        with
        before as (
            select lines.line_id, lines.tier, lines.province_code, lines.rank_group, scores.score_nano
            from read_parquet($lines) as lines
            inner join read_parquet($scores) as scores using (line_id)
            where scores.channel = 'all' and scores.level = 0 and scores.score_nano is not null
        ),
        after as (
            select lines.line_id, lines.tier, lines.province_code, lines.rank_group, scores.score_nano
            from read_parquet($frame) as lines
            inner join pub_line_scores as scores using (line_id)
            where scores.wave = $wave and scores.channel = 'all' and scores.level = 0 and scores.score_nano is not null
        ),
        scored as (select true as is_after, * from after union all select false, * from before),
        members as (
            select 'national' as dimension, 'all' as member, is_after, line_id, score_nano from scored
            union all select 'tier', tier, is_after, line_id, score_nano from scored
            union all select 'province', province_code, is_after, line_id, score_nano from scored
            union all select 'rank_group', rank_group, is_after, line_id, score_nano from scored
        )
        select members.dimension, members.member, members.is_after, members.line_id, members.score_nano,
            aggregates.change_centi, aggregates.comparability
        from members
        inner join pub_aggregates as aggregates using (dimension, member)
        where aggregates.wave = $wave and aggregates.channel = 'all' and aggregates.level = 0
        order by members.dimension, members.member, members.is_after, members.line_id
    """
    values = {
        "wave": wave,
        "frame": frame_file,
        "lines": f"{baseline}/lines.parquet",
        "scores": f"{baseline}/line_scores.parquet",
    }
    rows: list[tuple[Any, ...]] = []
    for (dimension, member), found in groupby(connection.execute(query, values).fetchall(), key=itemgetter(0, 1)):
        lines = list(found)
        *_, change_centi, comparability = lines[0]
        before, after = ({row[3]: row[4] for row in lines if row[2] is side} for side in (False, True))
        each = set_change(before, after)
        if each is None or change_centi is None:
            continue
        effects = {"matched": each.matched, "entry": each.entry, "exit": each.exit}
        shown = [Decimal(centi) / 100 for centi in printed(effects, change_centi).values()]
        counts = (each.n_matched, each.n_entry, each.n_exit)
        change = Decimal(change_centi) / 100
        rows.append((dimension, member, *counts, *effects.values(), *shown, change, comparability))
    return _of_rows(rows, SET_CHANGES)


def _of_rows(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema)


def _figures(connection: duckdb.DuckDBPyConnection, wave: str) -> list[dict[str, Any]]:
    cursor = connection.execute(
        "select figure_id as id, label, section, kind, unit, value_centi, unrounded_nano, k, n, change_centi,"
        " growth_centi, comparability, comparable_change_centi, is_adjusted from pub_figures where wave = ?"
        " order by figure_order",
        [wave],
    )
    names = [column[0] for column in cursor.description]
    return [_figure(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _figure(row: dict[str, Any]) -> dict[str, Any]:
    unrounded = row.pop("unrounded_nano")
    return {
        **{name: row[name] for name in ("id", "label", "section", "kind", "unit")},
        "value": _number(row["value_centi"], row["kind"]),
        "unrounded": None if unrounded is None else f"{Decimal(unrounded) / NANO:.9f}",
        "k": row["k"],
        "n": row["n"],
        "change": _number(row["change_centi"], row["kind"]),
        "growth_pct": _number(row["growth_centi"], "growth"),
        "change_basis": None
        if row["change_centi"] is None
        else "published values of the baseline wave, plain difference",
        "comparability": row["comparability"],
        "comparable_change": _number(row["comparable_change_centi"], row["kind"]),
        "footnote": "largest-remainder rounding: the shares sum to 100.00" if row["is_adjusted"] else None,
    }


def _number(centi: int | None, kind: str) -> float | int | None:
    if centi is None:
        return None
    return centi // 100 if kind == "count" else centi / 100


def _write_csv(table: pa.Table, path: Path, note: str) -> None:
    # The byte order mark lets Excel open Chinese text as it is.
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*table.column_names, "note"])
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        writer.writerows(["" if value is None else _text(value) for value in (*row, note)] for row in rows)


def inert(text: str) -> str:
    """The text as a CSV may hold it: what a spreadsheet would take for a formula is marked as text."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return inert(value) if isinstance(value, str) else str(value)


def _write_json(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
