"""Which waves have input of which no release was made yet: what the sensor `new_input` asks runs for.

Belongs here: what is compared with what, and when a run is asked for again. Does not belong here: the sensor
(`jobs.py`), what a release is made from (`release/identity.py`).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_project import chain, runlog
from dagster_project.errors import Busy, HotlineError, Interrupted
from dagster_project.files import sha256_of
from dagster_project.ingest.wave import Wave, export_files, load_wave, order_waves
from dagster_project.lock import is_held
from dagster_project.paths import Paths
from dagster_project.release.folder import current_release, read_manifest
from dagster_project.release.identity import declaration_version, declared_paths
from dagster_project.runs import ENDED_OUTSIDE, stop_of

INPUT_TAG = "hotline/input"  # of a run that the sensor asked for: digest of the input that it saw
PARTITION_TAG = "dagster/partition"
WAITING_OR_AT_WORK = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]  # fmt: skip
MAX_RUNS = 100  # of a wave, that are looked at
MAX_ATTEMPTS = 3  # of runs that were killed, per input

Seen = dict[str, list[Any]]  # path below raw/: size, modified, changed, inode, SHA-256 (null: not hashed yet)


@dataclass
class Findings:
    """The waves to run, each with the digest of its input and a key; what to remember; what keeps others from it."""

    requests: list[tuple[Wave, str, str]] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def waves_to_run(paths: Paths, instance: dg.DagsterInstance, before: dict[str, Seen]) -> Findings:
    """The waves whose input is not what their last release was made from, and has not changed since `before`.

    Raises NotReconciled where the log is damaged.
    """
    log = runlog.read(paths)
    order = order_waves(paths)
    findings = Findings(notes=[str(fault) for fault in order.faults.values()])
    for wave_id in order.ordered:
        try:
            wave = load_wave(paths, wave_id)
            _judge(paths, instance, wave, log, before.get(wave_id), findings)
        except (HotlineError, OSError) as fault:  # of this wave; the others go on
            findings.notes.append(f"{wave_id}: {fault}")
    return findings


def _judge(
    paths: Paths, instance: dg.DagsterInstance, wave: Wave, log: Sequence[dict[str, Any]], before: Any,
    findings: Findings,
) -> None:  # fmt: skip
    if not export_files(paths, wave):
        return
    seen = findings.seen[wave.id] = look(paths, wave, before if isinstance(before, dict) else {})
    if not is_unchanged(seen, before):
        findings.notes.append(f"{wave.id}: 等待文件写完 / waiting until its files no longer change")
        return
    for name, facts in seen.items():
        facts[-1] = facts[-1] or sha256_of(paths.raw / name)
    if not is_unchanged(look(paths, wave, {}), seen):
        return  # changed while it was read
    state = state_of(paths, wave, seen)
    if state == made_from(paths, wave, log) or _is_under_way(instance, wave.id):
        return
    if wave.baseline is not None:
        is_asked_for = any(asked.id == wave.baseline for asked, *_ in findings.requests)
        if is_asked_for or _is_under_way(instance, wave.baseline) or state["baseline"] is None:
            findings.notes.append(f"{wave.id}: 等待基期 / waiting for its baseline {wave.baseline}")
            return
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    runs = _runs_asked_for(instance, wave.id)
    if _may_ask(paths, instance, runs, digest):
        last = runs[0].run_id if runs else "-"
        # another key for every question, the same for a question that the daemon could not note as asked
        findings.requests.append((wave, digest, f"{wave.id} {digest} {last}"))


# --- the files ---------------------------------------------------------------------------------


def look(paths: Paths, wave: Wave, before: Seen) -> Seen:
    """What the file system says of every file that a release of the wave is made from; hashes are those of `before`."""
    ledger = paths.ledger(wave.id)
    files = {*export_files(paths, wave), *declared_paths(paths, wave), *([ledger] if ledger.exists() else [])}
    seen: Seen = {}
    for path in sorted(files):
        name = path.relative_to(paths.raw).as_posix()
        facts = _facts(path)
        known = before.get(name)
        seen[name] = [*facts, known[-1] if known is not None and known[:-1] == facts else None]
    return seen


def _facts(path: Path) -> list[int]:
    # the time of change cannot be set: a file that is put back with its old time shows by it
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def is_unchanged(seen: Seen, before: Any) -> bool:
    """Whether files, sizes and times are the same; a file that is being copied changes from one look to the next."""
    return isinstance(before, dict) and _without_hashes(seen) == _without_hashes(before)


def _without_hashes(seen: Seen) -> dict[str, list[Any]]:
    return {name: facts[:-1] for name, facts in seen.items()}


# --- what a release is made from ---------------------------------------------------------------


def state_of(paths: Paths, wave: Wave, seen: Seen) -> dict[str, Any]:
    """What a release made now would be made from, but the code."""
    names = {path.relative_to(paths.raw).as_posix(): path.name for path in export_files(paths, wave)}
    declared = [path.relative_to(paths.raw).as_posix() for path in declared_paths(paths, wave)]
    baseline = current_release(paths.current(wave.baseline)) if wave.baseline else None
    return {
        "inputs": {name: seen[path][-1] for path, name in names.items()},
        "declaration": declaration_version({path: seen[path][-1] for path in declared}),
        "ledger_head": chain.head(paths.ledger(wave.id)),
        "baseline": baseline.name if baseline else None,
    }


def made_from(paths: Paths, wave: Wave, log: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What the wave's last release was made from, as `state_of`; None where there is none.

    The last that was made, which need not be the current one: after `hotline rollback` nothing has changed.
    Raises Damaged where its manifest cannot be read.
    """
    release = runlog.last_made(log, wave.id)
    folder = paths.releases(wave.id) / release if release else None
    if folder is None or not folder.exists():
        return None
    facts = read_manifest(folder)
    return {
        "inputs": {file["file"]: file["sha256"] for file in facts["raw_files"]},
        "declaration": facts["declaration_version"],
        "ledger_head": facts["ledger_head"],
        "baseline": facts["baseline"]["release"] if facts["baseline"] else None,
    }


