"""Lateral inhibition through interneurons that follow their population at once."""

from collections.abc import Collection, Mapping
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import whole
from ._grid import Grid
from ._registry import register
from ._term import Term


@register("interneurons", Term)
@final
class Interneurons(Term):
    """Inhibition by interneurons n = P'r: energy ``|P'r|^2 / 2``, cost ``-|P|^2 / 2``.

    The force on the population is ``-P n``, and P learns by ``dP = <r n'> - P``, whose fixed point is
    ``<r r'> P = P``: the activities have second moments of 1 in all directions that inhibition reaches. Interneurons
    have no dynamics of their own; their activities are those at which ``|n|^2 / 2 - n'P'r`` is lowest. P is an
    ascending parameter without a closed form of its optimum: at the same rate it learns twice as fast as lateral
    weights (`simatch.AntiHebbian`).

    Parameters
    ----------
    population : str
        Name of the population that is inhibited.
    grid : Grid or int
        Grid of the population; a whole number n stands for n neurons without geometry.
    count : int
        Number of interneurons, at least 1. As many as neurons reach all directions.
    parameters : array of shape (neurons, count), optional
        The synapses P; by default the identity matrix, with rows or columns of 0 where the numbers differ.

    Raises
    ------
    ValueError
        If `count` is out of range; by `Network` if the population has another number of neurons.

    References
    ----------
    Pehlevan and Chklovskii 2015, "Optimization theory of Hebbian/anti-Hebbian networks for PCA and whitening";
    Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii 2023, arXiv 2302.10051.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.Interneurons("r", 2, 2).energy(2 * jnp.eye(2), jnp.ones((2, 1)))[0])
    4.0
    """

    population: str = eqx.field(static=True)
    grid: Grid = eqx.field(static=True)
    count: int = eqx.field(static=True)

    signs = 1
    homogeneous = True

    def __init__(self, population: str, grid: Grid | int, count: int, parameters=None):
        self.population, self.parameters = population, parameters
        self.grid = grid if isinstance(grid, Grid) else Grid(1, 1, grid)
        self.count = whole(count, "The number of interneurons")

    @classmethod
    def planned(cls, most: int, *, population: str, grid: Grid, count: int) -> int:
        return grid.size * count

    @property
    def populations(self) -> tuple[str, ...]:
        return (self.population,)

    def interneurons(
        self, parameters: Float[Array, "neurons count"], r: Float[Array, "_ samples"]
    ) -> Float[Array, "count samples"]:
        """Activities ``n = P'r`` of the interneurons.

        Parameters
        ----------
        parameters : array of shape (neurons, count)
            Synapses P of the interneurons.
        r : array of shape (neurons, samples)
            Activities of the population.

        Returns
        -------
        array of shape (count, samples)

        Raises
        ------
        ValueError
            If the numbers of neurons differ.
        """
        _check_size(self.population, len(parameters), len(r))
        return parameters.T @ r

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        _check_size(self.population, self.grid.size, sizes[self.population])

    def energy(
        self, parameters: Float[Array, "neurons count"], r: Float[Array, "_ samples"]
    ) -> Float[Array, " samples"]:
        return jnp.sum(self.interneurons(parameters, r) ** 2, axis=0) / 2

    def cost(self, parameters: Float[Array, "neurons count"]) -> Float[Array, ""]:
        return -jnp.sum(parameters**2) / 2

    def initial(self, rng: np.random.Generator) -> Float[Array, "neurons count"]:
        return jnp.eye(self.grid.size, self.count)

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(
        self, parameters: Float[Array, "neurons count"], population: str
    ) -> tuple[Float[Array, "1 neurons neurons"], ...]:
        return ((parameters @ parameters.T)[None],)


def _check_size(population: str, made_for: int, size: int) -> None:
    if made_for != size:
        raise ValueError(
            f"The interneurons are for {made_for} neurons, but population {population!r} has {size}; give its grid."
        )
