"""Settle a network on its input: the loop around the solvers, and its result."""

import math
import warnings
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ..network import Activities, Network, Term, present
from ._blockwise import Blockwise
from ._implicit import moved
from ._inputs import Inputs, check_inputs
from ._phase import INPUTS_CLAMPED, Phase
from ._problem import stage_problem
from ._solver import Settled, Solver, Status


class _Unconverged(UserWarning):
    """In whose place the estimators put scikit-learn's own warning; a built-in base could not be replaced."""


class ConvergenceWarning(_Unconverged):
    """Some samples did not reach their fixed point.

    As soon as `simatch.estimators` is imported it is a subclass of scikit-learn's `ConvergenceWarning`, whose filters
    then apply to it.
    """


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
        Activities of every population that is there, and of what else was clamped, in the engine's layout.
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
    def relaxed(self) -> tuple[str, ...]:
        """Names of the populations that relaxed."""
        return tuple(name for name, _ in self._shapes)

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
    phase: Phase | None = None,
    solver: Solver | None = None,
    tolerance: float = 1e-4,
    max_steps: int | None = None,
    start: Relaxation | None = None,
) -> Relaxation:
    """Run the neural dynamics to their fixed point.

    Activities and potentials can be differentiated in the weights and in the input, by ``jax.grad`` and its relatives:
    implicitly, at the fixed point, so that `tolerance` should be small.

    Parameters
    ----------
    net : Network
    x : array of shape (batch, height, width, channels), (batch, height, width) or (batch, neurons)
        Input; where several populations are clamped, a dict from the entries of the phase to such arrays.
    phase : Phase, optional
        Who is clamped and what else differs; by default all populations without activation are clamped.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Largest residual at which a sample counts as converged, above 0; that of the phase goes before.
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
        If the input has the wrong shape, is empty, or holds NaN or infinity, if the phase does not fit the network, if
        `start` is of another network or batch, or if a setting is out of range.

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
    phase = phase or INPUTS_CLAMPED
    relaxing = phase.relaxing(net)
    entries = check_inputs(net, x, [phase])
    begin = None if start is None else _start(net, relaxing, entries, start)
    out = _settle_jit(net, entries, solver, jnp.asarray(tolerance), max_steps, begin, phase=phase, potentials=True)
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


def _start(net: Network, relaxing: Sequence[str], entries: Activities, start: Relaxation) -> Activities:
    """Potentials from which to start, of all populations that relax."""
    samples = next(iter(entries.values())).shape[-1]
    begin = _beginning(relaxing, start)
    for name in relaxing:
        needed = net.populations[name].grid.size, samples
        if name not in begin or begin[name].shape != needed:
            given = f"has shape {begin[name].shape}" if name in begin else "is missing"
            raise ValueError(
                f"The start of population {name!r} {given}, but {needed} is needed; start from a relaxation of this "
                "network with as many samples."
            )
    return begin


def _beginning(relaxing: Sequence[str], before: Relaxation) -> Activities:
    """Potentials where another relaxation ended; a population that was clamped there has its activities for them."""
    known = {**before.states, **before.potentials}
    return {name: known[name] for name in relaxing if name in known}


def settle(
    net: Network,
    entries: Activities,
    solver: Solver | None,
    tolerance: Float[Array, ""],
    max_steps: int | None = None,
    start: Activities | None = None,
    *,
    phase: Phase | None = None,
    potentials: bool = False,
) -> Relaxation:
    """Relax all stages of a network; `relax` without its checks, for use inside compiled functions.

    It starts from potentials. Those that it reaches are part of the result only if they are asked for, as writing them
    takes time and memory.
    """
    phase, solver = phase or INPUTS_CLAMPED, solver or Blockwise()
    relaxing = phase.relaxing(net)
    states, final, parts = {name: entries[entry] for name, entry in phase.entries(net).items()}, {}, []
    if phase.steps is not None:
        max_steps, tolerance = phase.steps, jnp.zeros_like(tolerance)
    if phase.tolerance is not None:
        tolerance = phase.tolerance.astype(tolerance.dtype)
    terms = [*net.terms, *phase.terms]
    terms = [t for t, there in zip(terms, present(terms, {*states, *relaxing}), strict=True) if there]
    for stage in net.stages(tuple(name for name in net.layers if name not in relaxing), terms):
        begin = None if start is None else {name: start[name] for name in stage}
        settled = _settle_stage(
            net,
            phase.terms,
            states,
            begin,
            tolerance,
            stage=stage,
            solver=solver,
            max_steps=max_steps,
            potentials=potentials,
        )
        states, final = {**states, **settled.activities}, {**final, **settled.potentials}
        parts.append((settled.residual, settled.steps, settled.status))
    residual, steps, status = zip(*parts, strict=True)
    worst = jnp.max(jnp.stack(status), axis=0)
    if phase.steps is not None:
        worst = jnp.where(worst == Status.MAX_STEPS, Status.STOPPED, worst)
    return Relaxation(
        states,
        final,
        jnp.max(jnp.stack(residual), axis=0),
        jnp.sum(jnp.stack(steps), axis=0),
        worst,
        tuple((name, net.populations[name].grid.shape) for name in relaxing),
    )


def settle_phases(
    net: Network,
    phases: Sequence[Phase],
    entries: Activities,
    solver: Solver | None,
    tolerance: Float[Array, ""],
    start: Activities | None = None,
) -> tuple[Relaxation, ...]:
    """Relax phase after phase on the entries of one batch, each from rest or from where the one before it ended.

    The first starts from the potentials in `start`, if there are some.
    """
    done = []
    for phase, following in zip(phases, [*phases[1:], None], strict=True):
        if done:
            start = None
        if phase.start == "previous" and done:
            rest = {
                name: jnp.zeros((net.populations[name].grid.size, done[-1].status.size), tolerance.dtype)
                for name in phase.relaxing(net)
            }
            start = {**rest, **_beginning(tuple(rest), done[-1])}
        carried_on = following is not None and following.start == "previous"
        done.append(settle(net, entries, solver, tolerance, None, start, phase=phase, potentials=carried_on))
    return tuple(done)


@eqx.filter_custom_jvp
def _settle_stage(
    net: Network,
    extra: tuple[Term, ...],
    settled: Activities,
    start: Activities | None,
    tolerance: Float[Array, ""],
    *,
    stage: tuple[str, ...],
    solver: Solver,
    max_steps: int | None,
    potentials: bool,
) -> Settled:
    problem = stage_problem(net, stage, settled, extra=extra, potentials=potentials)
    return solver.solve(problem, start, tolerance, max_steps)


@_settle_stage.def_jvp
def _settle_stage_jvp(primals, tangents, *, stage, potentials, **how):
    net, extra, settled, _, _ = primals
    d_net, d_extra, d_settled, _, _ = tangents
    out = _settle_stage(*primals, stage=stage, potentials=potentials, **how)

    def force(net, extra, settled):
        return stage_problem(net, stage, settled, extra=extra).force(out.activities)

    _, change = eqx.filter_jvp(force, (net, extra, settled), (d_net, d_extra, d_settled))
    # Forces that nothing moves have no tangent.
    change = {name: jnp.zeros_like(r) if change[name] is None else change[name] for name, r in out.activities.items()}
    problem = stage_problem(net, stage, settled, extra=extra)
    du, dr = moved(problem, out.activities, change)
    return out, Settled(du if potentials else {}, dr, jnp.zeros_like(out.residual), None, None)  # pyright: ignore[reportArgumentType]


_settle_jit = eqx.filter_jit(settle)