# --- the runs ----------------------------------------------------------------------------------


def _is_under_way(instance: dg.DagsterInstance, wave: str) -> bool:
    """Whether a run of the wave waits or is at work, whoever asked for it."""
    runs = dg.RunsFilter(statuses=WAITING_OR_AT_WORK, tags={PARTITION_TAG: wave})
    return bool(instance.get_run_records(runs, limit=1))


def _runs_asked_for(instance: dg.DagsterInstance, wave: str) -> list[dg.DagsterRun]:
    """The latest runs that the sensor asked for, the last one first."""
    records = instance.get_run_records(dg.RunsFilter(tags={PARTITION_TAG: wave}), limit=MAX_RUNS)
    return [record.dagster_run for record in records if INPUT_TAG in record.dagster_run.tags]


def _may_ask(paths: Paths, instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun], digest: str) -> bool:
    """Whether a run of this input may be asked for, given those of before.

    Not again where the last one was of the same input and was stopped by what it found in it, or by somebody.
    """
    attempts = [*_of_the_same_input(runs, digest)]
    if not attempts:
        return True
    if attempts[0].status == dg.DagsterRunStatus.CANCELED:
        return False
    stops = [stop_of(instance, run) for run in attempts]
    if stops[0] == Busy.__name__:
        return not is_held(paths)
    tried = [stop for stop in stops if stop != Busy.__name__]
    return stops[0] in (None, Interrupted.__name__, *ENDED_OUTSIDE) and len(tried) < MAX_ATTEMPTS


def _of_the_same_input(runs: Iterable[dg.DagsterRun], digest: str) -> Iterable[dg.DagsterRun]:
    for run in runs:
        if run.tags.get(INPUT_TAG) != digest:
            return
        yield run
