"""What stands in an installation: exports, how fresh each line's scores are, what is published."""

import logging
from collections.abc import Mapping
from typing import Any

from dagster_project.corrections.ledger import PENDING, read_ledger
from dagster_project.errors import Damaged, HotlineError, NotReconciled
from dagster_project.ingest.wave import export_files, list_waves, load_wave, order_waves
from dagster_project.paths import Paths
from dagster_project.release.folder import current_id, fieldwork_flags, read_manifest, whole_release
from dagster_project.transform.scope import line_fingerprints, scored_fingerprints

logger = logging.getLogger("hotline")


def wave_statuses(paths: Paths) -> list[dict[str, Any]]:
    """One record per wave under raw/.

    Exports, stale lines (null: never ingested), current release with its flags, and counts of corrections
    that are pending, or that the release does not show as the ledger has them. `fault`: what is wrong with
    the declaration; then what that says is null.
    """
    faults = order_waves(paths).faults
    return [_status(paths, wave_id, faults.get(wave_id)) for wave_id in list_waves(paths)]


def _status(paths: Paths, wave_id: str, fault: HotlineError | None) -> dict[str, Any]:
    wave = load_wave(paths, wave_id) if fault is None else None
    try:
        folder = whole_release(paths.current(wave_id))
    except Damaged as damaged:
        logger.warning("%s", damaged)
        folder = None
    manifest = read_manifest(folder) if folder else None
    release = current_id(paths.current(wave_id))
    return {
        "wave": wave_id,
        "fault": None if fault is None else str(fault),
        "label": wave.label if wave else None,
        "synthetic": wave.is_synthetic if wave else None,
        "n_exports": len(export_files(paths, wave)) if wave else None,
        "n_stale_lines": _stale_lines(paths, wave_id),
        "release": release,
        "path": str(folder) if folder else None,
        "gate": manifest["gate"] if manifest else None,
        # of a damaged release nobody can say what it applies
        "corrections": _corrections(paths, wave_id, manifest) if manifest or release is None else {},
        "fieldwork_flags": fieldwork_flags(folder) if folder else {},
    }


def _corrections(paths: Paths, wave_id: str, manifest: Mapping[str, Any] | None) -> dict[str, int]:
    """How many corrections wait for approval, and how many differ from those that the current release applied.

    Empty where the ledger cannot be read.
    """
    try:
        ledger = read_ledger(paths, wave_id)
    except NotReconciled as damaged:  # the other waves are listed all the same; a run of this one ends
        logger.warning("%s", damaged)
        return {}
    approved = {each.id for each in ledger.effective}
    in_release = {str(each["id"]) for each in manifest["corrections"]} if manifest else set()
    return {
        "pending": len(ledger.of_state(PENDING)),
        "withdrawal_pending": sum(each.is_withdrawal_requested for each in ledger.effective),
        "approved_not_applied": len(approved - in_release),
        "withdrawn_still_applied": len(in_release - approved),
    }


def _stale_lines(paths: Paths, wave_id: str) -> int | None:
    """Lines whose scores are not of their present input; None where there is no bronze that can be read."""
    if not paths.bronze_part("line_inputs", wave_id).exists():
        return None
    try:
        current = line_fingerprints(paths, wave_id)
    except Damaged as damaged:
        logger.warning("%s", damaged)
        return None
    try:
        scored = scored_fingerprints(paths, wave_id)
    except Damaged as damaged:
        logger.warning("%s", damaged)
        scored = {}
    return sum(scored.get(line) != fingerprint for line, fingerprint in current.items())
