"""Populations that hear each other, relaxed in turn."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..network import Activities
from ._accelerated import Accelerated
from ._blocks import settle_alone, suits, unless_done
from ._iteration import bounded, relative
from ._problem import Problem
from ._settings import count_field
from ._solver import Settled, Solver, Status

# Most steps of a population within a sweep, natively and elsewhere. Most blocks need two or three. Newton steps alone
# may go in circles where an activation has a kink; after those native code goes on with other steps.
INNER_STEPS, INNER_STEPS_ELSEWHERE = 100, 20
# Tolerance of a population within a sweep, as a share of that of the stage.
INNER_TOLERANCE = 0.1
# Forces are extrapolated by at most so many times their last change: more would only help very near instability.
FARTHEST = 4.0
# Steps are not longer than 1 over this curvature.
FLATTEST = 0.1

PerSample = Float[Array, " samples"]


class _Sweep(NamedTuple):
    """State between two sweeps.

    Attributes
    ----------
    potentials, activities : dict of str to array of shape (neurons, samples)
    pulls, ahead : dict of str to array of shape (neurons, samples)
        Forces of the others on the populations of the first group, and those for which these relax next.
    change : dict of str to array of shape (neurons, samples)
        Forces after the last sweep, minus those for which the first group relaxed in it.
    value, steps, status : array of shape (samples,)
        As in `Settled`.
    """

    potentials: Activities
    activities: Activities
    pulls: Activities
    ahead: Activities
    change: Activities
    value: PerSample
    steps: Int[Array, " samples"]
    status: Int[Array, " samples"]


@final
class Coupled(Solver):
    """Relax the populations of a stage in turn, each by its own blocks while the others stay as they are.

    A step is one sweep over the populations, in groups that do not hear each other, the smallest first; in a chain of
    layers these are every other layer. A population without lateral synapses reaches its minimum in one proximal step;
    blocks of neurons relax as in `Blockwise`, from where they were, to a tenth of the tolerance. The forces on
    the first group are extrapolated, for every sample, as the last two sweeps suggest (Anderson acceleration with a
    memory of one sweep), by at most four times their last change; not so where a start is given, whose nearest fixed
    point is wanted. The residual of the first group is measured from the forces that the next sweep needs anyway.

    The fixed points are those of the joint dynamics. No length of a step has to be found, and the joint energy need not
    be convex; if it is not, the fixed point that is reached may be another one than that of smaller steps. Stages
    with energies that are not quadratic are left to `Accelerated`.

    Parameters
    ----------
    max_steps : int
        Largest number of sweeps, at least 1; a sample that has not converged by then gets the status MAX_STEPS.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Section 6 of ``docs/mathematics.md``; Beck and Tetruashvili 2013 (descent by blocks); Walker and Ni 2011 (Anderson
    acceleration).

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Coupled(max_steps=100).max_steps
    100
    """

    max_steps: int = count_field("max_steps", 1000)

    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        if not _solvable(problem):
            return Accelerated().solve(problem, start, tolerance, max_steps)
        most, groups = max_steps or self.max_steps, _groups(problem)
        if len(groups) == 1:
            # Nothing to take turns with.
            return settle_alone(problem, start, tolerance, most, max_steps)

        def unfinished(sweep):
            return jnp.any(_active(sweep, most))

        # From given activities the nearest fixed point is wanted; extrapolation may carry them over to another one,
        # which the contrast of two phases takes for an effect of the nudge.
        farthest = FARTHEST if start is None else 0.0

        def advance(sweep):
            return _advanced(problem, groups, sweep, tolerance, most, farthest)

        last = jax.lax.while_loop(unfinished, advance, _begun(problem, groups, start, tolerance))
        return Settled(
            last.potentials if problem.potentials else {}, last.activities, last.value, last.steps, last.status
        )


def suits_in_turn(problem: Problem) -> bool:
    """Whether several populations can relax in turn, all of them in native code or in closed form."""
    alone = (problem.alone(name, drive) for name, drive in problem.drive.items())
    return len(problem.sizes) > 1 and _solvable(problem) and all(map(suits, alone))


def _solvable(problem: Problem) -> bool:
    return all(own is not None for own in problem.own.values())


def _groups(problem: Problem) -> tuple[tuple[str, ...], ...]:
    """Populations in groups, as few as come of taking them one after the other, in which none hears another.

    The smallest comes first, as what is kept and measured from sweep to sweep belongs to the first.
    """
    groups: list[list[str]] = []
    for name in problem.sizes:
        for group in groups:
            if not problem.neighbours[name] & set(group):
                group.append(name)
                break
        else:
            groups.append([name])
    return tuple(map(tuple, sorted(groups, key=lambda group: sum(problem.sizes[name] for name in group))))


def _active(sweep: _Sweep, most: int):
    return (sweep.status == Status.MAX_STEPS) & (sweep.steps < most)


def _begun(
    problem: Problem, groups: Sequence[Sequence[str]], start: Activities | None, tolerance: Float[Array, ""]
) -> _Sweep:
    """State at given potentials; or from rest after a first sweep.

    In the first sweep each population hears those before it. Those of the other groups that come before one they hear
    then relax once more, so that this sweep, like all others, leads from forces on the first group to the next.
    """
    heard, defects = {}, {}
    if start is None:
        u, r, lost = jax.tree.map(jnp.zeros_like, problem.drive), {}, jnp.asarray(False)
        for name in (*problem.sizes, *_too_early(problem, groups)):
            pull = problem.pull(name, _without(r, name))
            own = _relaxed(problem, name, pull, u, tolerance)
            u, r, lost = {**u, **own.potentials}, {**r, **own.activities}, lost | (own.status == Status.DIVERGED)
            heard[name], defects[name] = pull, own.residual
    else:
        u, r = start, problem.activities(start)
        for name in groups[-1]:
            defects[name] = _defect(problem, name, problem.pull(name, _without(r, name)), r[name])
        lost = ~bounded(defects[groups[-1][0]], r)
    left = functools.reduce(jnp.maximum, (defects[name] for name in groups[-1]))
    pulls, value, status = _measured(problem, groups, r, left, lost, tolerance)
    return _Sweep(
        potentials=u,
        activities=r,
        pulls=pulls,
        ahead=pulls,
        change={name: pull - heard.get(name, pull) for name, pull in pulls.items()},
        value=value,
        steps=jnp.full_like(status, int(start is None)),
        status=status,
    )


def _too_early(problem: Problem, groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Populations, but for those of the first group, that come before one that they hear, or one of these."""
    early: list[str] = []
    order = {name: number for number, name in enumerate(problem.sizes)}
    for name in (name for group in groups[1:] for name in group):
        if any(order[other] > order[name] or other in early for other in problem.neighbours[name]):
            early.append(name)
    return tuple(early)


