# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Fixed points of one block of neurons for some samples, in the caches of one core.

Rows of the working memory are neurons and its columns samples ("lanes"), so that every loop over a row is a few vector
instructions. A block is a site whose neurons interact with each other only: ``r = f(b + r - A r)``.

Small blocks start with Newton's method, whose linear systems are written out over lanes; what it has not finished, and
every large block, is left to accelerated proximal gradient steps as in `simatch.relaxation.Accelerated`. A lane that is
done is written out at once, so that no result depends on the other lanes.
"""

import numpy as np
from numba import carray, cfunc, njit, types

from . import NEWTON_SIZE, TANH
from ._ffi import (
    INTERNAL,
    Words,
    address_of,
    compiled,
    floats_at,
    free,
    integers_at,
    length,
    malloc,
    operand,
    plain,
    result,
    wide_vectors,
)

# Steps for which Newton's method is tried.
NEWTON_STEPS = 10
# Lanes are a multiple of a vector; more of them than this leave the nearest cache.
VECTOR, MOST_LANES = 16, 128
# Steps between two measurements of lanes that may be done, and of all. A slope counts as at least this.
OFTEN, RARELY, FLATTEST = 3, 48, np.float32(1e-6)

MATRIX, DRIVE, START, STEP, SETTINGS, LIMIT = range(6)
POTENTIAL, ACTIVITY, STEPS, DEFECT, SIZE = range(5)

NUMERICS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
fast = compiled(njit(**INTERNAL, **NUMERICS))


@fast
def tanh(u):
    """Rational approximation of tanh, with an error below 4e-7 in single precision."""
    x = min(max(u, np.float32(-8)), np.float32(8))
    y = x * x
    p = np.float32(1.5229995847e-08)
    p = p * y + np.float32(2.1894425697e-05)
    p = p * y + np.float32(3.5715860963e-03)
    p = p * y + np.float32(1.3444488627e-01)
    p = p * y + np.float32(9.9999999359e-01)
    q = np.float32(8.5222951475e-07)
    q = q * y + np.float32(3.4112707891e-04)
    q = q * y + np.float32(2.6164399749e-02)
    q = q * y + np.float32(4.6777815960e-01)
    q = q * y + np.float32(1)
    return x * p / q


@fast
def shrink(u, threshold, lower, upper):
    """Soft threshold between two bounds."""
    return min(max(u - min(max(u, -threshold), threshold), lower), upper)


@fast
def multiply(a, x, y, n, lanes):
    """Set ``y = A x``, four rows and four columns of A at a time."""
    wide_vectors()
    whole = n // 4 * 4
    for i in range(0, whole, 4):
        for s in range(lanes):
            y[i, s] = y[i + 1, s] = y[i + 2, s] = y[i + 3, s] = np.float32(0)
        for k in range(0, whole, 4):
            a00, a01, a02, a03 = a[i * n + k], a[i * n + k + 1], a[i * n + k + 2], a[i * n + k + 3]
            j = (i + 1) * n + k
            a10, a11, a12, a13 = a[j], a[j + 1], a[j + 2], a[j + 3]
            j = (i + 2) * n + k
            a20, a21, a22, a23 = a[j], a[j + 1], a[j + 2], a[j + 3]
            j = (i + 3) * n + k
            a30, a31, a32, a33 = a[j], a[j + 1], a[j + 2], a[j + 3]
            for s in range(lanes):
                x0, x1, x2, x3 = x[k, s], x[k + 1, s], x[k + 2, s], x[k + 3, s]
                y[i, s] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                y[i + 1, s] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                y[i + 2, s] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                y[i + 3, s] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
        for k in range(whole, n):
            for j in range(i, i + 4):
                c = a[j * n + k]
                for s in range(lanes):
                    y[j, s] += c * x[k, s]
    for i in range(whole, n):
        for s in range(lanes):
            y[i, s] = np.float32(0)
        for k in range(n):
            c = a[i * n + k]
            for s in range(lanes):
                y[i, s] += c * x[k, s]


@fast
def respond(kind, threshold, lower, upper, u, r, n, lanes):
    """Set ``r = f(u)``."""
    wide_vectors()
    for i in range(n):
        if kind == TANH:
            for s in range(lanes):
                r[i, s] = tanh(u[i, s])
        else:
            for s in range(lanes):
                r[i, s] = shrink(u[i, s], threshold, lower, upper)


@fast
def measure(kind, threshold, lower, upper, b, u, r, force, defect, size, n, lanes):
    """Squared lengths, in every lane, of ``f(b + r - A r) - r`` and of r, where `force` holds ``A r``."""
    wide_vectors()
    for s in range(lanes):
        defect[s] = size[s] = np.float32(0)
    for i in range(n):
        if kind == TANH:
            for s in range(lanes):
                d = tanh(b[i, s] - force[i, s] + r[i, s]) - r[i, s]
                defect[s] += d * d
                size[s] += r[i, s] * r[i, s]
        else:
            for s in range(lanes):
                d = shrink(b[i, s] - force[i, s] + r[i, s], threshold, lower, upper) - r[i, s]
                defect[s] += d * d
                size[s] += r[i, s] * r[i, s]


@fast
def newton(kind, threshold, lower, upper, a, h, b, u, r, force, slope, move, n, lanes):
    """One Newton step of the potentials: ``(1/f' - 1 + A) v = b - A r + r - u``, then ``u += v / f'``.

    A direction of negative curvature counts as if it were positive, so that no step leads to a saddle.
    """
    wide_vectors()
    for i in range(n):
        if kind == TANH:
            for s in range(lanes):
                slope[i, s] = np.float32(1) / max(np.float32(1) - r[i, s] * r[i, s], FLATTEST)
        else:
            for s in range(lanes):
                moving = abs(u[i, s]) >= threshold and lower < r[i, s] < upper
                slope[i, s] = np.float32(1) if moving else np.float32(1) / FLATTEST
        for s in range(lanes):
            move[i, s] = b[i, s] - force[i, s] + r[i, s] - u[i, s]
        row = i * (i + 1) // 2
        for k in range(i):
            c = a[i * n + k]
            for s in range(lanes):
                h[row + k, s] = c
        c = a[i * n + i] - np.float32(1)
        for s in range(lanes):
            h[row + i, s] = c + slope[i, s]
    # Factors L D L', column by column, with the right side as one more row.
    for j in range(n):
        pivot = j * (j + 1) // 2 + j
        for s in range(lanes):
            h[pivot, s] = np.float32(1) / abs(h[pivot, s])
        for i in range(j + 1, n):
            row = i * (i + 1) // 2
            for s in range(lanes):
                force[i, s] = h[row + j, s] * h[pivot, s]
                move[i, s] -= force[i, s] * move[j, s]
            for k in range(j + 1, i + 1):
                below = k * (k + 1) // 2 + j
                for s in range(lanes):
                    h[row + k, s] -= force[i, s] * h[below, s]
        for i in range(j + 1, n):
            row = i * (i + 1) // 2
            for s in range(lanes):
                h[row + j, s] = force[i, s]
    for j in range(n - 1, -1, -1):
        pivot = j * (j + 1) // 2 + j
        for s in range(lanes):
            move[j, s] *= h[pivot, s]
        for i in range(j + 1, n):
            row = i * (i + 1) // 2
            for s in range(lanes):
                move[j, s] -= h[row + j, s] * move[i, s]
        for s in range(lanes):
            u[j, s] += slope[j, s] * move[j, s]


@fast
def look_ahead(r, change, ahead, momentum, weight, n, lanes):
    """Set ``ahead = r + k / (k + 3) change`` for the momentum k of every lane."""
    wide_vectors()
    for s in range(lanes):
        weight[s] = momentum[s] / (momentum[s] + np.float32(3))
    for i in range(n):
        for s in range(lanes):
            ahead[i, s] = r[i, s] + weight[s] * change[i, s]


@fast
def descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, momentum, gap, size, uphill, n, lanes):
    """One proximal gradient step from `ahead`, where `force` holds ``A ahead``; momentum restarts where it is uphill.

    Sets `gap` and `size` to the squared lengths of the step and of r.
    """
    wide_vectors()
    for s in range(lanes):
        gap[s] = size[s] = uphill[s] = np.float32(0)
    rest = np.float32(1) - step
    per_step = np.float32(1) / step
    for i in range(n):
        if kind == TANH:
            for s in range(lanes):
                z = ahead[i, s] + step * (b[i, s] - force[i, s])
                # One Newton step for step v + rest tanh(v) = |z|, never beyond the bound of the root.
                sign = np.float32(1) if z >= 0 else np.float32(-1)
                z *= sign
                kink = (z - rest) * per_step
                near = sign * u[i, s]
                if step < 1:
                    bound = max(z, kink)
                    near = max(near, bound)
                else:
                    bound = min(z, kink)
                    near = min(near, bound)
                t = tanh(near)
                v = near - (step * near + rest * t - z) / (step + rest * (np.float32(1) - t * t))
                v = max(v, bound) if step < 1 else min(v, bound)
                v *= sign
                new = tanh(v)
                u[i, s] = v
                d = new - r[i, s]
                leap = ahead[i, s] - new
                uphill[s] += leap * d
                gap[s] += leap * leap
                size[s] += new * new
                change[i, s] = d
                r[i, s] = new
        else:
            for s in range(lanes):
                z = ahead[i, s] + step * (b[i, s] - force[i, s])
                new = shrink(z, step * threshold, lower, upper)
                u[i, s] = (z - rest * new) * per_step
                d = new - r[i, s]
                leap = ahead[i, s] - new
                uphill[s] += leap * d
                gap[s] += leap * leap
                size[s] += new * new
                change[i, s] = d
                r[i, s] = new
    for s in range(lanes):
        momentum[s] = np.float32(0) if uphill[s] > 0 else momentum[s] + np.float32(1)


@plain
def groups(frame):
    """Number of groups of samples: as many as keep a group near, and several even for a single block."""
    samples, blocks = length(frame, DRIVE, 2), length(frame, MATRIX, 0)
    fewest = (samples + MOST_LANES - 1) // MOST_LANES
    return max(fewest, min((samples + VECTOR - 1) // VECTOR, 4 // blocks))


ROWS, LANE_ROWS = 6, 7


@compiled(cfunc(types.int64(Words), cache=True))
def tasks(frame):
    """Number of tasks of a call: blocks, times groups of samples."""
    return length(frame, MATRIX, 0) * groups(frame)


@compiled(cfunc(types.void(Words, types.int64), cache=True, **NUMERICS))
def settle_block(frame, number):
    """Settle one group of samples in one block, and write its results."""
    wide_vectors()
    n, samples, parts = length(frame, MATRIX, 1), length(frame, DRIVE, 2), groups(frame)
    block, group = number // parts, number % parts
    each = (samples + parts - 1) // parts
    first = group * each
    used = min(each, samples - first)
    lanes = (each + VECTOR - 1) // VECTOR * VECTOR
    if used <= 0:
        return
    a = floats_at(operand(frame, MATRIX) + block * n * n * 4)
    offset = (block * n * samples + first) * 4
    drive, start = floats_at(operand(frame, DRIVE) + offset), floats_at(operand(frame, START) + offset)
    potential, activity = floats_at(result(frame, POTENTIAL) + offset), floats_at(result(frame, ACTIVITY) + offset)
    step = floats_at(operand(frame, STEP))[block]
    settings = floats_at(operand(frame, SETTINGS))
    kind = settings[0]
    threshold, lower, upper, tolerance = settings[1], settings[2], settings[3], settings[4]
    most = integers_at(operand(frame, LIMIT))[0]
    offset = (block * samples + first) * 4
    steps = integers_at(result(frame, STEPS) + offset)
    defects, sizes = floats_at(result(frame, DEFECT) + offset), floats_at(result(frame, SIZE) + offset)

    count = ROWS * n + LANE_ROWS + (n * (n + 1) // 2 if n <= NEWTON_SIZE else 0)
    memory = malloc(count * lanes * 4)
    rows = carray(floats_at(address_of(memory)), (count, lanes))
    b, u, r, force = rows[:n], rows[n : 2 * n], rows[2 * n : 3 * n], rows[3 * n : 4 * n]
    change, ahead, tail = rows[4 * n : 5 * n], rows[5 * n : 6 * n], rows[6 * n :]
    defect, size, momentum, weight, gap, uphill, done = tail[0], tail[1], tail[2], tail[3], tail[4], tail[5], tail[6]
    factors = tail[LANE_ROWS:]

    for i in range(n):
        for s in range(used):
            b[i, s], u[i, s] = drive[i * samples + s], start[i * samples + s]
        for s in range(used, lanes):
            b[i, s] = u[i, s] = np.float32(0)
    for s in range(lanes):
        done[s] = np.float32(0)
    respond(kind, threshold, lower, upper, u, r, n, lanes)
    limit = tolerance * tolerance
    left, taken = used, 0
    newtons = min(NEWTON_STEPS if n <= NEWTON_SIZE else 0, most)
    accelerating, everyone = False, True
    near = min(step, np.float32(1))
    trigger = limit * near * near
    while True:
        # Measure, and write out the lanes that are done or out of time. Which lanes are looked at, and when, must not
        # depend on other lanes.
        multiply(a, r, force, n, lanes)
        measure(kind, threshold, lower, upper, b, u, r, force, defect, size, n, lanes)
        for s in range(used):
            if done[s] == 0 and (everyone or gap[s] <= trigger * size[s]):
                lost = accelerating and not (defect[s] < np.inf and size[s] < np.float32(1e24))
                if defect[s] <= limit * size[s] or taken >= most or lost:
                    done[s] = np.float32(1)
                    left -= 1
                    steps[s], defects[s], sizes[s] = taken, defect[s], size[s]
                    for i in range(n):
                        potential[i * samples + s], activity[i * samples + s] = u[i, s], r[i, s]
        if left == 0:
            free(memory)
            return
        if taken < newtons:
            newton(kind, threshold, lower, upper, a, factors, b, u, r, force, change, ahead, n, lanes)
            respond(kind, threshold, lower, upper, u, r, n, lanes)
            taken += 1
            continue
        if not accelerating:
            accelerating = True
            for s in range(lanes):
                momentum[s] = np.float32(0)
                if not (defect[s] < np.inf):
                    for i in range(n):
                        u[i, s] = np.float32(0)
            respond(kind, threshold, lower, upper, u, r, n, lanes)
            for i in range(n):
                for s in range(lanes):
                    change[i, s] = np.float32(0)
        # The length of a step says whether it is worth measuring; now and then all lanes are.
        ready = False
        while not ready:
            look_ahead(r, change, ahead, momentum, weight, n, lanes)
            multiply(a, ahead, force, n, lanes)
            descend(
                kind,
                threshold,
                lower,
                upper,
                step,
                b,
                u,
                r,
                change,
                ahead,
                force,
                momentum,
                gap,
                size,
                uphill,
                n,
                lanes,
            )
            taken += 1
            everyone = taken >= most or taken % RARELY == 0
            ready = everyone
            if taken % OFTEN == 0:
                for s in range(used):
                    if done[s] == 0 and gap[s] <= trigger * size[s]:
                        ready = True
