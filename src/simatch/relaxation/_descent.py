"""Proximal gradient descent with steps of one given length: what papers with a fixed number of steps do."""

from collections.abc import Iterable
from typing import final

import equinox as eqx
import jax.numpy as jnp

from ..network import Activities
from ._iteration import Iteration
from ._problem import Problem
from ._settings import count_field, length_field


def _names(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@final
class Descent(Iteration):
    """Gradient steps on activities, of one given length: ``r <- prox(r + step_size force(r))``.

    For bounded units whose cost F is 0 (``"clip"``, ``"relu"``), prox projects onto the bounds:
    ``r <- clip(r - step_size dE/dr)``. For ``"linear"`` units it is plain gradient descent. The solver does not adapt
    to the energy: steps above 2 over its largest curvature diverge, or are held by the bounds alone. It serves
    published settings with a fixed number of steps (`simatch.Phase`), and schedules in which populations move in turn.

    Parameters
    ----------
    step_size : float
        Length of every step, above 0.
    moving : sequence of str, optional
        Populations that move; the others stay where they are. By default all that relax.
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
    Equation (13) of ``docs/mathematics.md``; Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021), where the length is
    0.5.

    Examples
    --------
    Twenty steps of length 0.5, as a phase of a rule:

    >>> import simatch as sm
    >>> sm.Phase(steps=20, solver=sm.Descent(0.5)).steps
    20
    """

    step_size: float = length_field("The step size", 0.5, above=0)
    moving: tuple[str, ...] | None = eqx.field(static=True, default=None, converter=_names)
    max_steps: int = count_field("max_steps", 3000)
    check_every: int = count_field("check_every", 20)

    def begin(self, problem: Problem, prepared: None, potentials: Activities) -> Activities:
        return potentials

    def step(self, problem: Problem, prepared: None, state: Activities) -> Activities:
        r = problem.activities(state)
        force = problem.force(r)
        moved = {}
        for name, u in state.items():
            if self.moving is not None and name not in self.moving:
                moved[name] = u
                continue
            length = jnp.asarray(self.step_size, u.dtype)
            moved[name] = problem.activations[name].prox(r[name] + length * force[name], length)
        return moved

    def potentials(self, state: Activities) -> Activities:
        return state
