"""Checks of the input of a network, and its conversion to the engine's layout."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.core import Tracer
from jaxtyping import Float

from .._arrays import refuse_masked
from .._processes import check_process
from ..network import Activities, Grid, Network
from ._phase import DEFAULT, Phase

# JAX uses the memory of an array on a CPU without a copy if its address is a multiple of so many bytes.
ALIGNMENT = 64
# Largest number in an input: its square is finite in single precision.
LARGEST = 1e18

if TYPE_CHECKING:
    Sparse = Any  # the common classes of SciPy's formats declare none of their attributes
else:
    Sparse = scipy.sparse.sparray | scipy.sparse.spmatrix
# Sparse matrices become dense batch by batch.
Samples = jax.Array | np.ndarray | Sparse
Inputs = Samples | Mapping[str, Samples]


def is_input(x: object) -> TypeGuard[Inputs]:
    """Whether `x` is one input of many samples (an array, or a dict of arrays), rather than an iterable of batches."""
    return isinstance(x, jax.Array | np.ndarray | Mapping) or is_sparse(x)


def is_sparse(x: object) -> TypeGuard[Any]:
    """Whether `x` is a sparse matrix or array of SciPy."""
    return scipy.sparse.issparse(x)


def check_inputs(net: Network, x: Inputs, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()) -> Activities:
    """Check the input and return its entries as ``(neurons, samples)`` arrays.

    Parameters
    ----------
    net : Network
    x : array of samples, or dict from entries to arrays
        The entries that the phases clamp, and those in `others`; one array stands for a single entry.
    phases : sequence of Phase
    others : sequence of str
        Further entries, such as those that a rule reads.

    Returns
    -------
    dict of str to array of shape (neurons, samples)

    Raises
    ------
    ValueError
        If an entry is missing or unknown, has the wrong shape or type, is empty, or holds NaN or infinity.
    """
    return {name: jnp.asarray(dense(r).T) for name, r in checked(net, x, phases, others).items()}


def checked(
    net: Network, x: Inputs, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()
) -> dict[str, Samples]:
    """Check the input as `check_inputs` does and return ``(samples, neurons)`` arrays, without a copy if possible.

    A sparse matrix remains one, in CSR format.
    """
    check_process()
    entries = {
        name: r.astype(jnp.result_type(float), copy=False) for name, r in _shaped(net, x, phases, others).items()
    }
    for name, r in entries.items():
        _check_finite(r, name)
    return entries


def stacked(
    net: Network, group: Sequence[Inputs], most: int, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()
) -> dict[str, Float[jax.Array, "most _ samples"]]:
    """Check batches of one shape together and stack them as ``(neurons, samples)`` arrays.

    If there are fewer than `most` batches, the last one is repeated. Small batches are checked and moved to the device
    together, because one by one this takes longer than learning from them.
    """
    first, stacks = _shaped(net, group[0], phases, others), {}
    try:
        stacks = {
            name: _stacked([dense(_part(x, name)).reshape(r.shape) for x in group], most) for name, r in first.items()
        }
        sound = all(map(_sound, stacks.values()))
    except TypeError:  # some batch does not hold real numbers
        sound = False
    if not sound:
        for x in group:
            checked(net, x, phases, others)  # raises an error that names the first bad sample of its batch
    return jax.device_put(stacks)


def _part(x: Inputs, name: str) -> Samples:
    part = x[name] if isinstance(x, Mapping) else x
    refuse_masked(part, f"The {name}")
    if is_sparse(part):
        return part.tocsr()
    return part if isinstance(part, jax.Array) else np.asarray(part)


def rows_of(x: Inputs, chosen: np.ndarray) -> Inputs:
    """Return some rows of every entry of an input, as dense arrays."""
    return jax.tree.map(lambda a: dense(a.tocsr()[chosen]) if is_sparse(a) else a[chosen], x)


def dense(x: Samples) -> jax.Array | np.ndarray:
    """Return the dense array of a sparse matrix, and any other array as it is."""
    return x.toarray() if is_sparse(x) else x


def _stacked(parts: list[jax.Array | np.ndarray], most: int) -> jax.Array | np.ndarray:
    parts = parts + parts[-1:] * (most - len(parts))
    if any(isinstance(part, jax.Array) for part in parts):
        return jnp.stack([jnp.asarray(part, float) for part in parts]).swapaxes(1, 2)
    stack = aligned((most, *parts[0].shape[::-1]))
    np.stack(parts, out=stack.swapaxes(1, 2))
    return stack


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Make an array whose memory JAX can use on a CPU without a copy, because it is aligned to `ALIGNMENT` bytes."""
    dtype = jnp.result_type(float)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)


