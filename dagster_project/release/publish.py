"""Which release of a wave readers see: publishing one, going back to the previous one, listing them.

"Before" has one meaning, for `rollback`, `diff` and the changes in a report: the release that readers saw
immediately before they were given the current one (`previous_release`).

Belongs here: switching `current`, and saying so in the log. Does not belong here: making a release
(`freeze.py`), proving one (`verify.py`).
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from dagster_project import runlog
from dagster_project.errors import NotReconciled, UsageError
from dagster_project.files import sha256_of
from dagster_project.ingest.wave import list_waves
from dagster_project.journal import LinkChange
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, require_whole, switch
from dagster_project.release.recorded import current_faults, current_name

logger = logging.getLogger("hotline")


@dataclass(frozen=True)
class Listed:
    """A release that lies in an installation. `n_published`: how often readers were given it."""

    release: str
    is_current: bool
    n_published: int


def publish(paths: Paths, wave: str, release: str) -> Path:
    """Make `release` the one that readers see, and log it. Returns its folder; does nothing where it is current.

    Raises UsageError where there is no such release, NotReconciled where a file of it was changed, or where
    `current` is not the release that was published last: publishing that one again restores it.
    """
    folder = release_folder(paths, wave, release)
    require_whole(folder)
    log = runlog.read(paths)
    if runlog.recorded_manifest(log, release) != sha256_of(folder / MANIFEST):
        raise NotReconciled(
            f"发布 {release} 的 {MANIFEST} 与日志记录的不同 / {MANIFEST} of release {release} is not the one that "
            "the log recorded"
        )
    seen, link = runlog.seen_by_readers(log, wave), paths.current(wave)
    faults = [*current_faults(paths, wave, log)]
    if faults and seen[-1:] != [release]:
        raise NotReconciled("\n".join(faults))
    if faults:
        logger.warning(
            "%s:current 曾指向 %s,已恢复 / current pointed at %s; it was restored to what was published last",
            wave, current_name(link), current_name(link),
        )  # fmt: skip
        switch(folder)
    elif seen[-1:] != [release]:
        runlog.record(
            paths,
            runlog.PUBLISHED,
            LinkChange("releases", wave, release),
            wave=wave,
            release=release,
            previous_release=seen[-1] if seen else None,
        )
    logger.info("已发布 / published %s/%s", wave, release)
    return folder


def rollback(paths: Paths, wave: str) -> Path:
    """Publish the release that readers saw before the current one. Returns its folder.

    This is a publication like any other: a second rollback returns to the release that the first one replaced.
    Raises UsageError where there was none, and what `publish` raises.
    """
    previous = previous_release(paths, wave)
    if previous is None:
        raise UsageError(f"{wave}:没有更早的发布可以恢复 / there is no earlier release to go back to")
    return publish(paths, wave, previous)


def previous_release(paths: Paths, wave: str) -> str | None:
    """Returns the release that readers saw immediately before the current one was published; None for the first.

    After A, B, C and B again it is C: the order in which readers saw them counts, not that in which they were made.
    Raises UsageError where there is no such wave, NotReconciled where `current` is not what was published last.
    """
    require_known(paths, wave)
    log = runlog.read(paths)
    if faults := [*current_faults(paths, wave, log)]:
        raise NotReconciled("\n".join(faults))
    return next(iter(runlog.seen_by_readers(log, wave)[-2:-1]), None)


def list_releases(paths: Paths, wave: str) -> list[Listed]:
    """The releases of a wave in the order in which they were first published, then those that never were.

    Raises UsageError where there is no such wave.
    """
    require_known(paths, wave)
    current = current_name(paths.current(wave))
    published = [each["release"] for each in runlog.of_wave(runlog.read(paths), wave, runlog.PUBLISHED)]
    there = _there(paths, wave)
    known = [each for each in dict.fromkeys(published) if each in there]
    never = [each for each in there if each not in published]
    return [Listed(release, current == release, published.count(release)) for release in (*known, *never)]


def _there(paths: Paths, wave: str) -> list[str]:
    """Ids of the releases that lie in the wave's folder, sorted."""
    folders = paths.releases(wave).glob("[!.]*")
    return sorted(path.name for path in folders if path.is_dir() and not path.is_symlink())


def require_known(paths: Paths, wave: str) -> None:
    """Raise UsageError where there is no such wave; a faulty wave.yml does not stand in the way of its releases."""
    if wave not in (waves := list_waves(paths)):
        raise UsageError(f"没有监测期 {wave!r} / there is no such wave; there are: {', '.join(waves) or '无 / none'}")


def release_folder(paths: Paths, wave: str, release: str) -> Path:
    """Folder of a release by its id. Raises UsageError where there is none."""
    require_known(paths, wave)
    there = _there(paths, wave)
    if release not in there:
        raise UsageError(
            f"{wave} 没有发布 {release} / there is no such release of {wave}; hotline releases --wave {wave}: "
            f"{', '.join(there)}"
        )
    return paths.releases(wave) / release
