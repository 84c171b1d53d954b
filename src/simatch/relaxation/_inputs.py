"""Checks of the input of a network, and its conversion to the engine's layout."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from .._processes import check_process
from ..network import Activities, Grid, Network
from ._arrays import Inputs, Samples, aligned, arrays, dense, is_array, is_sparse, is_stored
from ._phase import DEFAULT, Phase, entries_in

LARGEST = 1e18
"""Largest number in an input: its square is finite in single precision."""
# Numbers that are checked at a time: few, so that they are still in the cache for the second look.
_AT_ONCE = 1 << 18
# Likewise for arrays that are read from a file, which should be asked rarely.
_STORED = 1 << 22


def check_inputs(
    net: Network,
    x: Inputs,
    phases: Sequence[Phase] = DEFAULT,
    others: Sequence[str] = (),
    numbers: np.ndarray | None = None,
) -> Activities:
    """Check the input and return its entries as ``(neurons, samples)`` arrays.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), or dict from entries to such arrays
        The entries that the phases clamp, and those in `others`; one array stands for a single entry. See `arrays`.
    phases : sequence of Phase
        By default the one in which all inputs are clamped.
    others : sequence of str
        Further entries, such as those that a rule reads.
    numbers : int array of shape (samples,), optional
        Numbers of the samples in the user's data, for messages.

    Returns
    -------
    dict of str to array of shape (neurons, samples)

    Raises
    ------
    ValueError
        If an entry is missing or unknown, has the wrong shape or type, is empty, or holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.relaxation import check_inputs
    >>> check_inputs(sm.layered(4, [sm.Layer(units=2)]), np.zeros((3, 4)))["input"].shape
    (4, 3)
    """
    entries = checked(net, x, phases, others, numbers)
    return jax.device_put({name: columns_of(_in_memory(r)) for name, r in entries.items()})


def checked(
    net: Network,
    x: Inputs,
    phases: Sequence[Phase] = DEFAULT,
    others: Sequence[str] = (),
    numbers: np.ndarray | None = None,
) -> dict[str, Samples]:
    """Check the input as `check_inputs` does and return the array of every entry, in the layout and type of the user.

    Arrays are read some samples at a time, so that a check takes no memory.

    Parameters
    ----------
    net, x, phases, others, numbers
        As in `check_inputs`.

    Returns
    -------
    dict of str to array of shape (samples, ...)

    Raises
    ------
    ValueError
        As `check_inputs`.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.relaxation import checked, shaped
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> checked(net, np.zeros((3, 4)))["input"].shape, shaped(net, np.full((3, 4), np.nan))["input"].shape
    ((3, 4), (3, 4))
    """
    entries = shaped(net, x, phases, others)
    for name, r in entries.items():
        check_values(r, name, numbers)
    return entries


def is_input(net: Network, x: Any, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()) -> bool:
    """Whether `x` is one input of many samples, rather than an iterable of batches.

    A list is one input if its items are samples; if their shape allows both, they are batches.

    Parameters
    ----------
    net, phases, others
        As in `check_inputs`.
    x : object
        What a user passed.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.relaxation import is_input
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> is_input(net, np.zeros((3, 4))), is_input(net, [np.zeros((3, 4)), np.zeros((2, 4))])
    (True, False)
    """
    if isinstance(x, Mapping) or is_array(x):
        return True
    if isinstance(x, str | bytes) or not isinstance(x, Iterable):
        raise ValueError(
            "Learning needs an array, a list of rows, a table, a dict of these, or an iterable of batches, but x is of "
            f"type {type(x).__name__}."
        )
    entries = _entries(net, phases, others)
    if not isinstance(x, list | tuple) or not x or len(entries) > 1:
        return False
    (grid,) = entries.values()
    return not (isinstance(x[0], Mapping) or _without_labels(x[0], grid)[1] or _is_batch(x[0], grid))


def batch_reader(net: Network, phases: Sequence[Phase], others: Sequence[str]) -> Callable[[Any], tuple[Inputs, bool]]:
    """Return the function that converts an item of an iterable of batches to an array, or a dict of arrays.

    Parameters
    ----------
    net : Network
    phases : sequence of Phase
        Those in which the network relaxes; they say which entries a batch has.
    others : sequence of str
        Further entries, such as those that a rule reads.

    Returns
    -------
    callable
        Function from an item to the input and a bool: whether there was more in the item, as a loader of labelled data
        yields pairs (x, y). It raises ValueError if a batch of several entries is no dict.

    Raises
    ------
    ValueError
        If the phases do not fit the network.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.relaxation import batch_reader
    >>> read = batch_reader(sm.layered(4, [sm.Layer(units=2)]), [sm.Phase()], [])
    >>> x, more = read((np.zeros((3, 4)), np.zeros(3)))
    >>> x.shape, more
    ((3, 4), True)
    """
    entries = _entries(net, phases, others)
    grid = next(iter(entries.values()))

    def read(item: Any) -> tuple[Inputs, bool]:
        if isinstance(item, list | tuple):
            if len(entries) > 1:
                _named(entries, item)  # raises an error that asks for a dict
            item, more = _without_labels(item, grid)
            return arrays(item), more
        return arrays(item), False

    return read


def _without_labels(item: Any, grid: Grid | None) -> tuple[Any, bool]:
    """Return the batch in an item of a loader, such as a pair (x, y), and whether there was more in it."""
    if not (isinstance(item, list | tuple) and item):
        return item, False
    first = item[0]
    if not (isinstance(first, Mapping) or _is_batch(first, grid)):
        return item, False
    # Samples in a list may look like batches: (1, 8) is an image, or a batch of one.
    shapes = {_shape(part) for part in item}
    if grid is not None and len(item) > 1 and len(shapes) == 1 and shapes <= set(_accepted(grid)):
        return item, False
    return first, len(item) > 1


def _is_batch(x: Any, grid: Grid | None) -> bool:
    """Whether something has the shape of several samples; also if it has no right shape, but more than one axis."""
    shape = _shape(x)
    if grid is None:
        return len(shape) > 1
    accepted = _accepted(grid)
    return len(shape) > 1 and (shape[1:] in accepted or shape not in accepted)


def _shape(x: Any) -> tuple[int, ...]:
    if hasattr(x, "shape"):
        return tuple(x.shape)
    try:
        return np.shape(x)
    except ValueError:  # rows of several lengths
        return ()


def shaped(
    net: Network, x: Inputs, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()
) -> dict[str, Samples]:
    """Check everything but the values, and return the array of every entry as `checked` does.

    Parameters
    ----------
    net, x, phases, others
        As in `check_inputs`.

    Returns
    -------
    dict of str to array of shape (samples, ...)

    Raises
    ------
    ValueError
        As `check_inputs`, but for values.
    """
    check_process()
    entries = _entries(net, phases, others)
    named = _named(entries, x)
    for name, part in named.items():
        _check_shape(part, entries[name], name)
    return named


def stacked(
    net: Network, group: Sequence[Inputs], most: int, phases: Sequence[Phase] = DEFAULT, others: Sequence[str] = ()
) -> dict[str, Float[jax.Array, "most _ samples"]]:
    """Check batches of one shape together and stack them as ``(neurons, samples)`` arrays.

    If there are fewer than `most` batches, the last one is repeated. Small batches are checked and moved to the device
    together, because one by one this takes longer than learning from them.

    Parameters
    ----------
    net, phases, others
        As in `check_inputs`.
    group : sequence of inputs
        At least one batch; all have the same shape.
    most : int
        Number of batches in the result, at least that of `group`.

    Returns
    -------
    dict of str to array of shape (most, neurons, samples)

    Raises
    ------
    ValueError
        As `check_inputs`.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.relaxation import stacked
    >>> x = np.zeros((3, 4))
    >>> stacked(sm.layered(4, [sm.Layer(units=2)]), [x, x], most=5)["input"].shape
    (5, 4, 3)
    """
    first, stacks = shaped(net, group[0], phases, others), {}
    try:
        stacks = {name: _stacked([_part(x, name) for x in group], most) for name in first}
        sound = all(map(_sound, stacks.values()))
    except TypeError:  # some batch does not hold real numbers
        sound = False
    if not sound:
        for x in group:
            checked(net, x, phases, others)  # raises an error that names the first bad sample of its batch
    return jax.device_put(stacks)


def _part(x: Inputs, name: str) -> jax.Array | np.ndarray:
    part = _in_memory(x[name] if isinstance(x, Mapping) else x)
    if isinstance(part, jax.Array) and jnp.issubdtype(part.dtype, jnp.complexfloating):
        raise TypeError  # which NumPy raises by itself
    return rowwise(part)


def rowwise(x: Any) -> Any:
    """Return samples as ``(samples, neurons)``.

    Parameters
    ----------
    x : array of shape (samples, ...)

    Returns
    -------
    array of shape (samples, neurons)

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import rowwise
    >>> rowwise(np.zeros((5, 2, 3))).shape
    (5, 6)
    """
    return x if x.ndim == 2 else x.reshape(x.shape[0], -1)


def columns_of(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Return samples as ``(neurons, samples)``, in JAX's default precision.

    Parameters
    ----------
    x : array of shape (samples, ...)

    Returns
    -------
    array of shape (neurons, samples)
        A copy of an array of NumPy, in memory that JAX can use on a CPU without another copy.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import columns_of
    >>> columns_of(np.zeros((5, 2, 3))).shape
    (6, 5)
    """
    rows = rowwise(x)
    if isinstance(rows, jax.Array):
        return rows.T.astype(float)
    columns = aligned(rows.shape[::-1])
    columns[...] = rows.T
    return columns


