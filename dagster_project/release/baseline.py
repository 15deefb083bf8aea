"""The published values of the baseline wave, read from its current release.

A change is computed from two published values, so the pipeline reads the release and never the
warehouse of the other wave.
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.errors import UsageError
from dagster_project.ingest.wave import Wave
from dagster_project.paths import Paths
from dagster_project.release.folder import current_release
from dagster_project.schema import REFERENCE_TABLES


def baseline_release(paths: Paths, wave: Wave) -> str | None:
    """Release id of the baseline wave's current release; None where the wave has no baseline.

    Raises UsageError where the baseline has not been published.
    """
    if wave.baseline is None:
        return None
    folder = current_release(paths.current(wave.baseline))
    if folder is None:
        raise UsageError(
            f"{wave.id} 的基期 {wave.baseline} 尚未发布,请先运行它 / the baseline {wave.baseline} of {wave.id} is not "
            f"published yet; run it first: hotline run --wave {wave.baseline}"
        )
    return folder.name


def baseline_tables(paths: Paths, wave: Wave) -> dict[str, pa.Table]:
    """The `baseline_*` tables of schema.REFERENCE_TABLES; empty where the wave has no baseline."""
    schemas = {name: schema for name, schema in REFERENCE_TABLES.items() if name.startswith("baseline_")}
    release = baseline_release(paths, wave)
    if release is None or wave.baseline is None:
        return {name: schema.empty_table() for name, schema in schemas.items()}
    folder = paths.releases(wave.baseline) / release
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    scores = pq.read_table(folder / "line_scores.parquet", columns=["line_id", "channel", "node_code", "published"])
    ranks = pq.read_table(folder / "rankings.parquet", columns=["group_code", "unit_code", "rank", "published"])
    rows = {
        "baseline_figures": [
            {"release": release, "figure_id": figure["id"], "value_centi": round(figure["value"] * 100),
             "k": figure["k"], "n": figure["n"]}
            for figure in figures
            if figure["value"] is not None
        ],
        "baseline_line_scores": _in_centi(scores),
        "baseline_rankings": _in_centi(ranks),
    }  # fmt: skip
    return {name: pa.Table.from_pylist(rows[name], schema=schema) for name, schema in schemas.items()}


def _in_centi(table: pa.Table) -> list[dict]:
    return [
        {**row, "published_centi": None if row["published"] is None else int(row["published"].scaleb(2))}
        for row in table.to_pylist()
    ]
