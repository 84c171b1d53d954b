"""Arithmetic that a training step cannot do without, and the rate at which this machine multiplies matrices.

Necessary for one image are

- 2 operations a synapse for the drive of settled populations (the input), once;
- 2 a lateral synapse for every solver step, and 4 a synapse between two populations that relax together, whose weights
  carry the drive up and the feedback down;
- 2 a synapse for plasticity.

Nothing else counts: no padding, no elementwise function, no residual, no product that is done twice.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import simatch as sm

SIDE = 2048


def necessary(net: sm.Network, steps: float, *, learning: bool) -> float:
    """Floating-point operations for one image that takes `steps` solver steps, with or without plasticity.

    Raises
    ------
    ValueError
        If the network relaxes in several stages, whose steps the library reports as one sum.
    """
    if len(net.stages) > 1:
        raise ValueError(f"Steps of {len(net.stages)} stages cannot be told apart; measure networks of one stage.")
    total = 0.0
    for p in net.pathways:
        synapses = p.connectivity.synapses
        if p.pre in net.inputs:
            total += 2 * synapses
        else:
            total += (2 if p.pre == p.post else 4) * synapses * steps
        total += 2 * synapses * learning
    return total


def products() -> dict[str, Callable[[], object]]:
    """Return the matrix products that define the machine's rate, to be timed in turn with a row."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    on_device, product = (jnp.asarray(a), jnp.asarray(b)), jax.jit(jnp.matmul)
    return {"numpy product": lambda: a @ b, "jax product": lambda: product(*on_device).block_until_ready()}


def product_rate(seconds: dict[str, float]) -> float:
    """Operations a second of the faster product, given the seconds of each."""
    return 2 * SIDE**3 / min(seconds[name] for name in ("numpy product", "jax product"))