def _measured(
    problem: Problem,
    groups: Sequence[Sequence[str]],
    r: Activities,
    left: PerSample,
    lost: Bool[Array, " samples"],
    tolerance: Float[Array, ""],
) -> tuple[Activities, PerSample, Int[Array, " samples"]]:
    """Forces on the first group, the residual, where that of the last group is known, and what it says.

    Activities of samples that are lost have grown without bound.
    """
    pulls, value = {}, left
    for number, group in enumerate(groups[:-1]):
        for name in group:
            pull = problem.pull(name, _without(r, name))
            value = jnp.maximum(value, _defect(problem, name, pull, r[name]))
            if number == 0:
                pulls[name] = pull
    status = jnp.where(value <= tolerance, Status.CONVERGED, Status.MAX_STEPS)
    return pulls, value, jnp.where(lost | jnp.isnan(value), Status.DIVERGED, status).astype(jnp.int32)


def _advanced(
    problem: Problem,
    groups: Sequence[Sequence[str]],
    sweep: _Sweep,
    tolerance: Float[Array, ""],
    most: int,
    farthest: float,
) -> _Sweep:
    """Sweep once more where that is needed."""
    # What is done stays as it is, so no result depends on the other samples of the batch.
    active = _active(sweep, most)
    u, r, left, lost = sweep.potentials, sweep.activities, jnp.zeros_like(sweep.value), jnp.asarray(False)
    for group in groups:
        left = jnp.zeros_like(left)
        for name in group:
            pull = sweep.ahead[name] if name in sweep.ahead else problem.pull(name, _without(r, name))
            own = _relaxed(problem, name, pull, u, tolerance, ~active)
            u, r, lost = {**u, **own.potentials}, {**r, **own.activities}, lost | (own.status == Status.DIVERGED)
            left = jnp.maximum(left, own.residual)
    pulls, value, status = _measured(problem, groups, r, left, lost, tolerance)
    change = jax.tree.map(jnp.subtract, pulls, sweep.ahead)
    ahead = _extrapolated(sweep.pulls, pulls, sweep.change, change, farthest)
    value, status = jnp.where(active, value, sweep.value), jnp.where(active, status, sweep.status)
    return _Sweep(u, r, pulls, ahead, change, value, sweep.steps + active, status)


