# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""Newton's method for the smallest blocks: the lanes of a register are samples of one block, or blocks for one sample.

The latter is how few samples, as in learning online, fill a register: every lane then has a matrix of its own.
"""

import numpy as np

from . import TANH
from . import _memory as at
from ._activity import activity, magnitude, measure
from ._blocks import most_steps, settings_of, size_of
from ._ffi import fast, plain, wide_vectors
from ._lanes import WIDTH, broadcast, divide, get, larger, offset_by, put, row_of, total, where_less
from ._memory import keep, vector
from ._multiply import multiply

# Steps for which it is tried.
NEWTON_STEPS = 10
# A slope of an activation counts as at least this.
FLATTEST = np.float32(1e-6)
# And as at most this: with 1 a singular matrix would have pivots of 0, and the step would be NaN.
STEEPEST = np.float32(1 - 1e-6)
# A defect is measured where its estimate is at most about twice what is allowed (here squared).
MARGIN = np.float32(4)


@plain
def round_up_to_four(n):
    """Size of a block that is filled up to fours."""
    return (n + 3) // 4 * 4


@fast
def multiply_each(a, x, y, n):
    """Set ``y = A x`` in every lane, for matrices that are filled up to fours."""
    wide_vectors()
    whole = round_up_to_four(n)
    for i in range(0, whole, 4):
        row0, row1 = row_of(a, i, whole), row_of(a, i + 1, whole)
        row2, row3 = row_of(a, i + 2, whole), row_of(a, i + 3, whole)
        y0 = y1 = y2 = y3 = broadcast(0)
        for j in range(n):
            v = get(x, j)
            y0 += get(row0, j) * v
            y1 += get(row1, j) * v
            y2 += get(row2, j) * v
            y3 += get(row3, j) * v
        put(y, i, y0)
        put(y, i + 1, y1)
        put(y, i + 2, y2)
        put(y, i + 3, y3)


@fast
def glance(b, u, r, force, lanes, n):
    """Estimate, to first order for tanh, the squared length of ``f(b + r - A r) - r``; keep it and that of r."""
    wide_vectors()
    defect = size = broadcast(0)
    for i in range(n):
        q = get(r, i)
        squared = q * q
        d = (get(b, i) - get(force, i) + q - get(u, i)) * (1 - squared)
        defect += d * d
        size += squared
    put(lanes, at.DEFECT, defect)
    put(lanes, at.SIZE, size)


@plain
def factors_size(n):
    """Registers for the factors of a block."""
    return (round_up_to_four(n) + 4) * round_up_to_four(n)


@plain
def finish_row(row, j, e0, e1, e2, e3, l10, l20, l21, l30, l31, l32, i0, i1, i2, i3):
    """Solve four entries of a row of L for the square on the diagonal, and keep them."""
    e1 -= e0 * l10
    e2 -= e0 * l20 + e1 * l21
    e3 -= e0 * l30 + e1 * l31 + e2 * l32
    put(row, j, e0 * i0)
    put(row, j + 1, e1 * i1)
    put(row, j + 2, e2 * i2)
    put(row, j + 3, e3 * i3)


@plain
def fill_up(matrix, n, target):
    """Copy a matrix and fill it up to fours with the identity."""
    m = round_up_to_four(n)
    for i in range(m):
        for j in range(m):
            target[i * m + j] = matrix[i * n + j] if i < n and j < n else np.float32(i == j)


@plain
def same(a, index):
    """Entry of a matrix that all lanes share."""
    return broadcast(a[index])


def _factorise(entry):
    """Build the factorisation of matrices whose entries are read in some way."""

    @fast
    def factorise(a, factors, scaled, pivots, slope, move, n):
        """Factors L D L' of ``a + slope - 1``, in squares of four by four, and `move` solved for the lower one.

        Rows of L are kept whole. A negative pivot counts as if it were positive, so that no step leads to a saddle.
        """
        wide_vectors()
        m = round_up_to_four(n)
        for j in range(0, m, 4):
            row0, row1 = row_of(factors, j, m), row_of(factors, j + 1, m)
            row2, row3 = row_of(factors, j + 2, m), row_of(factors, j + 3, m)
            at0 = j * m + j
            at1, at2, at3 = at0 + m, at0 + 2 * m, at0 + 3 * m
            # The square on the diagonal.
            c00 = get(slope, j) + (entry(a, at0) - 1)
            c10, c11 = entry(a, at1), get(slope, j + 1) + (entry(a, at1 + 1) - 1)
            c20, c21, c22 = entry(a, at2), entry(a, at2 + 1), get(slope, j + 2) + (entry(a, at2 + 2) - 1)
            c30, c31, c32 = entry(a, at3), entry(a, at3 + 1), entry(a, at3 + 2)
            c33 = get(slope, j + 3) + (entry(a, at3 + 3) - 1)
            y0, y1, y2, y3 = get(move, j), get(move, j + 1), get(move, j + 2), get(move, j + 3)
            for k in range(j):
                l0, l1, l2, l3 = get(row0, k), get(row1, k), get(row2, k), get(row3, k)
                pivot, y = get(pivots, k), get(move, k)
                s0, s1, s2, s3 = l0 * pivot, l1 * pivot, l2 * pivot, l3 * pivot
                put(scaled, 4 * k, s0)
                put(scaled, 4 * k + 1, s1)
                put(scaled, 4 * k + 2, s2)
                put(scaled, 4 * k + 3, s3)
                c00 -= l0 * s0
                c10 -= l1 * s0
                c11 -= l1 * s1
                c20 -= l2 * s0
                c21 -= l2 * s1
                c22 -= l2 * s2
                c30 -= l3 * s0
                c31 -= l3 * s1
                c32 -= l3 * s2
                c33 -= l3 * s3
                y0 -= l0 * y
                y1 -= l1 * y
                y2 -= l2 * y
                y3 -= l3 * y
            d0 = magnitude(c00)
            i0 = divide(1, d0)
            l10, l20, l30 = c10 * i0, c20 * i0, c30 * i0
            d1 = magnitude(c11 - l10 * c10)
            i1 = divide(1, d1)
            c21 -= l20 * c10
            c31 -= l30 * c10
            l21, l31 = c21 * i1, c31 * i1
            d2 = magnitude(c22 - l20 * c20 - l21 * c21)
            i2 = divide(1, d2)
            c32 -= l30 * c20 + l31 * c21
            l32 = c32 * i2
            d3 = magnitude(c33 - l30 * c30 - l31 * c31 - l32 * c32)
            i3 = divide(1, d3)
            y1 -= l10 * y0
            y2 -= l20 * y0 + l21 * y1
            y3 -= l30 * y0 + l31 * y1 + l32 * y2
            put(pivots, j, d0)
            put(pivots, j + 1, d1)
            put(pivots, j + 2, d2)
            put(pivots, j + 3, d3)
            put(row1, j, l10)
            put(row2, j, l20)
            put(row2, j + 1, l21)
            put(row3, j, l30)
            put(row3, j + 1, l31)
            put(row3, j + 2, l32)
            put(move, j, y0)
            put(move, j + 1, y1)
            put(move, j + 2, y2)
            put(move, j + 3, y3)
            # The squares below it.
            for i in range(j + 4, m, 4):
                row0, row1 = row_of(factors, i, m), row_of(factors, i + 1, m)
                row2, row3 = row_of(factors, i + 2, m), row_of(factors, i + 3, m)
                at0 = i * m + j
                at1, at2, at3 = at0 + m, at0 + 2 * m, at0 + 3 * m
                e00, e01, e02, e03 = entry(a, at0), entry(a, at0 + 1), entry(a, at0 + 2), entry(a, at0 + 3)
                e10, e11, e12, e13 = entry(a, at1), entry(a, at1 + 1), entry(a, at1 + 2), entry(a, at1 + 3)
                e20, e21, e22, e23 = entry(a, at2), entry(a, at2 + 1), entry(a, at2 + 2), entry(a, at2 + 3)
                e30, e31, e32, e33 = entry(a, at3), entry(a, at3 + 1), entry(a, at3 + 2), entry(a, at3 + 3)
                for k in range(j):
                    s0, s1 = get(scaled, 4 * k), get(scaled, 4 * k + 1)
                    s2, s3 = get(scaled, 4 * k + 2), get(scaled, 4 * k + 3)
                    l0, l1, l2, l3 = get(row0, k), get(row1, k), get(row2, k), get(row3, k)
                    e00 -= l0 * s0
                    e01 -= l0 * s1
                    e02 -= l0 * s2
                    e03 -= l0 * s3
                    e10 -= l1 * s0
                    e11 -= l1 * s1
                    e12 -= l1 * s2
                    e13 -= l1 * s3
                    e20 -= l2 * s0
                    e21 -= l2 * s1
                    e22 -= l2 * s2
                    e23 -= l2 * s3
                    e30 -= l3 * s0
                    e31 -= l3 * s1
                    e32 -= l3 * s2
                    e33 -= l3 * s3
                finish_row(row0, j, e00, e01, e02, e03, l10, l20, l21, l30, l31, l32, i0, i1, i2, i3)
                finish_row(row1, j, e10, e11, e12, e13, l10, l20, l21, l30, l31, l32, i0, i1, i2, i3)
                finish_row(row2, j, e20, e21, e22, e23, l10, l20, l21, l30, l31, l32, i0, i1, i2, i3)
                finish_row(row3, j, e30, e31, e32, e33, l10, l20, l21, l30, l31, l32, i0, i1, i2, i3)

    return factorise


factorise_same, factorise_each = _factorise(same), _factorise(get)


@plain
def steepness(kind, threshold, lower, upper, u, r):
    """One over the slope of the activation, within bounds."""
    if kind == TANH:
        return divide(1, larger(STEEPEST - r * r, FLATTEST))
    steep = where_less(magnitude(u), threshold, 1 / FLATTEST, 1 / STEEPEST)
    steep = where_less(lower, r, steep, 1 / FLATTEST)
    return where_less(r, upper, steep, 1 / FLATTEST)


@fast
def newton(kind, threshold, lower, upper, a, each, factors, b, u, r, force, slope, move, pivots, n):
    """One Newton step of the potentials: ``(1/f' - 1 + A) v = b - A r + r - u``, then ``u += v / f'``."""
    wide_vectors()
    m = round_up_to_four(n)
    for j in range(n):
        q = get(r, j)
        put(slope, j, steepness(kind, threshold, lower, upper, get(u, j), q))
        put(move, j, get(b, j) - get(force, j) + q - get(u, j))
    for j in range(n, m):
        put(slope, j, broadcast(1))
        put(move, j, broadcast(0))
    scaled = row_of(factors, m, m)
    if each:
        factorise_each(a, factors, scaled, pivots, slope, move, n)
    else:
        factorise_same(a, factors, scaled, pivots, slope, move, n)
    for j in range(m):
        put(move, j, divide(get(move, j), get(pivots, j)))
    for j in range(m - 4, -1, -4):
        row0, row1 = row_of(factors, j, m), row_of(factors, j + 1, m)
        row2, row3 = row_of(factors, j + 2, m), row_of(factors, j + 3, m)
        v3 = get(move, j + 3)
        v2 = get(move, j + 2) - get(row3, j + 2) * v3
        v1 = get(move, j + 1) - get(row2, j + 1) * v2 - get(row3, j + 1) * v3
        v0 = get(move, j) - get(row1, j) * v1 - get(row2, j) * v2 - get(row3, j) * v3
        for k in range(j):
            some = get(row0, k) * v0 + get(row1, k) * v1
            more = get(row2, k) * v2 + get(row3, k) * v3
            put(move, k, get(move, k) - some - more)
        put(move, j, v0)
        put(move, j + 1, v1)
        put(move, j + 2, v2)
    for j in range(n):
        new = get(u, j) + get(slope, j) * get(move, j)
        put(u, j, new)
        put(r, j, activity(kind, threshold, lower, upper, new))


@fast
def settle_by_newton(frame, a, each, before, packed, memory):
    """Settle the lanes that are active, after some other steps; those remain active where the method does not."""
    wide_vectors()
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    n, most = size_of(frame)[0], most_steps(frame)
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    force, lanes = vector(memory, at.FORCE, n), vector(memory, at.LANES, n)
    slope, move = vector(memory, at.CHANGE, n), vector(memory, at.AHEAD, n)
    pivots, factors = vector(memory, at.PIVOTS, n), offset_by(lanes, at.COUNT * WIDTH)
    limit, last = tolerance * tolerance, min(before + NEWTON_STEPS, most)
    for taken in range(before, last + 1):
        if each:
            multiply_each(a, r, force, n)
        else:
            multiply(packed, r, force, n, n)
        # Which lanes are measured, and when, must not depend on other lanes.
        worth = get(lanes, at.ACTIVE)
        if kind == TANH and taken < last:
            glance(b, u, r, force, lanes, n)
            worth = where_less(get(lanes, at.SIZE) * (MARGIN * limit), get(lanes, at.DEFECT), 0, worth)
        if total(worth) > 0:
            measure(kind, threshold, lower, upper, b, r, force, lanes, n)
            keep(memory, n, worth, limit, taken, taken == most, False)
            if not total(get(lanes, at.ACTIVE)) > 0:
                break
        if taken < last:
            newton(kind, threshold, lower, upper, a, each, factors, b, u, r, force, slope, move, pivots, n)
