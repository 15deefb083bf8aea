"""How long the sensitivity of a release takes, and how much memory.

Belongs here: timing. Does not belong here: what is timed (`statistics/weight_sensitivity.py`).

`python -m benchmarks.weight_sensitivity RELEASE [--repeats 7] [--copies 10]` prints JSON: for the release's
lines, and for so many copies of them, the median wall and CPU seconds of 2,000 draws for all three groups,
and the peak of what arrays and objects held; `whole` is `sensitivity_of`, reading and tables included.
"""

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dagster_project.release.reading import Release
from dagster_project.release.sensitivity import Ranking, sensitivity_of
from dagster_project.statistics.weight_sensitivity import N_DRAWS, weight_sensitivity

MIB = 2**20


def measured(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Medians of `repeats`, after one that is not counted; the peak is of a run of its own, which tracing slows."""
    work()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "wall_s": round(statistics.median(walls), 3),
        "wall_s_worst": round(max(walls), 3),
        "cpu_s": round(statistics.median(cpus), 3),
        "peak_mib": round(peak / MIB, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--copies", type=int, default=10)
    arguments = parser.parse_args()
    ranking = Ranking(Release(arguments.release))
    scores, tree, groups = ranking.scores, ranking.tree, ranking.groups
    n_lines = len(scores)
    # as many times the lines, in groups as many times as large
    more_scores = np.tile(scores, (arguments.copies, 1))
    more_groups = [
        [[line + copy * n_lines for line in unit] for copy in range(arguments.copies) for unit in group]
        for group in groups
    ]
    found = {
        "whole": measured(lambda: sensitivity_of(arguments.release), arguments.repeats),
        f"{n_lines} lines": measured(lambda: weight_sensitivity(scores, tree, groups, 1), arguments.repeats),
        f"{len(more_scores)} lines": measured(
            lambda: weight_sensitivity(more_scores, tree, more_groups, 1), arguments.repeats
        ),
    }
    content = {"draws": N_DRAWS, "weights": len(tree.weight), "units": [len(group) for group in groups], **found}
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
