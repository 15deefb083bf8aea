"""Names, schedules and what they select. No logic: a job is a selection of assets and when it runs."""

import json
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_project.errors import NotReconciled
from dagster_project.new_input import INPUT_TAG, waves_to_run
from dagster_project.partitions import waves
from dagster_project.paths import paths
from dagster_project.runs import end_abandoned_runs, record_missing_ends
from dagster_project.team import own_mark

EVERYTHING = dg.AssetSelection.all()


annual_wave = dg.define_asset_job(
    "annual_wave",
    selection=EVERYTHING,
    tags=own_mark(),
    description="年度监测:从原始导出到发布 / the annual wave, from raw exports to the release.",
)

adhoc_wave = dg.define_asset_job(
    "adhoc_wave",
    selection=EVERYTHING,
    config={"ops": {"scores": {"config": {"lines": []}}}},
    tags=own_mark(),
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
        "导出文件、更正台账、声明或基期发布与最近一次发布所依据的不同时,运行该监测期 / runs a wave when its exports, "
        "corrections, declarations or baseline's release are not those that its last release was made from."
    ),
)
def new_input(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    try:
        found = waves_to_run(paths(), context.instance, json.loads(context.cursor or "{}"))
    except NotReconciled as damaged:
        yield dg.SkipReason(str(damaged))
        return
    for note in found.notes:
        context.log.warning(note)
    for wave, digest, key in found.requests:
        # A dynamic partition must exist before a run of it can be asked for.
        context.instance.add_dynamic_partitions(waves.name or "waves", [wave.id])
        tags = {INPUT_TAG: digest}
        yield dg.RunRequest(run_key=key, partition_key=wave.id, job_name=f"{wave.kind}_wave", tags=tags)
    if not found.requests:
        yield dg.SkipReason("\n".join(found.notes) or "输入未变 / no input has changed")
    context.update_cursor(json.dumps(found.seen, sort_keys=True))


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "结束进程已终止的运行,使其不再占用队列 / ends runs whose process was killed: the queue no longer waits for them"
    ),
)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    ended = end_abandoned_runs(paths(), context.instance)
    record_missing_ends(paths(), context.instance)
    return dg.SkipReason(f"已结束 / ended: {', '.join(ended) or '无 / none'}")
