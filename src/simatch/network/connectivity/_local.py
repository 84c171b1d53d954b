"""Local connectivity: every neuron receives from a disc of the grid below (section 4 of ``docs/mathematics.md``)."""

import math
from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from ..._arrays import constant
from ..._checks import number
from .._grid import Grid
from .._registry import register
from ._base import Connectivity
from ._receptive import drive


@register("local", Connectivity)
@final
class Local(Connectivity):
    """Synapses to every neuron of `post` from all units of all sites of `pre` within `radius` of its centre.

    With stride s, site (i, j) of `post` is centred at (i s + s/2, j s + s/2) in the coordinates of `pre`,
    whose site (k, l) lies at (k + 1/2, l + 1/2). Weights are not shared between sites.

    Sites at a border receive from fewer sites than those inside. Sites with the same number of inputs share one dense
    array ``(sites, units, inputs)``, so a missing synapse costs neither arithmetic nor memory.

    Parameters
    ----------
    pre, post : Grid
        Grids of the presynaptic and of the postsynaptic population.
    radius : float
        Largest Euclidean distance, in the coordinates of `pre`; at least 0.

    Raises
    ------
    ValueError
        If the sides of `pre` are not the same whole multiple of those of `post`, if `radius` is negative or not
        finite, or if some site has no input within `radius`.

    References
    ----------
    Section 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.Local(sm.Grid(4, 4), sm.Grid(2, 2, 3), radius=1.0).synapses
    48
    """

    pre: Grid = eqx.field(static=True)
    post: Grid = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    structure: tuple[Float[Array, ""], ...]
    sources: tuple[Int[Array, "_ _"], ...]
    order: Int[Array, " sites"]
    own_site: bool = eqx.field(static=True)

    def __init__(self, pre: Grid, post: Grid, radius: float):
        radius = number(radius, "A radius", least=0)
        groups, sources = _receptive_fields(pre, post, radius)
        self.pre, self.post, self.radius = pre, post, radius
        self.structure = tuple(constant(1) for _ in sources)
        self.sources = tuple(constant(s, np.int32) for s in sources)
        # Position of every site in the concatenation of the groups.
        self.order = constant(np.argsort(np.concatenate(groups)), np.int32)
        self.own_site = len(sources) == 1 and np.array_equal(sources[0], np.arange(pre.sites)[:, None])

    @classmethod
    def planned(cls, most: int, *, pre: Grid, post: Grid, radius: float) -> int:
        if post.size > most:
            return most + 1  # every neuron has an input
        stride = _checked_stride(pre, post, radius)
        down, right = _reach(pre.height, post.height, stride, radius), _reach(pre.width, post.width, stride, radius)
        # The first and the last site together see at least an eighth of all offsets.
        if len(down) * len(right) > 16 * most + 64:
            return most + 1
        rows, columns = _times(down, pre.height, post.height, stride), _times(right, pre.width, post.width, stride)
        return int(rows @ _disc(down, right, stride, radius) @ columns) * pre.units * post.units

    @property
    def synapses(self) -> int:
        return sum(s.size for s in self.sources) * self.pre.units * self.post.units

    @property
    def blocks(self) -> int:
        return self.post.sites if self.own_site else 1

    def project(
        self, weights: tuple[Float[Array, "_ units _"], ...], activity: Float[Array, "pre samples"]
    ) -> Float[Array, "post samples"]:
        return drive(self.pre, self.post, self.order, self.sources, weights, activity)

    def matrices(self, weights: tuple[Float[Array, "_ units _"], ...]) -> Float[Array, "blocks units units"] | None:
        return weights[0] if self.own_site else None

    def normal(self, rng: np.random.Generator) -> tuple[Float[Array, "_ units _"], ...]:
        shapes = [(s.shape[0], self.post.units, s.shape[1] * self.pre.units) for s in self.sources]
        return tuple(constant(rng.standard_normal(shape), self._dtype) for shape in shapes)

    def gather(self, matrix: np.ndarray) -> tuple[Float[Array, "_ units _"], ...]:
        matrix = np.asarray(matrix)
        return tuple(constant(matrix[rows, columns], self._dtype) for rows, columns in self._indices())

    def to_dense(self, weights: tuple[Float[Array, "_ units _"], ...]) -> np.ndarray:
        dense = np.zeros((self.post.size, self.pre.size), weights[0].dtype)
        for w, (rows, columns) in zip(weights, self._indices(), strict=True):
            dense[rows, columns] = w
        return dense

    def identity(self) -> tuple[Float[Array, "_ units _"], ...]:
        return tuple(constant(rows == columns, self._dtype) for rows, columns in self._indices())

    @property
    def symmetric(self) -> bool:
        return self.pre == self.post

    @property
    def _dtype(self):
        return self.structure[0].dtype

    def _indices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Dense row and column of every stored weight, a pair of broadcastable arrays for each group of sites."""
        site_of = np.argsort(np.asarray(self.order))
        units, channels = np.arange(self.post.units), np.arange(self.pre.units)
        indices, start = [], 0
        for s in self.sources:
            sites = site_of[start : start + len(s)]
            start += len(s)
            rows = sites[:, None, None] * self.post.units + units[:, None]
            columns = (np.asarray(s)[:, :, None] * self.pre.units + channels).reshape(len(s), 1, -1)
            indices.append((rows, columns))
        return indices


def _receptive_fields(pre: Grid, post: Grid, radius: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Group the sites of `post` by their number of inputs: for each group, its sites and the sites that each reads."""
    stride = _checked_stride(pre, post, radius)
    # Offsets from the corner (i s, j s) of a site to every site that can lie in its disc. They are the same for all
    # sites, so the work grows with the number of sites, not with its square.
    ranges = _reach(pre.height, post.height, stride, radius), _reach(pre.width, post.width, stride, radius)
    inside = _disc(*ranges, stride, radius)
    down, right = (o[inside] for o in np.meshgrid(*ranges, indexing="ij"))
    row = (np.arange(post.height) * stride)[:, None, None] + down
    column = (np.arange(post.width) * stride)[None, :, None] + right
    exists = (row >= 0) & (row < pre.height) & (column >= 0) & (column < pre.width)
    exists = exists.reshape(post.sites, -1)
    source = (row * pre.width + column).reshape(post.sites, -1)
    count = exists.sum(axis=1)
    if not count.all():
        nearest = np.sqrt(0.5) if stride % 2 == 0 else 0.0
        raise ValueError(
            f"A radius of {radius:g} reaches no input: the nearest site below lies {nearest:.3g} from a centre. "
            "Use a larger radius."
        )
    groups = [np.flatnonzero(count == k) for k in np.unique(count)]
    return groups, [source[g][exists[g]].reshape(len(g), -1) for g in groups]


