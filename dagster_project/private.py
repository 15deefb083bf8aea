"""Who may read the state folder: its owner, and the owner's group where `HOTLINE_GROUP_READ=1` asks for it.

Belongs here: modes of the folder and of what is made in it. Does not belong here: the folder of exports, whose
owner decides (docs/security.md).
"""

import logging
import os
import stat
from pathlib import Path

from dagster_project.paths import group_may_read

logger = logging.getLogger("hotline")


def keep_new_files_private() -> None:
    """Let nobody else read what this process and its children make from now on."""
    os.umask(0o777 & ~_folder_mode())


def make_private(home: Path) -> None:
    """Make the state folder where it does not exist, with the modes that it must have."""
    if not home.exists():
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(_folder_mode())


def keep_private(home: Path) -> None:
    """Change the modes of the state folder where others may read it, or the group may not that was asked for.

    To be called with the installation held. The folder of another user stays as it is.
    """
    found, mode = _modes(home)
    if found == mode or home.stat().st_uid != os.geteuid():
        return
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            _allow(Path(folder, name))
    # last: until then, the next command does the rest of what a killed one has left
    _allow(home)
    before, now = f"{found:04o}", f"{mode:04o}"
    logger.warning(
        f"状态目录权限由 {before} 改为 {now} / the state folder had mode {before}, now it has {now} (docs/security.md)"
    )


def is_private(home: Path) -> bool:
    """Whether nobody may read the folder but its owner, and the group where that was asked for."""
    return not stat.S_IMODE(home.stat().st_mode) & 0o777 & ~_folder_mode()


def _allow(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:  # removed meanwhile, by a UI that is open
        return
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.geteuid():
        return
    found, wanted = _modes(path)
    if found != wanted:
        path.chmod(stat.S_IMODE(status.st_mode) & ~0o777 | wanted)


def _modes(path: Path) -> tuple[int, int]:
    """(who may do what now, and who shall): the owner as before, the group to read where that is asked for."""
    found = path.stat().st_mode & 0o777
    return found, found & 0o700 | (found & 0o500) >> 3 & _folder_mode()


def _folder_mode() -> int:
    return 0o750 if group_may_read() else 0o700
