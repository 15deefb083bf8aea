"""Which release of a wave readers see: publishing one, going back to the one before, listing them.

Belongs here: switching `current`, and saying so in the log. Does not belong here: making a release
(`freeze.py`), proving one (`verify.py`).
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from dagster_project import chain, runlog
from dagster_project.errors import NotReconciled, UsageError
from dagster_project.files import sha256_of
from dagster_project.ingest.wave import list_waves
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, current_id, require_whole, switch

logger = logging.getLogger("hotline")


@dataclass(frozen=True)
class Listed:
    """A release that lies in an installation. `n_published`: how often readers were given it."""

    release: str
    is_current: bool
    n_published: int


def publish(paths: Paths, wave: str, release: str) -> Path:
    """Make `release` the one that readers see, and log it. Returns its folder; does nothing where it is current.

    Raises UsageError where there is no such release, NotReconciled where a file of it was changed.
    """
    folder = release_folder(paths, wave, release)
    require_whole(folder)
    log = chain.read(paths.log)
    if runlog.recorded_manifest(log, release) != sha256_of(folder / MANIFEST):
        raise NotReconciled(
            f"发布 {release} 的 {MANIFEST} 与日志记录的不同 / {MANIFEST} of release {release} is not the one that "
            "the log recorded"
        )
    current = current_id(paths.current(wave))
    published = runlog.publications(log, wave)
    if current != release or not published or published[-1]["release"] != release:
        # the record first: killed between the two, the same command does both again
        runlog.record(paths, runlog.PUBLISHED, wave=wave, release=release, previous_release=current)
        switch(folder)
    logger.info("已发布 / published %s/%s", wave, release)
    return folder


def rollback(paths: Paths, wave: str) -> Path:
    """Publish the release that readers saw before the current one. Returns its folder.

    Raises UsageError where there was none, and what `publish` raises.
    """
    # the first: after going back once, the latest is what was just taken back
    former = next(iter(_stood_before(paths, wave)), None)
    if former is None:
        raise UsageError(f"{wave}:没有更早的发布可以恢复 / there is no earlier release to go back to")
    return publish(paths, wave, former)


def previous_release(paths: Paths, wave: str) -> str | None:
    """The release that readers saw last before the current one; None where it is the first.

    Raises UsageError where there is no such wave.
    """
    former = _stood_before(paths, wave)
    return former[-1] if former else None


def _stood_before(paths: Paths, wave: str) -> list[str | None]:
    """What stood before the current release, each time that it was published; None where nothing did."""
    require_known(paths, wave)
    current = current_id(paths.current(wave))
    if current is None:
        return []
    return [
        record["previous_release"]
        for record in runlog.publications(chain.read(paths.log), wave)
        if record["release"] == current and record["previous_release"] != current
    ]


def list_releases(paths: Paths, wave: str) -> list[Listed]:
    """The releases of a wave in the order in which they were first published, then those that never were.

    Raises UsageError where there is no such wave.
    """
    require_known(paths, wave)
    current = current_id(paths.current(wave))
    published = [record["release"] for record in runlog.publications(chain.read(paths.log), wave)]
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
