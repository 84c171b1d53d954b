"""Trajectories: the path of activities, energy and residual while a network relaxes."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._checks import whole
from ..network import Activities, Network, energy, in_default_precision
from ._arrays import Inputs
from ._euler import Euler
from ._inputs import check_inputs
from ._iteration import Iteration, bounded, residual
from ._phase import INPUTS_CLAMPED, Phase
from ._problem import stage_problem
from ._relax import Relaxation, start_at, warn_unconverged
from ._settings import check_solving
from ._solver import Solver, Status

# Numbers that a trajectory holds at most: 1 GB in single precision.
MOST_NUMBERS = 1 << 28

# Numbers of the recorded neurons of each recorded population, and of the recorded samples.
Chosen = tuple[Mapping[str, Int[Array | np.ndarray, "_"]], Int[Array | np.ndarray, "_"]]
# Activities (samples, units), energies and residuals of one point, or of several stacked.
Rows = tuple[dict[str, Float[Array, "..."]], Float[Array, "..."], Float[Array, "..."]]


class Trajectory(eqx.Module):
    """Recorded path of a relaxation or of a simulation.

    Attributes
    ----------
    time : array of shape (points,)
        When each point was recorded, from 0: in steps of the solver (`simatch.trajectory`), or in the unit of `dt`
        (`simatch.simulate`).
    activities : dict of str to array of shape (points, samples, units)
        Activities of the recorded units of each recorded population.
    energy : array of shape (points, samples)
        Energy that the dynamics descend, half of the bracket of equation (9).
    residual : array of shape (points, samples)
        Distance from the fixed point, as in `simatch.Relaxation`; of the populations that relax at that time.
    units : dict of str to int array of shape (units,)
        Numbers of the recorded units in their population, whose neurons are counted site by site, row by row.
    samples : int array of shape (samples,)
        Numbers of the recorded samples in the batch.
    end : Relaxation
        All populations and samples at the last point; another relaxation or simulation can start there.
    """

    time: Float[np.ndarray, " points"]
    activities: dict[str, Float[np.ndarray, "points samples _"]]
    energy: Float[np.ndarray, "points samples"]
    residual: Float[np.ndarray, "points samples"]
    units: dict[str, Int[np.ndarray, " _"]]
    samples: Int[np.ndarray, " samples"]
    end: Relaxation

    def __getitem__(self, name: str) -> Float[np.ndarray, "points samples _"]:
        """Activities of the recorded units of one population.

        Raises
        ------
        KeyError
            If no population of this name was recorded.
        """
        if name not in self.activities:
            known = ", ".join(map(repr, self.activities))
            raise KeyError(f"Population {name!r} was not recorded; recorded are {known}.")
        return self.activities[name]


def trajectory(
    net: Network,
    x: Inputs,
    *,
    steps: int = 200,
    every: int = 1,
    units: Mapping[str, Sequence[int] | np.ndarray] | None = None,
    samples: Sequence[int] | np.ndarray | None = None,
    phase: Phase | None = None,
    solver: Solver | None = None,
    start: Relaxation | None = None,
) -> Trajectory:
    """Relax a network as `simatch.relax` does, for a given number of steps, and record the path.

    The last point is where ``relax`` ends with ``phase=Phase(steps=steps)`` and the same solver. Populations that do
    not influence each other in both directions relax one after the other, each group for so many steps; the others
    stay where they are meanwhile. For all populations moving at once, in time, see `simatch.simulate`.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...) or dict of such arrays
        Input, as `simatch.relax` takes it.
    steps : int
        Number of steps of each stage, at least 1, and a multiple of `every`.
    every : int
        Steps between two recorded points, at least 1.
    units : mapping of str to sequence of int, optional
        Populations to record, and the numbers of their neurons, counted site by site, row by row; by default all
        neurons of all populations that relax.
    samples : sequence of int, optional
        Numbers of the samples to record; all by default.
    phase : Phase, optional
        Clamped populations and other conditions; its tolerance and number of steps do not matter here.
    solver : Iteration, optional
        `Euler` by default, the published dynamics. `Blockwise` and `Coupled` have no path to record: they relax in
        native code.
    start : Relaxation, optional
        Where the path begins; by default all potentials are 0.

    Returns
    -------
    Trajectory

    Warns
    -----
    ConvergenceWarning
        If the activities of some sample grew without bound.

    Raises
    ------
    ValueError
        As `simatch.relax`; if the solver does not advance in steps, if a unit or sample does not exist, or if more than
        268 million numbers (1 GB) would be recorded.

    References
    ----------
    Equations (9), (10) and (14) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3)])
    >>> x = np.random.default_rng(0).normal(size=(5, 4))
    >>> path = sm.trajectory(net, x, steps=100, every=10, units={"layer1": [0, 2]}, samples=[4])
    >>> path["layer1"].shape, bool((np.diff(path.energy[:, 0]) < 1e-6).all())
    ((11, 1, 2), True)
    """
    check_solving(solver)
    steps, every = check_steps(steps, every)
    net, phase = in_default_precision(net), phase or INPUTS_CLAMPED
    relaxing = phase.relaxing(net)
    solver = phase.solver or solver or Euler()
    if not isinstance(solver, Iteration):
        raise ValueError(
            f"The path of {type(solver).__name__} cannot be recorded, because it does not advance all neurons step by "
            "step; use another solver, such as sm.Accelerated() or sm.Euler()."
        )
    entries = check_inputs(net, x, [phase])
    stages = phase.stages(net)
    chosen = check_chosen(net, relaxing, entries, units, samples, 1 + len(stages) * (steps // every))
    begin = None if start is None else start_at(net, relaxing, entries, start)
    rows, end = _path(net, entries, solver, begin, chosen, phase=phase, points=steps // every, every=every)
    warn_unconverged(end.status)
    return recorded([rows], chosen, every, end)


@eqx.filter_jit
def _path(
    net: Network,
    entries: Activities,
    solver: Iteration,
    start: Activities | None,
    chosen: Chosen,
    *,
    phase: Phase,
    points: int,
    every: int,
) -> tuple[Rows, Relaxation]:
    relaxing, stages = phase.relaxing(net), phase.stages(net)
    clamped = {name: entries[entry] for name, entry in phase.entries(net).items()}
    u = at_rest(net, relaxing, clamped) if start is None else {name: start[name] for name in relaxing}
    states = {**clamped, **{name: net.activations[name](u[name]) for name in relaxing}}
    rows, worst = [], []
    known = clamped
    for stage in stages:
        problem = stage_problem(net, stage, known, extra=phase.terms)
        own = solver.suited(problem)
        prepared = own.prepare(problem)
        state = own.begin(problem, prepared, {name: u[name] for name in stage})
        if not rows:
            first = observed(net, phase, states, residual(problem, {name: states[name] for name in stage}), chosen)
            rows.append(jax.tree.map(lambda a: a[None], first))

        def advance(state, _, problem=problem, own=own, prepared=prepared, states=states):
            state = jax.lax.fori_loop(0, every, lambda _, s: own.step(problem, prepared, s), state)
            now = problem.activities(own.potentials(state))
            return state, observed(net, phase, {**states, **now}, residual(problem, now), chosen)

        state, further = jax.lax.scan(advance, state, length=points)
        rows.append(further)
        u = {**u, **own.potentials(state)}
        settled = problem.activities({name: u[name] for name in stage})
        states, known = {**states, **settled}, {**known, **settled}
        worst.append(residual(problem, settled))
    end = ended(net, relaxing, states, u, jnp.max(jnp.stack(worst), axis=0), len(stages) * points * every)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *rows), end


def at_rest(net: Network, relaxing: Sequence[str], clamped: Activities) -> Activities:
    """Potentials of 0."""
    some = next(iter(clamped.values()))
    return {name: jnp.zeros((net.populations[name].grid.size, some.shape[-1]), some.dtype) for name in relaxing}


def observed(net: Network, phase: Phase, states: Activities, residuals: Float[Array, " batch"], chosen: Chosen) -> Rows:
    """One point of a trajectory: chosen activities, energies and residuals."""
    units, samples = chosen
    activities = {name: states[name][numbers][:, samples].T for name, numbers in units.items()}
    energies = energy(net, states, relaxed=phase.relaxing(net), extra=phase.terms)
    return activities, energies[samples], residuals[samples]


def ended(
    net: Network,
    relaxing: Sequence[str],
    states: Activities,
    u: Activities,
    residuals: Float[Array, " batch"],
    steps: int,
) -> Relaxation:
    """Return the last point as a relaxation; its samples stopped, or diverged."""
    status = jnp.where(bounded(residuals, u), Status.STOPPED, Status.DIVERGED)
    shapes = tuple((name, net.populations[name].grid.shape) for name in relaxing)
    return Relaxation(states, u, residuals, jnp.full(status.shape, steps, jnp.int32), status, shapes)


def recorded(rows: Sequence[Rows], chosen: Chosen, interval: float, end: Relaxation) -> Trajectory:
    """Make a trajectory of consecutive stacks of points."""
    activities, energies, residuals = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(list(rows)))
    units = {name: np.asarray(numbers) for name, numbers in chosen[0].items()}
    time = interval * np.arange(len(energies), dtype=float)
    return Trajectory(time, activities, energies, residuals, units, np.asarray(chosen[1]), end)


def check_steps(steps: int, every: int) -> tuple[int, int]:
    """Return the number of steps, and of steps between two points.

    Raises
    ------
    ValueError
        If one is below 1, or the last step would not be recorded.
    """
    steps, every = whole(steps, "The number of steps"), whole(every, "every")
    if steps % every:
        raise ValueError(
            f"The last of {steps} steps would not be recorded with every={every}; use a multiple of {every} steps."
        )
    return steps, every


def check_chosen(
    net: Network,
    relaxing: Sequence[str],
    entries: Activities,
    units: Mapping[str, Any] | None,
    samples: Any,
    points: int,
) -> Chosen:
    """Return which units and samples are recorded.

    Raises
    ------
    ValueError
        If one does not exist, or if so many points would be more than `MOST_NUMBERS` numbers.
    """
    if units is None:
        units = {name: np.arange(net.populations[name].grid.size) for name in relaxing}
    for name in units:
        if name not in relaxing:
            raise ValueError(
                f"Population {name!r} does not relax, so that it has no path; there are "
                f"{', '.join(map(repr, relaxing))}."
            )
    batch = next(iter(entries.values())).shape[-1]
    own = {
        name: _numbers(numbers, net.populations[name].grid.size, f"neurons of {name!r}")
        for name, numbers in units.items()
    }
    some = _numbers(np.arange(batch) if samples is None else samples, batch, "samples")
    numbers = points * len(some) * (2 + sum(map(len, own.values())))
    if numbers > MOST_NUMBERS:
        raise ValueError(
            f"A trajectory of {points} points, {len(some)} samples and {sum(map(len, own.values()))} units holds "
            f"{numbers:.2g} numbers, more than {MOST_NUMBERS:.2g}; choose `samples` and `units`, or a larger `every`."
        )
    return own, some


def _numbers(value: Any, count: int, what: str) -> Int[np.ndarray, " _"]:
    try:
        numbers = np.atleast_1d(np.asarray(value))
    except ValueError:
        numbers = np.zeros(0)
    good = numbers.ndim == 1 and numbers.size > 0 and numbers.dtype.kind in "iu"
    if not good or numbers.min() < 0 or numbers.max() >= count:
        raise ValueError(f"The {what} to record must be whole numbers from 0 to {count - 1}, got {value!r}.")
    return numbers.astype(np.int32)
