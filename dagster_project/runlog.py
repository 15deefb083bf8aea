"""What was done in an installation, by whom, from what and to what: a chain of records that nobody changes.

Belongs here: what a record says of every event, and asking for past ones. Does not belong here: what an
event does. The log is not an output: its times and names are those of the one who ran the command.
"""

import getpass
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from dagster_project import journal
from dagster_project.files import sha256_of
from dagster_project.ingest.personal import masked
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST

RELEASED, PULLED, PUBLISHED, FAILED = "released", "pulled", "published", "failed"
HISTORY_SET_ASIDE, REPAIRED = "history_set_aside", "repaired"
CORRECTION, ACCEPTED, FROZEN, RENDERED = "correction", "accepted", "frozen", "rendered"
MADE = (RELEASED, PULLED)  # a release came into being here; the record has the hash of its manifest


@dataclass(frozen=True)
class Origin:
    """Who caused what is recorded, and how. `run_id`: the run that it happened in, if there is one."""

    by: str
    command: str
    run_id: str | None = None


_origins: list[Origin] = []  # of the run that this process executes; the innermost last


@contextmanager
def within(origin: Origin) -> Iterator[None]:
    """What this process records within the context is recorded as caused by `origin`."""
    _origins.append(origin)
    try:
        yield
    finally:
        _origins.remove(origin)


def read(paths: Paths) -> list[dict[str, Any]]:
    """Returns the records in their order. Raises NotReconciled where the log was changed, cut off or replaced."""
    return journal.read(paths)


def record(paths: Paths, event: str, change: journal.Change | None = None, **facts: Any) -> None:
    """Append one record, and make the change that it records: both or neither, also after a crash.

    Raises NotReconciled where the log is damaged, Busy where another process keeps it locked.
    """
    origin = _origins[-1] if _origins else Origin(user(), command())
    journal.append(paths, _entry(event, origin, facts), change)


def _entry(event: str, origin: Origin, facts: dict[str, Any]) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    run = {"run_id": origin.run_id} if origin.run_id else {}
    return {"event": event, "at": at, "by": origin.by, "command": origin.command, **run, **facts}


def record_release(paths: Paths, folder: Path) -> None:
    """Append that a release was made: its inputs and versions, the gate's counts, and the hash of its manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    record(
        paths,
        RELEASED,
        wave=manifest["wave"],
        release=manifest["release"],
        manifest=sha256_of(folder / MANIFEST),
        inputs={file["file"]: file["sha256"] for file in manifest["raw_files"]},
        ledger_head=manifest["ledger_head"],
        baseline=manifest["baseline"],
        versions={
            "code": manifest["code_version"], "declaration": manifest["declaration_version"],
            "method": manifest["method_version"], **manifest["packages"],
        },
        gate=manifest["gate"],
    )  # fmt: skip


def recorded_manifest(log: Iterable[dict[str, Any]], release: str) -> str | None:
    """SHA-256 of the release's manifest as the log last recorded it; None where it has no record of it."""
    made = [each for each in log if each["event"] in MADE and each["release"] == release]
    return made[-1]["manifest"] if made else None


def last_made(log: Sequence[dict[str, Any]], wave: str) -> str | None:
    """The release that a run of the wave made last, or that was pulled since; None where there is none.

    None, too, where that run was stopped between making the release and publishing it.
    """
    of_wave = [each for each in log if each.get("wave") == wave]
    made = [each for each in of_wave if each["event"] in (RELEASED, PULLED)]
    if not made:
        return None
    run_id = made[-1].get("run_id")
    ends = {each["event"] for each in of_wave if run_id and each.get("run_id") == run_id}
    return None if FAILED in ends and PUBLISHED not in ends else made[-1]["release"]


def record_failure(paths: Paths, wave: str | None, error: str, exit_code: int | None, origin: Origin) -> None:
    """Append what stopped a run, once per run, without its words: they may quote what was delivered.

    `error`: the name of the failure. `exit_code`: that of the command; None where the process ended without one.
    """
    journal.append(
        paths,
        _entry(FAILED, origin, {"wave": wave, "error": error, "exit_code": exit_code}),
        unless=lambda log: bool(origin.run_id) and any(_is_failure_of(str(origin.run_id), each) for each in log),
    )


def _is_failure_of(run_id: str, record: dict[str, Any]) -> bool:
    return record["event"] == FAILED and record.get("run_id") == run_id


def of_wave(log: Iterable[dict[str, Any]], wave: str, *events: str) -> list[dict[str, Any]]:
    """Returns the wave's records of these events, the first one first."""
    return [each for each in log if each["event"] in events and each.get("wave") == wave]


def renderings(log: Iterable[dict[str, Any]], wave: str) -> list[dict[str, Any]]:
    """Returns the records of the wave's reports, the first one first."""
    return [each for each in log if each["event"] == RENDERED and each.get("report_of") == wave]


def seen_by_readers(log: Iterable[dict[str, Any]], wave: str) -> list[str]:
    """Returns the ids of the releases that readers saw, in turn; the last one is what `current` must point at.

    A release that was published again while it was current appears once.
    """
    published = [each["release"] for each in of_wave(log, wave, PUBLISHED)]
    return [release for release, _ in groupby(published)]


def frozen_files(log: Iterable[dict[str, Any]], wave: str) -> dict[str, str] | None:
    """Returns {name: sha256} of the exports that were frozen; None where the log records no freezing."""
    frozen = of_wave(log, wave, FROZEN)
    return dict(frozen[-1]["files"]) if frozen else None


def command() -> str:
    """The command line of this process, masked: refused words, such as a reason with a telephone number, are on it."""
    return masked(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def user() -> str:
    """Name of the operating-system account of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
