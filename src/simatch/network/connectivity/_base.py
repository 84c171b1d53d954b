"""The interface of all kinds of connectivity."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ..._arrays import constant
from .._grid import Grid


class Connectivity(eqx.Module):
    """Which synapses exist between two grids, and the linear map that their weights form.

    A subclass defines `pre`, `post`, `structure`, `synapses`, `project` and `normal`. Lateral pathways also need
    `identity` (or `gather`) and `symmetric`.

    `project` alone defines three operations: it is the feedforward (or lateral) drive, its transpose is the feedback,
    and its derivative in the weights is the outer product of activities on the existing synapses. The last two come
    from automatic differentiation.

    The pathway holds the weights, as a pytree of arrays in a layout that the subclass chooses. Inside the engine
    activities are ``(neurons, samples)`` arrays: with the samples on the last axis, gathering a receptive field copies
    whole rows, and every product has a wide inner dimension.

    Attributes
    ----------
    pre, post : Grid
        Grids of the presynaptic and of the postsynaptic population.
    structure : pytree of arrays
        Structure constants ``c > 0`` of the existing synapses, each leaf broadcastable against the leaf of the weights
        (equation 6 of ``docs/mathematics.md``). In `Dense` connectivity 0 marks a missing synapse.
    """

    pre: eqx.AbstractVar[Grid]
    post: eqx.AbstractVar[Grid]
    structure: eqx.AbstractVar[PyTree]

    @classmethod
    def planned(cls, most: int, **arguments: Any) -> int:
        """Return how many weights a connectivity made with these arguments would have, without making it.

        Files are compared with it before anything large is made of what they declare.

        Parameters
        ----------
        most : int
            If there would be more weights than this, at least 0, any larger number may be returned.
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
    def synapses(self) -> int:
        """Number of synapses that exist."""

    @property
    def blocks(self) -> int:
        """Number of consecutive, equally large groups of neurons that no synapses join; 1 by default."""
        return 1

    @abc.abstractmethod
    def project(self, weights: PyTree, activity: Float[Array, "pre samples"]) -> Float[Array, "post samples"]:
        """Drive of the neurons of `post`: the weight matrix times the activities of `pre`.

        Parameters
        ----------
        weights : pytree
            Weights of the existing synapses, in the layout of this connectivity.
        activity : array of shape (pre neurons, samples)

        Returns
        -------
        array of shape (post neurons, samples)
        """

    def matrices(self, weights: PyTree) -> Float[Array, "blocks units units"] | None:
        """Weights of a lateral pathway as one matrix for each block; None (the default) if stored in another form.

        Parameters
        ----------
        weights : pytree
            Weights of the existing synapses, in the layout of this connectivity.

        Returns
        -------
        array of shape (blocks, units, units), or None
        """
        return None

    @abc.abstractmethod
    def normal(self, rng: np.random.Generator) -> PyTree:
        """Weights drawn from N(0, 1) on the existing synapses.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        pytree
        """

    def drawn(self, rng: np.random.Generator, width: float) -> PyTree:
        """Weights drawn from N(0, 1) on the existing synapses, divided by `width`.

        Parameters
        ----------
        rng : numpy.random.Generator
        width : float
            Above 0; usually the square root of the number of inputs to a neuron.

        Returns
        -------
        pytree
        """

        def scaled(w):
            return constant(np.asarray(w) * (w.dtype.type(1) / w.dtype.type(width)), w.dtype)

        return jax.tree.map(scaled, self.normal(rng))

    def gather(self, matrix: np.ndarray) -> PyTree:
        """Read the weights of the existing synapses from a dense ``(post, pre)`` matrix.

        Parameters
        ----------
        matrix : array of shape (post neurons, pre neurons)

        Returns
        -------
        pytree

        Raises
        ------
        ValueError
            If this kind of connectivity does not support it (the default).
        """
        raise ValueError(f"{type(self).__name__} connectivity cannot take its weights from a dense matrix.")

    def to_dense(self, weights: PyTree) -> np.ndarray:
        """Weights as a dense ``(post, pre)`` matrix, zero where no synapse exists.

        Parameters
        ----------
        weights : pytree
            Weights of the existing synapses, in the layout of this connectivity.

        Returns
        -------
        array of shape (post neurons, pre neurons)
        """
        return np.asarray(self.project(weights, jnp.eye(self.pre.size)))

    def identity(self) -> PyTree:
        """Weights of the identity matrix, for lateral pathways."""
        return self.gather(np.eye(self.post.size))

    @property
    def symmetric(self) -> bool:
        """Whether the matrix of structure constants is symmetric, as lateral pathways need it; False by default."""
        return False

    def inverse_structure(self) -> PyTree:
        """``1 / c`` on the existing synapses and 0 on missing ones, in the layout of `structure`."""
        return jax.tree.map(lambda c: jnp.where(c > 0, 1 / jnp.where(c > 0, c, 1), 0), self.structure)
