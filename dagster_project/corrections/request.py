"""What a person asks to be corrected: from a CSV or YAML file or from options, judged against what stands.

Belongs here: the form of a request, its place for messages, and whether its target, field and values
are possible. Does not belong here: the rules between entries of the ledger (`ledger.py`).

Columns of the CSV, keys of each item of the YAML list `corrections:`, and options have the same names:
  probe | attempt   the target: a probe_id, or an attempt_id of dial_attempts
  table             optional: needed only where a probe_id stands in phone_probes and in web_probes
  field             a column of that table other than its key (schema.py)
  expect, to        the value that stands and the one to come, as bronze names them; empty: null
  reason            why; a release shows it
  evidence          optional: a file, beside the list; its SHA-256 is kept, not the file
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dagster_project.corrections.ledger import Refused, require_field, value_text
from dagster_project.corrections.overlay import Texts, judge_texts, positions_of, texts_of, told
from dagster_project.errors import UsageError
from dagster_project.files import sha256_of
from dagster_project.ingest.declaration import MAX_BYTES, Declaration, read_declaration
from dagster_project.ingest.faults import Fault, Place, reject, shown
from dagster_project.ingest.personal import found_in
from dagster_project.ingest.profile import normal
from dagster_project.ingest.rows import Known
from dagster_project.schema import DIAL_ATTEMPTS, EXPORT_TABLES, Table

COLUMNS = ("probe", "attempt", "table", "field", "expect", "to", "reason", "evidence")
NEEDED = ("field", "expect", "to", "reason")
PROBE_TABLES = tuple(name for name, table in EXPORT_TABLES.items() if table.key == "probe_id")
# whether a row holds as a whole is asked when a correction is approved, with the others of the row
OF_THE_ROW = (Fault.REQUIRED_WHEN, Fault.CONTRADICTION, Fault.TIME_ORDER)


@dataclass(frozen=True)
class Request:
    """The values asked for, by the names of COLUMNS; `place` says where one was written."""

    values: dict[str, str | None]
    place: Callable[[str], str]
    folder: Path

    def fault(self, name: str, text: str) -> str:
        return f"{self.place(name)}: {text}"


@dataclass(frozen=True)
class Wanted:
    """A request that is possible: the fields of a ledger entry that are not the ledger's own."""

    request: Request
    table: str
    target: str
    field: str
    expect: str | None
    to: str | None
    reason: str
    evidence_sha256: str | None


# --- where requests come from -------------------------------------------------------------------


def from_options(values: dict[str, str | None]) -> list[Request]:
    """One request from the command line; raises UsageError where an option is missing."""
    missing = [f"--{name}" for name in NEEDED if values.get(name) is None]
    if (values.get("probe") is None) == (values.get("attempt") is None):
        missing.append("--probe | --attempt")
    if missing:
        raise UsageError(f'缺少选项 / missing options: {", ".join(missing)};空值写作 "" / write "" for null')
    return [Request(_normal(values), lambda name: f"--{name}", Path())]


def from_file(path: Path) -> list[Request]:
    """The requests of a CSV (UTF-8) or YAML file. Raises InputRejected with every fault of its form."""
    if not path.is_file():
        raise UsageError(f"没有文件 {path.name} / there is no such file")
    if path.suffix.lower() in (".yml", ".yaml"):
        requests = _from_yaml(path)
    elif path.suffix.lower() == ".csv":
        requests = _from_csv(path)
    else:
        raise UsageError(f"{path.name}: 应为 .csv、.yml 或 .yaml / must be one of these")
    if not requests:
        reject(path.name, [f"{path.name}: 没有更正 / there are no corrections in it"])
    return requests


