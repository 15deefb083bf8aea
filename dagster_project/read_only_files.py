"""Files that DuckDB can read and not write: `input://<path below the state folder, or absolute>`.

DuckDB 2.0 opens an allowed folder for reading and writing alike, and lists what links in it point to.
So no folder that a model or a suite reads is allowed at all. Its files are offered by this file system,
which has no way to write, and no name for what a link leads to. Loaded when a connection asks for it.
"""

import io
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.spec import AbstractFileSystem

from dagster_project.database import INPUT, input_name


class ReadOnlyFiles(AbstractFileSystem):
    """The regular files in `folders`, by their name (`input_name`).

    Raises PermissionError for a name outside the folders, behind a link, or opened for writing.
    """

    protocol = INPUT
    cachable = False  # each connection has its own

    def __init__(self, home: Path, folders: Sequence[Path]) -> None:
        super().__init__()
        # a folder itself may be a link: to another disk, or to the current release
        self._folders = {
            PurePosixPath(input_name(folder, home).removeprefix(f"{INPUT}://")): folder.resolve()
            for folder in map(Path, folders)
        }

    def glob(self, path: str, **_: Any) -> list[str]:
        """Names of the files that match, sorted."""
        name, folder, pattern = self._located(path)
        found = folder.glob(str(pattern)) if pattern.parts else iter([folder])
        names = (each.relative_to(folder) for each in found if each.is_file() and each.resolve() == each)
        return sorted(f"{INPUT}://{name / each.as_posix()}" for each in names)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        status = self._file(path).stat()
        return {"name": path, "size": status.st_size, "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self._file(path).stat().st_mtime, UTC)

    def exists(self, path: str, **_: Any) -> bool:
        return self._file(path).is_file()

    def open(self, path: str, mode: str = "rb", **_: Any) -> "_SharedFile":
        if mode != "rb":
            raise PermissionError(f"输入文件只读 / input files are read only: {path}")
        return _SharedFile(self._file(path))

    def _file(self, path: str) -> Path:
        _, folder, rest = self._located(path)
        file = folder / rest
        if file.resolve() != file:
            raise PermissionError(f"不读取链接指向的文件 / what a link points to is not read: {path}")
        return file

    def _located(self, path: str) -> tuple[PurePosixPath, Path, PurePosixPath]:
        """(name of the folder, the folder, the rest of the path)."""
        relative = PurePosixPath(path.removeprefix(f"{INPUT}://"))
        for name, folder in self._folders.items():
            if relative.is_relative_to(name) and ".." not in relative.parts:
                return name, folder, relative.relative_to(name)
        raise PermissionError(f"不是本步骤的输入 / not an input of this step: {path}")


class _SharedFile(io.RawIOBase):
    """A file that several threads read at once, each by `seek` and `read`, as DuckDB does with one handle.

    A position that a thread has sought is its own until it reads. A read without one goes on where the last read
    of any thread ended.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size
        self._position = 0
        self._guard = threading.Lock()
        self._sought = threading.local()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(getattr(self._sought, "position", self._position))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}[whence]
        self._sought.position = start + offset
        return start + offset

    def read(self, size: int | None = -1, /) -> bytes:
        if hasattr(self._sought, "position"):
            position = int(self._sought.position)
            del self._sought.position
            content = self._read_at(position, size)
            with self._guard:
                self._position = position + len(content)
            return content
        with self._guard:
            content = self._read_at(self._position, size)
            self._position += len(content)
            return content

    def _read_at(self, position: int, size: int | None) -> bytes:
        """Up to `size` bytes, fewer at the end of the file only; None or a negative number: to the end."""
        wanted = max(0, self._size - position) if size is None or size < 0 else size
        pieces = []
        while wanted and (piece := os.pread(self._descriptor, wanted, position)):
            pieces.append(piece)
            position, wanted = position + len(piece), wanted - len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
