"""A wave of two lines and three scenarios, small enough to read, on which every check of the gate holds.

Belongs here: the good data, and for each check what must make it fail.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.gate.tables import BRONZE_TABLES, SCORE_TABLES
from dagster_project.ingest.wave import Plan, Wave
from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES, QUARANTINE, REFERENCE_TABLES

WAVE = Wave(
    id="2023",
    label="2023",
    kind="annual",
    is_synthetic=True,
    period_start=date(2023, 3, 1),
    period_end=date(2023, 6, 30),
    method="v2023",
    frame="lines_2023",
    baseline="2022",
    plan=Plan(phone_probes=3, dial_attempts=4, web_inspections=3, web_submissions=1),
    max_quarantined_share_pct=0,
    quarantine_reason=None,
    thresholds={},
    exports=(),
    simulation=None,
    is_closed=False,
)
LINES = {"110000": "北京", "370100": "济南"}
SCENARIOS = ("S1", "S2", "S3")
CODERS = tuple(f"C{number}" for number in range(8))
IN_PERIOD = datetime(2023, 4, 1, 9)

Row = dict[str, Any]
World = dict[str, list[Row]]
SCORE_SCHEMAS = {
    "score_total": pa.schema([("line_id", pa.string()), ("channel", pa.string()), ("score_nano", pa.int64())]),
    "score_nodes": pa.schema([("line_id", pa.string()), ("node_code", pa.string())]),
    "score_line_classes": pa.schema(
        [("line_id", pa.string()), ("attempts", pa.int64()), ("connected", pa.int64()), ("line_class", pa.string())]
    ),
    "score_scenarios": pa.schema([("line_id", pa.string()), ("n_observations", pa.int64()), ("n_missing", pa.int64())]),
}


def good_world() -> World:
    """Rows per table. Each line is dialled, reached and visited four times."""
    world: World = {name: [] for name in (*BRONZE_TABLES, *SCORE_TABLES)}
    world["waves"] = [{"label": "2023", "period_start": "2023-03-01", "period_end": "2023-06-30"}]
    world["scenarios"] = [{"scenario_code": code, "scenario": code, "weight": 1} for code in SCENARIOS]
    world["baseline_figures"] = [{"release": "r", "figure_id": "total.score", "value_centi": 8650}]
    for line, city in LINES.items():
        world["lines"].append({"line_id": line, "city": city})
        world["baseline_line_scores"].append(
            {"line_id": line, "channel": "all", "node_code": "T", "published_centi": 8650}
        )
        _add_probes(world, line)
        for channel in ("all", "phone", "web"):
            world["score_total"].append({"line_id": line, "channel": channel, "score_nano": 87 * 10**9})
        world["score_nodes"].append({"line_id": line, "node_code": "T"})
        world["score_line_classes"].append({"line_id": line, "attempts": 4, "connected": 4, "line_class": "hot"})
        world["score_scenarios"].append({"line_id": line, "n_observations": 7, "n_missing": 0})
    return world


def _add_probes(world: World, line: str) -> None:
    for number, scenario in enumerate(SCENARIOS):
        probe = f"P{line}{number}"
        attempt = {"line_id": line, "dialled_at": IN_PERIOD, "connected": "yes"}
        world["dial_attempts"].append(
            {**attempt, "attempt_id": f"A{probe}", "probe_id": probe, "scenario_code": scenario}
        )
        target = {"line_id": line, "scenario_code": scenario}
        world["phone_probes"].append(
            {**target, "probe_id": probe, "called_at": IN_PERIOD, "coder_id": _coder(world, "phone_probes")}
        )
        world["web_probes"].append(_visit(world, f"W{line}{number}", line, scenario, "inspection"))
    # a dialling beyond the probes, to test the connection only
    world["dial_attempts"].append({**attempt, "attempt_id": f"A{line}"})
    world["web_probes"].append(_visit(world, f"W{line}S", line, "S1", "submission"))


def _visit(world: World, probe: str, line: str, scenario: str, kind: str) -> Row:
    return {
        "probe_id": probe, "line_id": line, "scenario_code": scenario, "platform": "p", "probe_kind": kind,
        "visited_at": IN_PERIOD, "coder_id": _coder(world, "web_probes"),
    }  # fmt: skip


def _coder(world: World, table: str) -> str:
    return CODERS[len(world[table]) % len(CODERS)]


def arrow_tables(world: World) -> dict[str, pa.Table]:
    """The world in the declared schemas; bronze without its wave, which is a folder."""
    schemas = {
        **{name: table.schema() for name, table in EXPORT_TABLES.items()},
        "quarantine": QUARANTINE,
        **REFERENCE_TABLES,
        **SCORE_SCHEMAS,
    }
    return {
        name: pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema})
        for name, rows in world.items()
        for schema in [schemas[name]]
    }


def in_memory(world: World, wave: str = WAVE.id) -> duckdb.DuckDBPyConnection:
    """The world as tables of a database, as `gate.tables` would offer it."""
    connection = duckdb.connect()
    for name, table in arrow_tables(world).items():
        connection.register(name, table.append_column("wave", pa.array([wave] * table.num_rows, pa.string())))
    return connection


def on_disk(world: World, home: Path, wave: str = WAVE.id) -> Paths:
    """The world as an installation: bronze files and a warehouse."""
    paths = Paths(raw=home / "raw", home=home)
    tables = arrow_tables(world)
    for name in BRONZE_TABLES:
        paths.bronze_part(name, wave).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(tables[name], paths.bronze_part(name, wave))
    with duckdb.connect(str(paths.warehouse)) as connection:
        for name in SCORE_TABLES:
            connection.register("rows", tables[name])
            connection.execute(f"create or replace table {name} as select '{wave}' as wave, * from rows")
    return paths


# --- what must fail each check -----------------------------------------------------------------

Spoil = Callable[[World], object]


def _each(table: str, **values: Any) -> Spoil:
    return lambda world: [row.update(values) for row in world[table]]


def _first(table: str, **values: Any) -> Spoil:
    return lambda world: world[table][0].update(values)


def _drop_first(table: str) -> Spoil:
    return lambda world: world[table].pop(0)


def _empty(table: str) -> Spoil:
    return lambda world: world[table].clear()


def _twice(table: str) -> Spoil:
    return lambda world: world[table].append(dict(world[table][0]))


def _drop_where(table: str, **values: Any) -> Spoil:
    def spoil(world: World) -> None:
        world[table] = [row for row in world[table] if not all(row.get(key) == value for key, value in values.items())]

    return spoil


def _both(one: Spoil, other: Spoil) -> Spoil:
    return lambda world: (one(world), other(world))


def _quarantined(table: str) -> Spoil:
    return lambda world: world["quarantine"].append(
        {"table_name": table, "source_file": "f.csv", "source_row": 2, "codes": "E_X", "messages": "x", "raw": "{}"}
    )


SPOILERS: dict[str, Spoil] = {
    "coders_are_named": _empty("web_probes"),
    "no_coder_dominates": _each("phone_probes", coder_id="C0"),
    "dated_units_as_planned": _drop_where("waves"),
    "dates_within_field_period": _first("dial_attempts", dialled_at=datetime(2023, 7, 1, 0)),
    "ingest_summary_is_complete": _quarantined("no_such_table"),
    "quarantined_share_within_bound": _quarantined("web_probes"),
    "frame_is_complete": _twice("lines"),
    "attempts_per_line_as_planned": _drop_first("dial_attempts"),
    "phone_probes_per_line_as_planned": _first("dial_attempts", probe_id=None, scenario_code=None),
    "web_inspections_per_line_as_planned": _first("web_probes", probe_kind="submission"),
    "web_submissions_per_line_as_planned": _drop_where("web_probes", line_id="370100", probe_kind="submission"),
    "phone_probes_in_all_as_planned": _both(
        _drop_where("dial_attempts", line_id="370100"), _drop_where("phone_probes", line_id="370100")
    ),
    "questionnaire_has_a_connected_call": _first("dial_attempts", connected="no", fail_reason="busy"),
    "connected_call_has_a_questionnaire": _drop_first("phone_probes"),
    "probe_and_attempts_name_one_target": _first("phone_probes", scenario_code="S2"),
    "scenario_frame_is_complete": _twice("scenarios"),
    "phone_scenarios_covered": _first("dial_attempts", scenario_code="S2"),
    "web_scenarios_covered": _first("web_probes", scenario_code="S2"),
    "every_line_stands_in_the_scores": _twice("score_total"),
    "lines_scored": _first("score_total", score_nano=None),
    "totals_on_the_scale": _first("score_total", score_nano=100 * 10**9 + 1),
    "lines_classified": _drop_first("score_line_classes"),
    "line_jumps_within_bound": _first("baseline_line_scores", published_centi=5100),
    "wave_summary_is_one_row": _twice("baseline_figures"),
    "observations_exist": _empty("score_scenarios"),
    "no_observation_is_missing": _first("score_scenarios", n_missing=1),
    "national_mean_exists": _empty("score_total"),
    "national_mean_within_bound": _each("score_total", score_nano=74_999_999_999),
    "national_jump_within_bound": _first("baseline_figures", value_centi=8099),
    "hot_share_within_bound": _each("score_line_classes", line_class="warm"),
    "dead_share_within_bound": _each("score_line_classes", line_class="dead"),
    "phone_coverage_within_bound": _drop_where("score_total", line_id="370100", channel="phone"),
    "web_coverage_within_bound": _drop_where("score_total", line_id="370100", channel="web"),
    "few_lines_not_measured": _first("score_line_classes", line_class="not_measured"),
}


def wave(**changes: Any) -> Wave:
    return replace(WAVE, **changes)