def _extrapolated(before: Activities, now: Activities, last: Activities, change: Activities, farthest: float):
    """Forces at which a sweep would change nothing, if it changed them along the line through the last two.

    `last` and `change` are what the sweeps before and the last one have changed.
    """
    if farthest == 0:
        return now
    turn = jax.tree.map(jnp.subtract, last, change)
    along = sum(jnp.sum(turn[name] * change[name], axis=0) for name in now)
    whole = sum(jnp.sum(turn[name] ** 2, axis=0) for name in now)
    weight = jnp.clip(along / jnp.where(whole > 0, whole, 1), 0, farthest)
    return {name: pull + weight * (pull - before[name]) for name, pull in now.items()}


def _without(r: Activities, name: str) -> Activities:
    return {other: own for other, own in r.items() if other != name}


def _defect(problem: Problem, name: str, pull: Float[Array, "neurons samples"], r: Float[Array, "neurons samples"]):
    """Residual of one population, for the forces of the others on it."""
    own = problem.own[name]
    assert own is not None
    columns = r.reshape(len(own), -1, r.shape[-1])
    # A product of matrices of size 1 would be a pass of its own.
    back = own[:, 0] * r if own.shape[1] == 1 else (own @ columns).reshape(r.shape)
    change = problem.activations[name](r + pull - back) - r
    return relative(change, r)


def _relaxed(
    problem: Problem,
    name: str,
    pull: Float[Array, "neurons samples"],
    u: Activities,
    tolerance: Float[Array, ""],
    done: Bool[Array, " samples"] | None = None,
) -> Settled:
    """One population at its minimum for given forces; samples that are done stay where they are."""
    own, activation = problem.own[name], problem.activations[name]
    assert own is not None
    alone, start = problem.alone(name, pull), {name: u[name]}
    if own.shape[1] == 1:
        # The proximal step of length 1 / c ends at the minimum of F + c r^2 / 2 - d r, wherever it starts. A nudge away
        # from a target may leave a curvature c of 0 or less: then a long step down.
        c, now = own[:, 0], activation(u[name])
        length = 1 / jnp.maximum(c, FLATTEST)
        potentials = activation.prox(now + length * (pull - c * now), length)
        activities = {name: activation(potentials)}
        zero = jnp.zeros(pull.shape[-1], pull.dtype)
        status = jnp.where(bounded(zero, activities), Status.CONVERGED, Status.DIVERGED)
        settled = Settled({name: potentials}, activities, zero, jnp.ones_like(zero, jnp.int32), status)
        return unless_done(alone, done, start, settled)
    return settle_alone(alone, start, INNER_TOLERANCE * tolerance, INNER_STEPS, INNER_STEPS_ELSEWHERE, done)
