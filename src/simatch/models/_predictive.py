"""Predictive coding: populations that predict each other, on chains and on directed acyclic graphs."""

import functools
import graphlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import number, whole
from ..learning import ContrastRule, GradientRule, Rule, RuleByTerm, StartedAt, encode
from ..network import (
    Activation,
    Activities,
    Connectivity,
    Copy,
    Dense,
    Grid,
    Network,
    Nudge,
    Population,
    Prediction,
    Term,
)
from ..relaxation import Descent, Phase, settle
from ._layered import Layer
from ._supervised import Supervised

LABEL = "label"
RATE = 0.1

# How a network of predictions learns a task.
Learning = Callable[[Network], Supervised]


def predictive_settled(net: Network) -> Supervised:
    """Let a network of predictions learn from settled errors, with the output clamped to the target.

    All states relax to the minimum of the energy F, half of the sum of all squared errors, and all parameters descend
    it: ``dW = <e f(r)'>``. This is not the gradient of the error of the output. The functions f should be smooth: where
    F has kinks, as with ``"relu"``, states settle slowly or not at all.

    Parameters
    ----------
    net : Network
        Of `simatch.Prediction` terms, with one population that predicts no other: the output. All others relax or are
        inputs.

    Returns
    -------
    Supervised

    Raises
    ------
    ValueError
        If there is not one output, if no population lies between inputs and output, or if predictions form a circle.

    References
    ----------
    Rao and Ballard 1999; Whittington and Bogacz 2017; ``docs/models/predictive.md``.

    Examples
    --------
    >>> from simatch.models import predictive, predictive_settled
    >>> len(predictive(784, [500], 10, learning=predictive_settled).rule.phases)
    1
    """
    # The residual is relative to the states: at a loose tolerance small errors would never reach hidden populations.
    return _supervised(net, GradientRule(_clamped(net)), tolerance=1e-3)


def predictive_nudged(net: Network, beta: float = 0.1) -> Supervised:
    """Let a network of predictions learn from a weak nudge of its output towards the target.

    Parameters change by the difference of the minima of ``F + beta |r - y|^2 / 2`` and F, divided by beta. As beta
    falls to 0 this becomes the gradient of ``|r - y|^2 / 2``, as fast as beta.

    Parameters
    ----------
    net : Network
        As in `predictive_settled`.
    beta : float
        Strength of the nudge, finite and not 0. In single precision errors below 1e-3 or so are lost in rounding.

    Returns
    -------
    Supervised

    Raises
    ------
    ValueError
        As in `predictive_settled`, or if `beta` is out of range.

    References
    ----------
    Scellier and Bengio 2017; Millidge et al. 2022; ``docs/models/predictive.md``.

    Examples
    --------
    >>> import functools
    >>> from simatch.models import predictive, predictive_nudged
    >>> learning = functools.partial(predictive_nudged, beta=0.01)
    >>> len(predictive(784, [500], 10, learning=learning).rule.phases)
    2
    """
    nudge = Nudge(_output(net), LABEL, number(beta, "beta") / 2)
    free, nudged = Phase(net.inputs), Phase([*net.inputs, LABEL], terms=[nudge], start="previous")
    return _supervised(net, ContrastRule(free, nudged, beta), tolerance=1e-4)


def predictive_scheduled(net: Network) -> Supervised:
    """Let a network of predictions learn while its states move, in an order that makes this back-propagation.

    States start at the feedforward pass, where all errors are 0 except that of the output, which is clamped to the
    target. Populations take one step of length 1 each, those nearest to the output first. The synapses onto a
    population learn when its error has just arrived, before populations further down move. Their change is exactly
    minus the gradient of ``|r - y|^2 / 2``, in as many steps as the graph is deep.

    If a population predicts others at different distances from the output, an error would reach it twice, and the
    second one would come too late. Copies of its state (`simatch.Copy`) then carry it to the nearer ones.

    Parameters
    ----------
    net : Network
        As in `predictive_settled`.

    Returns
    -------
    Supervised
        Its network has the copies, if any were needed.

    Raises
    ------
    ValueError
        As in `predictive_settled`.

    References
    ----------
    Song, Lukasiewicz, Xu, Bogacz, NeurIPS 2020; Salvatori, Song, Xu, Lukasiewicz, Bogacz, AAAI 2022;
    ``docs/models/predictive.md``.

    Examples
    --------
    >>> from simatch.models import predictive, predictive_scheduled
    >>> len(predictive(784, [100, 50], 10, learning=predictive_scheduled).rule.phases)
    3
    """
    net = _with_copies(net)
    levels = _levels(net)
    rules = []
    for level in range(max(levels[name] for name in net.layers) + 1):
        moving = [name for name in net.layers if levels[name] == level > 0]
        start = "previous" if level else "rest"
        rules.append(GradientRule(_clamped(net, start=start, steps=1, solver=Descent(step_size=1.0, moving=moving))))
    return _supervised(net, RuleByTerm(rules, of=[levels[term.populations[-1]] for term in net.terms]))


