"""The suites as blocking asset checks: one op per stage, one check per expectation.

Belongs here: what Dagster shows of a verdict. Does not belong here: how it comes about
(`verdicts.py`). The publishing steps ask `verdicts.require` themselves: a blocking check does not
hold back an asset that is materialized without it.

The checks run within the partition of the job that holds them. Dagster's own partitions of checks
are a preview in this version, so the UI shows a check's latest result, of whichever wave.
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_project.gate.suites import CRITICAL, DELIVERED, PUBLISHABLE, Expectation, Suite, load_suites
from dagster_project.gate.verdicts import evaluate_gate, raise_for_failures, write_quality
from dagster_project.ingest.wave import load_wave
from dagster_project.partitions import wave_check
from dagster_project.resources import Installation
from dagster_project.team import pool
from dagster_project.transform.warehouse import read_record, require_unchanged


def _specs(stage: str) -> list[dg.AssetCheckSpec]:
    return [_spec(suite, each) for suite in load_suites() if suite.stage == stage for each in suite.expectations]


def _spec(suite: Suite, expectation: Expectation) -> dg.AssetCheckSpec:
    reasons = {name: suite.parameters[name].reason or suite.parameters[name].source for name in expectation.parameters}
    return wave_check(
        expectation.check,
        asset=suite.asset.split("/"),
        description=expectation.notes,
        blocking=expectation.severity == CRITICAL,
        metadata={
            "suite": f"expectations/{suite.name}.json",
            "suite sha256": suite.sha256,
            "expectation": expectation.type,
            "declared bounds": dg.MetadataValue.json(expectation.kwargs),
            "reasons": dg.MetadataValue.json(reasons),
        },
    )


@dg.multi_asset_check(
    specs=_specs(DELIVERED),
    description="交付数据是否完整可信 / whether what was delivered is complete and plausible.",
    can_subset=True,
    pool=pool(),
)
def delivered_gate(context: dg.AssetCheckExecutionContext, installation: Installation) -> Iterator[dg.AssetCheckResult]:
    """Gate 1, after bronze: nothing is scored where a critical check fails."""
    yield from _results(context, installation, DELIVERED)


@dg.multi_asset_check(
    specs=_specs(PUBLISHABLE),
    description="得分是否可以发布 / whether the scores may be published.",
    can_subset=True,
    pool=pool(),
)
def publishable_gate(
    context: dg.AssetCheckExecutionContext, installation: Installation
) -> Iterator[dg.AssetCheckResult]:
    """Gate 2, after the scores: nothing is ranked where a critical check fails."""
    yield from _results(context, installation, PUBLISHABLE)


def _results(
    context: dg.AssetCheckExecutionContext, installation: Installation, stage: str
) -> Iterator[dg.AssetCheckResult]:
    paths = installation.paths
    if stage == PUBLISHABLE and read_record(paths) is not None:
        require_unchanged(paths)  # without a record nothing is published: the next step requires one
    result = evaluate_gate(paths, load_wave(paths, context.partition_key), stage)
    write_quality(paths, result.wave, [result])
    selected = context.selected_asset_check_keys
    for verdict in result.verdicts:
        key = dg.AssetCheckKey(dg.AssetKey(verdict["asset"].split("/")), verdict["check"])
        if key in selected:
            yield _check_result(key, verdict)
    # Dagster would stop here by itself; this stops with the whole message and our exit code
    raise_for_failures(paths, [result])


def _check_result(key: dg.AssetCheckKey, verdict: dict[str, Any]) -> dg.AssetCheckResult:
    is_critical = verdict["severity"] == CRITICAL
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=verdict["success"],
        severity=dg.AssetCheckSeverity.ERROR if is_critical else dg.AssetCheckSeverity.WARN,
        metadata={
            "observed": dg.MetadataValue.text(json.dumps(verdict["observed"], ensure_ascii=False)),
            "bounds": dg.MetadataValue.json(verdict["bounds"]),
            "reasons": dg.MetadataValue.json(verdict["parameter_reasons"]),
            "rows evaluated": verdict["n_evaluated"],
            "rows failing": verdict["n_failing"],
            **_failing_rows(verdict["failing_rows"]),
        },
    )


def _failing_rows(rows: list[dict[str, Any]]) -> dict[str, dg.MetadataValue]:
    """The first failing rows as a table; a table without rows has no columns to show."""
    if not rows:
        return {}
    schema = dg.TableSchema(columns=[dg.TableColumn(name, _column_type(rows, name)) for name in rows[0]])
    records = [dg.TableRecord({name: "" if value is None else value for name, value in row.items()}) for row in rows]
    return {"failing rows": dg.MetadataValue.table(records, schema)}


def _column_type(rows: list[dict[str, Any]], name: str) -> str:
    kinds = {type(row[name]) for row in rows} - {type(None)}
    return {int: "int", float: "float", bool: "bool"}.get(kinds.pop(), "string") if len(kinds) == 1 else "string"
