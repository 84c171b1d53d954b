# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""Newton's method for the smallest blocks: the lanes of a register are samples of one block, or blocks for one sample.

The latter is how few samples, as in learning online, fill a register: every lane then has a matrix of its own.
"""

import numpy as np

from . import TANH
from . import _memory as at
from ._activity import activity, magnitude, measure
from ._ffi import fast, plain, wide_vectors
from ._lanes import WIDTH, divide, get, larger, put, shifted, sixteen, total, where_less
from ._memory import keep, vector
from ._multiply import multiply

# Steps for which it is tried.
NEWTON_STEPS = 10
# A slope counts as at least this.
FLATTEST = np.float32(1e-6)
# A defect is measured where its estimate is at most about twice what is allowed (here squared).
MARGIN = np.float32(4)


@plain
def same(a, index):
    """Entry of a matrix that all lanes share."""
    return sixteen(a[index])


@plain
def own(a, index):
    """Entry of the matrices of the lanes, each its own."""
    return get(a, index)


@fast
def multiply_own(a, x, y, m, n):
    """Set ``y = A x``, every lane with a matrix of its own, of m rows and n columns."""
    wide_vectors()
    for i in range(0, m, 4):
        # The last four rows may overlap those before.
        first = max(min(i, m - 4), 0)
        y0 = y1 = y2 = y3 = sixteen(0)
        row0 = first * n
        row1, row2, row3 = min(first + 1, m - 1) * n, min(first + 2, m - 1) * n, min(first + 3, m - 1) * n
        for j in range(n):
            v = get(x, j)
            y0 += get(a, row0 + j) * v
            y1 += get(a, row1 + j) * v
            y2 += get(a, row2 + j) * v
            y3 += get(a, row3 + j) * v
        put(y, min(first + 3, m - 1), y3)
        put(y, min(first + 2, m - 1), y2)
        put(y, min(first + 1, m - 1), y1)
        put(y, first, y0)


@fast
def glance(b, u, r, force, sums, n):
    """Estimate, to first order for tanh, the squared length of ``f(b + r - A r) - r``; keep it and that of r."""
    wide_vectors()
    defect = size = sixteen(0)
    for i in range(n):
        q = get(r, i)
        squared = q * q
        d = (get(b, i) - get(force, i) + q - get(u, i)) * (1 - squared)
        defect += d * d
        size += squared
    put(sums, at.DEFECT, defect)
    put(sums, at.SIZE, size)


def _method(entry, product):
    """Newton's method for matrices of a kind: how to read an entry, and how to multiply."""

    @fast
    def newton(kind, threshold, lower, upper, a, h, b, u, r, force, slope, move, w, d, n):
        """One Newton step of the potentials: ``(1/f' - 1 + A) v = b - A r + r - u``, then ``u += v / f'``.

        A direction of negative curvature counts as if it were positive, so that no step leads to a saddle.
        """
        wide_vectors()
        # Factors L D L', column by column; h holds L by rows and the reciprocals of D on its diagonal.
        for j in range(n):
            row = j * (j + 1) // 2
            q = get(r, j)
            if kind == TANH:
                steep = divide(1, larger(1 - q * q, FLATTEST))
            else:
                flat = sixteen(1 / FLATTEST)
                steep = where_less(magnitude(get(u, j)), threshold, flat, 1)
                steep = where_less(lower, q, steep, flat)
                steep = where_less(q, upper, steep, flat)
            put(slope, j, steep)
            pivot = steep + (entry(a, j * n + j) - 1)
            right = get(b, j) - get(force, j) + q - get(u, j)
            other_pivot = other_right = sixteen(0)  # two sums each, as one addition waits for the one before
            for k in range(0, j - 1, 2):
                one, other = get(h, row + k), get(h, row + k + 1)
                scaled, other_scaled = one * get(d, k), other * get(d, k + 1)
                put(w, k, scaled)
                put(w, k + 1, other_scaled)
                pivot -= one * scaled
                other_pivot -= other * other_scaled
                right -= one * get(move, k)
                other_right -= other * get(move, k + 1)
            if j % 2 == 1:
                one = get(h, row + j - 1)
                scaled = one * get(d, j - 1)
                put(w, j - 1, scaled)
                pivot -= one * scaled
                right -= one * get(move, j - 1)
            pivot += other_pivot
            right += other_right
            put(move, j, right)
            pivot = magnitude(pivot)
            inverse = divide(1, pivot)
            put(d, j, pivot)
            put(h, row + j, inverse)
            i = j + 1
            while i + 4 <= n:
                at0 = i * (i + 1) // 2
                at1 = at0 + i + 1
                at2 = at1 + i + 2
                at3 = at2 + i + 3
                l0, l1 = entry(a, i * n + j), entry(a, (i + 1) * n + j)
                l2, l3 = entry(a, (i + 2) * n + j), entry(a, (i + 3) * n + j)
                for k in range(j):
                    scaled = get(w, k)
                    l0 -= get(h, at0 + k) * scaled
                    l1 -= get(h, at1 + k) * scaled
                    l2 -= get(h, at2 + k) * scaled
                    l3 -= get(h, at3 + k) * scaled
                put(h, at0 + j, l0 * inverse)
                put(h, at1 + j, l1 * inverse)
                put(h, at2 + j, l2 * inverse)
                put(h, at3 + j, l3 * inverse)
                i += 4
            while i < n:
                at0 = i * (i + 1) // 2
                l0 = entry(a, i * n + j)
                for k in range(j):
                    l0 -= get(h, at0 + k) * get(w, k)
                put(h, at0 + j, l0 * inverse)
                i += 1
        for j in range(n):
            put(move, j, get(move, j) * get(h, j * (j + 1) // 2 + j))
        for j in range(n - 1, -1, -1):
            v, row = get(move, j), j * (j + 1) // 2
            for k in range(j):
                put(move, k, get(move, k) - get(h, row + k) * v)
            new = get(u, j) + get(slope, j) * v
            put(u, j, new)
            put(r, j, activity(kind, threshold, lower, upper, new))

    @fast
    def settle(settings, a, packed, memory, n, most):
        """Settle the lanes that are active, where the method does; those remain active where it does not."""
        wide_vectors()
        kind, threshold, lower, upper, tolerance = settings[0], settings[1], settings[2], settings[3], settings[4]
        b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
        force, lanes = vector(memory, at.FORCE, n), vector(memory, at.LANES, n)
        factors, slope, move = (
            shifted(lanes, at.COUNT * WIDTH),
            vector(memory, at.CHANGE, n),
            vector(memory, at.AHEAD, n),
        )
        spare, pivots = vector(memory, at.SPARE, n), vector(memory, at.PIVOTS, n)
        limit, last = tolerance * tolerance, min(NEWTON_STEPS, most)
        for taken in range(last + 1):
            product(packed, r, force, n, n)
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
                newton(kind, threshold, lower, upper, a, factors, b, u, r, force, slope, move, spare, pivots, n)

    return settle


settle_samples, settle_blocks = _method(same, multiply), _method(own, multiply_own)
