"""Populations: neurons of one kind on a grid."""

from typing import final

import equinox as eqx

from ._activation import Activation
from ._activation import activation as resolve_activation
from ._grid import Grid


@final
class Population(eqx.Module):
    """Neurons of one kind on a grid.

    Whether a population is clamped to data is not its own business but that of the phase in which a network settles
    (`simatch.Phase`). By default those without an activation are clamped, and all others relax.

    Parameters
    ----------
    grid : Grid or int
        Where the neurons sit; a whole number n stands for n neurons without geometry.
    activation : Activation, str or None
        What turns potentials into activities. A population without one cannot relax: it is an input, clamped in every
        phase or absent.

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
