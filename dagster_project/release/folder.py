"""Write a release folder and switch `current` to it, so that a reader sees the old one or the new one.

A folder is built beside its final name, flushed to disk, renamed; `current` is a symbolic link that
is replaced in one step. A crash at any moment leaves what stood before.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.errors import HotlineError, NotReconciled
from dagster_project.files import flush_folder, sha256_of

MANIFEST = "manifest.json"
SYNTHETIC_NOTE = "模拟数据"  # what everything made from a simulated wave says
# What a run tells of its release, on the command line and in the UI.
HEADLINES = (
    "total.score", "phone.score", "web.score", "class.hot", "class.warm", "class.cold", "class.dead",
    "smart.voice_lines",
)  # fmt: skip


PARQUET = {"compression": "zstd", "write_page_index": False}  # of every Parquet file of a release


def write_parquet(table: pa.Table, path: Path) -> None:
    """One file of a release: its bytes depend on the rows, their order and pyarrow's version alone."""
    pq.write_table(table.replace_schema_metadata(None), path, **PARQUET)


def file_hashes(folder: Path) -> dict[str, str]:
    """{relative name: sha256} of every file of a release but its manifest, sorted by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {name: sha256_of(path) for path in files if (name := path.relative_to(folder).as_posix()) != MANIFEST}


def keep(staged: Path, target: Path) -> None:
    """Give the release in `staged` its final name, where readers can find it and nobody changes it.

    Where the release exists already, its bytes must be the same. Raises NotReconciled where they are
    not: equal inputs gave unequal outputs.
    """
    if target.exists():
        _require_equal(staged, target)
    settle(staged, target)


def settle(staged: Path, target: Path) -> None:
    """Give `staged` its final name, unless that is there already."""
    if target.exists():
        shutil.rmtree(staged)
    else:
        _flush(staged)
        staged.rename(target)
        flush_folder(target.parent)


def switch(target: Path) -> None:
    """Let `current` beside `target` point at it: a reader sees what it pointed at before, or this."""
    link = target.parent / ".current-next"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name, target_is_directory=True)
    link.replace(target.parent / "current")
    flush_folder(target.parent)


def require_whole(folder: Path) -> None:
    """Raise NotReconciled, naming them, where files of a release are not those that its manifest states."""
    stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    found = file_hashes(folder)
    differing = sorted(name for name in stated.keys() | found.keys() if stated.get(name) != found.get(name))
    if differing:
        raise NotReconciled(
            f"发布 {folder.name} 的文件被改动 / files of release {folder.name} were changed: {', '.join(differing)}"
        )


def remove(folder: Path) -> None:
    """Remove a release's or a rendering's folder; a crash leaves no half one under its name."""
    leftover = folder.with_name(f".staged-{folder.name}")
    folder.rename(leftover)
    shutil.rmtree(leftover)


@contextmanager
def staging_folder(releases: Path, release: str) -> Iterator[Path]:
    """An empty folder to build in. What is not published from it goes, as does what a killed run left behind."""
    releases.mkdir(parents=True, exist_ok=True)
    for leftover in releases.glob(".staged-*"):
        shutil.rmtree(leftover)
    folder = releases / f".staged-{release}"
    folder.mkdir()
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def current_release(current: Path) -> Path | None:
    """Folder of the release that `current` points at; None where nothing is published."""
    if not current.is_symlink():
        return None
    target = current.resolve()
    if not (target / MANIFEST).exists():
        raise HotlineError(f"当前发布不完整 / the current release is incomplete: {current.parent.name}/{target.name}")
    return target


def headlines(folder: Path) -> dict[str, dict[str, Any]]:
    """{figure id: label, unit, value, change} of a release's headline figures."""
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return {
        figure["id"]: {name: figure[name] for name in ("label", "unit", "value", "change")}
        for figure in figures
        if figure["id"] in HEADLINES
    }


def fieldwork_flags(folder: Path) -> dict[str, int]:
    """{finding on the field work: how many rows of it are flagged}; empty for a release older than these."""
    quality = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    flags: dict[str, int] = quality.get("fieldwork", {}).get("counts", {})
    return flags


def _require_equal(staged: Path, target: Path) -> None:
    # the manifest states the hashes of the others; of itself the staged one does
    ours, theirs = (file_hashes(each) | {MANIFEST: sha256_of(each / MANIFEST)} for each in (staged, target))
    stated = json.loads((target / MANIFEST).read_text(encoding="utf-8"))["files"]
    differing = sorted(
        name for name in ours.keys() | theirs.keys() | stated.keys()
        if not ours.get(name) == theirs.get(name) == ({MANIFEST: ours[MANIFEST]} | stated).get(name)
    )  # fmt: skip
    if differing:
        raise NotReconciled(
            f"相同输入得出不同结果,发布 {target.name} 保持不变 / equal inputs gave other bytes; "
            f"release {target.name} stays as it was: {', '.join(differing)}"
        )


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            flush_folder(path)
    flush_folder(folder)