def predictive(
    input: Grid | int,
    hidden: Sequence[Layer | int],
    outputs: int,
    *,
    activation: str | Activation = "tanh",
    learning: Learning = predictive_scheduled,
    seed: int = 0,
) -> Supervised:
    """Build a chain of layers, each of which predicts the next one.

    The populations are called ``"input"``, ``"layer1"``, ... and ``"output"``. Layer l+1 is predicted to be
    ``W_l f(r_l) + b_l``; the input enters as it is, and the output is the last prediction.

    Parameters
    ----------
    input : Grid or int
        Height, width and channels of the input; a whole number n stands for n inputs without geometry.
    hidden : sequence of Layer or int
        From the bottom to the top, at least one; a number stands for so many units that all inputs reach. Of a `Layer`,
        the activation, the scales and the lateral synapses are not used.
    outputs : int
        Number of output units, at least 1.
    activation : str or Activation
        f of the hidden layers.
    learning : callable
        From a network to a `Supervised`: `predictive_scheduled`, `predictive_settled` or `predictive_nudged`.
    seed : int
        Seed of the initial weights, at least 0.

    Returns
    -------
    Supervised

    Raises
    ------
    ValueError
        If a setting is out of range, or a layer does not fit.

    References
    ----------
    Whittington and Bogacz 2017; Song et al., NeurIPS 2020; ``docs/models/predictive.md``.

    Examples
    --------
    >>> from simatch.models import predictive
    >>> predictive(784, [500], 10).network.synapses
    397000
    """
    if not hidden:
        raise ValueError("A network needs at least one hidden layer, got none.")
    below = input if isinstance(input, Grid) else Grid(1, 1, input)
    sizes, connectivity, name = {"input": below}, {}, "input"
    layers = [layer if isinstance(layer, Layer) else Layer(units=layer) for layer in hidden]
    names = [*(f"layer{p}" for p in range(1, len(layers) + 1)), "output"]
    for above, layer in zip(names, [*layers, Layer(units=whole(outputs, "The number of outputs"))], strict=True):
        forward, _ = layer.connectivity(sizes[name])
        sizes[above], connectivity[above], name = forward.post, {name: forward}, above
    return _learned(sizes, connectivity, activation, learning, seed)


def predictive_graph(
    sizes: Mapping[str, Grid | int],
    parents: Mapping[str, Sequence[str]],
    *,
    activation: str | Activation = "tanh",
    learning: Learning = predictive_scheduled,
    seed: int = 0,
) -> Supervised:
    """Build a directed acyclic graph of populations, each of which is predicted by its parents together.

    Parameters
    ----------
    sizes : mapping of str to Grid or int
        For each population its grid; a whole number n stands for n neurons without geometry.
    parents : mapping of str to sequence of str
        For each population that is predicted, the names of those that predict it, with synapses between all neurons.
        Populations without parents are inputs. Exactly one is nobody's parent: the output.
    activation, learning, seed
        As in `predictive`.

    Returns
    -------
    Supervised

    Raises
    ------
    ValueError
        If a setting is out of range, a population is unknown, there is not one output, or predictions form a circle.

    References
    ----------
    Salvatori, Song, Xu, Lukasiewicz, Bogacz, AAAI 2022; ``docs/models/predictive.md``.

    Examples
    --------
    A connection that skips a layer:

    >>> from simatch.models import predictive_graph
    >>> model = predictive_graph(
    ...     {"input": 4, "a": 8, "b": 8, "output": 2},
    ...     {"a": ["input"], "b": ["a"], "output": ["a", "b"]},
    ... )
    >>> model.network.synapses
    128
    """
    grids = {name: size if isinstance(size, Grid) else Grid(1, 1, size) for name, size in sizes.items()}
    for name in {**parents, **{own: () for names in parents.values() for own in names}}:
        if name not in grids:
            raise ValueError(f"Population {name!r} has no size; there are sizes of {', '.join(map(repr, grids))}.")
    connectivity = {
        name: {parent: Dense(grids[parent], grids[name]) for parent in own} for name, own in parents.items()
    }
    return _learned(grids, connectivity, activation, learning, seed)