def _in_memory(x: Samples) -> jax.Array | np.ndarray:
    return np.asarray(x[:]) if is_stored(x) else dense(x)


def _stacked(parts: list[jax.Array | np.ndarray], most: int) -> jax.Array | np.ndarray:
    parts = parts + parts[-1:] * (most - len(parts))
    if any(isinstance(part, jax.Array) for part in parts):
        return jnp.stack([jnp.asarray(part, float) for part in parts]).swapaxes(1, 2)
    stack = aligned((most, *parts[0].shape[::-1]))
    np.stack(parts, out=stack.swapaxes(1, 2))
    return stack


def _entries(net: Network, phases: Sequence[Phase], others: Sequence[str]) -> dict[str, Grid | None]:
    """Entries that a batch needs, each with the grid of the population that is clamped to it, or None."""
    entries: dict[str, Grid | None] = dict.fromkeys(others)
    for phase in phases:
        for name, entry in entries_in(phase, net).items():
            grid = net.populations[name].grid if name in net.populations else None
            known = entries.get(entry)
            if known is not None and grid is not None and known.size != grid.size:
                raise ValueError(
                    f"The entry {entry!r} is for populations of {known.size} and of {grid.size} neurons; clamp them to "
                    "different entries."
                )
            entries[entry] = known or grid
    return entries


