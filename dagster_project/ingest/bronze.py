"""A wave's exports to bronze: read all, judge all, lay corrections over, account for every row, replace all files.

Belongs here: the order of the steps, the account of rows, writing, and when nothing needs doing.
Does not belong here: how files are read or rows judged.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.corrections.ledger import PENDING, Ledger, read_ledger
from dagster_project.corrections.overlay import Laid, lay_over
from dagster_project.errors import InputRejected, NotReconciled
from dagster_project.files import replace_files, sha256_of
from dagster_project.ingest.faults import FileRejected, reject
from dagster_project.ingest.fingerprint import input_fingerprint, line_inputs, surroundings_fingerprint
from dagster_project.ingest.frozen import require_frozen
from dagster_project.ingest.open_probes import open_probes
from dagster_project.ingest.personal import require_key
from dagster_project.ingest.profile import Profile, load_profile
from dagster_project.ingest.read import Cells, Delivered, deliveries, read_cells
from dagster_project.ingest.rows import Judged, Known, all_faults, bronze_rows, hold_duplicates, judge, quarantine_rows
from dagster_project.ingest.wave import Wave, reference_tables
from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES, QUARANTINE

Progress = Callable[[str], None]
# Messages that the report repeats; quarantine holds them all.
MAX_MESSAGES = 200
# Two children at most: each may take the memory that workbook.Limits allows.
READERS = 2


@dataclass(frozen=True)
class FileAccount:
    """One file: what it was and where its rows went. `file` is relative to the wave's raw folder."""

    table: str
    file: str
    sha256: str
    bytes: int
    sheet: str | None
    profile: str
    n_read: int
    n_bronze: int
    n_quarantined: int
    n_blank: int


@dataclass(frozen=True)
class IngestReport:
    """What an ingest read, wrote and refused. The same input gives the same report.

    `surroundings`: fingerprint of all input but the exports. `totals`: per table, the sums of its
    files. `messages`: the first faults in full. `ledger_head`: the record of the ledger that was the
    last; `corrections`: those laid over the rows (`overlay.Laid.applied`).
    `outputs`: sha256 of every bronze file written; empty where nothing was (`check_wave`).
    """

    wave: str
    input_fingerprint: str
    surroundings: str
    files: tuple[FileAccount, ...]
    totals: dict[str, dict[str, int]]
    fault_counts: dict[str, int]
    messages: tuple[str, ...]
    ledger_head: str | None
    corrections: tuple[dict[str, str | None], ...]
    outputs: dict[str, str]
    is_cached: bool = False

    @property
    def n_read(self) -> int:
        return sum(file.n_read for file in self.files)

    @property
    def n_bronze(self) -> int:
        return sum(file.n_bronze for file in self.files)

    @property
    def n_quarantined(self) -> int:
        return sum(file.n_quarantined for file in self.files)

    @property
    def n_blank(self) -> int:
        return sum(file.n_blank for file in self.files)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "IngestReport":
        content = json.loads(text)
        content["files"] = tuple(FileAccount(**file) for file in content["files"])
        content["messages"] = tuple(content["messages"])
        content["corrections"] = tuple(content["corrections"])
        return cls(**content)


def ingest_wave(paths: Paths, wave: Wave, progress: Progress = lambda _: None) -> IngestReport:
    """Read, judge and write one wave; a table is not read again where nothing of it has changed.

    Writes `bronze/<table>/wave=<wave>/part-0.parquet` for the exports, quarantine, declared tables
    and line_inputs, and the report. Raises InputRejected with every file-level fault, and leaves
    what stood before untouched; NotReconciled where rows are unaccounted for.
    """
    delivered = _deliveries(paths, wave)
    ledger = read_ledger(paths, wave.id)
    _tell_waiting(wave.id, ledger, progress)
    surroundings = surroundings_fingerprint(paths, wave)
    former = _standing_report(paths, wave, surroundings)
    if former is not None and former.input_fingerprint == input_fingerprint(surroundings, delivered, ledger.head):
        progress(f"{wave.id}:输入未变,沿用已有数据 / input unchanged: bronze stands ({former.n_bronze} rows)")
        return replace(former, is_cached=True)
    tables, report = _read(paths, wave, delivered, ledger, surroundings, progress, former)
    # bronze is whole where its report stands, whatever ends this process between two of its files
    paths.ingest_report(wave.id).unlink(missing_ok=True)
    report = replace(report, outputs=write_tables(paths, wave.id, tables))
    replace_files({paths.ingest_report(wave.id): report.to_json().encode()})
    return report


