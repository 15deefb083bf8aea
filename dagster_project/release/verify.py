"""Proof that nothing was changed outside the pipeline: raw files, ledger, log, releases and reports.

Belongs here: holding what lies on disk against what was written down of it. Does not belong here: the
chains themselves (`chain.py`), making anything good again.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dagster_project import chain, runlog
from dagster_project.corrections.ledger import read_records
from dagster_project.errors import HotlineError, InputRejected, NotReconciled, UsageError
from dagster_project.files import sha256_of
from dagster_project.ingest.frozen import require_frozen
from dagster_project.ingest.wave import export_files, list_waves, load_wave
from dagster_project.journal import Record
from dagster_project.lock import run_lock
from dagster_project.paths import WAVE_ID, Paths
from dagster_project.release.folder import MANIFEST, is_staged, require_whole
from dagster_project.release.identity import Identity
from dagster_project.release.publish import require_known
from dagster_project.release.recorded import current_faults, ledger_faults, manifest_faults
from dagster_project.release.rendered import recorded_renderings, report_faults
from dagster_project.release.repair import is_current_damaged, repair_current
from dagster_project.release.scratch import run_apart

LAST_WORDS = 2000  # characters of a failed rebuilding that a fault carries


@dataclass(frozen=True)
class Proof:
    """What was compared with its record, by kind and number, and a sentence per fault; without faults, all holds.

    `anchor`: hash of the log's last record, on which every other record and hash depends; None where the log is empty.
    """

    checked: dict[str, int]
    faults: list[str]
    anchor: str | None


def verify(paths: Paths, wave_ids: tuple[str, ...], rebuild: bool, anchor: str | None = None) -> Proof:
    """Check the log, and of each wave its ledger, releases and reports, and the raw files of its current release.

    With `rebuild` a damaged current release is repaired first, where the same one can be made again. Then the current
    releases are made again in an empty installation, from raw files, ledger and code alone, and must come out with
    the same bytes.

    Args:
        paths: The installation.
        wave_ids: Waves to check; none: every wave that raw files, log, releases or reports know.
        rebuild: Whether to rebuild.
        anchor: An anchor printed earlier: the state that it stands for must be a part of today's.

    Raises:
        UsageError: There is no such wave.
    """
    for wave in wave_ids:
        if wave not in _known_waves(paths, _read_log(paths)[0]):
            require_known(paths, wave)
    unrepaired = [*_repair_faults(paths, wave_ids or list_waves(paths))] if rebuild else []
    with run_lock(paths):  # what a run is changing cannot be compared
        log, faults = _read_log(paths)
        known = _known_waves(paths, log)
        waves = [*dict.fromkeys(wave_ids or known)]
        checked = Counter({"记录 / log records": len(log)})
        if anchor is not None and anchor not in {each["hash"] for each in log}:
            faults.append(
                f"{paths.log.name}: 没有与锚值 {anchor} 相符的记录:日志已被替换,或锚值属于另一安装 / no record has the "
                "hash of the anchor: the log was replaced, or the anchor is another installation's"
            )
        for wave in waves:
            faults += _wave_faults(paths, wave, log, checked)
        if not wave_ids:
            faults += _stray_faults(paths, known)
    faults += unrepaired
    if rebuild and faults:
        faults.append("因以上问题未重做 / nothing was rebuilt because of these faults")
    elif rebuild:
        for wave in waves:
            if paths.current(wave).is_symlink():
                checked["重做 / rebuilt"] += 1
                faults += _rebuild_faults(paths, wave)
    return Proof(dict(checked), faults, log[-1]["hash"] if log else None)


def _repair_faults(paths: Paths, waves: Iterable[str]) -> Iterator[str]:
    """Repair the damaged current releases; one text per release that cannot be repaired."""
    for wave in waves:
        if is_current_damaged(paths, wave):
            try:
                repair_current(paths, wave, _with_baselines(paths, wave))
            except HotlineError as failed:
                yield f"{wave}: 未能修复 / could not be repaired: {str(failed)[-LAST_WORDS:]}"


def _read_log(paths: Paths) -> tuple[list[Record], list[str]]:
    """Returns the records of the log, none where it is damaged, and what is wrong with it."""
    try:
        return runlog.read(paths), []
    except NotReconciled as damaged:
        faults = [str(damaged)]
    try:
        return chain.read(paths.log), faults
    except NotReconciled:
        return [], faults


def _known_waves(paths: Paths, log: list[Record]) -> list[str]:
    """Returns the waves that raw files, log, releases or reports know, sorted."""
    logged = {wave for each in log for wave in (each.get("wave"), each.get("report_of")) if wave}
    folders = {path.name for root in _output_roots(paths) for path in root.glob("*") if WAVE_ID.fullmatch(path.name)}
    return sorted({*list_waves(paths), *filter(WAVE_ID.fullmatch, logged), *folders})


def _output_roots(paths: Paths) -> tuple[Path, Path]:
    return paths.home / "releases", paths.home / "reports"


def _stray_faults(paths: Paths, waves: list[str]) -> Iterator[str]:
    """Yields what is next to the folders of waves and is none."""
    for root in _output_roots(paths):
        for path in sorted(root.glob("*")):
            if path.name not in waves or path.is_symlink() or not path.is_dir():
                yield f"{root.name}/{path.name}: 不属于任何监测期,请移开 / belongs to no wave; move it away"


def _wave_faults(paths: Paths, wave: str, log: list[Record], checked: Counter[str]) -> list[str]:
    faults = _ledger_faults(paths, wave, log, checked) + _frozen_faults(paths, wave)
    recorded = dict.fromkeys(each["release"] for each in runlog.of_wave(log, wave, *runlog.MADE))
    faults += manifest_faults(paths, wave, log, recorded)
    for folder in sorted(path for path in paths.releases(wave).glob("*") if not is_staged(path.name)):
        if folder.name != "current":
            checked["发布 / releases"] += 1
            faults += release_faults(folder, runlog.recorded_manifest(log, folder.name))
    faults += current_faults(paths, wave, log)
    checked["报告 / reports"] += len(recorded_renderings(log, wave))
    faults += report_faults(paths, wave, log)
    found = list(_raw_faults(paths, wave, log))
    checked["原始文件与声明 / raw files and declarations"] += len(found)
    return list(dict.fromkeys([*faults, *(fault for fault in found if fault)]))


def _ledger_faults(paths: Paths, wave: str, log: list[Record], checked: Counter[str]) -> list[str]:
    faults = [*ledger_faults(paths, wave, log)]
    try:
        checked["台账记录 / ledger records"] += len(read_records(paths, wave))
    except NotReconciled as damaged:
        faults = faults or [str(damaged)]
    return faults


def _frozen_faults(paths: Paths, wave: str) -> list[str]:
    """What does not fit the checksums of a frozen wave, or a declaration that can not be read."""
    try:
        files = export_files(paths, load_wave(paths, wave))
        require_frozen(paths, wave, {path.name: sha256_of(path) for path in files if path.is_file()})
    except (InputRejected, NotReconciled, UsageError) as rejected:
        return [str(rejected)]
    return []


def release_faults(folder: Path, recorded: str | None) -> Iterator[str]:
    """Yields what is wrong with a release in itself; whether its manifest is the recorded one is not asked."""
    place = f"releases/{folder.parent.name}/{folder.name}"
    if folder.is_symlink() or not folder.is_dir():
        yield f"{place}: 不是发布文件夹,请移开 / is not the folder of a release; move it away"
        return
    if not (folder / MANIFEST).is_file():
        if recorded is None:
            yield f"{place}: {MANIFEST} 缺失 / is missing"
        return
    if recorded is None:
        yield f"{place}: 日志中没有它的记录 / the log has no record of it"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        require_whole(folder)
        name = _identity(manifest).release
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
            yield f"{wave}: 重做失败 / could not be rebuilt: {str(failed)[-LAST_WORDS:]}"
            return
        ours, theirs = (json.loads((each.current(wave) / MANIFEST).read_bytes()) for each in (paths, scratch))
    if ours != theirs:
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        yield (
            f"{wave}: 重做得到 {theirs['release']},不是 {ours['release']};不同之处 / the rebuild gives "
            f"{theirs['release']}, not {ours['release']}; they differ in: {', '.join(names)}"
        )


def _with_baselines(paths: Paths, wave: str) -> list[str]:
    chain_of_waves = [wave]
    while (baseline := load_wave(paths, chain_of_waves[-1]).baseline) is not None:
        if baseline in chain_of_waves:
            raise HotlineError(f"基期互相引用 / baselines refer to one another: {', '.join(chain_of_waves)}")
        chain_of_waves.append(baseline)
    return chain_of_waves
