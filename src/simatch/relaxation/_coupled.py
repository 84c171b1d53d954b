"""Populations that hear each other, relaxed in turn."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..network import Activities
from ._accelerated import Accelerated
from ._blockwise import Blockwise
from ._iteration import Iteration
from ._problem import Problem
from ._settings import count_field

# One product with the matrix of a larger block, of many samples, takes less time than native steps of one sample.
LARGEST_BLOCK = 16
INNER_STEPS = 20
# Steps are not longer than 1 over this curvature.
FLATTEST = 0.1


@final
class Coupled(Iteration):
    """Relax the populations of a stage in turn, each while the others stay as they are.

    A step is one sweep over the populations. A population without lateral synapses reaches its minimum in one proximal
    step; small blocks of neurons relax by `Blockwise`, from where they were. The energy falls in every sweep, and the
    fixed points are those of the joint dynamics, so no length of a step has to be found, and the joint energy need not
    be convex; if it is not, the fixed point that is reached may be another one than that of smaller steps. Stages with
    larger blocks, or with energies that are not quadratic, are left to `Accelerated`.

    Parameters
    ----------
    max_steps : int
        Largest number of sweeps, at least 1; a sample that has not converged by then gets the status MAX_STEPS.
    check_every : int
        Sweeps between two measurements of the residual, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Section 6 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Coupled(max_steps=100).max_steps
    100
    """

    max_steps: int = count_field("max_steps", 1000)
    check_every: int = count_field("check_every", 4)

    def suited(self, problem: Problem) -> Iteration:
        if any(own is None or own.shape[1] > LARGEST_BLOCK for own in problem.own.values()):
            return Accelerated().suited(problem)
        return self

    def begin(self, problem: Problem, prepared: None, potentials: Activities) -> Activities:
        return potentials

    def step(self, problem: Problem, prepared: None, state: Activities) -> Activities:
        for name in problem.sizes:
            state = {**state, name: _relaxed(problem, name, state)}
        return state

    def potentials(self, state: Activities) -> Activities:
        return state


def _relaxed(problem: Problem, name: str, u: Activities) -> Float[Array, "neurons samples"]:
    """Potentials of a population at its minimum while the others stay at theirs."""
    others = problem.activities({other: own for other, own in u.items() if other != name})
    own = problem.own[name]
    assert own is not None
    if own.shape[1] == 1:
        # The proximal step of length 1 / c ends at the minimum of F + c r^2 / 2 - d r, wherever it starts. A nudge away
        # from a target may leave a curvature c of 0 or less: then a long step down.
        activation, c = problem.activations[name], own[:, 0]
        r, length = activation(u[name]), 1 / jnp.maximum(c, FLATTEST)
        return activation.prox(r + length * (problem.pull(name, others) - c * r), length)
    # As exact as rounding allows, or so many steps: the sweeps go on until the whole stage is as exact as asked for.
    exact = jnp.asarray(10 * jnp.finfo(u[name].dtype).eps)
    return Blockwise().solve(problem.alone(name, others), {name: u[name]}, exact, INNER_STEPS).potentials[name]
