"""Of what an ingest, and each line's scores, are made.

Belongs here: what goes into a fingerprint. Does not belong here: what is done when one changes.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dagster_project import schema
from dagster_project.files import files_digest
from dagster_project.ingest.personal import key_fingerprint
from dagster_project.ingest.read import Delivered
from dagster_project.ingest.wave import Wave
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.schema import EXPORT_TABLES, REFERENCE_TABLES

# No text of bronze holds control characters (Fault.CONTROL_CHARACTER): they separate without doubt.
BETWEEN_CELLS, BETWEEN_ROWS, NOTHING = "\x1f", "\x1e", "\x00"


def input_fingerprint(surroundings: str, delivered: list[Delivered], ledger_head: str | None) -> str:
    """SHA-256 over everything that bronze depends on: the exports, the ledger and what surrounds them."""
    exports = [[each.export.table, each.export.profile, each.name, each.sha256] for each in delivered]
    return hashlib.sha256(json.dumps([surroundings, exports, ledger_head]).encode()).hexdigest()


def surroundings_fingerprint(paths: Paths, wave: Wave) -> str:
    """SHA-256 over what the same exports and ledger could be read differently for: profiles, declarations, code."""
    profiles = sorted({paths.profile(export.profile) for export in wave.exports})
    package = Path(schema.__file__).parent
    overlay = [package / "corrections" / name for name in ("ledger.py", "overlay.py")]
    parts = {
        "declared": files_digest([paths.wave_yml(wave.id), *profiles, paths.frame(wave.frame)]),
        "method": method_digest(paths, wave),
        "code": files_digest([Path(schema.__file__), *sorted((package / "ingest").glob("*.py")), *overlay]),
        "scoring": scoring_digest(),
        "libraries": [version("pyarrow"), version("python-calamine")],
    }
    if any(b"keyed:" in profile.read_bytes() for profile in profiles):
        parts["key"] = key_fingerprint()
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def method_digest(paths: Paths, wave: Wave) -> str:
    return files_digest(sorted(paths.method(wave.method).glob("*.csv")))


def scoring_digest(project: Path = DBT_PROJECT) -> str:
    """The code that scores: dbt's models and macros."""
    files = [path for folder in ("models", "macros") for path in (project / folder).rglob("*") if path.is_file()]
    return files_digest([project / "dbt_project.yml", *files], root=project)


def line_inputs(paths: Paths, wave: Wave, tables: dict[str, pa.Table]) -> pa.Table:
    """One row per line of the frame: hash of its rows in the three bronze tables, its frame row, method and code.

    Where a row came from (file, sheet, row number) does not count, nor does the order of rows.
    """
    common = f"{method_digest(paths, wave)} {scoring_digest()}"
    by_table = [_rows_by_line(tables[name], name) for name in EXPORT_TABLES]
    rows = []
    for line in tables["lines"].to_pylist():
        parts = [common, json.dumps(line, sort_keys=True), *(each.get(line["line_id"], "") for each in by_table)]
        digest = hashlib.sha256("\x1d".join(parts).encode()).hexdigest()
        rows.append({"line_id": line["line_id"], "input_fingerprint": digest})
    return pa.Table.from_pylist(rows, REFERENCE_TABLES["line_inputs"])


def _rows_by_line(table: pa.Table, name: str) -> dict[str, str]:
    """{line: its rows as one text}. Rows stand sorted, the key last, so the order is always the same."""
    names = [column.name for column in EXPORT_TABLES[name].columns]
    cells = [pc.cast(table[each], pa.string()) for each in names]
    texts = pc.binary_join_element_wise(
        *cells, BETWEEN_CELLS, null_handling="replace", null_replacement=NOTHING
    ).to_pylist()
    by_line: dict[str, list[str]] = {}
    for line, text in zip(table["line_id"].to_pylist(), texts, strict=True):
        by_line.setdefault(line, [name, *names]).append(text)
    return {line: BETWEEN_ROWS.join(rows) for line, rows in by_line.items()}
