"""Calibration: setting the scale of the structure constants from data."""

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from .._checks import number, whole
from ..network import (
    Activities,
    Network,
    Pathway,
    Term,
    in_default_precision,
    optimal_parameters,
    with_feedback,
    without_feedback,
)
from ..relaxation import (
    ConvergenceWarning,
    Inputs,
    Solver,
    Status,
    check_inputs,
    check_solving,
    count_samples,
    rows_of,
    settle,
    shaped,
)
from ._batches import check_plan, order_of
from ._health import HealthWarning, root_mean_square
from ._train import DivergenceError

# Samples on which scales are searched for, and checked at the end.
_SAMPLES = 500
# Most steps of a search, the relative deviation from the level at which it ends, and that of which a user is told.
_STEPS, _NEAR, _FAR = 60, 0.05, 0.2
# Steps of a search without a better one after which it ends, if activities jump over the level.
_PATIENCE = 10
# Factor by which activities may stray from the level before scales are found anew. Bounds are at twice the level.
_STRAYED = 1.5
# By how much activities change at most in one batch of learning, and in a step of the search if there are none or too
# large ones to measure.
_GENTLE, _BLIND = 1.25, 10.0
# Share of the distance to the level, as a logarithm, in one step of the search.
_PART = 2 / 3
_TOLERANCE = 1e-2


def calibrate(
    net: Network,
    x: Inputs,
    *,
    level: float = 0.5,
    batches: int = 60,
    batch_size: int = 100,
    rate: float = 0.05,
    seed: int = 0,
    solver: Solver | None = None,
) -> Network:
    """Set the scale of the feedforward structure constants of every layer so that activities have a given size.

    Activities grow with the square root of the scale. At first the scales are found at which activities on some samples
    have the wished size, and weights the size of their optimum; inputs may have any size. Then the network relaxes on
    batch after batch. After each, its parameters move towards their optimum for the activities, and the scale is raised
    in layers whose activities are smaller than `level`, and lowered in layers whose activities are larger. The weights
    are rescaled with it, so that they stay near their optimum (``W ~ scale^(3/2)``, ``L ~ scale`` for a linear layer).
    All this is without feedback, which is switched on at the end (`simatch.with_feedback`); then scales are found
    anew.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), or dict of such arrays
        At most ``500 + batches * batch_size`` samples are read.
    level : float
        Target for the root mean square of the activities of every layer, above 0 and below the bounds of the
        activities, so below 1 for tanh. Layers without bounds have it too.
    batches, batch_size : int
        Number of batches, at least 1, and samples in each.
    rate : float
        Fraction of the distance to their optimum that parameters move in each batch, between 0 and 1.
    seed : int
        Seed of the order of samples, at least 0.
    solver : Solver, optional
        `Blockwise` by default.

    Returns
    -------
    Network
        The network with new scales, and with weights that fit these scales.

    Raises
    ------
    ValueError
        If a setting is out of range, if the input does not fit or is 0 everywhere, or if a term has parameters whose
        optimum for given activities has no closed form (`simatch.Term.optimum`).
    DivergenceError
        If activities grow without bound, or scales and weights leave the range of numbers.

    Warns
    -----
    HealthWarning
        If the activities of a layer differ from `level` by more than 20 % at the end.
    ConvergenceWarning
        If some samples did not settle at the end.

    References
    ----------
    Section 7 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> from sklearn.datasets import load_digits
    >>> x = load_digits().images
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> net = sm.calibrate(net, x - x.mean((1, 2), keepdims=True), level=0.4)
    >>> net.feedforward[0].scale < 0.1
    Array(True, dtype=bool)
    """
    net = in_default_precision(net)
    _check(net, level, batches, batch_size, rate, seed, solver)
    x = shaped(net, x)
    count = count_samples(x)
    chosen = np.random.default_rng(seed).permutation(count)[:_SAMPLES]
    few = check_inputs(net, rows_of(x, chosen), numbers=chosen)
    if not any(r.any() for r in few.values()):
        raise ValueError("The input is 0 everywhere, so that no scale makes a layer respond; pass real samples.")
    strengths = [pathway.feedback for pathway in net.feedforward]
    # Before anything is learned, layers that hear each other would excite each other until they ignore the input.
    net = _search(without_feedback(net), few, level, solver)
    epochs = int(batches) * min(int(batch_size), count) / count
    for chosen in order_of(count, epochs=epochs, batch_size=batch_size, seed=seed):
        batch = check_inputs(net, rows_of(x, chosen), numbers=chosen)
        net = _follow(net, batch, jnp.asarray(level), jnp.asarray(rate), solver)
    net = _search(with_feedback(net, strengths), few, level, solver)
    _judge(net, few, level, solver)
    return net


