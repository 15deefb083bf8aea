"""What is done to a ledger: add, approve, withdraw, accept. Each holds the installation and appends all or none.

Does not belong here: the rules (`ledger.py`, `request.py`, `overlay.py`), the words of the command
line (`commands.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dagster_project import runlog
from dagster_project.corrections.ledger import APPROVED, PENDING, VERSION, Correction, Ledger, Refused, read_ledger
from dagster_project.corrections.overlay import lay_over
from dagster_project.corrections.people import APPROVE, ASK, Actor, actor
from dagster_project.corrections.request import Request, possible
from dagster_project.errors import InputRejected, UsageError
from dagster_project.ingest.bronze import keyed_fields, known_codes, standing_rows
from dagster_project.ingest.faults import reject
from dagster_project.ingest.personal import found_in
from dagster_project.ingest.profile import normal
from dagster_project.ingest.wave import Wave, load_wave
from dagster_project.journal import LedgerChange
from dagster_project.lock import run_lock
from dagster_project.paths import Paths
from dagster_project.release.recorded import require_recorded, unrecorded_lines
from dagster_project.schema import EXPORT_TABLES

Progress = Callable[[str], None]


def add(
    paths: Paths, wave_id: str, requests: Sequence[Request], by: str, progress: Progress = lambda _: None
) -> tuple[list[Correction], list[str]]:
    """(the corrections that now wait for approval, what their rows would still lack then).

    Raises InputRejected with every fault of every request, each with its place.
    """
    asker = actor(paths, by, ASK)
    with _open_ledger(paths, wave_id) as (wave, ledger):
        named = {each.values[kind] or "" for each in requests for kind in ("probe", "attempt")}
        named |= {each.target for each in ledger.of_state(PENDING)}
        tables = standing_rows(paths, wave, named, progress)
        wanted, faults = possible(requests, tables, known_codes(tables))
        entries, messages = [], [text for texts in faults.values() for text in texts]
        keyed = keyed_fields(paths, wave)
        messages += [
            each.request.fault(
                "field", f"{each.field} 只留密钥值,不可更正 / only a key is kept of it; it stays as it is"
            )
            for each in wanted
            if (each.table, each.field) in keyed
        ]
        for each in [] if messages else wanted:
            entry: dict[str, Any] = {
                "entry": "add", "id": ledger.next_id(), "table": each.table, "target": each.target,
                "field": each.field, "expect": each.expect, "to": each.to, "reason": each.reason,
                "evidence_sha256": each.evidence_sha256, **_signed(asker),
            }  # fmt: skip
            try:
                ledger.take(entry)
            except Refused as refused:
                messages.append(each.request.fault("field", str(refused)))
            entries.append(entry)
        if messages:
            reject(f"{wave_id}/corrections", messages)
        _append(paths, wave_id, ledger, "add", entries)
        added = [ledger.corrections[entry["id"]] for entry in entries]
        rows = {(each.table, each.target) for each in added}
        waiting = [each for each in ledger.of_state(PENDING) if (each.table, each.target) in rows]
        return added, _faults(tables, waiting)


def approve(
    paths: Paths,
    wave_id: str,
    ids: Sequence[str],
    by: str,
    progress: Progress = lambda _: None,
    same_account_because: str | None = None,
) -> list[Correction]:
    """Make pending corrections effective, or corrections withdrawn whose withdrawal was requested.

    Args:
        same_account_because: why the same account of the operating system asks and approves; the ledger keeps it.

    Returns:
        The corrections as they are now.

    Raises:
        InputRejected: one may not be approved, or the rows of the corrections would not be valid.
    """
    approver = actor(paths, by, APPROVE)
    because = None if same_account_because is None else normal(same_account_because)
    if because is not None and found_in(because):
        raise InputRejected("--same-account-because: 含有个人信息,请改写 / it holds personal data; write it otherwise")
    with _open_ledger(paths, wave_id) as (wave, ledger):
        entries = [
            {"entry": "approve", "id": each, "same_account_because": because, **_signed(approver)}
            for each in _latest_first(ids, ledger)
        ]
        taken = _taken(wave_id, ledger, entries)
        approved = [each for each in taken if each.state == APPROVED]
        if approved and len(approved) < len(taken):
            raise InputRejected(
                f"{wave_id}/corrections: 更正与撤回须分别批准 / approve corrections and withdrawals separately"
            )
        # rows are not read for a withdrawal: it may be what an export needs to be read again
        faults = (
            _faults(standing_rows(paths, wave, {each.target for each in approved}, progress), approved)
            if approved
            else []
        )
        if faults:
            reject(f"{wave_id}/corrections", faults)
        _append(paths, wave_id, ledger, "approve", entries)
        return taken


def withdraw(paths: Paths, wave_id: str, ids: Sequence[str], by: str, reason: str) -> list[Correction]:
    """Withdraw pending corrections, and request it of approved ones, the latest first.

    Returns the corrections as they are now: a requested withdrawal changes nothing before another person approves
    it. Raises InputRejected where one may not be withdrawn.
    """
    person, reason = actor(paths, by, ASK, APPROVE), normal(reason)
    if found_in(reason):
        reject(f"{wave_id}/corrections", ["reason: 含有个人信息,请删去 / holds personal data; remove it"])
    with _open_ledger(paths, wave_id) as (_, ledger):
        entries = [
            {"entry": "withdraw", "id": each, "reason": reason, **_signed(person)}
            for each in sorted(dict.fromkeys(ids), key=_number, reverse=True)
        ]
        withdrawn = _taken(wave_id, ledger, entries)
        _append(paths, wave_id, ledger, "withdraw", entries)
        return withdrawn


def accept(paths: Paths, wave_id: str, by: str, reason: str) -> list[int]:
    """Record in the log the entries of the ledger that another installation made. Returns the numbers of their lines.

    Raises InputRejected where the person may not approve, UsageError where the log knows every entry, NotReconciled
    where the ledger lacks an entry that was recorded.
    """
    person, reason = actor(paths, by, APPROVE), normal(reason)
    if found_in(reason):
        raise InputRejected("--reason: 含有个人信息,请改写 / it holds personal data; write it otherwise")
    with run_lock(paths):
        ledger = read_ledger(paths, load_wave(paths, wave_id).id)
        lines = unrecorded_lines(paths, wave_id, runlog.read(paths))
        if not lines:
            raise UsageError(f"{wave_id}:台账的全部条目均已记录 / the log knows every entry of the ledger")
        runlog.record(
            paths, runlog.ACCEPTED, wave=wave_id, lines=lines, ledger_head=ledger.head, accepted_by=person.by,
            person=person.person, account=person.account, reason=reason,
        )  # fmt: skip
        return lines


def _append(paths: Paths, wave_id: str, ledger: Ledger, action: str, entries: Sequence[dict[str, Any]]) -> None:
    """Append the entries to the ledger, and to the log what was done and the ledger's new head: both or neither."""
    change = LedgerChange(wave_id, ledger.head, [*entries])
    ids = [entry["id"] for entry in entries]
    runlog.record(paths, runlog.CORRECTION, change, wave=wave_id, action=action, ids=ids, ledger_head=change.head)


