"""Who may ask for corrections and who may approve them (`raw/people.csv`), and who acts now.

Belongs here: the declared persons, and the operating system's account. Does not belong here: which names look
alike (`names.py`), the rules between entries of the ledger (`ledger.py`).

Without the file any person may do both, and names are compared (`names.cannot_be_told_apart`).
"""

import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dagster_project.corrections.ledger import Account, Refused, require_person
from dagster_project.corrections.names import name_fault, skeleton
from dagster_project.corrections.request import read_csv
from dagster_project.errors import InputRejected, UsageError
from dagster_project.ingest.faults import Place, reject, shown
from dagster_project.ingest.profile import normal
from dagster_project.ingest.reference import FORMULA_STARTS
from dagster_project.paths import NAME, Paths, sudo_uid

COLUMNS = ("id", "name", "may_ask", "may_approve")
ASK, APPROVE = "may_ask", "may_approve"
ANSWERS = ("yes", "no")
RIGHTS = {ASK: ("提出更正", "ask for corrections"), APPROVE: ("批准", "approve")}
LOGIN_UID = Path("/proc/self/loginuid")
NO_LOGIN_UID = 2**32 - 1


@dataclass(frozen=True)
class Person:
    """A row of raw/people.csv. `rights`: those of ASK and APPROVE that it grants."""

    id: str
    name: str
    rights: frozenset[str]


@dataclass(frozen=True)
class Actor:
    """Who acts: the name, the id in raw/people.csv (None where nobody is declared), and the account."""

    by: str
    person: str | None
    account: Account


def read_people(paths: Paths) -> tuple[Person, ...] | None:
    """The declared persons; None where the installation declares nobody.

    Raises InputRejected with every fault of the file: file, row, column, value and remedy.
    """
    path = paths.people
    if undeclared(paths) is not None:
        return None
    if not path.is_file():
        reject(path.name, [f"{path.name}: 不是文件,请改为 CSV 文件 / not a file; replace it by a CSV file"])
    header, records = read_csv(path)
    faults = [
        f"{path.name}: 缺少列「{name}」,请补上 / missing column; add it" for name in COLUMNS if name not in header
    ]
    faults += [
        f"{path.name}: 未知的列「{shown(name)}」,请删去 / unknown column; remove it"
        for name in header
        if name not in COLUMNS
    ]
    faults += [
        f"{path.name}: 列「{name}」重复,请删去一列 / duplicate column; remove one"
        for name in COLUMNS
        if header.count(name) > 1
    ]
    if not records:
        faults.append(f"{path.name}: 没有数据行,请补上,或删去该文件 / no rows; add them, or delete the file")
    if faults:
        reject(path.name, faults)
    rows = []
    for number, record in records:
        if len(record) != len(header):
            faults.append(
                f"{Place(path.name, None, number).text()}: 有 {len(record)} 格,应为 {len(header)} 格,请检查逗号与引号 "
                f"/ {len(record)} cells, not {len(header)}; check commas and quotes"
            )
        else:
            rows.append((number, {name: normal(cell) for name, cell in zip(header, record, strict=True)}))
    for number, row in rows:
        faults += _cell_faults(partial(Place, path.name, None, number), row)
    faults += _duplicates(path.name, rows)
    if faults:
        reject(path.name, faults)
    return tuple(
        Person(row["id"], row["name"], frozenset(right for right in RIGHTS if row[right] == "yes")) for _, row in rows
    )


def undeclared(paths: Paths) -> str | None:
    """What to advise an installation that declares nobody; None where it does."""
    if paths.people.is_symlink() or paths.people.exists():
        return None
    return (
        "未登记经办人:请建立 raw/people.csv(列 id,name,may_ask,may_approve),写明谁可提出、谁可批准更正;在此之前按姓名的"
        "字形与读音区分 / no persons are declared: create raw/people.csv (columns id,name,may_ask,may_approve) to say "
        "who may ask for corrections and who may approve them; until then names are compared by look and reading"
    )


def actor(paths: Paths, by: str, *rights: str) -> Actor:
    """The person who acts, named by declared id or name, with one of the rights.

    Raises UsageError where `by` is no name, InputRejected where it is nobody that is declared with such a right.
    """
    by = normal(by)
    people = read_people(paths)
    if people is None:
        try:
            require_person("--by", by, None)
        except Refused as refused:
            raise UsageError(str(refused)) from None
        return Actor(by, None, account())
    found = [each for each in people if by in (each.id, each.name)]
    if found and found[0].rights.intersection(rights):
        return Actor(found[0].name, found[0].id, account())
    may = [f"{each.id} {each.name}" for each in people if each.rights.intersection(rights)]
    zh, en = RIGHTS[rights[0]]
    raise InputRejected(
        f"--by: people.csv 未登记「{shown(by)}」可{zh};可者为 / people.csv does not let this person {en}; these may: "
        f"{', '.join(map(shown, may)) or '无人 / nobody'}"
    )


def account() -> Account:
    """The operating system's account of this process, who called `sudo`, and who logged in."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user need not have a name
        name = f"uid {uid}"
    login_uid = None
    if LOGIN_UID.is_file():
        text = LOGIN_UID.read_text(encoding="ascii").strip()
        login_uid = int(text) if re.fullmatch(r"[0-9]+", text) and int(text) != NO_LOGIN_UID else None
    return {"uid": uid, "name": name, "sudo_uid": sudo_uid(), "login_uid": login_uid}


def _cell_faults(place: "partial[Place]", row: dict[str, str]) -> Iterator[str]:
    for name, value in row.items():
        at = f"{place(name).text()} 「{shown(value)}」"
        if not value:
            yield f"{at}: 必填而为空,请补填 / required, but empty; fill it in"
        elif value.startswith(FORMULA_STARTS):
            yield f"{at}: 会被电子表格当作公式,请改写 / a spreadsheet would take it for a formula; write it otherwise"
        elif name in RIGHTS and value not in ANSWERS:
            yield f"{at}: 应为 yes 或 no,请更正 / must be yes or no; correct it"
        elif name == "id" and not NAME.fullmatch(value):
            yield (
                f"{at}: 只可含字母、数字、_ 与 -,至多 80 个,请更正 / at most 80 letters, digits, _ and - are allowed; "
                "correct it"
            )
        elif name == "name" and (fault := name_fault(value)):
            yield f"{at}: {fault[0]} / {fault[1]}"


def _duplicates(file: str, rows: list[tuple[int, dict[str, str]]]) -> Iterator[str]:
    """Ids and names of different rows that are equal or look alike; those of one row may."""
    first: dict[str, int] = {}
    for number, row in rows:
        for name in ("id", "name"):
            owner = first.setdefault(skeleton(row[name]), number)
            if owner != number:
                yield (
                    f"{Place(file, None, number, name).text()} 「{shown(row[name])}」: 与第 {owner} 行相同或形近,请更正"
                    f"或合并 / equal to row {owner}, or looks like it; correct one, or keep one of the rows"
                )
