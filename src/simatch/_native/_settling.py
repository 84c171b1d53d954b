# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Fixed points of one block of neurons for some samples, in the registers and nearest cache of one core.

Sixteen samples, the lanes of a vector register, are settled together: every number below that belongs to a sample is
such a vector. A block is a group of neurons that interact with each other only: ``r = f(b + r - A r)``.

The smallest blocks start with Newton's method; larger ones with sweeps from neuron to neuron where activities are
rectified, and otherwise with alternating directions (ADMM), for which the block's matrix is inverted once for all
samples. What these have not finished is left to accelerated proximal gradient steps as in
`simatch.relaxation.Accelerated`. No sample depends on the others of its register.
"""

import numpy as np
from numba import cfunc, types

from . import NEWTON_SIZE, TANH
from ._ffi import (
    NUMERICS,
    Words,
    address_of,
    compiled,
    fast,
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
from ._lanes import (
    WIDTH,
    copy_in,
    copy_out,
    divide,
    get,
    larger,
    padded,
    put,
    shifted,
    sixteen,
    smaller,
    total,
    where_less,
)
from ._multiply import multiply, pack, packed_size

# Steps for which Newton's method is tried.
NEWTON_STEPS = 10
# Steps of alternating directions, or sweeps, that are tried, and the over-relaxation of the former.
TRIED, OVER = 60, np.float32(1.7)
# Steps between two measurements of lanes that may be done, and of all.
OFTEN, RARELY = 3, 48
# A slope counts as at least this.
FLATTEST = np.float32(1e-6)
# Registers of samples in a task, at most.
MOST_REGISTERS = 8

MATRIX, DRIVE, START, STEP, PENALTY, SETTINGS, LIMIT = range(7)
POTENTIAL, ACTIVITY, STEPS, DEFECT, SIZE = range(5)


@plain
def tanh(u):
    """Rational approximation of tanh, with an error below 4e-7 in single precision."""
    x = smaller(larger(u, -8), 8)
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
    """Soft threshold between two bounds."""
    return smaller(larger(u - smaller(larger(u, -threshold), threshold), lower), upper)


@plain
def activity(kind, threshold, lower, upper, u):
    """Activity ``f(u)``."""
    if kind == TANH:
        return tanh(u)
    return shrink(u, threshold, lower, upper)


@plain
def rectified(kind, threshold, lower):
    """Whether activities are at least 0, without a threshold: where sweeps need fewer steps than alternations."""
    return kind != TANH and threshold == 0 and lower == 0


@plain
def magnitude(x):
    """Absolute value."""
    return larger(x, 0 - x)


@fast
def measure(kind, threshold, lower, upper, b, r, force, sums, n):
    """Keep the squared lengths of ``f(b + r - A r) - r`` and of r, where `force` holds ``A r``."""
    wide_vectors()
    defect = size = sixteen(0)
    for i in range(n):
        q = get(r, i)
        d = activity(kind, threshold, lower, upper, get(b, i) - get(force, i) + q) - q
        defect += d * d
        size += q * q
    put(sums, 0, defect)
    put(sums, 1, size)


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
        pivot = steep + (a[j * n + j] - 1)
        right = get(b, j) - get(force, j) + q - get(u, j)
        other_pivot = other_right = sixteen(0)  # two sums each, as one addition waits for the one before
        for k in range(0, j - 1, 2):
            entry, other = get(h, row + k), get(h, row + k + 1)
            scaled, other_scaled = entry * get(d, k), other * get(d, k + 1)
            put(w, k, scaled)
            put(w, k + 1, other_scaled)
            pivot -= entry * scaled
            other_pivot -= other * other_scaled
            right -= entry * get(move, k)
            other_right -= other * get(move, k + 1)
        if j % 2 == 1:
            entry = get(h, row + j - 1)
            scaled = entry * get(d, j - 1)
            put(w, j - 1, scaled)
            pivot -= entry * scaled
            right -= entry * get(move, j - 1)
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
            l0, l1 = sixteen(a[i * n + j]), sixteen(a[(i + 1) * n + j])
            l2, l3 = sixteen(a[(i + 2) * n + j]), sixteen(a[(i + 3) * n + j])
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
            l0 = sixteen(a[i * n + j])
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


@plain
def proximal(kind, threshold, lower, upper, step, z, u, r):
    """Potential v with ``step v + (1 - step) f(v) = z``, for tanh by one Newton step from u, where ``r = f(u)``."""
    rest, per_step = np.float32(1) - step, np.float32(1) / step
    if kind == TANH:
        # From 0 if u has another sign than z, and never beyond the bound of the root.
        sign = where_less(z, 0, -1, sixteen(1))
        z *= sign
        kink = (z - rest) * per_step
        near, t = larger(u * sign, 0), larger(r * sign, 0)
        v = near - divide(near * step + t * rest - z, (1 - t * t) * rest + step)
        return (larger(v, larger(z, kink)) if step < 1 else smaller(v, smaller(z, kink))) * sign
    return (z - shrink(z, step * threshold, lower, upper) * rest) * per_step


@fast
def descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, sums, n):
    """One proximal gradient step from `ahead`, where `force` holds ``A ahead``; momentum restarts where it is uphill.

    Also keeps the squared lengths of the step and of r, and looks ahead for the next step.
    """
    wide_vectors()
    gap = size = uphill = sixteen(0)
    for i in range(n):
        before, from_here = get(r, i), get(ahead, i)
        z = from_here + (get(b, i) - get(force, i)) * step
        v = proximal(kind, threshold, lower, upper, step, z, get(u, i), before)
        new = activity(kind, threshold, lower, upper, v)
        d = new - before
        leap = from_here - new
        uphill += leap * d
        gap += leap * leap
        size += new * new
        put(u, i, v)
        put(r, i, new)
        put(change, i, d)
    momentum = where_less(0, uphill, sixteen(0), get(sums, 4) + 1)
    put(sums, 2, gap)
    put(sums, 3, size)
    put(sums, 4, momentum)
    weight = divide(momentum, momentum + 3)
    for i in range(n):
        put(ahead, i, get(r, i) + get(change, i) * weight)


@fast
def alternate(kind, threshold, lower, upper, penalty, b, u, r, w, right, force, sums, n):
    """One step of alternating directions, from the minimum x of the quadratic part, in `force`, to a proximal point r.

    It is over-relaxed. w is the scaled multiplier, ``u = r + penalty w``; the next minimum is found from
    ``right = b + penalty (r - w)``. Also keeps the squared lengths of ``x - r`` and of r.
    """
    wide_vectors()
    gap = size = sixteen(0)
    step = np.float32(1) / penalty
    for i in range(n):
        before, x = get(r, i), get(force, i)
        z = x * OVER + before * (np.float32(1) - OVER) + get(w, i)
        v = proximal(kind, threshold, lower, upper, step, z, get(u, i), before)
        new = activity(kind, threshold, lower, upper, v)
        multiplier = z - new
        leap = x - new
        gap += leap * leap
        size += new * new
        put(u, i, v)
        put(r, i, new)
        put(w, i, multiplier)
        put(right, i, get(b, i) + (new - multiplier) * penalty)
    put(sums, 2, gap)
    put(sums, 3, size)


@fast
def sweep(a, lower, upper, b, u, r, force, sums, n):
    """Set one rectified activity after the other to its best value for the others; `force` holds ``A r`` throughout.

    Also keeps the squared lengths of the change and of r.
    """
    wide_vectors()
    gap = size = sixteen(0)
    for i in range(n):
        own, before = a[i * n + i], get(r, i)
        rest = get(b, i) - get(force, i) + before * own
        new = smaller(larger(rest * (1 / own), lower), upper)
        change = new - before
        squared = change * change
        gap += squared
        size += new * new
        put(u, i, rest - new * (own - np.float32(1)))
        put(r, i, new)
        if total(squared) > 0:
            for k in range(n):
                put(force, k, get(force, k) + change * a[i * n + k])
    put(sums, 2, gap)
    put(sums, 3, size)


@fast
def invert(a, n, shift, m):
    """Set m, in whole registers a row, to the inverse of ``A + shift``; returns whether all pivots were above 0."""
    wide_vectors()
    width = padded(n)
    for i in range(n):
        for register in range(width // WIDTH):
            first = register * WIDTH
            copy_in(shifted(a, i * n + first), shifted(m, i * width + first), min(WIDTH, n - first))
        m[i * width + i] += shift
    for k in range(n):
        own = shifted(m, k * width)
        pivot = own[k]
        if not pivot > FLATTEST:
            return False
        own[k] = np.float32(1)
        for register in range(width // WIDTH):
            put(own, register, get(own, register) * (np.float32(1) / pivot))
        for i in range(n):
            if i != k:
                other = shifted(m, i * width)
                factor = other[k]
                other[k] = np.float32(0)
                for register in range(width // WIDTH):
                    put(other, register, get(other, register) - get(own, register) * factor)
    return True


@fast
def settle_register(frame, block, first, packed, inverse, tried, memory):
    """Settle up to sixteen samples in one block."""
    wide_vectors()
    n, samples = length(frame, MATRIX, 1), length(frame, DRIVE, 2)
    used = min(WIDTH, samples - first)
    a = floats_at(operand(frame, MATRIX) + block * n * n * 4)
    offset = (block * n * samples + first) * 4
    drive, start = floats_at(operand(frame, DRIVE) + offset), floats_at(operand(frame, START) + offset)
    step, penalty = floats_at(operand(frame, STEP))[block], floats_at(operand(frame, PENALTY))[block]
    settings = floats_at(operand(frame, SETTINGS))
    kind, threshold, lower, upper, tolerance = settings[0], settings[1], settings[2], settings[3], settings[4]
    most = integers_at(operand(frame, LIMIT))[0]
    steps = integers_at(result(frame, STEPS) + (block * samples + first) * 4)

    each = padded(n) * WIDTH
    b, u, r, force = memory, shifted(memory, each), shifted(memory, 2 * each), shifted(memory, 3 * each)
    change, ahead = shifted(memory, 4 * each), shifted(memory, 5 * each)
    final_u, final_r = shifted(memory, 6 * each), shifted(memory, 7 * each)
    spare, pivots = shifted(memory, 8 * each), shifted(memory, 9 * each)
    sums = shifted(memory, 10 * each)  # defect, size, gap, size again, momentum; then the lanes that finish
    finishing, h = shifted(sums, 5 * WIDTH), shifted(sums, 6 * WIDTH)

    for i in range(n):
        copy_in(shifted(drive, i * samples), shifted(b, i * WIDTH), used)
        copy_in(shifted(start, i * samples), shifted(u, i * WIDTH), used)
        put(r, i, activity(kind, threshold, lower, upper, get(u, i)))

    limit = tolerance * tolerance
    # Where the last step was shorter than this, it is worth measuring: by experience for alternating directions.
    near = min(step, np.float32(1))
    trigger = limit * near * near
    close = limit / (np.float32(0.35) + penalty) ** 2
    newtons = min(NEWTON_STEPS if n <= NEWTON_SIZE else 0, most)
    tried, sweeping = min(tried, most), tried > 0 and rectified(kind, threshold, lower)
    left, taken, done = used, 0, 0
    accelerating, everyone = False, True
    for i in range(n if tried > 0 else 0):
        multiplier = (get(u, i) - get(r, i)) * (np.float32(1) / penalty)
        put(change, i, multiplier)
        put(ahead, i, get(b, i) + (get(r, i) - multiplier) * penalty)
    while True:
        worth = trigger if accelerating else close
        # Measure, and keep the lanes that are done or out of time. Which lanes are looked at, and when, must not
        # depend on other lanes.
        # Sweeps go on with a force of their own, which another lane's measurement would round anew.
        product = ahead if sweeping and taken > 0 and not accelerating else force
        multiply(packed, r, product, n, n)
        measure(kind, threshold, lower, upper, b, r, product, sums, n)
        some = False
        for s in range(used):
            defect, size = sums[s], sums[WIDTH + s]
            finishing[s] = np.float32(0)
            if done >> s & 1 == 0 and (everyone or sums[2 * WIDTH + s] <= worth * sums[3 * WIDTH + s]):
                lost = accelerating and not (defect < np.inf and size < np.float32(1e24))
                if defect <= limit * size or taken >= most or lost:
                    finishing[s] = np.float32(1)
                    some = True
                    done |= 1 << s
                    left -= 1
                    steps[s] = taken
                    floats_at(result(frame, DEFECT))[block * samples + first + s] = defect
                    floats_at(result(frame, SIZE))[block * samples + first + s] = size
        if some:
            for i in range(n):
                put(final_u, i, where_less(0, get(finishing, 0), get(u, i), get(final_u, i)))
                put(final_r, i, where_less(0, get(finishing, 0), get(r, i), get(final_r, i)))
        if left == 0:
            break
        if taken < newtons:
            newton(kind, threshold, lower, upper, a, h, b, u, r, force, change, ahead, spare, pivots, n)
            taken += 1
            continue
        if taken < tried:
            ready = False
            while not ready:
                if sweeping:
                    sweep(a, lower, upper, b, u, r, force, sums, n)
                else:
                    multiply(inverse, ahead, force, n, n)
                    alternate(kind, threshold, lower, upper, penalty, b, u, r, change, ahead, force, sums, n)
                taken += 1
                everyone = taken >= tried
                ready = everyone
                for s in range(used):
                    if done >> s & 1 == 0 and sums[2 * WIDTH + s] <= close * sums[3 * WIDTH + s]:
                        ready = True
            continue
        if not accelerating:
            accelerating = True
            lost = get(sums, 0)
            for i in range(n):
                # Where Newton's method got lost, begin again.
                v = where_less(lost, np.float32(np.inf), get(u, i), 0)
                q = activity(kind, threshold, lower, upper, v)
                put(u, i, v)
                put(r, i, q)
                put(ahead, i, q)
            put(sums, 4, sixteen(0))
        # The length of a step says whether it is worth measuring; now and then all lanes are.
        ready = False
        while not ready:
            multiply(packed, ahead, force, n, n)
            descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, sums, n)
            taken += 1
            everyone = taken >= most or taken % RARELY == 0
            ready = everyone
            if taken % OFTEN == 0:
                for s in range(used):
                    if done >> s & 1 == 0 and sums[2 * WIDTH + s] <= trigger * sums[3 * WIDTH + s]:
                        ready = True
    potential, activities = floats_at(result(frame, POTENTIAL) + offset), floats_at(result(frame, ACTIVITY) + offset)
    for i in range(n):
        copy_out(shifted(final_u, i * WIDTH), shifted(potential, i * samples), used)
        copy_out(shifted(final_r, i * WIDTH), shifted(activities, i * samples), used)


@plain
def smallest_diagonal(a, n):
    """Smallest number on the diagonal of a matrix."""
    smallest = a[0]
    for i in range(n):
        smallest = min(smallest, a[i * n + i])
    return smallest


@plain
def groups(frame):
    """Number of groups of samples: as many as keep a task short, and several even for a single block."""
    registers = (length(frame, DRIVE, 2) + WIDTH - 1) // WIDTH
    return max((registers + MOST_REGISTERS - 1) // MOST_REGISTERS, min(registers, 8 // length(frame, MATRIX, 0)))


@compiled(cfunc(types.int64(Words), cache=True))
def tasks(frame):
    """Number of tasks of a call: blocks, times groups of samples."""
    return length(frame, MATRIX, 0) * groups(frame)


@compiled(cfunc(types.void(Words, types.int64), cache=True, **NUMERICS))
def settle_block(frame, number):
    """Settle one group of samples in one block, and write its results."""
    n, samples, parts = length(frame, MATRIX, 1), length(frame, DRIVE, 2), groups(frame)
    block, group = number // parts, number % parts
    registers, size = (samples + WIDTH - 1) // WIDTH, packed_size(n, n)
    factors = n * (n + 1) // 2 if n <= NEWTON_SIZE else 0
    memory = malloc((3 * size + (10 * padded(n) + factors + 6) * WIDTH) * 4)
    packed = floats_at(address_of(memory))
    inverse, rest = shifted(packed, size), shifted(packed, 3 * size)
    matrix = floats_at(operand(frame, MATRIX) + block * n * n * 4)
    settings, tried = floats_at(operand(frame, SETTINGS)), 0
    pack(matrix, n, n, n, packed)
    if n > NEWTON_SIZE and rectified(settings[0], settings[1], settings[2]):
        tried = TRIED if smallest_diagonal(matrix, n) > FLATTEST else 0
    elif n > NEWTON_SIZE and invert(matrix, n, floats_at(operand(frame, PENALTY))[block], shifted(packed, 2 * size)):
        tried = TRIED
        pack(shifted(packed, 2 * size), n, n, padded(n), inverse)
    for register in range(group * registers // parts, (group + 1) * registers // parts):
        settle_register(frame, block, register * WIDTH, packed, inverse, tried, rest)
    free(memory)
