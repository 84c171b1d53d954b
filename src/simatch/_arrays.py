"""Arrays from users, checked and converted for NumPy, and constants for JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.core import Tracer
from jaxtyping import Array, PyTree

# Numbers with larger squares than single precision can hold, or smaller ones, are computed with in double precision.
_LARGEST, _SMALLEST = 1e15, 1e-15
# Numbers with larger squares than double precision can hold are refused.
_TOO_LARGE = 1e150


def real(x: Any, what: str, *axes: str) -> np.ndarray:
    """Return an array of finite floating-point numbers whose squares, too, are finite.

    Parameters
    ----------
    x : array, or anything from which NumPy can make one; SciPy sparse matrix
        Float32 and float64 keep their type, unless squares need double precision; whole numbers become float32 or
        float64.
    what : str
        What it is, at the beginning of an error message.
    axes : str
        Names of the axes, of which there must be as many; a last "..." stands for any further ones.

    Raises
    ------
    ValueError
        If it has other axes, is empty, has masked values or numbers that are not real, or holds NaN or infinity.
    """
    array = plain(x, what)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} must be an array of real numbers, got one of type {array.dtype}.")
    fixed = [axis for axis in axes if axis != "..."]
    if array.ndim < len(fixed) or (array.ndim > len(fixed) and "..." not in axes):
        raise ValueError(f"{what} must have shape ({', '.join(axes)}), got {array.shape}.")
    if not array.size:
        raise ValueError(f"{what} must not be empty, got shape {array.shape}.")
    array = array.astype(np.result_type(array, np.float32), copy=False)
    low, high = float(array.min()), float(array.max())
    size = max(-low, high)
    if not size <= _TOO_LARGE:
        wrong = ~(abs(array.astype(float)) <= _TOO_LARGE)
        raise ValueError(
            f"{what} must hold finite numbers below {_TOO_LARGE:g}, but {int(wrong.sum())} of {array.size} are not, "
            f"first at {np.argwhere(wrong)[0].tolist()}; remove or replace them."
        )
    return array if _SMALLEST <= size <= _LARGEST or not size else array.astype(np.float64)


def plain(x: Any, what: str) -> np.ndarray:
    """Return a NumPy array without a copy if possible; a sparse matrix becomes dense.

    Raises
    ------
    ValueError
        If it has masked values, or rows of different lengths.
    """
    refuse_masked(x, what)
    if scipy.sparse.issparse(x):
        return x.toarray()
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{what} must be an array, but its rows have different lengths ({error}).") from error


def refuse_masked(x: Any, what: str) -> None:
    """Raise ValueError if a masked array has masked values, which NumPy would silently take for numbers."""
    if np.ma.is_masked(x):
        raise ValueError(f"{what} must not have masked values; replace them, for example with x.filled(0).")


def constant(x: Any, dtype: Any = float) -> Array:
    """Return a copy of a number or of an array of NumPy as an array of JAX.

    Nothing is compiled for it. `jnp.asarray` compiles a program for every new shape, 20 ms each in a new process.

    Parameters
    ----------
    x : number, or array of NumPy
    dtype : type
        Python's types stand for those of JAX's default precision.
    """
    return jax.device_put(np.array(x, jnp.result_type(dtype)))


def is_traced(*trees: PyTree) -> bool:
    """Whether some array is inside a transformation of JAX, such as ``jax.jit``, where it has no values."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))
