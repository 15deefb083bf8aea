"""XLSX behind a guard: the package is checked here, the cells are read in a child process.

Belongs here: what makes a workbook unsafe to open, and the limits on the child. Does not belong
here: what cells mean (`rows.py`), the workbook library itself (`workbook_child.py`).
"""

import importlib.util
import io
import json
import re
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.ingest.faults import Fault, FileRejected, Found, Place, shown

CHILD = Path(__file__).with_name("workbook_child.py")
OLE2 = bytes.fromhex("d0cf11e0a1b11ae1")
CHUNK = 1 << 20
# error cells, and formats of zeros only: rare, so the child looks for them only where these stand
ERROR_CELL = re.compile(rb"\st\s*=\s*[\"']e[\"']")
PADDED_FORMAT = re.compile(rb"formatCode\s*=\s*[\"']0{2,}[\"']")
NOT_UTF8 = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"'](?!(?i:utf-8|us-ascii)[\"'])")


@dataclass(frozen=True)
class Limits:
    """What one workbook may cost. 50,000 rows of 30 columns stay below a tenth of each."""

    unpacked_bytes: int = 200 << 20
    ratio: int = 100
    parts: int = 10_000
    memory_bytes: int = 3 << 30
    output_bytes: int = 512 << 20
    cpu_seconds: int = 60
    wall_seconds: int = 90


LIMITS = Limits()


def read_workbook(
    content: bytes, file: str, sheet: str | None, header_row: int, limits: Limits = LIMITS
) -> dict[str, Any]:
    """Cells of one sheet as `workbook_child.py` describes them, from the header row on.

    `sheet` None: the only sheet. Raises FileRejected where the package is unsafe, the sheet is
    not there, the library fails, or the child is killed, panics or takes too long.
    """
    has_special_cells = check_package(content, file, limits)
    task = {
        "sheet": sheet,
        "header_row": header_row,
        "has_special_cells": has_special_cells,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
        "output_bytes": limits.output_bytes,
        "library": _library(),
    }
    result = _run_child(content, file, task, limits)
    if "error" in result:
        raise _rejected(Fault.UNREADABLE, file, shown(result["error"]))
    if "columns" not in result:
        raise _rejected(Fault.NO_SHEET, file, ", ".join(map(shown, result["sheets"])) or "0")
    merged = [area for area in result["merged"] if area[2] >= header_row - 1]
    if merged:
        first = merged[0]
        raise FileRejected(
            [
                Found(
                    Fault.MERGED_CELLS, Place(file, result["sheet"], first[0] + 1), detail=", ".join(map(_area, merged))
                )
            ]
        )
    return result


def _library() -> str:
    spec = importlib.util.find_spec("python_calamine")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("python-calamine is not installed")
    return str(Path(spec.origin).parent.parent)


def _run_child(content: bytes, file: str, task: dict[str, Any], limits: Limits) -> dict[str, Any]:
    # -I -S: no environment, no site-packages but the one library; it starts in 30 ms
    command = [sys.executable, "-I", "-S", str(CHILD), json.dumps(task)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env={}
    )
    try:
        output, errors = child.communicate(content, timeout=limits.wall_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise _rejected(Fault.UNREADABLE, file, f"{limits.wall_seconds} s") from None
    if child.returncode != 0:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        ended = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
        raise _rejected(Fault.UNREADABLE, file, f"{ended} {shown(last[0])}".strip())
    result: dict[str, Any] = json.loads(output)
    return result


def check_package(content: bytes, file: str, limits: Limits = LIMITS) -> bool:
    """Refuse a package that is not safe to open. Returns whether the child must look for special cells."""
    if content.startswith(OLE2):
        raise _rejected(Fault.ENCRYPTED, file)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return _check_parts(package, len(content), file, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise _rejected(Fault.NOT_XLSX, file, shown(str(error))) from None


def _check_parts(package: zipfile.ZipFile, size: int, file: str, limits: Limits) -> bool:
    parts = package.infolist()
    if any(part.flag_bits & 1 for part in parts):
        raise _rejected(Fault.ENCRYPTED, file)
    names = [part.filename for part in parts]
    if len(names) > limits.parts or len(set(names)) < len(names):
        raise _rejected(Fault.NOT_XLSX, file, f"{len(names)} parts, {len(set(names))} names")
    if "xl/workbook.xml" not in names:
        raise _rejected(Fault.NOT_XLSX, file, "xl/workbook.xml ?")
    allowed = min(limits.unpacked_bytes, limits.ratio * size)
    _require_size(sum(part.file_size for part in parts), allowed, file)
    total, has_special_cells = 0, False
    for part in parts:
        unpacked, is_special = _check_part(package, part, allowed - total, file)
        total += unpacked
        has_special_cells |= is_special
    return has_special_cells


def _check_part(package: zipfile.ZipFile, part: zipfile.ZipInfo, allowed: int, file: str) -> tuple[int, bool]:
    """Unpack one part piece by piece: (its size, whether it has special cells). The header's size may lie."""
    is_xml = part.filename.lower().endswith((".xml", ".rels", ".vml"))
    size, tail, is_special = 0, b"", False
    with package.open(part) as stream:
        while piece := stream.read(CHUNK):
            size += len(piece)
            _require_size(size, allowed, file)
            if is_xml:
                window = tail + piece
                _check_xml(window, part.filename, size == len(piece), file)
                is_special = is_special or _is_special(part.filename, window)
                tail = window[-64:]
    return size, is_special


def _is_special(name: str, window: bytes) -> bool:
    if name == "xl/styles.xml":
        return PADDED_FORMAT.search(window) is not None
    if not name.startswith("xl/worksheets/") or (b'"e"' not in window and b"'e'" not in window):
        return False
    return ERROR_CELL.search(window) is not None


def _check_xml(window: bytes, name: str, is_start: bool, file: str) -> None:
    if b"<!DOCTYPE" in window or b"<!ENTITY" in window:
        raise _rejected(Fault.XML_DOCTYPE, file, shown(name))
    if is_start and (window[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in window[:64] or NOT_UTF8.search(window[:200])):
        raise _rejected(Fault.XML_ENCODING, file, shown(name))
    if is_start and name == "xl/workbook.xml" and b"purl.oclc.org/ooxml" in window:
        raise _rejected(Fault.STRICT_OOXML, file)


def _require_size(size: int, allowed: int, file: str) -> None:
    if size > allowed:
        raise _rejected(Fault.ZIP_BOMB, file, f"> {allowed / 2**20:.1f} MB")


def _rejected(fault: Fault, file: str, detail: str = "") -> FileRejected:
    return FileRejected([Found(fault, Place(file), detail=detail)])


def _area(area: list[int]) -> str:
    return ":".join(_cell(row, column) for row, column in (area[:2], area[2:]))


def _cell(row: int, column: int) -> str:
    letters, column = "", column + 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"
