"""What was done in an installation, by whom, from what and to what: a chain of records that nobody changes.

Belongs here: what a record says of every event, and asking for past ones. Does not belong here: what an
event does. The log is not an output: its times and names are those of the one who ran the command.
"""

import getpass
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dagster_project import chain
from dagster_project.errors import HotlineError
from dagster_project.files import sha256_of
from dagster_project.ingest.personal import masked
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST

RELEASED, PULLED, PUBLISHED, FAILED = "released", "pulled", "published", "failed"
HISTORY_SET_ASIDE, REPAIRED = "history_set_aside", "repaired"


def record(paths: Paths, event: str, **facts: Any) -> None:
    """Append one record. To be called with the installation held; raises NotReconciled where the log is damaged."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    # refused words, such as a reason with a telephone number, are on the command line too
    command = masked(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    chain.append(paths.log, {"event": event, "at": at, "by": _user(), "command": command, **facts})


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


def record_failure(paths: Paths, wave: str | None, error: BaseException | None) -> None:
    """Append what stopped a run, without its words: they may quote what was delivered."""
    exit_code = error.exit_code if isinstance(error, HotlineError) else HotlineError.exit_code
    record(paths, FAILED, wave=wave, error=type(error).__name__, exit_code=exit_code)


def publications(log: Iterable[dict[str, Any]], wave: str) -> list[dict[str, Any]]:
    """The records of the wave's publications, the first one first; `previous_release` is what stood before."""
    return [each for each in log if each["event"] == PUBLISHED and each["wave"] == wave]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
