"""The one scalar that defines a network, and the costs built from it.

Everything here takes activities in the engine's layout: a dict from population name to a
``(neurons, samples)`` array, the inputs included.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._network import Network
from ._pathway import Pathway

Activities = dict[str, Float[Array, "_ samples"]]


def interactions(
    net: Network, activities: Activities, weights: tuple[PyTree, ...], of: Callable[[Pathway], bool] = lambda _: True
) -> Float[Array, " samples"]:
    """Sum of the terms in the bracket of (9) of all pathways, or of those that `of` chooses."""
    total = jnp.zeros(())
    for pathway, own in zip(net.pathways, weights, strict=True):
        if of(pathway):
            term = pathway.interaction(own, activities[pathway.pre], activities[pathway.post])
            total = total + net.importance[pathway.post] * term
    return total


def activity_costs(net: Network, activities: Activities) -> Activities:
    """Cost ``2 F(r)`` of every activity, weighted by the importance of its population."""
    costs = {}
    for name, activation in net.activations.items():
        costs[name] = 2 * net.importance[name] * activation.cost(activities[name])
    return costs


def energy(net: Network, activities: Activities) -> Float[Array, " samples"]:
    """Bracket of equation (9): the energy that the neural dynamics (10) descend, for every sample."""
    total = interactions(net, activities, net.weights)
    for cost in activity_costs(net, activities).values():
        total = total + jnp.sum(cost, axis=0)
    return total


def regularisers(net: Network, weights: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Terms of (9) outside the bracket, one number for every synapse."""
    terms = []
    for pathway, own in zip(net.pathways, weights, strict=True):
        importance = net.importance[pathway.post]
        terms.append(jax.tree.map(lambda t, s=importance: s * t, pathway.regulariser(own)))
    return tuple(terms)


def dual_cost(net: Network, activities: Activities, weights: tuple[PyTree, ...]) -> Float[Array, ""]:
    """Cost (9) at given activities and weights, averaged over the samples."""
    total = jnp.mean(energy(net.with_weights(weights), activities))
    for leaf in jax.tree.leaves(regularisers(net, weights)):
        total = total + jnp.sum(leaf)
    return total


def signals(net: Network, activities: Activities, axis: str | None = None) -> tuple[PyTree, ...]:
    """Derivative of the mean interactions in the weights: what synapses learn from.

    With the samples on several devices, inside ``jax.shard_map``, `axis` names the mesh axis along which they lie.
    """
    samples = next(iter(activities.values())).shape[-1]

    def own_signal(pathway: Pathway, weights: PyTree) -> PyTree:
        def total(weights):
            return jnp.sum(pathway.interaction(weights, activities[pathway.pre], activities[pathway.post]))

        # The factor comes last: there are fewer synapses than activities of many samples.
        factor = net.importance[pathway.post] / samples
        return jax.tree.map(lambda g: factor * g, jax.grad(total)(weights))

    means = tuple(own_signal(*pair) for pair in zip(net.pathways, net.weights, strict=True))
    return means if axis is None else jax.lax.pmean(means, axis)


def synaptic_terms(net: Network, signals: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Cost (9) of each synapse: ``-2 W r_i x_j + W^2/c`` and ``L r_i r_j - L^2/(2c)``, averaged over the samples.

    The interaction is linear in the weights, so that each synapse's share is its weight times its signal.
    """
    weights = net.weights
    return jax.tree.map(lambda w, g, r: w * g + r, weights, signals, regularisers(net, weights))


def decays(net: Network) -> tuple[PyTree, ...]:
    """Derivative of the regularisers in the weights."""

    def penalty(weights):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(regularisers(net, weights)))

    return jax.grad(penalty)(net.weights)


def synaptic_cost(net: Network, signals: tuple[PyTree, ...]) -> Float[Array, ""]:
    """Sum of all `synaptic_terms`, none of which is written down.

    A regulariser is quadratic in its weight, so that it is half the weight times its derivative.
    """
    parts = jax.tree.map(lambda w, g, d: jnp.vdot(w, g + d / 2), net.weights, signals, decays(net))
    return jax.tree.reduce(jnp.add, parts)


def optimal_weights(net: Network, activities: Activities) -> tuple[PyTree, ...]:
    """Weights at which the cost is stationary for given activities: ``W = c <r x'>``, ``L = (1 + gamma) c <r r'>``.

    The regulariser of a synapse is a multiple a of its squared weight and its interaction is linear, so that
    the optimum is ``-g / (2 a)``, g the interaction's derivative.
    """
    ones = jax.tree.map(jnp.ones_like, net.weights)
    return jax.tree.map(
        lambda g, a: jnp.where(a != 0, -g / (2 * jnp.where(a != 0, a, 1)), 0),
        signals(net, activities),
        regularisers(net, ones),
    )


def primal_cost(net: Network, activities: Activities) -> Float[Array, ""]:
    """Cost (8): what the dual cost becomes when the weights are optimal for the activities."""
    return dual_cost(net, activities, optimal_weights(net, activities))