def require_ingested(paths: Paths, wave_id: str) -> None:
    """Raise NotReconciled where bronze is not whole: an ingest ended between two of its files."""
    if not paths.ingest_report(wave_id).exists():
        raise NotReconciled(
            f"{wave_id}:采集未完成,请重新采集 / bronze was left unfinished; ingest the wave again: "
            f"hotline run --wave {wave_id}"
        )


def check_wave(paths: Paths, wave: Wave, progress: Progress = lambda _: None) -> IngestReport:
    """The same reading and judging as `ingest_wave`, of everything; writes nothing."""
    delivered, ledger = _deliveries(paths, wave), read_ledger(paths, wave.id)
    _tell_waiting(wave.id, ledger, progress)
    return _read(paths, wave, delivered, ledger, surroundings_fingerprint(paths, wave), progress)[1]


def standing_tables(paths: Paths, wave: Wave, progress: Progress = lambda _: None) -> dict[str, pa.Table]:
    """The tables that an ingest would write now, approved corrections laid over; writes nothing.

    What stands in bronze is taken from there. Raises what `ingest_wave` raises.
    """
    surroundings = surroundings_fingerprint(paths, wave)
    former = _standing_report(paths, wave, surroundings)
    delivered, ledger = _deliveries(paths, wave), read_ledger(paths, wave.id)
    return _read(paths, wave, delivered, ledger, surroundings, progress, former)[0]


def known_codes(tables: dict[str, pa.Table]) -> Known:
    """What rows of the wave may refer to, by its declared tables."""
    return Known(
        {
            "line": frozenset(tables["lines"]["line_id"].to_pylist()),
            "scenario": frozenset(tables["scenarios"]["scenario_code"].to_pylist()),
        }
    )


def keyed_fields(paths: Paths, wave: Wave) -> set[tuple[str, str]]:
    """(table, field) of what a profile of the wave keys: bronze holds no value that a person could name."""
    return {
        (profile.table.name, column.column.name)
        for profile in _profiles(paths, wave).values()
        for column in profile.columns
        if column.is_keyed
    }


def delivered_hashes(paths: Paths, wave: Wave) -> dict[str, str]:
    """{name: sha256} of the wave's exports. Raises InputRejected where they can not be told."""
    return {each.name: each.sha256 for each in _deliveries(paths, wave)}


def write_tables(paths: Paths, wave: str, tables: dict[str, pa.Table]) -> dict[str, str]:
    """Replace bronze files of a wave, all or none; returns the sha256 of each, by table."""
    contents = {name: _parquet(table) for name, table in tables.items()}
    replace_files({paths.bronze_part(name, wave): content for name, content in contents.items()})
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


# --- steps -------------------------------------------------------------------------------------


def _deliveries(paths: Paths, wave: Wave) -> list[Delivered]:
    try:
        delivered = deliveries(paths, wave)
    except FileRejected as rejected:
        reject(wave.id, [each.text() for each in rejected.found])
    require_frozen(paths, wave.id, {each.name: each.sha256 for each in delivered})
    return delivered


def _tell_waiting(wave: str, ledger: Ledger, progress: Progress) -> None:
    waiting = ledger.of_state(PENDING)
    if waiting:
        ids = ", ".join(each.id for each in waiting[:10])
        progress(f"{wave}:{len(waiting)} 条更正待批准,未采用 / {len(waiting)} corrections wait for approval: {ids}")


