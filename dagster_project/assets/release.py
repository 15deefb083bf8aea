"""What stands in the tables becomes a frozen release, and `current` points at it."""

import json

import dagster as dg

from dagster_project.assets.raw import KEYS
from dagster_project.gate.verdicts import DELIVERED, PUBLISHABLE, require
from dagster_project.ingest.bronze import require_ingested
from dagster_project.ingest.wave import load_wave
from dagster_project.partitions import waves
from dagster_project.paths import store_url
from dagster_project.release.folder import MANIFEST, headlines
from dagster_project.release.freeze import freeze
from dagster_project.release.publish import publish
from dagster_project.resources import Installation
from dagster_project.team import pool

PUBLISHED_TABLES = [
    "pub_waves", "pub_line_scores", "pub_line_classes", "pub_class_outcomes", "pub_line_flags", "pub_aggregates",
    "pub_rankings", "pub_figures", "score_observations", "score_scenarios",
]  # fmt: skip


class ReleaseConfig(dg.Config):
    """Whether readers are given the release at once, or when someone publishes it (`hotline publish`)."""

    publish: bool = True


@dg.asset(
    deps=[*KEYS.values(), *PUBLISHED_TABLES, "fieldwork"],  # a release is named by all that it is made from
    partitions_def=waves,
    pool=pool(),
    group_name="release",
    owners=["team:data-stewards"],
    kinds={"parquet", "json"},
)
def release(
    context: dg.AssetExecutionContext, config: ReleaseConfig, installation: Installation
) -> dg.MaterializeResult:
    """A frozen folder: scores, classes, rankings, figures and the gate's verdicts. Readers see it or the one before."""
    paths = installation.paths
    wave = load_wave(paths, context.partition_key)
    require(paths, wave, (DELIVERED, PUBLISHABLE))
    require_ingested(paths, wave.id)
    folder = freeze(paths, wave)
    copied = {}
    if config.publish:
        publish(paths, wave.id, folder.name)
        if store_url() is not None:
            from dagster_project.store.mirror import open_store, push  # loaded where there is a store

            copied["store"] = push(paths, open_store(), wave.id).told()
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(folder.name),
        metadata={
            "release": folder.name,
            "path": dg.MetadataValue.path(folder),
            "files": dg.MetadataValue.json(manifest["files"]),
            **copied,
            **{name: each["value"] for name, each in headlines(folder).items() if each["value"] is not None},
        },
    )