def _named(entries: Mapping[str, Grid | None], x: Any) -> dict[str, Samples]:
    """Return the array of every entry."""
    if not isinstance(x, Mapping):
        if len(entries) > 1:
            raise ValueError(
                f"A batch has {len(entries)} entries here ({', '.join(map(repr, entries))}), but one array was given; "
                "pass a dict from the names of the entries to arrays."
            )
        x = dict.fromkeys(entries, arrays(x, *entries))
    if set(x) != set(entries):
        raise ValueError(
            f"The entries of a batch are {', '.join(map(repr, entries))} here, but arrays were given for "
            f"{', '.join(map(repr, x)) or 'none'}; give one array for each entry."
        )
    x = {name: arrays(x[name], name) for name in entries}
    counts = {name: r.shape[0] for name, r in x.items() if r.shape}
    if len(set(counts.values())) > 1:
        raise ValueError(f"All entries of a batch need the same number of samples, got {counts}; give equally many.")
    return x


def _accepted(grid: Grid) -> list[tuple[int, ...]]:
    """Shapes in which a sample may come."""
    return [grid.shape, (grid.size,)] + ([grid.shape[:2]] if grid.units == 1 else [])


def _check_shape(x: Samples, grid: Grid | None, name: str) -> None:
    """Raise ValueError if the type or shape of one input array is wrong."""
    shape = tuple(x.shape)
    if not (x.dtype.kind in "fiub" or jnp.issubdtype(x.dtype, jnp.floating)):
        raise ValueError(f"The {name} must be an array of real numbers, got one of type {x.dtype}.")
    if grid is None:
        if len(shape) < 2:
            raise ValueError(f"The {name} has shape {shape}, but ('batch', 'numbers') is needed.")
    elif not shape or shape[1:] not in _accepted(grid):
        accepted = _accepted(grid)
        wanted = " or ".join(str(("batch", *own)).replace("'", "") for own in dict.fromkeys(accepted))
        hint = "; a single sample needs a batch axis: x[None]" if shape in accepted else ""
        if len(shape) == 4 and (*shape[2:], shape[1]) == grid.shape:
            hint = "; channels first? transpose with x.transpose(0, 2, 3, 1)"
        raise ValueError(f"The {name} has shape {shape}, but the network expects {wanted}{hint}.")
    if not shape[0]:
        raise ValueError(f"The {name} holds no samples (shape {shape}); pass at least one.")


