"""Settle a network on its input: the loop around the solvers, and its result."""

import math
import warnings

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ..network import Activities, Network
from ._blockwise import Blockwise
from ._inputs import Inputs, clamp
from ._problem import stage_problem
from ._solver import Solver, Status


class ConvergenceWarning(UserWarning):
    """Some samples did not reach their fixed point."""


class Relaxation(eqx.Module):
    """Activities at the fixed point of the neural dynamics, and how well they were found.

    Attributes
    ----------
    residual : array of shape (batch,)
        ``|f(u) - r| / |r|`` with u the right side of equation (10), ``W x - (L - I) r + gamma W' r_above``, for
        the worst population; 0 where both vanish. The same measure for every solver.
    steps : array of shape (batch,)
        Solver steps taken, the sum over stages.
    status : array of shape (batch,)
        A `Status` for every sample.
    states : dict of str to array of shape (neurons, batch)
        Activities of every population, the inputs included, in the engine's layout.
    potentials : dict of str to array of shape (neurons, batch)
        Potentials u, in the engine's layout; a start for another relaxation.
    """

    states: Activities
    potentials: Activities
    residual: Float[Array, " batch"]
    steps: Int[Array, " batch"]
    status: Int[Array, " batch"]
    _shapes: tuple[tuple[str, tuple[int, int, int]], ...] = eqx.field(static=True)

    @property
    def activities(self) -> tuple[Float[Array, "batch height width units"], ...]:
        """Activities of every population that relaxes, each of shape (batch, height, width, units)."""
        return tuple(self[name] for name, _ in self._shapes)

    def __getitem__(self, name: str) -> Float[Array, "batch height width units"]:
        """Activities of the population called `name`, of shape (batch, height, width, units)."""
        shapes = dict(self._shapes)
        if name not in shapes:
            raise KeyError(f"There is no population {name!r} that relaxes; there are {', '.join(map(repr, shapes))}.")
        return self.states[name].T.reshape(-1, *shapes[name])

    @property
    def converged(self) -> Bool[Array, " batch"]:
        """Whether each sample reached the tolerance."""
        return self.status == Status.CONVERGED

    @property
    def reason(self) -> tuple[str, ...]:
        """Why each sample's relaxation ended, as a sentence."""
        return tuple(Status(int(s)).reason for s in self.status)


def relax(
    net: Network,
    x: Inputs,
    *,
    solver: Solver | None = None,
    tolerance: float = 1e-4,
    max_steps: int | None = None,
    start: Relaxation | None = None,
) -> Relaxation:
    """Run the neural dynamics to their fixed point.

    Parameters
    ----------
    net : Network
    x : array of shape (batch, height, width, channels), (batch, height, width) or (batch, neurons)
        Input; for a network of several inputs, a dict from population name to such an array.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Largest residual at which a sample counts as converged, above 0.
    max_steps : int, optional
        Most steps for each stage; by default what the solver says.
    start : Relaxation, optional
        Where to start; by default all potentials are 0.

    Returns
    -------
    Relaxation
        Activities, and for every sample residual, steps, convergence and the reason.

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge.

    Raises
    ------
    ValueError
        If the input has the wrong shape, is empty, or holds NaN or infinity, or a setting is out of range.

    References
    ----------
    Equations (4) and (10) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)))
    >>> out.activities[0].shape, bool(out.converged.all())
    ((5, 4, 4, 4), True)
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"The tolerance must be finite and above 0, got {tolerance!r}.")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps!r}.")
    inputs = clamp(net, x)
    begin = None if start is None else start.potentials
    out = _settle_jit(net, inputs, solver, jnp.asarray(tolerance), max_steps, begin, potentials=True)
    if not isinstance(out.status, Tracer):
        _warn_unconverged(out.status)
    return out


def _warn_unconverged(status: Int[Array, " batch"]) -> None:
    """Warn if some samples did not converge, with their number and the reason."""
    for failure in (Status.MAX_STEPS, Status.DIVERGED):
        count = int(jnp.sum(status == failure))
        if count:
            warnings.warn(
                f"{count} of {status.size} samples did not converge. {failure.reason}", ConvergenceWarning, stacklevel=3
            )


def settle(
    net: Network,
    inputs: Activities,
    solver: Solver | None,
    tolerance: Float[Array, ""],
    max_steps: int | None = None,
    start: Activities | None = None,
    *,
    potentials: bool = False,
) -> Relaxation:
    """Relax all stages of a network; `relax` without its checks, for use inside compiled functions.

    It starts from potentials. Those that it reaches are part of the result only if they are asked for, as writing them
    takes time and memory.
    """
    solver = solver or Blockwise()
    states, final, parts = dict(inputs), {}, []
    for stage in net.stages:
        problem = stage_problem(net, stage, states, potentials=potentials)
        begin = None if start is None else {name: start[name] for name in stage}
        settled = solver.solve(problem, begin, tolerance, max_steps or solver.max_steps)
        states, final = {**states, **settled.activities}, {**final, **settled.potentials}
        parts.append((settled.residual, settled.steps, settled.status))
    residual, steps, status = zip(*parts, strict=True)
    return Relaxation(
        states,
        final,
        jnp.max(jnp.stack(residual), axis=0),
        jnp.sum(jnp.stack(steps), axis=0),
        jnp.max(jnp.stack(status), axis=0),
        tuple((name, net.populations[name].grid.shape) for name in net.layers),
    )


_settle_jit = eqx.filter_jit(settle)
