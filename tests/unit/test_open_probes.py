"""Which probes were dialled for and have no questionnaire."""

import pyarrow as pa

from dagster_project.ingest.open_probes import open_probes
from dagster_project.schema import EXPORT_TABLES


def _table(name: str, rows: list[dict[str, str]]) -> pa.Table:
    return pa.Table.from_pylist(rows, EXPORT_TABLES[name].schema())


def _dialling(attempt: str, probe: str | None, connected: str, line: str = "110000") -> dict[str, str | None]:
    return {
        "attempt_id": attempt, "probe_id": probe, "line_id": line, "scenario_code": "S01" if probe else None,
        "connected": connected,
    }  # fmt: skip


def test_a_probe_without_a_questionnaire_is_told_with_whether_it_was_put_through() -> None:
    attempts = [
        _dialling("a1", "asked", "yes"),
        _dialling("a2", "never", "no"),
        _dialling("a3", "never", "no"),
        _dialling("a4", "lost", "no"),
        _dialling("a5", "lost", "yes"),
        _dialling("a6", None, "no"),
        _dialling("b1", "other", "no", line="130100"),
    ]
    found = open_probes(_table("dial_attempts", attempts), _table("phone_probes", [{"probe_id": "asked"}]))
    assert found.to_pylist() == [
        {"line_id": "110000", "probe_id": "lost", "scenario_code": "S01", "is_connected": True},
        {"line_id": "110000", "probe_id": "never", "scenario_code": "S01", "is_connected": False},
        {"line_id": "130100", "probe_id": "other", "scenario_code": "S01", "is_connected": False},
    ]


def test_there_are_none_where_nothing_was_dialled() -> None:
    assert open_probes(_table("dial_attempts", []), _table("phone_probes", [])).num_rows == 0
