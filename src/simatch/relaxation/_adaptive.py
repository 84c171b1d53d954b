"""Accelerated proximal gradient descent of any energy, with steps adapted to its curvature."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..network import Activities
from ._iteration import Iteration
from ._problem import Problem
from ._settings import count_field
from ._spectrum import largest_eigenvalue

LONGEST, SHORTEST = 1e3, 1e-8
# A step is longer than the last by this factor where the curvature would let it be twice as long.
GROWTH = 1.02


class _State(eqx.Module):
    potentials: Activities
    activities: Activities
    change: Activities
    momentum: Float[Array, "blocks samples"]
    length: Float[Array, "blocks samples"]


@final
class Adaptive(Iteration):
    """Accelerated proximal gradient steps for energies whose curvature changes with the activities.

    Every step measures the curvature of the energy along its direction, from the forces at its two ends. A step longer
    than 1 over this curvature is rejected and repeated, shorter and without momentum. After a step that was much
    shorter than this limit, the next one is 10 % longer. Lengths, momentum and its resets are kept separately for every
    block and sample. If the energy is convex, the solver converges to its minimum, otherwise to a stationary point.

    Parameters
    ----------
    max_steps : int
        Largest number of steps, rejected ones included, at least 1; a sample that has not converged by then gets the
        status MAX_STEPS.
    check_every : int
        Steps between two measurements of the residual, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Beck and Teboulle 2009; O'Donoghue and Candes 2015 (restarts); Scheinberg, Goldfarb and Bai 2014 (lengths that may
    grow); section 6 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Adaptive(max_steps=500).max_steps
    500
    """

    max_steps: int = count_field("max_steps", 5000)
    check_every: int = count_field("check_every", 5)

    def prepare(self, problem: Problem) -> Float[Array, "blocks 1"]:
        """Length of the first step.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        array of shape (blocks, 1)
        """
        return jnp.clip(1 / jnp.maximum(largest_eigenvalue(problem), 1e-30), SHORTEST, 1.0)

    def begin(self, problem: Problem, prepared: Float[Array, "blocks 1"], potentials: Activities) -> _State:
        r = problem.activities(potentials)
        samples = next(iter(r.values())).shape[-1]
        zeros = jnp.zeros((problem.blocks, samples), prepared.dtype)
        return _State(potentials, r, jax.tree.map(jnp.zeros_like, r), zeros, zeros + prepared)

    def step(self, problem: Problem, prepared: Float[Array, "blocks 1"], state: _State) -> _State:
        k, s = state.momentum, state.length
        weight, length = problem.spread(k / (k + 3)), problem.spread(s)
        ahead = jax.tree.map(lambda r, d, w: r + w * d, state.activities, state.change, weight)
        force = problem.force(ahead)
        u = {
            name: problem.activations[name].refine(
                ahead[name] + length[name] * force[name], length[name], state.potentials[name], state.activities[name]
            )
            for name in ahead
        }
        r = problem.activities(u)
        leap = jax.tree.map(jnp.subtract, r, ahead)
        bend = jax.tree.map(jnp.subtract, force, problem.force(r))
        squared = problem.inner(leap, leap)
        curvature = problem.inner(bend, leap) / jnp.where(squared > 0, squared, 1)
        # A step that is below the rounding error of the activities does not measure the curvature.
        visible = squared > 1e-10 * problem.inner(r, r)
        good = jnp.isfinite(curvature) & jnp.isfinite(squared) & (~visible | (s * curvature <= 1))
        change = jax.tree.map(jnp.subtract, r, state.activities)
        overshoot = -problem.inner(leap, change) > 0
        shorter = jnp.where(jnp.isfinite(curvature), 0.8 / curvature, 0)
        new_length = jnp.where(
            good,
            jnp.where(visible & (s * curvature < 0.5), GROWTH * s, s),
            jnp.clip(shorter, s / 8, s / 2),
        )
        taken = problem.spread(good)

        def keep(new: Activities, old: Activities) -> Activities:
            return {name: jnp.where(taken[name], new[name], old[name]) for name in new}

        # A step that is taken back is tried again from the same point, unless that point was itself out of reach.
        reached = jnp.isfinite(squared) & jnp.isfinite(curvature)
        again = jax.tree.map(jnp.multiply, state.change, problem.spread(reached.astype(k.dtype)))
        return _State(
            keep(u, state.potentials),
            keep(r, state.activities),
            keep(change, again),
            jnp.where(good, jnp.where(overshoot, 0, k + 1), jnp.where(reached, k, 0)),
            jnp.clip(new_length, SHORTEST, LONGEST),
        )

    def potentials(self, state: _State) -> Activities:
        return state.potentials
