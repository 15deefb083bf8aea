"""The lines of a simulated wave, and how good each is at what.

Belongs here: the frame, cut or repeated to a size, and the latent qualities behind it.
Does not belong here: what happens to a probe.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dagster_project.simulate.chance import settled, stream

DOMAINS = ("connection", "queue", "manners", "menu", "smart", "answers", "responses", "platform", "search", "replies")

# Shares of a line's quality: tier and province pull together what lies together.
OWN, PROVINCE = 0.85, 0.40
# How much of a domain is the line's general quality, and how much of it lasts to the next wave.
GENERAL, LASTING = 0.55, 0.85


@dataclass(frozen=True)
class Lines:
    """Frame rows and, per domain, a latent quality with mean near 0 and deviation near 1."""

    frame: pd.DataFrame
    quality: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ids(self) -> np.ndarray:
        return self.frame["line_id"].to_numpy(dtype=object)


def sized_frame(frame: pd.DataFrame, n_lines: int) -> pd.DataFrame:
    """The frame with `n_lines` rows: evenly spread rows of it, or its rows again under synthetic codes."""
    if n_lines <= len(frame):
        return frame.iloc[(np.arange(n_lines) * len(frame)) // n_lines].reset_index(drop=True)
    index = np.arange(n_lines) % len(frame)
    copy = np.arange(n_lines) // len(frame)
    sized = frame.iloc[index].reset_index(drop=True)
    for column, mark in {"line_id": "{0}{1:03d}", "city": "{0}({1})", "short_name": "{0}({1})"}.items():
        sized[column] = [
            mark.format(value, number) if number else value
            for value, number in zip(sized[column], copy.tolist(), strict=True)
        ]
    return sized


def draw_lines(frame: pd.DataFrame, tier_quality: dict[str, float], seed: int, wave: str) -> Lines:
    """Latent qualities: the same line is much the same in every wave of one seed."""
    size = len(frame)
    general = settled(
        frame["tier"].map(tier_quality).fillna(0).to_numpy(dtype=float)
        + PROVINCE * _by_group(frame["province_code"], seed)
        + OWN * stream(seed, "line", "general").standard_normal(size)
    )
    quality = {}
    for domain in DOMAINS:
        lasting = GENERAL * general + np.sqrt(1 - GENERAL**2) * stream(seed, "line", domain).standard_normal(size)
        fresh = stream(seed, "line", domain, wave).standard_normal(size)
        quality[domain] = settled(LASTING * lasting + np.sqrt(1 - LASTING**2) * fresh)
    return Lines(frame, quality)


def chosen(quality: np.ndarray, count: int, among: np.ndarray | None = None) -> np.ndarray:
    """Mask of the `count` best lines, of those in the mask `among` where given."""
    eligible = np.flatnonzero(np.ones(len(quality), dtype=bool) if among is None else among)
    best = eligible[np.lexsort((eligible, -quality[eligible]))][:count]
    mask = np.zeros(len(quality), dtype=bool)
    mask[best] = True
    return mask


def _by_group(groups: Iterable[str], seed: int) -> np.ndarray:
    """One standard normal per group, found by its name so that no other group can shift it."""
    drawn = {name: stream(seed, "province", name).standard_normal() for name in sorted(set(groups))}
    return np.array([drawn[name] for name in groups])
