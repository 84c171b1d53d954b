"""What a trained network of linear units computes: one matrix, and the variance of the data that it captures."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..network import Linear, Network
from ..relaxation import is_sparse

# Rows of the data that are projected at a time.
_ROWS = 512
# Directions in which filters are weaker than this, relative to the strongest, count as lost: outputs are settled to a
# tolerance of 1e-3, and units that the data do not need have filters of rounding errors, of up to 5e-3.
_LOST = 1e-2


def is_linear(net: Network) -> bool:
    """Whether the outputs are a linear function of the inputs by one layer."""
    return len(net.layers) == 1 and all(isinstance(f, Linear) for f in net.activations.values())


def projection(net: Network) -> Float[np.ndarray, "components features"]:
    """Matrix F of a layer of linear units: its activities settle at ``z = F x``, with ``F = L^-1 W``.

    At the fixed point the drive W x and the lateral inhibition L z cancel. Structure constants do not occur: they only
    determine what W and L learn. At the optimum of learning the rows of F span the principal subspace, and are
    orthogonal with squared norm c^W / c^L; they are not the principal axes themselves, but some rotation of them.

    Parameters
    ----------
    net : Network
        One layer of linear units.

    Returns
    -------
    array of shape (components, features)
        In double precision. If L is singular, because there are more units than dimensions of the data, the solution of
        smallest norm.
    """
    (forward,), (lateral,) = net.feedforward, net.lateral
    return pseudoinverse(lateral.to_dense()) @ forward.to_dense()


def pseudoinverse(
    matrix: Float[np.ndarray, "rows columns"], lost: float | None = None
) -> Float[np.ndarray, "columns rows"]:
    """Pseudo-inverse in double precision; singular values below `lost` times the largest count as 0.

    By default these are the rounding errors of the matrix.
    """
    lost = float(np.finfo(matrix.dtype).eps) * max(matrix.shape) if lost is None else lost
    return np.linalg.pinv(matrix.astype(float), lost)


def inverse_projection(net: Network) -> Float[np.ndarray, "features components"]:
    """Pseudo-inverse of `projection`, which maps outputs to the projection of the inputs on the filters' subspace."""
    return pseudoinverse(projection(net), _LOST)


def captured(
    matrix: Float[np.ndarray, "components features"], X: Any
) -> tuple[Float[np.ndarray, " components"], float]:
    """Mean squares of data along the principal axes of the subspace that the rows of a matrix span.

    Parameters
    ----------
    matrix : array of shape (components, features)
    X : array, `Rows` or CSR matrix of shape (samples, features)

    Returns
    -------
    captured : array of shape (components,)
        Eigenvalues of ``Q C Q'``, largest first, where C = X'X / samples and the rows of Q are an orthonormal basis
        of the subspace; 0 for components beyond its dimension.
    total : float
        Mean squared length of the samples, the trace of C.
    """
    axes = _axes(matrix)
    moments, total = np.zeros((len(axes), len(axes))), 0.0
    for begin in range(0, X.shape[0], _ROWS):
        rows = X[begin : begin + _ROWS]
        inside = (rows @ axes.T.astype(X.dtype)).astype(float)
        moments += inside.T @ inside
        numbers = rows.data if is_sparse(rows) else rows
        total += float(np.vdot(numbers, numbers))
    return _sorted(moments / X.shape[0], len(matrix)), total / X.shape[0]


def captured_of(
    matrix: Float[np.ndarray, "components features"], moments: Float[np.ndarray, "features features"]
) -> tuple[Float[np.ndarray, " components"], float]:
    """Return what `captured` does, from the second moments C of the data."""
    axes = _axes(matrix)
    return _sorted(axes @ moments @ axes.T, len(matrix)), float(np.trace(moments))


def _axes(matrix: Float[np.ndarray, "components features"]) -> Float[np.ndarray, "dimension features"]:
    """Return an orthonormal basis of the span of the rows."""
    _, strengths, axes = np.linalg.svd(matrix, full_matrices=False)
    return axes[strengths > _LOST * strengths[0]]


def _sorted(moments: Float[np.ndarray, "dimension dimension"], components: int) -> Float[np.ndarray, " components"]:
    """Return the eigenvalues, largest first, and 0 for the other components."""
    found = np.zeros(components)
    found[: len(moments)] = np.maximum(np.linalg.eigvalsh(moments)[::-1], 0)
    return found
