"""Populations: neurons of one kind on a grid."""

from typing import final

import equinox as eqx

from ._activation import Activation
from ._activation import activation as resolve_activation
from ._grid import Grid


@final
class Population(eqx.Module):
    """Neurons of one kind on a grid.

    The phase (`simatch.Phase`), not the population, decides whether the population is clamped to data. By default
    populations without an activation are clamped, and all others relax.

    Parameters
    ----------
    grid : Grid or int
        Positions of the neurons; a whole number n stands for n neurons without geometry.
    activation : Activation, str or None
        Function from potentials to activities, or its name (see `simatch.activation`). A population without one cannot
        relax: it is an input, in every phase clamped or absent.

    Raises
    ------
    ValueError
        If there is no such activation, or the number of neurons is below 1.

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
        """Whether the population has no activation."""
        return self.activation is None
