# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Alternating directions (ADMM) for the samples of one block: a sample that is done makes room for another one.

The quadratic and the separable part of the energy are minimised in turn, with a matrix that is inverted once for all
samples. The length of a step says whether a sample may be done. Only then is its defect measured: a sample that is
not done after all waits for its turn again.

Every sample is a row here, and the lanes of a register are its neurons.
"""

import numpy as np

from . import TANH
from . import _memory as at
from ._activity import activity, magnitude, measure, proximal, shrink
from ._blocks import (
    LEFT,
    drive_of,
    figures_of,
    from_rest,
    is_active,
    keeps_potentials,
    matrix_of,
    most_steps,
    settings_of,
    size_of,
    start_of,
    states_of,
)
from ._ffi import address_of, fast, integers_at, plain, wide_vectors
from ._lanes import (
    WIDTH,
    broadcast,
    divide,
    get,
    group_start,
    larger,
    load_lanes,
    offset_by,
    padded,
    put,
    registers_for,
    row_of,
    smaller,
    store_lanes,
    total,
    transpose,
)
from ._multiply import TOGETHER, multiply_symmetric

# Steps that are tried, and their over-relaxation.
TRIED, OVER = 60, np.float32(1.7)
# Samples that take steps at a time: as many as leave room for a part of the inverse in the nearest cache.
PLACES = 4 * TOGETHER
# What there is of every sample.
DRIVE, POTENTIAL, ACTIVITY, RIGHT, STATES = range(5)


@plain
def rows_size(n, count):
    """Numbers of memory for the rows of samples, of those that take steps, for a square and the queues."""
    return (STATES * count + PLACES) * padded(n) + WIDTH * WIDTH + count + 2 * PLACES


@plain
def state_of(rows, state, sample, count, n):
    """Row with one of the states of a sample; behind the last states there is a row for every place, and a square."""
    return row_of(rows, state * count + sample, padded(n) // WIDTH)


@plain
def penalty_of(frame, block):
    """Weight of the distance between the two parts' minima: the mean eigenvalue, and more where units are silent.

    It follows the matrix however small that is: a weight far above the eigenvalues makes no progress.
    """
    a, n, trace = matrix_of(frame, block), size_of(frame)[0], np.float32(0)
    for i in range(n):
        trace += a[i * n + i]
    return max(trace / np.float32(n), np.float32(1e-12)) * np.float32(3 if settings_of(frame)[2] == 0 else 1)


@plain
def nearness(frame, block):
    """Relative length of a step, squared, below which it is worth measuring: by experience."""
    return (settings_of(frame)[4] / (np.float32(0.35) + penalty_of(frame, block))) ** 2


@fast
def load_rows(source, apart, used, n, square, rows):
    """Copy numbers of neurons, at least sixteen and so many apart in memory, to rows of up to sixteen samples."""
    wide_vectors()
    registers = padded(n) // WIDTH
    for sample in range(used):
        put(row_of(rows, sample, registers), registers - 1, broadcast(0))
    for part in range(registers):
        first = group_start(part, n)
        own, there = offset_by(source, first * apart), offset_by(rows, first)
        if used == WIDTH:
            transpose(own, apart, there, padded(n))
            continue
        for i in range(WIDTH):
            load_lanes(offset_by(own, i * apart), offset_by(square, i * WIDTH), used)
        transpose(square, WIDTH, square, WIDTH)
        for sample in range(used):
            put(row_of(there, sample, registers), 0, get(square, sample))


@fast
def fill_registers(a, n, rows):
    """Copy the rows of a matrix to rows of whole registers, and zeros to further ones that make it square."""
    wide_vectors()
    registers = padded(n) // WIDTH
    for i in range(padded(n)):
        for register in range(registers):
            first = register * WIDTH
            used = min(WIDTH, n - first) if i < n else 0
            load_lanes(offset_by(a, i * n + first), offset_by(row_of(rows, i, registers), first), used)


@fast
def store_rows(rows, used, n, square, target, apart):
    """Copy rows of up to sixteen samples to the numbers of neurons, at least sixteen and so many apart in memory."""
    wide_vectors()
    for part in range(registers_for(n)):
        first = group_start(part, n)
        own, there = offset_by(rows, first), offset_by(target, first * apart)
        if used == WIDTH:
            transpose(own, padded(n), there, apart)
            continue
        transpose(own, padded(n), square, WIDTH)
        for i in range(WIDTH):
            store_lanes(offset_by(square, i * WIDTH), offset_by(there, i * apart), used)


@plain
def right_side(penalty, b, u, r):
    """What the next minimum of the quadratic part is found from: ``b + penalty (r - w)``, ``w = (u - r) / penalty``."""
    return b - u + r * (penalty + np.float32(1))


@fast
def prepare(frame, penalty, rows, sample, count):
    """Write down what the next minimum of a sample is found from."""
    wide_vectors()
    n = size_of(frame)[0]
    b, u = state_of(rows, DRIVE, sample, count, n), state_of(rows, POTENTIAL, sample, count, n)
    r, right = state_of(rows, ACTIVITY, sample, count, n), state_of(rows, RIGHT, sample, count, n)
    for i in range(padded(n) // WIDTH):
        put(right, i, right_side(penalty, get(b, i), get(u, i), get(r, i)))


@plain
def moved(kind, threshold, lower, upper, step, u, r, move):
    """Potential v at which ``step v + (1 - step) f(v)`` is larger by a move than at u, where ``r = f(u)``.

    For tanh it is an estimate, by the slope at u or half a move further on, whichever is flatter: where the step is
    above 1, the first alone leads too far from small activities, and the second from large ones.
    """
    if kind == TANH:
        halfway, rest = r + move * np.float32(0.5), np.float32(1) - step
        return u + divide(move, 1 - smaller(larger(halfway * halfway, r * r), 1) * rest)
    return proximal(kind, threshold, lower, upper, step, r + (u - r) * step + move, u, r)


@fast
def alternate(frame, penalty, close, rows, products, places, ready, working, count):
    """One step for some samples, from the minimum x of the quadratic part to a proximal point r; prepares the next.

    It is over-relaxed. Says which steps, from x to r, were shorter than what is close.
    """
    wide_vectors()
    n, registers = size_of(frame)[0], padded(size_of(frame)[0]) // WIDTH
    kind, threshold, lower, upper, _ = settings_of(frame)
    step = np.float32(1) / penalty
    for place in range(working):
        sample, minimum = places[place], row_of(products, place, registers)
        b, u = state_of(rows, DRIVE, sample, count, n), state_of(rows, POTENTIAL, sample, count, n)
        r, right = state_of(rows, ACTIVITY, sample, count, n), state_of(rows, RIGHT, sample, count, n)
        gap = size = broadcast(0)
        for i in range(registers):
            x, before, old = get(minimum, i), get(r, i), get(u, i)
            v = moved(kind, threshold, lower, upper, step, old, before, (x - before) * OVER)
            new = activity(kind, threshold, lower, upper, v)
            leap = x - new
            gap += leap * leap
            size += new * new
            put(u, i, v)
            put(r, i, new)
            put(right, i, right_side(penalty, get(b, i), v, new))
        ready[place] = not total(gap - size * close) > 0


@fast
def alternate_all(frame, block, begin, count, close, waiting, inverse, queue, rows, places):
    """Take steps for the samples of a queue, some at a time, until they seem to be done or have had their share."""
    wide_vectors()
    n = size_of(frame)[0]
    penalty, budget = penalty_of(frame, block), min(TRIED, most_steps(frame))
    steps, ready = figures_of(frame, block)[0], integers_at(address_of(places) + 4 * PLACES)
    rights, products = state_of(rows, RIGHT, 0, count, n), state_of(rows, STATES, 0, count, n)
    for place in range(waiting):
        prepare(frame, penalty, rows, queue[place], count)
    working = following = min(PLACES, waiting)
    for place in range(PLACES):
        places[place] = queue[min(place, working - 1)]
    while working > 0:
        multiply_symmetric(rights, places, working, inverse, products, n)
        alternate(frame, penalty, close, rows, products, places, ready, working, count)
        kept = 0
        for place in range(working):
            sample = places[place]
            steps[begin + sample] += np.int32(1)
            if ready[place] or steps[begin + sample] >= budget:
                if following == waiting:
                    continue
                sample = queue[following]
                following += 1
            places[kept] = sample
            kept += 1
        working = kept


@fast
def judge(frame, block, begin, count, waiting, matrix, queue, rows, places):
    """Measure the samples of a queue; those that are to go on stay there, and their number is returned."""
    wide_vectors()
    n, most, registers = size_of(frame)[0], most_steps(frame), padded(size_of(frame)[0]) // WIDTH
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    steps, defects, sizes = figures_of(frame, block)
    activities, products = state_of(rows, ACTIVITY, 0, count, n), state_of(rows, STATES, 0, count, n)
    sums, left = state_of(rows, STATES, PLACES, count, n), 0
    for first in range(0, waiting, PLACES):
        used = min(PLACES, waiting - first)
        for place in range(PLACES):
            places[place] = queue[first + min(place, used - 1)]
        multiply_symmetric(activities, places, used, matrix, products, n)
        for place in range(used):
            number, force = places[place], row_of(products, place, registers)
            b, r = state_of(rows, DRIVE, number, count, n), state_of(rows, ACTIVITY, number, count, n)
            measure(kind, threshold, lower, upper, b, r, force, sums, registers)
            sample, defect, size = begin + number, total(get(sums, at.DEFECT)), total(get(sums, at.SIZE))
            defects[sample], sizes[sample] = defect, size
            finite = defect < np.float32(np.inf)
            if (defect <= tolerance * tolerance * size and finite) or steps[sample] >= most:
                continue
            if finite and steps[sample] < TRIED:
                queue[left] = number
                left += 1
            else:
                steps[sample] = LEFT
    return left


@fast
def is_driven(frame, rows, sample, count):
    """Whether the drive of a sample makes any neuron active."""
    wide_vectors()
    n, (_, threshold, lower, upper, _) = size_of(frame)[0], settings_of(frame)
    b, size = state_of(rows, DRIVE, sample, count, n), broadcast(0)
    for i in range(padded(n) // WIDTH):
        # tanh has bounds and no threshold here, and is silent where such a unit is.
        size += magnitude(shrink(get(b, i), threshold, lower, upper))
    return not total(size) <= 0


@fast
def settle_by_alternating(frame, block, begin, count, matrix, inverse, memory):
    """Settle samples of a block, where the method does; for those where it does not, the number of steps is `LEFT`.

    What is left has its potentials where its activities belong. The matrix is there in rows of whole registers, and its
    inverse, with the penalty on its diagonal, too.
    """
    wide_vectors()
    n, apart = size_of(frame)
    registers, fresh = padded(n) // WIDTH, from_rest(frame)
    kind, threshold, lower, upper, _ = settings_of(frame)
    rows, square = memory, state_of(memory, STATES, PLACES, count, n)
    queue = integers_at(address_of(offset_by(square, WIDTH * WIDTH)))
    places = integers_at(address_of(queue) + 4 * count)
    u, r = state_of(rows, POTENTIAL, 0, count, n), state_of(rows, ACTIVITY, 0, count, n)
    used, drive, start = min(WIDTH, count), offset_by(drive_of(frame, block), begin), start_of(frame, block)
    for part in range(registers_for(count)):
        first = group_start(part, count)
        load_rows(offset_by(drive, first), apart, used, n, square, state_of(rows, DRIVE, first, count, n))
        if not fresh:
            load_rows(
                offset_by(start, begin + first), apart, used, n, square, state_of(rows, POTENTIAL, first, count, n)
            )
    rest = activity(kind, threshold, lower, upper, broadcast(0))
    for i in range(count * registers):
        if fresh:
            put(u, i, broadcast(0))
            put(r, i, rest)
        else:
            put(r, i, activity(kind, threshold, lower, upper, get(u, i)))
    steps, defects, sizes = figures_of(frame, block)
    waiting = 0
    for sample in range(count):
        active = is_active(frame, begin + sample)
        steps[begin + sample] = defects[begin + sample] = 0
        sizes[begin + sample] = np.float32(not active)
        # At rest, a sample is done if nothing drives it; others need not be measured there.
        if active and (not fresh or is_driven(frame, rows, sample, count)):
            queue[waiting] = sample
            waiting += 1
    close = nearness(frame, block)
    if not fresh:
        waiting = judge(frame, block, begin, count, waiting, matrix, queue, rows, places)
    while waiting > 0:
        alternate_all(frame, block, begin, count, close, waiting, inverse, queue, rows, places)
        # Those that still wait after this were looked at too early.
        waiting = judge(frame, block, begin, count, waiting, matrix, queue, rows, places)
        close *= np.float32(0.25)
    for sample in range(count):
        if steps[begin + sample] == LEFT:
            for i in range(registers):
                put(r, sample * registers + i, get(u, sample * registers + i))
    potentials, activities = states_of(frame, block)
    for part in range(registers_for(count)):
        first = group_start(part, count)
        if keeps_potentials(frame):
            own, there = state_of(rows, POTENTIAL, first, count, n), offset_by(potentials, begin + first)
            store_rows(own, used, n, square, there, apart)
        own, there = state_of(rows, ACTIVITY, first, count, n), offset_by(activities, begin + first)
        store_rows(own, used, n, square, there, apart)
