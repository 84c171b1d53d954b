# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Newton's method for blocks of four neurons, whose numbers stay in the registers of the processor."""

import numpy as np

from . import TANH
from ._activity import activity, magnitude
from ._blocks import (
    LEFT,
    active_of,
    drive_of,
    figures_of,
    from_rest,
    keeps_potentials,
    most_steps,
    settings_of,
    size_of,
    some_stay,
    start_of,
    states_of,
)
from ._ffi import address_of, fast, integers_at, plain, wide_vectors
from ._lanes import (
    PAIR,
    WIDTH,
    divide,
    first_lanes,
    first_of_pair,
    get_pair,
    get_some,
    offset_by,
    put_counts,
    put_some,
    total,
    where_less,
)
from ._newton import MARGIN, NEWTON_STEPS, steepness


@plain
def put_four(numbers, apart, used, x0, x1, x2, x3):
    """Keep the numbers of four neurons, which are so many apart."""
    put_some(numbers, used, x0)
    put_some(offset_by(numbers, apart), used, x1)
    put_some(offset_by(numbers, 2 * apart), used, x2)
    put_some(offset_by(numbers, 3 * apart), used, x3)


def _settling(get, flags):
    """Build the method for as many lanes as are got at once."""

    @plain
    def four(numbers, apart, used):
        """Numbers of four neurons, which are so many apart."""
        first, second = get(numbers, used), get(offset_by(numbers, apart), used)
        return first, second, get(offset_by(numbers, 2 * apart), used), get(offset_by(numbers, 3 * apart), used)

    @fast
    def settle(frame, block, first, used, a):
        wide_vectors()
        kind, threshold, lower, upper, tolerance = settings_of(frame)
        most, limit, apart = most_steps(frame), tolerance * tolerance, size_of(frame)[1]
        last = min(NEWTON_STEPS, most)
        drive, start = offset_by(drive_of(frame, block), first), offset_by(start_of(frame, block), first)
        b0, b1, b2, b3 = four(drive, apart, used)
        active = flags(used)
        u0 = u1 = u2 = u3 = steps = final_defect = active * 0
        if not from_rest(frame):
            u0, u1, u2, u3 = four(start, apart, used)
        r0, r1 = activity(kind, threshold, lower, upper, u0), activity(kind, threshold, lower, upper, u1)
        r2, r3 = activity(kind, threshold, lower, upper, u2), activity(kind, threshold, lower, upper, u3)
        final_size = final_defect + 1
        if some_stay(frame):
            active = get(offset_by(active_of(frame), first), used)
        v0, v1, v2, v3, q0, q1, q2, q3 = u0, u1, u2, u3, r0, r1, r2, r3
        for taken in range(last + 1 if total(active) > 0 else 0):
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
                s0, s1 = (
                    steepness(kind, threshold, lower, upper, u0, r0),
                    steepness(kind, threshold, lower, upper, u1, r1),
                )
                s2, s3 = (
                    steepness(kind, threshold, lower, upper, u2, r2),
                    steepness(kind, threshold, lower, upper, u3, r3),
                )
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
        potentials, activities = states_of(frame, block)
        if keeps_potentials(frame):
            put_four(offset_by(potentials, first), apart, used, v0, v1, v2, v3)
        q0, q1 = where_less(0, active, u0, q0), where_less(0, active, u1, q1)
        q2, q3 = where_less(0, active, u2, q2), where_less(0, active, u3, q3)
        put_four(offset_by(activities, first), apart, used, q0, q1, q2, q3)
        counts, defects, sizes = figures_of(frame, block)
        put_counts(integers_at(address_of(counts) + 4 * first), used, where_less(0, active, LEFT, steps))
        put_some(offset_by(defects, first), used, final_defect)
        put_some(offset_by(sizes, first), used, final_size)

    return settle


settle_sixteen, settle_pair = _settling(get_some, first_lanes), _settling(get_pair, first_of_pair)


@plain
def settle_fours(frame, block, begin, end, a):
    """Settle some samples of a block of four neurons.

    Samples for which the method does not end have `LEFT` as their number of steps, and potentials for activities.
    """
    for first in range(begin, end, PAIR):
        used = min(PAIR, end - first)
        if used > WIDTH:
            settle_pair(frame, block, first, used, a)
        else:
            settle_sixteen(frame, block, first, used, a)
