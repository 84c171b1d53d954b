"""What every solver offers."""

import abc
import enum
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, Int

from ..network import Activities
from ._problem import Problem


class Status(enum.IntEnum):
    """Why the relaxation of a sample ended."""

    CONVERGED = 0
    STOPPED = 1
    MAX_STEPS = 2
    DIVERGED = 3

    @property
    def failed(self) -> bool:
        """Whether the relaxation ended before it was meant to."""
        return self >= Status.MAX_STEPS

    @property
    def reason(self) -> str:
        """The status as a sentence."""
        return _REASONS[self]


_REASONS = {
    Status.CONVERGED: "The residual fell below the tolerance.",
    Status.STOPPED: "The number of steps that the phase asks for was taken.",
    Status.MAX_STEPS: (
        "The largest number of steps was reached first; raise max_steps or the tolerance, or compute in double "
        "precision (jax_enable_x64)."
    ),
    Status.DIVERGED: (
        "The activities grew without bound, or are not numbers: the energy has no minimum, or the solver's steps are "
        "too long; lower the feedback, the scale or the learning rate, or take the default solver."
    ),
}


class Settled(NamedTuple):
    """Where the populations of one stage came to rest, and for every sample how.

    Attributes
    ----------
    potentials : dict of str to array of shape (neurons, samples)
        Empty if the problem does not ask for them.
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
    """A way to find the fixed point of the neural dynamics.

    Most are an `simatch.relaxation.Iteration`, of which only one step is to be written.
    """

    max_steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        """Settle every sample to a residual of `tolerance`, from potentials or from 0, in at most `max_steps`.

        None stands for the solver's own number, or that of the solver to which it leaves the problem.
        """
