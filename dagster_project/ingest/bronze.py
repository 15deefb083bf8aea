"""A wave's exports to bronze: read all, judge all, lay corrections over, account for every row, replace all files.

Belongs here: the order of the steps, the account of rows, writing, and when nothing needs doing.
Does not belong here: how files are read or rows judged, where rows wait (`spill.py`).

Of a wave that is larger than memory, no more than three files are in it at a time: two that are read
and one whose rows are put aside. A file that holds a key of another one is read a second time, since what
quarantine tells of a row stands in its cells alone.
"""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dagster_project.ahead import ahead
from dagster_project.corrections.ledger import PENDING, Ledger, read_ledger
from dagster_project.corrections.overlay import Laid, lay_over
from dagster_project.corrections.people import undeclared
from dagster_project.errors import InputRejected, NotReconciled
from dagster_project.files import read_sealed, replace_files, sha256_of, staged_file, write_sealed
from dagster_project.ingest.faults import FileRejected, Found, reject
from dagster_project.ingest.fingerprint import LineInputs, input_fingerprint, surroundings_fingerprint
from dagster_project.ingest.frozen import record_frozen, require_frozen
from dagster_project.ingest.open_probes import open_probes
from dagster_project.ingest.personal import require_key
from dagster_project.ingest.profile import Profile, load_profile
from dagster_project.ingest.read import Delivery, deliveries, read_cells
from dagster_project.ingest.rows import Judged, Known, all_faults, bronze_rows, hold_duplicates, judge, quarantine_rows
from dagster_project.ingest.spill import Keys, Pieces, Runs
from dagster_project.ingest.wave import Wave, reference_tables
from dagster_project.paths import Paths
from dagster_project.release.recorded import require_recorded
from dagster_project.schema import EXPORT_TABLES, QUARANTINE, REFERENCE_TABLES, TEXT, Table

logger = logging.getLogger("hotline")

Progress = Callable[[str], None]
# Messages that the report repeats; quarantine holds them all.
MAX_MESSAGES = 200
# Two children at most: each may take the memory that workbook.Limits allows.
READERS = 2
# Row groups small enough that one line's rows are found without reading the rest.
GROUP_ROWS = 20_000
# What becomes of the rows of a file that may be accepted.
Keep = Callable[[Known, str, pa.Table], None]


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
    def from_content(cls, content: dict[str, Any]) -> "IngestReport":
        """The report that `asdict` gave. Raises KeyError or TypeError for the content of another version."""
        content["files"] = tuple(FileAccount(**file) for file in content["files"])
        content["messages"] = tuple(content["messages"])
        content["corrections"] = tuple(content["corrections"])
        return cls(**content)


def ingest_wave(paths: Paths, wave: Wave, progress: Progress = lambda _: None) -> IngestReport:
    """Read, judge and write one wave; a table is not read again where nothing of it has changed.

    Writes `bronze/<table>/wave=<wave>/part-0.parquet` for the exports, quarantine, declared tables,
    open_probes and line_inputs, and the report. Raises InputRejected with every file-level fault, and leaves
    what stood before untouched; NotReconciled where rows are unaccounted for.
    """
    require_recorded(paths, wave.id, wave.baseline)
    _discard_left_over(paths, wave.id)
    given = _given(paths, wave)
    record_frozen(paths, wave.id)
    _tell_waiting(given, progress)
    former = given.former
    if former is not None and former.input_fingerprint == given.fingerprint:
        progress(f"{wave.id}:输入未变,沿用已有数据 / input unchanged: bronze is kept ({former.n_bronze} rows)")
        return replace(former, is_cached=True)
    try:
        return _ingest(given, progress)
    finally:
        _discard_left_over(paths, wave.id)


def find_report(paths: Paths, wave_id: str) -> IngestReport | None:
    """The report of the last ingest; None where it is missing, damaged, or written by another version."""
    content = read_sealed(paths.ingest_report(wave_id))
    try:
        return None if content is None else IngestReport.from_content(content)
    except (KeyError, TypeError):
        return None