def _read(
    paths: Paths,
    wave: Wave,
    delivered: list[Delivered],
    ledger: Ledger,
    surroundings: str,
    progress: Progress,
    former: IngestReport | None = None,
) -> tuple[dict[str, pa.Table], IngestReport]:
    """All bronze tables of the wave by name, and the account of what went where.

    Tables whose exports and corrections are those of the `former` report are taken from bronze.
    """
    profiles = _profiles(paths, wave)
    is_keyed = any(column.is_keyed for profile in profiles.values() for column in profile.columns)
    key = require_key() if is_keyed else None
    standing = _standing_accounts(former, delivered, ledger)
    to_read = [each for each in delivered if each.export.table not in standing]
    with ThreadPoolExecutor(READERS) as pool:
        # files are read while the declared tables are checked; results are taken in order
        reading = [pool.submit(read_cells, each, profiles[each.export.profile]) for each in to_read]
        tables = reference_tables(paths, wave)
        cells = _all_cells(wave.id, to_read, reading, progress)
    known = known_codes(tables)
    judged = [judge(each, profiles[file.export.profile], known, key) for file, each in zip(to_read, cells, strict=True)]
    quarantined = [QUARANTINE.empty_table()]
    for name, table in EXPORT_TABLES.items():
        if name in standing:
            tables[name] = pq.ParquetFile(paths.bronze_part(name, wave.id)).read()
            continue
        sheets = [sheet for each, sheet in zip(to_read, judged, strict=True) if each.export.table == name]
        hold_duplicates(sheets, table)
        tables[name] = bronze_rows(sheets, table)
        quarantined.append(quarantine_rows(sheets, table))
    tables["quarantine"] = pa.concat_tables(quarantined)
    laid = _laid(wave.id, {name: tables[name] for name in EXPORT_TABLES if name not in standing}, ledger, known)
    tables |= {name: each.rows for name, each in laid.items()}
    tables["open_probes"] = open_probes(tables["dial_attempts"], tables["phone_probes"])
    tables["line_inputs"] = line_inputs(paths, wave, tables)
    accounts = [*(account for of_table in standing.values() for account in of_table)]
    accounts += _accounts(to_read, judged, tables)
    applied = [record for each in laid.values() for record in each.applied]
    if former is not None:
        applied += [record for record in former.corrections if record["table"] in standing]
    report = _report(wave.id, surroundings, delivered, ledger, accounts, applied, judged)
    progress(
        f"{wave.id}:读取 read {report.n_read} = 采信 bronze {report.n_bronze} + 隔离 quarantined "
        f"{report.n_quarantined} + 空行 blank {report.n_blank}"
    )
    return tables, report


def _laid(wave: str, tables: dict[str, pa.Table], ledger: Ledger, known: Known) -> dict[str, Laid]:
    """The tables with their approved corrections. Raises InputRejected with every one that does not fit."""
    laid = {
        name: lay_over(EXPORT_TABLES[name], rows, [each for each in ledger.effective if each.table == name], known)
        for name, rows in tables.items()
    }
    faults = [fault for each in laid.values() for fault in each.faults]
    if faults:
        reject(wave, faults)
    return laid


def _standing_accounts(
    former: IngestReport | None, delivered: list[Delivered], ledger: Ledger
) -> dict[str, list[FileAccount]]:
    """{table: accounts of its files} of the tables that would come out as they stand.

    A table with quarantined rows is read again: the report tells each fault in full.
    """
    standing: dict[str, list[FileAccount]] = {}
    if former is None:
        return standing
    for name in EXPORT_TABLES:
        accounts = [file for file in former.files if file.table == name]
        ours = [(each.name, each.sha256, each.export.profile) for each in delivered if each.export.table == name]
        is_same = [(file.file, file.sha256, file.profile) for file in accounts] == ours
        is_same = is_same and _effective(ledger, name) == _applied(former, name)
        if is_same and not any(file.n_quarantined for file in accounts):
            standing[name] = accounts
    return standing


def _effective(ledger: Ledger, table: str) -> list[tuple[str | None, ...]]:
    return [
        (each.id, each.target, each.field, each.expect, each.to, each.reason)
        for each in ledger.effective
        if each.table == table
    ]


def _applied(report: IngestReport, table: str) -> list[tuple[str | None, ...]]:
    names = ("id", "target", "field", "expect", "to", "reason")
    return [tuple(each[name] for name in names) for each in report.corrections if each["table"] == table]


def _profiles(paths: Paths, wave: Wave) -> dict[str, Profile]:
    """The profiles of a wave's exports by name; a profile serves the table that it declares."""
    profiles, messages = {}, []
    for export in wave.exports:
        try:
            profile = load_profile(paths, export.profile)
        except InputRejected as rejected:
            messages.append(str(rejected))
            continue
        profiles[export.profile] = profile
        if profile.table.name != export.table:
            messages.append(
                f"{wave.id}/wave.yml: profile {profile.name} 用于 {profile.table.name},不是 {export.table} / "
                f"the profile is for {profile.table.name}; name another"
            )
    if messages:
        reject(wave.id, dict.fromkeys(messages))
    return profiles


