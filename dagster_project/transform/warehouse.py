"""What the dbt steps left in the warehouse, and whether the warehouse is still exactly that.

Belongs here: the record `warehouse.json`, and the checks against it. Does not belong here: which lines a
run recomputes (`scope.py`).

Any program can write to the warehouse: plain dbt, the duckdb command line. Lines that a run does not
recompute keep their rows, so a run of some lines would publish what somebody else wrote there. The
record therefore holds the SHA-256 of the file as the last step left it. The whole file, because that
covers rows of every wave, types, views and tables that are not ours, and costs least: 11 ms for the
13 MB of two waves, where a hash of all rows by DuckDB costs 43 ms and misses views. DuckDB 2.0 leaves
the bytes as they are where a file is opened, read or checkpointed without a change. The size of the
warehouse does not depend on the number of observations, which are a view of bronze.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dagster_project.database import connect
from dagster_project.errors import Damaged, NotReconciled
from dagster_project.files import replace_files
from dagster_project.paths import Paths
from dagster_project.transform.dbt_step import PUBLISHED, project_fingerprint

MODELS_CHANGED = "模型已更新 / the models have changed"
NO_RECORD = "没有上次计算的记录 / there is no record of what the last run computed"
UNFINISHED = "上次计算未完成 / the last computation did not finish"
CHANGED_OUTSIDE = (
    "数据仓库 warehouse.duckdb 被本流程以外的程序改动 / the warehouse warehouse.duckdb was changed outside the pipeline"
)


@dataclass(frozen=True)
class Record:
    """What the pipeline last did to the warehouse.

    `dbt_project`: fingerprint of the models. `sha256`: of the file, None where it did not exist.
    `is_finished`: False while a step is at work, and after one that failed or was killed.
    `published`: the waves whose published tables were made after their scores.
    """

    dbt_project: str
    sha256: str | None
    is_finished: bool
    published: tuple[str, ...] = ()


def read_record(paths: Paths) -> Record | None:
    """The record; None where it is missing or damaged."""
    path = _record_file(paths)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        return Record(**{**content, "published": tuple(content["published"])})
    except (ValueError, KeyError, TypeError):
        return None


def drop_stale_warehouse(paths: Paths) -> str | None:
    """Delete the warehouse where it is not what the steps left; the run then computes everything again.

    Returns why it was deleted, in both languages; None where it was not.
    """
    reason = _difference(paths)
    if reason is None:
        return None
    with suppress(Damaged):
        _require_free(paths, read_only=True)
    files = [_log_file(paths), paths.warehouse]  # the log first: DuckDB would apply it to another file
    existed = any(file.exists() for file in files)
    for file in files:
        file.unlink(missing_ok=True)
    _write_record(paths, Record(project_fingerprint(), None, is_finished=True))
    return reason if existed else None


def require_unchanged(paths: Paths) -> None:
    """Raise NotReconciled where the warehouse is not what the steps left: a run then computes it again."""
    reason = _difference(paths)
    if reason is not None:
        raise NotReconciled(
            f"{reason}。请重新运行本期,将全部重新计算 / run the wave again; it recomputes everything: hotline run"
        )


def require_published(paths: Paths, wave: str) -> None:
    """The same, and where the wave's published tables are older than its scores."""
    require_unchanged(paths)
    record = read_record(paths)
    if record is None or wave not in record.published:
        raise NotReconciled(
            f"{wave}:排名与汇总不是由当前得分算出,请重新运行 / rankings and aggregates were not made from the present "
            f"scores; run the wave again: hotline run --wave {wave}"
        )


def begin_step(paths: Paths, wave: str, step: str) -> None:
    """Record that `step` is about to change the tables of `wave`. Raises Busy where another program has them open."""
    _require_free(paths, read_only=False)
    record = read_record(paths) or Record(project_fingerprint(), warehouse_digest(paths), is_finished=True)
    others = set(record.published) - {wave}
    published = others | {wave} if step == PUBLISHED else others
    _write_record(paths, replace(record, is_finished=False, published=tuple(sorted(published))))


def require_as_begun(paths: Paths) -> None:
    """Raise NotReconciled where the warehouse was changed after a step began and before it opened the file."""
    record = read_record(paths)
    if record is not None and not record.is_finished and record.sha256 != warehouse_digest(paths):
        raise NotReconciled(f"{CHANGED_OUTSIDE}。请重新运行 / run again: hotline run")


def finish_step(paths: Paths) -> None:
    """Record the warehouse as a step that ended well has left it. Call it as soon as the file is closed."""
    # the models are those that the step began with: an edit since then makes the next run compute everything
    record = read_record(paths) or Record(project_fingerprint(), None, is_finished=False)
    _write_record(paths, replace(record, sha256=warehouse_digest(paths), is_finished=True))


def warehouse_digest(paths: Paths) -> str | None:
    """SHA-256 of the warehouse and of the log beside it, if there is one; None where there is no warehouse."""
    digest = hashlib.sha256()
    found = [file for file in (paths.warehouse, _log_file(paths)) if file.exists()]
    for file in found:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest() if found else None


def _require_free(paths: Paths, *, read_only: bool) -> None:
    """Raise what `database.connect` raises where the warehouse cannot be opened."""
    if paths.warehouse.is_file():
        connect(paths.home, paths.warehouse, read_only=read_only).close()


def _difference(paths: Paths) -> str | None:
    record = read_record(paths)
    if record is None:
        return NO_RECORD
    if record.dbt_project != project_fingerprint():
        return MODELS_CHANGED
    if not record.is_finished:
        return UNFINISHED
    return CHANGED_OUTSIDE if record.sha256 != warehouse_digest(paths) else None


def _write_record(paths: Paths, record: Record) -> None:
    replace_files({_record_file(paths): json.dumps(asdict(record)).encode()})


def _record_file(paths: Paths) -> Path:
    return paths.home / "warehouse.json"


def _log_file(paths: Paths) -> Path:
    return paths.warehouse.with_name(f"{paths.warehouse.name}.wal")
