"""The fixed point of linear units, by one linear solve."""

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from ..network import Linear
from ._problem import Problem
from ._solver import Settled, Status

# Smaller blocks are inverted in native code, many at a time; larger matrices take too long to factorise in every batch.
_SMALLEST, _LARGEST = 17, 512


def solvable(problem: Problem) -> bool:
    """Whether the fixed point is the solution of one system of linear equations of moderate size for each block."""
    return (
        len(problem.sizes) == 1
        and problem.affine
        and _SMALLEST <= problem.block_size <= _LARGEST
        and all(isinstance(f, Linear) for f in problem.activations.values())
    )


def solve_directly(problem: Problem, tolerance: Float[Array, ""]) -> Settled:
    """Solve ``curvature(r) = drive`` for a problem that is `solvable`.

    If the curvature is not positive definite, the energy has no minimum: its Cholesky factor is NaN, and all samples
    have the status DIVERGED.
    """
    ((name, drive),) = problem.drive.items()
    matrices = problem.matrices()
    columns = drive.reshape(problem.blocks, problem.block_size, -1)
    activities = cho_solve((jnp.linalg.cholesky(matrices), True), columns)
    defect = columns - matrices @ activities
    size = jnp.sum(activities**2, axis=(0, 1))
    residual = jnp.sqrt(jnp.sum(defect**2, axis=(0, 1)) / jnp.where(size > 0, size, 1))
    status = jnp.where(residual <= tolerance, Status.CONVERGED, Status.MAX_STEPS)
    found = {name: activities.reshape(drive.shape)}
    return Settled(
        found if problem.potentials else {},
        found,
        residual,
        jnp.ones(drive.shape[-1], jnp.int32),
        jnp.where(jnp.isfinite(residual) & (size < 1e24), status, Status.DIVERGED),
    )
