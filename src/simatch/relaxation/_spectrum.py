"""Largest eigenvalue of the curvature of a stage's energy, which limits the length of gradient steps."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..network import Activities
from ._problem import Problem

# Blocks up to this size are written out as matrices; for larger ones power iteration estimates the eigenvalue.
EXPLICIT_SIZE = 512


def largest_eigenvalue(problem: Problem) -> Float[Array, "blocks 1"]:
    """Bound on the largest eigenvalue of the curvature in magnitude, for every block.

    For small blocks it is the guaranteed bound ``|M^16|_F^(1/16)``, too large by a factor of at most ``n^(1/32)``. For
    large blocks it is an estimate: the largest result of several power iterations, which approach the eigenvalue from
    below, plus 10 %.
    """
    # Matrices that are not stored are first computed, by as many products as they have columns.
    largest = EXPLICIT_SIZE if problem.stored is not None else EXPLICIT_SIZE // 4
    return _explicit(problem) if problem.block_size <= largest else _power_iteration(problem)


def _explicit(problem: Problem) -> Float[Array, "blocks 1"]:
    matrices = problem.matrices()
    tiny = jnp.finfo(matrices.dtype).tiny
    logarithm = jnp.zeros(problem.blocks, matrices.dtype)
    for power in (1, 2, 4, 8, 16):
        norm = jnp.maximum(jnp.linalg.norm(matrices, axis=(1, 2)), tiny)
        logarithm = logarithm + jnp.log(norm) / power
        matrices = matrices / norm[:, None, None]
        if power < 16:
            matrices = matrices @ matrices
    return jnp.exp(logarithm)[:, None]


def _power_iteration(problem: Problem, starts: int = 4, steps: int = 24) -> Float[Array, "blocks 1"]:
    rng = np.random.default_rng(0)
    v = {name: jnp.asarray(rng.standard_normal((size, starts)), float) for name, size in problem.sizes.items()}

    def normalised(v: Activities) -> tuple[Activities, Float[Array, "blocks starts"]]:
        norm = jnp.sqrt(problem.inner(v, v))
        scaled = problem.spread(1 / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        return jax.tree.map(jnp.multiply, v, scaled), norm

    def power(_, pair):
        return normalised(problem.curvature(pair[0]))

    _, norm = jax.lax.fori_loop(0, steps, power, normalised(v))
    return 1.1 * jnp.max(norm, axis=1, keepdims=True)
