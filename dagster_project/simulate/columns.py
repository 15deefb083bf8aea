"""Columns of a simulated table: values at some rows, nothing at the others, and row identifiers.

Belongs here: how a column is put together. Does not belong here: what stands in it.
"""

from collections.abc import Sequence

import numpy as np


def at(rows: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """A column of `size` with `values` at `rows`, and nothing elsewhere."""
    column = np.full(size, None, dtype=object)
    column[rows] = values
    return column


def only(mask: np.ndarray, values: Sequence[object] | np.ndarray) -> np.ndarray:
    """The values where `mask` holds, and nothing elsewhere."""
    column = np.array(values, dtype=object)
    column[~mask] = None
    return column


def numbered(prefix: str, line_ids: np.ndarray, number: np.ndarray, digits: int) -> list[str]:
    """Identifiers made of a wave's prefix, the line and a number within the line, counted from 0."""
    return [
        f"{prefix}-{line}-{index:0{digits}d}"
        for line, index in zip(line_ids.tolist(), (number + 1).tolist(), strict=True)
    ]
