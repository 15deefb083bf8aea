"""Append-only records, each bound to the one before by its hash: one JSON object per line.

Belongs here: writing and proving such a file. Does not belong here: what is recorded (the ledger of
corrections, the log of runs). Callers hold the installation (`lock.run_lock`) while they append.

A changed, removed or inserted line breaks the chain from there on. Lines cut off at the end do not;
what the last line must be is recorded elsewhere: the log records the head of every ledger, and
`log.head` that of the log (`journal.py`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dagster_project.errors import NotReconciled
from dagster_project.files import replace_files

FIRST = "0" * 64  # what the first record follows


def read(path: Path) -> list[dict[str, Any]]:
    """The records in their order, each with `previous` and `hash`; none where the file is not there.

    Raises NotReconciled, naming file and line, at the first that does not follow from the one before.
    """
    if not path.exists():
        return []
    if not path.is_file():
        raise NotReconciled(f"{path.name} 不是文件 / is not a file: {path}")
    records: list[dict[str, Any]] = []
    previous = FIRST
    # bytes: a damaged one need not be a character
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        record = _record(line)
        if record is None or record.get("previous") != previous or _line(record) != line + b"\n":
            raise NotReconciled(
                f"{path.name} 第 {number} 行被改动,或其前有行缺失 / line {number} was changed, or one before it is "
                "missing"
            )
        records.append(record)
        previous = record["hash"]
    if lines[-1]:
        raise NotReconciled(f"{path.name} 第 {len(lines)} 行不完整 / line {len(lines)} is incomplete")
    return records


def head(path: Path) -> str | None:
    """Hash of the last record; None where there is none. Raises what `read` raises."""
    records = read(path)
    return records[-1]["hash"] if records else None


def append(path: Path, *entries: Mapping[str, Any]) -> str | None:
    """Add the entries as records, all or none, and return the new head. Raises what `read` raises.

    The file is written beside and renamed: a crash leaves the old one or the new one.
    """
    previous = head(path) or FIRST
    content = path.read_bytes() if path.exists() else b""
    lines, last = _lines(previous, entries)
    if entries:
        replace_files({path: content + lines})
    return None if last == FIRST else last


def next_head(previous: str | None, *entries: Mapping[str, Any]) -> str | None:
    """Returns the head that a file with the head `previous` gets when the entries are appended; writes nothing."""
    _, last = _lines(previous or FIRST, entries)
    return None if last == FIRST else last


def _lines(previous: str, entries: Iterable[Mapping[str, Any]]) -> tuple[bytes, str]:
    """Returns the lines of the entries that follow the record `previous`, and the hash of the last record."""
    lines = b""
    for entry in entries:
        line = _line({**entry, "previous": previous})
        lines += line
        previous = json.loads(line)["hash"]
    return lines, previous


def _line(record: Mapping[str, Any]) -> bytes:
    """The one way to write a record: keys in order of the alphabet, the hash of all others last."""
    text = _json({name: value for name, value in record.items() if name != "hash"})
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-1]}, "hash": "{digest}"}}\n'.encode()


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True, allow_nan=False)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return record if isinstance(record, dict) else None
