"""Activities of many samples, batch by batch."""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ._inputs import Inputs, clamp
from .network import Network
from .relaxation import ConvergenceWarning, Solver, Status
from .relaxation._relax import _settle_jit


def encode(
    net: Network,
    x: Inputs,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int = 500,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
) -> Float[np.ndarray, "samples features"]:
    """Activities as features, one row for each sample.

    Parameters
    ----------
    net : Network
    x : array of samples, or a dict of them
    layers : sequence of str, optional
        Populations whose activities are concatenated; by default the last one.
    batch_size : int
        Samples that relax together.
    solver, tolerance
        See `simatch.relax`.

    Returns
    -------
    array of shape (samples, features)

    Warns
    -----
    ConvergenceWarning
        If some samples did not converge.

    Raises
    ------
    ValueError
        If the input does not fit, or there is no such layer.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> sm.encode(net, jax.random.normal(jax.random.key(0), (7, 8, 8)), batch_size=5).shape
    (7, 64)
    """
    layers = net.layers[-1:] if layers is None else tuple(layers)
    for name in layers:
        if name not in net.layers:
            raise ValueError(f"There is no layer {name!r}; there are {', '.join(map(repr, net.layers))}.")
    inputs = {name: np.asarray(r) for name, r in clamp(net, x).items()}
    count = next(iter(inputs.values())).shape[-1]
    sizes = [net.populations[name].grid.size for name in layers]
    features = np.empty((count, sum(sizes)), next(iter(inputs.values())).dtype)
    missed = 0
    for start in range(0, count, batch_size):
        # The last batch is filled up with its own last sample: one shape, one compiled program.
        chosen = np.minimum(np.arange(start, start + min(batch_size, count)), count - 1)
        batch = {name: jnp.asarray(r[:, chosen]) for name, r in inputs.items()}
        out = _settle_jit(net, batch, solver, jnp.asarray(tolerance))
        real = min(batch_size, count - start)
        rows = np.concatenate([np.asarray(out.states[name]) for name in layers])
        features[start : start + real] = rows[:, :real].T
        missed += int(np.sum(jax.device_get(out.status)[:real] != Status.CONVERGED))
    if missed:
        warnings.warn(
            f"{missed} of {count} samples did not converge; raise the solver's max_steps or the tolerance.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return features
