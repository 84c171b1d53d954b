"""Weights before learning that have the size which the data ask for."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..network import Activities, Network, Term, optimal_parameters
from ..relaxation import Inputs, Solver, Status, check_inputs, count_samples, rows_of, settle

# Most samples that sizes are found from, and most steps.
_SAMPLES, _STEPS = 500, 40
# Step in the logarithm of a size. For one linear layer the errors of the logarithms are multiplied by 1 - g and 1 - 2 g
# at a step g, so 2/3 makes both as small as possible.
_STEP = 2 / 3
# A change of a size by at most so much, as a logarithm, ends the search.
_ENOUGH = 0.05


def sized(net: Network, x: Inputs, *, seed: int = 0, solver: Solver | None = None) -> Network:
    """Multiply the weights of every term by a factor, so that they have the size of their optimum for the data.

    Initial weights know nothing of the size of the data. With inputs of size 1e-3 or 1e4, learning first spends many
    steps on this factor, or diverges. Each step of the search relaxes the network and compares the weights of each term
    with those that are optimal for the activities.

    Parameters
    ----------
    net : Network
        Usually before learning; a network at the optimum of learning does not change.
    x : array of samples, or dict of such arrays
        At most 500 samples of them, chosen at random, are used.
    seed : int
        Seed of the choice of samples.
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
    count = count_samples(x)
    chosen = np.random.default_rng(seed).permutation(count)[:_SAMPLES]
    inputs = check_inputs(net, rows_of(x, chosen))
    for _ in range(_STEPS):
        following, change, diverged = _step(net, inputs, solver)
        if bool(diverged):
            break  # these activities say nothing about sizes; learning itself reports that they diverge
        net = following
        if not float(change) > _ENOUGH:
            break
    return net


@eqx.filter_jit
def _step(net: Network, inputs: Activities, solver: Solver | None):
    out = settle(net, inputs, solver, jnp.asarray(1e-2, float))
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


def _logarithm(term: Term, best: PyTree):
    """Logarithm of the factor on the weights that brings them nearest to their optimum; 0 if there is none above 0."""

    def product(a: PyTree, b: PyTree):
        return sum((jnp.sum(u * v) for u, v in zip(*map(jax.tree.leaves, (a, b)), strict=True)), start=jnp.zeros(()))

    along, own = product(term.parameters, best), product(term.parameters, term.parameters)
    factor = along / jnp.where(own > 0, own, 1)
    # A single step is bounded because a layer that barely responds says little about its size.
    return jnp.clip(jnp.where(factor > 0, jnp.log(jnp.where(factor > 0, factor, 1)), 0), -20, 20)
