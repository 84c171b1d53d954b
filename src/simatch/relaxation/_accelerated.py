"""Accelerated proximal gradient descent of a quadratic energy."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import Activities
from ._adaptive import Adaptive
from ._iteration import Iteration
from ._problem import Problem
from ._settings import count_field
from ._spectrum import largest_eigenvalue


class _State(eqx.Module):
    potentials: Activities
    activities: Activities
    change: Activities
    momentum: Float[Array, "blocks samples"]


@final
class Accelerated(Iteration):
    """Proximal gradient steps with Nesterov's momentum, which is reset to 0 where it opposes the gradient step.

    The length of a step is 1 over the largest eigenvalue of the curvature of the energy, for every block of interacting
    neurons. A block is one site if lateral synapses stay within sites and the stage is one population, and the whole
    stage otherwise. Momentum and its resets are kept separately for every block and sample. The curvature of an energy
    that is not quadratic varies; `Adaptive` then takes over.

    Parameters
    ----------
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
    Beck and Teboulle 2009; O'Donoghue and Candes 2015 (restarts); section 6 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Accelerated(max_steps=200).max_steps
    200
    """

    max_steps: int = count_field("max_steps", 1000)
    check_every: int = count_field("check_every", 5)

    def suited(self, problem: Problem) -> Iteration:
        return Adaptive(check_every=self.check_every) if not problem.affine else self

    def prepare(self, problem: Problem) -> Activities:
        """Length of the proximal step of every neuron.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        dict of str to array of shape (neurons, 1)
        """
        # The length of the step stays bounded where the curvature is nearly 0.
        return problem.spread(1 / jnp.maximum(largest_eigenvalue(problem), 1e-3))

    def begin(self, problem: Problem, prepared: PyTree, potentials: Activities) -> _State:
        r = problem.activities(potentials)
        samples = next(iter(r.values())).shape[-1]
        dtype = next(iter(r.values())).dtype
        return _State(potentials, r, jax.tree.map(jnp.zeros_like, r), jnp.zeros((problem.blocks, samples), dtype))

    def step(self, problem: Problem, prepared: Activities, state: _State) -> _State:
        length, k = prepared, state.momentum
        weight = problem.spread(k / (k + 3))
        ahead = jax.tree.map(lambda r, d, w: r + w * d, state.activities, state.change, weight)
        force = problem.force(ahead)
        u = {
            name: problem.activations[name].refine(
                ahead[name] + length[name] * force[name], length[name], state.potentials[name], state.activities[name]
            )
            for name in ahead
        }
        r = problem.activities(u)
        change = jax.tree.map(jnp.subtract, r, state.activities)
        overshoot = problem.inner(jax.tree.map(jnp.subtract, ahead, r), change) > 0
        return _State(u, r, change, jnp.where(overshoot, 0, k + 1))

    def potentials(self, state: _State) -> Activities:
        return state.potentials
