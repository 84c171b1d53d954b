"""Chains of layers, the networks of the paper, in short form."""

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
        Neurons at each site (the paper's NPS).
    stride : int, optional
        Distance between sites in the coordinates of the layer below; must divide both of its sides. By
        default 1 if there is a `radius`, otherwise the whole layer is one site.
    radius : float, optional
        Neurons see every site of the layer below within this distance of their centre. None: all of them.
    lateral_radius : float, optional
        Lateral synapses reach this far, in the coordinates of the layer below; 0: the own site only.
        None: the whole layer.
    activation : str or Activation
        See `simatch.activation`.
    scale : float
        Factor on the structure constants c^W of the feedforward synapses. It sets the operating point:
        too little and units stay silent, too much and they saturate (section 7 of the mathematics); see
        `simatch.calibrate`.
    lateral_scale : float
        Factor on the structure constants c^L of the lateral synapses.
    structure, lateral_structure : array or SciPy sparse matrix, optional
        Structure constants c >= 0, of shape (neurons, neurons below) and (neurons, neurons), in place of a
        radius.

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
        """Return the grid of this layer on top of `below`."""
        if self.stride is None and self.radius is None:
            return Grid(1, 1, self.units)
        return below.coarsened(1 if self.stride is None else self.stride, self.units)

    def connectivity(self, below: Grid) -> tuple[Connectivity, Connectivity]:
        """Return feedforward and lateral connectivity of this layer on top of `below`."""
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
    """Build a chain: an input and layers on top of each other, each with lateral synapses.

    Populations are called ``"input"``, ``"layer1"``, ``"layer2"`` and so on.

    Parameters
    ----------
    input : Grid or int
        Height, width and channels of the input; a whole number stands for that many inputs without geometry.
    layers : sequence of Layer
        From the bottom to the top, at least one.
    feedback : float
        gamma of equation (10): how much each layer hears the one above, at least 0.
    seed : int
        Seed of the initial weights.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there is no layer, or a layer does not fit on the one below.

    References
    ----------
    Sections 3 and 4 of ``docs/mathematics.md``.

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
