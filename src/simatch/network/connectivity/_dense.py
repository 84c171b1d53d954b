"""All-to-all connectivity, or a dense matrix of structure constants."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from ..._arrays import constant
from .._grid import Grid
from .._registry import register
from ._base import Connectivity
from ._structure import checked_structure


@register("dense", Connectivity)
@final
class Dense(Connectivity):
    """Synapses from every neuron of `pre` to every neuron of `post`, stored as one matrix.

    Parameters
    ----------
    pre, post : Grid
        Grids of the presynaptic and of the postsynaptic population.
    structure : array or SciPy sparse matrix of shape (post.size, pre.size), optional
        Structure constants, at least 0; 0 means that the synapse does not exist. All ones by default. Here a missing
        synapse still costs arithmetic and memory; in `Sparse` and `Local` connectivity it does not.

    Raises
    ------
    ValueError
        If `structure` has another shape, a negative or non-finite number, or no number above 0.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> sm.Dense(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])).synapses
    4
    """

    pre: Grid = eqx.field(static=True)
    post: Grid = eqx.field(static=True)
    structure: Float[Array, "..."]

    def __init__(self, pre: Grid, post: Grid, structure=None):
        self.pre, self.post = pre, post
        self.structure = constant(1)
        if structure is not None:
            matrix = checked_structure(structure, pre, post)
            self.structure = constant(matrix.toarray() if scipy.sparse.issparse(matrix) else matrix)

    def arguments(self) -> dict[str, Any]:
        """Arguments of the class that recreate this connectivity."""
        return {"pre": self.pre, "post": self.post, "structure": self.structure if self.structure.ndim else None}

    @classmethod
    def planned(cls, most: int, *, pre: Grid, post: Grid, structure: Any = None) -> int:
        return pre.size * post.size

    @property
    def synapses(self) -> int:
        return int(np.count_nonzero(np.broadcast_to(self.structure, (self.post.size, self.pre.size))))

    def project(
        self, weights: Float[Array, "post pre"], activity: Float[Array, "pre samples"]
    ) -> Float[Array, "post samples"]:
        return self._existing(weights) @ activity

    def matrices(self, weights: Float[Array, "post pre"]) -> Float[Array, "1 post pre"]:
        return self._existing(weights)[None]

    def _existing(self, weights: Float[Array, "post pre"]) -> Float[Array, "post pre"]:
        # Masking here, not in the learning rule, makes every derivative 0 at the missing synapses.
        return jnp.where(self.structure > 0, weights, 0) if self.structure.ndim else weights

    def normal(self, rng: np.random.Generator) -> Float[Array, "post pre"]:
        return self.gather(rng.standard_normal((self.post.size, self.pre.size)))

    def gather(self, matrix: np.ndarray) -> Float[Array, "post pre"]:
        return constant(np.where(np.asarray(self.structure) > 0, matrix, 0), self.structure.dtype)

    def to_dense(self, weights: Float[Array, "post pre"]) -> np.ndarray:
        return np.asarray(weights)

    def identity(self) -> Float[Array, "post pre"]:
        return self.gather(np.eye(self.post.size))

    @property
    def symmetric(self) -> bool:
        c = np.broadcast_to(self.structure, (self.post.size, self.pre.size))
        return self.pre == self.post and np.array_equal(c, c.T)
