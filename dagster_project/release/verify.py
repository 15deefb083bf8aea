"""Proof that nothing was changed behind the pipeline's back: raw files, ledger, log and releases.

Belongs here: holding what lies on disk against what was written down of it. Does not belong here: the
chains themselves (`chain.py`), making anything good again.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project import chain, runlog
from dagster_project.errors import HotlineError, InputRejected, NotReconciled
from dagster_project.files import sha256_of
from dagster_project.ingest.frozen import require_frozen
from dagster_project.ingest.wave import export_files, list_waves, load_wave
from dagster_project.lock import run_lock
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, require_whole
from dagster_project.release.identity import Identity
from dagster_project.release.publish import require_known
from dagster_project.release.repair import is_current_damaged, repair_current
from dagster_project.release.scratch import run_apart

Record = dict[str, Any]
LAST_WORDS = 2000  # characters of a failed rebuilding that a fault carries


@dataclass(frozen=True)
class Proof:
    """What was held against its record, by kind and number, and a sentence per fault; without faults, all holds."""

    checked: dict[str, int]
    faults: list[str]


def verify(paths: Paths, wave_ids: tuple[str, ...], rebuild: bool) -> Proof:
    """Check the log, and of each wave (none named: all) its ledger, its releases, and the raw files of the current one.

    With `rebuild` a damaged current release is repaired first, where the same one can be made again. Then the current
    releases are made again in an empty installation, from raw files, ledger and code alone, and must come out with
    the same bytes. Raises UsageError for an unknown wave.
    """
    for wave in wave_ids:
        require_known(paths, wave)
    waves = [*dict.fromkeys(wave_ids or list_waves(paths))]
    unrepaired = [*_repair_faults(paths, waves)] if rebuild else []
    with run_lock(paths):  # what a run is changing can not be held against anything
        checked, faults = _held_against_records(paths, waves)
    faults += unrepaired
    if rebuild and faults:
        faults.append("因以上问题未重做 / nothing was made anew because of these faults")
    elif rebuild:
        for wave in waves:
            if paths.current(wave).is_symlink():
                checked["重做 / rebuilt"] += 1
                faults += _rebuild_faults(paths, wave)
    return Proof(dict(checked), faults)


def _repair_faults(paths: Paths, waves: list[str]) -> Iterator[str]:
    """Repair the damaged current releases; one text per release that cannot be repaired."""
    for wave in waves:
        if is_current_damaged(paths, wave):
            try:
                repair_current(paths, wave, _with_baselines(paths, wave))
            except HotlineError as failed:
                yield f"{wave}: 未能修复 / could not be repaired: {str(failed)[-LAST_WORDS:]}"


def _held_against_records(paths: Paths, waves: list[str]) -> tuple[Counter[str], list[str]]:
    checked: Counter[str] = Counter()
    faults: list[str] = []
    log: list[Record] = []
    try:
        log = chain.read(paths.log)
        checked["记录 / log records"] += len(log)
    except NotReconciled as damaged:
        faults.append(str(damaged))
    for wave in waves:
        ledger = paths.ledger(wave)
        try:
            checked["台账记录 / ledger records"] += len(chain.read(ledger))
        except NotReconciled as damaged:
            faults.append(f"raw/{wave}/corrections: {damaged}")
        faults += _frozen_faults(paths, wave)
        for folder in sorted(path for path in paths.releases(wave).glob("[!.]*") if not path.is_symlink()):
            checked["发布 / releases"] += 1
            faults += release_faults(folder, runlog.recorded_manifest(log, folder.name))
        faults += _current_faults(paths, wave, log)
        found = list(_raw_faults(paths, wave, log))
        faults += [fault for fault in found if fault]
        checked["原始文件与声明 / raw files and declarations"] += len(found)
    return checked, faults


def _frozen_faults(paths: Paths, wave: str) -> list[str]:
    """What does not fit the checksums of a frozen wave, or a declaration that can not be read."""
    try:
        files = export_files(paths, load_wave(paths, wave))
        require_frozen(paths, wave, {path.name: sha256_of(path) for path in files})
    except InputRejected as rejected:
        return [str(rejected)]
    return []


def release_faults(folder: Path, recorded: str | None) -> Iterator[str]:
    """What is wrong with a release: its files, its manifest, its name."""
    place = f"releases/{folder.parent.name}/{folder.name}"
    if not (folder / MANIFEST).is_file():
        yield f"{place}: {MANIFEST} 缺失 / is missing"
        return
    if recorded is None:
        yield f"{place}: 日志中没有它的记录 / the log has no record of it"
    elif recorded != sha256_of(folder / MANIFEST):
        yield f"{place}/{MANIFEST}: 与日志记录的不同 / is not the one that the log recorded"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        require_whole(folder)
        name = _identity(manifest).release
    except (ValueError, KeyError, TypeError) as error:
        yield f"{place}/{MANIFEST}: 不能读取 / can not be read: {error}"
        return
    except NotReconciled as changed:
        yield f"{place}: {changed}"
        return
    if name != folder.name:
        yield f"{place}/{MANIFEST}: 所述来源应得编号 {name} / what it was made from would name it {name}"


def _identity(manifest: Record) -> Identity:
    return Identity(
        wave=manifest["wave"],
        raw_files=tuple({name: file[name] for name in ("file", "sha256", "bytes")} for file in manifest["raw_files"]),
        declaration=manifest["declaration_version"],
        code=manifest["code_version"],
        baseline_release=manifest["baseline"]["release"] if manifest["baseline"] else None,
        ledger_head=manifest["ledger_head"],
    )


def _current_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    published = [each["release"] for each in runlog.publications(log, wave)]
    if not paths.current(wave).is_symlink():
        if published or paths.current(wave).exists():
            yield f"releases/{wave}/current: 应为指向发布的链接 / must be a link to the release that was published"
        return
    release = paths.current(wave).readlink().name
    if not paths.current(wave).exists():
        yield f"releases/{wave}/current: 指向不存在的发布 / points at a release that is not there: {release}"
    if not published or published[-1] != release:
        yield f"releases/{wave}/current: {release} 不是日志中最后公布的 / is not what the log says was published last"


def _raw_faults(paths: Paths, wave: str, log: list[Record]) -> Iterator[str]:
    """One text per raw file and declaration that the current release was made from; empty where it is the same."""
    manifest = _manifest(paths, wave, log)
    if manifest is None:
        return  # there is no release, or what is wrong with it is told already
    stated = {paths.wave_raw(wave) / file["file"]: file["sha256"] for file in manifest["raw_files"]}
    stated |= {paths.raw / name: sha256 for name, sha256 in manifest["declaration_files"].items()}
    for path, sha256 in sorted(stated.items()):
        place = path.relative_to(paths.raw).as_posix()
        if not path.is_file():
            yield f"raw/{place}: 缺失 / is missing"
        elif sha256_of(path) != sha256:
            yield f"raw/{place}: 与当前发布所用的不同 / is not what the current release was made from"
        else:
            yield ""
    head = manifest["ledger_head"]
    try:
        heads = [each["hash"] for each in chain.read(paths.ledger(wave))]
    except NotReconciled:
        return  # told already
    if head is not None and head not in heads:
        yield f"raw/{wave}/corrections: 台账缺少当前发布所依据的记录 / the ledger lacks what the release stands on"


def _manifest(paths: Paths, wave: str, log: list[Record]) -> Record | None:
    """The manifest of the current release; None where there is none, or not the one that was recorded."""
    try:
        content = (paths.current(wave) / MANIFEST).read_bytes()
    except OSError:
        return None
    if runlog.recorded_manifest(log, paths.current(wave).resolve().name) != hashlib.sha256(content).hexdigest():
        return None
    manifest: Record = json.loads(content)
    return manifest


def _rebuild_faults(paths: Paths, wave: str) -> Iterator[str]:
    """Make the wave, after its baselines, in an installation that has nothing, and compare the manifests."""
    waves = _with_baselines(paths, wave)
    with tempfile.TemporaryDirectory(prefix="hotline-rebuild-") as home:
        scratch = Paths(paths.raw, Path(home))
        try:
            run_apart(scratch, waves)
        except HotlineError as failed:
            yield f"{wave}: 重做失败 / could not be made anew: {str(failed)[-LAST_WORDS:]}"
            return
        ours, theirs = (json.loads((each.current(wave) / MANIFEST).read_bytes()) for each in (paths, scratch))
    if ours != theirs:
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        yield (
            f"{wave}: 重做得到 {theirs['release']},不是 {ours['release']};不同之处 / made anew it is "
            f"{theirs['release']}, not {ours['release']}; they differ in: {', '.join(names)}"
        )


def _with_baselines(paths: Paths, wave: str) -> list[str]:
    chain_of_waves = [wave]
    while (baseline := load_wave(paths, chain_of_waves[-1]).baseline) is not None:
        if baseline in chain_of_waves:
            raise HotlineError(f"基期互相引用 / baselines refer to one another: {', '.join(chain_of_waves)}")
        chain_of_waves.append(baseline)
    return chain_of_waves
