"""Weights before learning that suit the data: their size, and units that respond."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._checks import whole
from ..network import (
    Activities,
    Network,
    Pathway,
    Term,
    in_default_precision,
    optimal_parameters,
    signs_of,
    with_feedback,
    without_feedback,
)
from ..relaxation import Inputs, Solver, Status, check_inputs, check_solving, count_samples, rows_of, settle, shaped

# Most samples that sizes are found from, about how many numbers these hold at most, and most steps.
_SAMPLES, _NUMBERS, _STEPS = 500, 1 << 23, 40
# Step in the logarithm of a size. For one linear layer the errors of the logarithms are multiplied by 1 - g and 1 - 2 g
# at a step g, so 2/3 makes both as small as possible.
_STEP = 2 / 3
# A change of a size by at most so much, as a logarithm, ends the search.
_ENOUGH = 0.05


def sized(net: Network, x: Inputs, *, seed: int = 0, solver: Solver | None = None) -> Network:
    """Multiply the weights of every term by a factor, so that they have the size of their optimum for the data.

    Initial weights know nothing of the size of the data. With inputs of size 1e-3 or 1e4, learning first spends many
    steps on this factor, or diverges. Each step of the search relaxes the network and compares the weights of each term
    with those that are optimal for the activities. The search is without feedback, which is then switched on as by
    `simatch.with_feedback`; if activities have no bound then, weights that raise them are halved until they have.

    Parameters
    ----------
    net : Network
        Usually before learning; a network without feedback at the optimum of learning does not change.
    x : array of shape (samples, ...), or dict of such arrays
        At most 500 samples of them, chosen at random, are used.
    seed : int
        Seed of the choice of samples, at least 0.
    solver : Solver, optional
        `Blockwise` by default.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the input does not fit, or if a term has parameters whose optimum for given activities has no closed form.

    References
    ----------
    Section 10 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = 1e4 * np.random.default_rng(0).normal(size=(200, 5))
    >>> net = sm.sized(sm.layered(5, [sm.Layer(units=2, activation="linear")]), x)
    >>> bool(1e7 < net.lateral[0].to_dense()[0, 0] < 1e9)
    True
    """
    net = in_default_precision(net)
    check_solving(solver)
    inputs = _few(net, x, _generator(seed))
    strengths, alone = [pathway.feedback for pathway in net.feedforward], without_feedback(net)
    if alone is net or not any(strengths):
        return _sized(net, inputs, solver)
    # Layers that hear each other may have no size at which the search rests: larger activities ask for larger weights.
    net = with_feedback(_sized(alone, inputs, solver), strengths)
    for _ in range(_STEPS):
        if not bool(_step(net, inputs, solver)[2]):
            break
        net = _weaker(net)
    return net


def _sized(net: Network, inputs: Activities, solver: Solver | None) -> Network:
    settled, too_strong = net, False
    for _ in range(_STEPS):
        following, change, diverged = _step(net, inputs, solver)
        if bool(diverged):
            net, too_strong = _weaker(net), True  # these activities say nothing about sizes
            continue
        settled, net = net, following
        if not float(change) > _ENOUGH:
            break
    # Near feedback at which activities have no bound they are large and settle slowly. Learning keeps the margin.
    return _weaker(settled) if too_strong else settled


def imprinted(net: Network, x: Inputs, *, seed: int = 0, solver: Solver | None = None) -> Network:
    """Let every unit whose activity cannot be negative begin with the response to one sample, chosen at random.

    With random weights, half of such units are silent for all samples if the mean of the data is far from 0, and silent
    units do not learn. The imprinted weights have the size of the random ones, a tenth of which is kept.

    Parameters
    ----------
    net : Network
        Before learning.
    x : array of shape (samples, ...), or dict of such arrays
        At most 500 samples of them, chosen at random, are used.
    seed : int
        Seed of the choice of samples, at least 0.
    solver : Solver, optional
        `Blockwise` by default.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the input does not fit, or if a term has parameters whose optimum for given activities has no closed form.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = 1 + 0.1 * np.random.default_rng(0).normal(size=(200, 50))
    >>> net = sm.layered(50, [sm.Layer(units=8, activation="relu")])
    >>> [int(np.sum(sm.encode(n, x).max(axis=0) > 0)) for n in (net, sm.imprinted(net, x))]
    [6, 8]
    """
    net = in_default_precision(net)
    check_solving(solver)
    rng = _generator(seed)
    inputs = _few(net, x, rng)
    for name in net.layers:
        if net.activations[name].lower < 0:
            continue
        net = sized(net, x, seed=seed, solver=solver)
        size, samples = net.populations[name].grid.size, next(iter(inputs.values())).shape[-1]
        alone = np.zeros((size, samples))
        # Neighbours get different samples as long as there are enough.
        alone[np.arange(size), np.resize(rng.permutation(samples), size)] = 1
        net = _imprint(net, inputs, jnp.asarray(alone, float), solver, name)
    return net


@eqx.filter_jit
def _imprint(net: Network, inputs: Activities, alone: Float[Array, "_ samples"], solver: Solver | None, name: str):
    states = settle(net, inputs, solver, jnp.asarray(1e-2, float)).states
    best = optimal_parameters(net, {**states, name: alone})

    def mixed(term: Term, own: PyTree) -> PyTree:
        if not isinstance(term, Pathway) or term.post != name or term.pre == name:
            return term.parameters
        return jax.tree.map(
            lambda w, b: 0.1 * w + b * jnp.sqrt(jnp.sum(w**2) / jnp.maximum(jnp.sum(b**2), jnp.finfo(b.dtype).tiny)),
            term.parameters,
            own,
        )

    return net.with_parameters([mixed(*pair) for pair in zip(net.terms, best, strict=True)])


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(whole(seed, "The seed", least=0))


def _few(net: Network, x: Inputs, rng: np.random.Generator) -> Activities:
    """Some samples, chosen at random."""
    numbers = sum(population.grid.size for population in net.populations.values())
    most = min(_SAMPLES, max(_NUMBERS // numbers, 50))
    x = shaped(net, x)
    chosen = rng.permutation(count_samples(x))[:most]
    return check_inputs(net, rows_of(x, chosen), numbers=chosen)


@eqx.filter_jit
def _step(net: Network, inputs: Activities, solver: Solver | None):
    out = settle(net, inputs, solver, jnp.asarray(1e-3, float))
    states = out.states
    logarithms = [
        _STEP * _logarithm(term, best) for term, best in zip(net.terms, optimal_parameters(net, states), strict=True)
    ]
    factors = [jnp.exp(change) for change in logarithms]
    parameters = [
        jax.tree.map(lambda w, f=factor: w * f, term.parameters)
        for term, factor in zip(net.terms, factors, strict=True)
    ]
    return (
        net.with_parameters(parameters),
        jnp.max(jnp.abs(jnp.stack(logarithms))),
        jnp.any(out.status == Status.DIVERGED),
    )


def _weaker(net: Network) -> Network:
    """Halve the weights that raise activities, so that those that lower them win."""
    return net.with_parameters(
        [jax.tree.map(lambda sign, w: w / 2 if sign < 0 else w, signs_of(t), t.parameters) for t in net.terms]
    )


def _logarithm(term: Term, best: PyTree):
    """Logarithm of the factor on the weights that brings them nearest to their optimum; 0 if there is none above 0."""

    def product(a: PyTree, b: PyTree):
        return sum((jnp.sum(u * v) for u, v in zip(*map(jax.tree.leaves, (a, b)), strict=True)), start=jnp.zeros(()))

    along, own = product(term.parameters, best), product(term.parameters, term.parameters)
    factor = along / jnp.where(own > 0, own, 1)
    # A single step is bounded because a layer that barely responds says little about its size.
    return jnp.clip(jnp.where(factor > 0, jnp.log(jnp.where(factor > 0, factor, 1)), 0), -20, 20)