def _checked_stride(pre: Grid, post: Grid, radius: float) -> int:
    if not np.isfinite(radius) or radius < 0:
        raise ValueError(f"A radius must be finite and at least 0, got {radius!r}.")
    stride = pre.height // post.height
    if (post.height * stride, post.width * stride) != (pre.height, pre.width):
        raise ValueError(
            f"A grid of {post.height} by {post.width} sites does not lie on one of {pre.height} by {pre.width}: "
            "both sides must shrink by the same whole factor."
        )
    return stride


def _reach(below: int, above: int, stride: int, radius: float) -> range:
    """Offsets along one side at which a site of this side can have an input: as far as radius and grid reach."""
    first = max(math.floor(stride / 2 - radius - 0.5), -(above - 1) * stride)
    return range(first, min(math.ceil(stride / 2 + radius), below - 1) + 1)


def _disc(down: range, right: range, stride: int, radius: float) -> np.ndarray:
    """Whether each pair of offsets lies in the disc."""
    squares = [(np.asarray(offsets) + 0.5 - stride / 2) ** 2 for offsets in (down, right)]
    return squares[0][:, None] + squares[1] <= radius * radius * (1 + 1e-12) + 1e-12


def _times(offsets: range, below: int, above: int, stride: int) -> np.ndarray:
    """For every offset along one side, the number of sites of this side that it leads to an existing site below."""
    o = np.asarray(offsets)
    first, last = np.maximum(-(o // stride), 0), np.minimum((below - 1 - o) // stride, above - 1)
    return np.maximum(last - first + 1, 0).astype(float)
