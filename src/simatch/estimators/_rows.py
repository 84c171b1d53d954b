"""Large data that stay where they are: rows become numbers of the engine, in their unit, when they are read."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..relaxation import is_sparse, is_stored, rows_of

# Data of fewer numbers are converted as a whole, which makes learning from them faster.
LARGE = 1 << 22
# Numbers that are read at a time.
_AT_ONCE = 1 << 20


def precision() -> np.dtype:
    """Precision in which the engine computes."""
    return np.dtype(jnp.result_type(float))


def is_large(X: Any) -> bool:
    """Whether an array should not be converted as a whole; sparse ones never are."""
    return is_stored(X) or (isinstance(X, np.ndarray) and X.size > LARGE)


class Rows:
    """A matrix in the engine's precision that is made, row by row, from a large array.

    It does what the estimators do with their data, and the engine reads it as it reads a dataset of h5py.

    Parameters
    ----------
    data : ndarray, memory-mapped or not, or stored array, of shape (samples, features)
    unit : float
        A power of two by which all numbers are divided.
    """

    def __init__(self, data: Any, unit: float = 1.0):
        self.data, self.unit = data, unit
        self.shape, self.dtype = tuple(data.shape), precision()
        # Rows of such data may be read in any order (`simatch.relaxation.rows_of`).
        self.in_memory = type(data) is np.ndarray

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        """Rows by a slice or an array of their numbers; or ``[:, columns]``."""
        part = np.asarray(self.data[chosen] if isinstance(chosen, tuple) else rows_of(self.data, chosen))
        return part if self.unit == 1 and part.dtype == self.dtype else np.divide(part, self.unit, dtype=self.dtype)

    def __truediv__(self, unit: float) -> "Rows":
        return Rows(self.data, self.unit * unit)

    def __matmul__(self, matrix: Float[np.ndarray, "features _"]) -> Float[np.ndarray, "samples _"]:
        return np.concatenate([rows @ matrix for rows in parts(self)])


def parts(X: Any) -> Iterator[Any]:
    """Yield some rows of data after the other: all of a small array, and of a sparse matrix a few."""
    size = max(1, _AT_ONCE // X.shape[1]) if is_sparse(X) or isinstance(X, Rows) else X.shape[0]
    for begin in range(0, X.shape[0], size):
        yield X[begin : begin + size]
