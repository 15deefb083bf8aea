"""The log as a journal: a record, and the change that it records, are made together or not at all.

Belongs here: appending to `log.jsonl` and keeping `log.head`. Does not belong here: what is recorded (`runlog.py`).

`log.head` holds the hash and the number of the last record, so that a log that is deleted, cut off or
rewritten is found. While a record is appended, `log.pending` holds that record and the change that belongs to
it (entries of a ledger, a link `current`), and `log.head` the SHA-256 of that file. Whoever reads the log after a
crash completes both. So no single file that somebody edits can have a record completed.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dagster_project import chain
from dagster_project.errors import NotReconciled
from dagster_project.files import replace_files
from dagster_project.lock import append_lock
from dagster_project.paths import Paths
from dagster_project.release.folder import switch

logger = logging.getLogger("hotline")
Record = dict[str, Any]
NUMBER = "record"  # of a record, from 1: a record with a number was written together with `log.head`


@dataclass(frozen=True)
class LedgerChange:
    """Entries that follow the record `previous` of the wave's ledger (None: they are the first)."""

    wave: str
    previous: str | None
    entries: list[Record]

    @property
    def head(self) -> str | None:
        return chain.next_head(self.previous, *self.entries)

    def apply(self, paths: Paths) -> None:
        """Append the entries, unless the ledger has them. Raises NotReconciled where it has others."""
        ledger = paths.ledger(self.wave)
        found = chain.head(ledger)
        if found == self.head:
            return
        if found != self.previous:
            raise NotReconciled(
                f"raw/{self.wave}/corrections/{ledger.name} 在写入时被改动,请从备份恢复 / was changed while a command "
                "appended to it; restore it from a copy"
            )
        chain.append(ledger, *self.entries)


@dataclass(frozen=True)
class LinkChange:
    """`current` of a wave's releases or reports (`of`) points at the folder `target`."""

    of: str
    wave: str
    target: str

    def apply(self, paths: Paths) -> None:
        folder = {"releases": paths.releases, "reports": paths.reports}[self.of](self.wave)
        switch(folder / self.target)


Change = LedgerChange | LinkChange
KINDS: dict[str, type[LedgerChange] | type[LinkChange]] = {"ledger": LedgerChange, "link": LinkChange}


def read(paths: Paths) -> list[Record]:
    """Returns the records of the log in their order, after completing what a crash interrupted.

    Raises NotReconciled where a record was changed, where records are missing at the end, and where the log
    or `log.head` was deleted or replaced.
    """
    if paths.log_lock.is_file():
        with _read_lock(paths):
            if not _is_interrupted(paths):
                return _require_head(paths)
    elif not _is_interrupted(paths):  # nothing was appended yet, or by an older version only
        return _require_head(paths)
    with append_lock(paths.log_lock):
        return _completed(paths)


def append(
    paths: Paths,
    entry: Mapping[str, Any],
    change: Change | None = None,
    unless: Callable[[list[Record]], bool] = lambda _: False,
) -> None:
    """Append a record to the log and make the change that it records. Raises what `read` raises.

    `unless`: called with the records so far; returns whether the new one is not needed.
    """
    with append_lock(paths.log_lock):
        records = _completed(paths)
        if unless(records):
            return
        numbered = {**entry, NUMBER: len(records) + 1}
        pending = _json_line({"record": numbered, "change": _stored(change)})
        replace_files({paths.log_pending: pending})
        _write_head(paths, _last(records), len(records), hashlib.sha256(pending).hexdigest())
        _complete(paths, records, numbered, change)


@contextlib.contextmanager
def _read_lock(paths: Paths) -> Iterator[None]:
    """Held while nobody appends, which takes milliseconds; the file is not written."""
    with paths.log_lock.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def _completed(paths: Paths) -> list[Record]:
    """Returns the records; completes an interrupted append first. Needs the exclusive lock."""
    if _is_interrupted(paths):
        head = _head(paths)
        records = chain.read(paths.log)
        pending = _pending(paths, head["pending"])
        if records and chain.next_head(head["hash"], pending["record"]) == records[-1]["hash"]:
            records = records[:-1]
        _require_last(paths, head, records)
        _complete(paths, records, pending["record"], _restored(pending["change"]))
        # reported: somebody who writes both files can have a record completed that no command began
        logger.warning(
            "%s:已补记上次中断的记录 %s / completed the interrupted record %s",
            paths.log.name, *[f"{pending['record'].get('event')} {pending['record'].get('wave') or ''}".strip()] * 2,
        )  # fmt: skip
    return _require_head(paths)


