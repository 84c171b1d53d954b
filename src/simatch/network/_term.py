"""Terms: the summands of the energy of a network."""

import abc
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .connectivity import Connectivity

# Names of the populations at the lower and at the upper end, and the synapses between them.
Connection = tuple[str, str, Connectivity]


class Term(eqx.Module):
    """A summand of the energy of a network.

    A term reads the activities of some populations and gives an energy for every sample. The dynamics and the learning
    rule are derivatives: the force on a population is minus the derivative of the energy in its activities, and each
    parameter moves along the derivative of energy plus cost in this parameter, down or up according to its sign.

    A subclass defines `populations` and `energy`. With parameters, it also defines `initial` (unless the parameters are
    passed) and, if needed, `cost` and `signs`. All other methods are optional: they let solvers and reports work
    faster, and their defaults are correct for every term.

    Attributes
    ----------
    parameters : pytree of arrays or None
        Parameters that learning changes; None for a term without parameters, or before a network has drawn them.
    signs : int, or pytree of ints that is a prefix of `parameters`
        For each parameter, -1 if learning descends the cost (Hebbian) or +1 if it ascends the cost (anti-Hebbian).
    homogeneous : bool
        Whether the term exerts no force when all populations that it reads have activity 0.

    References
    ----------
    Equations (15) to (17) of ``docs/mathematics.md``.

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

    @classmethod
    def planned(cls, most: int, **arguments: Any) -> int:
        """Return how many parameters a term made with these arguments would have, as `Connectivity.planned` does.

        Parameters
        ----------
        most : int
            If there would be more parameters than this, at least 0, any larger number may be returned.
        **arguments
            Arguments of the class.

        Returns
        -------
        int
            0 (the default) if it is not known.
        """
        return 0

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
            In the layout of the attribute `parameters`; None for a term without parameters.
        *activities : arrays of shape (neurons, samples)
            One for each of `populations`, in this order.

        Returns
        -------
        array of shape (samples,)
        """

    def cost(self, parameters: PyTree) -> Float[Array, ""]:
        """Cost of the parameters themselves, such as ``|W|^2 / 2c``; 0 by default.

        Parameters
        ----------
        parameters : pytree
            Parameters of the term.

        Returns
        -------
        scalar array
        """
        return jnp.zeros(())

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Parameters before learning, for a term that was made without them; None by default.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        pytree
        """
        return None

    @property
    def felt(self) -> tuple[float, ...]:
        """How strongly each of `populations` feels the term, compared with the last one; each at least 0, 1 by default.

        A population that feels a term with 0 is read by the term but receives no force from it.
        """
        return (1.0,) * len(self.populations)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Synapses of the term, each connectivity with the names of the populations at its ends; none by default."""
        return ()

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Refuse populations of other sizes than the term was made for; by default all fit.

        `Network` asks every term. What `connections` join is checked by their grids.

        Parameters
        ----------
        sizes : mapping from str to int
            Number of neurons of each of `populations`, at least 1.

        Raises
        ------
        ValueError
            If a population has another size.
        """

    def placed(self, feedback: float) -> "Term":
        """Return the term adapted to the feedback in a network; by default the term itself.

        Parameters
        ----------
        feedback : float
            Sum of the feedback, at least 0, that the last of `populations` receives from terms with other last
            populations.
        """
        return self

    def quadratic(self, relaxing: Collection[str]) -> bool:
        """Whether the energy is at most quadratic in the joint activities of the `relaxing` populations.

        Parameters
        ----------
        relaxing : collection of str
            Names of populations.

        Returns
        -------
        bool
            False by default, which is correct for every term, though solvers are then slower.
        """
        return False

    def curvature(self, parameters: PyTree, population: str) -> tuple[Float[Array, "_ _ _"], ...] | None:
        """Second derivative of a quadratic energy in the activities of one population.

        Parameters
        ----------
        parameters : pytree
            Parameters of the term.
        population : str
            Name of one of `populations`.

        Returns
        -------
        tuple of arrays of shape (blocks, size, size), or None
            The second derivative is the sum of these arrays and the same for all samples. An array holds one matrix
            for each of `blocks` consecutive, equally large groups of neurons that do not interact; an array of shape
            (1, 1, 1) stands for a multiple of the identity. The tuple is empty if the energy is linear in these
            activities. None (the default): the solver computes the second derivative by automatic differentiation.
        """
        return None

    def shares(self, parameters: PyTree, gradients: PyTree) -> PyTree:
        """Mean energy plus cost, split into one number for each parameter; None (the default) if it cannot be split.

        A term can be split if its energy is linear in its parameters: the share of a weight w is ``w g`` plus its cost.

        Parameters
        ----------
        parameters : pytree
            Parameters of the term.
        gradients : pytree
            Derivative g of the mean energy in the parameters.

        Returns
        -------
        pytree in the layout of the parameters, or None
        """
        return None

    def optimum(self, gradients: PyTree) -> PyTree:
        """Parameters at which mean energy plus cost is stationary for given activities; None without a closed form.

        Parameters
        ----------
        gradients : pytree
            Derivative of the mean energy in the parameters.
        """
        return None


def signs_of(term: Term) -> PyTree:
    """Return the sign of every parameter of a term, in the layout of its parameters.

    Parameters
    ----------
    term : Term

    Returns
    -------
    pytree
        -1 for a parameter that descends the cost, +1 for one that ascends it.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> from simatch.network import signs_of
    >>> [jax.tree.leaves(signs_of(term)) for term in sm.layered(4, [sm.Layer(units=2)]).terms]
    [[-1], [1]]
    """
    return jax.tree.broadcast(term.signs, term.parameters)
