"""The energy of a network, its derivatives, and the costs built from it.

All functions take activities in the engine's layout: a dict from population name to a ``(neurons, samples)`` array,
clamped populations included. A term counts if the activities of all populations that it reads are given; terms that
read an absent population are left out. Energies are half of the bracket of equation (9), as most papers on similarity
matching write them; `simatch.objective` doubles them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._network import Network, described
from ._term import Term, signs_of

Activities = Mapping[str, Float[Array, "_ samples"]]
"""Activities of populations by name, arrays of shape (neurons, samples)."""
Weights = Float[Array, " samples"] | None
"""Share of each sample in means over a batch, of shape (samples,); None if all count alike."""


def present(terms: Sequence[Term], activities: Collection[str]) -> tuple[bool, ...]:
    """Whether the activities of all populations that a term reads are given, for each term.

    Parameters
    ----------
    terms : sequence of Term
    activities : collection of str
        Names of the populations whose activities are given.

    Returns
    -------
    tuple of bool

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import present
    >>> present(sm.layered(4, [sm.Layer(units=2)]).terms, {"layer1"})  # feedforward and lateral synapses
    (False, True)
    """
    return tuple(all(name in activities for name in term.populations) for term in terms)


def term_energies(
    net: Network, terms: Sequence[Term], activities: Activities, *, of: Callable[[Term], bool] = lambda _: True
) -> Float[Array, " samples"]:
    """Sum of the energies of terms, each times its weight in the cost, for every sample.

    Parameters
    ----------
    net : Network
    terms : sequence of Term
        Those that read an absent population are left out.
    activities : dict of str to array of shape (neurons, samples)
    of : callable
        Function from a term to whether it counts; by default all do.

    Returns
    -------
    array of shape (samples,)

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> from simatch.network import term_energies
    >>> net = sm.layered(1, [sm.Layer(units=1, activation="linear")])
    >>> term_energies(net, [sm.Leak("layer1", 3.0)], {"layer1": jnp.array([[1.0, 2.0]])}).tolist()
    [1.5, 6.0]
    """
    total = jnp.zeros(())
    for term, there in zip(terms, present(terms, activities), strict=True):
        if there and of(term):
            own = term.energy(term.parameters, *(activities[name] for name in term.populations))
            total = total + net.term_weight(term) * own
    return total


def activity_costs(net: Network, activities: Activities, relaxed: Collection[str] | None = None) -> Activities:
    """Cost ``F(r)`` of every activity of the relaxed populations, times the weight of its population.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
    relaxed : collection of str, optional
        Names of populations; by default all with an activation.

    Returns
    -------
    dict of str to array of shape (neurons, samples)
        Of the populations that are both relaxed and among the activities.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> from simatch.network import activity_costs
    >>> net = sm.layered(1, [sm.Layer(units=1, activation="shifted_relu:0.5")])
    >>> activity_costs(net, {"layer1": jnp.array([[1.0, 2.0]])})["layer1"].tolist()
    [[0.5, 1.0]]
    """
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
        Additional terms, those of a phase, such as a nudge.

    Returns
    -------
    array of shape (samples,)

    References
    ----------
    Equation (9) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> from simatch.network import energy
    >>> net = sm.layered(1, [sm.Layer(units=1, activation="linear")])
    >>> energy(net, {"layer1": jnp.array([[1.0, 2.0]])}).tolist()  # lateral synapses alone: L r^2 / 2 of L = 1
    [0.5, 2.0]
    """
    total = term_energies(net, (*net.terms, *extra), activities)
    for cost in activity_costs(net, activities, relaxed).values():
        total = total + jnp.sum(cost, axis=0)
    return total


