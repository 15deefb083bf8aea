"""The ledger of a wave: what its chain of records says about every correction, and what may follow.

Belongs here: the form of an entry and the rules between entries. Does not belong here: whether a
value may stand where it is to be put (`overlay.py`), who holds the installation (`acts.py`).

Entries, each bound to the one before (`chain.py`); every value is text as bronze would show it, or null:
  add       id, table, target, field, expect, to, reason, evidence_sha256, by, at
  approve   id, by, at, same_account_because    of a pending correction, or of a requested withdrawal
  withdraw  id, reason, by, at                  withdraws a pending correction; requests it of an approved one

Each has `version` 2, `person` (the id in raw/people.csv, or null) and `account` (of the operating system) too.
Entries of version 1 have none of these, nor `same_account_because`; they were written before two persons were
needed to withdraw an approved correction, and keep their meaning. None may follow one of version 2.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from dagster_project import chain, runlog
from dagster_project.corrections.names import (
    DECLARE,
    DECLARE_EN,
    cannot_be_told_apart,
    comparison_fault,
    name_fault,
    skeleton,
)
from dagster_project.errors import Damaged, InputRejected, NotReconciled
from dagster_project.ingest.faults import shown
from dagster_project.ingest.rows import INVISIBLE
from dagster_project.paths import Paths
from dagster_project.release.folder import current_id, read_manifest
from dagster_project.schema import EXPORT_TABLES

PENDING, APPROVED, WITHDRAWN = "pending", "approved", "withdrawn"
STATES = {PENDING: "待批准", APPROVED: "已批准", WITHDRAWN: "已撤回"}
MAX_TEXT = 1000
SURROGATE = re.compile(r"[\ud800-\udfff]")  # what a terminal's bytes that are no text become
SHA256 = re.compile(r"[0-9a-f]{64}")
KEYS = {
    "add": {"id", "table", "target", "field", "expect", "to", "reason", "evidence_sha256", "by", "at"},
    "approve": {"id", "by", "at"},
    "withdraw": {"id", "reason", "by", "at"},
}
VERSION = 2
KEYS_OF_VERSION_2 = {"version", "person", "account"}
OPTIONAL = {"expect", "to", "evidence_sha256", "person", "same_account_because"}
Cell = tuple[str, str, str]


class Account(TypedDict):
    """An account of the operating system; `sudo_uid` called sudo, `login_uid` logged in, where that is known."""

    uid: int
    name: str
    sudo_uid: int | None
    login_uid: int | None


class Refused(InputRejected):
    """An entry that may not follow the ones before it."""


@dataclass(frozen=True)
class Correction:
    """One correction as the ledger has it now. `cell`: table, target and field that it changes.

    `withdrawal_…`: who requested that it be withdrawn while it was approved, and why.
    """

    id: str
    table: str
    target: str
    field: str
    expect: str | None
    to: str | None
    reason: str
    evidence_sha256: str | None
    by: str
    at: str
    person: str | None = None
    account: Account | None = None
    state: str = PENDING
    approved_by: str | None = None
    approved_at: str | None = None
    approved_person: str | None = None
    approved_account: Account | None = None
    approved_same_account_because: str | None = None
    withdrawal_by: str | None = None
    withdrawal_at: str | None = None
    withdrawal_reason: str | None = None
    withdrawal_person: str | None = None
    withdrawal_account: Account | None = None
    withdrawn_by: str | None = None
    withdrawn_at: str | None = None
    withdrawn_reason: str | None = None
    withdrawn_person: str | None = None
    withdrawn_account: Account | None = None
    withdrawn_same_account_because: str | None = None

    @property
    def cell(self) -> Cell:
        return self.table, self.target, self.field

    @property
    def is_withdrawal_requested(self) -> bool:
        """Whether it is in force, and one person has asked to withdraw it."""
        return self.state == APPROVED and self.withdrawal_by is not None

    def text(self) -> str:
        """What it changes, in one line, without a person's name."""
        return (
            f"{self.id} {self.table} {shown(self.target)} {self.field}: {value_text(self.expect)} → "
            f"{value_text(self.to)}"
        )


