"""The interface of all solvers."""

import abc
import enum
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, Int

from ..network import Activities
from ._problem import Problem


class Status(enum.IntEnum):
    """Why the relaxation of a sample ended.

    CONVERGED: the residual fell below the tolerance. STOPPED: the phase's number of steps was taken. MAX_STEPS: the
    largest number of steps was taken before convergence, or activities are so small that their squares vanish.
    DIVERGED: the activities grew without bound.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Status.CONVERGED.failed, sm.Status.CONVERGED.reason
    (False, 'The residual fell below the tolerance.')
    """

    CONVERGED = 0
    STOPPED = 1
    MAX_STEPS = 2
    DIVERGED = 3

    @property
    def failed(self) -> bool:
        """Whether the relaxation failed: MAX_STEPS or DIVERGED."""
        return self >= Status.MAX_STEPS

    @property
    def reason(self) -> str:
        """The status as a sentence."""
        return _REASONS[self]


_REASONS = {
    Status.CONVERGED: "The residual fell below the tolerance.",
    Status.STOPPED: "The number of steps that the phase asks for was taken.",
    Status.MAX_STEPS: (
        "The largest number of steps was reached first, or activities are too small for single precision; raise "
        "max_steps or the tolerance, multiply a tiny input, or compute in double precision (jax_enable_x64)."
    ),
    Status.DIVERGED: (
        "The activities grew without bound, or are not numbers: the energy has no minimum, or the solver's steps are "
        "too long; lower the feedback, the scale or the learning rate, or take the default solver."
    ),
}


class Settled(NamedTuple):
    """Result of a solver: settled potentials and activities of one stage, and how the relaxation of each sample ended.

    Attributes
    ----------
    potentials : dict of str to array of shape (neurons, samples)
        Empty if ``problem.potentials`` is False.
    activities : dict of str to array of shape (neurons, samples)
    residual, steps, status : array of shape (samples,)
        As in `simatch.Relaxation`.
    """

    potentials: Activities
    activities: Activities
    residual: Float[Array, " samples"]
    steps: Int[Array, " samples"]
    status: Int[Array, " samples"]


class Solver(eqx.Module):
    """A method that finds the fixed point of the neural dynamics.

    A subclass defines `solve` and the attribute `max_steps`. Most solvers subclass `simatch.Iteration` instead, which
    provides the loop and needs only one step.

    Attributes
    ----------
    max_steps : int
        Default for the largest number of steps of a stage.
    """

    max_steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        """Relax every sample until its residual is at most `tolerance`.

        Parameters
        ----------
        problem : Problem
        start : dict of str to array of shape (neurons, samples), or None
            Potentials at the start; None for 0.
        tolerance : scalar array
            Largest residual at which a sample counts as converged.
        max_steps : int or None
            Largest number of steps, at least 1; None stands for the solver's own number, or that of the solver to which
            it leaves the problem.

        Returns
        -------
        Settled
        """
