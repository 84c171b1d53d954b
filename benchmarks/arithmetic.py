"""Arithmetic that a training step cannot do without, and the rate at which this machine multiplies matrices.

Necessary for one image are

- 2 operations a synapse for the drive of settled populations (the input), once;
- for every solver step, 2 a lateral synapse, and 4 a synapse between two populations that relax together, whose weights
  carry the drive up and the feedback down; for a step of Newton's method in a block of n neurons, ``n^3/3`` for the
  factors and 2 n^2 for the two triangular solves besides;
- 2 a synapse for plasticity.

Blocks that settle for themselves take steps of their own, and each counts with its own. Nothing else counts: no
padding, no elementwise function, no residual, no inverse that serves all images, no step of a block that is done or of
a sample that waits for others.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import simatch as sm
from simatch._native import NEWTON_SIZE
from simatch.network import Activities
from simatch.relaxation import Problem, check_inputs, stage_problem
from simatch.relaxation._blocks import settle_blocks, suits

SIDE = 2048


def necessary(net: sm.Network, steps: float, *, learning: bool) -> float:
    """Floating-point operations for one image that takes `steps` solver steps, with or without plasticity.

    Raises
    ------
    ValueError
        If the network relaxes in several stages, whose steps the library reports as one sum.
    """
    problem = _problem(net, 1)
    newton = suits(problem) and problem.block_size <= NEWTON_SIZE
    n = problem.block_size
    total = problem.blocks * (n**3 / 3 + 2 * n**2) * steps if newton else 0.0
    for p in net.pathways:
        synapses = p.connectivity.synapses
        if p.pre in net.inputs:
            total += 2 * synapses
        else:
            total += (2 if p.pre == p.post else 4) * synapses * steps
        total += 2 * synapses * learning
    return total


def mean_steps(net: sm.Network, x: np.ndarray, tolerance: float) -> float:
    """Solver steps, mean over images and over blocks that settle for themselves."""
    inputs = check_inputs(net, x)
    problem = _problem(net, len(x), inputs)
    if not suits(problem):
        return float(np.mean(sm.relax(net, x, tolerance=tolerance).steps))
    _, _, steps, _, _ = settle_blocks(problem, None, jnp.asarray(tolerance), max_steps=1000)
    return float(np.mean(steps))


def _problem(net: sm.Network, samples: int, inputs: Activities | None = None) -> Problem:
    if len(net.stages()) > 1:
        raise ValueError(f"Steps of {len(net.stages())} stages cannot be told apart; measure networks of one stage.")
    silent = {name: jnp.zeros((net.populations[name].grid.size, samples)) for name in net.inputs}
    return stage_problem(net, net.layers, inputs or silent)


def products() -> dict[str, Callable[[], object]]:
    """Return the matrix products that define the machine's rate, to be timed in turn with a row."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    on_device, product = (jnp.asarray(a), jnp.asarray(b)), jax.jit(jnp.matmul)
    return {"numpy product": lambda: a @ b, "jax product": lambda: product(*on_device).block_until_ready()}


def product_rate(seconds: dict[str, float]) -> float:
    """Operations a second of the faster product, given the seconds of each."""
    return 2 * SIDE**3 / min(seconds[name] for name in ("numpy product", "jax product"))
