"""Terms: the summands of the energy."""

import abc
from collections.abc import Collection
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree


class Term(eqx.Module):
    """A summand of the energy of a network.

    A term says which populations it reads, and what their activities cost in every sample. Everything else follows:
    the force on a population is minus the derivative of the energy in its activities, and every parameter moves along
    the derivative of energy and cost in itself, down or up by its sign.

    To write one, give `populations` and `energy`; with parameters also `initial` (or pass them), `cost` and `signs`.
    The rest tells solvers and reports what they may make use of. Its defaults are right for every term.

    Attributes
    ----------
    parameters : pytree of arrays or None
        What learning changes; None for a term without parameters, or before a network has drawn them.
    signs : int, or pytree of ints that is a prefix of `parameters`
        For each parameter -1 if learning descends the cost (Hebbian), +1 if it ascends it (anti-Hebbian).
    homogeneous : bool
        Whether the term exerts no force as long as all populations that it reads are silent.

    References
    ----------
    Equations (12) to (14) of ``docs/mathematics.md``.

    Examples
    --------
    A leak ``strength |r|^2 / 2``:

    >>> import equinox as eqx, jax.numpy as jnp, simatch as sm
    >>> class Leak(sm.Term):
    ...     population: str = eqx.field(static=True)
    ...     strength: float
    ...     @property
    ...     def populations(self):
    ...         return (self.population,)
    ...     def energy(self, parameters, r):
    ...         return self.strength * jnp.sum(r**2, axis=0) / 2
    >>> float(Leak("a", 3.0).energy(None, jnp.ones((2, 1)))[0])
    3.0
    """

    parameters: PyTree = eqx.field(default=None, kw_only=True)

    signs: ClassVar[PyTree] = -1
    homogeneous: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def populations(self) -> tuple[str, ...]:
        """Names of the populations that the term reads, in the order of the arguments of `energy`."""

    @abc.abstractmethod
    def energy(self, parameters: PyTree, *activities: Float[Array, "_ samples"]) -> Float[Array, " samples"]:
        """Energy of every sample.

        Parameters
        ----------
        parameters : pytree
            In the layout of `parameters`; None for a term that has none.
        *activities : arrays of shape (neurons, samples)
            One for each of `populations`.
        """

    def cost(self, parameters: PyTree) -> Float[Array, ""]:
        """Cost of the parameters themselves, such as ``|W|^2 / 2c``; 0 by default."""
        return jnp.zeros(())

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Parameters before learning, for a term that was made without them; none by default."""
        return None

    @property
    def felt(self) -> tuple[float, ...]:
        """How strongly each of `populations` feels the term, compared with the last: 1 by default, 0 for not at all."""
        return (1.0,) * len(self.populations)

    def placed(self, feedback: float) -> "Term":
        """Return the term as a part of a network in which its last population feels so much feedback from others."""
        return self

    def quadratic(self, relaxing: Collection[str]) -> bool:
        """Whether the energy is at most quadratic in the activities of these populations together."""
        return False

    def curvature(self, parameters: PyTree, population: str) -> tuple[Float[Array, "_ _ _"], ...] | None:
        """Second derivative of a quadratic energy in the activities of one population.

        Returns
        -------
        tuple of arrays of shape (blocks, size, size), or None
            To be added up. Each is the same for all samples, with one matrix for each of `blocks` consecutive groups
            of neurons that do not interact; an empty tuple if the energy is linear in these activities, and None if
            the solver has to find out.
        """
        return None

    def shares(self, parameters: PyTree, gradients: PyTree) -> PyTree:
        """Mean energy and cost, split into one summand a synapse in the layout of the parameters, or None.

        A term can be split if its energy is linear in its parameters: with `gradients`, the derivative of its mean
        energy in the parameters, the share of a weight is ``w g`` plus its cost.
        """
        return None

    def optimum(self, gradients: PyTree) -> PyTree:
        """Parameters at which energy and cost are stationary for given activities, or None if there is no closed form.

        `gradients` is as in `shares`.
        """
        return None


def signs_of(term: Term) -> PyTree:
    """Return the sign of every parameter of a term, in the layout of its parameters."""
    return jax.tree.broadcast(term.signs, term.parameters)
