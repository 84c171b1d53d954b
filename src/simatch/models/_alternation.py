"""The solver of generalised eigenproblems for data in memory: learning by exact alternating steps."""

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float

from .._arrays import real
from .._checks import number, whole


@dataclasses.dataclass(frozen=True)
class Alternation:
    """Weights at the fixed point of learning, and what they mean.

    Attributes
    ----------
    weights : array of shape (units, features)
        W, of all drives together.
    lateral : array of shape (units, units)
        M, with the eigenvalues lambda.
    passes : int
        Number of steps that were taken.
    change : float
        Largest change of the eigenvectors in the last step, relative to their size.
    converged : bool
        Whether `change` reached the tolerance.
    """

    weights: Float[np.ndarray, "units features"]
    lateral: Float[np.ndarray, "units units"]
    passes: int
    change: float
    converged: bool


def alternation(
    drive: Float[np.ndarray, "features _"],
    reference: Float[np.ndarray, "features _"],
    units: int,
    *,
    tolerance: float = 1e-10,
    max_passes: int = 10_000,
    seed: int = 0,
) -> Alternation:
    """Find the weights to which `generalised` networks learn, from second moments in double precision.

    Synapses and lateral synapses take their optimum in turn, ``W <- M^-1 W A B^-1`` and ``M <- (W B W')^(1/2)``. The
    step costs ``units features^2`` operations, once B has been factorised. Its error falls by the ratio of the first
    eigenvalue that is left out and the last one that is kept.

    Parameters
    ----------
    drive, reference : arrays of shape (features, features)
        A and B, second moments of drives and references; both symmetric, A positive semidefinite, B positive definite.
    units : int
        Number of solutions, from 1 to the number of features.
    tolerance : float
        Largest change at which the steps end, above 0.
    max_passes : int
        Largest number of steps, at least 1.
    seed : int
        Seed of the first weights, at least 0.

    Returns
    -------
    Alternation

    Raises
    ------
    ValueError
        If B is not positive definite, as if features are linearly dependent or samples are fewer than features; if the
        shapes differ or a setting is out of range.

    References
    ----------
    Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii 2023, arXiv 2302.10051; ``docs/models/generalised.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.models import alternation
    >>> found = alternation(np.diag([4.0, 9.0, 1.0]), np.diag([1.0, 3.0, 1.0]), 2)
    >>> np.linalg.eigvalsh(found.lateral).round(6).tolist()
    [3.0, 4.0]
    """
    a = real(drive, "Moments of the drives", "features", "features").astype(float)
    b = real(reference, "Moments of the references", "features", "features").astype(float)
    size = len(a)
    if not a.shape == b.shape == (size, size):
        raise ValueError(f"Second moments must be square and have one size, got the shapes {a.shape} and {b.shape}.")
    units, max_passes = whole(units, "The number of units"), whole(max_passes, "The number of passes")
    tolerance = number(tolerance, "The tolerance", above=0)
    if units > size:
        raise ValueError(f"There are {size} features, so at most {size} units, got {units}.")
    if independent_directions(b).shape[1] < size:
        raise ValueError(
            "The second moments of the references are singular: features are linearly dependent, or samples are fewer "
            "than features; leave features out, or reduce their number by principal components."
        )
    step = scipy.linalg.cho_solve(scipy.linalg.cho_factor(b), a).T  # A B^-1
    w = np.random.default_rng(whole(seed, "The seed", least=0)).normal(size=(units, size))
    (m, inverse), change, passes = _roots(w @ b @ w.T), np.inf, 0
    v = inverse @ w
    while passes < max_passes and change > tolerance:
        w = v @ step
        m, inverse = _roots(w @ b @ w.T)
        before, v = v, inverse @ w
        # The rows of both are orthonormal with respect to B.
        change = float(np.sqrt(np.max(np.sum((v - before) @ b * (v - before), axis=1))))
        passes += 1
    return Alternation(w, m, passes, change, change <= tolerance)


def independent_directions(moments: Float[np.ndarray, "features _"]) -> Float[np.ndarray, "features rank"]:
    """Return a basis of the directions in which data vary, as far as double precision tells, in any units of features.

    Parameters
    ----------
    moments : array of shape (features, features)
        Second moments.

    Returns
    -------
    array of shape (features, rank)
        Data times this array have second moments that can be inverted. With as many columns as rows if features are
        linearly independent.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.models import independent_directions
    >>> independent_directions(np.ones((3, 3))).shape
    (3, 1)
    """
    sizes = np.sqrt(np.maximum(np.diag(moments), 0))
    sizes = np.where(sizes > 0, sizes, 1)
    values, vectors = np.linalg.eigh(moments / np.outer(sizes, sizes))
    return vectors[:, values > 100 * len(moments) * np.finfo(float).eps] / sizes[:, None]


def _roots(
    matrix: Float[np.ndarray, "units units"],
) -> tuple[Float[np.ndarray, "units units"], Float[np.ndarray, "units units"]]:
    """Square root of a positive semidefinite matrix, and its inverse, in which the smallest eigenvalues are raised."""
    values, vectors = np.linalg.eigh(matrix)
    least = max(values[-1] * np.finfo(float).eps ** 2, np.finfo(float).tiny)
    roots = np.sqrt(np.maximum(values, least))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
