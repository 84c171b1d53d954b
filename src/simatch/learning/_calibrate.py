"""Setting the scale of the structure constants from data."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import Network, Pathway, optimal_weights
from ..relaxation import Inputs, Solver, clamp, count_samples, settle
from ._statistics import root_mean_square
from ._training import epochs_of


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
        If `level` is not above 0, or the input does not fit or is 0 everywhere.

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
    if not any(jnp.any(r) for r in clamp(net, x).values()):
        raise ValueError("The input is 0 everywhere, so that no scale makes a layer respond; pass real samples.")
    count = count_samples(x)
    epochs = batches * min(batch_size, count) / count
    for batch in epochs_of(x, epochs=epochs, batch_size=batch_size, seed=seed):
        net = _adjust(net, clamp(net, batch), jnp.asarray(level), jnp.asarray(rate), solver)
    return net


@eqx.filter_jit
def _adjust(
    net: Network, inputs: dict, level: Float[Array, ""], rate: Float[Array, ""], solver: Solver | None
) -> Network:
    out = settle(net, inputs, solver, jnp.asarray(1e-2, level.dtype))
    # The same fixed points as plasticity, approached at the same pace whatever the scale.
    weights = jax.tree.map(lambda w, best: w + rate * (best - w), net.weights, optimal_weights(net, out.states))
    net = net.with_weights(weights)
    factor = {
        name: jnp.clip(level / jnp.maximum(rms, 1e-6), 0.8, 1.25)
        for name, rms in root_mean_square(net, out.states).items()
    }
    pathways = tuple(_rescaled(p, factor[p.post]) for p in net.pathways)
    return eqx.tree_at(lambda n: n.pathways, net, pathways)


def _rescaled(pathway: Pathway, factor: Float[Array, ""]) -> Pathway:
    hebbian = pathway.sign < 0
    scale = pathway.scale * factor**2 if hebbian else pathway.scale
    weights: PyTree = jax.tree.map(lambda w: w * factor ** (3 if hebbian else 2), pathway.weights)
    return eqx.tree_at(lambda p: (p.scale, p.weights), pathway, (scale, weights))
