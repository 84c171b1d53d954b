"""Pathways: terms whose parameters are synapses between two populations, or within one."""

import abc
from collections.abc import Collection
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._arrays import constant
from .._checks import number
from ._registry import register
from ._term import Connection, Term
from .connectivity import Connectivity


class Pathway(Term):
    """Synapses from population `pre` to population `post`.

    A subclass defines `energy`, `cost` and `initial` as for any `Term`, and the attributes below. `energy` takes the
    weights and the activities of `pre` and of `post`; if both are the same population, it takes its activities once.

    Attributes
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Connectivity
        Which synapses exist, with their structure constants.
    scale : scalar array
        Factor on all structure constants: synapses have ``c = scale * connectivity.structure``.
    feedback : float
        gamma, at least 0: how strongly `pre` feels this term compared with `post`. 0: `pre` receives no feedback.
    parameters : pytree of arrays or None
        The weights, in the layout of `connectivity`; None until a network draws them.

    References
    ----------
    Equations (6), (7) and (15) of ``docs/mathematics.md``.
    """

    pre: eqx.AbstractVar[str]
    post: eqx.AbstractVar[str]
    connectivity: eqx.AbstractVar[Connectivity]
    scale: eqx.AbstractVar[Float[Array, ""]]
    feedback: eqx.AbstractVar[float]

    @property
    def populations(self) -> tuple[str, ...]:
        return (self.post,) if self.pre == self.post else (self.pre, self.post)

    @property
    def felt(self) -> tuple[float, ...]:
        return (1.0,) if self.pre == self.post else (self.feedback, 1.0)

    @property
    def connections(self) -> tuple[Connection, ...]:
        return ((self.pre, self.post, self.connectivity),)

    @property
    def weights(self) -> PyTree:
        """The parameters of the pathway."""
        return self.parameters

    @abc.abstractmethod
    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights before learning, in the layout of `connectivity`.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        pytree
        """

    @property
    def factor(self) -> Float[Array, ""]:
        """Factor on the structure of the connectivity: ``c = factor * structure``."""
        return self.scale

    def constants(self) -> PyTree:
        """Structure constants c, each leaf broadcastable against the leaf of the weights; 0 for a missing synapse."""
        return jax.tree.map(lambda c: c * self.factor, self.connectivity.structure)

    def decay(self, weights: PyTree) -> PyTree:
        """``weights / c``, the decay of the learning rules (7) and (11).

        Parameters
        ----------
        weights : pytree in the layout of `connectivity`

        Returns
        -------
        pytree in the same layout
        """
        inverse = self.connectivity.inverse_structure()
        return jax.tree.map(lambda w, i: w * (i / self.factor), weights, inverse)

    def to_dense(self) -> np.ndarray:
        """Weights as a NumPy array of shape (post neurons, pre neurons), zero where no synapse exists."""
        return self.connectivity.to_dense(self.parameters)


def checked_scale(value: float) -> Array:
    """Return a scale of structure constants as an array.

    Raises
    ------
    ValueError
        If it is not finite or not above 0.
    """
    return constant(number(value, "The scale of structure constants", above=0))


def checked_feedback(value: float) -> float:
    """Return feedback as a float.

    Raises
    ------
    ValueError
        If it is not finite or below 0.
    """
    return number(value, "Feedback", least=0)


def _weighted_squares(weights: PyTree, factors: PyTree) -> Float[Array, ""]:
    """Sum of squares of weights, each times a factor; in this form its derivative takes one product for each weight."""
    sums = jax.tree.map(lambda w, f: jnp.sum(w**2 * f), weights, factors)
    return sum(jax.tree.leaves(sums), start=jnp.zeros(()))


@register("hebbian", Term)
@final
class Hebbian(Pathway):
    """Feedforward synapses that learn by Hebb's rule: energy ``-r_post' W r_pre``, cost ``sum W^2 / 2c``.

    Parameters
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Connectivity
        Which synapses exist.
    scale : float
        Factor on the structure constants, above 0.
    feedback : float
        gamma, at least 0: how strongly `pre` feels the term, compared with `post`.
    parameters : pytree of arrays, optional
        The weights, in the layout of `connectivity`; by default a network draws them.

    Raises
    ------
    ValueError
        If `scale` or `feedback` is out of range.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equations (6), (7), (9), (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> pathway = sm.Hebbian("input", "layer1", sm.Dense(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)), feedback=0.1)
    >>> pathway.populations, pathway.felt
    (('input', 'layer1'), (0.1, 1.0))
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Connectivity
    scale: Float[Array, ""]
    feedback: float = eqx.field(static=True)

    homogeneous = True

    def __init__(
        self,
        pre: str,
        post: str,
        connectivity: Connectivity,
        *,
        scale: float = 1.0,
        feedback: float = 0.0,
        parameters=None,
    ):
        self.pre, self.post, self.connectivity, self.parameters = pre, post, connectivity, parameters
        self.scale, self.feedback = checked_scale(scale), checked_feedback(feedback)

    def energy(
        self, parameters: PyTree, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        return _bilinear_form(self.connectivity, parameters, pre, post)

    def cost(self, parameters: PyTree) -> Float[Array, ""]:
        inverse = self.connectivity.inverse_structure()
        return _weighted_squares(parameters, jax.tree.map(lambda i: i / (2 * self.scale), inverse))

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights drawn from N(0, 1), divided by the square root of the mean number of inputs to a neuron.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        pytree in the layout of `connectivity`
        """
        inputs = self.connectivity.synapses / self.connectivity.post.size
        return self.connectivity.drawn(rng, np.sqrt(inputs))

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: PyTree, population: str) -> tuple[Float[Array, "_ _ _"], ...]:
        return ()

    def shares(self, parameters: PyTree, gradients: PyTree) -> PyTree:
        return jax.tree.map(lambda w, g, d: w * (g + d / 2), parameters, gradients, self.decay(parameters))

    def optimum(self, gradients: PyTree) -> PyTree:
        return jax.tree.map(lambda g, c: -g * c, gradients, self.constants())


@register("anti_hebbian", Term)
@final
class AntiHebbian(Pathway):
    """Lateral synapses that learn by the anti-Hebbian rule: energy ``r' L r / 2``, cost ``-sum L^2 / 4c``.

    L is symmetric. If the population receives feedback gamma from populations above it, the structure constants are
    multiplied by `gain` = 1 + gamma, the factor ``1 + gamma (1 - delta_pP)`` of equation (9). The network sets `gain`.

    Parameters
    ----------
    population : str
        Name of the population within which the synapses lie.
    connectivity : Connectivity
        Which synapses exist; the structure constants must be symmetric.
    scale : float
        Factor on the structure constants, above 0.
    parameters : pytree of arrays, optional
        The weights, in the layout of `connectivity`; by default a network sets them to the identity.

    Raises
    ------
    ValueError
        If `scale` is out of range or the structure constants are not symmetric.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equations (6), (7), (9), (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> grid = sm.Grid(1, 1, 2)
    >>> sm.AntiHebbian("layer1", sm.Dense(grid, grid)).populations
    ('layer1',)
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Connectivity
    scale: Float[Array, ""]
    feedback: float = eqx.field(static=True)
    gain: Float[Array, ""]

    signs = 1
    homogeneous = True

    def __init__(self, population: str, connectivity: Connectivity, *, scale: float = 1.0, parameters: PyTree = None):
        if not connectivity.symmetric:
            raise ValueError(
                f"The lateral structure constants of {population!r} are not symmetric; "
                "give c and c' the same entries, for example (c + c.T) / 2."
            )
        self.pre = self.post = population
        self.connectivity, self.parameters = connectivity, parameters
        self.scale, self.feedback, self.gain = checked_scale(scale), 1.0, constant(1)

    @property
    def population(self) -> str:
        """Name of the population."""
        return self.post

    def energy(self, parameters: PyTree, r: Float[Array, "neurons samples"]) -> Float[Array, " samples"]:
        return _quadratic_form(self.connectivity, parameters, r)

    def cost(self, parameters: PyTree) -> Float[Array, ""]:
        # As a product of two, whose derivative has two parts: XLA shares the change of lateral weights among threads
        # only if it counts more operations than bytes.
        products = jax.tree.map(lambda w, d: jnp.sum(w * -d), parameters, self.decay(parameters))
        return sum(jax.tree.leaves(products), start=jnp.zeros(())) / 4

    @property
    def factor(self) -> Float[Array, ""]:
        return self.scale * self.gain

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights of the identity matrix, as in the published experiments.

        Parameters
        ----------
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        pytree in the layout of `connectivity`
        """
        return self.connectivity.identity()

    def placed(self, feedback: float) -> Term:
        return eqx.tree_at(lambda p: p.gain, self, constant(1 + feedback))

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: PyTree, population: str) -> tuple[Float[Array, "_ _ _"], ...] | None:
        matrices = self.connectivity.matrices(parameters)
        return None if matrices is None else (matrices,)

    def shares(self, parameters: PyTree, gradients: PyTree) -> PyTree:
        return jax.tree.map(lambda w, g, d: w * (g - d / 4), parameters, gradients, self.decay(parameters))

    def optimum(self, gradients: PyTree) -> PyTree:
        return jax.tree.map(lambda g, c: 2 * g * c, gradients, self.constants())


# In both forms the sign and the factor of a derivative in the weights multiply the weights, not the activities:
# weights are fewer than activities of many samples.


@eqx.filter_custom_jvp
def _bilinear_form(connectivity, weights, pre, post):
    return -jnp.sum(post * connectivity.project(weights, pre), axis=0)


@_bilinear_form.def_jvp
def _bilinear_form_jvp(primals, tangents):
    connectivity, weights, pre, post = primals
    _, d_weights, d_pre, d_post = tangents
    drive = connectivity.project(weights, pre)
    change = jnp.zeros(post.shape[1:], post.dtype)
    if d_post is not None:
        change = change - jnp.sum(d_post * drive, axis=0)
    if d_pre is not None:
        change = change - jnp.sum(post * connectivity.project(weights, d_pre), axis=0)
    if _any(d_weights):
        opposite = jax.tree.map(jnp.negative, _whole(d_weights, weights))
        change = change + jnp.sum(post * connectivity.project(opposite, pre), axis=0)
    return -jnp.sum(post * drive, axis=0), change


@eqx.filter_custom_jvp
def _quadratic_form(connectivity, weights, r):
    return jnp.sum(r * connectivity.project(weights, r), axis=0) / 2


@_quadratic_form.def_jvp
def _quadratic_form_jvp(primals, tangents):
    # L is symmetric, so the derivative in r takes one product. Automatic differentiation would take two, one of
    # them with a transposed gather.
    connectivity, weights, r = primals
    _, d_weights, d_r = tangents
    drive = connectivity.project(weights, r)
    change = jnp.zeros(r.shape[1:], r.dtype)
    if d_r is not None:
        change = change + jnp.sum(d_r * drive, axis=0)
    if _any(d_weights):
        half = jax.tree.map(lambda d: d / 2, _whole(d_weights, weights))
        change = change + jnp.sum(r * connectivity.project(half, r), axis=0)
    return jnp.sum(r * drive, axis=0) / 2, change


def _any(tangents: PyTree) -> bool:
    return any(leaf is not None for leaf in jax.tree.leaves(tangents, is_leaf=lambda leaf: leaf is None))


def _whole(tangents: PyTree, weights: PyTree) -> PyTree:
    """Tangents, with zeros in place of missing ones (None)."""
    return jax.tree.map(
        lambda d, w: jnp.zeros_like(w) if d is None else d, tangents, weights, is_leaf=lambda leaf: leaf is None
    )
