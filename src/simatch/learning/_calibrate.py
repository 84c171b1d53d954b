"""Calibration: setting the scale of the structure constants from data."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, Pathway, Term, optimal_parameters
from ..relaxation import Inputs, Solver, check_inputs, checked, count_samples, is_sparse, settle
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
    """Set the scale of the feedforward structure constants of every layer so that activities have a given size.

    The network relaxes on batch after batch. After each, its parameters move towards their optimum for the activities,
    and the scale is raised in layers whose activities are smaller than `level`, and lowered in layers whose activities
    are larger. Activities grow with the square root of the scale. The weights are rescaled with it, so that they stay
    near their optimum (``W ~ scale^(3/2)``, ``L ~ scale`` for a linear layer).

    Parameters
    ----------
    net : Network
    x : array of samples, SciPy sparse matrix, or dict of these
    level : float
        Target for the root mean square of the activities of every layer, above 0; below 1 for units bounded by 1.
    batches, batch_size : int
        Number of batches, and samples in each.
    rate : float
        Fraction of the distance to their optimum that parameters move in each batch, between 0 and 1.
    seed : int
        Seed of the order of samples.
    solver : Solver, optional
        `Blockwise` by default.

    Returns
    -------
    Network
        The network with new scales, and with weights that fit these scales.

    Raises
    ------
    ValueError
        If `level` is not above 0, if the input does not fit or is 0 everywhere, or if a term has parameters whose
        optimum for given activities has no closed form (`simatch.Term.optimum`).

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
    if not any((r.data if is_sparse(r) else r).any() for r in checked(net, x).values()):
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
    # This step has the same fixed points as the learning rule, but its pace does not depend on the scale.
    best = optimal_parameters(net, out.states)
    net = net.with_parameters(jax.tree.map(lambda w, b: w + rate * (b - w), net.parameters, best))
    factor = {
        name: jnp.clip(level / jnp.maximum(rms, 1e-6), 0.8, 1.25)
        for name, rms in root_mean_square(net, out.states).items()
    }
    terms = tuple(_rescaled(term, factor.get(term.populations[-1])) for term in net.terms)
    return eqx.tree_at(lambda n: n.terms, net, terms)


def _rescaled(term: Term, factor: Float[Array, ""] | None) -> Term:
    if factor is None or not isinstance(term, Pathway):
        return term
    across = term.pre != term.post
    scale = term.scale * factor**2 if across else term.scale
    weights: PyTree = jax.tree.map(lambda w: w * factor ** (3 if across else 2), term.parameters)
    return eqx.tree_at(lambda p: (p.scale, p.parameters), term, (scale, weights))
