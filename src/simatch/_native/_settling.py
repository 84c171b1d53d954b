# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Fixed points of one block of neurons for some samples, in the registers and nearest cache of one core.

Sixteen samples, the lanes of a vector register, are settled together: every number below that belongs to a sample is
such a vector. A block is a group of neurons that interact with each other only: ``r = f(b + r - A r)``. Where samples
are few, as in learning online, and blocks are small, the lanes are sixteen blocks for one sample.

The smallest blocks start with Newton's method; larger ones with sweeps from neuron to neuron where activities are
rectified, and otherwise with alternating directions (ADMM), for which the block's matrix is inverted once for all
samples. What these have not finished is left to accelerated proximal gradient steps as in
`simatch.relaxation.Accelerated`. No sample depends on the others of its register.
"""

import numpy as np
from numba import cfunc, types

from . import NEWTON_SIZE, TANH
from . import _memory as at
from ._activity import activity, magnitude, measure, rectified, shrink
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
    row_of,
    shifted,
    sixteen,
    smaller,
    total,
    where_less,
)
from ._memory import begin, keep, memory_size, vector
from ._multiply import multiply, pack, packed_size
from ._newton import NEWTON_STEPS, factors_size, fill_up, fourfold, settle_by_newton

# Steps of alternating directions, or sweeps, that are tried, and the over-relaxation of the former.
TRIED, OVER = 60, np.float32(1.7)
# Steps between two measurements of lanes that may be done, and of all.
OFTEN, RARELY = 2, 48
# Pivots and diagonals count as above 0 if they are above this.
LEAST = np.float32(1e-6)
# Registers of samples in a task, at most.
MOST_REGISTERS = 8

MATRIX, DRIVE, START, STEP, PENALTY, SETTINGS, LIMIT = range(7)
POTENTIAL, ACTIVITY, STEPS, DEFECT, SIZE = range(5)


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
def descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, lanes, n):
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
    momentum = where_less(0, uphill, sixteen(0), get(lanes, at.MOMENTUM) + 1)
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)
    put(lanes, at.MOMENTUM, momentum)
    weight = divide(momentum, momentum + 3)
    for i in range(n):
        put(ahead, i, get(r, i) + get(change, i) * weight)


@fast
def alternate(kind, threshold, lower, upper, penalty, b, u, r, w, right, force, lanes, n):
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
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)


@fast
def sweep(a, lower, upper, b, u, r, force, lanes, n):
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
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)


@fast
def invert(a, n, shift, m):
    """Set m, in whole registers a row, to the inverse of ``A + shift``; returns whether all pivots were above 0."""
    wide_vectors()
    registers = padded(n) // WIDTH
    for i in range(n):
        for register in range(registers):
            first = register * WIDTH
            copy_in(shifted(a, i * n + first), shifted(row_of(m, i, registers), first), min(WIDTH, n - first))
        row_of(m, i, registers)[i] += shift
    # Gauss and Jordan's elimination in place, four pivots at a time and then one by one.
    k = 0
    while k < n:
        count = 4 if k + 4 <= n else 1
        for pivot in range(k, k + count):
            own = row_of(m, pivot, registers)
            if not own[pivot] > LEAST:
                return False
            factor = np.float32(1) / own[pivot]
            for register in range(registers):
                put(own, register, get(own, register) * factor)
            own[pivot] = factor
            for i in range(k, k + count):
                if i != pivot:
                    eliminate(row_of(m, i, registers), own, pivot, registers)
        for i in range(n):
            if i < k or i >= k + count:
                if count == 4:
                    eliminate_four(row_of(m, i, registers), row_of(m, k, registers), k, registers)
                else:
                    eliminate(row_of(m, i, registers), row_of(m, k, registers), k, registers)
        k += count
    return True


@plain
def eliminate(row, own, k, registers):
    """Subtract a pivot's row from another row."""
    factor = row[k]
    for register in range(registers):
        put(row, register, get(row, register) - get(own, register) * factor)
    # Last, so that no register waits for a part of it that has just been written.
    row[k] = -factor * own[k]


