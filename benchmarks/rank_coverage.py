"""How often rank sets hold what they promise: truth that is known, probed again and again.

Belongs here: the simulation and its summary. Does not belong here: the sets (`statistics/rank_sets.py`).

`python -m benchmarks.rank_coverage [--repeats 1000] [--units 32]` prints JSON: for truths with and
without ties, the share of repetitions in which a unit's set holds its true rank (the least covered
unit, and the mean), and in which all sets do; nominal is 0.95. Beside it the percentiles of
bootstrapped ranks, which are no confidence sets.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from dagster_project.statistics.rank_sets import LEVEL, rank_sets

Floats = NDArray[np.float64]
ERROR = 1.5  # points; what a line's total has
N_BOOTSTRAPS = 200


@dataclass(frozen=True)
class Coverage:
    """Shares of the repetitions in which sets hold the true rank, and the mean width of a set in ranks."""

    least: float
    mean: float
    all_at_once: float
    mean_width: float
    all_at_once_mean_width: float
    bootstrap_least: float


def truths(n_units: int) -> dict[str, Floats]:
    """{name: true scores}, the highest first."""
    return {
        "all tied": np.full(n_units, 85.0),
        "tied in fours": 85.0 - 3.0 * (np.arange(n_units) // 4),
        "close together": 85.0 - 0.2 * np.arange(n_units),
        "far apart": 85.0 - 10.0 * np.arange(n_units),
    }


def coverage(truth: Floats, n_repeats: int, n_draws: int) -> Coverage:
    """Probe `truth` again and again with errors of ERROR points."""
    rank = 1 + (truth[None, :] > truth[:, None]).sum(axis=1)
    errors = np.full(len(truth), ERROR)
    random = np.random.default_rng(7)
    held, held_all, width, width_all, bootstrap = [], [], [], [], []
    for repeat in range(n_repeats):
        scores = truth + errors * random.standard_normal(len(truth))
        sets = rank_sets(scores.tolist(), errors.tolist(), repeat, n_draws)
        held.append((sets.low <= rank) & (rank <= sets.high))
        held_all.append(bool(((sets.low_all <= rank) & (rank <= sets.high_all)).all()))
        width.append(float((sets.high - sets.low + 1).mean()))
        width_all.append(float((sets.high_all - sets.low_all + 1).mean()))
        low, high = _bootstrap_percentiles(scores, errors, random)
        bootstrap.append((low <= rank) & (rank <= high))
    each = np.mean(held, axis=0)
    return Coverage(
        round(float(each.min()), 3), round(float(each.mean()), 3), round(float(np.mean(held_all)), 3),
        round(float(np.mean(width)), 2), round(float(np.mean(width_all)), 2),
        round(float(np.mean(bootstrap, axis=0).min()), 3),
    )  # fmt: skip


def _bootstrap_percentiles(scores: Floats, errors: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    again = scores + errors * random.standard_normal((N_BOOTSTRAPS, len(scores)))
    ranks = 1 + (again[:, None, :] > again[:, :, None]).sum(axis=2)
    low, high = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    found = {
        name: asdict(coverage(truth, arguments.repeats, arguments.draws))
        for name, truth in truths(arguments.units).items()
    }
    print(
        json.dumps(
            {
                "nominal": LEVEL, "units": arguments.units, "repeats": arguments.repeats, "draws": arguments.draws,
                "standard_error_points": ERROR, "coverage": found, "seconds": round(time.perf_counter() - started, 1),
            },
            indent=1,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