def stored_report(paths: Paths, wave_id: str) -> IngestReport:
    """The report of the last ingest. Raises NotReconciled where there is none: an ingest did not finish."""
    report = find_report(paths, wave_id)
    if report is None:
        raise NotReconciled(
            f"{wave_id}:采集未完成,请重新采集 / bronze was left unfinished; ingest the wave again: "
            f"hotline run --wave {wave_id}"
        )
    return report


def require_ingested(paths: Paths, wave_id: str) -> None:
    """Raise NotReconciled where bronze is not what the last ingest wrote."""
    differing = _differing_parts(paths, stored_report(paths, wave_id))
    if differing:
        raise NotReconciled(
            f"{wave_id}:bronze 与采集记录不符,请重新采集 / bronze is not what its ingest wrote; ingest the wave again: "
            f"hotline run --wave {wave_id} ({', '.join(differing)})"
        )


# {bronze file: (inode, size, time, sha256)}: a run compares the same files several times
_hashed: dict[Path, tuple[int, int, int, str]] = {}


def _differing_parts(paths: Paths, report: IngestReport) -> list[str]:
    """Tables whose bronze file is missing, or has not the bytes that the report states."""
    parts = {table: paths.bronze_part(table, report.wave) for table in report.outputs}
    return [table for table, part in parts.items() if not part.is_file() or _hash(part) != report.outputs[table]]


def _hash(part: Path) -> str:
    found = part.stat()
    state = (found.st_ino, found.st_size, found.st_mtime_ns)
    if part not in _hashed or _hashed[part][:3] != state:
        _hashed[part] = (*state, sha256_of(part))
    return _hashed[part][3]


def check_wave(paths: Paths, wave: Wave, progress: Progress = lambda _: None) -> IngestReport:
    """The same reading and judging as `ingest_wave`, of everything; writes nothing."""
    given = replace(_given(paths, wave), former=None)
    _tell_waiting(given, progress)
    with TemporaryDirectory(prefix="hotline-") as folder:
        accepted = _accepted(given, _targets(given), lambda *_: None, Path(folder), progress)
    n_bronze = Counter({(each.table, each.name): each.n_good for each in accepted.read})
    n_quarantined = Counter({(each.table, each.name): each.n_faulty for each in accepted.read})
    return _report(given, accepted, n_bronze, n_quarantined, progress)


def standing_rows(
    paths: Paths, wave: Wave, keys: Collection[str], progress: Progress = lambda _: None
) -> dict[str, pa.Table]:
    """The declared tables, and those of the exports as an ingest would write them now, but only rows with these keys.

    Approved corrections are laid over; what stands in bronze is taken from there. Writes nothing.
    Raises what `ingest_wave` raises.
    """
    given = _given(paths, wave)
    named = {name: targets | set(keys) for name, targets in _targets(given).items()}
    with TemporaryDirectory(prefix="hotline-") as folder:
        accepted = _accepted(given, named, lambda *_: None, Path(folder), progress)
    tables = {**accepted.declared, **{name: each.rows for name, each in accepted.laid.items()}}
    for name in accepted.standing:
        groups = _row_groups(paths.bronze_part(name, wave.id))
        tables[name] = pa.concat_tables(_with_keys(each, EXPORT_TABLES[name].key, keys) for each in groups)
    return tables


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


