"""Terms other than pathways: a leak, a bias, a nudge towards a target."""

from collections.abc import Collection, Mapping
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._arrays import constant
from .._checks import number
from ._grid import Grid
from ._registry import register
from ._term import Term


def _strength(value: float) -> Array:
    return constant(number(value, "The strength of a term"))


@register("leak", Term)
@final
class Leak(Term):
    """A leak: energy ``strength |r|^2 / 2``, no parameters.

    Parameters
    ----------
    population : str
        Name of the population.
    strength : float
        Finite. A negative strength is self-excitation: the energy then has a minimum only if other terms provide it.

    Raises
    ------
    ValueError
        If `strength` is not finite.

    References
    ----------
    Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021), where the strength is 1.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.Leak("a", 3.0).energy(None, jnp.ones((2, 1)))[0])
    3.0
    """

    population: str = eqx.field(static=True)
    strength: Float[Array, ""]

    homogeneous = True

    def __init__(self, population: str, strength: float = 1.0):
        self.population, self.strength, self.parameters = population, _strength(strength), None

    @property
    def populations(self) -> tuple[str, ...]:
        return (self.population,)

    def energy(self, parameters: None, r: Float[Array, "neurons samples"]) -> Float[Array, " samples"]:
        return self.strength * jnp.sum(r**2, axis=0) / 2

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: None, population: str) -> tuple[Float[Array, "1 1 1"], ...]:
        return (jnp.reshape(self.strength, (1, 1, 1)),)


@register("bias", Term)
@final
class Bias(Term):
    """A bias of every neuron: energy ``-b'r``. The parameters b have no cost, so they do not decay.

    Parameters
    ----------
    population : str
        Name of the population.
    grid : Grid or int
        Grid of the population; a whole number n stands for n neurons without geometry.
    parameters : array of shape (neurons,), optional
        The biases b; 0 by default.

    References
    ----------
    Equation (15) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.Bias("a", 2).energy(jnp.ones(2), jnp.ones((2, 1)))[0])
    -2.0
    """

    population: str = eqx.field(static=True)
    grid: Grid = eqx.field(static=True)

    def __init__(self, population: str, grid: Grid | int, parameters=None):
        self.population = population
        self.grid = grid if isinstance(grid, Grid) else Grid(1, 1, grid)
        self.parameters = parameters

    @classmethod
    def planned(cls, most: int, *, population: str, grid: Grid) -> int:
        return grid.size

    @property
    def populations(self) -> tuple[str, ...]:
        return (self.population,)

    def energy(
        self, parameters: Float[Array, " neurons"], r: Float[Array, "neurons samples"]
    ) -> Float[Array, " samples"]:
        return -(parameters @ r)

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        if self.grid.size != sizes[self.population]:
            raise ValueError(
                f"A bias of {self.grid.size} numbers does not fit population {self.population!r}, which has "
                f"{sizes[self.population]} neurons."
            )

    def initial(self, rng: np.random.Generator) -> Float[Array, " neurons"]:
        return jnp.zeros(self.grid.size)

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: Float[Array, " neurons"], population: str) -> tuple[()]:
        return ()

    def shares(self, parameters: Float[Array, " neurons"], gradients: Float[Array, " neurons"]):
        return parameters * gradients


@register("nudge", Term)
@final
class Nudge(Term):
    """A nudge towards a target: energy ``strength |r - y|^2``, no parameters.

    Parameters
    ----------
    population : str
        Name of the population that is nudged.
    target : str
        Source of the target y: the name of a population of the network, or of an entry of the batch that a
        `simatch.Phase` clamps. It has one number for each neuron of `population`.
    strength : float
        beta, finite. A negative strength drives the activities away from the target.

    Raises
    ------
    ValueError
        If `strength` is not finite, or, when the energy is evaluated, if the target has another number of neurons.

    References
    ----------
    Scellier and Bengio 2017; Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021).

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.Nudge("output", "label", 0.5).energy(None, jnp.zeros((2, 1)), jnp.ones((2, 1)))[0])
    1.0
    """

    population: str = eqx.field(static=True)
    target: str = eqx.field(static=True)
    strength: Float[Array, ""]

    def __init__(self, population: str, target: str, strength: float = 1.0):
        self.population, self.target, self.parameters = population, target, None
        self.strength = _strength(strength)

    @property
    def populations(self) -> tuple[str, ...]:
        return self.target, self.population

    def energy(
        self, parameters: None, target: Float[Array, "targets samples"], r: Float[Array, "neurons samples"]
    ) -> Float[Array, " samples"]:
        if target.shape[0] != r.shape[0]:
            raise ValueError(
                f"The target {self.target!r} has {target.shape[0]} numbers a sample, but population "
                f"{self.population!r} has {r.shape[0]} neurons; give one number for each."
            )
        return self.strength * jnp.sum((r - target) ** 2, axis=0)

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: None, population: str) -> tuple[Float[Array, "1 1 1"], ...]:
        return (jnp.reshape(2 * self.strength, (1, 1, 1)),)
