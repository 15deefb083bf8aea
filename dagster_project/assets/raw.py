"""The inputs of a wave as observable assets: Dagster names the one that changed where a later asset is stale.

Belongs here: what the UI shows of an input. Does not belong here: its data version (`inputs.py`).
"""

from collections.abc import Iterator

import dagster as dg

from dagster_project.ingest.wave import list_waves
from dagster_project.inputs import input_key, new_observations
from dagster_project.partitions import waves
from dagster_project.paths import paths
from dagster_project.previews import OBSERVABLE_ASSETS, accepted

INPUTS = {
    "wave": ("wave.yml:本期声明 / the declaration of the wave.", {"yaml"}),
    "exports": ("供应商交付的导出文件 / the exports that the vendors delivered.", {"csv", "excel"}),
    "corrections": ("更正台账 / the ledger of corrections.", {"json"}),
    "profiles": ("导出文件的格式说明 / the profiles by which the exports are read.", {"yaml"}),
    "method": ("方法版本:题目、指标、计分规则与权重 / questions, indicators, scoring rules and weights.", {"csv"}),
    "frame": ("监测范围 / the lines of the wave.", {"csv"}),
    "narratives": ("报告文本与建议 / the text of the report and the wave's recommendations.", {"yaml"}),
    "baseline": ("基期的当前发布 / the current release of the baseline wave.", {"parquet", "json"}),
}
KEYS = {name: input_key(name) for name in INPUTS}


with accepted(OBSERVABLE_ASSETS):

    @dg.multi_observable_source_asset(
        name="raw",
        specs=[
            dg.AssetSpec(
                KEYS[name], description=description, group_name="raw", owners=["team:data-stewards"], kinds=kinds
            )
            for name, (description, kinds) in INPUTS.items()
        ],
        partitions_def=waves,
        can_subset=True,
    )
    def raw(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
        """Observe the inputs of the run's wave, or of every wave where the run names none."""
        home = paths()
        wave_ids = [context.partition_key] if context.has_partition_key else list_waves(home)
        for observation in new_observations(context.instance, home, wave_ids, context.log):
            if observation.asset_key in context.selected_asset_keys:
                context.log_event(observation)
        yield from ()  # an observation per wave, which a result of the run's own partition cannot be


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "记录输入的变化,界面据此说明资产为何过期;不启动运行 / records which inputs have changed, by which the UI says "
        "why an asset is stale; starts no run."
    ),
)
def changed_inputs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    home = paths()
    wave_ids = list_waves(home)
    known = context.instance.get_dynamic_partitions(str(waves.name))
    return dg.SensorResult(
        asset_events=list(new_observations(context.instance, home, wave_ids, context.log)),
        dynamic_partitions_requests=[waves.build_add_request([each for each in wave_ids if each not in known])],
    )
