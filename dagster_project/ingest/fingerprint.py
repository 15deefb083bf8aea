"""Of what an ingest, and each line's scores, are made.

Belongs here: what goes into a fingerprint. Does not belong here: what is done when one changes.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project import schema
from dagster_project.files import files_digest
from dagster_project.ingest.personal import key_fingerprint
from dagster_project.ingest.plain_csv import byte_view
from dagster_project.ingest.read import Delivery
from dagster_project.ingest.wave import Wave
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.schema import REFERENCE_TABLES, Table

# No text of bronze holds control characters (Fault.CONTROL_CHARACTER): they separate without doubt.
BETWEEN_CELLS, BETWEEN_ROWS, BETWEEN_PARTS, NOTHING = "\x1f", "\x1e", "\x1d", "\x00"


def input_fingerprint(surroundings: str, delivered: list[Delivery], ledger_head: str | None) -> str:
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


class LineInputs:
    """The fingerprint of every line: hash of its rows in the bronze tables, its row in the frame, method and code.

    Where a row came from (file, sheet, row number) does not count. Rows are added in the order in which
    they stand in bronze: `begin` each table, by schema.EXPORT_TABLES, then `add` its rows.
    """

    def __init__(self, paths: Paths, wave: Wave, lines: pa.Table):
        common = f"{method_digest(paths, wave)} {scoring_digest()}"
        self._digests = {
            line["line_id"]: hashlib.sha256(f"{common}{BETWEEN_PARTS}{json.dumps(line, sort_keys=True)}".encode())
            for line in lines.to_pylist()
        }

    def begin(self, table: Table) -> None:
        self._names = [column.name for column in table.columns]
        self._head = BETWEEN_ROWS.join([table.name, *self._names]).encode()
        self._is_without = set(self._digests)
        for digest in self._digests.values():
            digest.update(BETWEEN_PARTS.encode())

    def add(self, rows: pa.Table) -> None:
        """Rows of the table that was begun; they follow those before."""
        first, *others = (pc.cast(rows[name].combine_chunks(), pa.string()) for name in self._names)
        first = pc.binary_join_element_wise(BETWEEN_ROWS, first, "")
        texts = pc.binary_join_element_wise(
            first, *others, BETWEEN_CELLS, null_handling="replace", null_replacement=NOTHING
        )
        content = byte_view(texts)
        ends = np.cumsum(pc.binary_length(texts).to_numpy())
        lines = pc.run_end_encode(rows["line_id"].combine_chunks())
        start = 0
        for line, n_rows in zip(lines.values.to_pylist(), lines.run_ends.to_pylist(), strict=True):
            if line in self._is_without:
                self._is_without.discard(line)
                self._digests[line].update(self._head)
            end = int(ends[n_rows - 1])
            self._digests[line].update(content[start:end].data)
            start = end

    def table(self) -> pa.Table:
        """One row per line, by the frame's order."""
        columns = [list(self._digests), [digest.hexdigest() for digest in self._digests.values()]]
        return pa.table(columns, REFERENCE_TABLES["line_inputs"])