def write_tables(paths: Paths, wave: str, tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """Replace bronze files of a wave, all or none; returns the sha256 of each, by table."""
    contents = {name: _parquet(table) for name, table in tables.items()}
    replace_files({paths.bronze_part(name, wave): content for name, content in contents.items()})
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


# --- steps -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    """What an ingest is made from. `former`: the report of the bronze that stands, where it is of the same kind."""

    paths: Paths
    wave: Wave
    delivered: list[Delivery]
    ledger: Ledger
    surroundings: str
    former: IngestReport | None

    @property
    def fingerprint(self) -> str:
        return input_fingerprint(self.surroundings, self.delivered, self.ledger.head)


@dataclass
class _ReadFile:
    """What became of one file. `number`: its place among those that were read."""

    number: int
    delivery: Delivery
    sheet: str | None
    n_read: int
    n_blank: int
    n_good: int = 0
    n_faulty: int = 0
    fault_counts: Counter[str] = field(default_factory=Counter)
    messages: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        return self.delivery.export.table

    @property
    def name(self) -> str:
        return self.delivery.name


@dataclass(frozen=True)
class _Accepted:
    """What was read and judged. `standing`: accounts of the tables that did not have to be.

    `without`: keys of rows that are not to be written as they were kept: they stand twice, or `laid` has
    them, with their corrections.
    """

    declared: dict[str, pa.Table]
    standing: dict[str, list[FileAccount]]
    read: list[_ReadFile]
    quarantine: Pieces
    without: dict[str, pa.Array]
    laid: dict[str, Laid]

    def of_table(self, name: str) -> list[_ReadFile]:
        return [each for each in self.read if each.table == name]


def _given(paths: Paths, wave: Wave) -> _Given:
    surroundings = surroundings_fingerprint(paths, wave)
    former = _standing_report(paths, wave, surroundings)
    delivered = _deliveries(paths, wave)
    require_frozen(paths, wave.id, {each.name: each.sha256 for each in delivered})
    return _Given(paths, wave, delivered, read_ledger(paths, wave.id), surroundings, former)


def _deliveries(paths: Paths, wave: Wave) -> list[Delivery]:
    try:
        return deliveries(paths, wave)
    except FileRejected as rejected:
        reject(wave.id, [each.text() for each in rejected.found])


def _tell_waiting(given: _Given, progress: Progress) -> None:
    if given.ledger.corrections and (note := undeclared(given.paths)):
        progress(note)
    requested = [each.id for each in given.ledger.effective if each.is_withdrawal_requested]
    if requested:
        progress(
            f"{given.wave.id}:{len(requested)} 条更正的撤回待批准,更正仍然有效 / the withdrawal of {len(requested)} "
            f"corrections waits for approval; they are in force: {', '.join(requested[:10])}"
        )
    waiting = given.ledger.of_state(PENDING)
    if waiting:
        ids = ", ".join(each.id for each in waiting[:10])
        progress(
            f"{given.wave.id}:{len(waiting)} 条更正待批准,未采用 / {len(waiting)} corrections wait for approval: {ids}"
        )


def _targets(given: _Given) -> dict[str, set[str]]:
    """{table: keys of the rows that a correction changes}."""
    return {name: {each.target for each in given.ledger.effective if each.table == name} for name in EXPORT_TABLES}


def _ingest(given: _Given, progress: Progress) -> IngestReport:
    """Read all, write the exports' tables beside those that stand, then let every file take its place."""
    paths, wave = given.paths, given.wave.id
    runs: dict[str, Runs] = {}

    def keep(known: Known, name: str, rows: pa.Table) -> None:
        if name not in runs:
            runs[name] = Runs(EXPORT_TABLES[name], known, paths.spill)
        runs[name].add(rows)

    accepted = _accepted(given, _targets(given), keep, paths.spill, progress)
    inputs = LineInputs(paths, given.wave, accepted.declared["lines"])
    n_bronze: Counter[tuple[str, str]] = Counter()
    for name, table in EXPORT_TABLES.items():
        inputs.begin(table)
        if name in accepted.standing:
            for rows in _row_groups(paths.bronze_part(name, wave)):
                inputs.add(rows)
            continue
        merged = runs.pop(name).merged(accepted.without[name], accepted.laid[name].rows) if name in runs else []
        for rows in _written(paths.bronze_part(name, wave), table.schema(), merged):
            inputs.add(rows)
            n_bronze.update({(name, file): count for file, count in _counts(rows["source_file"])})
    n_quarantined: Counter[tuple[str, str]] = Counter()
    numbers = [each.number for name in EXPORT_TABLES for each in accepted.of_table(name)]
    for rows in _written(paths.bronze_part("quarantine", wave), QUARANTINE, accepted.quarantine.tables(numbers)):
        n_quarantined.update(zip(rows["table_name"].to_pylist(), rows["source_file"].to_pylist(), strict=True))
    report = _report(given, accepted, n_bronze, n_quarantined, progress)
    parts = {name: paths.bronze_part(name, wave) for name in ("dial_attempts", "phone_probes")}
    are_open = open_probes(*(part if name in accepted.standing else staged_file(part) for name, part in parts.items()))
    small = {**accepted.declared, "open_probes": are_open, "line_inputs": inputs.table()}
    return _put_in_place(given, accepted, small, report)


def _accepted(given: _Given, named: dict[str, set[str]], keep: Keep, folder: Path, progress: Progress) -> _Accepted:
    """Read and judge every file of the tables that do not stand: its good rows are kept, the others in quarantine.

    `named`: {table: keys} of the rows that corrections are laid over. `folder`: for what does not stay
    in memory. Raises InputRejected with the faults of all files that cannot be read, or of all
    corrections that do not fit.
    """
    profiles = _profiles(given.paths, given.wave)
    is_keyed = any(column.is_keyed for profile in profiles.values() for column in profile.columns)
    secret = require_key() if is_keyed else None
    standing = _standing_accounts(given)
    to_read = [each for each in given.delivered if each.export.table not in standing]
    promised: Future[Known] = Future()

    def judged(delivery: Delivery) -> Judged | FileRejected:
        """The file's rows; FileRejected is raised where it cannot be read, and returned where too much is wrong."""
        profile = profiles[delivery.export.profile]
        cells = read_cells(delivery.read(), profile)
        try:
            return judge(cells, profile, promised.result(), secret)
        except FileRejected as rejected:
            return rejected

    taken = _Taken(named, keep, folder)
    with ThreadPoolExecutor(READERS) as pool:
        # files are read while the declared tables are checked; results are taken in order
        results = ahead(pool, judged, to_read, READERS)
        try:
            declared = reference_tables(given.paths, given.wave)
            known = known_codes(declared)
            promised.set_result(known)
        finally:
            promised.cancel()  # does nothing where it was kept; else nobody shall wait for it
        _take_all(given.wave.id, to_read, results, taken, known, progress)
    for table in EXPORT_TABLES.values():
        taken.hold_duplicates(table, judged)
    laid = {
        name: lay_over(
            table, taken.named(table), [each for each in given.ledger.effective if each.table == name], known
        )
        for name, table in EXPORT_TABLES.items()
        if name not in standing
    }
    faults = [fault for each in laid.values() for fault in each.faults]
    if faults:
        reject(given.wave.id, faults)
    without = {
        name: pa.concat_arrays([taken.repeated[name], *each.rows[EXPORT_TABLES[name].key].chunks])
        for name, each in laid.items()
    }
    return _Accepted(declared, standing, taken.files, taken.quarantine, without, laid)


def _take_all(
    wave: str,
    to_read: list[Delivery],
    results: Iterator[Future[Judged | FileRejected]],
    taken: "_Taken",
    known: Known,
    progress: Progress,
) -> None:
    """Take the rows of every file; raises InputRejected with the faults of all that cannot be read."""
    messages: list[str] = []
    refused: list[FileRejected] = []
    for delivery in to_read:
        progress(f"{wave}/{delivery.name} ({delivery.n_bytes / 2**20:.1f} MB, {delivery.export.profile})")
        try:
            result = next(results).result()
        except FileRejected as rejected:
            messages += [found.text() for found in rejected.found]
            continue
        if isinstance(result, FileRejected):
            refused.append(result)
        elif not messages and not refused:
            taken.take(delivery, result, known)
            del result
            pa.default_memory_pool().release_unused()
    if messages:
        reject(wave, messages)
    if refused:
        raise refused[0]


class _Taken:
    """What is known of the files that were read, by the order in which they were taken."""

    def __init__(self, named: dict[str, set[str]], keep: Keep, folder: Path):
        self._keys_of_named, self._keep = named, keep
        self._named: dict[str, list[pa.Table]] = {name: [] for name in EXPORT_TABLES}
        self._keys = {name: Keys(table, folder) for name, table in EXPORT_TABLES.items()}
        self.repeated: dict[str, pa.Array] = {}
        self.quarantine = Pieces(folder)
        self.files: list[_ReadFile] = []

    def take(self, delivery: Delivery, judged: Judged, known: Known) -> None:
        table = EXPORT_TABLES[delivery.export.table]
        rows = bronze_rows(judged, table)
        self._keys[table.name].add(judged.values[table.key], judged.cells.rows, judged.cells.file, judged.cells.sheet)
        self._named[table.name].append(_with_keys(rows, table.key, self._keys_of_named[table.name]))
        self._keep(known, table.name, rows)
        self.files.append(self._account(len(self.files), delivery, judged))

    def hold_duplicates(self, table: Table, judged: Callable[[Delivery], Judged | FileRejected]) -> None:
        """Put the rows whose keys stand twice into quarantine: `judged` reads their files again."""
        keys = self._keys[table.name]
        repeated = self.repeated[table.name] = keys.repeated()
        concerned = keys.files_with(repeated) if len(repeated) else set()
        for old in [each for each in self.files if each.table == table.name and each.name in concerned]:
            sheet = judged(old.delivery)
            if isinstance(sheet, FileRejected):
                raise sheet
            hold_duplicates(sheet, table, repeated, keys.places)
            self.files[old.number] = self._account(old.number, old.delivery, sheet)

    def named(self, table: Table) -> pa.Table:
        """The named rows that have been accepted, sorted."""
        rows = pa.concat_tables([table.schema().empty_table(), *self._named[table.name]])
        rows = rows.filter(pc.invert(pc.is_in(rows[table.key], value_set=self.repeated[table.name])))
        return rows.sort_by([(name, "ascending") for name in table.order]).combine_chunks()

    def _account(self, number: int, delivery: Delivery, judged: Judged) -> _ReadFile:
        rows = quarantine_rows(judged, EXPORT_TABLES[delivery.export.table])
        self.quarantine.put(number, rows)
        found = [fault for of_row in all_faults(judged).values() for fault in of_row]
        cells = judged.cells
        return _ReadFile(
            number, delivery, cells.sheet, cells.n_read, cells.n_blank, int(judged.kept().sum()), rows.num_rows,
            Counter(each.fault.code for each in found), _messages(found),
        )  # fmt: skip


def _messages(found: Iterable[Found]) -> tuple[str, ...]:
    """The first faults in full; one message for all cells of a column that hold the same faulty value."""
    groups: dict[object, list[Found]] = {}
    for number, each in enumerate(found):
        place = (each.place.file, each.place.sheet, each.place.column)
        key = number if each.value is None else (*place, each.fault, each.value, each.detail)
        groups.setdefault(key, []).append(each)
    return tuple(
        first.text() + (f" (另有 {len(others)} 行相同 / and {len(others)} more rows)" if others else "")
        for first, *others in islice(groups.values(), MAX_MESSAGES)
    )


def _with_keys(rows: pa.Table, column: str, keys: Iterable[str]) -> pa.Table:
    wanted = pa.array(sorted(keys), TEXT)
    # no slice: that would keep all of them in memory
    return rows.filter(pc.is_in(rows[column], value_set=wanted)) if len(wanted) else rows.schema.empty_table()


def _standing_accounts(given: _Given) -> dict[str, list[FileAccount]]:
    """{table: accounts of its files} of the tables that would come out as they stand.

    A table with quarantined rows is read again: the report tells each fault in full.
    """
    standing: dict[str, list[FileAccount]] = {}
    former = given.former
    if former is None:
        return standing
    for name in EXPORT_TABLES:
        accounts = [file for file in former.files if file.table == name]
        ours = [(each.name, each.sha256, each.export.profile) for each in given.delivered if each.export.table == name]
        is_same = [(file.file, file.sha256, file.profile) for file in accounts] == ours
        is_same = is_same and _effective(given.ledger, name) == _applied(former, name)
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


def _report(
    given: _Given,
    accepted: _Accepted,
    n_bronze: Mapping[tuple[str, str], int],
    n_quarantined: Mapping[tuple[str, str], int],
    progress: Progress,
) -> IngestReport:
    """The account of the wave. `n_bronze`, `n_quarantined`: rows by table and file, as they were written."""
    wave = given.wave.id
    accounts = [account for of_table in accepted.standing.values() for account in of_table]
    accounts += [
        FileAccount(
            table=each.table, file=each.name, sha256=each.delivery.sha256, bytes=each.delivery.n_bytes,
            sheet=each.sheet, profile=each.delivery.export.profile, n_read=each.n_read,
            n_bronze=n_bronze[each.table, each.name], n_quarantined=n_quarantined[each.table, each.name],
            n_blank=each.n_blank,
        )
        for each in accepted.read
    ]  # fmt: skip
    by_name = {(account.table, account.file): account for account in accounts}
    files = tuple(by_name[each.export.table, each.name] for each in given.delivered)
    _require_identity(wave, files)
    applied = [record for each in accepted.laid.values() for record in each.applied]
    if given.former is not None:
        applied += [record for record in given.former.corrections if record["table"] in accepted.standing]
    by_id = {record["id"]: record for record in applied}
    report = IngestReport(
        wave=wave,
        input_fingerprint=given.fingerprint,
        surroundings=given.surroundings,
        files=files,
        totals={name: _sums([file for file in files if file.table == name]) for name in EXPORT_TABLES},
        fault_counts=dict(sorted(sum((each.fault_counts for each in accepted.read), Counter[str]()).items())),
        messages=tuple(islice((message for each in accepted.read for message in each.messages), MAX_MESSAGES)),
        ledger_head=given.ledger.head,
        corrections=tuple(by_id[each.id] for each in given.ledger.effective),
        outputs={},
    )
    progress(
        f"{wave}:读取 read {report.n_read} = 采信 bronze {report.n_bronze} + 隔离 quarantined "
        f"{report.n_quarantined} + 空行 blank {report.n_blank}"
    )
    return report


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


def _put_in_place(given: _Given, accepted: _Accepted, small: dict[str, pa.Table], report: IngestReport) -> IngestReport:
    """Let the files that were written take their places, the `small` tables beside them, and the report at last."""
    paths, wave = given.paths, given.wave.id
    written = [name for name in (*EXPORT_TABLES, "quarantine") if name not in accepted.standing]
    staged = {name: paths.bronze_part(name, wave) for name in written}
    contents = {name: _parquet(table) for name, table in small.items()}
    outputs = {name: sha256_of(staged_file(part)) for name, part in staged.items()}
    outputs |= {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if given.former is not None:
        outputs |= {name: given.former.outputs[name] for name in accepted.standing}
    # bronze is whole where its report stands, whatever ends this process between two of its files
    paths.ingest_report(wave).unlink(missing_ok=True)
    replace_files({paths.bronze_part(name, wave): content for name, content in contents.items()}, staged.values())
    report = replace(report, outputs=dict(sorted(outputs.items())))
    write_sealed(paths.ingest_report(wave), asdict(report))
    return report


def _discard_left_over(paths: Paths, wave: str) -> None:
    """Remove what an ingest has put aside; one that was killed leaves it."""
    if paths.spill.exists():
        shutil.rmtree(paths.spill)
    for name in (*EXPORT_TABLES, "quarantine", *REFERENCE_TABLES):
        staged_file(paths.bronze_part(name, wave)).unlink(missing_ok=True)


def _standing_report(paths: Paths, wave: Wave, surroundings: str) -> IngestReport | None:
    """The report of the bronze that stands, where exports are still read in the same way and it is whole."""
    report = find_report(paths, wave.id)
    if report is None or report.surroundings != surroundings:
        return None
    if differing := _differing_parts(paths, report):
        logger.warning(
            "%s:bronze 与采集记录不符,重新采集 / bronze is not what its ingest wrote: the exports are read again (%s)",
            wave.id, ", ".join(differing),
        )  # fmt: skip
        return None
    return report


def _written(part: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write the tables as the rows of one bronze file that still has to take its place; gives each group of rows."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(part).open("wb") as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for rows in _groups(tables, schema):
            writer.write_table(rows, row_group_size=GROUP_ROWS)
            yield rows


def _groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows, in tables of GROUP_ROWS; of no rows, one table."""
    waiting = schema.empty_table()
    is_first = True
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS).combine_chunks()
            waiting, is_first = waiting.slice(GROUP_ROWS), False
    if waiting.num_rows or is_first:
        yield waiting.combine_chunks()


def _row_groups(part: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(part) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def _counts(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    return [(each["values"].as_py(), each["counts"].as_py()) for each in pc.value_counts(column)]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=GROUP_ROWS)
    content: bytes = sink.getvalue().to_pybytes()
    return content
