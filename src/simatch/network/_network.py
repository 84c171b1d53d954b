"""Networks: populations, and the terms of their energy."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._activation import Activation
from ._graph import Stages, energy_weights, stages, term_weight
from ._pathway import AntiHebbian, Hebbian, Pathway
from ._population import Population
from ._term import Term


@final
class Network(eqx.Module):
    """Populations, and the terms of their energy; everything a network does follows from it.

    A population feels the terms that read it, each as strongly as the term says (`Term.felt`); for a pathway, the
    upper end fully and the lower end times the feedback gamma. For one energy to govern this, every population needs a
    weight (the factor gamma^(p - P) of equation 8) such that ``weight[pre] = weight[post] / gamma`` along every pathway
    with feedback. Populations that hear each other, directly or through others, relax together in one *stage*;
    stages follow each other from the inputs upwards. With no feedback every population is a stage of its own.

    Parameters
    ----------
    populations : mapping of str to Population
    terms : sequence of Term
        Pathways and other terms. Those without parameters that have some get initial ones.
    seed : int
        Seed of the initial parameters.

    Attributes
    ----------
    populations : dict of str to Population
    terms : tuple of Term
    energy_weight : dict of str to float
        Factor on the terms of each population that can relax in the cost; 1 for the last population of each stage.

    Raises
    ------
    ValueError
        If a term names an unknown population, or a pathway does not fit the grids at its ends; if a population that can
        relax shares no term with another; if populations drive each other in a circle; or if no weights fit the
        feedback of all terms.

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
        self.populations = dict(populations)
        _check_graph(self.populations, terms)
        self._energy_weight = tuple(energy_weights(self.layers, terms).items())
        # Drawn by NumPy: JAX would compile a program for every shape.
        streams = np.random.SeedSequence(seed).spawn(len(terms))
        self.terms = tuple(
            _placed(term, terms, np.random.default_rng(stream)) for term, stream in zip(terms, streams, strict=True)
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the populations without activation, which are clamped to the data."""
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
        """Factor on the terms of each population in the cost (gamma^(p - P) in equation 8)."""
        return dict(self._energy_weight)

    def term_weight(self, term: Term) -> float:
        """Return the factor on a term in the cost."""
        return term_weight(term, self.energy_weight)

    def stages(self, clamped: Collection[str] = (), terms: Sequence[Term] | None = None) -> Stages:
        """Return the groups of populations that relax together, in their order.

        Parameters
        ----------
        clamped : collection of str
            Populations that do not relax, besides those without activation.
        terms : sequence of Term, optional
            Those that count; by default the network's own.
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
        """Parameters of all terms, in their order: what learning changes."""
        return tuple(term.parameters for term in self.terms)

    def with_parameters(self, parameters: Sequence[PyTree]) -> "Network":
        """Return the same network with other parameters, in the layout of `parameters`.

        Raises
        ------
        ValueError
            If they do not have that layout, or an array has another shape.
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
        """Weights of all pathways, in their order."""
        return tuple(p.parameters for p in self.pathways)

    def with_weights(self, weights: Sequence[PyTree]) -> "Network":
        """Return the same network with other weights, in the layout of `weights`.

        Raises
        ------
        ValueError
            If they do not have that layout, or an array has another shape.
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
        return sum(p.connectivity.synapses for p in self.pathways)


def described(term: Term) -> str:
    """Name a term in a message."""
    return f"the {type(term).__name__} term of {', '.join(map(repr, term.populations))}"


def _placed(term: Term, terms: Sequence[Term], rng: np.random.Generator) -> Term:
    """Return a term with its parameters, and with the feedback that its population receives."""
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
    for p in (term for term in terms if isinstance(term, Pathway)):
        for end, grid in ((p.pre, p.connectivity.pre), (p.post, p.connectivity.post)):
            if populations[end].grid != grid:
                raise ValueError(
                    f"A pathway from {p.pre!r} to {p.post!r} was made for {grid} but population {end!r} has "
                    f"{populations[end].grid}."
                )
    joined = {name for term in terms for name in term.populations if len(set(term.populations)) > 1}
    for name, population in populations.items():
        if not population.is_input and name not in joined:
            raise ValueError(f"Nothing drives population {name!r}; give it a pathway from another population.")
