"""The published dynamics: explicit Euler steps of equation (10)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..network import Activities
from ._iteration import Iteration
from ._problem import Problem


@final
class Euler(Iteration):
    """Explicit Euler steps of ``tau du/ds = -u + W x - (L - I) r + ...`` with a decreasing step.

    The published schedule is the default: steps of ``max(0.2 / (1 + 0.005 n), 0.05)``, at most 3000. It is
    the reference, not the fast way (section 6 of the mathematics).

    Parameters
    ----------
    step_size, decay, smallest : float
        Step n has length ``max(step_size / (1 + decay n), smallest)``, in units of tau.
    max_steps : int
        Steps after which a sample counts as not converged.
    check_every : int
        Steps between two measurements of the residual.

    References
    ----------
    Equation (10) and section 4 of ``docs/mathematics.md``.
    """

    step_size: float = 0.2
    decay: float = 0.005
    smallest: float = 0.05
    max_steps: int = eqx.field(static=True, default=3000)
    check_every: int = eqx.field(static=True, default=10)

    def begin(
        self, problem: Problem, prepared: None, potentials: Activities
    ) -> tuple[Activities, Int[Array, " samples"]]:
        samples = next(iter(potentials.values())).shape[-1]
        return potentials, jnp.zeros(samples, jnp.int32)

    def step(
        self, problem: Problem, prepared: None, state: tuple[Activities, Int[Array, " samples"]]
    ) -> tuple[Activities, Int[Array, " samples"]]:
        u, n = state
        length: Float[Array, " samples"] = jnp.maximum(self.step_size / (1 + self.decay * n), self.smallest)
        r = problem.activities(u)
        current = jax.tree.map(jnp.add, r, problem.force(r))
        u = jax.tree.map(lambda u, c: u + length.astype(u.dtype) * (c - u), u, current)
        return u, n + 1

    def potentials(self, state: tuple[Activities, Int[Array, " samples"]]) -> Activities:
        return state[0]
