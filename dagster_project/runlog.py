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
from pathlib import Path
from typing import Any

from dagster_project import chain
from dagster_project.files import sha256_of
from dagster_project.ingest.personal import masked
from dagster_project.lock import append_lock
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST

RELEASED, PULLED, PUBLISHED, FAILED = "released", "pulled", "published", "failed"
HISTORY_SET_ASIDE, REPAIRED = "history_set_aside", "repaired"


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


def record(paths: Paths, event: str, **facts: Any) -> None:
    """Append one record. Raises NotReconciled where the log is damaged, Busy where another process keeps it locked."""
    with append_lock(paths.log_lock):
        _append(paths, event, _origins[-1] if _origins else Origin(user(), command()), facts)


def _append(paths: Paths, event: str, origin: Origin, facts: dict[str, Any]) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    run = {"run_id": origin.run_id} if origin.run_id else {}
    chain.append(paths.log, {"event": event, "at": at, "by": origin.by, "command": origin.command, **run, **facts})


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
    made = [each for each in log if each["event"] in (RELEASED, PULLED) and each["release"] == release]
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
    with append_lock(paths.log_lock):
        if origin.run_id and any(_is_failure_of(origin.run_id, each) for each in chain.read(paths.log)):
            return
        _append(paths, FAILED, origin, {"wave": wave, "error": error, "exit_code": exit_code})


def _is_failure_of(run_id: str, record: dict[str, Any]) -> bool:
    return record["event"] == FAILED and record.get("run_id") == run_id


def publications(log: Iterable[dict[str, Any]], wave: str) -> list[dict[str, Any]]:
    """The records of the wave's publications, the first one first; `previous_release` is what stood before."""
    return [each for each in log if each["event"] == PUBLISHED and each["wave"] == wave]


def command() -> str:
    """The command line of this process, masked: refused words, such as a reason with a telephone number, are on it."""
    return masked(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def user() -> str:
    """Name of the operating-system account of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