def recalibrated(net: Network, x: Inputs, *, level: float = 0.5, solver: Solver | None = None) -> Network:
    """Find scales anew if the activities of some layer have strayed from the level by a factor of more than 1.5.

    Scales and sizes of weights change; what the weights have learned is kept.

    Parameters
    ----------
    net : Network
        As `calibrate` has set it, perhaps long ago.
    x : array of shape (samples, ...), or dict of such arrays
        Not 0 everywhere.
    level : float
        As in `calibrate`.
    solver : Solver, optional
        `Blockwise` by default.

    Returns
    -------
    Network
        `net` itself if its activities are near the level.

    Raises
    ------
    ValueError
        If the input does not fit.
    DivergenceError
        If scales and weights leave the range of numbers.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.learning import recalibrated
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net = sm.calibrate(sm.layered(4, [sm.Layer(units=2)]), x)
    >>> recalibrated(net, 1.2 * x) is net
    True
    >>> bool(recalibrated(net, 1000 * x).feedforward[0].scale < 1e-5 * net.feedforward[0].scale)
    True
    """
    net = in_default_precision(net)
    inputs = check_inputs(net, x)
    _, levels, _ = _nearer(net, inputs, jnp.asarray(level), jnp.asarray(_TOLERANCE), solver)
    near = all(level / _STRAYED < float(own) < level * _STRAYED for own in levels.values())
    if near:
        return net
    found = _search(net, inputs, level, solver)
    _require_finite(found)
    return found


def _check(
    net: Network, level: float, batches: int, batch_size: int, rate: float, seed: int, solver: Solver | None
) -> None:
    """Raise ValueError if a setting is out of range."""
    number(level, "The level of activity", above=0)
    for name in _calibrated(net):
        f = net.activations[name]
        bound = max(abs(f.lower), abs(f.upper))
        if level >= bound:
            raise ValueError(
                f"The level of activity must be below the bound {bound:g} of the activities of {name!r}, got {level!r}."
            )
    whole(batches, "The number of batches")
    if not 0 <= number(rate, "The rate") <= 1:
        raise ValueError(f"The rate must be a fraction of a distance, between 0 and 1, got {rate!r}.")
    check_plan(batches, batch_size)
    whole(seed, "The seed", least=0)
    check_solving(solver)


def _search(net: Network, few: Activities, level: float, solver: Solver | None) -> Network:
    """Find scales, and sizes of weights that are optimal at these scales, at which all layers are near the level.

    With strong feedback there may be none: activities jump between small ones and their bounds. Then the search ends
    with the best scales that it has seen.
    """
    before: dict[str, float] = {}
    best, least, since, sides = net, math.inf, 0, set()
    for step in range(_STEPS):
        last = net
        net, levels, _ = _nearer(net, few, jnp.asarray(level), jnp.asarray(_TOLERANCE), solver)
        off = _off(levels, level, _NEAR)
        # The first step also gives weights the size of their optimum, which changes activities. Units at their bounds
        # for those samples that drive them at all do not become more active.
        done = all(0 < own < level and abs(before.get(name, 0.0) / own - 1) < _NEAR / 10 for name, own in off.items())
        if step and done:
            break
        before = off
        distances = [abs(math.log(own / level)) if 0 < own < math.inf else math.inf for own in off.values()]
        away = max(distances, default=0.0)
        if away < least:
            best, least, since, sides = last, away, step, set()
        sides |= {(name, own < level) for name, own in off.items() if 0 < own < math.inf}
        jumping = any((name, True) in sides and (name, False) in sides for name in off)
        if jumping and step - since >= _PATIENCE:
            return best
    return net


