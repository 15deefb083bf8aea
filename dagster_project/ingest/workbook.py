"""XLSX behind a guard: the package is checked here, the cells are read in a child process.

Belongs here: what makes a workbook unsafe to open, and the limits on the child. Does not belong
here: what cells mean (`rows.py`), the workbook library itself (`workbook_child.py`).
"""

import importlib.util
import io
import itertools
import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.ingest.faults import Fault, FileRejected, Found, Place, shown

CHILD = Path(__file__).with_name("workbook_child.py")
OLE2 = bytes.fromhex("d0cf11e0a1b11ae1")
ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")  # what an XLSX with a password has; an old .xls has not
# The parts that the library opens for whatever sheet, in lower case.
ALWAYS_READ = {"xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/sharedstrings.xml", "xl/styles.xml"}
CHUNK = 1 << 20
# error cells, formulas, and formats of zeros only: rare, so the child looks for them only where these stand
ERROR_CELL = re.compile(rb"\st\s*=\s*[\"']e[\"']")
PADDED_FORMAT = re.compile(rb"formatCode\s*=\s*[\"']0{2,}[\"']")
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
# how a child without memory ends: Rust's two ways and Python's
OUT_OF_MEMORY = re.compile(r"memory allocation of \d+ bytes failed|capacity overflow|MemoryError")
MAX_TOLD = 10
NOT_UTF8 = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"'](?!(?i:utf-8|us-ascii)[\"'])")


@dataclass(frozen=True)
class Limits:
    """What one workbook may cost: two at once stay below 2 GB, and each below 30 s of processor time.

    `wall_seconds` ends a child that waits for ever; it leaves room for a machine that is busy.

    100,000 rows of 32 columns, twenty times an annual wave, take 680 MB and 7 s; with every text in its own cell
    in place of the table of shared texts, they are refused.
    """

    unpacked_bytes: int = 200 << 20
    ratio: int = 100
    parts: int = 10_000
    memory_bytes: int = 768 << 20
    output_bytes: int = 96 << 20
    cpu_seconds: int = 20
    wall_seconds: int = 300


LIMITS = Limits()


def read_workbook(
    content: bytes, file: str, sheet: str | None, header_row: int, limits: Limits = LIMITS
) -> dict[str, Any]:
    """Cells of one sheet as `workbook_child.py` describes them, from the header row on.

    `sheet` None: the only sheet. Raises FileRejected where the package is unsafe, the sheet is
    not there, the library fails, or the child is killed, panics or takes too long.
    """
    package = check_package(content, file, limits)
    task = {
        "sheet": sheet,
        "header_row": header_row,
        "has_special_cells": package.has_special_cells,
        "unsafe_parts": list(package.unsafe_parts),
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
        "output_bytes": limits.output_bytes,
        "library": _library(),
    }
    result = _run_child(content, file, task, limits)
    if "error" in result:
        raise _failed(file, result["error"])
    if "unsafe" in result:
        raise _rejected(package.unsafe_parts[result["unsafe"]], file, shown(result["unsafe"]))
    if "misread" in result:
        raise _rejected(Fault.MISREAD_CELLS, file, shown(result["misread"]))
    if "columns" not in result:
        raise _rejected(Fault.NO_SHEET, file, _first(map(shown, result["sheets"])) or "0")
    merged = [area for area in result["merged"] if area[2] >= header_row - 1]
    if merged:
        first = merged[0]
        raise FileRejected(
            [Found(Fault.MERGED_CELLS, Place(file, result["sheet"], first[0] + 1), detail=_first(map(_area, merged)))]
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
        said = errors.decode("utf-8", "replace")
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith("note: ")]
        ended = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
        memory = OUT_OF_MEMORY.search(said)
        raise _failed(file, f"{ended} {memory[0] if memory else ''.join(lines[-1:])}".strip())
    result: dict[str, Any] = json.loads(output)
    return result


def _failed(file: str, told: str) -> FileRejected:
    """How the child ended or what the library said, as a fault."""
    is_too_large = OUT_OF_MEMORY.search(told) is not None
    return _rejected(Fault.SHEET_TOO_LARGE if is_too_large else Fault.UNREADABLE, file, shown(told))


def _first(texts: Iterable[str]) -> str:
    """The first texts as one; more would bury the message."""
    first = list(itertools.islice(texts, MAX_TOLD + 1))
    return ", ".join(first[:MAX_TOLD] + ["…"] * (len(first) > MAX_TOLD))


