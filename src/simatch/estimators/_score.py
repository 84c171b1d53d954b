"""How well the outputs of a network match the similarities of its inputs, on data of any size."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ..learning import encode, samples_at_once
from ..network import Activities, Network, activity_costs, cost_shares, energy_gradients, optima
from ..relaxation import Solver, is_sparse
from ._rows import Rows, parts

# Rows whose similarities to all others are computed at a time.
_ROWS = 512


def primal_cost(net: Network, X: Any, *, solver: Solver | None, tolerance: float) -> float:
    """Primal cost (8) as `simatch.similarity_cost` defines it, computed some samples at a time.

    It is a function of mean correlations and mean costs of activities, which are averaged over the batches.

    Parameters
    ----------
    net : Network
        A chain of layers with one input.
    X : array, `Rows` or CSR matrix of shape (samples, features)
    solver, tolerance
        See `simatch.relax`.
    """
    (entry,) = set(net.populations) - set(net.layers)
    features = encode(net, X, layers=net.layers, solver=solver, tolerance=tolerance)
    ends = np.cumsum([net.populations[name].grid.size for name in net.layers])
    states, gradients, costs, size = {}, None, 0.0, samples_at_once(net)
    for begin in range(0, X.shape[0], size):
        rows = X[begin : begin + size]
        parts = np.split(features[begin : begin + size], ends[:-1], axis=1)
        states = {entry: rows.toarray() if is_sparse(rows) else rows, **dict(zip(net.layers, parts, strict=True))}
        states = {name: jnp.asarray(part.T) for name, part in states.items()}
        own = jax.tree.map(lambda a, share=rows.shape[0] / X.shape[0]: share * a, _means(net, states))
        gradients = own[0] if gradients is None else jax.tree.map(jnp.add, gradients, own[0])
        costs += float(own[1])
    assert gradients is not None
    best = net.with_parameters(optima(net, gradients))
    shares = [share for _, share in cost_shares(best, states, gradients)]
    return 2 * (costs + float(sum(map(jnp.sum, jax.tree.leaves(shares)))))


@eqx.filter_jit
def _means(net: Network, states: Activities) -> tuple[PyTree, Float[Array, ""]]:
    """Mean slope of the energy in all parameters, and mean cost of the activities."""
    costs = activity_costs(net, states).values()
    return energy_gradients(net, states), sum((jnp.mean(jnp.sum(c, axis=0)) for c in costs), start=jnp.zeros(()))


def mean_squared_similarity(X: Any) -> float:
    """Mean of ``(x . x')^2`` over all pairs of samples: the squared norm of X'X, or of XX', whichever is smaller.

    Parameters
    ----------
    X : array, `Rows` or CSR matrix of shape (samples, features)
    """
    if isinstance(X, Rows):
        return _mean_squared_similarity(X)
    few = X if X.shape[0] <= X.shape[1] else X.T
    few = few.tocsr() if is_sparse(few) else few
    total = 0.0
    for begin in range(0, few.shape[0], _ROWS):
        similarities = few[begin : begin + _ROWS] @ few.T
        total += float(np.sum(np.square(similarities.data if is_sparse(similarities) else similarities, dtype=float)))
    return total / X.shape[0] ** 2


def _mean_squared_similarity(X: Rows) -> float:
    """`mean_squared_similarity` of data that are read some rows, or of many rows some columns, at a time."""
    total, (samples, features) = 0.0, X.shape
    if samples <= features:
        products = (rows @ others.T for rows in parts(X) for others in parts(X))
    else:
        columns = (slice(begin, begin + _ROWS) for begin in range(0, features, _ROWS))
        products = (sum(rows[:, some].T @ rows for rows in parts(X)) for some in columns)
    for product in products:
        total += float(np.sum(np.square(product, dtype=float)))
    return total / samples**2