def _all_cells(wave: str, delivered: list[Delivered], reading: list[Future[Cells]], progress: Progress) -> list[Cells]:
    """The cells of every file; raises InputRejected with the faults of all that cannot be read."""
    cells, messages = [], []
    for file, future in zip(delivered, reading, strict=True):
        progress(f"{wave}/{file.name} ({len(file.content) / 2**20:.1f} MB, {file.export.profile})")
        try:
            cells.append(future.result())
        except FileRejected as rejected:
            messages += [found.text() for found in rejected.found]
    if messages:
        reject(wave, messages)
    return cells


def _accounts(delivered: list[Delivered], judged: list[Judged], tables: dict[str, pa.Table]) -> list[FileAccount]:
    """The account of every file that was read, held against the tables that are about to be written."""
    in_bronze = _rows_per_file(tables, list(EXPORT_TABLES))
    in_quarantine = _rows_per_file(tables, ["quarantine"])
    return [
        FileAccount(
            table=each.export.table, file=each.name, sha256=each.sha256, bytes=len(each.content),
            sheet=sheet.cells.sheet, profile=each.export.profile, n_read=sheet.cells.n_read,
            n_bronze=in_bronze[each.export.table, each.name], n_quarantined=in_quarantine[each.export.table, each.name],
            n_blank=sheet.cells.n_blank,
        )
        for each, sheet in zip(delivered, judged, strict=True)
    ]  # fmt: skip


def _report(
    wave: str,
    surroundings: str,
    delivered: list[Delivered],
    ledger: Ledger,
    accounts: list[FileAccount],
    applied: list[dict[str, str | None]],
    judged: list[Judged],
) -> IngestReport:
    by_name = {(account.table, account.file): account for account in accounts}
    files = tuple(by_name[each.export.table, each.name] for each in delivered)
    _require_identity(wave, files)
    by_id = {record["id"]: record for record in applied}
    found = [fault for sheet in judged for of_row in all_faults(sheet).values() for fault in of_row]
    return IngestReport(
        wave=wave,
        input_fingerprint=input_fingerprint(surroundings, delivered, ledger.head),
        surroundings=surroundings,
        files=files,
        totals={name: _sums([file for file in files if file.table == name]) for name in EXPORT_TABLES},
        fault_counts=dict(sorted(Counter(each.fault.code for each in found).items())),
        messages=tuple(each.text() for each in found[:MAX_MESSAGES]),
        ledger_head=ledger.head,
        corrections=tuple(by_id[each.id] for each in ledger.effective),
        outputs={},
    )


def _rows_per_file(tables: dict[str, pa.Table], names: list[str]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for name in names:
        table = tables[name]
        owners = table["table_name"].to_pylist() if name == "quarantine" else [name] * table.num_rows
        counts.update(zip(owners, table["source_file"].to_pylist(), strict=True))
    return counts


def _sums(files: list[FileAccount]) -> dict[str, int]:
    return {name: sum(getattr(file, name) for file in files) for name in COUNTS}


COUNTS = ("n_read", "n_bronze", "n_quarantined", "n_blank")


def _require_identity(wave: str, files: tuple[FileAccount, ...]) -> None:
    """read = bronze + quarantined + blank, for every file."""
    for file in files:
        if file.n_read != file.n_bronze + file.n_quarantined + file.n_blank:
            raise NotReconciled(
                f"{wave}/{file.file}:行数不平 / rows unaccounted for: read {file.n_read} ≠ bronze {file.n_bronze} + "
                f"quarantined {file.n_quarantined} + blank {file.n_blank}"
            )


# --- files -------------------------------------------------------------------------------------


def _standing_report(paths: Paths, wave: Wave, surroundings: str) -> IngestReport | None:
    """The report of the bronze that stands, where exports are still read in the same way and it is whole."""
    path = paths.ingest_report(wave.id)
    if not path.is_file():
        return None
    try:
        report = IngestReport.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError):  # written by other code, or damaged: as good as none
        return None
    if report.surroundings != surroundings:
        return None
    for table, sha256 in report.outputs.items():
        part = paths.bronze_part(table, wave.id)
        if not part.is_file() or sha256_of(part) != sha256:
            return None
    return report


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    # row groups small enough that one line's rows are found without reading the rest
    pq.write_table(table, sink, compression="zstd", row_group_size=20_000)
    content: bytes = sink.getvalue().to_pybytes()
    return content
