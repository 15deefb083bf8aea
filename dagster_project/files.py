"""Files on disk, hashed and replaced in the one way that every step uses.

Belongs here: what is true of any file. Does not belong here: which files, and what they mean.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger("hotline")

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
DAMAGED = "damaged"  # below the state folder: what could not be read and cannot be made again
SEAL = "sha256"  # of everything else in a sealed file
# Libraries repeat the system's words; SQLite has its own.
REFUSING_WORDS = (
    *map(os.strerror, REFUSED),
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
)


def sha256_of(path: Path) -> str:
    # piece by piece: an export or the observations of a wave may be larger than the memory
    with open(path, "rb", opener=_without_waiting) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _without_waiting(path: str, flags: int) -> int:
    """Opener under which a named pipe in a folder of exports is empty, instead of holding whoever looks at it."""
    return os.open(path, flags | os.O_NONBLOCK)


def files_digest(files: Iterable[Path], root: Path | None = None) -> str:
    """SHA-256 over names (below `root`, or bare) and contents, whatever the order in which they are given."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix() if root else path.name, path) for path in files):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def replace_files(contents: Mapping[Path, bytes], staged: Iterable[Path] = ()) -> None:
    """Write all beside their targets, then rename all: a failure while writing changes nothing.

    `staged`: other targets, whose content somebody has written to their `staged_file` already.
    """
    targets = [*staged, *contents]
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            with staged_file(target).open("wb" if target in contents else "rb+") as stream:
                stream.write(contents.get(target, b""))
                stream.flush()
                os.fsync(stream.fileno())
        for target in targets:
            staged_file(target).replace(target)
    finally:
        for target in targets:
            staged_file(target).unlink(missing_ok=True)
    for folder in {target.parent for target in targets}:
        flush_folder(folder)


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with its own SHA-256, by which `read_sealed` finds any changed byte."""
    content = json.loads(json.dumps(content, allow_nan=False))  # as it will be read
    sealed = {**content, SEAL: _seal(content)}
    replace_files({path: (json.dumps(sealed, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()})


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The content that `write_sealed` wrote; None where the file is missing, of another form, or damaged (warned)."""
    try:
        content = json.loads(path.read_bytes())
        seal = content.pop(SEAL, None)
        is_whole = seal is None or seal == _seal(content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (IsADirectoryError, ValueError, AttributeError, TypeError, RecursionError):
        is_whole, seal = False, None
    if not is_whole:
        logger.warning("%s 已损坏,将重新生成 / is damaged and is made again", path)
    return content if is_whole and seal is not None else None


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def set_aside(home: Path, *found: Path) -> Path:
    """Move files and folders below `home` to `damaged/<UTC time>/`, under the names that they had; returns that."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    kept = home / DAMAGED / stamp
    number = 1
    while kept.exists():
        number += 1
        kept = home / DAMAGED / f"{stamp}-{number}"
    for path in found:
        target = kept / path.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return kept


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def staged_file(target: Path) -> Path:
    """Where the content of a file waits until it takes its place."""
    return target.with_name(f".{target.name}.new")


def flush(path: Path) -> None:
    """Make a file's content last through a power cut."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(error: BaseException) -> str | None:
    """Why the system would not store or give something: disk full, read-only, no permission. None for other failures.

    Whoever raised it may have wrapped what the system said: each in the chain of causes is asked.
    """
    for each in causes(error):
        if isinstance(each, OSError) and each.errno in REFUSED:
            return f"{os.strerror(each.errno)}: {each.filename}" if each.filename else os.strerror(each.errno)
        for words in REFUSING_WORDS:
            if words in str(each):
                return words
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, each once: an error that is raised again can be among its own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
