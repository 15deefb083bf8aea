"""Names, schedules and what they select. No logic: a job is a selection of assets and when it runs."""

import json
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_project import runlog
from dagster_project.errors import explained
from dagster_project.ingest.wave import input_state, load_wave
from dagster_project.launch import waves_in_order
from dagster_project.partitions import waves
from dagster_project.paths import paths

EVERYTHING = dg.AssetSelection.all()


@dg.failure_hook
def log_failure(context: dg.HookContext) -> None:
    """A run that Dagster started stands in the log too. (One of the command line says so itself: it has no hooks.)"""
    run = context.instance.get_run_by_id(context.run_id)
    wave = run.tags.get("dagster/partition") if run else None
    runlog.record_failure(paths(), wave, explained(context.op_exception) or context.op_exception)


annual_wave = dg.define_asset_job(
    "annual_wave",
    selection=EVERYTHING,
    hooks={log_failure},
    description="年度监测:从原始导出到发布 / the annual wave, from raw exports to the release.",
)

adhoc_wave = dg.define_asset_job(
    "adhoc_wave",
    selection=EVERYTHING,
    config={"ops": {"scores": {"config": {"lines": []}}}},
    hooks={log_failure},
    description=(
        "专项监测,或更正后重算个别热线:在 ops.scores.config.lines 填热线编码,留空为全部 / an ad-hoc wave, or some "
        "lines again after a correction: put their codes into ops.scores.config.lines; empty means all."
    ),
)


@dg.schedule(
    job=annual_wave,
    cron_schedule="0 6 1 7 *",
    execution_timezone="Asia/Shanghai",
    description="每年7月1日,监测期结束次日 / every 1 July, the day after the field period ends.",
)
def every_july(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    wave = str(context.scheduled_execution_time.astimezone(ZoneInfo("Asia/Shanghai")).year)
    if not paths().wave_yml(wave).exists():
        yield dg.SkipReason(f"raw/{wave}/wave.yml 不存在 / there is no raw/{wave}/wave.yml")
        return
    # A dynamic partition must exist before a run of it can be asked for.
    context.instance.add_dynamic_partitions(waves.name or "waves", [wave])
    yield dg.RunRequest(run_key=wave, partition_key=wave)


@dg.sensor(
    jobs=[annual_wave, adhoc_wave],
    minimum_interval_seconds=60,
    description=(
        "导出文件或更正台账有变时,运行该监测期 / runs a wave when its exports or its ledger of corrections differ from "
        "those of the last run that it asked for."
    ),
)
def new_input(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    installation = paths()
    asked_for = json.loads(context.cursor or "{}")
    for wave_id in waves_in_order(installation):
        wave = load_wave(installation, wave_id)
        state = input_state(installation, wave)
        if state is None or asked_for.get(wave_id) == state:
            continue
        context.instance.add_dynamic_partitions(waves.name or "waves", [wave_id])
        yield dg.RunRequest(run_key=f"{wave_id}-{state}", partition_key=wave_id, job_name=f"{wave.kind}_wave")
        asked_for[wave_id] = state
    context.update_cursor(json.dumps(asked_for, sort_keys=True))
