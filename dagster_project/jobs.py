"""Names, schedules and what they select. No logic: a job is a selection of assets and when it runs."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_project.partitions import waves
from dagster_project.paths import paths

EVERYTHING = dg.AssetSelection.all()

annual_wave = dg.define_asset_job(
    "annual_wave",
    selection=EVERYTHING,
    description="年度监测:从原始导出到发布 / the annual wave, from raw exports to the release.",
)

adhoc_wave = dg.define_asset_job(
    "adhoc_wave",
    selection=EVERYTHING,
    config={"ops": {"scores": {"config": {"lines": []}}}},
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
