"""How often each line is connected: its class, diallings, connections and reached probes.

Belongs here: whole numbers per line that give the published classes and rates. Does not
belong here: the single dialling (`dialling.py`).
"""

from dataclasses import dataclass, replace

import numpy as np

from dagster_project.simulate.chance import settled, stream
from dagster_project.simulate.lines import Lines, chosen
from dagster_project.simulate.method import Method
from dagster_project.simulate.quota import nudged
from dagster_project.simulate.targets import Targets

MAX_TRIES = 3  # a planned probe is given up after the third dialling that failed

# Usual connection rates before they are shifted to the national mean: warm lines from best to worst.
WARM_BEST, WARM_RANGE, WARM_BEND = 0.93, 0.45, 1.6
COLD_BEST, COLD_RANGE = 0.285, 0.06
HOT_SPOTLESS = 0.6  # of the hot lines, without a single failure
GIVEN_UP = 0.25  # of the lines with many failures, those where some probe is never reached


@dataclass(frozen=True)
class Plan:
    """Per line: class, diallings, those connected, and planned probes reached; `planned` probes each."""

    planned: int
    line_class: np.ndarray
    attempts: np.ndarray
    connected: np.ndarray
    reached: np.ndarray


@dataclass(frozen=True)
class Sizes:
    """Planned probes and least diallings per line; `as_published` where the targets' whole calls apply."""

    probes: int
    attempts: int
    as_published: bool


def plan_lines(lines: Lines, method: Method, targets: Targets, sizes: Sizes, seed: int, wave: str) -> Plan:
    """The plan of a wave. With other sizes than the published ones the rates hold, not the whole calls."""
    rng = stream(seed, wave, "plan")
    quality = _connection_quality(lines, targets)
    line_class = _classes(lines, targets, quality, seed)
    rate = _rates(line_class, quality, targets.scores["I01"])
    attempts = _attempts(rng, line_class, rate, sizes)
    if sizes.as_published:
        attempts = _tier_attempts(rng, lines, targets, line_class, attempts, sizes)
    least, most = _class_bounds(method, line_class, attempts)
    connected = np.clip(np.floor(rate * attempts + 0.5).astype(np.int64), least, most)
    connected = _tier_connected(rng, lines, targets, attempts, connected, least, most)
    connected = _national_connected(rng, lines, targets, attempts, connected, least, most)
    plan = Plan(sizes.probes, line_class, attempts, connected, connected)
    return replace(plan, reached=_reached(rng, plan))


def _connection_quality(lines: Lines, targets: Targets) -> np.ndarray:
    """The latent quality, moved by how well the line's tier is usually connected."""
    usual = np.mean([tier.connection_pct for tier in targets.tiers.values()])
    by_tier = {name: (tier.connection_pct - usual) / 8 for name, tier in targets.tiers.items()}
    return settled(lines.quality["connection"] + lines.frame["tier"].map(by_tier).fillna(0).to_numpy(dtype=float))


def _classes(lines: Lines, targets: Targets, quality: np.ndarray, seed: int) -> np.ndarray:
    """Line classes in the published numbers; dead lines are the same small ones in every wave."""
    counts = {name: targets.of_lines(count, len(lines)) for name, count in targets.classes.items()}
    small = (lines.frame["tier"].map({name: tier.quality for name, tier in targets.tiers.items()}) < 0).to_numpy()
    lasting = stream(seed, "line", "dead").standard_normal(len(lines))
    dead = chosen(settled(lasting), counts["dead"], small)
    cold = chosen(-lines.quality["connection"], counts["cold"], ~dead)
    hot = chosen(quality, counts["hot"], ~dead & ~cold)
    return np.select([dead, cold, hot], ["dead", "cold", "hot"], "warm")


def _rates(line_class: np.ndarray, quality: np.ndarray, goal: float) -> np.ndarray:
    """Usual connection rate per line; the warm lines are shifted so that the mean is near `goal` percent."""
    standing = _standing_in_class(line_class, quality)
    warm = WARM_BEST - WARM_RANGE * (1 - standing) ** WARM_BEND
    cold = COLD_BEST - COLD_RANGE * (1 - standing)
    hot = np.where(standing > 1 - HOT_SPOTLESS, 1.0, 0.955)
    is_warm = line_class == "warm"
    fixed = np.select([line_class == "dead", line_class == "cold", is_warm], [0.0, cold, warm], hot)
    low, high = -0.6, 0.6
    for _ in range(40):
        shift = (low + high) / 2
        mean = 100 * np.where(is_warm, np.clip(warm + shift, 0.36, 0.94), fixed).mean()
        low, high = (shift, high) if mean < goal else (low, shift)
    return settled(np.where(is_warm, np.clip(warm + settled(np.array(low)), 0.36, 0.94), fixed))


