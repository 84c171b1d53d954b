"""The exact optimum of a layer of linear units: the principal subspace of the data."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from ..learning import Certificate
from ..relaxation import dense

# Most multiplications for the second moments of the data; a second on two cores.
_LARGEST, _LARGEST_IN_DOUBLE = 1e11, 1e9
# Numbers that are multiplied at a time: two threads of OpenBLAS take 0.6 of the time that a quarter of them needs.
_AT_ONCE = 1 << 23
# Ratio of kept variances from which rounding errors of the outputs in single precision approach a percent.
_WIDE = 1e4
# Components with less than this share of the largest variance are below single precision.
_NEGLIGIBLE = 1e-6


@dataclasses.dataclass(frozen=True)
class Principal:
    """Principal subspace of data, without centring.

    Attributes
    ----------
    variances : array of shape (components + 1,)
        Largest eigenvalues of ``<x x'>``, sorted; 0 where there are fewer.
    axes : array of shape (features, components)
        Eigenvectors of the first `components`.
    moments : array of shape (features, features), or None
        ``<x x'>``; None if there are more features than samples.
    """

    variances: Float[np.ndarray, " _"]
    axes: Float[np.ndarray, "features components"]
    moments: Float[np.ndarray, "features features"] | None

    @property
    def cost(self) -> float:
        """Lowest primal cost (8) of linear units."""
        return -float(np.sum(self.variances[:-1] ** 2)) / 2

    @property
    def spread(self) -> float:
        """Largest over smallest variance of the components; infinity if there are more than the data have axes."""
        largest, smallest = self.variances[0], self.variances[-2]
        return float(largest / smallest) if smallest > 0 else np.inf

    def angle(self, matrix: Float[np.ndarray, "components features"]) -> float:
        """Largest angle, in degrees, between the kept principal axes and the span of the rows of a matrix."""
        kept = self.axes[:, self.variances[:-1] > _NEGLIGIBLE * self.variances[0]]
        span = scipy.linalg.orth(matrix.T.astype(float))
        if not kept.size:
            return 0.0
        outside = kept - span @ (span.T @ kept)  # sines are more precise than cosines for small angles
        return float(np.degrees(np.arcsin(min(1.0, np.linalg.norm(outside, 2)))))

    def error_of_variances(self, moments: Float[np.ndarray, "components components"]) -> float:
        """Largest relative error of the variances of outputs with the second moments ``<z z'>``."""
        found = np.linalg.eigvalsh(moments)[::-1]
        best = self.variances[:-1]
        kept = best > _NEGLIGIBLE * best[0]
        return float(np.max(np.abs(found[kept] / best[kept] - 1), initial=0.0))


def principal(x: Any, components: int) -> Principal | None:
    """Find the principal subspace of an array, `Rows` or a CSR matrix; None if the data are too large for it."""
    samples, features = x.shape
    small = min(samples, features)
    if samples * features * small > _LARGEST or small > 3000:
        return None
    wide = features > samples
    # In double precision, or large data in parts of single precision, added up in double precision.
    precision = float if samples * features * small <= _LARGEST_IN_DOUBLE else x.dtype

    def blocks() -> Iterator[Any]:
        size = max(1, _AT_ONCE // small)
        for i in range(0, max(samples, features), size):
            yield dense(x[:, i : i + size].T if wide else x[i : i + size])

    moments = np.zeros((small, small))
    for block in (own.astype(precision, copy=False) for own in blocks()):
        moments += block.T @ block
    moments /= samples
    count = min(components + 1, small)
    with threadpool_limits(1, user_api="blas"):  # more threads take three times as long
        values, vectors = scipy.linalg.eigh(moments, subset_by_index=(small - count, small - 1))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    variances = np.zeros(components + 1)
    variances[:count] = values
    axes = vectors[:, : min(components, count)]
    if wide:
        sizes = np.sqrt(values[: axes.shape[1]] * samples)
        axes = np.concatenate([block @ axes for block in blocks()]) / np.where(sizes > 0, sizes, 1)
    padded = np.zeros((features, components))
    padded[:, : axes.shape[1]] = axes
    return Principal(variances, padded, None if wide else moments)


@dataclasses.dataclass(frozen=True)
class LinearCertificate(Certificate):
    """Distance of a layer of linear units from the principal subspace of the data.

    Attributes
    ----------
    optimum : float
        Lowest primal cost that linear units can have, from an eigendecomposition.
    angle : float
        Largest angle between the span of the outputs and the principal subspace, in degrees.
    variance_error : float
        Largest relative error of the variances of the outputs.
    spread : float
        Largest over smallest variance of the principal components that are to be kept.

    Notes
    -----
    `distance` is here the larger of the angle, as a share of the right angle, and the error of the variances: 0.01 is
    0.9 degrees and 1 %.
    """

    optimum: float
    angle: float
    variance_error: float
    spread: float

    def shortfall(self) -> str:
        """What separates the network from the optimum, in words."""
        found = (
            f"its outputs are {self.angle:.2g} degrees from the principal subspace, with variances within "
            f"{100 * self.variance_error:.2g} %"
        )
        if self.spread < _WIDE:
            return found
        return (
            f"{found}; the variances to be kept span a factor of {self.spread:.1g}, which single precision hardly "
            "resolves, so standardise the data or keep fewer components"
        )
