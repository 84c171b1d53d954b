"""Grids: the positions of neurons, on a rectangle of sites with several units at each site."""

import dataclasses
import math

from .._checks import whole


@dataclasses.dataclass(frozen=True)
class Grid:
    """A grid of sites with the same number of units at each.

    Neurons are numbered row by row of sites, then unit within the site. A population without geometry is a
    grid of one site: ``Grid(1, 1, n)``.

    Parameters
    ----------
    height, width : int
        Number of sites along each side, at least 1.
    units : int
        Neurons at each site (channels, for an input), at least 1.

    Raises
    ------
    ValueError
        If a size is not a positive whole number.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Grid(14, 14, 4).size
    784
    """

    height: int
    width: int
    units: int = 1

    def __post_init__(self):
        for name in ("height", "width", "units"):
            object.__setattr__(self, name, whole(getattr(self, name), f"The {name} of a grid"))

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.sites * self.units

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, units)``."""
        return self.height, self.width, self.units

    def coarsened(self, stride: int, units: int) -> "Grid":
        """Return the grid of a layer that has one site for every `stride` by `stride` sites of this grid.

        Parameters
        ----------
        stride : int
            Divisor of `height` and `width`, at least 1.
        units : int
            Neurons at each site of the new grid, at least 1.

        Returns
        -------
        Grid

        Raises
        ------
        ValueError
            If `stride` is not a whole number, or not a divisor of both sides.
        """
        stride = whole(stride, "A stride")
        if self.height % stride or self.width % stride:
            common = math.gcd(self.height, self.width)
            divisors = [d for d in range(1, common + 1) if common % d == 0]
            raise ValueError(
                f"A stride of {stride!r} does not divide a grid of {self.height} by {self.width} sites; "
                f"use one of {divisors}, or crop or pad the input."
            )
        return Grid(self.height // stride, self.width // stride, units)
