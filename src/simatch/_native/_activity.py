# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""Activations, their proximal points and what is left of a defect, for the sixteen lanes of a register."""

import numpy as np

from . import TANH
from . import _memory as at
from ._ffi import fast, plain, wide_vectors
from ._lanes import broadcast, divide, get, larger, put, smaller


@plain
def tanh(u):
    """Rational approximation of tanh, with an error below 4e-7 in single precision; NaN for NaN."""
    x = smaller(8, larger(-8, u))
    y = x * x
    p = y * 1.5229995847e-08 + 2.1894425697e-05
    p = p * y + 3.5715860963e-03
    p = p * y + 1.3444488627e-01
    p = p * y + 1
    q = y * 8.5222951475e-07 + 3.4112707891e-04
    q = q * y + 2.6164399749e-02
    q = q * y + 4.6777815960e-01
    q = q * y + 1
    return divide(x * p, q)


@plain
def shrink(u, threshold, lower, upper):
    """Soft threshold between two bounds; NaN for NaN."""
    return smaller(upper, larger(lower, u - smaller(threshold, larger(-threshold, u))))


@plain
def activity(kind, threshold, lower, upper, u):
    """Activity ``f(u)``."""
    if kind == TANH:
        return tanh(u)
    return shrink(u, threshold, lower, upper)


@plain
def proximal(kind, threshold, lower, upper, step, z, u, r):
    """Potential v with ``step v + (1 - step) f(v) = z``, for tanh by one Newton step from u, where ``r = f(u)``."""
    rest, whole = np.float32(1) - step, z * (np.float32(1) / step)
    if kind == TANH:
        v = u - divide(u * step + r * rest - z, (1 - r * r) * rest + step)
        # The root is between these, as tanh(v) is between 0 and v.
        return smaller(larger(v, smaller(z, whole)), larger(z, whole))
    return whole - shrink(z, step * threshold, lower, upper) * (rest * (np.float32(1) / step))


@plain
def rectified(kind, threshold, lower):
    """Whether activities are at least 0, without a threshold: where sweeps need fewer steps than alternations."""
    return kind != TANH and threshold == 0 and lower == 0


@plain
def magnitude(x):
    """Absolute value."""
    return larger(x, 0 - x)


@fast
def measure(kind, threshold, lower, upper, b, r, force, lanes, n):
    """Keep the squared lengths of ``f(b + r - A r) - r`` and of r, where `force` holds ``A r``, lane by lane."""
    wide_vectors()
    defect = size = broadcast(0)
    for i in range(n):
        q = get(r, i)
        d = activity(kind, threshold, lower, upper, get(b, i) - get(force, i) + q) - q
        defect += d * d
        size += q * q
    put(lanes, at.DEFECT, defect)
    put(lanes, at.SIZE, size)