@plain
def eliminate_four(row, own, k, registers):
    """Subtract the rows of four pivots that follow each other, and are done with each other, from another row."""
    own1, own2, own3 = row_of(own, 1, registers), row_of(own, 2, registers), row_of(own, 3, registers)
    f0, f1, f2, f3 = row[k], row[k + 1], row[k + 2], row[k + 3]
    for register in range(registers):
        some = get(own, register) * f0 + get(own1, register) * f1
        more = get(own2, register) * f2 + get(own3, register) * f3
        put(row, register, get(row, register) - some - more)
    for j in range(k, k + 4):
        row[j] = -(f0 * own[j] + f1 * own1[j] + f2 * own2[j] + f3 * own3[j])


@fast
def settle_register(frame, block, first, packed, prepared, tried, memory):
    """Settle up to sixteen samples in one block.

    What is prepared is the matrix filled up to fours for Newton's method, or its packed inverse for alternating steps.
    """
    wide_vectors()
    n, samples = length(frame, MATRIX, 1), length(frame, DRIVE, 2)
    used = min(WIDTH, samples - first)
    a = floats_at(operand(frame, MATRIX) + block * n * n * 4)
    offset, each = (block * n * samples + first) * 4, (block * samples + first) * 4
    drive, start = floats_at(operand(frame, DRIVE) + offset), floats_at(operand(frame, START) + offset)
    step, penalty = floats_at(operand(frame, STEP))[block], floats_at(operand(frame, PENALTY))[block]
    settings = floats_at(operand(frame, SETTINGS))
    kind, threshold, lower, upper, tolerance = settings[0], settings[1], settings[2], settings[3], settings[4]
    most = integers_at(operand(frame, LIMIT))[0]

    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    force, change, ahead = vector(memory, at.FORCE, n), vector(memory, at.CHANGE, n), vector(memory, at.AHEAD, n)
    lanes, resting = vector(memory, at.LANES, n), True
    for i in range(n):
        copy_in(shifted(drive, i * samples), shifted(b, i * WIDTH), used)
        copy_in(shifted(start, i * samples), shifted(u, i * WIDTH), used)
        put(r, i, activity(kind, threshold, lower, upper, get(u, i)))
        resting = resting and total(magnitude(get(r, i))) == 0
    begin(lanes, used)

    taken, most_tried = 0, min(tried, most)
    if n <= NEWTON_SIZE:
        settle_by_newton(settings, prepared, False, packed, memory, n, most)
        taken = min(NEWTON_STEPS, most)
    sweeping = tried > 0 and rectified(kind, threshold, lower)
    if tried > 0 and not sweeping:
        for i in range(n):
            multiplier = (get(u, i) - get(r, i)) * (np.float32(1) / penalty)
            put(change, i, multiplier)
            put(ahead, i, get(b, i) + (get(r, i) - multiplier) * penalty)
    limit = tolerance * tolerance
    # Where the last step was shorter than this, it is worth measuring: by experience for alternating directions.
    near = min(step, np.float32(1))
    close, trigger = limit / (np.float32(0.35) + penalty) ** 2, limit * near * near
    accelerating, everyone = False, True
    while total(get(lanes, at.ACTIVE)) > 0:
        # Which lanes are looked at, and when, must not depend on other lanes. Sweeps go on with a force of their own,
        # which another lane's measurement would round anew.
        product = ahead if sweeping and taken > 0 and not accelerating else force
        if taken == 0 and resting:
            for i in range(n):
                put(force, i, sixteen(0))
        else:
            multiply(packed, r, product, n, n)
        measure(kind, threshold, lower, upper, b, r, product, lanes, n)
        worth = get(lanes, at.ACTIVE) if everyone else ready(lanes, trigger if accelerating else close)
        keep(memory, n, worth, limit, taken, taken >= most, accelerating)
        if not total(get(lanes, at.ACTIVE)) > 0:
            break
        if taken < most_tried:
            waiting = True
            while waiting:
                if sweeping:
                    sweep(a, lower, upper, b, u, r, force, lanes, n)
                else:
                    multiply(prepared, ahead, force, n, n)
                    alternate(kind, threshold, lower, upper, penalty, b, u, r, change, ahead, force, lanes, n)
                taken += 1
                everyone = taken >= most_tried
                waiting = not everyone and not (taken % OFTEN == 0 and total(ready(lanes, close)) > 0)
            continue
        if not accelerating:
            accelerating = True
            lost = get(lanes, at.DEFECT)
            for i in range(n):
                # Where Newton's method got lost, begin again.
                v = where_less(lost, np.float32(np.inf), get(u, i), 0)
                q = activity(kind, threshold, lower, upper, v)
                put(u, i, v)
                put(r, i, q)
                put(ahead, i, q)
            put(lanes, at.MOMENTUM, sixteen(0))
        # The length of a step says whether it is worth measuring; now and then all lanes are.
        waiting = True
        while waiting:
            multiply(packed, ahead, force, n, n)
            descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, lanes, n)
            taken += 1
            everyone = taken >= most or taken % RARELY == 0
            waiting = not everyone and not (taken % OFTEN == 0 and total(ready(lanes, trigger)) > 0)
    potential, activities = floats_at(result(frame, POTENTIAL) + offset), floats_at(result(frame, ACTIVITY) + offset)
    final_u, final_r = vector(memory, at.FINAL_POTENTIAL, n), vector(memory, at.FINAL_ACTIVITY, n)
    for i in range(n):
        copy_out(shifted(final_u, i * WIDTH), shifted(potential, i * samples), used)
        copy_out(shifted(final_r, i * WIDTH), shifted(activities, i * samples), used)
    steps = integers_at(result(frame, STEPS) + each)
    for s in range(used):
        steps[s] = np.int32(lanes[at.TAKEN * WIDTH + s])
    copy_out(shifted(lanes, at.FINAL_DEFECT * WIDTH), floats_at(result(frame, DEFECT) + each), used)
    copy_out(shifted(lanes, at.FINAL_SIZE * WIDTH), floats_at(result(frame, SIZE) + each), used)