def _learned(
    grids: Mapping[str, Grid],
    connectivity: Mapping[str, Mapping[str, Connectivity]],
    activation: str | Activation,
    learning: Learning,
    seed: int,
) -> Supervised:
    """Build a network from the connectivity between each population and its parents, and let it learn."""
    populations = {name: Population(grid, "linear" if name in connectivity else None) for name, grid in grids.items()}
    terms = [
        Prediction(
            list(own),
            name,
            list(own.values()),
            [activation if parent in connectivity else "linear" for parent in own],
        )
        for name, own in connectivity.items()
    ]
    return learning(Network(populations, terms, seed=seed))


def _supervised(net: Network, rule: Rule, tolerance: float = 1e-2) -> Supervised:
    read = functools.partial(_read, output=_output(net))
    return Supervised(net, StartedAt(rule, _start), read, RATE, tolerance=tolerance)


def _clamped(net: Network, **how: Any) -> Phase:
    """Phase in which the inputs and the output are clamped."""
    return Phase({**{name: name for name in net.inputs}, _output(net): LABEL}, **how)


def _feedforward(net: Network) -> Network:
    """Return the network without feedback: its populations relax one after the other, to the feedforward pass."""
    terms = [
        Prediction(term.pre, term.post, term.connectivity, term.functions, feedback=0.0, parameters=term.parameters)
        if isinstance(term, Prediction)
        else Copy(term.pre, term.post, feedback=0.0)
        for term in _checked(net)
    ]
    return Network(net.populations, terms)


def _start(net: Network, entries: Activities) -> Activities:
    """Feedforward pass; the states of linear populations are their potentials."""
    tolerance = jnp.asarray(1e-6, next(iter(entries.values())).dtype)
    return settle(_feedforward(net), entries, None, tolerance, phase=Phase(net.inputs)).states


def _read(net: Network, x: Any, tolerance: float, *, output: str) -> np.ndarray:
    return encode(_feedforward(net), x, layers=output, phase=Phase(net.inputs), tolerance=tolerance)


def _checked(net: Network) -> tuple[Prediction | Copy, ...]:
    for term in net.terms:
        if not isinstance(term, Prediction | Copy):
            raise ValueError(f"A network of predictions has only terms sm.Prediction and sm.Copy, got {term!r}.")
    return net.terms  # pyright: ignore[reportReturnType]


def _parents(net: Network) -> dict[str, tuple[str, ...]]:
    """For each population that is predicted, those that predict it."""
    return {term.populations[-1]: term.populations[:-1] for term in _checked(net)}


def _levels(net: Network) -> dict[str, int]:
    """For each population, the output first, its longest distance from the output."""
    parents = _parents(net)
    if missing := [name for name in net.layers if name not in parents]:
        raise ValueError(f"Nothing predicts population {missing[0]!r}; give it parents.")
    try:
        order = tuple(graphlib.TopologicalSorter(parents).static_order())
    except graphlib.CycleError as error:
        circle = ", ".join(map(repr, error.args[1]))
        raise ValueError(f"Predictions form a circle, {circle}; remove one of them.") from None
    levels: dict[str, int] = {}
    for name in reversed(order):
        children = [child for child, own in parents.items() if name in own]
        levels[name] = 1 + max((levels[child] for child in children), default=-1)
    last = [name for name, level in levels.items() if level == 0]
    if len(last) != 1:
        raise ValueError(
            f"One population, the output, must have parents and no children, but {', '.join(map(repr, last))} have."
        )
    if len(parents) == 1:
        raise ValueError("No population lies between the inputs and the output; add a hidden one.")
    return levels


def _output(net: Network) -> str:
    """Name of the only population that predicts no other."""
    levels = _levels(net)
    return min(levels, key=lambda name: levels[name])


def _with_copies(net: Network) -> Network:
    """Return the network in which each population predicts only others of the next lower level.

    The copies stand in for the population at the levels in between.
    """
    levels, populations = _levels(net), dict(net.populations)
    terms: list[Term] = []

    def stand_in(name: str, level: int) -> str:
        """Name of the population, or of its copy, at this level; copies are added where they are missing."""
        if name in net.inputs or levels[name] == level:
            return name
        copy = f"{name}, copy at {level}"
        if copy not in populations:
            populations[copy] = net.populations[name]
            terms.append(Copy(stand_in(name, level + 1), copy))
        return copy

    for term in _checked(net):
        if isinstance(term, Copy):
            terms.append(term)
            continue
        pre = [stand_in(name, levels[term.post] + 1) for name in term.pre]
        terms.append(Prediction(pre, term.post, term.connectivity, term.functions, parameters=term.parameters))
    return Network(populations, terms)
