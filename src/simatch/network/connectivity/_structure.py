"""Validation of structure constants."""

from typing import Any

import numpy as np
import scipy.sparse

from ..._arrays import plain
from .._grid import Grid


def checked_structure(structure: Any, pre: Grid, post: Grid) -> Any:
    """Return `structure` as a float array, or as a CSR matrix if it is sparse, after checks of shape and range.

    Raises
    ------
    ValueError
        If the shape is not (post.size, pre.size), or if a number is negative, not finite, or none is above 0.
    """
    given: Any = structure.tocsr() if scipy.sparse.issparse(structure) else plain(structure, "Structure constants")
    if given.dtype.kind not in "fiub":
        raise ValueError(f"Structure constants must be real numbers, got an array of type {given.dtype}.")
    matrix = given.astype(float)  # weights have the type of the constants, and must not be whole numbers
    if matrix.shape != (post.size, pre.size):
        raise ValueError(
            f"Structure constants have shape {matrix.shape}, but {pre.size} neurons that project to {post.size} "
            f"need {(post.size, pre.size)} (rows are the neurons that receive)."
        )
    values = np.asarray(matrix.data if scipy.sparse.issparse(matrix) else matrix)
    if values.size and not np.isfinite(values).all():
        raise ValueError("Structure constants hold NaN or infinity; every one must be finite and at least 0.")
    if values.size and values.min() < 0:
        raise ValueError(f"Structure constants must be at least 0, but the smallest is {values.min():g}.")
    if not np.any(values):
        raise ValueError("All structure constants are 0, so that no synapse exists; give at least one above 0.")
    return matrix
