"""A raw folder of another size: declarations copied, frame and plan adapted.

Belongs here: what stands around a simulated wave's exports. Does not belong here: the
exports.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from dagster_project.claims.narrative import sources
from dagster_project.errors import UsageError
from dagster_project.paths import Paths

if TYPE_CHECKING:
    from dagster_project.ingest.wave import Wave


def write_raw_folder(paths: Paths, wave: Wave, out: Path, frame: pd.DataFrame, probes: int, seed: int) -> None:
    """Writes profiles, methods, the narrative, the wave's frame, wave.yml and recommendations below `out`.

    The plan holds what was simulated. A baseline wave is kept only where `out` has it: a
    change against a wave that is not there cannot be computed. A raw folder without a narrative
    has the project's, and so has its copy. All methods go along: the narrative may name what any declares.
    """
    if out.resolve() == paths.raw.resolve():
        raise UsageError(f"{out}: 不能覆盖正在使用的原始数据目录 / this is the raw folder in use; name another one")
    there = Paths(raw=out, home=paths.home)
    shutil.copytree(paths.profile("any").parent, there.profile("any").parent, dirs_exist_ok=True)
    shutil.copytree(paths.method("any").parent, there.method("any").parent, dirs_exist_ok=True)
    texts = sources(paths, wave.id)
    for text in (texts.template, texts.recommendations):
        if text is not None and text.is_relative_to(paths.raw):  # the project's own template serves `out` as well
            copy = out / text.relative_to(paths.raw)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(text, copy)
    there.frame(wave.frame).parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(there.frame(wave.frame), index=False, lineterminator="\n", encoding="utf-8")
    declared = yaml.safe_load(paths.wave_yml(wave.id).read_text(encoding="utf-8"))
    declared["plan"] = _plan(declared["plan"], probes)
    declared["simulation"]["seed"] = seed
    if declared.get("baseline") and not there.wave_yml(str(declared["baseline"])).is_file():
        declared["baseline"] = None
    there.wave_yml(wave.id).parent.mkdir(parents=True, exist_ok=True)
    there.wave_yml(wave.id).write_text(yaml.safe_dump(declared, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _plan(plan: dict[str, Any], probes: int) -> dict[str, Any]:
    """The plan at another number of phone probes; requests stay one per platform."""
    scaled = {
        name: -(-plan[name] * probes // plan["phone_probes"])
        for name in ("phone_probes", "dial_attempts", "web_inspections")
    }
    return {**plan, **scaled}
