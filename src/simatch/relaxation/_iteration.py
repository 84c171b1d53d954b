"""Iterative solvers: the loop over their steps, and the criteria at which it ends."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ..network import Activities
from ._problem import Problem
from ._solver import Settled, Solver, Status


class Iteration(Solver):
    """A solver that advances all samples step by step.

    A subclass defines `begin`, `step` and `potentials`, and may define `prepare` and `suited`. `prepare` computes
    quantities that all steps share, `begin` makes the state of all samples (the last axis of every array is that of the
    samples), and `step` advances the state; `suited` leaves some problems to another solver. The loop measures the
    residual every `check_every` steps. It no longer changes samples that have converged or diverged, so a result
    depends on the other samples of a batch only by rounding.
    """

    check_every: eqx.AbstractVar[int]

    def suited(self, problem: Problem) -> "Iteration":
        """Return the solver to which a problem is left; by default this one.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        Iteration
        """
        return self

    def prepare(self, problem: Problem) -> PyTree:
        """Compute quantities that all steps share, such as step sizes; None by default.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        pytree
        """
        return None

    @abc.abstractmethod
    def begin(self, problem: Problem, prepared: PyTree, potentials: Activities) -> PyTree:
        """State of all samples at the given potentials, before the first step.

        Parameters
        ----------
        problem : Problem
        prepared : pytree
            What `prepare` returned.
        potentials : dict of str to array of shape (neurons, samples)

        Returns
        -------
        pytree
            The last axis of every array is that of the samples.
        """

    @abc.abstractmethod
    def step(self, problem: Problem, prepared: PyTree, state: PyTree) -> PyTree:
        """Advance the state of all samples by one step.

        Parameters
        ----------
        problem : Problem
        prepared : pytree
            What `prepare` returned.
        state : pytree
            What `begin` or the last step returned.

        Returns
        -------
        pytree
            In the same layout.
        """

    @abc.abstractmethod
    def potentials(self, state: PyTree) -> Activities:
        """Potentials u of all neurons; activities are f(u).

        Parameters
        ----------
        state : pytree
            State of all samples.

        Returns
        -------
        dict of str to array of shape (neurons, samples)
        """

    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        """Iterate until every sample has converged, has diverged, or has taken `max_steps` steps.

        Parameters
        ----------
        problem, start, tolerance, max_steps
            As in `Solver.solve`.

        Returns
        -------
        Settled
        """
        suited = self.suited(problem)
        if suited is not self:
            return suited.solve(problem, start, tolerance, max_steps)
        max_steps = max_steps or self.max_steps
        problem = problem.split()
        prepared = self.prepare(problem)

        def measure(state):
            u = self.potentials(state)
            r = problem.activities(u)
            value = residual(problem, r)
            status = jnp.where(value <= tolerance, Status.CONVERGED, Status.MAX_STEPS)
            return value, jnp.where(bounded(value, u), status, Status.DIVERGED)

        def unfinished(loop):
            _, _, steps, status = loop
            return jnp.any((status == Status.MAX_STEPS) & (steps < max_steps))

        def advance(loop):
            state, value, steps, status = loop
            # All active samples have taken the same number of steps, the largest.
            more = jnp.minimum(self.check_every, max_steps - jnp.max(steps))
            new = jax.lax.fori_loop(0, more, lambda _, s: self.step(problem, prepared, s), state)
            new_value, new_status = measure(new)
            # Finished samples keep their state, so no result depends on the other samples of the batch.
            active = (status == Status.MAX_STEPS) & (steps < max_steps)
            keep = lambda new, old: jnp.where(active, new, old)  # noqa: E731
            return (
                jax.tree.map(keep, new, state),
                keep(new_value, value),
                keep(steps + more, steps),
                keep(new_status, status),
            )

        state = self.begin(problem, prepared, jax.tree.map(jnp.zeros_like, problem.drive) if start is None else start)
        value, status = measure(state)
        steps = jnp.zeros(value.shape, jnp.int32)
        state, value, steps, status = jax.lax.while_loop(unfinished, advance, (state, value, steps, status))
        u = self.potentials(state)
        return Settled(u if problem.potentials else {}, problem.activities(u), value, steps, status)


def residual(problem: Problem, r: Activities) -> Float[Array, " samples"]:
    """Residual (14) of every sample: ``|f(r + force(r)) - r| / |r|``, the largest over the populations."""
    force = problem.force(r)
    worst = jnp.zeros(())
    for name, own in r.items():
        worst = jnp.maximum(worst, relative(problem.activations[name](own + force[name]) - own, own))
    return worst


def bounded(value: Float[Array, " samples"], u: Activities) -> Bool[Array, " samples"]:
    """Whether the potentials of a sample have a residual, and have not grown without bound."""
    return ~jnp.isnan(value) & (sum(jnp.sum(own**2, axis=0) for own in u.values()) < 1e24)


def relative(change: Float[Array, "neurons samples"], r: Float[Array, "neurons samples"]) -> Float[Array, " samples"]:
    """Size of a change relative to that of the activities, for every sample."""
    defect, size = jnp.linalg.norm(change, axis=0), jnp.linalg.norm(r, axis=0)
    found = jnp.where(defect == 0, 0, defect / jnp.where(size > 0, size, 1))
    # The squares of tiny numbers vanish: a norm of 0 says nothing then.
    return jnp.where((size == 0) & jnp.any(change != 0, axis=0), jnp.inf, found)