def _entries(net: Network, phases: Sequence[Phase], others: Sequence[str]) -> dict[str, Grid | None]:
    """Entries that a batch needs, each with the grid of the population that is clamped to it, or None."""
    entries: dict[str, Grid | None] = dict.fromkeys(others)
    for phase in phases:
        for name, entry in phase.entries(net).items():
            grid = net.populations[name].grid if name in net.populations else None
            known = entries.get(entry)
            if known is not None and grid is not None and known.size != grid.size:
                raise ValueError(
                    f"The entry {entry!r} is for populations of {known.size} and of {grid.size} neurons; clamp them to "
                    "different entries."
                )
            entries[entry] = known or grid
    return entries


def _named(entries: Mapping[str, Grid | None], x: Inputs) -> Mapping[str, Samples]:
    """Return the array of every entry."""
    if not isinstance(x, Mapping):
        if len(entries) > 1:
            raise ValueError(
                f"A batch has {len(entries)} entries here ({', '.join(map(repr, entries))}), but one array was given; "
                "pass a dict from the names of the entries to arrays."
            )
        x = dict.fromkeys(entries, x)
    if set(x) != set(entries):
        raise ValueError(
            f"The entries of a batch are {', '.join(map(repr, entries))} here, but arrays were given for "
            f"{', '.join(map(repr, x)) or 'none'}; give one array for each entry."
        )
    x = {name: _part(x, name) for name in entries}
    counts = {name: r.shape[0] for name, r in x.items() if r.ndim}
    if len(set(counts.values())) > 1:
        raise ValueError(f"All entries of a batch need the same number of samples, got {counts}; give equally many.")
    return x


def _shaped(net: Network, x: Inputs, phases: Sequence[Phase], others: Sequence[str]) -> dict[str, Samples]:
    """Check everything but the values, and return ``(samples, neurons)`` arrays of the type that was given."""
    entries = _entries(net, phases, others)
    return {name: _flat(part, entries[name], name) for name, part in _named(entries, x).items()}


def _flat(x: Samples, grid: Grid | None, name: str) -> Samples:
    """Check type and shape of one input array and return it as ``(samples, neurons)``."""
    if not isinstance(x, jax.Array) and x.dtype.kind not in "fiub":
        raise ValueError(f"The {name} must be an array of real numbers, got one of type {x.dtype}.")
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(f"The {name} must be an array of real numbers, got one of type {x.dtype}.")
    if grid is None:
        if x.ndim < 2:
            raise ValueError(f"The {name} has shape {tuple(x.shape)}, but ('batch', 'numbers') is needed.")
        grid = Grid(1, 1, math.prod(x.shape[1:]))
        x = x.reshape(x.shape[0], -1)
    accepted = [grid.shape, (grid.size,)] + ([grid.shape[:2]] if grid.units == 1 else [])
    if x.ndim == 0 or x.shape[1:] not in accepted:
        wanted = " or ".join(str(("batch", *shape)).replace("'", "") for shape in dict.fromkeys(accepted))
        hint = " A single sample needs a batch axis: x[None]." if x.shape in accepted else ""
        raise ValueError(f"The {name} has shape {tuple(x.shape)}, but the network expects {wanted}.{hint}")
    if not x.shape[0]:
        raise ValueError(f"The {name} holds no samples (shape {tuple(x.shape)}); pass at least one.")
    return x.reshape(x.shape[0], grid.size)


def _check_finite(x: Samples, name: str) -> None:
    if isinstance(x, Tracer) or _sound(x.data if is_sparse(x) else x):
        return
    if is_sparse(x):
        good = np.ones(x.shape[0], bool)
        good[np.repeat(np.arange(len(good)), np.diff(x.indptr))[~(abs(x.data) <= LARGEST)]] = False
    else:
        good = np.asarray((abs(x) <= LARGEST).all(axis=1))
    raise ValueError(
        f"The {name} holds NaN or infinity, or numbers beyond {LARGEST:g}, in {len(good) - good.sum()} of {len(good)} "
        f"samples, first in sample {good.argmin()}; remove or replace them, or divide the input by its size."
    )


def _sound(x: jax.Array | np.ndarray) -> bool:
    """Whether all numbers are finite and so small that their squares are, too. NaN is within no bounds."""
    return x.size == 0 or bool(x.min() >= -LARGEST and x.max() <= LARGEST)


def count_samples(x: Inputs) -> int:
    """Return the number of samples in an input that `check_inputs` has accepted."""
    return np.shape(jax.tree.leaves(x)[0])[0]
