"""Quota sampling: how many answers of each kind every line gets.

Belongs here: turning a wished mean per line into whole numbers of answers whose
unweighted national mean lands on a goal, and laying them on the single probes.
Does not belong here: which question is asked, or what an answer is called.
"""

from dataclasses import dataclass

import numpy as np

from dagster_project.simulate.chance import settled

STEERING_ROUNDS = 200


@dataclass(frozen=True)
class Scale:
    """The scored answers of one question, best first, and how the lesser ones divide.

    `scores` in points, descending; `lesser` gives for all but the best answer its share
    of the answers that are not the best, and sums to 1.
    """

    codes: tuple[str, ...]
    scores: np.ndarray
    lesser: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return np.array(self.codes, dtype=object)


@dataclass(frozen=True)
class Cells:
    """What one question has to fill, per line.

    `n` answers, and `zeros` further units that count as 0 without an answer (an
    unreached probe); `least` and `most` bound the number of best answers.
    """

    n: np.ndarray
    zeros: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def of(self, chosen: np.ndarray) -> "Cells":
        return Cells(self.n[chosen], self.zeros[chosen], self.least[chosen], self.most[chosen])


def cells(
    n: np.ndarray,
    zeros: np.ndarray | None = None,
    least: np.ndarray | None = None,
    most: np.ndarray | None = None,
) -> Cells:
    """Cells with the usual bounds: none."""
    nothing = np.zeros_like(n)
    return Cells(
        n,
        nothing if zeros is None else zeros,
        nothing if least is None else least,
        n if most is None else most,
    )


def share_out(rng: np.random.Generator, todo: Cells, wish: np.ndarray, scale: Scale, goal: float) -> np.ndarray:
    """Numbers of answers, shape (lines, answers of the scale).

    `wish` is the score that each line would like to have, in points; all wishes are
    shifted alike until the mean over the lines is `goal`, rounded to whole answers by
    systematic sampling, and steered by single answers to within one of them.
    """
    if not todo.n.any():
        return np.zeros((len(todo.n), len(scale.scores)), dtype=np.int64)
    wanted = _shifted(todo, wish, scale, goal)
    lesser_mean = float(np.dot(scale.lesser, scale.scores[1:]))
    lesser_share = (scale.scores[0] - wanted) / (scale.scores[0] - lesser_mean)
    lesser = _systematic(rng, todo.n * np.clip(lesser_share, 0, 1))
    lesser = np.clip(lesser, todo.n - todo.most, todo.n - todo.least)
    counts = np.zeros((len(todo.n), len(scale.scores)), dtype=np.int64)
    counts[:, 0] = todo.n - lesser
    remaining, remaining_share = lesser, 1.0
    for kind in range(1, len(scale.scores) - 1):
        remaining_share_after = remaining_share - scale.lesser[kind - 1]
        after = _systematic(rng, remaining * (remaining_share_after / remaining_share))
        counts[:, kind] = remaining - after
        remaining, remaining_share = after, remaining_share_after
    counts[:, -1] = remaining
    return _steered(rng, counts, todo, scale, goal)


def line_means(counts: np.ndarray, todo: Cells, scale: Scale) -> np.ndarray:
    """Mean score per line in points; NaN where a line has neither answers nor zeros."""
    weight = todo.n + todo.zeros
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, (counts * scale.scores).sum(axis=1) / np.where(weight > 0, weight, 1), np.nan)


def place(line: np.ndarray, counts: np.ndarray, burden: np.ndarray) -> np.ndarray:
    """Index of the answer for every cell: within a line the most burdened cells get the worst.

    `line` (cells) points into the rows of `counts`; a line's counts sum to its cells.
    """
    position = rank_in_line(line, -burden)
    worst_first = np.cumsum(counts[:, ::-1], axis=1)
    passed = (position[:, None] >= worst_first[line]).sum(axis=1)
    return counts.shape[1] - 1 - passed


def rank_in_line(line: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Position (from 0) of every cell among the cells of its line, smallest key first."""
    order = np.lexsort((key, line))
    sizes = np.bincount(line) if len(line) else np.zeros(0, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    position = np.empty(len(line), dtype=np.int64)
    position[order] = np.arange(len(line)) - starts[line[order]]
    return position


def nudged(order: np.ndarray, values: np.ndarray, gap: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whole numbers moved by ones within their bounds, in `order` and round by round, until `gap` is used up."""
    moved = values.copy()
    step = 1 if gap > 0 else -1
    left = abs(gap)
    while left:
        able = order[moved[order] < high[order]] if step > 0 else order[moved[order] > low[order]]
        if not len(able):
            break
        moved[able[:left]] += step
        left -= min(left, len(able))
    return moved


def _shifted(todo: Cells, wish: np.ndarray, scale: Scale, goal: float) -> np.ndarray:
    """The wishes, shifted alike and kept within what a line can have, with `goal` as their mean."""
    weight = todo.n + todo.zeros
    counted = weight > 0
    n = np.where(todo.n > 0, todo.n, 1)
    worst, best = float(np.dot(scale.lesser, scale.scores[1:])), float(scale.scores[0])
    floor = worst + (best - worst) * todo.least / n
    ceiling = worst + (best - worst) * todo.most / n
    low, high = -200.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2
        means = np.clip(wish + middle, floor, ceiling) * todo.n / np.where(counted, weight, 1)
        low, high = (middle, high) if means[counted].mean() < goal else (low, middle)
    return settled(np.clip(wish + settled(np.array(low)), floor, ceiling))


def _systematic(rng: np.random.Generator, expected: np.ndarray) -> np.ndarray:
    """Whole numbers whose running sum never strays by more than one from that of `expected`."""
    order = rng.permutation(len(expected))
    running = np.floor(settled(np.cumsum(expected[order]) + rng.random()))
    rounded = np.empty(len(expected), dtype=np.int64)
    rounded[order] = np.diff(running, prepend=0).astype(np.int64)
    return np.minimum(rounded, np.ceil(expected).astype(np.int64))


def _steered(rng: np.random.Generator, counts: np.ndarray, todo: Cells, scale: Scale, goal: float) -> np.ndarray:
    """Moves single answers between best and next best until the mean is as near `goal` as one answer allows."""
    weight = todo.n + todo.zeros
    counted = int((weight > 0).sum())
    step = settled((scale.scores[0] - scale.scores[1]) / np.where(weight > 0, weight, 1))
    for _ in range(STEERING_ROUNDS):
        gap = float(settled(np.array(goal * counted - np.nansum(line_means(counts, todo, scale)))))
        if gap > 0:
            able = np.flatnonzero((counts[:, 1] > 0) & (counts[:, 0] < todo.most))
        else:
            able = np.flatnonzero(counts[:, 0] > todo.least)
        if not len(able):
            break
        order = rng.permutation(able)
        used = int(np.searchsorted(settled(np.cumsum(step[order])), abs(gap), side="right"))
        if used == 0:
            nearest = able[np.argmin(np.abs(step[able] - abs(gap)))]
            if abs(step[nearest] - abs(gap)) < abs(gap):
                _move(counts, np.array([nearest]), gap)
            break
        _move(counts, order[:used], gap)
    return counts


def _move(counts: np.ndarray, chosen: np.ndarray, gap: float) -> None:
    up = 1 if gap > 0 else -1
    counts[chosen, 0] += up
    counts[chosen, 1] -= up