def check_values(x: Samples, name: str, numbers: np.ndarray | None = None) -> None:
    """Check that an array holds no NaN, no infinity and no number beyond `LARGEST`.

    Parameters
    ----------
    x : array or sparse matrix of shape (samples, ...)
        Nothing is checked inside a compiled function, where arrays have no values yet.
    name : str
        Name of the entry, for messages.
    numbers : int array of shape (samples,), optional
        Numbers of the samples in the user's data, for messages.

    Raises
    ------
    ValueError
        If it does; the message names the first such sample.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.relaxation import check_values
    >>> check_values(np.array([[1.0], [np.nan]]), "input")
    Traceback (most recent call last):
    ValueError: The input holds NaN or infinity, or numbers beyond 1e+18, in 1 of 2 samples, first in sample 1; ...
    """
    if isinstance(x, Tracer) or x.dtype.kind in "bu" or (x.dtype.kind == "i" and x.dtype.itemsize < 8):
        return
    if is_sparse(x):
        good = np.ones(x.shape[0], bool)
        if not _sound(x.data):
            good[np.repeat(np.arange(len(good)), np.diff(x.indptr))[~(abs(x.data) <= LARGEST)]] = False
    elif isinstance(x, jax.Array):
        good = _good(x)
    else:
        good = np.concatenate([_good(part) for part in _parts(x)])
    if not good.all():
        first = good.argmin() if numbers is None else numbers[good.argmin()]
        raise ValueError(
            f"The {name} holds NaN or infinity, or numbers beyond {LARGEST:g}, in {len(good) - good.sum()} of "
            f"{len(good)} samples, first in sample {first}; remove or replace them, or divide the input by its size."
        )


def _parts(x: Any) -> Iterator[np.ndarray]:
    """Some samples after the other."""
    size = max(1, (_STORED if is_stored(x) else _AT_ONCE) // max(1, math.prod(x.shape[1:])))
    for begin in range(0, x.shape[0], size):
        yield np.asarray(x[begin : begin + size])


def _good(x: jax.Array | np.ndarray) -> np.ndarray:
    """Whether the numbers of each sample are in range."""
    if _sound(x):
        return np.ones(x.shape[0], bool)
    with np.errstate(invalid="ignore"):
        return np.asarray((abs(rowwise(x).astype(float)) <= LARGEST).all(axis=1))


def _sound(x: jax.Array | np.ndarray) -> bool:
    """Whether all numbers are finite and so small that their squares are, too. NaN is within no bounds."""
    if isinstance(x, np.ndarray) and x.dtype in (np.float32, np.float64) and x.flags.c_contiguous:
        flat = x.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if flat @ flat <= LARGEST**2:  # one pass where the bounds below take two
                return True
    return x.size == 0 or (float(x.min()) >= -LARGEST and float(x.max()) <= LARGEST)
