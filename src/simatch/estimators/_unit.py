"""The unit in which data are measured, so that the engine computes with numbers near 1."""

from typing import Any

import numpy as np

from ..relaxation import dense

# Most rows that a unit is found from.
_ROWS = 1000
# Units are changed if the data are so many times larger or smaller.
_TOLERATED = 8.0


def unit_of(x: Any, seed: int = 0) -> float:
    """Square root of the typical variance along the principal axes, ``tr(C^2) / tr(C)``, as a power of two.

    A power of two, so that dividing by it rounds nothing. 1 for data that are 0 everywhere. `x` is an array, `Rows` or
    a CSR matrix.
    """
    rows = np.random.default_rng(seed).permutation(x.shape[0])[:_ROWS]
    part = x[rows].astype(float)
    products = dense(part @ part.T)
    total = float(np.trace(products))
    variance = float(np.sum(products**2)) / (part.shape[0] * total) if total > 0 else 0.0
    return 2.0 ** round(np.log2(variance) / 2) if variance > 0 and np.isfinite(variance) else 1.0


def outgrown(unit: float, other: float) -> bool:
    """Whether data with the unit `other` are too large or too small for `unit`."""
    return not 1 / _TOLERATED < other / unit < _TOLERATED
