"""Several inputs into one population, labels among them: multi-view and supervised similarity matching."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import number, whole
from ..learning import AveragingRule, RegressionRule, RuleByTerm, encode, imprinted, sized
from ..network import (
    Activation,
    AntiHebbian,
    Dense,
    Grid,
    Hebbian,
    Leak,
    Network,
    Population,
    Term,
    WhitenedHebbian,
)
from ..relaxation import Phase
from ._layered import Layer
from ._supervised import Supervised

UNITS, LABEL, OUTPUT = "units", "label", "output"
KINDS = {"weight": Hebbian, "whiten": WhitenedHebbian}


def multiview(
    views: Mapping[str, Grid | int] | Grid | int,
    units: Layer | int,
    outputs: int,
    *,
    regularisers: Mapping[str, str] | None = None,
    scales: Mapping[str, float] | None = None,
    label_weight: float = 0.1,
    activation: str | Activation = "relu",
    samples: Any = None,
    seed: int = 0,
) -> Supervised:
    """Build a network of supervised similarity matching: labels are one more input of a population.

    While it learns, the population settles with its inputs and the label, so that samples of one class become more
    similar. Label synapses are whitened: two samples of a class that occurs with frequency p count as more similar by
    ``label_weight / (outputs p)``. Then it settles once more without the label, and a linear output regresses the label
    on these activities. An answer uses the second phase alone: the label is absent, and the lateral synapses are
    unchanged.

    Parameters
    ----------
    views, units, regularisers, scales, activation, seed
        As in `multiview_network`; a single grid or number stands for one view named "input".
    outputs : int
        Number of classes (targets are one-hot) or of other targets, at least 1.
    label_weight : float
        Mean squared length with which one-hot labels count in the similarity, above 0. At 1 they count as much as
        inputs of mean squared length 1: divide inputs by the root of theirs. Far above that of the inputs, activities
        without the label differ much from those with it.
    samples : array of shape (samples, ...), or dict of such arrays, optional
        Inputs without labels, of which some hundred are enough, to which the initial weights of units that cannot be
        negative respond (`simatch.imprinted`), and which determine their size (`simatch.sized`). By default initial
        weights are random: from inputs whose mean is far from 0, such as raw images, all units may then learn the same.
        All views need the regulariser "weight".

    Returns
    -------
    Supervised
        Its answers are estimates of the targets, so that the largest is the predicted class. The populations are the
        views, "label", "units" and "output".

    Raises
    ------
    ValueError
        If a setting is out of range, or names a view that is not there.

    References
    ----------
    Bahroun, Sridharan, Acharya, Chklovskii, Sengupta 2023, arXiv 2308.02427; ``docs/models/multiview.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from simatch.models import multiview
    >>> digits = load_digits()
    >>> x, y = digits.data / 16, np.eye(10)[digits.target]
    >>> model, reports = multiview(64, 40, 10).fit(x[:1500], y[:1500], epochs=2)
    >>> bool((model.outputs(x[1500:]).argmax(axis=1) == digits.target[1500:]).mean() > 0.8)
    True
    """
    views = dict(views) if isinstance(views, Mapping) else {"input": views}
    net = multiview_network(views, units, regularisers=regularisers, scales=scales, activation=activation, seed=seed)
    if samples is not None:
        net = sized(imprinted(net, samples, seed=seed), samples, seed=seed)
    classes, own = Grid(1, 1, whole(outputs, "The number of outputs")), net.populations[UNITS]
    if taken := views.keys() & {LABEL, OUTPUT}:
        raise ValueError(f"A view has the name {min(taken)!r}, which stands for a population of the model; rename it.")
    label = WhitenedHebbian(
        LABEL,
        UNITS,
        Dense(classes, own.grid),
        scale=number(label_weight, "label_weight", above=0) / classes.size,
        parameters=jnp.zeros((own.grid.size, classes.size)),
    )
    answer = WhitenedHebbian(
        UNITS, OUTPUT, Dense(own.grid, classes), parameters=jnp.zeros((classes.size, own.grid.size))
    )
    populations = {
        **{name: net.populations[name] for name in views},
        LABEL: Population(classes),
        UNITS: own,
        OUTPUT: Population(classes, "linear"),
    }
    terms: list[Term] = [*net.terms, label, answer, Leak(OUTPUT)]
    with_label = Phase([*views, LABEL], absent=[OUTPUT])
    without = Phase({**{name: name for name in views}, OUTPUT: LABEL}, absent=[LABEL])
    last = len(terms) - 2
    rule = RuleByTerm(
        [RegressionRule(AveragingRule(with_label)), RegressionRule(AveragingRule(without), [last])],
        of=[int(i >= last) for i in range(len(terms))],
    )
    answering = Phase(list(views), absent=[LABEL])
    return Supervised(Network(populations, terms), rule, functools.partial(_read, phase=answering), target=LABEL)


def multiview_network(
    views: Mapping[str, Grid | int],
    units: Layer | int,
    *,
    regularisers: Mapping[str, str] | None = None,
    scales: Mapping[str, float] | None = None,
    activation: str | Activation = "relu",
    seed: int = 0,
) -> Network:
    """Build one population with lateral synapses and any number of inputs, without labels.

    Its activities match the sum of the similarities of all views. A view with the regulariser "weight" counts with the
    dot product of its samples, ``c x.x'``, one with "whiten" with that of its whitened samples, ``c x' Cxx^-1 x'``.
    With linear units and all views whitened it finds canonical correlations.

    Parameters
    ----------
    views : mapping of str to Grid or int
        For each view, its name and its height, width and channels; a number n stands for n inputs without geometry.
    units : Layer or int
        Number of neurons, each connected to all inputs. Or a `Layer`, of which only the geometry is used; it must fit
        on all views.
    regularisers : mapping of str to "weight" or "whiten", optional
        For views by name; the others have "weight".
    scales : mapping of str to float, optional
        Share c of views by name in the similarity, above 0; the others have 1.
    activation : str or Activation
        Of the units.
    seed : int
        Seed of the initial weights, at least 0.

    Returns
    -------
    Network
        Its population of units is named "units". With whitened views, train it by ``RegressionRule(AveragingRule())``.

    Raises
    ------
    ValueError
        If a setting is out of range, or names a view that is not there.

    References
    ----------
    Bahroun, Sridharan, Acharya, Chklovskii, Sengupta 2023, arXiv 2308.02427; ``docs/models/multiview.md``.

    Examples
    --------
    >>> from simatch.models import multiview_network
    >>> net = multiview_network({"image": 64, "sound": 20}, 10, regularisers={"sound": "whiten"})
    >>> [type(pathway).__name__ for pathway in net.pathways]
    ['Hebbian', 'WhitenedHebbian', 'AntiHebbian']
    """
    grids = {name: grid if isinstance(grid, Grid) else Grid(1, 1, grid) for name, grid in views.items()}
    regularisers, scales = dict(regularisers or {}), dict(scales or {})
    for given in (*regularisers, *scales):
        if given not in grids:
            raise ValueError(f"There is no view {given!r}; there are {', '.join(map(repr, grids)) or 'none'}.")
    if not grids or UNITS in grids:
        raise ValueError(
            f"A network needs at least one view, and none of the name {UNITS!r}; got {', '.join(grids) or 'none'}."
        )
    layer = units if isinstance(units, Layer) else Layer(units=whole(units, "The number of units"))
    terms: list[Term] = []
    for name, grid in grids.items():
        kind = regularisers.get(name, "weight")
        if kind not in KINDS:
            raise ValueError(f'The regulariser of {name!r} must be "weight" or "whiten", got {kind!r}.')
        scale = number(scales.get(name, 1.0), f"The scale of {name!r}", above=0)
        terms.append(KINDS[kind](name, UNITS, layer.connectivity(grid)[0], scale=scale))
    lateral = layer.connectivity(next(iter(grids.values())))[1]
    populations = {name: Population(grid) for name, grid in grids.items()}
    populations[UNITS] = Population(lateral.post, activation)
    return Network(populations, [*terms, AntiHebbian(UNITS, lateral)], seed=seed)


def _read(net: Network, x: Any, tolerance: float, *, phase: Phase) -> np.ndarray:
    return encode(net, x, layers=OUTPUT, phase=phase, tolerance=tolerance)
