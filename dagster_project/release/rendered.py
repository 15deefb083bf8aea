"""The reports of a wave as the log recorded them, and what differs from that on disk.

Belongs here: the checksums of a rendering and what follows from them. Does not belong here: rendering (`report/`).

Every rendering holds `SHA256SUMS` (`sha256sum -c SHA256SUMS` checks it too); the log records the hash of that file.
"""

import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dagster_project import runlog
from dagster_project.files import sha256_of
from dagster_project.journal import Record
from dagster_project.paths import Paths
from dagster_project.release.folder import differences, file_hashes, is_staged
from dagster_project.release.recorded import current_name

SUMS = "SHA256SUMS"
LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>.+)")


def write_sums(folder: Path) -> str:
    """Write `SHA256SUMS` of all files of a rendering. Returns the hash of that file."""
    text = "".join(f"{sha256}  {name}\n" for name, sha256 in file_hashes(folder).items())
    (folder / SUMS).write_text(text, encoding="utf-8")
    return sha256_of(folder / SUMS)


def recorded_renderings(log: Iterable[Record], wave: str) -> dict[str, Record]:
    """Returns {release: the record of its latest rendering}."""
    return {each["release"]: each for each in runlog.renderings(log, wave)}


def shown_rendering(log: Iterable[Record], wave: str) -> str | None:
    """Returns the name of the rendering that `current` must point at; None where nothing was rendered."""
    shown = [each["rendering"] for each in runlog.renderings(log, wave) if each["is_shown"]]
    return shown[-1] if shown else None


def unrecorded(reports: Path, log: list[Record]) -> list[str]:
    """Returns the names of what is in the folder of a wave's reports and is none that the log recorded."""
    recorded = recorded_renderings(log, reports.name).values()
    known = {"current", *(each["rendering"] for each in recorded)}
    names = sorted(path.name for path in reports.iterdir()) if reports.is_dir() else []
    return [name for name in names if name not in known and not is_staged(name)]


def rendering_differences(folder: Path, sums: str) -> list[str]:
    """Returns the names of what was changed, added or removed in a rendering; empty where it is as recorded.

    Args:
        folder: The rendering.
        sums: Hash of its `SHA256SUMS` as the log recorded it.
    """
    if folder.is_symlink() or not folder.is_dir():
        return ["缺失 / is missing"]
    checksums = folder / SUMS
    if not checksums.exists() or not stat.S_ISREG(checksums.lstat().st_mode) or sha256_of(checksums) != sums:
        return [SUMS]
    lines = map(LINE.fullmatch, checksums.read_text(encoding="utf-8").splitlines())
    stated = {line["name"]: line["sha256"] for line in lines if line is not None}
    return differences(stated | {SUMS: sums}, file_hashes(folder))


def report_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    """Yields every difference between the reports of a wave and what the log recorded, with its place."""
    reports, place = paths.reports(wave), f"reports/{wave}"
    recorded, shown = recorded_renderings(log, wave), shown_rendering(log, wave)
    remedy = f"重新生成 / render again: hotline report --wave {wave}"
    for each in recorded.values():
        for name in rendering_differences(reports / each["rendering"], each["sums"]):
            yield f"{place}/{each['rendering']}/{name}: 与日志记录的不同 / is not as the log recorded it; {remedy}"
    for name in unrecorded(reports, log):
        yield (
            f"{place}/{name}: 日志中没有它的记录 / the log has no record of it; 删除 / to remove it: hotline report "
            f"--wave {wave}"
        )
    link = reports / "current"
    if current_name(link) != shown or (link.exists() and not link.is_symlink()):
        yield (
            f"{place}/current: 应指向日志中最后生成的报告 / must point at the report that the log recorded last "
            f"({shown or '无 / none'}); {remedy}"
        )
