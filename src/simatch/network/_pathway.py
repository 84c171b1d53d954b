"""Pathways: bundles of synapses, each adding one term to the energy."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .connectivity import Connectivity


class Pathway(eqx.Module):
    """Synapses from population `pre` to population `post`, and what they contribute to the cost.

    A pathway is defined by two scalars: `interaction`, its term in the bracket of equation (9), which
    depends on the activities at both ends, and `regulariser`, its term outside. Dynamics, feedback and
    plasticity are their derivatives.

    Attributes
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Connectivity
        Which synapses exist, with their structure constants.
    weights : pytree of arrays or None
        In the layout of `connectivity`; None until the network draws them.
    scale : float
        Factor on all structure constants: synapses have ``c = scale * connectivity.structure``.
    feedback : float
        How strongly `pre` feels this term compared with `post` (gamma); 0 if it does not feel it.
    gain : scalar array
        Factor on the structure constants that the network sets: ``1 + gamma (1 - delta_pP)`` of equation (9)
        for lateral pathways, where `post` also feels the populations above it, and 1 otherwise.
    sign : int
        -1 if plasticity descends the cost (Hebbian), +1 if it ascends it (anti-Hebbian).
    quadratic : bool
        Whether the interaction is at most quadratic in the activities of both ends together, so that the
        forces of a stage can be linearised once for all steps.
    """

    pre: eqx.AbstractVar[str]
    post: eqx.AbstractVar[str]
    connectivity: eqx.AbstractVar[Connectivity]
    weights: eqx.AbstractVar[PyTree]
    scale: eqx.AbstractVar[Float[Array, ""]]
    feedback: eqx.AbstractVar[float]
    gain: eqx.AbstractVar[Float[Array, ""]]
    sign: ClassVar[int]
    quadratic: ClassVar[bool] = True

    @abc.abstractmethod
    def interaction(
        self, weights: PyTree, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        """Term in the bracket of (9), for every sample. It is linear in the weights."""

    @abc.abstractmethod
    def regulariser(self, weights: PyTree) -> PyTree:
        """Term outside the bracket of (9), for every synapse, in the layout of the weights."""

    @abc.abstractmethod
    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights before learning."""

    def decay(self, weights: PyTree) -> PyTree:
        """``weights / c``, the decay of the learning rules (7) and (11)."""
        inverse = self.connectivity.inverse_structure()
        return jax.tree.map(lambda w, i: w * (i / (self.scale * self.gain)), weights, inverse)

    def to_dense(self) -> np.ndarray:
        """Weights as a NumPy array of shape (post neurons, pre neurons), zero where no synapse exists."""
        return self.connectivity.to_dense(self.weights)


def _scale(value: float) -> Array:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"The scale of structure constants must be finite and above 0, got {value!r}.")
    return jnp.asarray(value, float)


def _feedback(value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"Feedback must be finite and at least 0, got {value!r}.")
    return float(value)


class Hebbian(Pathway):
    """Feedforward synapses that learn by Hebb's rule: interaction ``-2 r_post' W r_pre``.

    Parameters
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Connectivity
        Which synapses exist.
    scale : float
        Factor on the structure constants, above 0.
    feedback : float
        gamma, at least 0: how strongly the lower end feels the term.

    Raises
    ------
    ValueError
        If `scale` or `feedback` is out of range.

    References
    ----------
    Equations (6), (7), (9), (11) of ``docs/mathematics.md``.
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Connectivity
    weights: PyTree
    scale: Float[Array, ""]
    feedback: float = eqx.field(static=True)
    gain: Float[Array, ""]
    sign: ClassVar[int] = -1

    def __init__(self, pre: str, post: str, connectivity: Connectivity, *, scale: float = 1.0, feedback: float = 0.0):
        self.pre, self.post, self.connectivity, self.weights = pre, post, connectivity, None
        self.scale, self.feedback, self.gain = _scale(scale), _feedback(feedback), jnp.ones(())

    def interaction(
        self, weights: PyTree, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        # The factor is on the synapses, which are fewer than the activities of many samples.
        doubled = jax.tree.map(lambda w: -2 * w, weights)
        return jnp.sum(post * self.connectivity.project(doubled, pre), axis=0)

    def regulariser(self, weights: PyTree) -> PyTree:
        return jax.tree.map(jnp.multiply, weights, self.decay(weights))

    def initial(self, rng: np.random.Generator) -> PyTree:
        """N(0, 1) over the square root of the mean number of inputs to a neuron, as published."""
        inputs = self.connectivity.synapses / self.connectivity.post.size
        return jax.tree.map(lambda w: w / np.sqrt(inputs), self.connectivity.normal(rng))


class AntiHebbian(Pathway):
    """Lateral synapses that learn by the anti-Hebbian rule: interaction ``+ r' L r``, L symmetric.

    Parameters
    ----------
    population : str
        Name of the population that the synapses connect with itself.
    connectivity : Connectivity
        Which synapses exist; symmetric, structure constants included.
    scale : float
        Factor on the structure constants, above 0.

    Raises
    ------
    ValueError
        If `scale` is out of range or the structure constants are not symmetric.

    References
    ----------
    Equations (6), (7), (9), (11) of ``docs/mathematics.md``.
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Connectivity
    weights: PyTree
    scale: Float[Array, ""]
    feedback: float = eqx.field(static=True)
    gain: Float[Array, ""]
    sign: ClassVar[int] = 1

    def __init__(self, population: str, connectivity: Connectivity, *, scale: float = 1.0):
        if not connectivity.symmetric:
            raise ValueError(
                f"The lateral structure constants of {population!r} are not symmetric; "
                "give c and c' the same entries, for example (c + c.T) / 2."
            )
        self.pre = self.post = population
        self.connectivity, self.weights = connectivity, None
        self.scale, self.feedback, self.gain = _scale(scale), 1.0, jnp.ones(())

    def interaction(
        self, weights: PyTree, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        return _quadratic_form(self.connectivity, weights, post)

    def regulariser(self, weights: PyTree) -> PyTree:
        return jax.tree.map(lambda w, d: -w * d / 2, weights, self.decay(weights))

    def initial(self, rng: np.random.Generator) -> PyTree:
        """The identity, as published."""
        return self.connectivity.identity()


@eqx.filter_custom_jvp
def _quadratic_form(connectivity, weights, r):
    return jnp.sum(r * connectivity.project(weights, r), axis=0)


@_quadratic_form.def_jvp
def _quadratic_form_jvp(primals, tangents):
    # L is symmetric, so that one product gives the derivative in r where differentiating the product
    # would take two, one of them with a transposed gather.
    connectivity, weights, r = primals
    _, d_weights, d_r = tangents
    drive = connectivity.project(weights, r)
    change = jnp.zeros(r.shape[1:], r.dtype)
    if d_r is not None:
        change = change + 2 * jnp.sum(d_r * drive, axis=0)
    if any(leaf is not None for leaf in jax.tree.leaves(d_weights, is_leaf=lambda leaf: leaf is None)):
        change = change + jnp.sum(r * connectivity.project(d_weights, r), axis=0)
    return jnp.sum(r * drive, axis=0), change
