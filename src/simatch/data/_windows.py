"""Rows of a time series joined with the rows before them."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import real
from .._checks import whole


def time_windows(x: Any, width: int) -> Float[np.ndarray, "windows joined"]:
    """Join every row of a time series with the rows before it.

    Parameters
    ----------
    x : array of shape (samples, features)
        Rows in the order of time.
    width : int
        Number of rows that are joined, from 1 to that of all rows.

    Returns
    -------
    array of shape (samples - width + 1, width * features)
        The latest row first. The first `width` - 1 rows, before which there are too few, have no window.

    Raises
    ------
    ValueError
        If `width` is out of range, or `x` is no matrix of finite numbers.

    Examples
    --------
    >>> from simatch.data import time_windows
    >>> time_windows([[1.0], [2.0], [3.0]], 2).tolist()
    [[2.0, 1.0], [3.0, 2.0]]
    """
    x, width = real(x, "A time series", "samples", "features"), whole(width, "The width of a window")
    if width > len(x):
        raise ValueError(f"A window of {width} rows needs as many, but there are {len(x)}; give a smaller width.")
    count = len(x) - width + 1
    return np.hstack([x[width - 1 - k : width - 1 - k + count] for k in range(width)])