def _off(levels: dict[str, Float[Array, ""]], level: float, most: float) -> dict[str, float]:
    """Levels that deviate from the wished one by more than a share `most` of it."""
    return {name: float(own) for name, own in levels.items() if not abs(float(own) / level - 1) <= most}


def _judge(net: Network, few: Activities, level: float, solver: Solver | None) -> None:
    """Raise an error, or warn, if the network is not what was asked for."""
    _, levels, status = _nearer(net, few, jnp.asarray(level), jnp.asarray(_TOLERANCE / 10), solver)
    _require_finite(net, bool(jnp.any(status == Status.DIVERGED)))
    unsettled = int(jnp.sum(status == Status.MAX_STEPS))
    if unsettled:
        warnings.warn(
            f"{unsettled} of {status.size} samples had not settled at the end of calibration; lower the feedback, or "
            "raise the solver's max_steps.",
            ConvergenceWarning,
            stacklevel=3,
        )
    off = _off(levels, level, _FAR)
    if off:
        reached = ", ".join(f"{own:.2g} in {name!r}" for name, own in off.items())
        warnings.warn(
            f"Calibration for activities of {level:g} reached {reached}; choose another level, lower the feedback, or "
            "standardise the data.",
            HealthWarning,
            stacklevel=3,
        )


def _require_finite(net: Network, diverged: bool = False) -> None:
    """Raise DivergenceError if a scale or a weight has left the range of numbers, or activities have."""
    numbers = jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array))
    if diverged or not (all(jnp.all(jnp.isfinite(a)) for a in numbers) and all(p.scale > 0 for p in net.pathways)):
        raise DivergenceError(
            "Calibration found no scales at which activities and weights stay finite; divide the data by their "
            "standard deviation, or lower the feedback.",
            net,
        )


@eqx.filter_jit
def _nearer(
    net: Network, inputs: Activities, level: Float[Array, ""], tolerance: Float[Array, ""], solver: Solver | None
) -> tuple[Network, dict[str, Float[Array, ""]], Int[Array, " samples"]]:
    """One step of the search; the level of every layer and the status of every sample before it.

    Weights are multiplied so that activities get the level, and the scale so that these weights have the size of their
    optimum. The other order would lead, for small inputs, through lateral weights near 0, where relaxation is slow. If
    some activities grow without bound, the drive is lowered, which weakens feedback.
    """
    out = settle(net, inputs, solver, tolerance)
    bad = jnp.any(out.status == Status.DIVERGED)
    pairs = list(zip(net.terms, optimal_parameters(net, out.states), strict=True))

    def distance(name: str, within: bool) -> Float[Array, ""]:
        return _ratio([pair for pair in pairs if _is_into(pair[0], name) and _is_within(pair[0]) == within])

    levels = _levels(net, out.states)
    # Part of the way, because layers that feed back to each other would overshoot.
    factors = {name: jnp.where(bad, 1, _factor(level, own) ** _PART) for name, own in levels.items()}
    changes = {}
    for name, factor in factors.items():
        # Size of the optimal lateral weights at the level; the drive grows with it, so that activities do not.
        larger = jnp.where(bad, 1, distance(name, True) * factor**2)
        wider = jnp.where(bad, 1, larger / distance(name, False))
        changes[name] = (wider, jnp.where(bad, 1 / _BLIND, factor * larger)), (1.0, larger)
    return _multiplied(net, changes, factors), levels, out.status


