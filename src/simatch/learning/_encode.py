"""Features of many samples, computed batch by batch."""

import warnings
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float

from .._arrays import is_traced
from .._checks import whole
from ..network import Network, in_default_precision
from ..relaxation import (
    INPUTS_CLAMPED,
    ConvergenceWarning,
    Inputs,
    Phase,
    Solver,
    Status,
    check_solving,
    check_values,
    columns_of,
    count_samples,
    is_stored,
    rows_of,
    rowwise,
    settle,
    shaped,
)
from ._devices import BATCH, batch_mesh, own_share, replicated, spread

# Fewest and most samples that relax together by default, and the largest number of their inputs and activities.
FEWEST, MOST, LARGEST = 16, 512, 1 << 22


def encode(
    net: Network,
    x: Inputs,
    *,
    layers: str | Sequence[str] | None = None,
    phase: Phase | None = None,
    batch_size: int | None = None,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    mesh: Mesh | None = None,
    out: np.ndarray | None = None,
) -> Float[np.ndarray, "samples features"]:
    """Return settled activities as features, one row for each sample.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), or whatever else `simatch.relax` takes
        Arrays larger than memory included (``docs/data.md``).
    layers : str or sequence of str, optional
        Names of the populations whose activities are concatenated, in this order; by default the last population that
        relaxes.
    phase : Phase, optional
        Clamped populations and other conditions; by default all populations without activation are clamped.
    batch_size : int, optional
        Samples that relax together, at least 1; by default between 16 and 512 on each device, depending on the size of
        the network.
    solver, tolerance
        See `simatch.relax`.
    mesh : jax.sharding.Mesh, optional
        Devices over which the samples of every batch are spread; `batch_size` counts the samples on all of them.
        In a run of several processes each encodes its own samples, on its own devices of the mesh.
    out : array of shape (samples, features), optional
        Floating-point array that receives the features, such as a part of a larger array or a `numpy.memmap`; by
        default a new array.

    Returns
    -------
    array of shape (samples, features)
        `out`, if it was given.

    Warns
    -----
    ConvergenceWarning
        If some samples did not converge.

    Raises
    ------
    ValueError
        If the input does not fit, if a setting is out of range, if a layer does not exist or does not relax, if the
        batch size is not a multiple of the number of devices of the mesh, if `out` is not a floating-point array of the
        right shape, or inside ``jax.jit`` or ``jax.grad``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> sm.encode(net, jax.random.normal(jax.random.key(0), (7, 8, 8)), batch_size=5).shape
    (7, 64)
    """
    net, phase = in_default_precision(net), phase or INPUTS_CLAMPED
    tolerance = check_solving(solver, tolerance)
    batch_size = None if batch_size is None else whole(batch_size, "The batch size")
    relaxing = phase.relaxing(net)
    layers = relaxing[-1:] if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    for name in layers:
        if name not in relaxing:
            raise ValueError(f"There is no layer {name!r}; there are {', '.join(map(repr, relaxing))}.")
    inputs = shaped(net, x, [phase])
    if is_traced(net, inputs):
        raise ValueError(
            "encode computes features batch by batch, which cannot be compiled or differentiated; inside jax.jit or "
            "jax.grad use relax."
        )
    inputs = {name: np.asarray(r) if isinstance(r, jax.Array) else r for name, r in inputs.items()}
    for name, r in inputs.items():
        if not is_stored(r):  # what is stored is read once, and checked then
            check_values(r, name)
    count = count_samples(inputs)
    shape = (count, sum(net.populations[name].grid.size for name in layers))
    if out is not None and not (isinstance(out, np.ndarray) and out.shape == shape and out.dtype.kind == "f"):
        raise ValueError(
            f"The features need a floating-point array of shape {shape}, but `out` is {_described(out)}; pass an array "
            "of this shape, or no `out`."
        )
    features = np.empty(shape, jnp.result_type(float)) if out is None else out
    if batch_size is None:
        batch_size = samples_at_once(net) * (1 if mesh is None else mesh.size)
    if mesh is not None:
        batch_size, mesh = own_share(batch_size, mesh), batch_mesh(mesh, local=True)
        net = replicated(net, mesh)
    devices = 1 if mesh is None else mesh.size
    # Few samples are filled up to a power of two, so that few compiled programs serve all numbers of samples.
    size = min(batch_size, devices << (-(-count // devices) - 1).bit_length())
    missed, allowed = 0, np.asarray(tolerance, jnp.result_type(float))
    for start in range(0, count, batch_size):
        # The last sample fills up the last batch.
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        batch = {}
        for name, r in inputs.items():
            own = rowwise(rows_of(r, chosen))
            if is_stored(r):
                check_values(own, name, chosen)
            batch[name] = columns_of(own)
        if mesh is not None:
            batch = spread(batch, mesh)
        states, status = _settle_batch(net, batch, layers, phase, solver, allowed, mesh)
        real = min(batch_size, count - start)
        _turn(states, features[start : start + real])
        missed += int(np.sum(np.asarray(status)[:real] >= Status.MAX_STEPS))
    if missed:
        warnings.warn(
            f"{missed} of {count} samples did not converge; raise the solver's max_steps or the tolerance.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return features


def _described(out: object) -> str:
    return f"of type {out.dtype} and shape {out.shape}" if isinstance(out, np.ndarray) else f"a {type(out).__name__}"


def samples_at_once(net: Network) -> int:
    """Return how many samples to relax together: a power of two between 16 and 512.

    If more than 16, their inputs and activities take at most 16 MB in single precision. Larger arrays get new memory
    from the system at every call, which takes longer than filling them.

    Parameters
    ----------
    net : Network

    Returns
    -------
    int

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import samples_at_once
    >>> samples_at_once(sm.layered(10, [sm.Layer(units=2)])), samples_at_once(sm.layered(100_000, [sm.Layer(units=2)]))
    (512, 32)
    """
    fitting = LARGEST // sum(population.grid.size for population in net.populations.values())
    return min(max(1 << fitting.bit_length() >> 1, FEWEST), MOST)


def _turn(states: Sequence[Float[Array, "_ size"]], rows: Float[np.ndarray, "samples features"]) -> None:
    """Write the activities of layers, one layer after the other, to the rows of their samples."""
    begin = 0
    for own in map(np.asarray, states):
        # 256 neurons at a time, so that the cache lines that are read stay in the cache until they are used up.
        for first in range(0, len(own), 256):
            part = own[first : first + 256]
            rows[:, begin + first : begin + first + len(part)] = part[:, : len(rows)].T
        begin += len(own)


@eqx.filter_jit
def _settle_batch(
    net: Network,
    batch: Mapping[str, Float[np.ndarray | Array, "_ samples"]],
    layers: tuple[str, ...],
    phase: Phase,
    solver: Solver | None,
    tolerance: Float[np.ndarray | Array, ""],
    mesh: Mesh | None,
):
    """Relax a batch and return the activities of layers and the status; each device relaxes its share on its own.

    Arrays of NumPy take less time to pass than to place on a device.
    """

    def settle_share(share):
        share, allowed = jax.tree.map(jnp.asarray, (share, tolerance))
        out = settle(net, share, solver, allowed, phase=phase)
        return [out.states[name] for name in layers], out.status

    if mesh is None:
        return settle_share(batch)
    return jax.shard_map(
        settle_share, mesh=mesh, in_specs=P(None, BATCH), out_specs=(P(None, BATCH), P(BATCH)), check_vma=False
    )(batch)