def _latest_first(ids: Sequence[str], ledger: Ledger) -> list[str]:
    """The ids, each once; withdrawals with the latest first, since an earlier correction is what a later builds on."""
    distinct = list(dict.fromkeys(ids))
    requested = {each.id for each in ledger.corrections.values() if each.is_withdrawal_requested}
    return sorted(distinct, key=_number, reverse=True) if requested.issuperset(distinct) else distinct


def _number(correction_id: str) -> tuple[int, str]:
    return len(correction_id), correction_id


@contextmanager
def _open_ledger(paths: Paths, wave_id: str) -> Iterator[tuple[Wave, Ledger]]:
    """The wave and its ledger, held against runs.

    Raises InputRejected where the wave is closed, NotReconciled where the wave is not as the log recorded it.
    """
    with run_lock(paths):
        wave = load_wave(paths, wave_id)
        if wave.is_closed:
            raise InputRejected(
                f"{wave_id}/wave.yml: closed: 申诉期已过,本期不再更改 / the period for appeals is over; nothing of the "
                "wave is changed any more"
            )
        require_recorded(paths, wave_id)
        yield wave, read_ledger(paths, wave_id)


def _taken(wave_id: str, ledger: Ledger, entries: Sequence[dict[str, Any]]) -> list[Correction]:
    taken, faults = [], []
    for entry in entries:
        try:
            taken.append(ledger.take(entry))
        except Refused as refused:
            faults.append(str(refused))
    if faults:
        reject(f"{wave_id}/corrections", faults)
    return taken


def _faults(tables: dict[str, Any], corrections: Sequence[Correction]) -> list[str]:
    """What would stand against the corrections if they were laid over the tables."""
    known = known_codes(tables)
    return [
        fault
        for name, table in EXPORT_TABLES.items()
        for fault in lay_over(table, tables[name], [each for each in corrections if each.table == name], known).faults
    ]


def _signed(who: Actor) -> dict[str, Any]:
    """The keys of an entry that say who made it, and when."""
    return {
        "version": VERSION, "by": who.by, "person": who.person, "account": who.account,
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
    }  # fmt: skip
