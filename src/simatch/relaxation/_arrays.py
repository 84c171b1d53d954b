"""What users pass as arrays: recognised, converted, and read some rows at a time."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

# JAX uses the memory of an array on a CPU without a copy if its address is a multiple of so many bytes.
ALIGNMENT = 64
# Containers and numbers of Python of which NumPy makes arrays.
_PLAIN: tuple[type, ...] = (list, tuple, int, float, complex)

if TYPE_CHECKING:
    Sparse = Any  # the common classes of SciPy's formats declare none of their attributes
else:
    Sparse = scipy.sparse.sparray | scipy.sparse.spmatrix
# One array as the engine uses it: in memory or memory-mapped; sparse, whose rows become dense batch by batch; or stored
# elsewhere and read when it is indexed, such as a dataset of h5py or Zarr (`is_stored`).
Samples = jax.Array | np.ndarray | Sparse | Any
Inputs = Samples | Mapping[str, Samples]
"""What users pass: an array; a list of rows, a table or a tensor, of which `arrays` makes one; or a dict of these."""


def is_sparse(x: object) -> TypeGuard[Any]:
    """Whether `x` is a sparse matrix or array of SciPy.

    Parameters
    ----------
    x : object
        Whatever a user may pass.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> from simatch.relaxation import is_sparse
    >>> is_sparse(scipy.sparse.eye_array(2)), is_sparse(np.eye(2))
    (True, False)
    """
    return scipy.sparse.issparse(x)


def is_stored(x: object) -> TypeGuard[Any]:
    """Whether `x` is an array that is read when it is indexed.

    Such arrays have no protocol of their own. Those of h5py, Zarr, Dask and Xarray have a shape, a type of NumPy and
    rows, but unlike tensors do not offer their memory, and unlike columns of pandas have no labels.

    Parameters
    ----------
    x : object
        Whatever a user may pass.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import is_stored
    >>> is_stored(np.eye(2))
    False
    """
    return (
        not (isinstance(x, jax.Array | np.ndarray | np.generic) or is_sparse(x))
        and isinstance(getattr(x, "dtype", None), np.dtype)
        and isinstance(getattr(x, "shape", None), tuple)
        and hasattr(x, "__getitem__")
        and not hasattr(x, "__dlpack__")
        and not hasattr(x, "iloc")
    )


def is_array(x: object) -> bool:
    """Whether `x` is an array, a tensor, a table or a sparse matrix; not a list, which may hold anything."""
    offered = ("__array__", "__dlpack__", "to_numpy")
    return is_sparse(x) or is_stored(x) or any(hasattr(x, name) for name in offered)


def arrays(x: Inputs, name: str = "input") -> Any:
    """Convert what a user passes to an array, or a dict of arrays; without a copy if possible.

    Parameters
    ----------
    x : array, list of rows, DataFrame, tensor with NumPy's protocol, sparse matrix, stored array, or dict of these
        Of shape (samples, ...).
    name : str
        What to call it in messages.

    Returns
    -------
    jax.Array, ndarray, CSR matrix or stored array; or a dict of these
        The types and shapes that were given.

    Raises
    ------
    ValueError
        If something cannot be read as an array, or has masked entries.

    Examples
    --------
    >>> from simatch.relaxation import arrays
    >>> arrays([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    return {key: _array(own, key) for key, own in x.items()} if isinstance(x, Mapping) else _array(x, name)


def _array(x: Any, name: str) -> Samples:
    if type(x) is np.ndarray or isinstance(x, jax.Array) or is_stored(x):
        return x
    if is_sparse(x):
        return x.tocsr()  # the format that rows can be taken from
    if not isinstance(x, np.ndarray):
        x = _converted(x, name)
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise ValueError(
                f"The {name} has masked entries; replace them with x.filled(...), or remove their samples."
            )
        x = x.data
    return np.asarray(x) if isinstance(x, np.matrix) else x


def _converted(x: Any, name: str) -> np.ndarray:
    kind = type(x).__name__
    if isinstance(x, str | bytes) or not (is_array(x) or isinstance(x, _PLAIN)):
        raise ValueError(
            f"The {name} must be an array, a list of rows, a table or a tensor, but it is of type {kind}; only train "
            "and training take iterables, of batches."
        )
    try:
        if hasattr(x, "to_numpy"):
            table = np.asarray(x.to_numpy())
            # A table with columns of several types: the numbers decide, not their container.
            return np.array(table.tolist()) if table.dtype == object else table
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:  # what a tensor raises depends on its library
        reason = str(error).partition("\n")[0].rstrip(".")
        remedy = "make all rows equally long" if isinstance(x, list | tuple) else "convert it to a NumPy array first"
        raise ValueError(f"The {name}, a {kind}, cannot be read as an array ({reason}); {remedy}.") from error


def rows_of(x: Inputs, chosen: np.ndarray | slice) -> Any:
    """Return some rows of every entry of an input that `arrays` has returned, as dense arrays.

    Parameters
    ----------
    x : array of shape (samples, ...), or dict of such arrays
    chosen : int array of shape (rows,), or slice
        Numbers of the rows, in any order and perhaps repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import rows_of
    >>> rows_of({"input": np.arange(6).reshape(3, 2)}, np.array([2, 0]))["input"].tolist()
    [[4, 5], [0, 1]]
    """
    return jax.tree.map(lambda a: dense(_stored_rows(a, chosen) if is_stored(a) else a[chosen]), x)


def _stored_rows(x: Any, chosen: np.ndarray | slice) -> np.ndarray:
    if isinstance(chosen, slice) or getattr(x, "in_memory", False):
        return np.asarray(x[chosen])
    # Each row once and in the order in which they are stored, which is all that h5py can read, and fast with others.
    rows, places = np.unique(chosen, return_inverse=True)
    together = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    return np.asarray(x[rows[0] : rows[-1] + 1] if together else x[rows])[places]


def dense(x: Samples) -> jax.Array | np.ndarray:
    """Return the dense array of a sparse matrix, and any other array as it is.

    Parameters
    ----------
    x : array or sparse matrix of shape (samples, ...)

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> import scipy.sparse
    >>> from simatch.relaxation import dense
    >>> dense(scipy.sparse.eye_array(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return x.toarray() if is_sparse(x) else x


def count_samples(x: Inputs) -> int:
    """Return the number of samples in an input that has been checked.

    Parameters
    ----------
    x : array of shape (samples, ...), or dict of such arrays

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import count_samples
    >>> count_samples({"a": np.zeros((5, 2)), "b": np.zeros((5, 3))})
    5
    """
    return np.shape(jax.tree.leaves(x)[0])[0]


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Make an array whose memory JAX can use on a CPU without a copy, because it is aligned to `ALIGNMENT` bytes.

    Parameters
    ----------
    shape : tuple of int
        Length of each axis.

    Returns
    -------
    array of shape `shape`
        Its values are arbitrary; its type is JAX's default float.
    """
    dtype = jnp.result_type(float)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)
