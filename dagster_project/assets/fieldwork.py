"""What the codes in bronze say of the field work: agreement of coders, coders who stand out, drift."""

import hashlib
import json

import dagster as dg

from dagster_project.fieldwork import assess, told
from dagster_project.ingest.bronze import require_ingested
from dagster_project.ingest.wave import load_wave
from dagster_project.partitions import wave_check, waves
from dagster_project.resources import Installation
from dagster_project.team import pool

BRONZE = [["bronze", name] for name in ("phone_probes", "web_probes", "reference")]
# finding -> what is looked at; each is an asset check that warns and holds nothing back
FINDINGS = {
    "agreement": "复核编码与首次编码是否一致 / whether a second coder gives the same codes.",
    "coders": "编码员是否明显偏严或偏宽 / whether a coder is harsher or milder than chance explains.",
    "drift": "得分是否随监测期推移 / whether scores drift over the field period.",
}


@dg.asset(
    deps=BRONZE,
    check_specs=[
        wave_check(f"fieldwork_{name}", asset="fieldwork", description=text, blocking=False)
        for name, text in FINDINGS.items()
    ],
    partitions_def=waves,
    pool=pool(),
    group_name="fieldwork",
    owners=["team:data-stewards"],
    kinds={"json"},
)
def fieldwork(context: dg.AssetExecutionContext, installation: Installation) -> dg.MaterializeResult:
    """Findings on the field work of a wave: coders' agreement and effects, drift. They warn, and stop nothing."""
    paths = installation.paths
    wave = load_wave(paths, context.partition_key)
    require_ingested(paths, wave.id)
    found = told(assess(paths, wave.id))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()),
        metadata={
            "path": dg.MetadataValue.path(paths.fieldwork(wave.id)),
            **{f"flagged: {name}": found["counts"][name] for name in FINDINGS},
            **{f"looked at: {name}": len(found[name]) for name in FINDINGS},
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=f"fieldwork_{name}",
                passed=found["counts"][name] == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"flagged": dg.MetadataValue.json([row for row in found[name] if row["is_flagged"]])},
            )
            for name in FINDINGS
        ],
    )