def _from_yaml(path: Path) -> list[Request]:
    yml = read_declaration(path, path.name)
    if yml.faults:
        reject(path.name, yml.faults)
    requests = []
    for number, content in enumerate(yml.take("corrections", list) or []):
        at = f"corrections[{number}]."
        item = Declaration(content if isinstance(content, dict) else {}, yml.file, at, yml.faults)
        values = {name: item.take(name, str, None) for name in COLUMNS}
        for name in NEEDED:
            if name not in item.content:
                item.fault(name, "缺少此项", "missing")
        item.close()
        # ignored: mypy infers no type for a lambda that binds its loop's value by a default
        requests.append(Request(_normal(values), lambda name, at=at: f"{path.name}: {at}{name}", path.parent))  # type: ignore[misc]
    yml.close()
    if yml.faults:
        reject(path.name, yml.faults)
    return requests


def _from_csv(path: Path) -> list[Request]:
    header, records = read_csv(path)
    faults = [f"{path.name}: 缺少列 / missing column「{name}」" for name in NEEDED if name not in header]
    faults += [f"{path.name}: 未知的列 / unknown column「{shown(name)}」" for name in header if name not in COLUMNS]
    faults += [
        f"{path.name}: 列出现多次 / column is duplicated「{name}」" for name in COLUMNS if header.count(name) > 1
    ]
    requests = []
    for row, record in records:
        if len(record) != len(header):
            faults.append(
                f"{Place(path.name, None, row).text()}: 有 {len(record)} 格,应为 {len(header)} 格 / "
                f"{len(record)} cells, not {len(header)}"
            )
            continue
        values: dict[str, str | None] = dict(zip(header, record, strict=True))
        # ignored: mypy infers no type for a lambda that binds its loop's value by a default
        requests.append(
            Request(_normal(values), lambda name, row=row: Place(path.name, None, row, name).text(), path.parent)  # type: ignore[misc]
        )
    if faults:
        reject(path.name, faults)
    return requests


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(header, [(row as Excel shows it, cells)]) of a CSV, blank rows left out."""
    if path.stat().st_size > MAX_BYTES:
        reject(path.name, [f"{path.name}: 超过 {MAX_BYTES} 字节 / more than {MAX_BYTES} bytes"])
    try:
        text = path.read_bytes().decode("utf-8-sig")
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError:
        reject(path.name, [f"{path.name}: 不是 UTF-8,请另存为「CSV UTF-8」/ not UTF-8; save it as CSV UTF-8"])
    except csv.Error as error:
        reject(path.name, [f"{path.name}: CSV 语法错误 / not valid CSV: {shown(str(error))}"])
    header = [normal(name) for name in records[0]] if records else []
    rows = [(row, record) for row, record in enumerate(records[1:], start=2) if any(cell.strip() for cell in record)]
    return header, rows


def _normal(values: dict[str, str | None]) -> dict[str, str | None]:
    """Every column, trimmed; null where nothing was given."""
    return {name: normal(values.get(name) or "") or None for name in COLUMNS}


# --- whether they are possible ------------------------------------------------------------------


def possible(
    requests: Sequence[Request], tables: dict[str, pa.Table], known: Known
) -> tuple[list[Wanted], dict[int, list[str]]]:
    """(what may be put into the ledger, {position of a request: what is wrong with it}).

    `tables`: the rows that stand now, with the corrections approved so far.
    """
    faults: dict[int, list[str]] = {}
    rows = _rows_of_targets(requests, tables)
    found: dict[int, tuple[str, Texts]] = {}
    for position, request in enumerate(requests):
        try:
            found[position] = _row(request, rows)
        except Refused as refused:
            faults.setdefault(position, []).append(str(refused))
    judged = _judged(requests, found, known)
    wanted = []
    for position, (name, row) in found.items():
        request = requests[position]
        to, wrong = judged[position]
        faults.setdefault(position, []).extend([*wrong, *_other_faults(request, row)])
        wanted.append(
            Wanted(
                request, name, row[EXPORT_TABLES[name].key] or "", request.values["field"] or "",
                request.values["expect"], to, request.values["reason"] or "", _evidence(request),
            )
        )  # fmt: skip
    return wanted, {position: texts for position, texts in sorted(faults.items()) if texts}


def _rows_of_targets(requests: Sequence[Request], tables: dict[str, pa.Table]) -> dict[str, dict[str, Texts]]:
    """{table: {key: its row}} of every row that a request names."""
    rows = {}
    for name, table in EXPORT_TABLES.items():
        kind = "attempt" if table is DIAL_ATTEMPTS else "probe"
        positions = positions_of(table, tables[name], {each.values[kind] or "" for each in requests})
        rows[name] = dict(zip(positions, texts_of(table, tables[name], positions.values()), strict=True))
    return rows


def _row(request: Request, rows: dict[str, dict[str, Texts]]) -> tuple[str, Texts]:
    """(table, row) that the request names. Raises Refused, place and all, where there is none or no such field."""
    values = request.values
    if (values["probe"] is None) == (values["attempt"] is None):
        raise Refused(request.fault("probe", "probe 与 attempt 应填且只填一个 / give one of probe and attempt"))
    kind = "attempt" if values["probe"] is None else "probe"
    possible_tables = (DIAL_ATTEMPTS.name,) if kind == "attempt" else PROBE_TABLES
    if values["table"] is not None and values["table"] not in possible_tables:
        raise Refused(request.fault("table", f"应为 {' | '.join(possible_tables)} / must be one of these"))
    target = values[kind] or ""
    names = [each for each in possible_tables if values["table"] in (None, each) and target in rows[each]]
    if not names:
        raise Refused(
            request.fault(
                kind,
                f"「{shown(target)}」不在采信的数据中(被隔离的行须由供应商更正) / no such target among the accepted "
                "rows (a quarantined one is the vendor's to mend)",
            )
        )
    if len(names) > 1:
        raise Refused(
            request.fault(
                "table", f"「{shown(target)}」见于 {' 与 '.join(names)},请注明 table / stands in both; say which"
            )
        )
    try:
        require_field(names[0], values["field"] or "")
    except Refused as refused:
        raise Refused(request.fault("field", str(refused))) from None
    return names[0], rows[names[0]][target]


def _judged(
    requests: Sequence[Request], found: dict[int, tuple[str, Texts]], known: Known
) -> dict[int, tuple[str | None, list[str]]]:
    """{position: (new value in bronze's words, what its field does not allow of it)}."""
    result: dict[int, tuple[str | None, list[str]]] = {}
    for name, table in EXPORT_TABLES.items():
        positions = [position for position, (owner, _) in found.items() if owner == name]
        if not positions:
            continue
        changed = [
            {**found[each][1], requests[each].values["field"] or "": requests[each].values["to"]} for each in positions
        ]
        judged = judge_texts(table, changed, known)
        typed = pa.Table.from_arrays([judged.values[column.name] for column in table.columns], _names(table))
        texts = texts_of(table, typed, range(len(positions)))
        for number, position in enumerate(positions):
            field = requests[position].values["field"] or ""
            wrong = [
                requests[position].fault("to", told(each))
                for each in judged.faults.get(number, [])
                if each.place.column == field and each.fault not in OF_THE_ROW
            ]
            result[position] = texts[number][field], wrong
    return result


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _other_faults(request: Request, row: Texts) -> Iterator[str]:
    stands = row[request.values["field"] or ""]
    if request.values["expect"] != stands:
        yield request.fault(
            "expect",
            f"现值为 {value_text(stands)},不是 {value_text(request.values['expect'])} / the value that stands is "
            f"{value_text(stands)}",
        )
    if request.values["reason"] is None:
        yield request.fault("reason", "必须写明理由 / a reason is needed")
    elif found_in(request.values["reason"]):
        yield request.fault("reason", "含有个人信息,而理由将随发布公开 / holds personal data, and releases show it")
    if request.values["evidence"] is not None and not _evidence_file(request).is_file():
        yield request.fault("evidence", f"没有文件「{shown(request.values['evidence'])}」/ there is no such file")


def _evidence(request: Request) -> str | None:
    if request.values["evidence"] is None or not _evidence_file(request).is_file():
        return None
    return sha256_of(_evidence_file(request))


def _evidence_file(request: Request) -> Path:
    return request.folder / (request.values["evidence"] or "")
