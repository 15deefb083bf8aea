"""Sobol indices of the weights: what each does to the ranks by itself, and with the others. Needs SALib.

`importance.py` has the first by a regression, of draws that are there anyway. Here they come from a design
made for it, a hundred times the work, with total indices beside: what a weight does in any combination.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dagster_project.errors import UsageError
from dagster_project.statistics.weight_sensitivity import SPREAD, Floats, Tree, ranks

N_BASE = 1024  # points of the design, a power of two; each is evaluated once per weight and twice more
BLOCK = 2_000  # draws at a time


@dataclass(frozen=True)
class Sobol:
    """Indices of a weight for a group's mean absolute rank shift; errors are half a 95 % interval."""

    first: float
    first_error: float
    total: float
    total_error: float


def sobol_indices(
    scores: Floats, tree: Tree, groups: Sequence[Sequence[Sequence[int]]], seed: int, n_base: int = N_BASE
) -> list[dict[int, Sobol]]:
    """Per group {node: its indices}, of the weights that have siblings; arguments as for `weight_sensitivity`.

    Raises UsageError where SALib is not installed.
    """
    try:
        from SALib.analyze.sobol import analyze
        from SALib.sample.sobol import sample
    except ModuleNotFoundError as error:
        raise UsageError(
            "计算 Sobol 指数需要 SALib,请安装可选依赖 sensitivity:pip install '.[sensitivity]' / "
            "Sobol indices need SALib; install the optional extra `sensitivity`: pip install '.[sensitivity]'"
        ) from error
    nodes = np.flatnonzero(tree.has_siblings).tolist()
    names, bounds = [str(node) for node in nodes], [[1 - SPREAD, 1 + SPREAD]] * len(nodes)
    problem = {"num_vars": len(nodes), "names": names, "bounds": bounds}
    seed %= 2**32  # what SALib takes
    factors = np.ones((n_base * (len(nodes) + 2), len(tree.weight)))
    factors[:, nodes] = sample(problem, n_base, calc_second_order=False, seed=seed)
    found = []
    for shift in mean_shifts(scores, tree, groups, factors).T:
        if np.ptp(shift) == 0:  # no rank moves: there is no variance to share out
            found.append({node: Sobol(0.0, 0.0, 0.0, 0.0) for node in nodes})
            continue
        indices = analyze(problem, shift, calc_second_order=False, seed=seed)
        columns = (indices[name].tolist() for name in ("S1", "S1_conf", "ST", "ST_conf"))
        found.append({node: Sobol(*row) for node, *row in zip(nodes, *columns, strict=True)})
    return found


def mean_shifts(scores: Floats, tree: Tree, groups: Sequence[Sequence[Sequence[int]]], factors: Floats) -> Floats:
    """(draws, groups): by how many ranks units of the group are moved, in the mean (R_S of the OECD/JRC handbook)."""
    own = ranks(scores, tree, groups, np.ones((1, len(tree.weight))))
    blocks = (factors[start : start + BLOCK] for start in range(0, len(factors), BLOCK))
    return np.concatenate(
        [
            np.stack(
                [
                    np.abs(each - one).mean(axis=0)
                    for each, one in zip(ranks(scores, tree, groups, block), own, strict=True)
                ],
                axis=1,
            )
            for block in blocks
        ]
    )
