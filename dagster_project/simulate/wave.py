"""One synthetic wave, from its declaration to the files that a vendor would have sent.

Belongs here: the order of the steps, and which sizes are possible. Does not belong here:
what a line answers (`dialling.py`, `answers.py`, `platforms.py`), how it is written
(`vendor.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from dagster_project.errors import UsageError
from dagster_project.paths import Paths
from dagster_project.simulate.answers import answer
from dagster_project.simulate.calendar import calendar
from dagster_project.simulate.connection import Sizes, plan_lines
from dagster_project.simulate.dialling import dial
from dagster_project.simulate.lines import draw_lines, sized_frame
from dagster_project.simulate.method import load_method
from dagster_project.simulate.platforms import visit
from dagster_project.simulate.raw_folder import write_raw_folder
from dagster_project.simulate.targets import load_targets
from dagster_project.simulate.vendor import write_export

if TYPE_CHECKING:
    from dagster_project.ingest.wave import Wave


@dataclass(frozen=True)
class Simulated:
    """The three tables of a wave in bronze's columns, before any vendor writes them."""

    phone_probes: pd.DataFrame
    dial_attempts: pd.DataFrame
    web_probes: pd.DataFrame


def simulate_wave(
    paths: Paths,
    wave: Wave,
    *,
    seed: int | None = None,
    n_lines: int | None = None,
    n_probes: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Writes the exports of a synthetic wave and returns them.

    The published figures are only promised at the wave's own size (`n_lines` the frame's,
    `n_probes` as planned). `out`: a complete raw folder is written there, with a frame and a
    plan of the size asked for; without it the exports go beside the wave's declaration.
    Raises UsageError where the wave is not synthetic, where exports would be overwritten, and
    where more lines are asked for than the frame has without `out`.
    """
    frame = pd.read_csv(paths.frame(wave.frame), dtype=str, keep_default_na=False)
    size = n_lines or len(frame)
    _refuse(wave, size, len(frame), n_probes, out)
    target = out or paths.raw
    _refuse_overwriting(wave, target / wave.id, overwrite)
    frame = sized_frame(frame, size)
    probes = n_probes or wave.plan.phone_probes
    used_seed = wave.simulation.seed if seed is None else seed
    progress(f"{wave.id}：{size} 条热线，每条 {probes} 次电话监测 / {size} lines, {probes} phone probes each")
    tables = simulate_tables(paths, wave, frame, used_seed, probes)
    if out:
        write_raw_folder(paths, wave, out, frame, probes, used_seed)
    (target / wave.id).mkdir(parents=True, exist_ok=True)
    written = []
    for export in wave.exports:
        profile = yaml.safe_load(paths.profile(export.profile).read_text(encoding="utf-8"))
        file = target / wave.id / export.glob.replace("*", wave.id)
        for stale in sorted((target / wave.id).glob(export.glob)):
            stale.unlink()
        written += write_export(getattr(tables, export.table), profile, file, used_seed, wave.id)
        progress(f"{written[-1].name}：{len(getattr(tables, export.table))} 行 / rows")
    return written


def simulate_tables(paths: Paths, wave: Wave, frame: pd.DataFrame, seed: int, probes: int) -> Simulated:
    """The tables of a wave for the lines of `frame`, `probes` phone probes and inspections each."""
    method = load_method(paths.method(wave.method))
    targets = load_targets(wave.simulation.calibrate_to)
    days = calendar(wave.period_start, wave.period_end)
    lines = draw_lines(frame, {name: tier.quality for name, tier in targets.tiers.items()}, seed, wave.id)
    planned = wave.plan.phone_probes
    sizes = Sizes(
        probes=probes,
        attempts=scaled(wave.plan.dial_attempts, probes, planned),
        as_published=len(frame) == targets.lines and probes == planned,
    )
    plan = plan_lines(lines, method, targets, sizes, seed, wave.id)
    dialled = dial(lines, plan, method, targets, days, seed, wave.id)
    visited = visit(
        lines, method, targets, scaled(wave.plan.web_inspections, probes, planned), days, seed, wave.id
    )
    answered = answer(
        lines, plan, dialled.probes, {**dialled.means, **visited.means}, method, targets, seed, wave.id
    )
    return Simulated(answered.questionnaires, dialled.log, visited.visits)


def scaled(planned: int, probes: int, planned_probes: int) -> int:
    """A number of the plan at another number of phone probes, rounded up."""
    return -(-planned * probes // planned_probes)


def _refuse(wave: Wave, size: int, frame_lines: int, n_probes: int | None, out: Path | None) -> None:
    if not wave.is_synthetic or wave.simulation is None:
        raise UsageError(
            f"wave.yml {wave.id}：不是模拟监测（synthetic: false），不能生成数据覆盖真实监测。\n"
            f"wave.yml {wave.id}: not a synthetic wave; simulated probes never stand in for real ones."
        )
    if size < 1 or (n_probes is not None and n_probes < 1):
        raise UsageError("热线数与监测数至少为 1。\nThe numbers of lines and of probes must be at least 1.")
    if size > frame_lines and out is None:
        raise UsageError(
            f"热线框只有 {frame_lines} 条，{size} 条需要另写一个目录（--out）。\n"
            f"The frame has {frame_lines} lines; {size} need a raw folder of their own (--out)."
        )


def _refuse_overwriting(wave: Wave, folder: Path, overwrite: bool) -> None:
    existing = sorted(file.name for export in wave.exports for file in folder.glob(export.glob))
    if existing and not overwrite:
        raise UsageError(
            f"{wave.id}：导出文件已存在：{', '.join(existing)}；如需重新生成请加 --overwrite。\n"
            f"{wave.id}: exports exist already: {', '.join(existing)}; use --overwrite to simulate them again."
        )