@dataclass
class Ledger:
    """The corrections of a wave in the order of their ids, and the hash of the chain's last record."""

    head: str | None = None
    corrections: dict[str, Correction] = field(default_factory=dict)
    _pending: dict[Cell, str] = field(default_factory=dict)
    _version: int = 1

    @property
    def effective(self) -> tuple[Correction, ...]:
        """Approved corrections, in the order in which they are laid over the rows."""
        return self.of_state(APPROVED)

    def of_state(self, state: str) -> tuple[Correction, ...]:
        return tuple(each for each in self.corrections.values() if each.state == state)

    def next_id(self) -> str:
        return f"C{len(self.corrections) + 1:04d}"

    def take(self, entry: Mapping[str, Any]) -> Correction:
        """Let one entry follow the others. Raises Refused, and changes nothing, where it may not."""
        kind = entry.get("entry")
        version = entry.get("version", 1)
        if kind not in KEYS or set(entry) != _keys(kind, version):
            raise Refused("不是台账条目 / not an entry of a ledger")
        if version < self._version:
            raise Refused("新版条目之后不得有旧版条目 / an entry of the old version cannot follow one of the new")
        for name in sorted(set(entry) - {"entry", "version", "account"}):
            require_text(name, entry[name], name in OPTIONAL)
        if version == VERSION:
            require_person("by", entry["by"], entry["person"])
            _require_account(entry["account"])
        after = {"add": self._added, "approve": self._approved, "withdraw": self._withdrawn}[kind](entry)
        self.corrections[after.id] = after
        self._version = version
        if after.state == PENDING:
            self._pending[after.cell] = after.id
        elif self._pending.get(after.cell) == after.id:
            del self._pending[after.cell]
        return after

    def _added(self, entry: Mapping[str, Any]) -> Correction:
        correction = Correction(**{name: value for name, value in entry.items() if name not in ("entry", "version")})
        if correction.id != self.next_id():
            raise Refused(f"编号应为 {self.next_id()} / the id must be {self.next_id()}")
        require_field(correction.table, correction.field)
        if correction.expect == correction.to:
            raise Refused("新值与原值相同 / the new value is the old one")
        if correction.evidence_sha256 is not None and not SHA256.fullmatch(correction.evidence_sha256):
            raise Refused("evidence_sha256 不是 SHA-256 / is not a SHA-256")
        if correction.cell in self._pending:
            other = self._pending[correction.cell]
            raise Refused(
                f"同一目标与字段已有待批准的更正 {other},请先批准或撤回 / {other} of the same target and field is "
                "pending; approve or withdraw it first"
            )
        return correction

    def _approved(self, entry: Mapping[str, Any]) -> Correction:
        correction = self._known(entry["id"])
        if correction.is_withdrawal_requested:
            return self._withdrawal_approved(correction, entry)
        if correction.state != PENDING:
            raise Refused(f"{correction.id} {STATES[correction.state]},不能批准 / is {correction.state} already")
        asker = (correction.by, correction.person, correction.account)
        _require_another(correction.id, ("提出", "was asked for"), asker, entry)
        return replace(
            correction, state=APPROVED, approved_by=entry["by"], approved_at=entry["at"],
            approved_person=entry.get("person"), approved_account=entry.get("account"),
            approved_same_account_because=entry.get("same_account_because"),
        )  # fmt: skip

    def _withdrawal_approved(self, correction: Correction, entry: Mapping[str, Any]) -> Correction:
        asker = (correction.withdrawal_by or "", correction.withdrawal_person, correction.withdrawal_account)
        _require_another(correction.id, ("申请撤回", "was to be withdrawn"), asker, entry)
        self._require_last(correction, allows_requested=False)
        return replace(
            correction, state=WITHDRAWN, withdrawn_by=entry["by"], withdrawn_at=entry["at"],
            withdrawn_reason=correction.withdrawal_reason, withdrawn_person=entry["person"],
            withdrawn_account=entry["account"], withdrawn_same_account_because=entry["same_account_because"],
        )  # fmt: skip

    def _withdrawn(self, entry: Mapping[str, Any]) -> Correction:
        correction = self._known(entry["id"])
        if correction.state == WITHDRAWN:
            raise Refused(f"{correction.id} 已撤回 / is withdrawn already")
        if correction.is_withdrawal_requested:
            raise Refused(
                f"{correction.id} 已由 {shown(correction.withdrawal_by or '')} 申请撤回,须由另一人用 hotline "
                "correct approve 批准 / its withdrawal is requested already; another person must approve it"
            )
        needs_two = correction.state == APPROVED and "version" in entry
        self._require_last(correction, allows_requested=needs_two)
        if needs_two:
            return replace(
                correction, withdrawal_by=entry["by"], withdrawal_at=entry["at"], withdrawal_reason=entry["reason"],
                withdrawal_person=entry["person"], withdrawal_account=entry["account"],
            )  # fmt: skip
        return replace(
            correction, state=WITHDRAWN, withdrawn_by=entry["by"], withdrawn_at=entry["at"],
            withdrawn_reason=entry["reason"], withdrawn_person=entry.get("person"),
            withdrawn_account=entry.get("account"),
        )  # fmt: skip

    def _require_last(self, correction: Correction, allows_requested: bool) -> None:
        """Raise Refused where a later correction starts from this one's value."""
        later = [
            each.id
            for each in self._after(correction)
            if each.cell == correction.cell
            and each.state != WITHDRAWN
            and not (allows_requested and each.is_withdrawal_requested)
        ]
        if later:
            raise Refused(
                f"{correction.id} 之后还有 {', '.join(later)} 以其为原值,请先撤回后者 / {', '.join(later)} builds on "
                f"{correction.id}; withdraw it first"
            )

    def _known(self, correction_id: str) -> Correction:
        if correction_id not in self.corrections:
            raise Refused(f"没有更正 {shown(correction_id)} / there is no such correction")
        return self.corrections[correction_id]

    def _after(self, correction: Correction) -> Iterator[Correction]:
        following = False
        for each in self.corrections.values():
            if following:
                yield each
            following = following or each.id == correction.id


