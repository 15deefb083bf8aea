"""Make a damaged current release again from raw files, ledger and code, and put it in its place.

Belongs here: what may take the place of a release. Does not belong here: finding damage (`verify.py`,
`folder.py`), runs that make the same release and repair it on their way (`folder.keep`).
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dagster_project import runlog
from dagster_project.errors import NotReconciled
from dagster_project.files import sha256_of
from dagster_project.lock import run_lock
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, current_id, is_damaged, replace_damaged, staging_folder
from dagster_project.release.scratch import run_apart


def is_current_damaged(paths: Paths, wave: str) -> bool:
    """Whether the current release of `wave` differs from its manifest, or the manifest from the log's record."""
    release = current_id(paths.current(wave))
    return release is not None and is_damaged(paths.releases(wave) / release, _recorded(paths, release))


def repair_current(paths: Paths, wave: str, with_baselines: Iterable[str]) -> None:
    """Replace the current release of `wave` by the same one, made again in an empty installation.

    `with_baselines`: the wave after the waves that it is measured against. Raises NotReconciled, naming other
    remedies, where another release would come out, and what stops a run.
    """
    release = paths.current(wave).readlink().name
    folder = paths.releases(wave) / release
    recorded = _recorded(paths, release)
    with tempfile.TemporaryDirectory(prefix="hotline-repair-") as home:
        scratch = Paths(paths.raw, Path(home))
        run_apart(scratch, with_baselines)
        made = scratch.current(wave).resolve()
        sha256 = sha256_of(made / MANIFEST)
        if made.name != release or recorded not in (None, sha256):
            raise NotReconciled(
                f"{wave}:输入或代码已变,不能修复发布 {release};可生成新的发布 / input or code have changed, so release "
                f"{release} cannot be made again; to make a new one: hotline run --wave {wave};或恢复上一个发布 / or "
                f"publish the previous one: hotline rollback --wave {wave}"
            )
        with run_lock(paths), staging_folder(folder.parent, release) as staged:
            shutil.copytree(made, staged, dirs_exist_ok=True)
            replace_damaged(staged, folder)
            runlog.record(paths, runlog.REPAIRED, wave=wave, release=release, manifest=sha256)


def _recorded(paths: Paths, release: str) -> str | None:
    try:
        return runlog.recorded_manifest(runlog.read(paths), release)
    except NotReconciled:  # a damaged log proves nothing; `hotline verify` reports it
        return None
