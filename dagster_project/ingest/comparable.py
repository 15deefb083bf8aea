"""How an indicator of a method version came from those of an older one: what the mapping may say.

Belongs here: the rules between the rows of `comparable_with.csv`, as a pure function. Does not belong
here: reading the file (`reference.py`), rescoring by it (dbt).

kind      | older indicator | newer indicator                  | common
----------|-----------------|----------------------------------|------------------------------------------
same      | one             | one, of the same code            | yes
renamed   | one             | one, of another code             | yes
split     | one, per row    | two and more, by `share_pct`     | the older one, and the mean of its parts
merged    | two and more    | one, per row                     | the mean of the older ones, and the new one
dropped   | one             | none                             | no
new       | none            | one                              | no
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

KINDS = ("same", "renamed", "split", "merged", "dropped", "new")
ONE_SIDED = {"dropped": "indicator_code", "new": "baseline_indicator_code"}  # kind -> the column that stays empty
Row = dict[str, Any]
Found = tuple[Row, str, str, str]  # row, column, what is wrong in Chinese and in English


def mapping_faults(rows: Sequence[Row], older: Mapping[str, str], newer: Iterable[str]) -> Iterator[Found]:
    """Every fault of the rows of one older method version; none: each indicator of both trees has its place.

    `older`: {indicator: its second-level parent}. `newer`: indicators.
    """
    shaped = list(_misshapen(rows))
    yield from shaped
    if shaped or not rows:
        return
    yield from _unknown(rows, older, newer)
    yield from _repeated(rows)
    yield from _of_kinds(rows, older)


def _misshapen(rows: Iterable[Row]) -> Iterator[Found]:
    for row in rows:
        kind = row["kind"]
        for column in ("baseline_indicator_code", "indicator_code"):
            if (row[column] is None) != (ONE_SIDED.get(kind) == column):
                yield row, column, f"与 kind={kind} 不符,请更正", f"does not go with kind {kind}; correct it"
        if (row["share_pct"] is None) == (kind == "split"):
            yield row, "share_pct", "仅 split 填写,请更正", "given for split and only there; correct it"


def _unknown(rows: Sequence[Row], older: Mapping[str, str], newer: Iterable[str]) -> Iterator[Found]:
    for column, known in (("baseline_indicator_code", dict.fromkeys(older)), ("indicator_code", dict.fromkeys(newer))):
        named = {row[column] for row in rows}
        for row in rows:
            if row[column] is not None and row[column] not in known:
                yield row, column, "该方法版本没有此指标,请更正", "the method version has no such indicator; correct it"
        for code in known:
            if code not in named:
                last = {**rows[-1], column: code}
                yield last, column, f"之后缺少 {code},请补上一行", f"no row tells of {code}; add one after this"


def _repeated(rows: Sequence[Row]) -> Iterator[Found]:
    """An indicator stands in one row, but for what was split, or what others merged into."""
    for column, many in (("baseline_indicator_code", "split"), ("indicator_code", "merged")):
        first: dict[str, Row] = {}
        for row in rows:
            if row[column] is None:
                continue
            before = first.setdefault(row[column], row)
            if before is not row and not before["kind"] == row["kind"] == many:
                yield (
                    row, column, f"第 {before['#']} 行已有此指标,请更正",
                    f"row {before['#']} accounts for it already; correct one",
                )  # fmt: skip


def _of_kinds(rows: Sequence[Row], older: Mapping[str, str]) -> Iterator[Found]:
    for row in rows:
        is_same = row["baseline_indicator_code"] == row["indicator_code"]
        if row["kind"] in ("same", "renamed") and is_same != (row["kind"] == "same"):
            yield (
                row, "kind", "编码相同者为 same,不同者为 renamed,请更正",
                "the same code is same, another one renamed; correct it",
            )  # fmt: skip
    yield from _groups(rows, "split", "baseline_indicator_code")
    yield from _groups(rows, "merged", "indicator_code")
    shares = Counter[str]()
    last: dict[str, Row] = {}
    parents: dict[str, tuple[str | None, Row]] = {}
    for row in rows:
        if row["kind"] == "split":
            shares[row["baseline_indicator_code"]] += row["share_pct"]
            last[row["baseline_indicator_code"]] = row
        elif row["kind"] == "merged":
            parent = older.get(row["baseline_indicator_code"])
            if parents.setdefault(row["indicator_code"], (parent, row))[0] != parent:
                yield (
                    row, "baseline_indicator_code", "并入同一指标者须属同一二级指标;否则写作 dropped 与 new",
                    "indicators that merge need one second-level parent; else call them dropped and new",
                )  # fmt: skip
    for code, whole in shares.items():
        if whole != 100:
            yield (
                last[code], "share_pct", f"{code} 各部分合计为 {whole},应为 100,请更正",
                f"the parts of {code} sum to {whole}, not 100; correct them",
            )  # fmt: skip


def _groups(rows: Iterable[Row], kind: str, column: str) -> Iterator[Found]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == kind:
            found.setdefault(row[column], []).append(row)
    for members in found.values():
        if len(members) == 1:
            yield (
                members[0], "kind", f"只有一行 {kind};一对一者为 same 或 renamed",
                f"a single row of {kind}; one to one is same or renamed",
            )  # fmt: skip
