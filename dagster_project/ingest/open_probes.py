"""Phone probes that were dialled for and have no questionnaire.

Belongs here: which they are. Does not belong here: what they score (that is SQL, in dbt/). Here and
not in SQL, because both files are sorted by line and a probe is looked up among those of its line
alone: a join of all diallings with all questionnaires takes ten times as long as the scoring.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dagster_project.schema import REFERENCE_TABLES

OF_ATTEMPTS = ["line_id", "probe_id", "scenario_code", "connected"]


def open_probes(attempts: Path, questionnaires: Path) -> pa.Table:
    """One row per such probe, from two bronze files, which are sorted by line.

    A probe whose diallings name several lines counts for the first; the gate holds such a wave.
    """
    with pq.ParquetFile(attempts) as dialled, pq.ParquetFile(questionnaires) as completed:
        found = pa.concat_tables(_open_attempts(dialled, completed))
    is_connected = pc.equal(found["connected"], "yes")
    grouped = found.drop_columns("connected").append_column("is_connected", is_connected).group_by("probe_id")
    probes = grouped.aggregate([("line_id", "min"), ("scenario_code", "min"), ("is_connected", "max")])
    columns = [probes["line_id_min"], probes["probe_id"], probes["scenario_code_min"], probes["is_connected_max"]]
    table = pa.table(columns, schema=REFERENCE_TABLES["open_probes"])
    return table.sort_by([("line_id", "ascending"), ("probe_id", "ascending")])


def _open_attempts(dialled: pq.ParquetFile, completed: pq.ParquetFile) -> Iterator[pa.Table]:
    """The diallings for probes without a questionnaire, one row group at a time."""
    ranges = [_lines(completed, group) for group in range(completed.num_row_groups)]
    for group in range(dialled.num_row_groups):
        rows = dialled.read_row_group(group, OF_ATTEMPTS)
        if not rows.num_rows:
            yield rows
            continue
        first, last = rows["line_id"][0].as_py(), rows["line_id"][-1].as_py()
        of_lines = [number for number, (low, high) in enumerate(ranges) if low <= last and high >= first]
        asked = completed.read_row_groups(of_lines, ["probe_id"])["probe_id"].combine_chunks()
        is_open = pc.and_not(rows["probe_id"].is_valid(), pc.is_in(rows["probe_id"], value_set=asked))
        yield rows.filter(is_open)


def _lines(file: pq.ParquetFile, group: int) -> tuple[str, str]:
    """The first and the last line of a row group."""
    lines = file.read_row_group(group, ["line_id"])["line_id"]
    return (lines[0].as_py(), lines[-1].as_py()) if len(lines) else ("", "")
