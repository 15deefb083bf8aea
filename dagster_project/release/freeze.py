"""Freeze the published tables of a wave into a release. Making it current is `publish.py`'s."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from dagster_project import fieldwork
from dagster_project.claims import narrative
from dagster_project.errors import NotReconciled
from dagster_project.gate.verdicts import read_quality
from dagster_project.ingest.bronze import IngestReport, stored_report
from dagster_project.ingest.fingerprint import surroundings_fingerprint
from dagster_project.ingest.wave import Wave
from dagster_project.paths import Paths
from dagster_project.release.baseline import baseline_folder, baseline_release
from dagster_project.release.folder import MANIFEST, SYNTHETIC_NOTE, file_hashes, keep, staging_folder
from dagster_project.release.identity import (
    Identity,
    code_version,
    declaration_files,
    declaration_version,
    package_versions,
)
from dagster_project.release.recorded import require_recorded
from dagster_project.release.tables import write_tables
from dagster_project.runlog import read as read_log
from dagster_project.runlog import record_release, recorded_manifest
from dagster_project.transform.scope import inputs_digest, published_inputs
from dagster_project.transform.warehouse import require_published, require_unchanged


def freeze(paths: Paths, wave: Wave) -> Path:
    """Write the release of `wave`, unless it is there already, and say so in the log. Returns its folder.

    The gates must have been asked before (`gate.verdicts.require`). Raises NotReconciled where the
    warehouse was changed outside the pipeline, or where the published tables, or the findings on the field
    work, were not made from the bronze and baseline that stand now; GateFailed where the report's text
    claims what its figures do not bear out.
    """
    report = stored_report(paths, wave.id)
    require_published(paths, wave.id)
    _require_of_one_piece(paths, wave, report)
    require_recorded(paths, wave.id, wave.baseline)
    declared = declaration_files(paths, wave)
    baseline = baseline_folder(paths, wave)
    identity = identify(wave, report, declared, baseline)
    releases = paths.releases(wave.id)
    with staging_folder(releases, identity.release) as staged:
        # with the modes of the release, not those of the raw folder
        shutil.copytree(paths.method(wave.method), staged / "method", copy_function=shutil.copyfile)
        (staged / "method").chmod(staged.stat().st_mode)
        write_tables(paths, wave.id, staged, SYNTHETIC_NOTE if wave.is_synthetic else "", baseline)
        require_unchanged(paths)  # nor was it while it was read
        _write_quality(paths, wave.id, staged)
        _write_claims(paths, wave, staged, baseline)
        _write_manifest(wave, report, identity, declared, staged)
        folder = releases / identity.release
        keep(staged, folder, recorded_manifest(read_log(paths), identity.release))
    record_release(paths, folder)
    return folder


def identify(wave: Wave, report: IngestReport, declared: dict[str, str], baseline: Path | None) -> Identity:
    """What a release made now would be made from."""
    files = tuple({"file": file.file, "sha256": file.sha256, "bytes": file.bytes} for file in report.files)
    return Identity(
        wave=wave.id,
        raw_files=files,
        declaration=declaration_version(declared),
        code=code_version(),
        baseline_release=baseline.name if baseline else None,
        ledger_head=report.ledger_head,
    )


def _require_of_one_piece(paths: Paths, wave: Wave, report: IngestReport) -> None:
    made_from = (published_inputs(paths, wave.id), report.surroundings)
    stands = (inputs_digest(paths, wave.id), baseline_release(paths, wave)), surroundings_fingerprint(paths, wave)
    if made_from != stands:
        raise NotReconciled(
            f"{wave.id}:已计算的排名与当前数据不一致,请重新运行 / the rankings that stand were not made from the "
            "present input; run the wave again"
        )


def _write_quality(paths: Paths, wave: str, staged: Path) -> None:
    """The gate's verdicts, and what the codes say of the field work."""
    quality = {**read_quality(paths, wave), "fieldwork": fieldwork.published(paths, wave)}
    text = json.dumps(quality, ensure_ascii=False, indent=1, allow_nan=False)
    (staged / "quality.json").write_text(text + "\n", encoding="utf-8")


def _write_claims(paths: Paths, wave: Wave, staged: Path, baseline: Path | None) -> None:
    claims = narrative.claims_of(staged, wave.id, narrative.read_text(paths, wave.id, wave.method), baseline)
    narrative.require(claims)
    (staged / narrative.CLAIMS).write_text(narrative.as_json(claims), encoding="utf-8")


def _write_manifest(
    wave: Wave, report: IngestReport, identity: Identity, declared: dict[str, str], staged: Path
) -> None:
    quality = json.loads((staged / "quality.json").read_text(encoding="utf-8"))
    manifest = {
        "release": identity.release,
        "wave": wave.id,
        "label": wave.label,
        "kind": wave.kind,
        "synthetic": wave.is_synthetic,
        "field_period": {"start": wave.period_start.isoformat(), "end": wave.period_end.isoformat()},
        "raw_files": [asdict(file) for file in report.files],
        "ledger_head": identity.ledger_head,
        "corrections": list(report.corrections),
        "baseline": {"wave": wave.baseline, "release": identity.baseline_release} if wave.baseline else None,
        "method_version": wave.method,
        "declaration_version": identity.declaration,
        "declaration_files": declared,
        "code_version": identity.code,
        "packages": package_versions(),
        "gate": quality["counts"],
        "files": file_hashes(staged),
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    (staged / MANIFEST).write_text(text + "\n", encoding="utf-8")
