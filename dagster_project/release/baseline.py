"""The published values of the baseline wave, read from its current release.

A change is computed from two published values, so the pipeline reads the release and never the
warehouse of the other wave. Where the trees differ, the scores of its indicators are read too.
"""

from pathlib import Path

import pyarrow as pa

from dagster_project.database import connect
from dagster_project.errors import UsageError
from dagster_project.ingest.wave import Wave
from dagster_project.paths import Paths
from dagster_project.release.comparability import Comparability, compare_methods
from dagster_project.release.folder import whole_release
from dagster_project.schema import REFERENCE_TABLES

# table -> the release's file and the query that makes it; published values in hundredths
QUERIES = {
    "baseline_figures": (
        "figures.json",
        """
        select $release as release, id as figure_id, cast(round(value * 100) as bigint) as value_centi, k, n
        from read_json($file, columns = {id: 'varchar', value: 'double', k: 'bigint', n: 'bigint'})
        where value is not null and $release is not null
        """,
    ),
    "baseline_line_scores": (
        "line_scores.parquet",
        """
        select line_id, channel, node_code, cast(published * 100 as bigint) as published_centi
        from read_parquet($file) where $release is not null
        """,
    ),
    "baseline_rankings": (
        "rankings.parquet",
        """
        select group_code, unit_code, rank, cast(published * 100 as bigint) as published_centi
        from read_parquet($file) where $release is not null
        """,
    ),
    "baseline_aggregates": (
        "aggregates.parquet",
        """
        select dimension, member, channel, level, node_code, cast(published * 100 as bigint) as published_centi
        from read_parquet($file) where $release is not null
        """,
    ),
}
# what rescoring reads besides
RESCORING = {
    "baseline_leaves": (
        "line_scores.parquet",
        """
        select line_id, channel, node_code, score_nano
        from read_parquet($file) where level = 3 and $release is not null
        """,
    ),
    "baseline_lines": (
        "lines.parquet",
        "select line_id, tier, province_code, rank_group from read_parquet($file) where $release is not null",
    ),
}
EMPTY = (*QUERIES, *RESCORING, "baseline_comparability", "baseline_indicators")


def baseline_folder(paths: Paths, wave: Wave) -> Path | None:
    """The current release of the wave's baseline; None where the wave has no baseline.

    Raises UsageError where the baseline has not been published, Damaged where a file of its release was changed.
    """
    if wave.baseline is None:
        return None
    folder = whole_release(paths.current(wave.baseline))
    if folder is None:
        raise UsageError(
            f"{wave.id} 的基期 {wave.baseline} 尚未发布,请先运行它 / the baseline {wave.baseline} of {wave.id} is not "
            f"published yet; run it first: hotline run --wave {wave.baseline}"
        )
    return folder


def baseline_release(paths: Paths, wave: Wave) -> str | None:
    """Release id of `baseline_folder`; raises what it raises."""
    folder = baseline_folder(paths, wave)
    return folder.name if folder else None


def baseline_tables(paths: Paths, wave: Wave) -> dict[str, pa.Table]:
    """The `baseline_*` tables of schema.REFERENCE_TABLES; empty where there is no baseline.

    Raises InputRejected where the method's comparable_with.csv does not fit the baseline's tree.
    """
    tables = {name: REFERENCE_TABLES[name].empty_table() for name in EMPTY}
    folder = baseline_folder(paths, wave)
    if folder is None:
        return tables
    found = compare_methods(paths.method(wave.method), folder)
    queries = {**QUERIES, **(RESCORING if found.older_tree else {})}
    with connect(paths.home, folders=[folder]) as connection:
        tables |= {
            name: connection.sql(query, params={"release": folder.name, "file": str(folder / file)})
            .to_arrow_table()
            .cast(REFERENCE_TABLES[name])
            for name, (file, query) in queries.items()
        }
    return tables | _comparability_tables(found)


def _comparability_tables(found: Comparability) -> dict[str, pa.Table]:
    rows = {
        "baseline_comparability": [{"measure": name, "comparability": word} for name, word in found.measures.items()],
        "baseline_indicators": [*found.older_tree],
    }
    return {name: pa.Table.from_pylist(each, REFERENCE_TABLES[name]) for name, each in rows.items()}