def parameter_cost(net: Network) -> Float[Array, ""]:
    """Sum of the costs of all parameters, each times the weight of its term: half of the first sum of equation (9).

    Parameters
    ----------
    net : Network

    Returns
    -------
    scalar array

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import parameter_cost
    >>> own = sm.Dense(sm.Grid(1, 1), sm.Grid(1, 1))
    >>> terms = [sm.Hebbian("x", "r", own, parameters=own.identity()), sm.AntiHebbian("r", own)]
    >>> net = sm.Network({"x": sm.Population(1), "r": sm.Population(1, "linear")}, terms)
    >>> float(parameter_cost(net))  # W^2 / 2 - L^2 / 4 at W = L = 1
    0.25
    """
    return sum((net.term_weight(term) * term.cost(term.parameters) for term in net.terms), start=jnp.zeros(()))


def total_cost(net: Network, activities: Activities, relaxed: Collection[str] | None = None) -> Float[Array, ""]:
    """Half of the dual cost (9): mean energy over the samples plus cost of the parameters.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
    relaxed : collection of str, optional
        Populations whose activities have a cost; by default all with an activation.

    Returns
    -------
    scalar array

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> from simatch.network import total_cost
    >>> own, r = sm.Dense(sm.Grid(1, 1), sm.Grid(1, 1)), jnp.array([[1.0, 2.0]])
    >>> terms = [sm.Hebbian("x", "r", own, parameters=own.identity()), sm.AntiHebbian("r", own)]
    >>> net = sm.Network({"x": sm.Population(1), "r": sm.Population(1, "linear")}, terms)
    >>> float(total_cost(net, {"x": r, "r": r}))  # <-W r x + L r^2 / 2> + W^2 / 2 - L^2 / 4 at W = L = 1
    -1.0
    """
    return jnp.mean(energy(net, activities, relaxed=relaxed)) + parameter_cost(net)


def mean(values: Float[Array, "*_ samples"], weights: Weights = None) -> Float[Array, "*_"]:
    """Mean over the samples, the last axis.

    Parameters
    ----------
    values : array of shape (..., samples)
    weights : array of shape (samples,), optional
        Share of each sample; their sum is 1. By default all count alike.

    Returns
    -------
    array of shape (...)

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import mean
    >>> float(mean(jnp.array([1.0, 3.0]))), float(mean(jnp.array([1.0, 3.0]), jnp.array([0.75, 0.25])))
    (2.0, 1.5)
    """
    return jnp.mean(values, axis=-1) if weights is None else values @ weights


def energy_gradients(net: Network, activities: Activities, weights: Weights = None) -> tuple[PyTree, ...]:
    """Derivative of the mean energy over the samples in the parameters of every term.

    It is 0 for the parameters of a term that reads an absent population.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
    weights : array of shape (samples,), optional
        Share of each sample in the mean; their sum is 1. By default all count alike.

    Returns
    -------
    tuple of pytrees
        One for each term of the network, in the layout of its parameters.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simatch as sm
    >>> from simatch.network import cost_shares, energy_gradient_differences, energy_gradients
    >>> own, x = sm.Dense(sm.Grid(1, 1), sm.Grid(1, 1)), jnp.array([[1.0, 2.0]])
    >>> terms = [sm.Hebbian("x", "r", own, parameters=own.identity()), sm.AntiHebbian("r", own)]
    >>> net = sm.Network({"x": sm.Population(1), "r": sm.Population(1, "linear")}, terms)
    >>> before, after = {"x": x, "r": jnp.ones((1, 2))}, {"x": x, "r": x}
    >>> gradients = energy_gradients(net, after)
    >>> [float(leaf.squeeze()) for leaf in jax.tree.leaves(gradients)]  # -<r x> and <r^2> / 2
    [-2.5, 1.25]
    >>> differences = energy_gradient_differences(net, before, after, held=["x"])
    >>> [float(leaf.squeeze()) for leaf in jax.tree.leaves(differences)]
    [-1.0, 0.75]
    >>> [float(share.squeeze()) for _, share in cost_shares(net, after, gradients)]  # W^2 / 2 and -L^2 / 4 added
    [-2.0, 1.0]
    """
    samples = next(iter(activities.values())).shape[-1]

    def gradient(term: Term, there: bool) -> PyTree:
        if not there:
            # Not `zeros_like`, which would ask for the sharding of the parameters inside the loop of one device.
            return jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), term.parameters)

        def total(parameters):
            own = term.energy(parameters, *(activities[name] for name in term.populations))
            return jnp.sum(own) if weights is None else own @ weights

        # Multiplied after differentiation, because synapses are fewer than activities of many samples.
        factor = net.term_weight(term) / (samples if weights is None else 1)
        return jax.tree.map(lambda g: factor * g, jax.grad(total)(term.parameters))

    return tuple(gradient(*pair) for pair in zip(net.terms, present(net.terms, activities), strict=True))


