"""The one partition of everything: the wave. Which lines of it are recomputed is run config."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_project.errors import UsageError
from dagster_project.names import require_wave_id
from dagster_project.previews import PARTITIONED_CHECKS, accepted

PARTITION_TAG = "dagster/partition"  # how a run names its partition

waves = dg.DynamicPartitionsDefinition(name="waves")


def wave_check(name: str, **options: Any) -> dg.AssetCheckSpec:
    """An asset check with a result per wave; `options` are those of `AssetCheckSpec`."""
    with accepted(PARTITIONED_CHECKS):
        return dg.AssetCheckSpec(name, partitions_def=waves, **options)


def require_wave(tags: Mapping[str, str], known: Sequence[str]) -> str:
    """The wave of a run with these tags; `known`: the waves to choose from.

    Raises UsageError where the tags name no wave, or none of these.
    """
    waves_known = ", ".join(known) or "无 / none"
    if PARTITION_TAG not in tags:
        raise UsageError(
            "本次运行没有指定监测期(分区)。请在界面的 Materialize 中选择分区(检查随资产一并执行),或用 hotline run "
            f"--wave WAVE,或给运行加标签 {PARTITION_TAG};现有监测期: {waves_known} / this run names no wave "
            "(partition). Choose a partition under Materialize in the UI (checks run with their assets), or use "
            f"hotline run --wave WAVE, or give the run the tag {PARTITION_TAG}; there are: {waves_known}"
        )
    wave_id = require_wave_id(tags[PARTITION_TAG])
    if wave_id not in known:
        raise UsageError(f"没有监测期 {wave_id};现有 / there is no wave {wave_id}; there are: {waves_known}")
    return wave_id
