"""The published dynamics: explicit Euler steps of equation (10)."""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..network import Activities
from ._iteration import Iteration
from ._problem import Problem
from ._settings import count_field, length_field
from ._solver import Solver


@final
class Euler(Iteration):
    """Explicit Euler steps of ``tau du/ds = -u + W x - (L - I) r + ...``, whose length decreases.

    The defaults are the published schedule: steps of length ``max(0.2 / (1 + 0.005 n), 0.05)``, at most 3000. This
    solver is a reference; the others are much faster (section 6 of ``docs/mathematics.md``).

    Parameters
    ----------
    step_size, decay, smallest : float
        Step n has length ``max(step_size / (1 + decay n), smallest)``, in units of tau; `step_size` above 0, the others
        at least 0. Too long steps, above 2 over the largest curvature of the energy, diverge.
    max_steps : int
        Largest number of steps, at least 1; a sample that has not converged by then gets the status MAX_STEPS.
    check_every : int
        Steps between two measurements of the residual, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equation (10) and section 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Euler().max_steps
    3000
    """

    step_size: float = length_field("The step size", 0.2, above=0)
    decay: float = length_field("The decay of the step size", 0.005, least=0)
    smallest: float = length_field("The smallest step size", 0.05, least=0)
    max_steps: int = count_field("max_steps", 3000)
    check_every: int = count_field("check_every", 10)

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


def shorter(solver: Solver | None) -> str:
    """Advice, for a list of remedies, if activities may have diverged because the steps of a solver are too long.

    Parameters
    ----------
    solver : Solver or None

    Returns
    -------
    str
        Empty for other solvers than `Euler`.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.relaxation import shorter
    >>> shorter(sm.Euler()), shorter(None)
    (', or shorter steps of Euler, or the default solver', '')
    """
    return ", or shorter steps of Euler, or the default solver" if isinstance(solver, Euler) else ""
