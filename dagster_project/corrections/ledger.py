"""The ledger of a wave: what its chain of records says about every correction, and what may follow.

Belongs here: the form of an entry and the rules between entries. Does not belong here: whether a
value may stand where it is to be put (`overlay.py`), who holds the installation (`acts.py`).

Entries, each bound to the one before (`chain.py`); every value is text as bronze would show it, or null:
  add       id, table, target, field, expect, to, reason, evidence_sha256, by, at
  approve   id, by, at                 by another person than the one who added
  withdraw  id, reason, by, at         of a pending or an approved correction
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_project import chain
from dagster_project.errors import InputRejected, NotReconciled
from dagster_project.ingest.faults import shown
from dagster_project.ingest.rows import INVISIBLE
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, current_release
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
OPTIONAL = {"expect", "to", "evidence_sha256"}
Cell = tuple[str, str, str]


class Refused(InputRejected):
    """An entry that may not follow the ones before it."""


@dataclass(frozen=True)
class Correction:
    """One correction as the ledger has it now. `cell`: table, target and field that it changes."""

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
    state: str = PENDING
    approved_by: str | None = None
    approved_at: str | None = None
    withdrawn_by: str | None = None
    withdrawn_at: str | None = None
    withdrawn_reason: str | None = None

    @property
    def cell(self) -> Cell:
        return self.table, self.target, self.field

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
        if kind not in KEYS or set(entry) != {"entry", *KEYS[kind]}:
            raise Refused("不是台账条目 / not an entry of a ledger")
        for name in sorted(KEYS[kind]):
            require_text(name, entry[name], name in OPTIONAL)
        after = {"add": self._added, "approve": self._approved, "withdraw": self._withdrawn}[kind](entry)
        self.corrections[after.id] = after
        if after.state == PENDING:
            self._pending[after.cell] = after.id
        elif self._pending.get(after.cell) == after.id:
            del self._pending[after.cell]
        return after

    def _added(self, entry: Mapping[str, Any]) -> Correction:
        correction = Correction(**{name: value for name, value in entry.items() if name != "entry"})
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
        if correction.state != PENDING:
            raise Refused(f"{correction.id} {STATES[correction.state]},不能批准 / is {correction.state} already")
        if same_person(correction.by, entry["by"]):
            raise Refused(
                f"{correction.id} 由 {shown(correction.by)} 提出,须由另一人批准 / was added by the same person; "
                "another must approve it"
            )
        return replace(correction, state=APPROVED, approved_by=entry["by"], approved_at=entry["at"])

    def _withdrawn(self, entry: Mapping[str, Any]) -> Correction:
        correction = self._known(entry["id"])
        if correction.state == WITHDRAWN:
            raise Refused(f"{correction.id} 已撤回 / is withdrawn already")
        later = [
            each.id for each in self._after(correction) if each.cell == correction.cell and each.state != WITHDRAWN
        ]
        if later:
            raise Refused(
                f"{correction.id} 之后还有 {', '.join(later)} 以其为原值,请先撤回后者 / {', '.join(later)} builds on "
                f"{correction.id}; withdraw it first"
            )
        return replace(
            correction, state=WITHDRAWN, withdrawn_by=entry["by"], withdrawn_at=entry["at"],
            withdrawn_reason=entry["reason"],
        )  # fmt: skip

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
    ledger = Ledger(head=records[-1]["hash"] if records else None)
    for number, record in enumerate(records, start=1):
        entry = {name: value for name, value in record.items() if name not in ("previous", "hash")}
        try:
            ledger.take(entry)
        except Refused as refused:
            raise NotReconciled(
                f"{wave}/corrections/{paths.ledger(wave).name} 第 {number} 行 / line {number}: {refused}"
            ) from None
    _require_released_head(paths, wave, {record["hash"] for record in records})
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


def same_person(one: str, other: str) -> bool:
    return _person(one) == _person(other)


def value_text(value: str | None) -> str:
    return "空 / null" if value is None else f"「{shown(value)}」"


def _person(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _require_released_head(paths: Paths, wave: str, hashes: set[str]) -> None:
    """Records cut off at the end leave a whole chain: what was published names the one that must be there."""
    folder = current_release(paths.current(wave))
    if folder is None:
        return
    head = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["ledger_head"]
    if head is not None and head not in hashes:
        raise NotReconciled(
            f"{wave}/corrections/{paths.ledger(wave).name} 缺少当前发布 {folder.name} 所依据的条目,请从备份恢复台账 / "
            f"records on which the current release {folder.name} stands are missing; restore the ledger from a copy"
        )
