"""Neural dynamics in time: a time constant for each population, an input that varies, and noise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._checks import number, whole
from ..network import Activities, Network, in_default_precision
from ._arrays import Inputs
from ._inputs import check_inputs
from ._iteration import residual
from ._phase import INPUTS_CLAMPED, Phase
from ._problem import Problem, stage_problem
from ._relax import Relaxation, start_at, warn_unconverged
from ._trajectory import (
    Chosen,
    Rows,
    Trajectory,
    at_rest,
    check_chosen,
    check_steps,
    ended,
    observed,
    recorded,
)

# Steps for which an input that varies is held in memory at a time.
STEPS_AT_ONCE = 64


def simulate(
    net: Network,
    x: Inputs | Callable[[float], Inputs],
    *,
    duration: float = 20.0,
    dt: float = 0.1,
    tau: float | Mapping[str, float] = 1.0,
    noise: float | Mapping[str, float] = 0.0,
    seed: int = 0,
    every: int = 1,
    units: Mapping[str, Sequence[int] | np.ndarray] | None = None,
    samples: Sequence[int] | np.ndarray | None = None,
    phase: Phase | None = None,
    start: Relaxation | None = None,
) -> Trajectory:
    """Simulate the neural dynamics in time and record their path.

    All populations that relax move at once, by steps of length `dt` (Euler and Maruyama) of

        ``tau du = (-u + I(r, x(t))) dt + noise sqrt(2 tau) dB``,  ``r = f(u)``,

    where I is the input current of equation (10), ``W x - (L - I) r + gamma W' r_above``, and B is Brownian motion,
    independent for every neuron and sample. Without noise and for a constant input they end at the fixed point that
    `simatch.relax` finds much faster.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...) or dict of such arrays, or function of the time that returns one
        Input, as `simatch.relax` takes it: held constant, or x(t) at the beginning of every step.
    duration : float
        Time to simulate, above 0, in the unit of `dt` and `tau`; rounded to whole steps.
    dt : float
        Length of a step, above 0; at most the smallest tau. Steps above ``2 tau`` over the largest curvature of the
        energy diverge.
    tau : float, or mapping of str to float
        Time constant of all neurons, or of each population by its name, above 0.
    noise : float, or mapping of str to float
        Strength of the noise, at least 0: the standard deviation that it gives to the potential of a neuron whose
        current does not depend on its own activity. Populations that a mapping does not name have none.
    seed : int
        Seed of the noise, at least 0.
    every : int
        Steps between two recorded points, at least 1; the number of steps is a multiple of it.
    units, samples
        What is recorded, as in `simatch.trajectory`.
    phase : Phase, optional
        Clamped populations and other conditions; its solver, tolerance and number of steps do not matter here.
    start : Relaxation, optional
        Where the simulation begins, such as the `end` of another one; by default all potentials are 0.

    Returns
    -------
    Trajectory
        Energy and residual at time t are those for the input x(t). Where feedback is 0, layers below do not feel what
        their activity costs layers above: the energy may then rise.

    Warns
    -----
    ConvergenceWarning
        If the activities of some sample grew without bound.

    Raises
    ------
    ValueError
        As `simatch.trajectory`, or if a setting is out of range.

    References
    ----------
    Equation (10) of ``docs/mathematics.md``. Noise in a linear network has the covariance ``noise^2 L^-1`` in the limit
    of short steps (Ornstein and Uhlenbeck).

    Examples
    --------
    An input that is switched off after half of the time, with time constants of 20 ms:

    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3)])
    >>> x = np.random.default_rng(0).normal(size=(5, 4))
    >>> path = sm.simulate(net, lambda t: x if t < 0.3 else 0 * x, duration=0.6, dt=0.002, tau=0.02, every=10)
    >>> path.time[[0, 15, 30]].round(6).tolist(), bool(abs(path["layer1"][30]).max() < 1e-4)
    ([0.0, 0.3, 0.6], True)
    """
    net, phase = in_default_precision(net), phase or INPUTS_CLAMPED
    relaxing = phase.relaxing(net)
    dt = number(dt, "dt", above=0)
    taus = _by_population(net, relaxing, tau, "The time constant", 1.0, above=0)
    strengths = _by_population(net, relaxing, noise, "The noise", 0.0, least=0)
    if dt > min(taus.values()):
        raise ValueError(f"dt must be at most the smallest time constant, {min(taus.values()):g}, got {dt:g}.")
    steps, every = check_steps(max(round(number(duration, "The duration", above=0) / dt), 1), every)
    key = jax.random.key(whole(seed, "The seed", least=0))
    now = x(0.0) if callable(x) else x
    entries = check_inputs(net, now, [phase])
    chosen = check_chosen(net, relaxing, entries, units, samples, 1 + steps // every)
    u = at_rest(net, relaxing, entries) if start is None else start_at(net, relaxing, entries, start)
    rates = {name: jnp.asarray(dt / own, float) for name, own in taus.items()}
    spread = {name: jnp.asarray(own, float) for name, own in strengths.items()} if any(strengths.values()) else None

    rows = []
    # A constant input stays in memory as it is, and all steps run in one compiled program.
    at_once = max(1, STEPS_AT_ONCE // every) * every if callable(x) else steps
    for first in range(0, steps, at_once):
        count = min(at_once, steps - first)
        frames = [entries]
        if callable(x):
            frames = [_frame(net, x, (first + i) * dt, phase, entries) for i in range(count)]
        stack = jax.tree.map(lambda *parts: jnp.stack(parts), *frames)
        u, points = _advance(
            net,
            u,
            stack,
            jnp.asarray(first),
            key,
            rates,
            spread,
            chosen,
            phase=phase,
            points=count // every,
            every=every,
        )
        rows.append(points)
    last = _frame(net, x, steps * dt, phase, entries) if callable(x) else entries
    states, residuals, point = _look(net, u, last, chosen, phase=phase)
    rows.append(jax.tree.map(lambda a: a[None], point))
    end = ended(net, relaxing, states, u, residuals, steps)
    warn_unconverged(end.status)
    return recorded(rows, chosen, dt * every, end)


@eqx.filter_jit
def _look(
    net: Network, u: Activities, entries: Activities, chosen: Chosen, *, phase: Phase
) -> tuple[Activities, Float[Array, " batch"], Rows]:
    """Activities and residuals at the potentials u, and the point of a trajectory."""
    states = {name: entries[entry] for name, entry in phase.entries(net).items()}
    states |= {name: net.activations[name](own) for name, own in u.items()}
    problems = _problems(net, states, phase)
    worst = [residual(problem, {name: states[name] for name in problem.sizes}) for problem in problems]
    residuals = jnp.max(jnp.stack(worst), axis=0)
    return states, residuals, observed(net, phase, states, residuals, chosen)


@eqx.filter_jit
def _advance(
    net: Network,
    u: Activities,
    stack: dict[str, Float[Array, "frames _ batch"]],
    first: Int[Array, ""],
    key: Any,
    rates: dict[str, Float[Array, ""]],
    strengths: dict[str, Float[Array, ""]] | None,
    chosen: Chosen,
    *,
    phase: Phase,
    points: int,
    every: int,
) -> tuple[Activities, Rows]:
    """Record a point, take `every` steps, and so on for so many points, from the potentials u."""
    frames = len(next(iter(stack.values())))

    def entries(i):
        return {name: own[jnp.minimum(i, frames - 1)] for name, own in stack.items()}

    def step(i, u):
        states = {name: entries(i)[entry] for name, entry in phase.entries(net).items()}
        states |= {name: net.activations[name](own) for name, own in u.items()}
        moved = {}
        for problem in _problems(net, states, phase):
            force = problem.force({name: states[name] for name in problem.sizes})
            moved |= {name: u[name] + rates[name] * (states[name] + force[name] - u[name]) for name in force}
        if strengths is None:
            return moved
        keys = jax.random.split(jax.random.fold_in(key, first + i), len(moved))
        return {
            name: moved[name] + strengths[name] * jnp.sqrt(2 * rates[name]) * jax.random.normal(k, own.shape, own.dtype)
            for k, (name, own) in zip(keys, u.items(), strict=True)
        }

    def advance(u, point):
        row = _look(net, u, entries(point * every), chosen, phase=phase)[2]
        return jax.lax.fori_loop(point * every, (point + 1) * every, step, u), row

    return jax.lax.scan(advance, u, jnp.arange(points))


def _problems(net: Network, states: Activities, phase: Phase) -> list[Problem]:
    """What each group of populations that influence each other relaxes to while all others stay as they are."""
    return [
        stage_problem(net, stage, {name: r for name, r in states.items() if name not in stage}, extra=phase.terms)
        for stage in phase.stages(net)
    ]


def _by_population(
    net: Network, relaxing: Sequence[str], value: Any, what: str, default: float, **bound: float
) -> dict[str, float]:
    """Return a setting of every population that relaxes, given for all of them or by name."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(relaxing, number(value, what, **bound))
    for name in value:
        if name not in relaxing:
            raise ValueError(
                f"{what} is given for {name!r}, which does not relax; there are {', '.join(map(repr, relaxing))}."
            )
    return {name: number(value.get(name, default), f"{what} of {name!r}", **bound) for name in relaxing}


def _frame(
    net: Network, x: Callable[[float], Inputs], time: float, phase: Phase, before: Activities
) -> dict[str, Float[Array, "_ _"]]:
    """Return the entries of the input at a time, as many samples as `before`."""
    entries = dict(check_inputs(net, x(time), [phase]))
    for name, frame in entries.items():
        if frame.shape != before[name].shape:
            raise ValueError(
                f"The input has {frame.shape[1]} samples at time {time:g}, but {before[name].shape[1]} at time 0; "
                "return equally many at all times."
            )
    return entries
