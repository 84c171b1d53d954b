"""Chains of layers: the networks of Obeid, Ramambason and Pehlevan (NeurIPS 2019)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import scipy.sparse

from ..network import Activation, AntiHebbian, Connectivity, Dense, Grid, Hebbian, Local, Network, Population, Sparse


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a chain.

    Parameters
    ----------
    units : int
        Neurons at each site (the paper's NPS, neurons per site), at least 1.
    stride : int, optional
        Distance between sites in the coordinates of the layer below; must divide both of its sides. By
        default 1 if a `radius` is given, otherwise the whole layer is one site.
    radius : float, optional
        Each neuron receives from every site of the layer below within this distance of its centre, at least 0. None:
        from all sites.
    lateral_radius : float, optional
        Largest distance of lateral synapses, in the coordinates of the layer below, at least 0. 0: only within a site.
        None: the whole layer.
    activation : str or Activation
        See `simatch.activation`.
    scale : float
        Factor on the structure constants c^W of the feedforward synapses, above 0. It sets the operating point: if it
        is too small, units stay silent; if it is too large, they saturate (section 7 of ``docs/mathematics.md``).
        `simatch.calibrate` finds it from data.
    lateral_scale : float
        Factor on the structure constants c^L of the lateral synapses, above 0.
    structure, lateral_structure : array or SciPy sparse matrix, optional
        Structure constants c >= 0, of shape (neurons, neurons below) and (neurons, neurons), in place of `radius` and
        `lateral_radius`.

    References
    ----------
    Section 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=10)])
    >>> [net.populations[name].grid.shape for name in net.layers]
    [(4, 4, 4), (1, 1, 10)]
    """

    units: int
    stride: int | None = None
    radius: float | None = None
    lateral_radius: float | None = 0.0
    activation: str | Activation = "tanh"
    scale: float = 1.0
    lateral_scale: float = 1.0
    structure: Any = None
    lateral_structure: Any = None

    def grid(self, below: Grid) -> Grid:
        """Return the grid of this layer on top of the grid `below`.

        Parameters
        ----------
        below : Grid
            Grid of the input or of the layer below.

        Returns
        -------
        Grid

        Raises
        ------
        ValueError
            If the stride does not divide both sides of `below`, or `units` is below 1.
        """
        if self.stride is None and self.radius is None:
            return Grid(1, 1, self.units)
        return below.coarsened(1 if self.stride is None else self.stride, self.units)

    def connectivity(self, below: Grid) -> tuple[Connectivity, Connectivity]:
        """Return the feedforward and the lateral connectivity of this layer on top of the grid `below`.

        Parameters
        ----------
        below : Grid
            Grid of the input or of the layer below.

        Returns
        -------
        feedforward : Connectivity
        lateral : Connectivity

        Raises
        ------
        ValueError
            If the layer does not fit on `below`, or has both a `radius` and a `structure`.
        """
        own = self.grid(below)
        stride = below.height // own.height
        lateral_radius = None if self.lateral_radius is None else self.lateral_radius / stride
        if own.sites == 1:
            lateral_radius = None
        return (
            _connectivity(below, own, self.radius, self.structure, "radius"),
            _connectivity(own, own, lateral_radius, self.lateral_structure, "lateral_radius"),
        )


def _connectivity(pre: Grid, post: Grid, radius: float | None, structure: Any, name: str) -> Connectivity:
    if structure is None:
        return Dense(pre, post) if radius is None else Local(pre, post, radius)
    if radius is not None and name == "radius":
        raise ValueError("A layer takes either a radius or structure constants for its feedforward synapses, not both.")
    return (Sparse if scipy.sparse.issparse(structure) else Dense)(pre, post, structure)


def layered(input: Grid | int, layers: Sequence[Layer], *, feedback: float = 0.0, seed: int = 0) -> Network:
    """Build a chain of layers on top of an input, each layer with lateral synapses.

    The populations are called ``"input"``, ``"layer1"``, ``"layer2"`` and so on.

    Parameters
    ----------
    input : Grid or int
        Height, width and channels of the input; a whole number n stands for n inputs without geometry.
    layers : sequence of Layer
        From the bottom to the top, at least one.
    feedback : float
        gamma of equation (10), at least 0: strength of the feedback from each layer to the layer below. 0: none.
    seed : int
        Seed of the initial weights, at least 0.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there is no layer, if a layer does not fit on the layer below, or if a setting is out of range.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; sections 3 and 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=4, stride=2, radius=4.0)])
    >>> net.synapses
    39104
    """
    if not layers:
        raise ValueError("A network needs at least one layer, got none.")
    below = input if isinstance(input, Grid) else Grid(1, 1, input)
    populations, pathways, name = {"input": Population(below)}, [], "input"
    for p, layer in enumerate(layers, start=1):
        above = f"layer{p}"
        feedforward, lateral = layer.connectivity(below)
        pathways += [
            Hebbian(name, above, feedforward, scale=layer.scale, feedback=feedback),
            AntiHebbian(above, lateral, scale=layer.lateral_scale),
        ]
        below, name = feedforward.post, above
        populations[name] = Population(below, layer.activation)
    return Network(populations, pathways, seed=seed)
