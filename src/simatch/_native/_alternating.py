# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Alternating directions (ADMM) for the samples of one block: a lane whose sample is done goes on with another one.

The quadratic and the separable part of the energy are minimised in turn, with a matrix that is inverted once for all
samples. The length of a step says whether a sample may be done. Only then is its defect measured, sixteen samples at
a time: a sample that is not done after all waits for a lane again.
"""

import numpy as np

from . import _memory as at
from ._activity import activity, magnitude, measure, proximal
from ._blocks import (
    LEFT,
    drive_of,
    figures_of,
    from_rest,
    matrix_of,
    most_steps,
    settings_of,
    size_of,
    start_of,
    states_of,
)
from ._ffi import address_of, fast, integers_at, plain, wide_vectors
from ._lanes import WIDTH, copy_in, copy_out, get, padded, put, row_of, shifted, sixteen, total, transpose, where_less
from ._memory import activate, vector
from ._multiply import multiply

# Steps that are tried, and their over-relaxation.
TRIED, OVER = 60, np.float32(1.7)


@fast
def alternate(kind, threshold, lower, upper, penalty, b, u, r, right, force, lanes, n):
    """One step of alternating directions, from the minimum x of the quadratic part, in `force`, to a proximal point r.

    It is over-relaxed. The scaled multiplier is ``w = (u - r) / penalty``; the next minimum is found from
    ``right = b + penalty (r - w)``. Also keeps the squared lengths of ``x - r`` and of r.
    """
    wide_vectors()
    gap = size = sixteen(0)
    step = np.float32(1) / penalty
    for i in range(n):
        x, before, old = get(force, i), get(r, i), get(u, i)
        z = x * OVER + before * (np.float32(1) - OVER) + (old - before) * step
        v = proximal(kind, threshold, lower, upper, step, z, old, before)
        new = activity(kind, threshold, lower, upper, v)
        leap = x - new
        gap += leap * leap
        size += new * new
        put(u, i, v)
        put(r, i, new)
        put(right, i, get(b, i) + new * penalty - (v - new))
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)


@plain
def penalty_of(frame, block):
    """Weight of the distance between the two parts' minima: the mean eigenvalue, and more where units are silent."""
    a, n, trace = matrix_of(frame, block), size_of(frame)[0], np.float32(0)
    for i in range(n):
        trace += a[i * n + i]
    return max(trace / np.float32(n), np.float32(1e-3)) * np.float32(3 if settings_of(frame)[2] == 0 else 1)


@plain
def nearness(frame, block):
    """Relative length of a step, squared, below which it is worth measuring: by experience."""
    return (settings_of(frame)[4] / (np.float32(0.35) + penalty_of(frame, block))) ** 2


@plain
def put_down(lanes, first, used, n, rows):
    """Copy the lanes of a vector to the rows of samples that follow each other; the vector is lost."""
    registers = padded(n) // WIDTH
    for register in range(registers):
        square = row_of(lanes, register, WIDTH)
        transpose(square)
        for lane in range(used):
            put(row_of(rows, first + lane, registers), register, get(square, lane))


@plain
def take_up(rows, queue, place, used, n, lanes):
    """Copy the rows of some samples of a queue to the lanes of a vector, and zeros after them."""
    registers = padded(n) // WIDTH
    for register in range(registers):
        square = row_of(lanes, register, WIDTH)
        for lane in range(used):
            put(square, lane, get(row_of(rows, queue[place + lane], registers), register))
        for lane in range(used, WIDTH):
            put(square, lane, sixteen(0))
        transpose(square)


@plain
def leave(lanes, lane, n, row):
    """Copy one lane of a vector to a row."""
    for i in range(n):
        row[i] = lanes[i * WIDTH + lane]


@plain
def enter(row, lane, n, lanes):
    """Copy a row to one lane of a vector."""
    for i in range(n):
        lanes[i * WIDTH + lane] = row[i]


