"""Compares what the log and the manifests recorded of a wave with what is on disk: heads and hashes, no data.

Belongs here: what every command checks before it builds on a wave; it reads the log, the ledger and the
manifests only. Does not belong here: the bytes of releases and reports (`verify.py`).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from dagster_project import chain, journal, runlog
from dagster_project.errors import NotReconciled
from dagster_project.files import sha256_of
from dagster_project.journal import Record
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST

HEADS = (runlog.CORRECTION, runlog.ACCEPTED, runlog.RELEASED, runlog.PULLED)  # records that name a head of the ledger


def require_recorded(paths: Paths, wave: str, baseline: str | None = None) -> None:
    """Raise NotReconciled, with every fault, where a wave or its baseline is not as log and releases recorded it.

    Checks the wave's ledger and `current`, and the baseline's `current` and manifest. A run makes the wave's
    own release again where it is damaged; other releases are `hotline verify`'s.
    """
    log = runlog.read(paths)
    faults = [*ledger_faults(paths, wave, log)]
    # without a publication there is no `current` of the wave to build on; publishing checks it
    if runlog.seen_by_readers(log, wave):
        faults += current_faults(paths, wave, log)
    # `hotline whatif` lends a baseline to an installation that never made one
    if baseline is not None and runlog.of_wave(log, baseline, *runlog.MADE):
        faults += _published_faults(paths, baseline, log)
    if faults:
        raise NotReconciled("\n".join(faults))


def require_current(paths: Paths, wave: str) -> None:
    """Raise NotReconciled where `current` is not what was published last, or its manifest not the recorded one."""
    if faults := [*_published_faults(paths, wave, runlog.read(paths))]:
        raise NotReconciled("\n".join(faults))


def _published_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    yield from current_faults(paths, wave, log)
    yield from manifest_faults(paths, wave, log, runlog.seen_by_readers(log, wave)[-1:])


def ledger_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    """Yields what is wrong with the ledger: records that log or releases name and it lacks, records nobody recorded."""
    place = f"raw/{wave}/corrections/{paths.ledger(wave).name}"
    try:
        lines = unrecorded_lines(paths, wave, log)
    except NotReconciled as damaged:
        yield f"raw/{wave}/corrections: {damaged}"
        return
    if lines:
        yield (
            f"{place} 第 {lines[0]} 行起 / from line {lines[0]}: 日志没有这些条目的记录,请从备份恢复台账;若由另一安装"
            f"写入且确认无误,可予认可 / the log has no record of these entries: restore the ledger from a copy or, if "
            f"another installation made them and they are right: hotline correct accept --wave {wave} --by … --reason …"
        )


def unrecorded_lines(paths: Paths, wave: str, log: list[Record]) -> list[int]:
    """Returns the numbers of the ledger's lines after the last one that the log or a release names.

    Raises NotReconciled where the ledger's chain is broken, or where it lacks a record that they name.
    """
    hashes = [record["hash"] for record in chain.read(paths.ledger(wave))]
    heads = _heads(paths, wave, log)
    missing = [f"{head} ({source})" for head, source in heads.items() if head is not None and head not in hashes]
    if missing:
        raise NotReconciled(
            f"{paths.ledger(wave).name} 缺少已记录的条目:台账被截断、删除或重写,请从备份恢复 / records that were "
            f"recorded are missing: the ledger was cut off, deleted or rewritten; restore it from a copy: "
            f"{', '.join(missing)}"
        )
    # neither did an older version record every entry, nor does an installation that pulls releases make them
    made_here = runlog.of_wave(log, wave, runlog.CORRECTION, runlog.ACCEPTED, runlog.RELEASED)
    if not any(journal.NUMBER in each for each in made_here):
        return []
    n_known = max((hashes.index(head) + 1 for head in heads if head is not None), default=0)
    return [*range(n_known + 1, len(hashes) + 1)]


def manifest_faults(paths: Paths, wave: str, log: list[Record], releases: Iterable[str]) -> Iterator[str]:
    """Yields each of the releases that is missing, or whose manifest is not the one that the log recorded."""
    for release in releases:
        folder = paths.releases(wave) / release
        place = f"releases/{wave}/{release}"
        if folder.is_symlink() or not folder.is_dir():
            yield (
                f"{place}: 日志有记录,但文件夹缺失;请从备份恢复 / the log recorded this release and its folder is "
                "missing; restore it from a copy"
            )
        elif not (folder / MANIFEST).is_file() or (folder / MANIFEST).is_symlink():
            yield f"{place}: {MANIFEST} 缺失,请从备份恢复 / is missing; restore the release from a copy"
        elif sha256_of(folder / MANIFEST) != runlog.recorded_manifest(log, release):
            yield (
                f"{place}/{MANIFEST}: 与日志记录的不同,请从备份恢复 / is not the one that the log recorded; restore "
                "the release from a copy"
            )


def current_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    """Yields what is wrong with `current`: it must be a link to the release that was published last."""
    seen, link = runlog.seen_by_readers(log, wave), paths.current(wave)
    place, last = f"releases/{wave}/current", seen[-1] if seen else None
    if link.exists() and not link.is_symlink():
        yield (
            f"{place}: 应为指向发布的链接,请移开 / must be a link to the release that was published; move it away and "
            f"run: hotline publish {last or '…'} --wave {wave}"
        )
    elif current_name(link) != last:
        found = current_name(link) or "缺失 / missing"
        remedy = f"hotline publish {last} --wave {wave}" if last else "从备份恢复日志,或删除该链接 / a copy of the log"
        yield (
            f"{place}: {found} 不是日志中最后公布的 / is not what the log says was published last "
            f"({last or '无 / none'}); 恢复 / to restore: {remedy}"
        )


def current_name(link: Path) -> str | None:
    """Returns the text of the link, which is the name of a folder next to it; None where there is no link."""
    return str(link.readlink()) if link.is_symlink() else None


def _heads(paths: Paths, wave: str, log: list[Record]) -> dict[str | None, str]:
    """Returns {head of the ledger: what names it}, from the manifests of releases and from the log."""
    heads: dict[str | None, str] = {}
    for manifest in sorted(paths.releases(wave).glob(f"[!.]*/{MANIFEST}")):
        try:
            head = json.loads(manifest.read_bytes())["ledger_head"]
        except (OSError, ValueError, KeyError, TypeError):  # reported as a changed manifest
            continue
        if manifest.parent.name != "current" and (head is None or isinstance(head, str)):
            heads.setdefault(head, f"发布 / release {manifest.parent.name}")
    for number, each in enumerate(log, start=1):
        if each["event"] in HEADS and each["wave"] == wave and "ledger_head" in each:
            heads.setdefault(each["ledger_head"], f"日志第 {number} 条 / log record {number}")
    return heads
