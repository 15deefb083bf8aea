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
from dagster_project.ingest.frozen import is_frozen
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
    from dagster_project.ingest.wave import Simulation, Wave


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
    Raises UsageError where the wave is not synthetic, where exports would be overwritten or are frozen,
    and where more lines are asked for than the frame has without `out`.
    """
    used_seed = _simulation(wave).seed if seed is None else seed
    frame = pd.read_csv(paths.frame(wave.frame), dtype=str, keep_default_na=False)
    size = len(frame) if n_lines is None else n_lines
    probes = wave.plan.phone_probes if n_probes is None else n_probes
    _refuse_sizes(size, len(frame), probes, out)
    folder = (out or paths.raw) / wave.id
    existing = {file for export in wave.exports for file in folder.glob(export.glob)}
    if existing and not overwrite:
        names = ", ".join(sorted(file.name for file in existing))
        raise UsageError(
            f"{wave.id}: 导出已存在({names}),重新生成请加 --overwrite / exports are there ({names}); use --overwrite"
        )
    if not out and is_frozen(paths, wave.id):
        raise UsageError(f"{wave.id}: 导出已冻结,不可重新生成 / the exports are frozen and are not generated again")
    progress(f"{wave.id}: {size} 条热线,每条 {probes} 次电话监测 / {size} lines, {probes} phone probes each")
    frame = sized_frame(frame, size)
    tables = simulate_tables(paths, wave, frame, used_seed, probes)
    if out:
        write_raw_folder(paths, wave, out, frame, probes, used_seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for export in wave.exports:
        profile = yaml.safe_load(paths.profile(export.profile).read_text(encoding="utf-8"))
        table = getattr(tables, export.table)
        written += write_export(table, profile, folder / export.glob, used_seed, wave.id)
        progress(f"{written[-1].name}: {len(table)} 行 / rows")
    for stale in sorted(existing - set(written)):
        stale.unlink()
    return written


def simulate_tables(paths: Paths, wave: Wave, frame: pd.DataFrame, seed: int, probes: int) -> Simulated:
    """The tables of a wave for the lines of `frame`, `probes` phone probes and inspections each."""
    method = load_method(paths.method(wave.method))
    targets = load_targets(_simulation(wave).calibrate_to)
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
    visited = visit(lines, method, targets, scaled(wave.plan.web_inspections, probes, planned), days, seed, wave.id)
    answered = answer(lines, plan, dialled.probes, {**dialled.means, **visited.means}, method, targets, seed, wave.id)
    return Simulated(answered.questionnaires, dialled.log, visited.visits)


def scaled(planned: int, probes: int, planned_probes: int) -> int:
    """A number of the plan at another number of phone probes, rounded up."""
    return -(-planned * probes // planned_probes)


def _simulation(wave: Wave) -> Simulation:
    """How the wave is drawn; a wave of real probes is refused."""
    if not wave.is_synthetic or wave.simulation is None:
        raise UsageError(
            f"{wave.id}/wave.yml: 不是模拟监测期,不能用模拟数据代替真实监测 / "
            "not a synthetic wave with a `simulation`: simulated probes never stand in for real ones"
        )
    return wave.simulation


def _refuse_sizes(size: int, frame_lines: int, probes: int, out: Path | None) -> None:
    if size < 1 or probes < 1:
        raise UsageError("热线数与监测数至少为 1 / at least one line and one probe are needed")
    if size > frame_lines and out is None:
        raise UsageError(
            f"热线框只有 {frame_lines} 条,生成 {size} 条须用 --out 另写目录 / "
            f"the frame has {frame_lines} lines; {size} need a raw folder of their own (--out)"
        )