@plain
def clear(rows, first, used, n):
    """Set the rows of samples that follow each other to zeros."""
    for register in range(used * padded(n) // WIDTH):
        put(rows, first * padded(n) // WIDTH + register, sixteen(0))


@plain
def rows_size(n, count):
    """Numbers of memory for the drives, potentials and activities of samples, and for their queue."""
    return count * (3 * padded(n) + 1) + WIDTH


@plain
def part_of(rows, index, count, n):
    """Rows of drives, of potentials or of activities."""
    return shifted(rows, index * count * padded(n))


@fast
def judge(frame, block, begin, packed, queue, place, used, left, resting, memory):
    """Measure samples in lanes and move those that are to go on to the front of the queue; returns their number."""
    wide_vectors()
    n, most = size_of(frame)[0], most_steps(frame)
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    steps, defects, sizes = figures_of(frame, block)
    b, r, force = vector(memory, at.DRIVE, n), vector(memory, at.ACTIVITY, n), vector(memory, at.FORCE, n)
    lanes = vector(memory, at.LANES, n)
    if resting:
        for i in range(n):
            put(force, i, sixteen(0))
    else:
        multiply(packed, r, force, n, n)
    measure(kind, threshold, lower, upper, b, r, force, lanes, n)
    for lane in range(used):
        sample = begin + queue[place + lane]
        defect, size = lanes[at.DEFECT * WIDTH + lane], lanes[at.SIZE * WIDTH + lane]
        defects[sample], sizes[sample] = defect, size
        finite = defect < np.float32(np.inf)
        if (defect <= tolerance * tolerance * size and finite) or steps[sample] >= most:
            continue
        if finite and steps[sample] < TRIED:
            queue[left] = queue[place + lane]
            left += 1
        else:
            steps[sample] = LEFT
    return left


@fast
def start_all(frame, block, begin, count, packed, queue, rows, memory):
    """Copy all samples to rows and measure them where they start; returns how many are to go on."""
    wide_vectors()
    n, apart = size_of(frame)
    kind, threshold, lower, upper, _ = settings_of(frame)
    drive, start, fresh = drive_of(frame, block), start_of(frame, block), from_rest(frame)
    steps = figures_of(frame, block)[0]
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    left = 0
    for place in range(0, count, WIDTH):
        used, resting = min(WIDTH, count - place), True
        for i in range(n):
            copy_in(shifted(drive, i * apart + begin + place), shifted(b, i * WIDTH), used)
            if fresh:
                put(u, i, sixteen(0))
            else:
                copy_in(shifted(start, i * apart + begin + place), shifted(u, i * WIDTH), used)
            put(r, i, activity(kind, threshold, lower, upper, get(u, i)))
            resting = resting and total(magnitude(get(r, i))) == 0
        for sample in range(place, place + used):
            queue[sample], steps[begin + sample] = sample, 0
        left = judge(frame, block, begin, packed, queue, place, used, left, resting, memory)
        put_down(b, place, used, n, part_of(rows, 0, count, n))
        if fresh and resting:
            clear(part_of(rows, 1, count, n), place, used, n)
            clear(part_of(rows, 2, count, n), place, used, n)
        else:
            put_down(u, place, used, n, part_of(rows, 1, count, n))
            put_down(r, place, used, n, part_of(rows, 2, count, n))
    return left


@fast
def alternate_all(frame, block, begin, count, close, waiting, inverse, queue, rows, memory):
    """Take steps for the samples of a queue, sixteen at a time, until they seem to be done or have had their share."""
    wide_vectors()
    n, registers = size_of(frame)[0], padded(size_of(frame)[0]) // WIDTH
    kind, threshold, lower, upper, _ = settings_of(frame)
    penalty, budget = penalty_of(frame, block), np.float32(min(TRIED, most_steps(frame)))
    steps = figures_of(frame, block)[0]
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    force, right, lanes = vector(memory, at.FORCE, n), vector(memory, at.AHEAD, n), vector(memory, at.LANES, n)
    drives, potentials, activities = part_of(rows, 0, count, n), part_of(rows, 1, count, n), part_of(rows, 2, count, n)
    sample_of = integers_at(address_of(queue) + 4 * count)
    working = following = min(WIDTH, waiting)
    take_up(drives, queue, 0, working, n, b)
    take_up(potentials, queue, 0, working, n, u)
    take_up(activities, queue, 0, working, n, r)
    for i in range(n):
        put(right, i, get(b, i) + get(r, i) * penalty - (get(u, i) - get(r, i)))
    activate(lanes, working)
    for lane in range(working):
        sample_of[lane] = queue[lane]
        lanes[at.TAKEN * WIDTH + lane] = np.float32(steps[begin + queue[lane]])
    while working > 0:
        multiply(inverse, right, force, n, n)
        alternate(kind, threshold, lower, upper, penalty, b, u, r, right, force, lanes, n)
        put(lanes, at.TAKEN, get(lanes, at.TAKEN) + 1)
        near = where_less(get(lanes, at.NORM) * close, get(lanes, at.GAP), 0, get(lanes, at.ACTIVE))
        ended = where_less(get(lanes, at.TAKEN), budget, near, get(lanes, at.ACTIVE))
        if not total(ended) > 0:
            continue
        put(lanes, at.ENDED, ended)
        for lane in range(WIDTH):
            if not lanes[at.ENDED * WIDTH + lane] > 0:
                continue
            sample = sample_of[lane]
            steps[begin + sample] = np.int32(lanes[at.TAKEN * WIDTH + lane])
            leave(u, lane, n, row_of(potentials, sample, registers))
            leave(r, lane, n, row_of(activities, sample, registers))
            if following == waiting:
                lanes[at.ACTIVE * WIDTH + lane] = 0
                working -= 1
                continue
            sample = queue[following]
            following += 1
            sample_of[lane], lanes[at.TAKEN * WIDTH + lane] = sample, np.float32(steps[begin + sample])
            enter(row_of(drives, sample, registers), lane, n, b)
            enter(row_of(potentials, sample, registers), lane, n, u)
            enter(row_of(activities, sample, registers), lane, n, r)
            for i in range(lane, n * WIDTH, WIDTH):
                right[i] = b[i] + r[i] * penalty - (u[i] - r[i])


@fast
def settle_by_alternating(frame, block, begin, count, packed, inverse, rows, memory):
    """Settle samples of a block, where the method does; for those where it does not, the number of steps is `LEFT`."""
    wide_vectors()
    n, apart = size_of(frame)
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    queue = integers_at(address_of(part_of(rows, 3, count, n)))
    waiting = start_all(frame, block, begin, count, packed, queue, rows, memory)
    close = nearness(frame, block)
    while waiting > 0:
        alternate_all(frame, block, begin, count, close, waiting, inverse, queue, rows, memory)
        left = 0
        for place in range(0, waiting, WIDTH):
            used = min(WIDTH, waiting - place)
            take_up(part_of(rows, 0, count, n), queue, place, used, n, b)
            take_up(part_of(rows, 2, count, n), queue, place, used, n, r)
            left = judge(frame, block, begin, packed, queue, place, used, left, False, memory)
        # Those that still wait were looked at too early.
        waiting, close = left, close * np.float32(0.25)
    potentials, activities = states_of(frame, block)
    for sample in range(count):
        queue[sample] = sample
    for place in range(0, count, WIDTH):
        used = min(WIDTH, count - place)
        take_up(part_of(rows, 1, count, n), queue, place, used, n, u)
        take_up(part_of(rows, 2, count, n), queue, place, used, n, r)
        for i in range(n):
            copy_out(shifted(u, i * WIDTH), shifted(potentials, i * apart + begin + place), used)
            copy_out(shifted(r, i * WIDTH), shifted(activities, i * apart + begin + place), used)
