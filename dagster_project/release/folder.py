"""Write a release folder and switch `current` to it, so that a reader sees the old one or the new one.

A folder is built beside its final name, flushed to disk, renamed; `current` is a symbolic link that
is replaced in one step. A crash at any moment leaves what stood before.
"""

import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.errors import Damaged, NotReconciled
from dagster_project.files import flush, flush_folder, set_aside, sha256_of
from dagster_project.files import remove as remove_any

logger = logging.getLogger("hotline")

MANIFEST = "manifest.json"
NEXT_LINK = ".current-next"  # becomes `current`
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
    """Returns {relative name: sha256} of every file of a release or rendering but its manifest, sorted by name.

    What neither may contain is listed too, with what it is in place of a hash: a link, an empty folder, a device.
    """
    found = {}
    for root, folders, files in os.walk(folder):  # does not follow links
        for path in (Path(root, name) for name in [*folders, *files]):
            # a name that is no text cannot be printed
            name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            if (content := _content(path)) is not None:
                found[name] = content
    found.pop(MANIFEST, None)
    return dict(sorted(found.items()))


def differences(stated: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Returns the names, sorted, that only one of the two has, or that have another content."""
    return sorted(name for name in stated.keys() | found.keys() if stated.get(name) != found.get(name))


def _content(path: Path) -> str | None:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return sha256_of(path)
    if stat.S_ISDIR(mode):
        return None if any(path.iterdir()) else "empty folder"
    return "link" if stat.S_ISLNK(mode) else "no regular file"


def keep(staged: Path, target: Path, recorded: str | None = None) -> None:
    """Give the release in `staged` its final name, where readers can find it and nobody changes it.

    Where the release exists already, its bytes must be the same. A damaged one is set aside and `staged` takes its
    place, if the manifest is the one that the log has `recorded` (SHA-256; None: no record), or that is left of the
    damaged one. Raises NotReconciled where equal inputs gave unequal outputs.
    """
    made = sha256_of(staged / MANIFEST) if target.exists() else None
    if made is None:
        settle(staged, target)
    elif is_damaged(target, recorded) and (recorded or _manifest_hash(target)) in (None, made):
        replace_damaged(staged, target)
    else:
        _require_equal(staged, target)
        settle(staged, target)


def replace_damaged(staged: Path, target: Path) -> None:
    """Set the damaged release `target` aside, if anything is left of it, and give `staged` its name."""
    kept = set_aside(target.parents[2], target) if target.exists() else "—"
    settle(staged, target)
    logger.warning(
        "发布 %s/%s 已损坏,现已修复;损坏的文件夹移至 %s / release %s/%s was damaged and is repaired; the damaged "
        "folder was moved to %s",
        target.parent.name, target.name, kept, target.parent.name, target.name, kept,
    )  # fmt: skip


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
    current, link = target.parent / "current", target.parent / NEXT_LINK
    if current.is_dir() and not current.is_symlink():
        set_aside(target.parents[2], current)
    remove_any(link)
    link.symlink_to(target.name, target_is_directory=True)
    link.replace(current)
    flush_folder(target.parent)


def require_whole(folder: Path) -> None:
    """Raise Damaged, naming them and a remedy, where files of a release are not those that its manifest states."""
    stated = read_manifest(folder).get("files")
    if not isinstance(stated, dict):
        raise _incomplete(folder)
    if differing := differences(stated, file_hashes(folder)):
        raise Damaged(
            f"发布 {folder.name} 的文件被改动 / files of release {folder.name} were changed: {', '.join(differing)}"
            f"\n{_remedy(folder)}"
        )


def is_whole(folder: Path) -> bool:
    """Whether the files of a release are those that its manifest states."""
    try:
        require_whole(folder)
    except Damaged:
        return False
    return True


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release. Raises Damaged, naming a remedy, where it is missing or is not one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError) as error:
        raise _incomplete(folder) from error
    if not isinstance(manifest, dict):
        raise _incomplete(folder)
    return manifest


def _incomplete(folder: Path) -> Damaged:
    return Damaged(
        f"发布 {folder.parent.name}/{folder.name} 不完整,{MANIFEST} 缺失或不能读取 / release {folder.parent.name}/"
        f"{folder.name} is incomplete: {MANIFEST} is missing or cannot be read\n{_remedy(folder)}"
    )


def is_damaged(folder: Path, recorded: str | None) -> bool:
    """Whether a release is not whole, or its manifest not the one that the log has `recorded` (None: no record)."""
    return not is_whole(folder) or recorded not in (None, _manifest_hash(folder))


def _manifest_hash(folder: Path) -> str | None:
    """SHA-256 of a release's manifest; None where it cannot be read."""
    try:
        read_manifest(folder)
    except Damaged:
        return None
    return sha256_of(folder / MANIFEST)


def _remedy(folder: Path) -> str:
    wave = folder.parent.name
    return (
        f"修复 / to repair it: hotline run --wave {wave}, hotline verify --rebuild --wave {wave}, hotline store pull "
        f"--wave {wave};恢复上一个发布 / to publish the previous release: hotline rollback --wave {wave}"
    )


def remove(folder: Path) -> None:
    """Remove a release's or a rendering's folder; a crash leaves no half one under its name."""
    leftover = folder.with_name(f".staged-{folder.name}")
    folder.rename(leftover)
    remove_any(leftover)


@contextmanager
def staging_folder(releases: Path, release: str) -> Iterator[Path]:
    """An empty folder to build in. What is not published from it goes, as does what a killed run left behind."""
    releases.mkdir(parents=True, exist_ok=True)
    for leftover in releases.glob(".staged-*"):
        remove_any(leftover)
    folder = releases / f".staged-{release}"
    folder.mkdir()
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def is_staged(name: str) -> bool:
    """Returns whether something of this name next to releases or renderings is being built, or a crash left it."""
    return name.startswith(".staged-") or name == NEXT_LINK


def current_release(current: Path) -> Path | None:
    """Folder of the release that `current` points at; None where nothing is published.

    Raises Damaged where the folder is not there or has no manifest that can be read.
    """
    if current_id(current) is None:
        if current.exists():
            raise Damaged(
                f"{current} 应为指向发布的链接;移走它,再公布一个发布 / must be a link to a release; move it away, then "
                f"publish one: hotline releases --wave {current.parent.name}, hotline publish"
            )
        return None
    target = current.resolve()
    read_manifest(target)
    return target


def whole_release(current: Path) -> Path | None:
    """The same folder, with every file as its manifest states it. Raises Damaged where one is not."""
    folder = current_release(current)
    if folder is not None:
        require_whole(folder)
    return folder


def current_id(current: Path) -> str | None:
    """Id of the release that `current` points at, whole or not; None where it points at none."""
    return current.readlink().name if current.is_symlink() else None


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
    stated = read_manifest(target)["files"]
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
            flush(path)
        else:
            flush_folder(path)
    flush_folder(folder)