def energy_gradient_differences(
    net: Network, before: Activities, after: Activities, held: Collection[str], weights: Weights = None
) -> tuple[PyTree, ...]:
    """`energy_gradients` at the activities `after` minus those at the activities `before`.

    The difference of a term that is linear in its only population that is not held takes one product instead of two.

    Parameters
    ----------
    net : Network
    before, after : dict of str to array of shape (neurons, samples)
        Activities of the same samples.
    held : collection of str
        Populations whose activities are the same in both.
    weights : array of shape (samples,), optional
        Share of each sample in the mean; their sum is 1. By default all count alike.

    Returns
    -------
    tuple of pytrees
        One for each term of the network, in the layout of its parameters.
    """
    samples = next(iter(after.values())).shape[-1]
    shares = jnp.full(samples, 1 / samples) if weights is None else weights

    def difference(term: Term, there: bool, old: PyTree, new: PyTree) -> PyTree:
        others = [name for name in term.populations if name not in held]
        if not there or len(others) != 1 or term.curvature(term.parameters, others[0]) != ():
            return jax.tree.map(jnp.subtract, new, old)
        (name,) = others

        def slope(parameters: PyTree) -> Float[Array, ""]:
            def own(r: Float[Array, "_ samples"]) -> Float[Array, " samples"]:
                return term.energy(parameters, *(r if n == name else after[n] for n in term.populations))

            step = after[name] - before[name]
            return jax.jvp(own, (jnp.zeros_like(step),), (step,))[1] @ shares.astype(step.dtype)

        factor = net.term_weight(term)
        return jax.tree.map(lambda g: factor * g, jax.grad(slope)(term.parameters))

    # Gradients that are not used are not computed: the compiler removes them.
    there = [a and b for a, b in zip(present(net.terms, before), present(net.terms, after), strict=True)]
    pairs = energy_gradients(net, before, weights), energy_gradients(net, after, weights)
    return tuple(difference(*own) for own in zip(net.terms, there, *pairs, strict=True))


def cost_gradients(net: Network) -> tuple[PyTree, ...]:
    """Derivative of `parameter_cost` in the parameters of every term.

    Parameters
    ----------
    net : Network

    Returns
    -------
    tuple of pytrees
        One for each term of the network, in the layout of its parameters.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> from simatch.network import ascent_gradients, cost_gradients
    >>> own = sm.Dense(sm.Grid(1, 1), sm.Grid(1, 1))
    >>> terms = [sm.Hebbian("x", "r", own, parameters=own.identity()), sm.AntiHebbian("r", own)]
    >>> net = sm.Network({"x": sm.Population(1), "r": sm.Population(1, "linear")}, terms)
    >>> [float(leaf.squeeze()) for leaf in jax.tree.leaves(cost_gradients(net))]  # of W^2 / 2 - L^2 / 4 at W = L = 1
    [1.0, -0.5]
    >>> [float(leaf.squeeze()) for leaf in jax.tree.leaves(ascent_gradients(net, cost_gradients(net)))]
    [-1.0, -0.5]
    """

    def gradient(term: Term) -> PyTree:
        factor = net.term_weight(term)
        return jax.grad(lambda parameters: factor * term.cost(parameters))(term.parameters)

    return tuple(gradient(term) for term in net.terms)


