"""The one place where assets, checks, jobs, schedules and resources meet. Lists only."""

import dagster as dg

from dagster_project.assets.fieldwork import fieldwork
from dagster_project.assets.ingest import ingest
from dagster_project.assets.raw import changed_inputs, raw
from dagster_project.assets.release import release
from dagster_project.assets.report import report
from dagster_project.assets.transform import published, scores
from dagster_project.gate.checks import delivered_gate, publishable_gate
from dagster_project.jobs import abandoned_runs, adhoc_wave, annual_wave, every_july, new_input
from dagster_project.resources import Installation

defs = dg.Definitions(
    assets=[raw, ingest, fieldwork, scores, published, release, report],
    asset_checks=[delivered_gate, publishable_gate],
    jobs=[annual_wave, adhoc_wave],
    schedules=[every_july],
    sensors=[new_input, changed_inputs, abandoned_runs],
    resources={"installation": Installation()},
    # One process: DuckDB has one writer, and a process per step costs more than the steps.
    executor=dg.in_process_executor,
)
