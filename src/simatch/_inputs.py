"""From what a user passes as input to the engine's layout, with every check in one place."""

from collections.abc import Mapping
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .energy import Activities
from .grid import Grid
from .network import Network

Samples = jax.Array | np.ndarray
Inputs = Samples | Mapping[str, Samples]


def is_input(x: object) -> TypeGuard[Inputs]:
    """Whether `x` is one input of many samples, rather than a stream of them."""
    return isinstance(x, jax.Array | np.ndarray | Mapping)


def clamp(net: Network, x: Inputs) -> Activities:
    """Check input and return it as ``(neurons, samples)`` arrays, one for each input population.

    Raises
    ------
    ValueError
        If an input is missing, has the wrong shape, is empty, or holds NaN or infinity.
    """
    return {name: jnp.asarray(r.T) for name, r in checked(net, x).items()}


def checked(net: Network, x: Inputs) -> dict[str, Samples]:
    """Check input and return it as ``(samples, neurons)`` arrays, where it is and without a copy if that may be."""
    if not isinstance(x, Mapping):
        if len(net.inputs) > 1:
            raise ValueError(
                f"The network has {len(net.inputs)} inputs ({', '.join(map(repr, net.inputs))}); "
                "pass a dict from their names to arrays."
            )
        x = dict.fromkeys(net.inputs, x)
    if set(x) != set(net.inputs):
        raise ValueError(
            f"The network's inputs are {', '.join(map(repr, net.inputs))}, but arrays were given for "
            f"{', '.join(map(repr, x)) or 'none'}."
        )
    inputs = {name: _flat_samples(x[name], net.populations[name].grid, name) for name in net.inputs}
    counts = {name: len(r) for name, r in inputs.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"All inputs need the same number of samples, got {counts}.")
    return inputs


def _flat_samples(x: Samples, grid: Grid, name: str) -> Samples:
    """Check one input array and return it as ``(samples, neurons)``."""
    if not isinstance(x, jax.Array):
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise ValueError(f"The {name} must be an array of real numbers, got one of type {x.dtype}.")
    accepted = [grid.shape, (grid.size,)] + ([grid.shape[:2]] if grid.units == 1 else [])
    if x.ndim == 0 or x.shape[1:] not in accepted:
        wanted = " or ".join(str(("batch", *shape)).replace("'", "") for shape in dict.fromkeys(accepted))
        hint = " A single sample needs a batch axis: x[None]." if x.shape in accepted else ""
        raise ValueError(f"The {name} has shape {tuple(x.shape)}, but the network expects {wanted}.{hint}")
    if not x.shape[0]:
        raise ValueError(f"The {name} holds no samples (shape {tuple(x.shape)}); pass at least one.")
    x = x.reshape(x.shape[0], grid.size).astype(jnp.result_type(float), copy=False)
    if not isinstance(x, Tracer):
        xp = jnp if isinstance(x, jax.Array) else np
        finite = np.asarray(xp.isfinite(x).all(axis=1))
        if not finite.all():
            raise ValueError(
                f"The {name} holds NaN or infinity in {len(x) - finite.sum()} of {len(x)} samples, first in sample "
                f"{finite.argmin()}; remove or replace them."
            )
    return x


def count_samples(x: Inputs) -> int:
    """Return the number of samples in an input that `clamp` has accepted."""
    return len(jax.tree.leaves(x)[0])
