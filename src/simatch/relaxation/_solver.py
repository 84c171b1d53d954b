"""What every solver offers."""

import abc

import equinox as eqx
from jaxtyping import PyTree

from ..energy import Activities
from ._problem import Problem


class Solver(eqx.Module):
    """A way to find the fixed point of the neural dynamics.

    A solver is an iteration: `prepare` computes what all steps share, `init` makes the state of all samples
    (every array has them on its last axis), `step` advances it. `simatch.relax` runs the loop, measures the
    residual every `check_every` steps, and freezes the samples that are done.
    """

    check_every: eqx.AbstractVar[int]
    max_steps: eqx.AbstractVar[int]

    def prepare(self, problem: Problem) -> PyTree:
        """Compute what all steps share, such as step sizes."""
        return None

    @abc.abstractmethod
    def init(self, problem: Problem, potentials: Activities) -> PyTree:
        """State of all samples that starts at the given potentials."""

    @abc.abstractmethod
    def step(self, problem: Problem, prepared: PyTree, state: PyTree) -> PyTree:
        """Advance the state of all samples by one step."""

    @abc.abstractmethod
    def potentials(self, state: PyTree) -> Activities:
        """Potentials u of all neurons; activities are f(u)."""
