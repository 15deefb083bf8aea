"""A wave as its wave.yml declares it.

Belongs here: what may stand in wave.yml, and which files its exports name. Does not belong
here: the content of exports (`read.py`), method and frame (`reference.py`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dagster_project.errors import HotlineError, InputRejected, UsageError
from dagster_project.ingest.declaration import Declaration, read_declaration
from dagster_project.ingest.faults import reject, shown
from dagster_project.ingest.reference import reference_tables
from dagster_project.names import require_wave_id
from dagster_project.paths import WAVE_ID, Paths
from dagster_project.schema import EXPORT_TABLES

__all__ = [
    "Export", "Plan", "Simulation", "Threshold", "Wave", "WaveOrder", "export_files", "list_waves", "load_wave",
    "named_files", "order_waves", "reference_tables",
]  # fmt: skip

KINDS = ("annual", "adhoc")
# hidden files, Excel's mark of an open workbook, and what browsers, copying programs and editors have not finished
TEMPORARY = re.compile(
    r"\..*|~\$.*|.*\.(part|partial|filepart|crdownload|opdownload|download|tmp|temp|swp)|.*~", re.IGNORECASE | re.DOTALL
)
# the longest name that a file can have
MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class Export:
    """Files of the wave's folder that hold rows of one bronze table, and the profile to read them by."""

    table: str
    glob: str
    profile: str


@dataclass(frozen=True)
class Plan:
    """What was commissioned, per line."""

    phone_probes: int
    dial_attempts: int
    web_inspections: int
    web_submissions: int


@dataclass(frozen=True)
class Threshold:
    """The wave's own bound for a parameter of a gate, with its reason."""

    value: float
    reason: str


@dataclass(frozen=True)
class Simulation:
    """How a synthetic wave is drawn."""

    seed: int
    calibrate_to: str


@dataclass(frozen=True)
class Wave:
    """One monitoring round. `baseline`: the wave that changes are measured against.

    `is_closed`: the period for appeals is over, and nothing of the wave is corrected any more.
    """

    id: str
    label: str
    kind: str
    is_synthetic: bool
    period_start: date
    period_end: date
    method: str
    frame: str
    baseline: str | None
    plan: Plan
    max_quarantined_share_pct: float
    quarantine_reason: str | None
    thresholds: dict[str, Threshold]
    exports: tuple[Export, ...]
    simulation: Simulation | None
    is_closed: bool


def list_waves(paths: Paths) -> list[str]:
    """Ids of the waves that have a wave.yml, sorted; also one that is no file, such as a link that leads nowhere."""
    folders = [path for path in paths.raw.glob("*") if WAVE_ID.fullmatch(path.name)]
    return sorted(path.name for path in folders if os.path.lexists(path / "wave.yml"))


def export_files(paths: Paths, wave: Wave) -> list[Path]:
    """What the globs of a wave's exports name, each file once, by name; nothing is opened."""
    folder = paths.wave_raw(wave.id)
    return sorted({path for export in wave.exports for path in named_files(folder, export.glob)})


def named_files(folder: Path, glob: str) -> list[Path]:
    """The files that a glob names, by name, without those that programs leave beside a file that they write."""
    return sorted(path for path in folder.glob(glob) if not TEMPORARY.fullmatch(path.name))


@dataclass(frozen=True)
class WaveOrder:
    """Every wave under raw/: `ordered` can be run, each after its baseline; `faults` says why the others cannot."""

    ordered: list[str]
    faults: dict[str, HotlineError]


def order_waves(paths: Paths) -> WaveOrder:
    """The waves in the order in which they run. A wave that is declared wrongly does not keep the others from it."""
    baselines: dict[str, str | None] = {}
    faults: dict[str, HotlineError] = {}
    for wave_id in list_waves(paths):
        try:
            baselines[wave_id] = load_wave(paths, wave_id).baseline
        except HotlineError as fault:
            faults[wave_id] = fault
    for wave_id in baselines:
        if (circle := _circle(baselines, wave_id)) is not None:
            faults[wave_id] = InputRejected(
                f"{wave_id}/wave.yml: baseline: 基期互相引用 / baselines refer to one another: {' → '.join(circle)}"
            )
    ordered: list[str] = []
    remaining = [wave_id for wave_id in baselines if wave_id not in faults]
    while remaining:
        ready = [wave_id for wave_id in remaining if baselines[wave_id] not in remaining]
        ordered += ready
        remaining = [wave_id for wave_id in remaining if wave_id not in ready]
    return WaveOrder(ordered, faults)


def _circle(baselines: Mapping[str, str | None], wave_id: str) -> list[str] | None:
    """The baselines that lead from a wave back to itself; None where they do not."""
    path = [wave_id]
    while (baseline := baselines.get(path[-1])) is not None and baseline not in path[1:]:
        path.append(baseline)
        if baseline == wave_id:
            return path
    return None


def load_wave(paths: Paths, wave_id: str) -> Wave:
    """The declaration of a wave.

    Raises UsageError where the id is malformed or names no wave, InputRejected with every fault
    where wave.yml is wrong.
    """
    require_wave_id(wave_id)
    if wave_id not in list_waves(paths):
        known = ", ".join(list_waves(paths)) or "无 / none"
        raise UsageError(f"没有监测期 {wave_id};现有 / there is no wave {wave_id}; there are: {known}")
    if not paths.wave_yml(wave_id).is_file():
        fault = "不是文件,或是失效的链接 / is no file, or a link that leads nowhere"
        raise InputRejected(f"{wave_id}/wave.yml: {fault}")
    declaration = read_declaration(paths.wave_yml(wave_id), f"{wave_id}/wave.yml")
    wave = None if declaration.faults else _wave(paths, wave_id, declaration)
    if wave is None or declaration.faults:
        reject(f"{wave_id}/wave.yml", declaration.faults)
    return wave


