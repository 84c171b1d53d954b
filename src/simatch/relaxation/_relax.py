"""Relaxation of a network on its input: the loop over stages and phases, and its result."""

import warnings
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from .._checks import whole
from ..network import Activities, Network, Term, in_default_precision
from ._arrays import Inputs
from ._blockwise import Blockwise
from ._implicit import moved
from ._inputs import check_inputs
from ._phase import INPUTS_CLAMPED, Phase, relaxing_in
from ._problem import stage_problem
from ._settings import check_solving
from ._solver import Settled, Solver, Status


class _Unconverged(UserWarning):
    """In whose place the estimators put scikit-learn's own warning; a built-in base could not be replaced."""


class ConvergenceWarning(_Unconverged):
    """Some samples did not reach their fixed point within the tolerance.

    As soon as `simatch.estimators` is imported it is a subclass of scikit-learn's `ConvergenceWarning`, whose filters
    then apply to it.
    """


class Relaxation(eqx.Module):
    """Settled activities of a network, with residual, steps and status of every sample.

    Attributes
    ----------
    residual : array of shape (batch,)
        ``|f(u) - r| / |r|`` (equation 14), the largest over populations; 0 where both norms are 0. u is the input
        current of equation (10), ``W x - (L - I) r + gamma W' r_above``. All solvers use this measure.
    steps : array of shape (batch,)
        Number of solver steps, summed over stages.
    status : array of shape (batch,)
        A `Status` for every sample; the worst over stages.
    states : dict of str to array of shape (neurons, batch)
        Activities of every population that is not absent, and of the other clamped entries, in the engine's layout.
    potentials : dict of str to array of shape (neurons, batch)
        Potentials u of the populations that relaxed, in the engine's layout; another relaxation can start there.
    """

    states: Activities
    potentials: Activities
    residual: Float[Array, " batch"]
    steps: Int[Array, " batch"]
    status: Int[Array, " batch"]
    _shapes: tuple[tuple[str, tuple[int, int, int]], ...] = eqx.field(static=True)

    @property
    def activities(self) -> tuple[Float[Array, "batch height width units"], ...]:
        """Activities of every population that relaxed, each of shape (batch, height, width, units)."""
        return tuple(self[name] for name, _ in self._shapes)

    def __getitem__(self, name: str) -> Float[Array, "batch height width units"]:
        """Activities of one population that relaxed, of shape (batch, height, width, units).

        Raises
        ------
        KeyError
            If no population of this name relaxed.
        """
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
        """Whether the residual of each sample reached the tolerance."""
        return self.status == Status.CONVERGED

    @property
    def reason(self) -> tuple[str, ...]:
        """For each sample, a sentence that says why its relaxation ended."""
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

    ``jax.grad`` and JAX's other transformations can differentiate activities and potentials in the weights and in the
    input. These derivatives are implicit (equation 19): they hold at the fixed point itself, so use a small
    `tolerance`.

    Parameters
    ----------
    net : Network
    x : array of shape (batch, height, width, channels), (batch, height, width) or (batch, neurons)
        Input. If the phase clamps several entries, a dict from the name of each entry to such an array.
    phase : Phase, optional
        Clamped populations and other conditions; by default all populations without activation are clamped.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Largest residual at which a sample counts as converged, above 0. A tolerance of the phase takes precedence.
    max_steps : int, optional
        Largest number of steps for each stage, at least 1; by default that of the solver. A number of steps of the
        phase takes precedence.
    start : Relaxation, optional
        Relaxation of the same network with as many samples, where this one starts; by default all potentials are 0.

    Returns
    -------
    Relaxation
        Activities, and residual, steps, status and reason of every sample.

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge; not inside ``jax.jit``.

    Raises
    ------
    ValueError
        If the input has the wrong shape, is empty, or holds NaN or infinity, if the phase does not fit the network, if
        `start` is of another network or batch, or if a setting is out of range.

    References
    ----------
    Equations (4), (10), (14) and (19) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)))
    >>> out.activities[0].shape, bool(out.converged.all())
    ((5, 4, 4, 4), True)
    """
    tolerance = check_solving(solver, tolerance)
    max_steps = None if max_steps is None else whole(max_steps, "max_steps")
    net, phase = in_default_precision(net), phase or INPUTS_CLAMPED
    relaxing = relaxing_in(phase, net)
    entries = check_inputs(net, x, [phase])
    begin = None if start is None else start_at(net, relaxing, entries, start)
    allowed = np.asarray(tolerance, jnp.result_type(float))
    out = _settle_jit(net, entries, solver, allowed, max_steps, begin, phase)
    if not isinstance(out.status, Tracer):
        warn_unconverged(out.status)
    return out


def warn_unconverged(status: Int[Array, " batch"]) -> None:
    """Warn if some samples did not converge, with their number and the reason."""
    ends = np.asarray(status)
    for failure in (Status.MAX_STEPS, Status.DIVERGED):
        count = int(np.sum(ends == failure))
        if count:
            warnings.warn(
                f"{count} of {ends.size} samples did not converge. {failure.reason}", ConvergenceWarning, stacklevel=3
            )


def start_at(net: Network, relaxing: Sequence[str], entries: Activities, start: Relaxation) -> Activities:
    """Potentials of all relaxing populations, taken from another relaxation after a check of their shapes."""
    if not isinstance(start, Relaxation):
        raise ValueError(f"A start is a Relaxation, as `relax` returns it, got one of type {type(start).__name__}.")
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
    """Potentials at which another relaxation ended; for a population clamped there, its activities."""
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

    Parameters
    ----------
    net : Network
    entries : dict of str to array of shape (neurons, samples)
        The batch.
    solver : Solver or None
        None for the default; a solver of the phase takes precedence.
    tolerance : scalar array
        Largest residual at which a sample counts as converged, above 0; a tolerance of the phase takes precedence.
    max_steps : int, optional
        Largest number of steps in each stage, at least 1; by default that of the solver.
    start : dict of str to array of shape (neurons, samples), optional
        Potentials at which relaxation starts; by default 0.
    phase : Phase, optional
        By default all inputs are clamped.
    potentials : bool
        Whether the result has the settled potentials; writing them takes time and memory.

    Returns
    -------
    Relaxation
    """
    phase = phase or INPUTS_CLAMPED
    solver = phase.solver or solver or Blockwise()
    relaxing = phase.relaxing(net)
    states, final, parts = {name: entries[entry] for name, entry in phase.entries(net).items()}, {}, []
    if phase.steps is not None:
        max_steps, tolerance = phase.steps, jnp.zeros_like(tolerance)
    if phase.tolerance is not None:
        tolerance = phase.tolerance.astype(tolerance.dtype)
    for stage in phase.stages(net):
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
    """Relax phase after phase on the entries of one batch, each from rest or from the end of the phase before.

    Parameters
    ----------
    net : Network
    phases : sequence of Phase
    entries, solver, tolerance
        As in `settle`.
    start : dict of str to array of shape (neurons, samples), optional
        Potentials at which the first phase starts; by default 0.

    Returns
    -------
    tuple of Relaxation
        One for each phase.
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
    # A force that depends on nothing that varies has no tangent (None).
    change = {name: jnp.zeros_like(r) if change[name] is None else change[name] for name, r in out.activities.items()}
    problem = stage_problem(net, stage, settled, extra=extra)
    du, dr = moved(problem, out.activities, change)
    return out, Settled(du if potentials else {}, dr, jnp.zeros_like(out.residual), None, None)  # pyright: ignore[reportArgumentType]


@eqx.filter_jit
def _settle_jit(
    net: Network,
    entries: Activities,
    solver: Solver | None,
    tolerance: Float[np.ndarray | Array, ""],
    max_steps: int | None,
    start: Activities | None,
    phase: Phase,
) -> Relaxation:
    """Settle with a tolerance of NumPy, which takes less time to pass than to place on a device."""
    return settle(net, entries, solver, jnp.asarray(tolerance), max_steps, start, phase=phase, potentials=True)