def read_ledger(paths: Paths, wave: str) -> Ledger:
    """What the wave's ledger says; empty where there is none.

    Raises NotReconciled where its chain is broken, where a record may not stand where it stands, and
    where it ends before the record that the wave's current release names.
    """
    records = chain.read(paths.ledger(wave))
    ledger = _ledger(paths, wave, records)
    _require_released_head(paths, wave, {record["hash"] for record in records})
    return ledger


def read_records(paths: Paths, wave: str) -> list[dict[str, Any]]:
    """Returns the records of the wave's ledger. Raises NotReconciled where the chain or a rule is broken."""
    records = chain.read(paths.ledger(wave))
    _ledger(paths, wave, records)
    return records


def _ledger(paths: Paths, wave: str, records: list[dict[str, Any]]) -> Ledger:
    ledger = Ledger(head=records[-1]["hash"] if records else None)
    for number, record in enumerate(records, start=1):
        entry = {name: value for name, value in record.items() if name not in ("previous", "hash")}
        try:
            ledger.take(entry)
        except Refused as refused:
            raise NotReconciled(
                f"{wave}/corrections/{paths.ledger(wave).name} 第 {number} 行 / line {number}: {refused}"
            ) from None
    return ledger


def require_field(table: str, name: str) -> None:
    """Raise Refused where the table does not exist or has no such field that a correction may change."""
    if table not in EXPORT_TABLES:
        raise Refused(f"没有数据表「{shown(table)}」/ there is no such table: {' | '.join(EXPORT_TABLES)}")
    names = [column.name for column in EXPORT_TABLES[table].columns]
    if name == EXPORT_TABLES[table].key:
        raise Refused(f"{name} 是 {table} 的主键,不可更正 / the key of {table} can not be corrected")
    if name not in names:
        raise Refused(f"{table} 没有字段「{shown(name)}」/ {table} has no such field")


def require_text(name: str, value: object, is_optional: bool = False) -> None:
    """Raise Refused where a value is not text that the ledger may hold: trimmed, visible, not too long."""
    if value is None and is_optional:
        return
    if not isinstance(value, str) or not value.strip() or value != unicodedata.normalize("NFC", value.strip()):
        raise Refused(f"{name} 应为非空文本 / must be text, not empty")
    if len(value) > MAX_TEXT:
        raise Refused(f"{name} 超过 {MAX_TEXT} 个字符 / longer than {MAX_TEXT} characters")
    if INVISIBLE.search(value) or SURROGATE.search(value):
        raise Refused(f"{name} 含有不可见字符 / holds an invisible character: 「{shown(value)}」")


def require_person(name: str, by: str, person: str | None) -> None:
    """Raise Refused where `by` is not a name, or a name that cannot be compared and is not declared (`person`)."""
    require_text(name, by)
    fault = name_fault(by) or (comparison_fault(by) if person is None else None)
    if fault is not None:
        raise Refused(f"{name} 「{shown(by)}」: {fault[0]} / {fault[1]}")


