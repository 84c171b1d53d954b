"""The fixed point of linear units, by one linear solve."""

from typing import final

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from ..network import Activities, Linear
from ._problem import Problem
from ._settings import count_field
from ._solver import Settled, Solver, Status

# Smaller blocks are inverted in native code, many at a time; larger matrices take too long to factorise in every batch.
_SMALLEST, _LARGEST = 17, 512
# Samples a unit from which the inverse pays: 2 to 17 times as fast as triangular solves.
_MANY = 2


@final
class Direct(Solver):
    """One factorisation a batch, for linear units of a single population, of any number.

    `simatch.Blockwise` does the same for blocks of up to 512 units; larger ones it leaves to iteration, which is faster
    if few samples relax together or the matrix is well conditioned. Lateral synapses with a leak far below their
    eigenvalues are neither: then this solver is the faster one.

    Parameters
    ----------
    max_steps : int
        At least 1; the solve is one step.

    Raises
    ------
    ValueError
        When it is used, if several populations relax together, some unit is not linear, or an energy not quadratic.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(3, [sm.Layer(units=2, activation="linear")])
    >>> bool(sm.relax(net, np.ones((1, 3)), solver=sm.Direct()).converged.all())
    True
    """

    max_steps: int = count_field("max_steps", 1)

    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        if not _linear(problem):
            raise ValueError(
                f"A direct solve is for one population of linear units with a quadratic energy, not for "
                f"{', '.join(map(repr, problem.sizes))}; take the default solver."
            )
        return solve_directly(problem, tolerance)


def solvable(problem: Problem) -> bool:
    """Whether the fixed point is the solution of one system of linear equations of moderate size for each block."""
    return _SMALLEST <= problem.block_size <= _LARGEST and _linear(problem)


def _linear(problem: Problem) -> bool:
    linear = all(isinstance(f, Linear) for f in problem.activations.values())
    return len(problem.sizes) == 1 and problem.affine and linear


def solve_directly(problem: Problem, tolerance: Float[Array, ""]) -> Settled:
    """Solve ``curvature(r) = drive`` for a problem of linear units.

    If the curvature is not positive definite, the energy has no minimum: its Cholesky factor is NaN, and all samples
    have the status DIVERGED.
    """
    ((name, drive),) = problem.drive.items()
    matrices = problem.matrices()
    columns = drive.reshape(problem.blocks, problem.block_size, -1)
    activities = _solved(matrices, columns)
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


def _solved(
    matrices: Float[Array, "blocks units units"], columns: Float[Array, "blocks units samples"]
) -> Float[Array, "blocks units samples"]:
    """Solve for all samples, by the inverse if they are many: products are faster than triangular solves."""
    factors = (jnp.linalg.cholesky(matrices), True)
    if columns.shape[-1] < _MANY * columns.shape[-2]:
        return cho_solve(factors, columns)
    inverse = cho_solve(factors, jnp.broadcast_to(jnp.eye(matrices.shape[-1], dtype=matrices.dtype), matrices.shape))
    activities = inverse @ columns
    # The error of an inverse grows with the condition of its matrix; a second step takes it away.
    return activities + inverse @ (columns - matrices @ activities)