@plain
def ready(lanes, limit):
    """Active lanes whose last step was shorter than a limit, relative to where it led and squared."""
    return where_less(get(lanes, at.NORM) * limit, get(lanes, at.GAP), 0, get(lanes, at.ACTIVE))


@fast
def settle_across(frame, sample, first, matrices, packed, prepared, memory):
    """Settle one sample in up to sixteen blocks, each in a lane; those that take longer are settled by themselves."""
    wide_vectors()
    blocks, n, samples = length(frame, MATRIX, 0), length(frame, MATRIX, 1), length(frame, DRIVE, 2)
    used, settings = min(WIDTH, blocks - first), floats_at(operand(frame, SETTINGS))
    drive, start = floats_at(operand(frame, DRIVE)), floats_at(operand(frame, START))
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    lanes = vector(memory, at.LANES, n)
    for i in range(n):
        for lane in range(WIDTH):
            position = ((first + min(lane, used - 1)) * n + i) * samples + sample
            b[i * WIDTH + lane], u[i * WIDTH + lane] = drive[position], start[position]
        put(r, i, activity(settings[0], settings[1], settings[2], settings[3], get(u, i)))
    begin(lanes, used)
    settle_by_newton(settings, matrices, True, packed, memory, n, integers_at(operand(frame, LIMIT))[0])
    potential, activities = floats_at(result(frame, POTENTIAL)), floats_at(result(frame, ACTIVITY))
    final_u, final_r = vector(memory, at.FINAL_POTENTIAL, n), vector(memory, at.FINAL_ACTIVITY, n)
    for i in range(n):
        for lane in range(used):
            position = ((first + lane) * n + i) * samples + sample
            potential[position], activities[position] = final_u[i * WIDTH + lane], final_r[i * WIDTH + lane]
    steps = integers_at(result(frame, STEPS))
    defects, sizes = floats_at(result(frame, DEFECT)), floats_at(result(frame, SIZE))
    left = 0
    for lane in range(used):
        position = (first + lane) * samples + sample
        steps[position] = np.int32(lanes[at.TAKEN * WIDTH + lane])
        defects[position], sizes[position] = lanes[at.FINAL_DEFECT * WIDTH + lane], lanes[at.FINAL_SIZE * WIDTH + lane]
        left |= int(lanes[at.ACTIVE * WIDTH + lane] > 0) << lane
    for lane in range(used):
        if left >> lane & 1:
            matrix = floats_at(operand(frame, MATRIX) + (first + lane) * n * n * 4)
            pack(matrix, n, n, n, packed)
            fill_up(matrix, n, prepared)
            settle_register(frame, first + lane, sample // WIDTH * WIDTH, packed, prepared, 0, memory)


@plain
def smallest_diagonal(a, n):
    """Smallest number on the diagonal of a matrix."""
    smallest = a[0]
    for i in range(n):
        smallest = min(smallest, a[i * n + i])
    return smallest


@plain
def across(frame):
    """Whether the lanes of a register are blocks: where that takes clearly fewer registers than samples do."""
    blocks, n, samples = length(frame, MATRIX, 0), length(frame, MATRIX, 1), length(frame, DRIVE, 2)
    return n <= NEWTON_SIZE and 3 * padded(blocks) * samples <= 2 * blocks * padded(samples)


@plain
def groups(frame):
    """Number of groups of samples: as many as keep a task short, and several even for a single block."""
    registers = padded(length(frame, DRIVE, 2)) // WIDTH
    return max((registers + MOST_REGISTERS - 1) // MOST_REGISTERS, min(registers, 8 // length(frame, MATRIX, 0)))


@fast
def settle_few(frame, first):
    """Settle all samples in up to sixteen blocks."""
    blocks, n = length(frame, MATRIX, 0), length(frame, MATRIX, 1)
    size, entries = packed_size(n, n), fourfold(n) ** 2
    memory = malloc((size + (WIDTH + 1) * entries + memory_size(n, factors_size(n))) * 4)
    packed = floats_at(address_of(memory))
    prepared, matrices = shifted(packed, size), shifted(packed, size + entries)
    rest = shifted(matrices, WIDTH * entries)
    for lane in range(WIDTH):
        fill_up(floats_at(operand(frame, MATRIX) + min(first + lane, blocks - 1) * n * n * 4), n, prepared)
        for entry in range(entries):
            matrices[entry * WIDTH + lane] = prepared[entry]
    for sample in range(length(frame, DRIVE, 2)):
        settle_across(frame, sample, first, matrices, packed, prepared, rest)
    free(memory)


@fast
def settle_many(frame, block, group):
    """Settle one group of samples in one block."""
    n, registers, parts = length(frame, MATRIX, 1), padded(length(frame, DRIVE, 2)) // WIDTH, groups(frame)
    small, size = n <= NEWTON_SIZE, packed_size(n, n)
    own = fourfold(n) ** 2 if small else 2 * size
    memory = malloc((size + own + memory_size(n, factors_size(n) if small else 0)) * 4)
    packed = floats_at(address_of(memory))
    prepared, rest = shifted(packed, size), shifted(packed, size + own)
    matrix = floats_at(operand(frame, MATRIX) + block * n * n * 4)
    settings, tried = floats_at(operand(frame, SETTINGS)), 0
    pack(matrix, n, n, n, packed)
    if small:
        fill_up(matrix, n, prepared)
    elif rectified(settings[0], settings[1], settings[2]):
        tried = TRIED if smallest_diagonal(matrix, n) > LEAST else 0
    elif invert(matrix, n, floats_at(operand(frame, PENALTY))[block], shifted(prepared, size)):
        tried = TRIED
        pack(shifted(prepared, size), n, n, padded(n), prepared)
    for register in range(group * registers // parts, (group + 1) * registers // parts):
        settle_register(frame, block, register * WIDTH, packed, prepared, tried, rest)
    free(memory)


@compiled(cfunc(types.int64(Words), cache=True))
def tasks(frame):
    """Number of tasks of a call: registers of blocks, or blocks times groups of samples."""
    blocks = length(frame, MATRIX, 0)
    return padded(blocks) // WIDTH if across(frame) else blocks * groups(frame)


@compiled(cfunc(types.void(Words, types.int64), cache=True, **NUMERICS))
def settle_task(frame, number):
    """Settle some samples in some blocks, and write the results."""
    if across(frame):
        settle_few(frame, number * WIDTH)
    else:
        settle_many(frame, number // groups(frame), number % groups(frame))