def _wave(paths: Paths, wave_id: str, yml: Declaration) -> Wave:
    if yml.take("wave", str) not in (None, wave_id):
        yml.fault("wave", f"应与文件夹名 {wave_id} 一致", f"must be the folder's name, {wave_id}")
    is_synthetic = yml.take("synthetic", bool)
    start, end = _period(yml.nested("field_period"))
    share, reason = _quarantine(yml.nested("quarantine"))
    wave = Wave(
        id=wave_id,
        label=yml.take_prose("label"),
        kind=yml.take("kind", str, choices=KINDS),
        is_synthetic=is_synthetic,
        period_start=start,
        period_end=end,
        method=_method(paths, yml),
        frame=_frame(paths, yml),
        baseline=_baseline(paths, wave_id, yml),
        plan=_plan(yml.nested("plan")),
        max_quarantined_share_pct=share,
        quarantine_reason=reason,
        thresholds=_thresholds(yml),
        exports=_exports(paths, yml),
        simulation=_simulation(yml, is_synthetic),
        is_closed=yml.take("closed", bool, False),
    )
    yml.close()
    return wave


def _period(yml: Declaration) -> tuple[date, date]:
    start, end = yml.take("start", date), yml.take("end", date)
    if start is not None and end is not None and not start <= end:
        yml.fault("end", "早于 start", "before the start")
    yml.close()
    return start, end


def _quarantine(yml: Declaration) -> tuple[float, str | None]:
    share, reason = yml.take_number("max_share_pct", float, 0, 100), yml.take_prose("reason", None)
    if share and not (reason or "").strip():
        yml.fault("reason", "允许隔离行时必须写明理由", "a share above zero needs its reason")
    yml.close()
    return share, reason


def _method(paths: Paths, yml: Declaration) -> str:
    name = yml.take_name("method")
    if name is not None and not paths.method(name).is_dir():
        yml.fault("method", f"没有 raw/methods/{name}/", "there is no such method version")
    return name or ""


def _frame(paths: Paths, yml: Declaration) -> str:
    name = yml.take_name("frame")
    if name is not None and not paths.frame(name).is_file():
        yml.fault("frame", f"没有 raw/frames/{name}.csv", "there is no such frame")
    return name or ""


def _baseline(paths: Paths, wave_id: str, yml: Declaration) -> str | None:
    name: str | None = yml.take("baseline", str, None)
    if name is None:
        return None
    if name == wave_id:
        yml.fault("baseline", "不能以自身为基期", "a wave is not its own baseline")
    elif not WAVE_ID.fullmatch(name) or not paths.wave_yml(name).is_file():
        yml.fault("baseline", f"没有监测期 {shown(name)}", "there is no such wave")
    return name


def _plan(yml: Declaration) -> Plan:
    plan = Plan(**{name: yml.take_number(name, int, 0) for name in Plan.__dataclass_fields__})
    yml.close()
    return plan


def _thresholds(yml: Declaration) -> dict[str, Threshold]:
    all_bounds = Declaration(yml.take("thresholds", dict, {}) or {}, yml.file, "thresholds.", yml.faults)
    thresholds = {}
    for name in all_bounds.content:
        bound = all_bounds.nested(name)
        value, reason = bound.take("value", float), bound.take_prose("reason")
        if reason is not None and not reason.strip():
            bound.fault("reason", "必须写明理由", "must not be empty")
        bound.close()
        thresholds[name] = Threshold(value, reason)
    return thresholds


def _exports(paths: Paths, yml: Declaration) -> tuple[Export, ...]:
    exports = []
    for number, content in enumerate(yml.take("exports", list) or []):
        each = Declaration(content if isinstance(content, dict) else {}, yml.file, f"exports[{number}].", yml.faults)
        table, glob = each.take("table", str, choices=tuple(EXPORT_TABLES)), each.take("glob", str)
        if glob is not None and not _names_files(glob):
            each.fault("glob", "只能匹配本文件夹内的文件名", "may only match names within the wave's folder")
        profile = each.take_name("profile")
        if profile is not None and not paths.profile(profile).is_file():
            each.fault("profile", f"没有 raw/profiles/{profile}.yml", "there is no such profile")
        each.close()
        exports.append(Export(table, glob, profile or ""))
    missing = sorted(set(EXPORT_TABLES) - {export.table for export in exports})
    if missing:
        yml.fault("exports", f"缺少 {', '.join(missing)} 的导出", "every table needs an export")
    return tuple(exports)


def _names_files(glob: str) -> bool:
    """Whether a glob can match names of one folder and nothing else."""
    is_path = any(each in glob for each in ("/", "\\", "..", "**")) or glob == "."
    return not is_path and bool(glob.strip()) and len(glob.encode("utf-8", "replace")) <= MAX_NAME_BYTES


def _simulation(yml: Declaration, is_synthetic: bool | None) -> Simulation | None:
    content = yml.take("simulation", dict, None)
    if content is None:
        return None
    if is_synthetic is False:
        yml.fault("simulation", "只用于模拟监测(synthetic: true)", "only for synthetic waves")
    each = Declaration(content, yml.file, "simulation.", yml.faults)
    simulation = Simulation(each.take_number("seed", int, 0), each.take("calibrate_to", str))
    each.close()
    return simulation
