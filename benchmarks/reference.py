"""Activities to far more digits than anything that is timed: what true errors are measured against."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import simatch as sm

Rows = Float[np.ndarray, "samples neurons"]


def float64(net: sm.Network) -> sm.Network:
    """Return the same network in double precision; call it under ``jax.enable_x64(True)``."""
    return jax.tree.map(lambda a: a.astype(float) if jnp.issubdtype(a.dtype, jnp.floating) else a, net)


def solution(net: sm.Network, x: np.ndarray, tolerance: float = 1e-10) -> Rows:
    """Activities of all layers at the fixed point, in double precision, by the library's own JAX solver.

    Warns
    -----
    ConvergenceWarning
        If some image did not get there.
    """
    with jax.enable_x64(True):
        out = sm.relax(float64(net), x, solver=sm.Accelerated(max_steps=20_000), tolerance=tolerance)
        return rows(out, net)


def rows(out: sm.Relaxation, net: sm.Network) -> Rows:
    """Activities of all layers, one row an image, in double precision."""
    return np.concatenate([np.asarray(out.states[name], float) for name in net.layers]).T


def relative_error(r: Rows, truth: Rows) -> Float[np.ndarray, " samples"]:
    """``|r - r*| / |r*|`` of every image."""
    return np.linalg.norm(r - truth, axis=1) / np.linalg.norm(truth, axis=1)
