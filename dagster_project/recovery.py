"""What a run does first with a state folder that was damaged: clear the way for what it makes again.

Belongs here: things of the wrong kind in the places of the pipeline's files, and bronze of other waves that
nothing can read. Does not belong here: files that the step which needs them checks itself: bronze of the run's
own wave (`ingest/bronze.py`), the warehouse (`transform/scope.py`), Dagster's history (`history_files.py`).
"""

import fcntl
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dagster_project.files import refusal, remove, set_aside
from dagster_project.paths import WAVE_ID, Paths

logger = logging.getLogger("hotline")

FOLDERS = (
    "bronze", "bronze/*", "bronze/*/wave=*", "ingest", "scope", "quality", "rank_sets", "rank_sets/*", "fieldwork",
    "engine", "duckdb.tmp", ".spill.new", "releases", "releases/*", "reports", "reports/*",
)  # fmt: skip
FILES = (
    "bronze/*/wave=*/part-0.parquet", "ingest/*.json", "scope/scope.parquet", "quality/*.json", "rank_sets/*/*.json",
    "fieldwork/*.json", "warehouse.duckdb", "warehouse.duckdb.wal", "warehouse.json",
)  # fmt: skip
WAVES = re.compile(rf"(releases|reports|rank_sets)/(?!{WAVE_ID.pattern}$).*")  # what else lies there is not ours


def clear_state_folder(paths: Paths, wave_id: str | None) -> None:
    """Set aside what has the wrong kind, and remove unreadable bronze of waves other than `wave_id`.

    To be called with the installation held, before the first step of a run.
    """
    misplaced = list(_misplaced(paths.home))
    if misplaced:
        _set_aside(paths.home, misplaced)
    for damaged in _unreadable_waves(paths, wave_id):
        logger.warning(
            "%s:bronze 已损坏并已删除,请重新运行该监测期 / its bronze was damaged and is removed; run that wave again: "
            "hotline run --wave %s",
            damaged, damaged,
        )  # fmt: skip


def clear_place(home: Path, path: Path, *, for_folder: bool = False) -> None:
    """Set aside whatever is in the place of a lock file, or of the folder of lock files, and has another kind.

    Nothing can be locked before this: two processes that call it take turns by a lock on the state folder.
    """
    if not _has_other_kind(path, for_folder):
        return
    descriptor = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _has_other_kind(path, for_folder):  # not moved meanwhile
            _set_aside(home, [path])
    finally:
        os.close(descriptor)


def _has_other_kind(path: Path, for_folder: bool) -> bool:
    return os.path.lexists(path) and not (path.is_dir() if for_folder else path.is_file())


def _set_aside(home: Path, misplaced: Sequence[Path]) -> None:
    names = ", ".join(path.relative_to(home).as_posix() for path in misplaced)
    kept = set_aside(home, *misplaced)
    logger.warning(
        "状态目录中有不属于流水线的内容,已移至 %s:%s / the state folder had things in the places of the pipeline's "
        "own files; moved to %s: %s",
        kept, names, kept, names,
    )  # fmt: skip


def _misplaced(home: Path) -> Iterator[Path]:
    """Files in the places of folders, folders in the places of files, links that lead nowhere; outermost only."""
    for pattern in FOLDERS:
        for path in home.glob(pattern):
            if not path.is_dir() and not WAVES.fullmatch(path.relative_to(home).as_posix()):
                yield path
    for pattern in FILES:
        yield from (path for path in home.glob(pattern) if not path.is_file())


def _unreadable_waves(paths: Paths, but: str | None) -> Iterator[str]:
    """Waves with a bronze file whose footer cannot be read; these files and the report of their ingest are removed.

    Every query on bronze opens the footers of all waves.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: set[str] = set()
    for part in sorted(paths.bronze.glob("*/wave=*/part-0.parquet")):
        wave_id = part.parent.name.removeprefix("wave=")
        if wave_id == but:
            continue
        try:
            pq.read_metadata(part)
        except (pa.ArrowInvalid, OSError) as error:
            if refusal(error) is not None:
                raise
            remove(part)
            found.add(wave_id)
    for wave_id in sorted(found):
        remove(paths.ingest_report(wave_id))
        yield wave_id
