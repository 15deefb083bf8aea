"""Bronze to scores, and scores to what is published: the two dbt steps, with the gate between them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_project.assets.models import check_specs, model_specs
from dagster_project.gate.verdicts import DELIVERED, PUBLISHABLE, require
from dagster_project.ingest.bronze import require_ingested
from dagster_project.ingest.wave import load_wave
from dagster_project.inputs import NOTHING, VERSION_TAG
from dagster_project.partitions import waves
from dagster_project.paths import Paths, paths
from dagster_project.release.baseline import baseline_release
from dagster_project.resources import Installation
from dagster_project.team import pool
from dagster_project.transform.dbt_step import (
    PUBLISHED,
    SCORES,
    NodeResult,
    ensure_parsed,
    raise_for_failures,
    run_step,
)
from dagster_project.transform.scope import (
    Scope,
    full_scope,
    inputs_digest,
    plan_scope,
    require_scored,
    write_scope,
)
from dagster_project.transform.warehouse import begin_step, drop_stale_warehouse, require_unchanged

logger = logging.getLogger("hotline")


manifest = json.loads(ensure_parsed(paths()).read_text(encoding="utf-8"))


class LinesConfig(dg.Config):
    """Which lines to recompute. Empty: all. Lines whose input changed are recomputed in any case."""

    lines: list[str] = []  # noqa: RUF012  # a pydantic field: every config gets its own


@dg.multi_asset(
    name=SCORES,
    specs=model_specs(manifest, SCORES),
    check_specs=check_specs(manifest, SCORES),
    partitions_def=waves,
    pool=pool(),
    can_subset=True,
)
def scores(
    context: dg.AssetExecutionContext, config: LinesConfig, installation: Installation
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Observations, scores of the three levels, totals and classes of the lines in scope."""
    home = installation.paths
    if (reason := drop_stale_warehouse(home)) is not None:
        logger.warning("%s。全部重新计算 / everything is recomputed", reason)
    require_ingested(home, context.partition_key)
    scope = plan_scope(home, context.partition_key, tuple(config.lines))
    logger.info("计算范围 / recomputing %s", scope.describe())
    yield from _step(context, installation, scope, SCORES)


@dg.multi_asset(
    name=PUBLISHED,
    specs=model_specs(manifest, PUBLISHED),
    check_specs=check_specs(manifest, PUBLISHED),
    partitions_def=waves,
    pool=pool(),
    can_subset=True,
)
def published(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Rankings, aggregates and figures of the wave. Asks the gate itself, from wherever it is started."""
    home = installation.paths
    wave = load_wave(home, context.partition_key)
    require_unchanged(home)
    require(home, wave, (DELIVERED, PUBLISHABLE))
    require_ingested(home, wave.id)
    require_scored(home, wave.id)
    yield from _step(context, installation, full_scope(home, wave.id), PUBLISHED)


def _step(
    context: dg.AssetExecutionContext, installation: Installation, scope: Scope, step: str
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    home = installation.paths
    write_scope(home, scope)
    begin_step(home, scope.wave, step)
    version = _data_version(home, scope.wave, step)
    results = []
    for result in run_step(home, step, scope.wave, installation.engine):
        results.append(result)
        if result.resource_type == "test":
            yield from _check_results(context, result)
        elif not result.is_failed and result.status != "skipped":
            yield from _materializations(context, result, version)
    raise_for_failures(results)


def _data_version(paths: Paths, wave_id: str, step: str) -> str:
    """What the tables of a step are made from: the input of every line, and the published values of the baseline."""
    inputs = inputs_digest(paths, wave_id)
    if step == SCORES:
        return inputs
    return f"{inputs}-{baseline_release(paths, load_wave(paths, wave_id)) or NOTHING}"


def _materializations(
    context: dg.AssetExecutionContext, result: NodeResult, version: str
) -> Iterator[dg.MaterializeResult]:
    metadata: dict[str, Any] = {"Execution Duration": result.seconds}
    if result.n_rows is not None:
        metadata["dagster/partition_row_count"] = result.n_rows
    key = dg.AssetKey(result.name)
    if key in context.selected_asset_keys:
        yield dg.MaterializeResult(key, metadata=metadata, data_version=dg.DataVersion(version))
    else:
        # A step is made whole, whichever of its tables was asked for: they are of one piece.
        tags = {VERSION_TAG: version}
        context.log_event(dg.AssetMaterialization(key, metadata=metadata, partition=context.partition_key, tags=tags))


def _check_results(context: dg.AssetExecutionContext, result: NodeResult) -> Iterator[dg.AssetCheckResult]:
    keys = [key for key in context.selected_asset_check_keys if key.name == result.name]
    for key in keys if result.status != "skipped" else []:
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.status == "pass",
            severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
            metadata={
                "failing rows": result.failures,
                "first failing rows": dg.MetadataValue.json(json.loads(json.dumps(result.failing_rows, default=str))),
            },
        )
