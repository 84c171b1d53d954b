"""The exact fixed point of linear networks, by one solve."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..activation import Linear
from ..energy import Activities
from ._problem import Problem
from ._solver import Solver
from ._spectrum import EXPLICIT_SIZE, curvature_matrices


class Direct(Solver):
    """Solve ``L r = W x`` for linear units: one step, whatever the input.

    The matrix of every block of neurons that interact is the same for all samples, so that it is factorised once
    a batch. It may have at most 512 neurons.

    Parameters
    ----------
    max_steps : int
        Steps after which a sample counts as not converged; more than one only refines rounding errors.
    check_every : int
        Steps between two measurements of the residual.

    Raises
    ------
    ValueError
        While relaxing, if a unit is not linear or a block is too large.

    References
    ----------
    Equation (4) of ``docs/mathematics.md`` at rest, f(u) = u.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(8, [sm.Layer(units=3, activation="linear")])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8)), solver=sm.Direct())
    >>> int(out.steps.max())
    1
    """

    max_steps: int = eqx.field(static=True, default=5)
    check_every: int = eqx.field(static=True, default=1)

    def prepare(self, problem: Problem) -> tuple[Float[Array, "blocks neurons neurons"], Int[Array, "blocks neurons"]]:
        """Factors of the curvature of every block."""
        for name, activation in problem.activations.items():
            if not isinstance(activation, Linear):
                raise ValueError(
                    f"The solver Direct is for linear units, but population {name!r} is of kind "
                    f"{type(activation).__name__}; use sm.Accelerated."
                )
        size = sum(problem.sizes.values()) // problem.blocks
        if size > EXPLICIT_SIZE:
            raise ValueError(
                f"The solver Direct takes blocks of at most {EXPLICIT_SIZE} neurons, but {size} interact here; "
                "use sm.Accelerated."
            )
        return jax.vmap(jax.scipy.linalg.lu_factor)(curvature_matrices(problem))

    def init(self, problem: Problem, potentials: Activities) -> Activities:
        return potentials

    def step(self, problem: Problem, prepared: tuple, state: Activities) -> Activities:
        force = problem.force(state)
        samples = next(iter(state.values())).shape[-1]
        stacked = jnp.concatenate([force[name].reshape(problem.blocks, -1, samples) for name in state], axis=1)
        change = jax.vmap(jax.scipy.linalg.lu_solve)(prepared, stacked)
        new, start = {}, 0
        for name, u in state.items():
            own = problem.sizes[name] // problem.blocks
            new[name] = u + change[:, start : start + own].reshape(u.shape)
            start += own
        return new

    def potentials(self, state: Activities) -> Activities:
        return state
