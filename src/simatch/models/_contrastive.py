"""Contrastive (supervised) similarity matching, and equilibrium propagation: two phases, free and nudged."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import number, whole
from ..learning import ContrastRule, GradientRule, KeptStates, Plasticity, RandomSign, Rate, Rule, RuleByTerm, encode
from ..network import (
    Activation,
    AntiHebbian,
    Bias,
    Connectivity,
    Dense,
    Grid,
    Hebbian,
    Leak,
    Network,
    Nudge,
    Population,
)
from ..relaxation import Accelerated, Coupled, Descent, Phase, Solver
from ._layered import Layer
from ._supervised import Supervised

OUTPUT = "output"
# Numbers of steps of the free and of the nudged phase; None stands for a phase that settles.
Steps = tuple[int | None, int | None]


def contrastive(
    input: Grid | int,
    hidden: Sequence[Layer | int],
    outputs: int,
    *,
    beta: float = 1.0,
    rates: Sequence[float] | None = None,
    lateral_rate: float = 0.01,
    activation: str | Activation = "clip",
    steps: Steps = (None, None),
    step_size: float = 0.5,
    samples: int | None = None,
    seed: int = 0,
) -> Supervised:
    """Build a network of contrastive similarity matching.

    Feedforward weights and biases learn from the difference of a nudged and a free phase; lateral weights of the hidden
    layers learn from the nudged phase alone, by the anti-Hebbian rule with decay.

    Parameters
    ----------
    input : Grid or int
        Height, width and channels of the input; a whole number n stands for n inputs without geometry.
    hidden : sequence of Layer or int
        From the bottom to the top, at least one; a number stands for so many units that all inputs reach. Of a `Layer`,
        the activation and the scales are not used, and it may have no `lateral_structure`.
    outputs : int
        Number of output units, at least 1.
    beta : float
        Strength of the nudge, above 0.
    rates : sequence of float, optional
        Learning rates of the feedforward synapses and biases of each layer, the first the largest; by default 0.5, and
        for each further layer three quarters of that of the layer below.
    lateral_rate : float
        Learning rate of the lateral synapses, above 0: ``dL = lateral_rate / (2 beta) (<r r'> - L)``.
    activation : str or Activation
        Of hidden and output units.
    steps : tuple of two ints or Nones
        Steps of length `step_size` in the free and in the nudged phase, as published (20, 4); None: the phase settles.
    step_size : float
        Above 0.
    samples : int, optional
        Number of training samples whose states are kept between epochs, as published; by default every sample starts
        from rest.
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
    Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021); ``docs/models/contrastive.md``.

    Examples
    --------
    >>> from simatch.models import contrastive
    >>> contrastive(784, [500], 10).network.synapses
    647000
    """
    rates = _rates(rates, len(hidden) + 1, 0.75)
    beta = number(beta, "beta", above=0)
    net = _network(input, hidden, outputs, activation, lateral=True, seed=seed)
    free, nudged = _phases(net, beta, steps, step_size)
    rule = RuleByTerm(
        [ContrastRule(free, nudged, beta), GradientRule(nudged)], of=[int(term.signs == 1) for term in net.terms]
    )
    kinds = {"descending": rates[0], "ascending": number(lateral_rate, "The lateral rate", above=0) / beta}
    return _supervised(net, rule, kinds, rates, samples, free)


def equilibrium(
    input: Grid | int,
    hidden: Sequence[Layer | int],
    outputs: int,
    *,
    beta: float = 0.5,
    random_sign: bool = False,
    lateral: bool = False,
    rates: Sequence[float] | None = None,
    lateral_rate: float = 0.75,
    activation: str | Activation = "clip",
    steps: Steps = (None, None),
    step_size: float = 0.5,
    samples: int | None = None,
    seed: int = 0,
) -> Supervised:
    """Build a network of equilibrium propagation.

    All synapses learn from the difference of a nudged and a free phase.

    Parameters
    ----------
    input, hidden, outputs, activation, steps, step_size, samples, seed
        As in `contrastive`.
    beta : float
        Strength of the nudge, not 0.
    random_sign : bool
        Whether the nudge gets a random sign in every batch.
    lateral : bool
        Whether hidden layers have lateral synapses.
    rates : sequence of float, optional
        As in `contrastive`, but by default a quarter of that of the layer below.
    lateral_rate : float
        Learning rate of the lateral synapses, above 0.

    Returns
    -------
    Supervised

    Raises
    ------
    ValueError
        If a setting is out of range, or a layer does not fit.

    References
    ----------
    Scellier, Bengio 2017; Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021); ``docs/models/equilibrium.md``.

    Examples
    --------
    >>> from simatch.models import equilibrium
    >>> equilibrium(784, [500], 10).network.synapses
    397000
    """
    rates = _rates(rates, len(hidden) + 1, 0.25)
    net = _network(input, hidden, outputs, activation, lateral=lateral, seed=seed)
    free, nudged = _phases(net, beta, steps, step_size)
    rule: Rule = ContrastRule(free, nudged, beta)
    if random_sign:
        rule = RandomSign(rule, seed)
    # The derivative of r' L r / 2 has half of the published factor.
    kinds = {"descending": rates[0], "ascending": number(lateral_rate, "The lateral rate", above=0)}
    return _supervised(net, rule, kinds, rates, samples, free)


def _supervised(
    net: Network, rule: Rule, kinds: Rate, rates: Sequence[float], samples: int | None, free: Phase
) -> Supervised:
    if samples is not None:
        rule = KeptStates(rule, samples)
    factors = {}
    for pathway, rate in zip(net.feedforward, rates, strict=True):
        factors[f"{pathway.pre}->{pathway.post}"] = factors[f"bias of {pathway.post}"] = rate / rates[0]
    return Supervised(net, rule, functools.partial(_read, phase=free), kinds, Plasticity(net, factors))


def _read(net: Network, x: Any, tolerance: float, *, phase: Phase) -> np.ndarray:
    """Input currents of the outputs in a free phase: unlike their activities, they do not tie at a bound."""
    last = net.feedforward[-1]
    (bias,) = (term for term in net.terms if isinstance(term, Bias) and term.population == OUTPUT)
    below = jnp.asarray(encode(net, x, layers=last.pre, phase=phase, tolerance=tolerance))
    return np.asarray(last.connectivity.project(last.parameters, below.T) + bias.parameters[:, None]).T


def _rates(rates: Sequence[float] | None, layers: int, factor: float) -> list[float]:
    if rates is None:
        return [0.5 * factor**p for p in range(layers)]
    rates = [number(rate, "A learning rate", above=0) for rate in rates]
    if len(rates) != layers or max(rates) > rates[0]:
        raise ValueError(
            f"There are {layers} layers of feedforward synapses and {len(rates)} rates; give one for each, the first "
            "the largest."
        )
    return rates


def _phases(net: Network, beta: float, steps: Steps, step_size: float) -> tuple[Phase, Phase]:
    """Free and nudged phase: settled, or of a number of steps each."""
    first, second = steps
    nudge = Nudge(OUTPUT, "label", beta)
    return (
        Phase(["input"], steps=first, solver=_solver(net, first, step_size)),
        Phase(
            ["input", "label"], terms=[nudge], start="previous", steps=second, solver=_solver(net, second, step_size)
        ),
    )


def _solver(net: Network, steps: int | None, step_size: float) -> Solver:
    if steps is not None:
        return Descent(step_size=step_size)
    # With feedback of 1, joint steps of a layer whose units all inhibit each other take less time than sweeps.
    dense = any(isinstance(pathway.connectivity, Dense) for pathway in net.lateral)
    return Accelerated() if dense else Coupled()


def _network(
    input: Grid | int,
    hidden: Sequence[Layer | int],
    outputs: int,
    activation: str | Activation,
    *,
    lateral: bool,
    seed: int,
) -> Network:
    """Layers with leak, bias and full feedback; lateral synapses within the hidden layers."""
    if not hidden:
        raise ValueError("A network needs at least one hidden layer, got none.")
    rng = np.random.default_rng(whole(seed, "The seed", least=0))
    below = input if isinstance(input, Grid) else Grid(1, 1, input)
    populations, terms, name = {"input": Population(below)}, [], "input"
    layers = [layer if isinstance(layer, Layer) else Layer(units=layer) for layer in hidden]
    last = Layer(units=whole(outputs, "The number of outputs"))
    for p, layer in enumerate([*layers, last], start=1):
        above = OUTPUT if layer is last else f"layer{p}"
        forward, across = layer.connectivity(below)
        populations[above] = Population(forward.post, activation)
        weights = _uniform(forward, rng)
        feedback = 0.0 if p == 1 else 1.0
        terms += [
            Hebbian(name, above, forward, feedback=feedback, parameters=weights),
            Leak(above),
            Bias(above, forward.post),
        ]
        if lateral and layer is not last:
            # The network doubles the structure constants of a layer that hears the next; these are meant to be 1.
            terms.append(AntiHebbian(above, across, scale=0.5, parameters=_gram(layer, below, across, rng)))
        below, name = forward.post, above
    return Network(populations, terms)


def _uniform(connectivity: Connectivity, rng: np.random.Generator) -> Any:
    """Uniform weights of the width of Glorot and Bengio, from the synapses that exist."""
    ins, outs = (connectivity.synapses / grid.size for grid in (connectivity.post, connectivity.pre))
    bound = np.sqrt(6 / (ins + outs))
    dense = rng.uniform(-bound, bound, (connectivity.post.size, connectivity.pre.size))
    return connectivity.gather(dense)


def _gram(layer: Layer, below: Grid, across: Connectivity, rng: np.random.Generator) -> Any:
    """Lateral weights A A' of uniform A with rows of a mean squared length of 1.

    A reaches half as far as the lateral synapses, so that its product is positive definite and has no others.
    """
    if layer.lateral_structure is not None:
        raise ValueError(
            "Initial lateral weights of a contrast need synapses within a radius, but a layer has a lateral_structure; "
            "give it a lateral_radius instead."
        )
    half = None if layer.lateral_radius is None else layer.lateral_radius / 2
    _, near = dataclasses.replace(layer, lateral_radius=half).connectivity(below)
    exists = near.to_dense(near.normal(np.random.default_rng(0))) != 0
    a = np.zeros(exists.shape)
    bounds = np.sqrt(3 / exists.sum(axis=1))[np.nonzero(exists)[0]]
    a[exists] = rng.uniform(-bounds, bounds)
    return across.gather(a @ a.T)
