"""Arbitrary sparse connectivity: one stored number for each existing synapse."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from ..._arrays import constant
from .._grid import Grid
from .._registry import register
from ._base import Connectivity
from ._structure import checked_structure


@register("sparse", Connectivity)
@final
class Sparse(Connectivity):
    """Synapses where a sparse matrix of structure constants is above 0.

    Parameters
    ----------
    pre, post : Grid
        Grids of the presynaptic and of the postsynaptic population.
    structure : SciPy sparse matrix or array of shape (post.size, pre.size)
        Structure constants, at least 0; 0 means that the synapse does not exist.

    Raises
    ------
    ValueError
        If `structure` has another shape, a negative or non-finite number, or no number above 0.

    Examples
    --------
    >>> import scipy.sparse, simatch as sm
    >>> sm.Sparse(sm.Grid(1, 1, 3), sm.Grid(1, 1, 3), scipy.sparse.eye_array(3)).synapses
    3
    """

    pre: Grid = eqx.field(static=True)
    post: Grid = eqx.field(static=True)
    structure: Float[Array, " synapses"]
    sources: Int[Array, " synapses"]
    targets: Int[Array, " synapses"]

    def __init__(self, pre: Grid, post: Grid, structure):
        matrix = scipy.sparse.csr_array(checked_structure(structure, pre, post))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        self.pre, self.post = pre, post
        self.structure = constant(matrix.data)
        self.sources = constant(matrix.indices, jnp.int32)
        self.targets = constant(np.repeat(np.arange(post.size), np.diff(matrix.indptr)), jnp.int32)

    def arguments(self) -> dict[str, Any]:
        """Arguments of the class that recreate this connectivity."""
        return {"pre": self.pre, "post": self.post, "structure": self._matrix()}

    @classmethod
    def planned(cls, most: int, *, pre: Grid, post: Grid, structure: Any) -> int:
        return structure.nnz if scipy.sparse.issparse(structure) else np.size(structure)

    @property
    def synapses(self) -> int:
        return self.structure.size

    def project(
        self, weights: Float[Array, " synapses"], activity: Float[Array, "pre samples"]
    ) -> Float[Array, "post samples"]:
        contributions = weights[:, None] * activity[self.sources]
        return jax.ops.segment_sum(contributions, self.targets, self.post.size, indices_are_sorted=True)

    def normal(self, rng: np.random.Generator) -> Float[Array, " synapses"]:
        return constant(rng.standard_normal(self.structure.shape), self.structure.dtype)

    def gather(self, matrix: np.ndarray) -> Float[Array, " synapses"]:
        return constant(np.asarray(matrix)[np.asarray(self.targets), np.asarray(self.sources)], self.structure.dtype)

    def to_dense(self, weights: Float[Array, " synapses"]) -> np.ndarray:
        dense = np.zeros((self.post.size, self.pre.size), np.asarray(weights).dtype)
        dense[np.asarray(self.targets), np.asarray(self.sources)] = weights
        return dense

    def identity(self) -> Float[Array, " synapses"]:
        return (self.targets == self.sources).astype(self.structure.dtype)

    @property
    def symmetric(self) -> bool:
        c = self._matrix()
        return self.pre == self.post and (c != c.T).nnz == 0

    def _matrix(self) -> scipy.sparse.csr_array:
        entries = np.asarray(self.structure), (np.asarray(self.targets), np.asarray(self.sources))
        return scipy.sparse.csr_array(entries, shape=(self.post.size, self.pre.size))