@eqx.filter_jit
def _follow(
    net: Network, inputs: Activities, level: Float[Array, ""], rate: Float[Array, ""], solver: Solver | None
) -> Network:
    """Move parameters towards their optimum on one batch, and scales towards the level.

    If some activities grow without bound, nothing is learned, and scales are lowered, which weakens feedback.
    """
    out = settle(net, inputs, solver, jnp.asarray(_TOLERANCE, level.dtype))
    bad = jnp.any(out.status == Status.DIVERGED)
    # This step has the same fixed points as the learning rule, but its pace does not depend on the scale.
    best = optimal_parameters(net, out.states)
    learned = jax.tree.map(lambda w, b: jnp.where(bad, w, w + rate * (b - w)), net.parameters, best)
    factors = {
        name: jnp.where(bad, 1 / _GENTLE, jnp.clip(_factor(level, own), 1 / _GENTLE, _GENTLE))
        for name, own in _levels(net, out.states).items()
    }
    changes = {name: ((f**2, f**3), (1.0, f**2)) for name, f in factors.items()}
    return _multiplied(net.with_parameters(learned), changes, factors)


def _calibrated(net: Network) -> tuple[str, ...]:
    """Names of the layers whose level a scale can set."""
    return tuple(name for name in net.layers if any(_is_into(p, name) and not _is_within(p) for p in net.pathways))


def _is_into(term: Term, name: str) -> bool:
    return isinstance(term, Pathway) and term.post == name


def _is_within(term: Term) -> bool:
    return isinstance(term, Pathway) and term.pre == term.post


def _levels(net: Network, states: Activities) -> dict[str, Float[Array, ""]]:
    return {name: root_mean_square(states[name]) for name in _calibrated(net)}


def _factor(level: Float[Array, ""], own: Float[Array, ""]) -> Float[Array, ""]:
    """Factor on activities that leads to the level; activities that are not finite are too large."""
    return jnp.where(jnp.isfinite(own), jnp.where(own > 0, level / own, _BLIND), 1 / _BLIND)


def _ratio(pairs: Sequence[tuple[Term, PyTree]]) -> Float[Array, ""]:
    """Factor that brings the weights of some terms nearest to their optimum; 1 if there is none above 0."""

    def product(of: Callable[[Term, PyTree], tuple[PyTree, PyTree]]) -> Float[Array, ""]:
        leaves = [zip(*map(jax.tree.leaves, of(*pair)), strict=True) for pair in pairs]
        return sum((jnp.sum(u * v) for u, v in itertools.chain(*leaves)), start=jnp.zeros(()))

    along, own = product(lambda term, best: (term.parameters, best)), product(lambda term, _: (term.parameters,) * 2)
    ratio = along / jnp.where(own > 0, own, 1)
    return jnp.where(jnp.isfinite(ratio) & (ratio > 0), ratio, 1)


def _multiplied(net: Network, changes: Mapping[str, tuple[Any, Any]], below: Mapping[str, Float[Array, ""]]) -> Network:
    """Multiply scale and weights of all pathways into some layers: of those from other populations, and lateral ones.

    Weights from populations whose activities grow by a factor given in `below` get this factor less.
    """

    def one(term: Term) -> Term:
        if not isinstance(term, Pathway) or term.post not in changes:
            return term
        within = _is_within(term)
        scale, size = changes[term.post][within]
        grown = 1.0 if within else below.get(term.pre, 1.0)
        weights: PyTree = jax.tree.map(lambda w: w * (size / grown), term.parameters)
        return eqx.tree_at(lambda p: (p.scale, p.parameters), term, (term.scale * (scale / grown**2), weights))

    return eqx.tree_at(lambda n: n.terms, net, tuple(map(one, net.terms)))
