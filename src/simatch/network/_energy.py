"""The one scalar that defines a network, and the costs built from it.

Everything here takes activities in the engine's layout: a dict from population name to a ``(neurons, samples)``
array, those of clamped populations included. A term counts if the activities of all populations that it reads are
there: a population that is absent takes its terms with it. Energies are half of the bracket of equation (9), as the
papers of the family write them; `simatch.objective` doubles them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._network import Network, described
from ._term import Term, signs_of

Activities = Mapping[str, Float[Array, "_ samples"]]


def present(terms: Sequence[Term], activities: Collection[str]) -> tuple[bool, ...]:
    """Whether each term has all the populations that it reads."""
    return tuple(all(name in activities for name in term.populations) for term in terms)


def term_energies(
    net: Network, terms: Sequence[Term], activities: Activities, *, of: Callable[[Term], bool] = lambda _: True
) -> Float[Array, " samples"]:
    """Sum of the energies of terms, each times its weight in the cost, for every sample."""
    total = jnp.zeros(())
    for term, there in zip(terms, present(terms, activities), strict=True):
        if there and of(term):
            own = term.energy(term.parameters, *(activities[name] for name in term.populations))
            total = total + net.term_weight(term) * own
    return total


def activity_costs(net: Network, activities: Activities, relaxed: Collection[str] | None = None) -> Activities:
    """Cost ``F(r)`` of every activity of the populations that relaxed, times the weight of its population."""
    relaxed = net.layers if relaxed is None else relaxed
    return {
        name: net.energy_weight[name] * activation.cost(activities[name])
        for name, activation in net.activations.items()
        if name in relaxed and name in activities
    }


def energy(
    net: Network, activities: Activities, *, relaxed: Collection[str] | None = None, extra: Sequence[Term] = ()
) -> Float[Array, " samples"]:
    """Energy that the neural dynamics (10) descend, for every sample: half of the bracket of equation (9).

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
    relaxed : collection of str, optional
        Populations whose activities have a cost F; by default all that have an activation.
    extra : sequence of Term
        Terms of a phase, such as a nudge.

    References
    ----------
    Equation (9) of ``docs/mathematics.md``.
    """
    total = term_energies(net, (*net.terms, *extra), activities)
    for cost in activity_costs(net, activities, relaxed).values():
        total = total + jnp.sum(cost, axis=0)
    return total


def parameter_cost(net: Network) -> Float[Array, ""]:
    """Sum of the costs of all parameters, each times the weight of its term: half of what is outside the bracket."""
    return sum((net.term_weight(term) * term.cost(term.parameters) for term in net.terms), start=jnp.zeros(()))


def total_cost(net: Network, activities: Activities, relaxed: Collection[str] | None = None) -> Float[Array, ""]:
    """Half of the dual cost (9): mean energy and cost of the parameters."""
    return jnp.mean(energy(net, activities, relaxed=relaxed)) + parameter_cost(net)


def energy_gradients(net: Network, activities: Activities) -> tuple[PyTree, ...]:
    """Derivative of the mean energy in the parameters of every term: what synapses learn from.

    It is 0 for the parameters of a term that reads an absent population.
    """
    samples = next(iter(activities.values())).shape[-1]

    def gradient(term: Term, there: bool) -> PyTree:
        if not there:
            return jax.tree.map(jnp.zeros_like, term.parameters)

        def total(parameters):
            return jnp.sum(term.energy(parameters, *(activities[name] for name in term.populations)))

        # The factor comes last: there are fewer synapses than activities of many samples.
        factor = net.term_weight(term) / samples
        return jax.tree.map(lambda g: factor * g, jax.grad(total)(term.parameters))

    return tuple(gradient(*pair) for pair in zip(net.terms, present(net.terms, activities), strict=True))


def cost_gradients(net: Network) -> tuple[PyTree, ...]:
    """Derivative of `parameter_cost` in the parameters of every term."""

    def gradient(term: Term) -> PyTree:
        factor = net.term_weight(term)
        return jax.grad(lambda parameters: factor * term.cost(parameters))(term.parameters)

    return tuple(gradient(term) for term in net.terms)


def ascent_gradients(net: Network, gradients: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Multiply gradients by the signs of their parameters: the direction in which they learn."""
    return tuple(
        jax.tree.map(lambda sign, g: sign * g, signs_of(term), own)
        for term, own in zip(net.terms, gradients, strict=True)
    )


def cost_shares(
    net: Network, activities: Activities, gradients: tuple[PyTree, ...]
) -> Iterator[tuple[Term, PyTree | Float[Array, ""]]]:
    """Mean energy and cost of each term: one number a synapse where the term can be split, otherwise one number.

    `gradients` are those of `energy_gradients`. The sum of all is `total_cost` less the cost of activities.
    """
    for term, own, there in zip(net.terms, gradients, present(net.terms, activities), strict=True):
        weight = net.term_weight(term)
        # Shares are linear in gradients and cost, which all have the same weight.
        split = term.shares(term.parameters, jax.tree.map(lambda g, w=weight: g / w, own))
        if split is not None:
            yield term, jax.tree.map(lambda s, w=weight: w * s, split)
            continue
        share = term.cost(term.parameters)
        if there:
            share = share + jnp.mean(term.energy(term.parameters, *(activities[name] for name in term.populations)))
        yield term, weight * share


def optimal_parameters(net: Network, activities: Activities) -> tuple[PyTree, ...]:
    """Parameters at which the cost is stationary for given activities: ``W = c <r x'>``, ``L = (1 + gamma) c <r r'>``.

    Raises
    ------
    ValueError
        If a term has parameters and no closed form for its optimum.
    """

    def best(term: Term, gradients: PyTree) -> PyTree:
        if not jax.tree.leaves(term.parameters):
            return term.parameters
        weight = net.term_weight(term)
        optimum = term.optimum(jax.tree.map(lambda g: g / weight, gradients))
        if optimum is None:
            raise ValueError(
                f"There is no closed form for the best parameters of {described(term)} at given activities, so that "
                "what is built on it (similarity_cost, calibrate) is not defined for this network; use objective."
            )
        return optimum

    return tuple(best(*pair) for pair in zip(net.terms, energy_gradients(net, activities), strict=True))