def _complete(paths: Paths, records: list[Record], numbered: Record, change: Change | None) -> None:
    """Make what `log.head` announces. May be repeated after a crash at any moment."""
    head = chain.head(paths.log)
    if head == _last(records):
        head = chain.append(paths.log, numbered)
    if change is not None:
        change.apply(paths)
    _write_head(paths, head, len(records) + 1, None)
    paths.log_pending.unlink(missing_ok=True)


def _last(records: list[Record]) -> str | None:
    return records[-1]["hash"] if records else None


def _is_interrupted(paths: Paths) -> bool:
    return paths.log_head.exists() and _head(paths)["pending"] is not None


def _require_head(paths: Paths) -> list[Record]:
    records = chain.read(paths.log)
    if paths.log_head.exists():
        _require_last(paths, _head(paths), records)
    elif records and NUMBER in records[-1]:
        raise NotReconciled(_not_together(paths, f"{paths.log_head.name} 缺失 / is missing"))
    return records


def _require_last(paths: Paths, head: Record, records: list[Record]) -> None:
    last = _last(records)
    if (head["hash"], head["records"]) != (last, len(records)):
        raise NotReconciled(
            _not_together(
                paths,
                f"{paths.log.name} 有 {len(records)} 条记录,{paths.log_head.name} 所记为第 {head['records']} 条 "
                f"{head['hash']} / {paths.log.name} has {len(records)} records and ends with {last}; "
                f"{paths.log_head.name} names record {head['records']}, {head['hash']}",
            )
        )


def _not_together(paths: Paths, what: str) -> str:
    return (
        f"{what};日志被删除、截断或替换,请从同一备份恢复 {paths.log.name} 与 {paths.log_head.name} / the log was "
        f"deleted, cut off or replaced; restore {paths.log.name} and {paths.log_head.name} from the same copy"
    )


def _head(paths: Paths) -> Record:
    try:
        head = json.loads(paths.log_head.read_bytes())
        if set(head) != {"hash", "records", "pending"}:
            raise ValueError("not the head of a log")
        if not isinstance(head["pending"], str | None):
            raise ValueError("not the hash of an interrupted record")
    except (ValueError, TypeError, IsADirectoryError) as error:
        raise NotReconciled(
            _not_together(paths, f"{paths.log_head.name} 不能读取 / cannot be read: {error}")
        ) from error
    return dict(head)


def _pending(paths: Paths, sha256: str) -> Record:
    """Returns the interrupted record and its change. Raises NotReconciled where they are not those of the hash."""
    try:
        content = paths.log_pending.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("another content")
        pending = json.loads(content)
        _restored(pending["change"])
        chain.next_head(None, pending["record"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise NotReconciled(
            f"{paths.log_head.name} 所记的中断记录不在 {paths.log_pending.name} 中,"
            f"请从同一备份恢复 {paths.log.name} 与 {paths.log_head.name}"
            f" / the interrupted record that {paths.log_head.name} names is not in "
            f"{paths.log_pending.name}; restore {paths.log.name} and {paths.log_head.name} from the same copy: {error}"
        ) from error
    return dict(pending)


def _write_head(paths: Paths, last: str | None, n_records: int, pending: str | None) -> None:
    replace_files({paths.log_head: _json_line({"hash": last, "records": n_records, "pending": pending})})


def _json_line(content: Record) -> bytes:
    return (json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _stored(change: Change | None) -> Record | None:
    if change is None:
        return None
    (kind,) = (name for name, each in KINDS.items() if isinstance(change, each))
    return {"kind": kind, **asdict(change)}


def _restored(stored: Record | None) -> Change | None:
    if stored is None:
        return None
    return KINDS[stored["kind"]](**{name: value for name, value in stored.items() if name != "kind"})