def ascent_gradients(net: Network, gradients: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Multiply gradients by the signs of their parameters, which gives the direction of learning.

    Parameters
    ----------
    net : Network
    gradients : tuple of pytrees
        Derivatives of the cost in the parameters of every term.

    Returns
    -------
    tuple of pytrees
        In the same layout.
    """
    return tuple(
        jax.tree.map(lambda sign, g: sign * g, signs_of(term), own)
        for term, own in zip(net.terms, gradients, strict=True)
    )


def cost_shares(
    net: Network, activities: Activities, gradients: tuple[PyTree, ...], weights: Weights = None
) -> Iterator[tuple[Term, PyTree | Float[Array, ""]]]:
    """Mean energy plus cost of each term: one number for each synapse if the term offers `Term.shares`, else their sum.

    All shares add up to `total_cost` minus the cost of activities.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
    gradients : tuple of pytrees
        `energy_gradients` at these activities.
    weights : array of shape (samples,), optional
        Share of each sample in the mean; their sum is 1. By default all count alike.

    Yields
    ------
    term : Term
    share : pytree in the layout of the term's parameters, or a scalar array
    """
    for term, own, there in zip(net.terms, gradients, present(net.terms, activities), strict=True):
        weight = net.term_weight(term)
        # Shares are linear in gradients and cost, so the weight of the term can be factored out.
        split = term.shares(term.parameters, jax.tree.map(lambda g, w=weight: g / w, own))
        if split is not None:
            yield term, jax.tree.map(lambda s, w=weight: w * s, split)
            continue
        share = term.cost(term.parameters)
        if there:
            share = share + mean(
                term.energy(term.parameters, *(activities[name] for name in term.populations)), weights
            )
        yield term, weight * share


def optima(net: Network, gradients: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Parameters at which the cost is stationary for given activities.

    Parameters
    ----------
    net : Network
    gradients : tuple of pytrees
        `energy_gradients` at the activities.

    Returns
    -------
    tuple of pytrees
        One for each term, in the layout of its parameters; None for a term without a closed form (`Term.optimum`).
    """

    def best(term: Term, own: PyTree) -> PyTree:
        if not jax.tree.leaves(term.parameters):
            return term.parameters
        weight = net.term_weight(term)
        return term.optimum(jax.tree.map(lambda g: g / weight, own))

    return tuple(best(*pair) for pair in zip(net.terms, gradients, strict=True))


def optimal_parameters(net: Network, activities: Activities) -> tuple[PyTree, ...]:
    """Parameters at which the cost is stationary for given activities: ``W = c <r x'>``, ``L = (1 + gamma) c <r r'>``.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)

    Returns
    -------
    tuple of pytrees
        One for each term of the network, in the layout of its parameters.

    Raises
    ------
    ValueError
        If a term has parameters but no closed form for their optimum.

    References
    ----------
    Section 10 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simatch as sm
    >>> from simatch.network import energy_gradients, optima, optimal_parameters
    >>> net, r = sm.layered(1, [sm.Layer(units=1, activation="linear")]), jnp.array([[1.0, 2.0]])
    >>> activities = {"input": r, "layer1": 2 * r}
    >>> [float(leaf.squeeze()) for leaf in jax.tree.leaves(optimal_parameters(net, activities))]  # <r x> and <r r>
    [5.0, 10.0]
    >>> optima(net, energy_gradients(net, activities)) == optimal_parameters(net, activities)
    True
    """
    best = optima(net, energy_gradients(net, activities))
    for term, own in zip(net.terms, best, strict=True):
        if own is None and jax.tree.leaves(term.parameters):
            raise ValueError(
                f"There is no closed form for the optimal parameters of {described(term)} at given activities, so "
                "similarity_cost, certificate and calibrate are not defined for this network; use objective."
            )
    return best
