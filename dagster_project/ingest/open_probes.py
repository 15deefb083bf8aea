"""Phone probes that were dialled for and have no questionnaire.

Belongs here: which they are. Does not belong here: what they score (that is SQL, in dbt/). Here and
not in SQL, because a probe is looked up among those of its line alone, and rows come line by line: a
join of all diallings with all questionnaires takes ten times as long as the scoring.
"""

import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.schema import REFERENCE_TABLES


def open_probes(attempts: pa.Table, questionnaires: pa.Table) -> pa.Table:
    """One row per such probe of the lines of `attempts` (line_id, probe_id, scenario_code, connected).

    `questionnaires` (probe_id): all of the same lines. A probe whose diallings name several lines
    counts for the first; the gate holds such a wave.
    """
    of_probes = attempts.select(["line_id", "probe_id", "scenario_code", "connected"])
    is_open = pc.and_not(
        of_probes["probe_id"].is_valid(),
        pc.is_in(of_probes["probe_id"], value_set=questionnaires["probe_id"].combine_chunks()),
    )
    found = of_probes.filter(is_open)
    is_connected = pc.equal(found["connected"], "yes")
    grouped = found.set_column(3, "is_connected", is_connected).group_by("probe_id")
    probes = grouped.aggregate([("line_id", "min"), ("scenario_code", "min"), ("is_connected", "max")])
    columns = [probes["line_id_min"], probes["probe_id"], probes["scenario_code_min"], probes["is_connected_max"]]
    table = pa.table(columns, schema=REFERENCE_TABLES["open_probes"])
    return table.sort_by([("line_id", "ascending"), ("probe_id", "ascending")])
