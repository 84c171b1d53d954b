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
    flat = broadcast(1 / FLATTEST)
    steep = where_less(magnitude(u), threshold, flat, 1 / STEEPEST)
    steep = where_less(lower, r, steep, flat)
    return where_less(r, upper, steep, flat)


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
def settle_four(frame, a, memory):
    """`settle_by_newton` for blocks of four neurons, which the registers of the processor hold."""
    wide_vectors()
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    most, limit = most_steps(frame), tolerance * tolerance
    last = min(NEWTON_STEPS, most)
    b, u, r = vector(memory, at.DRIVE, 4), vector(memory, at.POTENTIAL, 4), vector(memory, at.ACTIVITY, 4)
    final_u, final_r = vector(memory, at.FINAL_POTENTIAL, 4), vector(memory, at.FINAL_ACTIVITY, 4)
    lanes = vector(memory, at.LANES, 4)
    b0, b1, b2, b3 = get(b, 0), get(b, 1), get(b, 2), get(b, 3)
    u0, u1, u2, u3 = get(u, 0), get(u, 1), get(u, 2), get(u, 3)
    r0, r1, r2, r3 = get(r, 0), get(r, 1), get(r, 2), get(r, 3)
    v0, v1, v2, v3, q0, q1, q2, q3 = u0, u1, u2, u3, r0, r1, r2, r3
    active, steps, final_defect, final_size = get(lanes, at.ACTIVE), broadcast(0), broadcast(0), broadcast(1)
    for taken in range(last + 1):
        # What a potential lacks.
        g0 = b0 - (r0 * a[0] + r1 * a[1] + r2 * a[2] + r3 * a[3]) + r0 - u0
        g1 = b1 - (r0 * a[4] + r1 * a[5] + r2 * a[6] + r3 * a[7]) + r1 - u1
        g2 = b2 - (r0 * a[8] + r1 * a[9] + r2 * a[10] + r3 * a[11]) + r2 - u2
        g3 = b3 - (r0 * a[12] + r1 * a[13] + r2 * a[14] + r3 * a[15]) + r3 - u3
        size = r0 * r0 + r1 * r1 + r2 * r2 + r3 * r3
        worth = active
        if kind == TANH and taken < last:
            # Estimated to first order, as in `glance`.
            d0, d1, d2, d3 = g0 * (1 - r0 * r0), g1 * (1 - r1 * r1), g2 * (1 - r2 * r2), g3 * (1 - r3 * r3)
            worth = where_less(size * (MARGIN * limit), d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3, 0, active)
        if total(worth) > 0:
            d0 = activity(kind, threshold, lower, upper, u0 + g0) - r0
            d1 = activity(kind, threshold, lower, upper, u1 + g1) - r1
            d2 = activity(kind, threshold, lower, upper, u2 + g2) - r2
            d3 = activity(kind, threshold, lower, upper, u3 + g3) - r3
            defect = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3
            done = where_less(defect, np.float32(np.inf), where_less(size * limit, defect, 0, worth), 0)
            if taken == most:
                done = worth
            if total(done) > 0:
                active -= done
                steps = where_less(0, done, taken, steps)
                final_defect, final_size = (
                    where_less(0, done, defect, final_defect),
                    where_less(0, done, size, final_size),
                )
                v0, v1 = where_less(0, done, u0, v0), where_less(0, done, u1, v1)
                v2, v3 = where_less(0, done, u2, v2), where_less(0, done, u3, v3)
                q0, q1 = where_less(0, done, r0, q0), where_less(0, done, r1, q1)
                q2, q3 = where_less(0, done, r2, q2), where_less(0, done, r3, q3)
                if not total(active) > 0:
                    break
        if taken < last:
            s0, s1 = steepness(kind, threshold, lower, upper, u0, r0), steepness(kind, threshold, lower, upper, u1, r1)
            s2, s3 = steepness(kind, threshold, lower, upper, u2, r2), steepness(kind, threshold, lower, upper, u3, r3)
            # Factors L D L' of ``a + slope - 1``, as in `factorise`.
            p0 = magnitude(s0 + (a[0] - 1))
            i0 = divide(1, p0)
            l10, l20, l30 = i0 * a[4], i0 * a[8], i0 * a[12]
            p1 = magnitude(s1 + (a[5] - 1) - l10 * a[4])
            i1 = divide(1, p1)
            c21, c31 = a[9] - l20 * a[4], a[13] - l30 * a[4]
            l21, l31 = c21 * i1, c31 * i1
            p2 = magnitude(s2 + (a[10] - 1) - l20 * a[8] - l21 * c21)
            i2 = divide(1, p2)
            c32 = a[14] - l30 * a[8] - l31 * c21
            l32 = c32 * i2
            p3 = magnitude(s3 + (a[15] - 1) - l30 * a[12] - l31 * c31 - l32 * c32)
            g1 -= l10 * g0
            g2 -= l20 * g0 + l21 * g1
            g3 -= l30 * g0 + l31 * g1 + l32 * g2
            m3 = divide(g3, p3)
            m2 = g2 * i2 - l32 * m3
            m1 = g1 * i1 - l21 * m2 - l31 * m3
            m0 = g0 * i0 - l10 * m1 - l20 * m2 - l30 * m3
            u0, u1, u2, u3 = u0 + s0 * m0, u1 + s1 * m1, u2 + s2 * m2, u3 + s3 * m3
            r0, r1 = activity(kind, threshold, lower, upper, u0), activity(kind, threshold, lower, upper, u1)
            r2, r3 = activity(kind, threshold, lower, upper, u2), activity(kind, threshold, lower, upper, u3)
    put(final_u, 0, v0)
    put(final_u, 1, v1)
    put(final_u, 2, v2)
    put(final_u, 3, v3)
    put(final_r, 0, q0)
    put(final_r, 1, q1)
    put(final_r, 2, q2)
    put(final_r, 3, q3)
    put(lanes, at.ACTIVE, active)
    put(lanes, at.TAKEN, steps)
    put(lanes, at.FINAL_DEFECT, final_defect)
    put(lanes, at.FINAL_SIZE, final_size)
    if total(active) > 0:
        put(u, 0, u0)
        put(u, 1, u1)
        put(u, 2, u2)
        put(u, 3, u3)
        put(r, 0, r0)
        put(r, 1, r1)
        put(r, 2, r2)
        put(r, 3, r3)


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
