"""Networks: populations, and the terms of their energy."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._checks import whole
from .._processes import check_process
from ._activation import Activation
from ._graph import Stages, energy_weights, stages, term_weight
from ._pathway import AntiHebbian, Hebbian, Pathway
from ._population import Population
from ._term import Term


@final
class Network(eqx.Module):
    """Populations of neurons, and the terms of one energy. Dynamics and learning follow from this energy.

    A term exerts a force on the populations that it reads. `Term.felt` says how strongly each population feels it: for
    a pathway, the upper end feels it fully and the lower end times the feedback gamma. One energy governs all
    populations if each can be given a weight (the factor gamma^(p - P) of equation 8) such that
    ``weight[pre] = weight[post] / gamma`` along every pathway with feedback. Populations that influence each other in
    both directions, directly or through others, relax together in one *stage*. Stages relax one after the other, from
    the inputs upwards. Without feedback every population is a stage of its own.

    Parameters
    ----------
    populations : mapping of str to Population
    terms : sequence of Term
        Pathways and other terms. A term that was made without its parameters gets initial ones (`Term.initial`).
    seed : int
        Seed of the initial parameters, at least 0.

    Attributes
    ----------
    populations : dict of str to Population
    terms : tuple of Term
    energy_weight : dict of str to float
        Weight in the cost of each population that can relax; 1 for the last population of each stage.

    Raises
    ------
    ValueError
        If an entry is not a `Population` or a `Term`; if a term names an unknown population, or a pathway does not fit
        the grids at its ends; if a population that can relax shares no term with another population; if populations
        influence each other in a loop with a term whose feedback is 0; or if no weights fit the feedback of all terms.

    References
    ----------
    Equations (8) to (11) of ``docs/mathematics.md``.

    Examples
    --------
    Two streams that meet:

    >>> import simatch as sm
    >>> eye, ear, both = sm.Grid(4, 4), sm.Grid(1, 1, 8), sm.Grid(1, 1, 6)
    >>> net = sm.Network(
    ...     {"eye": sm.Population(eye), "ear": sm.Population(ear), "both": sm.Population(both, "tanh")},
    ...     [
    ...         sm.Hebbian("eye", "both", sm.Dense(eye, both)),
    ...         sm.Hebbian("ear", "both", sm.Dense(ear, both)),
    ...         sm.AntiHebbian("both", sm.Dense(both, both)),
    ...     ],
    ... )
    >>> net.stages()
    (('both',),)
    """

    populations: dict[str, Population]
    terms: tuple[Term, ...]
    _energy_weight: tuple[tuple[str, float], ...] = eqx.field(static=True)

    def __init__(self, populations: Mapping[str, Population], terms: Sequence[Term], *, seed: int = 0):
        check_process()
        self.populations = dict(populations)
        _check_graph(self.populations, terms)
        self._energy_weight = tuple(energy_weights(self.layers, terms).items())
        # Drawn by NumPy: JAX would compile a program for every shape.
        streams = np.random.SeedSequence(whole(seed, "The seed", least=0)).spawn(len(terms))
        self.terms = tuple(
            _placed(term, terms, np.random.default_rng(stream)) for term, stream in zip(terms, streams, strict=True)
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the populations without activation, in every phase clamped or absent."""
        return tuple(name for name, p in self.populations.items() if p.is_input)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the populations that can relax, in the order in which they were given."""
        return tuple(name for name, p in self.populations.items() if not p.is_input)

    @property
    def activations(self) -> dict[str, Activation]:
        """Activation of every population that can relax."""
        return {name: p.activation for name, p in self.populations.items() if p.activation is not None}

    @property
    def energy_weight(self) -> dict[str, float]:
        """Weight in the cost of each population that can relax (gamma^(p - P) in equation 8)."""
        return dict(self._energy_weight)

    def term_weight(self, term: Term) -> float:
        """Return the factor on a term in the cost.

        Parameters
        ----------
        term : Term

        Returns
        -------
        float
            Weight of the last of its populations that can relax and feels it, times how strongly (`Term.felt`); else 1.
        """
        return term_weight(term, self.energy_weight)

    def stages(self, clamped: Collection[str] = (), terms: Sequence[Term] | None = None) -> Stages:
        """Return the groups of populations that relax together, in the order in which they relax.

        Parameters
        ----------
        clamped : collection of str
            Populations that do not relax, besides those without activation.
        terms : sequence of Term, optional
            Terms of the energy; by default those of the network.

        Returns
        -------
        tuple of tuples of str
        """
        return stages([n for n in self.layers if n not in clamped], self.terms if terms is None else terms)

    @property
    def pathways(self) -> tuple[Pathway, ...]:
        """The terms that are pathways, in the order in which they were given."""
        return tuple(term for term in self.terms if isinstance(term, Pathway))

    @property
    def feedforward(self) -> tuple[Hebbian, ...]:
        """The Hebbian pathways, in the order in which they were given."""
        return tuple(p for p in self.terms if isinstance(p, Hebbian))

    @property
    def lateral(self) -> tuple[AntiHebbian, ...]:
        """The anti-Hebbian pathways, in the order in which they were given."""
        return tuple(p for p in self.terms if isinstance(p, AntiHebbian))

    @property
    def parameters(self) -> tuple[PyTree, ...]:
        """Parameters of all terms, in the order of the terms; learning changes these."""
        return tuple(term.parameters for term in self.terms)

    def with_parameters(self, parameters: Sequence[PyTree]) -> "Network":
        """Return the same network with other parameters.

        Parameters
        ----------
        parameters : sequence of pytrees
            One for each term, in the layout of the property `parameters`.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            If the layout or the shape of an array differs.
        """
        parameters = tuple(parameters)
        if len(parameters) != len(self.terms):
            raise ValueError(
                f"The network has {len(self.terms)} terms, but parameters were given for {len(parameters)}; "
                "give one entry for each term."
            )
        for term, own in zip(self.terms, parameters, strict=True):
            _check_parameters(term, own)
        return eqx.tree_at(
            lambda net: [term.parameters for term in net.terms], self, list(parameters), is_leaf=lambda x: x is None
        )

    @property
    def weights(self) -> tuple[PyTree, ...]:
        """Weights of all pathways, in the order of the pathways."""
        return tuple(p.parameters for p in self.pathways)

    def with_weights(self, weights: Sequence[PyTree]) -> "Network":
        """Return the same network with other weights of its pathways.

        Parameters
        ----------
        weights : sequence of pytrees
            One for each pathway, in the layout of the property `weights`.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            If the layout or the shape of an array differs.
        """
        weights = list(weights)
        if len(weights) != len(self.pathways):
            raise ValueError(
                f"The network has {len(self.pathways)} pathways, but weights were given for {len(weights)}; "
                "give one entry for each pathway."
            )
        return self.with_parameters(
            [weights.pop(0) if isinstance(term, Pathway) else term.parameters for term in self.terms]
        )

    @property
    def synapses(self) -> int:
        """Number of synapses that exist."""
        return sum(connectivity.synapses for term in self.terms for _, _, connectivity in term.connections)


def described(term: Term) -> str:
    """Describe a term in the words of an error message.

    Parameters
    ----------
    term : Term

    Returns
    -------
    str

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import described
    >>> described(sm.Leak("layer1", 0.1))
    "the Leak term of 'layer1'"
    """
    return f"the {type(term).__name__} term of {', '.join(map(repr, term.populations))}"


def _placed(term: Term, terms: Sequence[Term], rng: np.random.Generator) -> Term:
    """Return a term with its initial parameters, adapted to the feedback that its last population receives."""
    last = term.populations[-1]
    received = sum(
        felt
        for other in terms
        for name, felt in zip(other.populations[:-1], other.felt, strict=False)
        if name == last != other.populations[-1]
    )
    parameters = term.initial(rng) if term.parameters is None else jax.tree.map(jnp.asarray, term.parameters)
    term = eqx.tree_at(lambda t: t.parameters, term, parameters, is_leaf=lambda x: x is None)
    return term.placed(received)


def _check_parameters(term: Term, parameters: PyTree) -> None:
    def shapes(tree: PyTree) -> Any:
        return jax.tree.map(np.shape, tree)

    if jax.tree.structure(parameters) != jax.tree.structure(term.parameters) or shapes(parameters) != shapes(
        term.parameters
    ):
        raise ValueError(
            f"Parameters of shape {shapes(parameters)} do not fit {described(term)}, which needs "
            f"{shapes(term.parameters)}; take them from a network of the same structure."
        )


def _check_graph(populations: Mapping[str, Population], terms: Sequence[Term]) -> None:
    for name, population in populations.items():
        if not isinstance(population, Population):
            raise ValueError(f"Population {name!r} must be an sm.Population, got {population!r}.")
    for term in terms:
        if not isinstance(term, Term):
            raise ValueError(f"The terms of a network must be of the class sm.Term, got {term!r}.")
        for name in term.populations:
            if name not in populations:
                raise ValueError(
                    f"{described(term).capitalize()} names the unknown population {name!r}; "
                    f"there are {', '.join(map(repr, populations))}."
                )
        term.check_sizes({name: populations[name].grid.size for name in term.populations})
    for pre, post, connectivity in (connection for term in terms for connection in term.connections):
        for end, grid in ((pre, connectivity.pre), (post, connectivity.post)):
            if populations[end].grid != grid:
                raise ValueError(
                    f"A pathway from {pre!r} to {post!r} was made for {grid} but population {end!r} has "
                    f"{populations[end].grid}."
                )
    joined = {name for term in terms for name in term.populations if len(set(term.populations)) > 1}
    for name, population in populations.items():
        if not population.is_input and name not in joined:
            raise ValueError(f"Nothing drives population {name!r}; give it a pathway from another population.")


def in_default_precision(net: Network) -> Network:
    """Return a network whose arrays have JAX's current default precision.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Network
        `net` itself if there is nothing to convert.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import in_default_precision
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> in_default_precision(net) is net
    True
    """
    own = jnp.dtype(jnp.result_type(float))
    other = jnp.dtype("float32" if own == "float64" else "float64")
    if all(getattr(leaf, "dtype", own) != other for leaf in jax.tree.leaves(net)):
        return net
    return jax.tree.map(lambda a: a.astype(own) if getattr(a, "dtype", own) == other else a, net)
