"""What a simulated wave must come out at: `targets/<year>.yml`.

Belongs here: reading those files. Does not belong here: a number of them.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from dagster_project.errors import UsageError

FOLDER = Path(__file__).parent / "targets"


@dataclass(frozen=True)
class Tier:
    """A tier's general quality, its usual connection rate and, where published, the rate in whole calls."""

    quality: float
    connection_pct: float
    attempts: int | None = None
    connected: int | None = None


@dataclass(frozen=True)
class Lead:
    """One tier's mean total lies this many points over another's."""

    tier: str
    over: str
    points: float


@dataclass(frozen=True)
class Targets:
    """Counts hold of `lines` lines and `submissions` requests; scores are national means in points."""

    lines: int
    submissions: int
    scores: dict[str, float]
    classes: dict[str, int]
    tiers: dict[str, Tier]
    flags: dict[str, int]
    response_band: str
    response_lines: int
    response_measured: int
    reply_time: dict[str, int]
    resolution: dict[str, int]
    lead: Lead | None

    def of_lines(self, count: int, lines: int) -> int:
        """A count of lines, carried over to a frame of another size (half up)."""
        return (2 * count * lines + self.lines) // (2 * self.lines)

    def of_submissions(self, counts: dict[str, int], submissions: int) -> dict[str, int]:
        """A partition of the submissions, carried over by largest remainder."""
        if submissions == self.submissions:
            return dict(counts)
        floors = {code: count * submissions // self.submissions for code, count in counts.items()}
        whole = (2 * sum(counts.values()) * submissions + self.submissions) // (2 * self.submissions)
        by_remainder = sorted(counts, key=lambda code: -(counts[code] * submissions % self.submissions))
        for code in by_remainder[: whole - sum(floors.values())]:
            floors[code] += 1
        return floors


def load_targets(year: str, folder: Path = FOLDER) -> Targets:
    """The targets that a wave names in `simulation.calibrate_to`."""
    path = folder / f"{year}.yml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yml")))
        raise UsageError(
            f"wave.yml: simulation.calibrate_to: 没有 {year} 的校准目标 / no targets for {year}; "
            f"现有 / there are: {known}"
        )
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Targets(
        lines=declared["lines"],
        submissions=declared["submissions"],
        scores={code: float(score) for code, score in declared["scores"].items()},
        classes=declared["classes"],
        tiers={name: Tier(**tier) for name, tier in declared["tiers"].items()},
        flags=declared["flags"],
        response_band=declared["response"]["band"],
        response_lines=declared["response"]["lines"],
        response_measured=declared["response"]["measured"],
        reply_time=declared["reply_time"],
        resolution=declared["resolution"],
        lead=Lead(**declared["lead"]) if declared.get("lead") else None,
    )
