"""Which lines a run recomputes, and whether the scores that stand are of today's input.

A line's scores carry the fingerprint of what they were made from (`score_line_inputs`). A run of
some lines only is honest where every other line still stands on its present input; lines that do
not are recomputed too, and the run says so.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.database import connect, reading
from dagster_project.errors import Damaged, NotReconciled, UsageError
from dagster_project.files import refusal
from dagster_project.paths import Paths

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Scope:
    """Lines of one wave to recompute. `added` were not asked for, but their input has changed."""

    wave: str
    lines: tuple[str, ...]
    is_full: bool
    added: tuple[str, ...] = ()

    def describe(self) -> str:
        if self.is_full:
            return f"全部 {len(self.lines)} 条热线 / all {len(self.lines)} lines"
        text = f"{len(self.lines)} 条热线 / {len(self.lines)} lines: {', '.join(self.lines[:10])}"
        if self.added:
            text += f"(其中因输入变化而加入 / added because their input changed: {', '.join(self.added[:10])})"
        return text


def plan_scope(paths: Paths, wave: str, requested: tuple[str, ...]) -> Scope:
    """The lines to recompute when `requested` are asked for; none asked for means all.

    Reads `bronze/line_inputs` and the warehouse. Raises UsageError for a line that the wave's
    frame does not have.
    """
    current = line_fingerprints(paths, wave)
    unknown = sorted(set(requested) - set(current))
    if unknown:
        raise UsageError(f"{wave} 监测范围中没有这些热线 / no such line in the frame of {wave}: {', '.join(unknown)}")
    scored = scored_fingerprints(paths, wave)
    stale = {line for line, fingerprint in current.items() if scored.get(line) != fingerprint}
    if not requested or len(stale) == len(current) or scored.keys() - current.keys():
        return Scope(wave, tuple(sorted(current)), is_full=True)
    lines = stale | set(requested)
    return Scope(wave, tuple(sorted(lines)), is_full=False, added=tuple(sorted(stale - set(requested))))


def line_fingerprints(paths: Paths, wave: str) -> dict[str, str]:
    """{line_id: fingerprint of its present input}, from bronze. Raises Damaged where its file cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = paths.bronze_part("line_inputs", wave)
    try:
        # not pq.read_table: its dataset module imports pandas, half a second that nothing here needs
        table = pq.ParquetFile(part).read(["line_id", "input_fingerprint"])
        return dict(zip(table["line_id"].to_pylist(), table["input_fingerprint"].to_pylist(), strict=True))
    except (pa.ArrowException, KeyError, OSError) as error:
        if refusal(error) is not None:
            raise
        raise Damaged(
            f"{part} 已损坏,请重新运行该监测期 / is damaged; run the wave again: hotline run --wave {wave}"
        ) from error


def scored_fingerprints(paths: Paths, wave: str) -> dict[str, str]:
    """{line_id: fingerprint of the input that its scores were made from}; empty where none stand."""
    rows = _query(
        paths, "score_line_inputs", "select line_id, input_fingerprint from score_line_inputs where wave = ?", wave
    )
    return dict(rows)


def inputs_digest(paths: Paths, wave: str) -> str:
    """The digest that `pub_waves` states when it was made from the present input of every line."""
    text = ",".join(f"{line}:{fingerprint}" for line, fingerprint in sorted(line_fingerprints(paths, wave).items()))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def published_inputs(paths: Paths, wave: str) -> tuple[str, str | None] | None:
    """(digest of the line fingerprints, baseline release) that the published tables stand on."""
    rows = _query(paths, "pub_waves", "select input_fingerprint, baseline_release from pub_waves where wave = ?", wave)
    return rows[0] if rows else None


def write_scope(paths: Paths, *scopes: Scope) -> None:
    """Tell the dbt steps what to recompute, of one wave or several: the one file that they read it from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"wave": each.wave, "line_id": line, "is_full": each.is_full} for each in scopes for line in each.lines]
    schema = pa.schema({"wave": pa.string(), "line_id": pa.string(), "is_full": pa.bool_()})
    paths.scope.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), paths.scope)


def _query(paths: Paths, table: str, query: str, wave: str) -> list[tuple]:
    if not paths.warehouse.exists():
        return []
    with connect(paths.home, paths.warehouse, read_only=True) as connection, reading(paths.warehouse):
        tables = _tables(connection)
        return connection.execute(query, [wave]).fetchall() if table in tables else []


def full_scope(paths: Paths, wave: str) -> Scope:
    """Every line of the wave's frame."""
    return Scope(wave, tuple(sorted(line_fingerprints(paths, wave))), is_full=True)


def require_scored(paths: Paths, wave: str) -> None:
    """Raise NotReconciled where a line's scores were not made from its present input."""
    current, scored = line_fingerprints(paths, wave), scored_fingerprints(paths, wave)
    stale = sorted(line for line in current.keys() | scored.keys() if current.get(line) != scored.get(line))
    if stale:
        raise NotReconciled(
            f"{wave}:{len(stale)} 条热线的得分不是由当前数据算出,请先重算 / the scores of {len(stale)} lines were not "
            f"made from their present input; recompute them first: {', '.join(stale[:10])}"
        )


def _tables(connection: "duckdb.DuckDBPyConnection") -> list[str]:
    return [name for (name,) in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]
