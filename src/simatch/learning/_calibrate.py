"""Setting the scale of the structure constants from data."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, Pathway, Term, optimal_parameters
from ..relaxation import Inputs, Solver, check_inputs, count_samples, settle
from ._batches import epochs_of
from ._statistics import root_mean_square


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
    """Set the scale of every layer's feedforward structure constants so that activities use the graded range.

    The network learns from a few batches while, after each, the scale of a layer that is too quiet is
    raised and of one that is too loud lowered. Activities grow with the square root of the scale; weights
    are rescaled with it (``W ~ scale^(3/2)``, ``L ~ scale``: the optimum of a linear layer), so that the
    balance holds at once.

    Parameters
    ----------
    net : Network
    x : array of samples, or a dict of them
    level : float
        Wanted root mean square of the activities; between 0 and 1 for bounded units.
    batches, batch_size : int
        How much to learn from.
    rate : float
        Share of the way to their momentary optimum that weights go with every batch.
    seed : int
        Seed of the order of samples.

    Returns
    -------
    Network
        With new scales, and weights that fit them.

    Raises
    ------
    ValueError
        If `level` is not above 0, if the input does not fit or is 0 everywhere, or if a term has parameters whose
        optimum for given activities has no closed form.

    References
    ----------
    Section 7 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> from sklearn.datasets import load_digits
    >>> x = load_digits().images / 16
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> net = sm.calibrate(net, x - x.mean((1, 2), keepdims=True), level=0.4)
    >>> bool(net.feedforward[0].scale > 0)
    True
    """
    if not level > 0:
        raise ValueError(f"The level of activity must be above 0, got {level!r}.")
    if not any(jnp.any(r) for r in check_inputs(net, x).values()):
        raise ValueError("The input is 0 everywhere, so that no scale makes a layer respond; pass real samples.")
    count = count_samples(x)
    epochs = batches * min(batch_size, count) / count
    for batch in epochs_of(x, epochs=epochs, batch_size=batch_size, seed=seed):
        net = _adjust(net, check_inputs(net, batch), jnp.asarray(level), jnp.asarray(rate), solver)
    return net


@eqx.filter_jit
def _adjust(
    net: Network, inputs: Activities, level: Float[Array, ""], rate: Float[Array, ""], solver: Solver | None
) -> Network:
    out = settle(net, inputs, solver, jnp.asarray(1e-2, level.dtype))
    # The same fixed points as plasticity, approached at the same pace whatever the scale.
    best = optimal_parameters(net, out.states)
    net = net.with_parameters(jax.tree.map(lambda w, b: w + rate * (b - w), net.parameters, best))
    factor = {
        name: jnp.clip(level / jnp.maximum(rms, 1e-6), 0.8, 1.25)
        for name, rms in root_mean_square(net, out.states).items()
    }
    terms = tuple(_rescaled(term, factor[term.populations[-1]]) for term in net.terms)
    return eqx.tree_at(lambda n: n.terms, net, terms)


def _rescaled(term: Term, factor: Float[Array, ""]) -> Term:
    if not isinstance(term, Pathway):
        return term
    across = term.pre != term.post
    scale = term.scale * factor**2 if across else term.scale
    weights: PyTree = jax.tree.map(lambda w: w * factor ** (3 if across else 2), term.parameters)
    return eqx.tree_at(lambda p: (p.scale, p.parameters), term, (scale, weights))
