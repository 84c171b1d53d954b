"""What every kind of connectivity offers."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._grid import Grid


class Connectivity(eqx.Module):
    """Which synapses exist between two grids, and the linear map that their weights form.

    To write one, give `pre`, `post`, `structure`, `synapses`, `project` and `normal`; lateral pathways also need
    `identity` and `symmetric`.

    One definition gives three things: `project` is the feedforward (or lateral) drive, its transpose is
    the feedback, and its derivative in the weights is the outer product of activities on the existing
    synapses. The last two come from automatic differentiation.

    Weights live beside the connectivity, as a pytree of arrays in the layout that the kind chooses. Inside
    the engine activities are ``(neurons, samples)`` arrays: with the samples on the last axis, gathering a
    receptive field copies whole rows and every product has a wide inner dimension.

    Attributes
    ----------
    pre, post : Grid
        Where the synapses come from and where they end.
    structure : pytree of arrays
        Structure constants ``c > 0`` of the existing synapses, each leaf broadcastable against the leaf of
        the weights (equation 6 of ``docs/mathematics.md``). A `Dense` one holds 0 for a missing synapse.
    """

    pre: eqx.AbstractVar[Grid]
    post: eqx.AbstractVar[Grid]
    structure: eqx.AbstractVar[PyTree]

    @property
    @abc.abstractmethod
    def synapses(self) -> int:
        """Number of synapses that exist."""

    @property
    def blocks(self) -> int:
        """Number of consecutive, equally large groups of neurons with no synapse between two of them."""
        return 1

    @abc.abstractmethod
    def project(self, weights: PyTree, activity: Float[Array, "pre samples"]) -> Float[Array, "post samples"]:
        """Drive that reaches the neurons of `post`: the weight matrix times the activities of `pre`."""

    def matrices(self, weights: PyTree) -> Float[Array, "blocks units units"] | None:
        """Weights of a lateral pathway as one matrix for each block, where that is how they are stored."""
        return None

    @abc.abstractmethod
    def normal(self, rng: np.random.Generator) -> PyTree:
        """Weights drawn from N(0, 1) on the existing synapses."""

    def gather(self, matrix: np.ndarray) -> PyTree:
        """Read the weights of the existing synapses off a dense ``(post, pre)`` matrix.

        Raises
        ------
        ValueError
            If this kind cannot, which is the default.
        """
        raise ValueError(f"{type(self).__name__} connectivity cannot take its weights from a dense matrix.")

    def to_dense(self, weights: PyTree) -> np.ndarray:
        """Weights as a dense ``(post, pre)`` matrix, zero where no synapse exists."""
        return np.asarray(self.project(weights, jnp.eye(self.pre.size)))

    def identity(self) -> PyTree:
        """Weights of the identity matrix, for lateral pathways."""
        return self.gather(np.eye(self.post.size))

    @property
    def symmetric(self) -> bool:
        """Whether the structure constants are those of a symmetric matrix; lateral pathways need it."""
        return False

    def inverse_structure(self) -> PyTree:
        """``1 / c`` on the existing synapses and 0 on missing ones, in the layout of `structure`."""
        return jax.tree.map(lambda c: jnp.where(c > 0, 1 / jnp.where(c > 0, c, 1), 0), self.structure)
