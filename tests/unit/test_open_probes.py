"""Which probes were dialled for and have no questionnaire."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.ingest.open_probes import open_probes
from dagster_project.schema import EXPORT_TABLES

Row = dict[str, str | None]


def _only(rows: list[Row], schema: pa.Schema) -> pa.Schema:
    """The columns that the rows have."""
    return pa.schema([field for field in schema if not rows or field.name in rows[0]])


def _open(folder: Path, attempts: list[Row], questionnaires: list[Row], group: int = 2) -> list[dict[str, object]]:
    """Of bronze files with that many rows in a row group."""
    parts = []
    for name, rows in (("dial_attempts", attempts), ("phone_probes", questionnaires)):
        parts.append(folder / f"{name}.parquet")
        pq.write_table(
            pa.Table.from_pylist(rows, _only(rows, EXPORT_TABLES[name].schema())), parts[-1], row_group_size=group
        )
    return open_probes(*parts).to_pylist()


def _dialling(attempt: str, probe: str | None, connected: str, line: str = "110000") -> Row:
    return {
        "attempt_id": attempt, "probe_id": probe, "line_id": line, "scenario_code": "S01" if probe else None,
        "connected": connected,
    }  # fmt: skip


def _asked(probe: str, line: str = "110000") -> Row:
    return {"probe_id": probe, "line_id": line}


def test_a_probe_without_a_questionnaire_is_told_with_whether_it_was_put_through(tmp_path: Path) -> None:
    attempts = [
        _dialling("a1", "asked", "yes"),
        _dialling("a2", "never", "no"),
        _dialling("a3", "lost", "no"),
        _dialling("a4", "never", "no"),
        _dialling("a5", "lost", "yes"),
        _dialling("a6", None, "no"),
        _dialling("b1", "other", "no", line="130100"),
    ]
    assert _open(tmp_path, attempts, [_asked("asked")]) == [
        {"line_id": "110000", "probe_id": "lost", "scenario_code": "S01", "is_connected": True},
        {"line_id": "110000", "probe_id": "never", "scenario_code": "S01", "is_connected": False},
        {"line_id": "130100", "probe_id": "other", "scenario_code": "S01", "is_connected": False},
    ]


@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_every_questionnaire_of_a_line_is_found_whatever_row_group_it_stands_in(tmp_path: Path, group: int) -> None:
    lines = ["110000", "130100", "130200", "150100"]
    attempts = [_dialling(f"{line}-{each}", f"{line}-p{each}", "yes", line) for line in lines for each in range(5)]
    asked = [_asked(f"{line}-p{each}", line) for line in lines[1:] for each in (0, 1, 2, 4)]
    expected = [*(f"110000-p{each}" for each in range(5)), "130100-p3", "130200-p3", "150100-p3"]
    assert [row["probe_id"] for row in _open(tmp_path, attempts, asked, group)] == expected


def test_there_are_none_where_nothing_was_dialled(tmp_path: Path) -> None:
    assert _open(tmp_path, [], []) == []
    assert _open(tmp_path, [], [_asked("asked")]) == []
    assert len(_open(tmp_path, [_dialling("a1", "p", "no")], [])) == 1