def is_same_account(one: Account, other: Account) -> bool:
    """Whether two accounts have a user in common, be it by sudo or by login."""
    users = [{each["uid"], each["sudo_uid"], each["login_uid"]} - {None} for each in (one, other)]
    return one["name"] == other["name"] or not users[0].isdisjoint(users[1])


def value_text(value: str | None) -> str:
    return "空 / null" if value is None else f"「{shown(value)}」"


def _keys(kind: str, version: object) -> set[str]:
    """The keys of an entry; none where there is no such version."""
    if version == 1:
        return {"entry", *KEYS[kind]}
    if version is not True and version == VERSION:
        return {"entry", *KEYS[kind], *KEYS_OF_VERSION_2, *(["same_account_because"] if kind == "approve" else [])}
    return set()


def _require_account(account: object) -> None:
    if (
        not isinstance(account, dict)
        or set(account) != set(Account.__annotations__)
        or not isinstance(account["name"], str)
        or any(type(account[name]) is not int for name in ("uid", "sudo_uid", "login_uid") if account[name] is not None)
        or account["uid"] is None
    ):
        raise Refused("account 不是操作系统账户 / is not an account of the operating system")


def _require_another(
    correction: str, act: tuple[str, str], first: tuple[str, str | None, Account | None], entry: Mapping[str, Any]
) -> None:
    """Raise Refused where the person of the entry may be the first person, or the account is the same for no reason.

    `act`: what the first person did, in Chinese and in English.
    """
    (by, person, account), (zh, en) = first, act
    if "version" not in entry:
        is_same = _plain(by) == _plain(entry["by"])
    elif person is not None and entry["person"] is not None:
        is_same = person == entry["person"] or skeleton(by) == skeleton(entry["by"])
    else:
        is_same = _may_be_one(by, person, entry)
    if is_same:
        raise Refused(
            f"{correction} 由 {shown(by)} {zh},「{shown(entry['by'])}」与其无法区分(比较字形、读音与词序),须由另一人"
            f"批准;若确为两人,{DECLARE} / {correction} {en} by a person that cannot be told apart from this one (by "
            f"letters, reading and word order): another must approve it; if they are two persons, {DECLARE_EN}"
        )
    if "version" not in entry or entry["same_account_because"] is not None:
        return
    remedy = '若确由两人操作,请加 --same-account-because "理由",理由将记入台账'
    remedy_en = 'if two persons acted, add --same-account-because "reason"; the ledger keeps it'
    if account is None:
        raise Refused(
            f"{correction} {zh}时未记录操作系统账户,不能确定与本次不同;{remedy} / {correction} {en} by an account that "
            f"is not recorded and may be yours; {remedy_en}"
        )
    if is_same_account(account, entry["account"]):
        whose = f"{shown(account['name'])} (uid {account['uid']})"
        raise Refused(
            f"{correction} {zh}与本次使用同一操作系统账户 {whose};{remedy} / {correction} {en} by the same account, "
            f"{whose}; {remedy_en}"
        )


def _may_be_one(by: str, person: str | None, entry: Mapping[str, Any]) -> bool:
    """Whether two persons of whom one at least is undeclared may be the same."""
    marks = {skeleton(each) for each in (by, person) if each is not None}
    return (
        any(skeleton(each) in marks for each in (entry["by"], entry["person"]) if each is not None)
        or comparison_fault(by) is not None
        or comparison_fault(entry["by"]) is not None
        or cannot_be_told_apart(by, entry["by"])
    )


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _require_released_head(paths: Paths, wave: str, hashes: set[str]) -> None:
    """Records cut off at the end leave a whole chain: what was published names the one that must be there."""
    release = current_id(paths.current(wave))
    if release is None:
        return
    folder = paths.releases(wave) / release
    try:
        head = read_manifest(folder)["ledger_head"]
    except (Damaged, KeyError):  # the log says the same
        made = [each for each in runlog.read(paths) if each["event"] == "released" and each["release"] == release]
        head = made[-1]["ledger_head"] if made else None
    if head is not None and head not in hashes:
        raise NotReconciled(
            f"{wave}/corrections/{paths.ledger(wave).name} 缺少当前发布 {folder.name} 所依据的条目,请从备份恢复台账 / "
            f"records on which the current release {folder.name} stands are missing; restore the ledger from a copy"
        )