@dataclass
class Package:
    """What the parts of a workbook hold, as far as it decides how the child reads one sheet.

    `unsafe_parts`: XML that must not be read, by name. `has_special_cells`: whether a sheet may have error
    cells, formulas or numbers padded with zeros.
    """

    has_special_cells: bool = False
    unsafe_parts: dict[str, Fault] = field(default_factory=dict)


def check_package(content: bytes, file: str, limits: Limits = LIMITS) -> Package:
    """Refuse a package that is not safe to open.

    XML that only some sheet needs is not refused here: most parts of a package are never read (`customXml` of
    Power Query is UTF-16). `read_workbook` refuses the sheet whose own part is unsafe.
    """
    if content.startswith(OLE2):
        raise _rejected(Fault.ENCRYPTED if ENCRYPTED_STREAM in content else Fault.OLD_XLS, file)
    n_entries = content.count(b"PK\x01\x02")
    if n_entries > limits.parts:
        raise _rejected(Fault.NOT_XLSX, file, f"{n_entries} parts")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return _check_parts(package, len(content), file, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise _rejected(Fault.NOT_XLSX, file, shown(str(error))) from None


def _check_parts(package: zipfile.ZipFile, size: int, file: str, limits: Limits) -> Package:
    parts = package.infolist()
    if any(part.flag_bits & 1 for part in parts):
        raise _rejected(Fault.ENCRYPTED, file)
    # any other method unpacks without a bound on what one read may yield
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise _rejected(Fault.NOT_XLSX, file, "compress_type")
    names = [part.filename for part in parts]
    # names that differ in case alone are one part to some readers
    n_distinct = len({name.casefold() for name in names})
    if len(names) > limits.parts or n_distinct < len(names):
        raise _rejected(Fault.NOT_XLSX, file, f"{len(names)} parts, {n_distinct} names")
    if "xl/workbook.xml" not in names:
        raise _rejected(Fault.NOT_XLSX, file, "xl/workbook.xml ?")
    allowed = min(limits.unpacked_bytes, limits.ratio * size)
    _require_size(sum(part.file_size for part in parts), allowed, file)
    total, checked = 0, Package()
    for part in parts:
        total += _check_part(package, part, allowed - total, file, checked)
    for name, fault in checked.unsafe_parts.items():
        if name.casefold() in ALWAYS_READ:
            raise _rejected(fault, file, shown(name))
    return checked


def _check_part(package: zipfile.ZipFile, part: zipfile.ZipInfo, allowed: int, file: str, checked: Package) -> int:
    """Unpack one part piece by piece and note in `checked` what it holds. Returns its size: the header's may lie."""
    size, tail = 0, b""
    with package.open(part) as stream:
        while piece := stream.read(CHUNK):
            size += len(piece)
            _require_size(size, allowed, file)
            window = tail + piece
            fault = _xml_fault(window, part.filename, size == len(piece))
            if fault is not None:
                checked.unsafe_parts.setdefault(part.filename, fault)
            checked.has_special_cells = checked.has_special_cells or _is_special(part.filename, window)
            tail = window[-64:]
    return size


def _is_special(name: str, window: bytes) -> bool:
    if name == "xl/styles.xml":
        return PADDED_FORMAT.search(window) is not None
    if name.casefold() in ALWAYS_READ:
        return False
    has_error = (b'"e"' in window or b"'e'" in window) and ERROR_CELL.search(window) is not None
    return has_error or ((b"<f" in window or b":f" in window) and FORMULA.search(window) is not None)


def _xml_fault(window: bytes, name: str, is_start: bool) -> Fault | None:
    """What forbids reading a part as XML, whatever its name: a sheet's may be any."""
    if b"<!DOCTYPE" in window or b"<!ENTITY" in window:
        return Fault.XML_DOCTYPE
    if is_start and (window[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in window[:64] or NOT_UTF8.search(window[:200])):
        return Fault.XML_ENCODING
    if is_start and name == "xl/workbook.xml" and b"purl.oclc.org/ooxml" in window:
        return Fault.STRICT_OOXML
    return None


def _require_size(size: int, allowed: int, file: str) -> None:
    if size > allowed:
        raise _rejected(Fault.ZIP_BOMB, file, f"> {allowed / 2**20:.1f} MB")


def _rejected(fault: Fault, file: str, detail: str = "") -> FileRejected:
    return FileRejected([Found(fault, Place(file), detail=detail)])


def _area(area: list[int]) -> str:
    return ":".join(_cell(row, column) for row, column in (area[:2], area[2:]))


def _cell(row: int, column: int) -> str:
    return f"{column_letters(column)}{row + 1}"


def column_letters(column: int) -> str:
    """A column, counted from 0, as Excel names it: 27 is AB."""
    letters, column = "", column + 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
