"""Networks: directed graphs of populations and pathways."""

import graphlib
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.sparse.csgraph
from jaxtyping import Array, Float, PyTree

from ._activation import Activation
from ._activation import activation as resolve_activation
from ._grid import Grid
from ._pathway import AntiHebbian, Hebbian, Pathway


class Population(eqx.Module):
    """Neurons of one kind on a grid.

    Parameters
    ----------
    grid : Grid or int
        Where the neurons sit; a whole number n stands for n neurons without geometry.
    activation : Activation, str or None
        What turns potentials into activities. None makes the population an input, clamped to the data.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Population(16, "relu").grid
    Grid(height=1, width=1, units=16)
    """

    grid: Grid = eqx.field(static=True)
    activation: Activation | None

    def __init__(self, grid: Grid | int, activation: "Activation | str | None" = None):
        self.grid = grid if isinstance(grid, Grid) else Grid(1, 1, grid)
        self.activation = None if activation is None else resolve_activation(activation)

    @property
    def is_input(self) -> bool:
        """Whether the population is clamped to the data."""
        return self.activation is None


class Network(eqx.Module):
    """A directed graph of populations and pathways; everything it does follows from its energy.

    A population feels its incoming pathways, and its outgoing ones times their feedback gamma. For one
    energy to govern this, every population needs an importance (the factor gamma^(p - P) of equation 8)
    such that ``importance[pre] = importance[post] / gamma`` along every pathway with feedback. Populations that
    hear each other, directly or through others, relax together in one *stage*; stages follow each other
    from the inputs upwards. With no feedback every population is a stage of its own.

    Parameters
    ----------
    populations : mapping of str to Population
        At least one input (no activation) and one other.
    pathways : sequence of Pathway
        Pathways without weights get initial ones.
    seed : int
        Seed of the initial weights.

    Attributes
    ----------
    stages : tuple of tuples of str
        Populations that relax together, in the order in which they can.
    importance : dict of str to float
        Factor on the terms of each population in the cost; 1 for the last population of each stage.

    Raises
    ------
    ValueError
        If a pathway names an unknown population, does not fit the grids at its ends, or ends in an input;
        if a population has no incoming pathway; if populations drive each other in a circle; or if no
        importance fits the feedback of all pathways.

    References
    ----------
    Equations (8) to (11) of ``docs/mathematics.md``.

    Examples
    --------
    Two streams that meet, with feedback:

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
    >>> net.stages
    (('both',),)
    """

    populations: dict[str, Population]
    pathways: tuple[Pathway, ...]
    stages: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    _importance: tuple[tuple[str, float], ...] = eqx.field(static=True)

    def __init__(self, populations: Mapping[str, Population], pathways: Sequence[Pathway], *, seed: int = 0):
        self.populations = dict(populations)
        _check_graph(self.populations, pathways)
        self.stages = _stages(self.populations, pathways)
        self._importance = tuple(_importance(self.stages, pathways).items())
        # Drawn by NumPy: JAX would compile a program for every shape.
        streams = np.random.SeedSequence(seed).spawn(len(pathways))
        self.pathways = tuple(
            eqx.tree_at(
                lambda p: (p.weights, p.gain),
                pathway,
                (
                    pathway.initial(np.random.default_rng(stream)) if pathway.weights is None else pathway.weights,
                    _gain(pathway, pathways),
                ),
                is_leaf=lambda leaf: leaf is None,
            )
            for pathway, stream in zip(pathways, streams, strict=True)
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the populations that are clamped to the data."""
        return tuple(name for name, p in self.populations.items() if p.is_input)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the populations that relax, in the order in which they were given."""
        return tuple(name for name, p in self.populations.items() if not p.is_input)

    @property
    def activations(self) -> dict[str, Activation]:
        """Activation of every population that relaxes."""
        return {name: p.activation for name, p in self.populations.items() if p.activation is not None}

    @property
    def importance(self) -> dict[str, float]:
        """Factor on the terms of each population in the cost (gamma^(p - P) in equation 8)."""
        return dict(self._importance)

    @property
    def feedforward(self) -> tuple[Hebbian, ...]:
        """The Hebbian pathways, in the order in which they were given."""
        return tuple(p for p in self.pathways if isinstance(p, Hebbian))

    @property
    def lateral(self) -> tuple[AntiHebbian, ...]:
        """The anti-Hebbian pathways, in the order in which they were given."""
        return tuple(p for p in self.pathways if isinstance(p, AntiHebbian))

    @property
    def weights(self) -> tuple[PyTree, ...]:
        """Weights of all pathways: what plasticity changes."""
        return tuple(p.weights for p in self.pathways)

    def with_weights(self, weights: Sequence[PyTree]) -> "Network":
        """Return the same network with other weights, in the layout of `weights`."""
        return eqx.tree_at(lambda net: net.weights, self, tuple(weights))

    @property
    def synapses(self) -> int:
        """Number of synapses that exist."""
        return sum(p.connectivity.synapses for p in self.pathways)


def _check_graph(populations: Mapping[str, Population], pathways: Sequence[Pathway]) -> None:
    for name, population in populations.items():
        if not isinstance(population, Population):
            raise ValueError(f"Population {name!r} must be an sm.Population, got {population!r}.")
    for p in pathways:
        for end, grid in ((p.pre, p.connectivity.pre), (p.post, p.connectivity.post)):
            if end not in populations:
                raise ValueError(
                    f"A pathway from {p.pre!r} to {p.post!r} names the unknown population {end!r}; "
                    f"there are {', '.join(map(repr, populations))}."
                )
            if populations[end].grid != grid:
                raise ValueError(
                    f"A pathway from {p.pre!r} to {p.post!r} was made for {grid} but population {end!r} has "
                    f"{populations[end].grid}."
                )
        if populations[p.post].is_input:
            raise ValueError(f"A pathway ends in {p.post!r}, which is an input: give it an activation or another end.")
    if not any(p.is_input for p in populations.values()):
        raise ValueError("A network needs an input: a population without an activation.")
    driven = {p.post for p in pathways if p.pre != p.post}
    for name, population in populations.items():
        if not population.is_input and name not in driven:
            raise ValueError(f"Nothing drives population {name!r}; give it a pathway from another population.")


def _stages(populations: Mapping[str, Population], pathways: Sequence[Pathway]) -> tuple[tuple[str, ...], ...]:
    """Strongly connected components of the graph of who influences whom, in topological order."""
    names = [name for name, p in populations.items() if not p.is_input]
    number = {name: i for i, name in enumerate(names)}
    influences = np.zeros((len(names), len(names)), bool)
    for p in pathways:
        if p.pre in number:
            influences[number[p.pre], number[p.post]] = True
            influences[number[p.post], number[p.pre]] |= p.feedback > 0
    count, component = scipy.sparse.csgraph.connected_components(influences, connection="strong")
    sorter = graphlib.TopologicalSorter({c: set() for c in range(count)})
    for pre, post in np.argwhere(influences):
        if component[pre] != component[post]:
            sorter.add(component[post], component[pre])
    return tuple(
        tuple(name for name, c in zip(names, component, strict=True) if c == stage) for stage in sorter.static_order()
    )


def _importance(stages: tuple[tuple[str, ...], ...], pathways: Sequence[Pathway]) -> dict[str, float]:
    """Solve importance[pre] = importance[post] / feedback within each stage, 1 for its last population."""
    importance = {}
    for stage in stages:
        importance[stage[-1]] = 1.0
        inside = [p for p in pathways if p.pre in stage and p.post in stage and p.pre != p.post]
        for p in inside:
            if p.feedback == 0:
                raise ValueError(
                    f"Population {p.pre!r} hears {p.post!r} by another way than their pathway, whose feedback is 0, "
                    "so that no single energy governs both; give the pathway feedback or remove the circle."
                )
        for _ in stage:
            for p in inside:
                if p.post in importance:
                    importance.setdefault(p.pre, importance[p.post] / p.feedback)
                elif p.pre in importance:
                    importance[p.post] = importance[p.pre] * p.feedback
        for p in inside:
            fitting = importance[p.post] / importance[p.pre]
            if not np.isclose(fitting, p.feedback, rtol=1e-6):
                raise ValueError(
                    f"The feedback {p.feedback:g} from {p.post!r} to {p.pre!r} contradicts that of the other pathways "
                    f"between them, so that no single energy governs both; with the others it must be {fitting:g}."
                )
    return importance


def _gain(pathway: Pathway, pathways: Sequence[Pathway]) -> Float[Array, ""]:
    """Factor on the structure constants of a lateral pathway: 1 plus the feedback its population receives."""
    received = sum(p.feedback for p in pathways if p.pre == pathway.post != p.post)
    return jnp.asarray(1 + received if pathway.pre == pathway.post else 1, float)
