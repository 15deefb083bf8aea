"""Corrections laid over the rows of a bronze table.

Belongs here: rows as texts, one value put in the place of another, and the judging of rows that were
changed, by the same rules as the vendor's (`ingest/rows.py`). Does not belong here: which corrections
are effective (`ledger.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.corrections.ledger import Correction, value_text
from dagster_project.ingest.faults import Found, shown
from dagster_project.ingest.profile import FileFormat, Profile, ProfileColumn
from dagster_project.ingest.read import Cells
from dagster_project.ingest.rows import ISO, Judged, Known, judge
from dagster_project.schema import PROVENANCE, TEXT, TIME, Table

Texts = dict[str, str | None]
SOURCE = "corrections/ledger.jsonl"


@dataclass(frozen=True)
class Laid:
    """Rows with the corrections in them, what was done, and what stands against it (then `rows` are as before).

    `applied`: id, table, target, line_id, field, expect, to, reason of each; no person's name.
    """

    rows: pa.Table
    applied: tuple[dict[str, str | None], ...]
    faults: tuple[str, ...]


def lay_over(table: Table, rows: pa.Table, corrections: Sequence[Correction], known: Known) -> Laid:
    """Put the new value of every correction, in their order, where its expected one stands.

    A fault names its correction: the target is not there, another value stands, or the row as a
    whole would break a rule of its table.
    """
    if not corrections:
        return Laid(rows, (), ())
    positions = positions_of(table, rows, {each.target for each in corrections})
    texts = dict(zip(positions, texts_of(table, rows, positions.values()), strict=True))
    applied, faults = [], []
    for each in corrections:
        if each.target not in texts:
            faults.append(
                f"{SOURCE}: {each.text()}: 导出中没有此目标,请撤回或更正导出 / the exports have no such target; "
                "withdraw the correction, or mend the export"
            )
            continue
        row = texts[each.target]
        if row[each.field] != each.expect:
            faults.append(
                f"{SOURCE}: {each.text()}: 现值为 {value_text(row[each.field])},与预期不符,请撤回后重新提出 / the "
                f"value that stands is {value_text(row[each.field])}, not the expected one; withdraw and ask anew"
            )
            continue
        applied.append(
            {"id": each.id, "table": table.name, "target": each.target, "line_id": row["line_id"], "field": each.field,
             "expect": each.expect, "to": each.to, "reason": each.reason}
        )  # fmt: skip
        row[each.field] = each.to
    judged = judge_texts(table, list(texts.values()), known)
    faults += _faulty_rows(judged, list(texts), corrections)
    if faults:
        return Laid(rows, (), tuple(faults))
    return Laid(_replaced(table, rows, list(positions.values()), judged), tuple(applied), ())


def positions_of(table: Table, rows: pa.Table, keys: set[str]) -> dict[str, int]:
    """{key: position of its row} of the keys that the table has, in the table's order."""
    is_wanted = pc.is_in(rows[table.key], value_set=pa.array(sorted(keys), TEXT))
    positions = np.flatnonzero(is_wanted.to_numpy()).tolist()
    return dict(zip(rows[table.key].take(positions).to_pylist(), positions, strict=True)) if positions else {}


def texts_of(table: Table, rows: pa.Table, positions: Iterable[int]) -> list[Texts]:
    """The rows at the positions, every value as the text by which the ledger names it."""
    picked = rows.take(pa.array(positions, pa.int64()))
    columns = {column.name: _texts(picked[column.name], column.type) for column in table.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def judge_texts(table: Table, rows: Sequence[Texts], known: Known) -> Judged:
    """Rows of such texts typed and judged like a vendor's: the columns are headed by their own names."""
    columns = {
        column.name: pa.array([row[column.name] for row in rows], TEXT).dictionary_encode() for column in table.columns
    }
    cells = Cells(
        file=SOURCE, sheet=None, texts=columns, kinds=dict.fromkeys(columns), rows=np.arange(len(rows)), ragged={},
        n_cells=len(columns), n_blank=0,
    )  # fmt: skip
    return judge(cells, _profile(table), known)


def told(found: Found) -> str:
    """A fault without its place: a correction has one of its own, and is mended there."""
    zh, _, en, _ = found.fault.value
    detail_zh, detail_en = (found.detail, found.detail) if isinstance(found.detail, str) else found.detail
    value = "" if found.value is None else f" 「{shown(found.value)}」"
    return f"{found.fault.code}{value} {zh.format(detail_zh)} / {en.format(detail_en)}"


def _profile(table: Table) -> Profile:
    columns = tuple(
        ProfileColumn(column.name, column, {code: code for code in column.codes} or None) for column in table.columns
    )
    return Profile("corrections", table, FileFormat("csv", 1), {}, (ISO,), columns, ())


def _texts(column: pa.ChunkedArray, kind: pa.DataType) -> list[str | None]:
    if kind == TIME:
        column = column.cast(pa.timestamp("s"))
    texts: list[str | None] = column.cast(TEXT).to_pylist()
    return texts


def _faulty_rows(judged: Judged, targets: list[str], corrections: Sequence[Correction]) -> list[str]:
    faults = []
    for position, found in sorted(judged.faults.items()):
        ours = ", ".join(each.id for each in corrections if each.target == targets[position])
        faults += [
            f"{SOURCE}: {ours}: {shown(targets[position])} 「{each.place.column}」: 更正后该行不成立:{told(each)};"
            "请一并更正相关字段 / the row does not hold with it; correct the fields concerned together"
            for each in found
        ]
    return faults


def _replaced(table: Table, rows: pa.Table, positions: list[int], judged: Judged) -> pa.Table:
    places = rows.take(pa.array(positions, pa.int64())).select([field.name for field in PROVENANCE])
    columns = [judged.values[column.name] for column in table.columns] + places.columns
    changed = pa.Table.from_arrays(columns, schema=table.schema())
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[positions] = False
    whole = pa.concat_tables([rows.filter(pa.array(keep)).cast(table.schema()), changed])
    return whole.sort_by([(name, "ascending") for name in table.order]).combine_chunks()
