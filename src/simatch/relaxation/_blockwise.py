"""The default solver: small blocks of neurons, each relaxed independently in native code."""

from typing import final

from jaxtyping import Array, Float

from .. import _native as native
from ..network import Activities
from ._accelerated import Accelerated
from ._blocks import settle_alone
from ._coupled import Coupled, suits_in_turn
from ._problem import Problem
from ._settings import count_field
from ._solver import Settled, Solver


@final
class Blockwise(Solver):
    """Relax every block of interacting neurons independently, in native code.

    A block is one site if lateral synapses stay within sites. Each block relaxes several samples at a time in the
    registers and caches of one core. If samples are few, sixteen small blocks relax at a time instead, with the same
    results. The method depends on the block:

    - up to 16 neurons: Newton steps;
    - more neurons, ``"linear"``: one linear solve, on every device and in every precision;
    - up to 64 neurons, ``"relu"`` or ``"clip"``: some sweeps from neuron to neuron, then Newton steps;
    - otherwise alternating directions (equation 13a), with a matrix that is inverted once for all samples.

    Samples that have not converged after some of these steps continue with accelerated proximal gradient steps. A
    block stops when it has converged. The tolerance holds for every block, so the residual of the whole population
    is often much smaller.

    Layers with feedback relax in turn, each by its own blocks (`Coupled`).

    The solver needs a CPU, Numba, single precision, populations whose forces are affine in their activities, blocks of
    at most 1,024 neurons, and activations of this library. All other stages are relaxed by `Accelerated` (and by
    `Adaptive` if their energy is not quadratic).

    Parameters
    ----------
    max_steps : int
        Largest number of steps, at least 1; a sample that has not converged by then gets the status MAX_STEPS.

    Raises
    ------
    ValueError
        If `max_steps` is out of range.

    References
    ----------
    Boyd, Parikh, Chu, Peleato and Eckstein 2011 (alternating directions); section 6 of ``docs/mathematics.md``;
    ``docs/performance.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)), solver=sm.Blockwise())
    >>> bool(out.converged.all())
    True
    """

    max_steps: int = count_field("max_steps", 1000)

    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        def in_turn(start, tolerance):
            return Coupled(self.max_steps).solve(problem, start, tolerance, max_steps)

        def together(start, tolerance):
            return Accelerated().solve(problem, start, tolerance, max_steps)

        if suits_in_turn(problem):
            return native.on_cpus(in_turn, together, start, tolerance)
        return settle_alone(problem, start, tolerance, max_steps or self.max_steps, max_steps)