def _standing_in_class(line_class: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """From 0 (worst of its class) to 1 (best)."""
    standing = np.zeros(len(quality))
    for name in np.unique(line_class):
        members = np.flatnonzero(line_class == name)
        order = members[np.lexsort((members, quality[members]))]
        standing[order] = (np.arange(len(order)) + 0.5) / len(order)
    return standing


def _attempts(rng: np.random.Generator, line_class: np.ndarray, rate: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Diallings per line: as commissioned, and more where the planned probes would not be reached otherwise."""
    spare = np.where(rng.random(len(rate)) < 0.15, rng.integers(1, 3, len(rate)), 0)
    needed = np.ceil(settled(sizes.probes / np.maximum(rate, 0.1))).astype(np.int64)
    needed = np.where(line_class == "dead", 2 * sizes.probes, needed)
    return np.minimum(np.maximum(sizes.attempts + spare, needed), max(sizes.attempts, MAX_TRIES * sizes.probes))


def _tier_attempts(
    rng: np.random.Generator,
    lines: Lines,
    targets: Targets,
    line_class: np.ndarray,
    attempts: np.ndarray,
    sizes: Sizes,
) -> np.ndarray:
    """Diallings nudged to the whole numbers that a tier's published rate rests on; cold lines keep all they need."""
    movable = (line_class == "warm") | (line_class == "hot")
    low, high = np.full(len(lines), sizes.attempts), np.full(len(lines), MAX_TRIES * sizes.probes)
    for name, tier in targets.tiers.items():
        if tier.attempts is not None:
            members = (lines.frame["tier"] == name).to_numpy()
            gap = tier.attempts - int(attempts[members].sum())
            attempts = nudged(rng.permutation(np.flatnonzero(members & movable)), attempts, gap, low, high)
    return attempts


def _class_bounds(method: Method, line_class: np.ndarray, attempts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and most connections with which a line still has its class."""
    to_warm = -(-method.class_below_pct["cold"] * attempts // 100)  # rounded up
    to_hot = -(-method.class_below_pct["warm"] * attempts // 100)
    classes = [line_class == "dead", line_class == "cold", line_class == "warm"]
    least = np.select(classes, [0, 1, np.maximum(to_warm, 1)], to_hot)
    most = np.select(classes, [0, np.maximum(to_warm - 1, 1), to_hot - 1], attempts)
    return least, most


def _tier_connected(
    rng: np.random.Generator,
    lines: Lines,
    targets: Targets,
    attempts: np.ndarray,
    connected: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
) -> np.ndarray:
    """Connections nudged to the tiers' published rates."""
    for name, tier in targets.tiers.items():
        members = rng.permutation(np.flatnonzero(lines.frame["tier"] == name))
        if tier.attempts is not None and tier.connected is not None and len(members):
            dialled = int(attempts[members].sum())
            goal = (2 * tier.connected * dialled + tier.attempts) // (2 * tier.attempts)
            connected = nudged(members, connected, goal - int(connected[members].sum()), least, most)
    return connected


def _national_connected(
    rng: np.random.Generator,
    lines: Lines,
    targets: Targets,
    attempts: np.ndarray,
    connected: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
) -> np.ndarray:
    """Connections of warm lines in the other tiers, nudged to the national mean rate."""
    published = [name for name, tier in targets.tiers.items() if tier.connected is not None]
    free = ~lines.frame["tier"].isin(published).to_numpy() & (most - least > 2)
    members = rng.permutation(np.flatnonzero(free))
    if not len(members):
        return connected
    for _ in range(3):
        missing = targets.scores["I01"] / 100 * len(lines) - float((connected / attempts).sum())
        calls = int(np.round(missing * float(attempts[members].mean())))
        connected = nudged(rng.permutation(members), connected, calls, least, most)
    return connected


def _reached(rng: np.random.Generator, plan: Plan) -> np.ndarray:
    """Planned probes that were reached: all, save where there were too few connections or patience ran out."""
    failed = plan.attempts - plan.connected
    patient = (rng.random(len(failed)) > GIVEN_UP) | (3 * failed < plan.planned)
    lost = np.where(patient, 0, -(-plan.planned // 15))
    reached = np.minimum(plan.planned, plan.connected)
    kept = np.where(plan.connected >= plan.planned, np.maximum(reached - lost, 1), reached)
    return np.maximum(kept, plan.planned - failed)
