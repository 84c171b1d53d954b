# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Fixed points of one block of neurons for some samples, in the registers and nearest cache of one core.

Here sixteen samples, the lanes of a vector register, are settled together: every number below that belongs to a sample
is such a vector. A block is a group of neurons that interact with each other only: ``r = f(b + r - A r)``. Where
samples are few, as in learning online, and blocks are small, the lanes are sixteen blocks for one sample.

The smallest blocks start with Newton's method; those of up to 64 rectified neurons with some sweeps from neuron to
neuron, which find out who is silent, before Newton's method; and all others with alternating directions. What these
have not finished is left to accelerated proximal gradient steps as in `simatch.relaxation.Accelerated`. No sample
depends on the others of its register.
"""

import numpy as np
from numba import types

from . import NEWTON_SIZE, SWEEP_SIZE
from . import _memory as at
from ._activity import activity, magnitude, measure, proximal, rectified
from ._alternating import TRIED, fill_registers, nearness, penalty_of, rows_size, settle_by_alternating
from ._blocks import (
    LEFT,
    active_of,
    blocks_of,
    drive_of,
    figures_of,
    from_rest,
    is_active,
    keeps_potentials,
    matrix_of,
    most_steps,
    settings_of,
    size_of,
    some_stay,
    start_of,
    states_of,
)
from ._ffi import (
    NUMERICS,
    Words,
    allocate,
    exported,
    fast,
    floats_of,
    free,
    plain,
    wide_vectors,
)
from ._fours import settle_fours
from ._inverse import LEAST, inverse_size, invert
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
    smaller,
    store_lanes,
    total,
    where_less,
)
from ._memory import activate, keep, memory_size, stay, vector
from ._multiply import multiply, pack, packed_size
from ._newton import NEWTON_STEPS, factors_size, fill_up, round_up_to_four, settle_by_newton

# Steps between two measurements of lanes that may be done, and of all.
OFTEN, RARELY = 2, 48
# Samples whose states are close at hand while a block is settled.
AT_ONCE = 128


@fast
def descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, lanes, n):
    """One proximal gradient step from `ahead`, where `force` holds ``A ahead``; momentum restarts where it is uphill.

    Also keeps the squared lengths of the step and of r, and looks ahead for the next step.
    """
    wide_vectors()
    gap = size = uphill = broadcast(0)
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
    momentum = where_less(0, uphill, broadcast(0), get(lanes, at.MOMENTUM) + 1)
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)
    put(lanes, at.MOMENTUM, momentum)
    weight = divide(momentum, momentum + 3)
    for i in range(n):
        put(ahead, i, get(r, i) + get(change, i) * weight)


@fast
def sweep(a, lower, upper, b, u, r, force, lanes, n):
    """Set one rectified activity after the other to its best value for the others; `force` holds ``A r`` throughout.

    Also keeps the squared lengths of the change and of r.
    """
    wide_vectors()
    gap = size = broadcast(0)
    for i in range(n):
        own, before = a[i * n + i], get(r, i)
        rest = get(b, i) - get(force, i) + before * own
        new = smaller(upper, larger(lower, rest * (1 / own)))
        change = new - before
        squared = change * change
        gap += squared
        size += new * new
        put(u, i, rest - new * (own - np.float32(1)))
        put(r, i, new)
        # A lane that is not a number must not keep the others from what they change.
        if not total(squared) <= 0:
            for k in range(n):
                put(force, k, get(force, k) + change * a[i * n + k])
    put(lanes, at.GAP, gap)
    put(lanes, at.NORM, size)


@plain
def sweeps_first(n):
    """Sweeps before Newton's method, one step of which takes as long as some n / 8 of them."""
    return max(4, n // 8)


@fast
def settle_by_sweeps(frame, block, resting, packed, memory):
    """Settle the lanes that are active where a few sweeps do; those remain active where more are needed."""
    wide_vectors()
    n, a, most = size_of(frame)[0], matrix_of(frame, block), most_steps(frame)
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    force, lanes = vector(memory, at.FORCE, n), vector(memory, at.LANES, n)
    # Where the last step was shorter than this, it is worth measuring.
    limit, close, last = tolerance * tolerance, nearness(frame, block), min(sweeps_first(n), most)
    if resting:
        for i in range(n):
            put(force, i, broadcast(0))
    else:
        multiply(packed, r, force, n, n)
    # Sweeps go on with a force of their own, which another lane's measurement would round anew.
    product, taken, worth = force, 0, get(lanes, at.ACTIVE)
    while True:
        measure(kind, threshold, lower, upper, b, r, product, lanes, n)
        keep(memory, n, worth, limit, taken, taken >= most, False)
        if taken >= last or not total(get(lanes, at.ACTIVE)) > 0:
            break
        waiting = True
        while waiting:
            sweep(a, lower, upper, b, u, r, force, lanes, n)
            taken += 1
            worth = get(lanes, at.ACTIVE) if taken >= last else ready(lanes, close)
            waiting = taken < last and not (taken % OFTEN == 0 and total(worth) > 0)
        product = vector(memory, at.AHEAD, n)
        multiply(packed, r, product, n, n)


@fast
def settle_register(frame, block, first, packed, filled, sweeping, tried, memory):
    """Settle up to sixteen samples in one block, or of those samples what other methods have left after some steps."""
    wide_vectors()
    n, samples = size_of(frame)
    used, a = min(WIDTH, samples - first), matrix_of(frame, block)
    kind, threshold, lower, upper, tolerance = settings_of(frame)
    most = most_steps(frame)
    drive, start = drive_of(frame, block), start_of(frame, block)
    potentials, activities = states_of(frame, block)
    steps, defects, sizes = figures_of(frame, block)

    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    force, change, ahead = vector(memory, at.FORCE, n), vector(memory, at.CHANGE, n), vector(memory, at.AHEAD, n)
    final_u, final_r = vector(memory, at.FINAL_POTENTIAL, n), vector(memory, at.FINAL_ACTIVITY, n)
    lanes, fresh, resting, taken = vector(memory, at.LANES, n), from_rest(frame) and tried == 0, True, 0
    if some_stay(frame):
        stay(lanes)
        load_lanes(offset_by(active_of(frame), first), offset_by(lanes, at.ACTIVE * WIDTH), used)
    else:
        activate(lanes, used)
    if tried > 0:
        taken, start = min(tried, most), activities
        for lane in range(used):
            lanes[at.ACTIVE * WIDTH + lane] = np.float32(steps[first + lane] == LEFT)
            lanes[at.TAKEN * WIDTH + lane] = np.float32(steps[first + lane])
        load_lanes(offset_by(defects, first), offset_by(lanes, at.FINAL_DEFECT * WIDTH), used)
        load_lanes(offset_by(sizes, first), offset_by(lanes, at.FINAL_SIZE * WIDTH), used)
    for i in range(n):
        load_lanes(offset_by(drive, i * samples + first), offset_by(b, i * WIDTH), used)
        if fresh:
            put(u, i, broadcast(0))
        else:
            load_lanes(offset_by(start, i * samples + first), offset_by(u, i * WIDTH), used)
        put(r, i, activity(kind, threshold, lower, upper, get(u, i)))
        resting = resting and total(magnitude(get(r, i))) == 0
        # What is done already stays as it is.
        put(final_u, i, get(u, i))
        put(final_r, i, get(u, i) if tried > 0 else get(r, i))
        if tried > 0 and keeps_potentials(frame):
            load_lanes(offset_by(potentials, i * samples + first), offset_by(final_u, i * WIDTH), used)
    if sweeping and total(get(lanes, at.ACTIVE)) > 0:
        settle_by_sweeps(frame, block, resting, packed, memory)
        taken = min(sweeps_first(n), most)
    if tried == 0 and (n <= NEWTON_SIZE or sweeping) and total(get(lanes, at.ACTIVE)) > 0:
        settle_by_newton(frame, filled, False, taken, packed, memory)
        taken = min(taken + NEWTON_STEPS, most)
    limit, close = tolerance * tolerance, np.float32(0)
    accelerating, everyone, step = False, True, np.float32(1)
    while total(get(lanes, at.ACTIVE)) > 0:
        # Which lanes are looked at, and when, must not depend on other lanes.
        if taken == 0 and resting:
            for i in range(n):
                put(force, i, broadcast(0))
        else:
            multiply(packed, r, force, n, n)
        measure(kind, threshold, lower, upper, b, r, force, lanes, n)
        worth = get(lanes, at.ACTIVE) if everyone else ready(lanes, close)
        keep(memory, n, worth, limit, taken, taken >= most, accelerating)
        if not total(get(lanes, at.ACTIVE)) > 0:
            break
        if not accelerating:
            accelerating, step = True, 1 / max(stiffness(a, n), np.float32(1e-3))
            close = limit * min(step, np.float32(1)) ** 2
            lost = get(lanes, at.DEFECT)
            for i in range(n):
                # Where Newton's method got lost, begin again.
                v = where_less(lost, np.float32(np.inf), get(u, i), 0)
                q = activity(kind, threshold, lower, upper, v)
                put(u, i, v)
                put(r, i, q)
                put(ahead, i, q)
            put(lanes, at.MOMENTUM, broadcast(0))
        # The length of a step says whether it is worth measuring; now and then all lanes are.
        waiting = True
        while waiting:
            multiply(packed, ahead, force, n, n)
            descend(kind, threshold, lower, upper, step, b, u, r, change, ahead, force, lanes, n)
            taken += 1
            everyone = taken >= most or taken % RARELY == 0
            waiting = not everyone and not (taken % OFTEN == 0 and total(ready(lanes, close)) > 0)
    for i in range(n):
        if keeps_potentials(frame):
            store_lanes(offset_by(final_u, i * WIDTH), offset_by(potentials, i * samples + first), used)
        store_lanes(offset_by(final_r, i * WIDTH), offset_by(activities, i * samples + first), used)
    for lane in range(used):
        steps[first + lane] = np.int32(lanes[at.TAKEN * WIDTH + lane])
    store_lanes(offset_by(lanes, at.FINAL_DEFECT * WIDTH), offset_by(defects, first), used)
    store_lanes(offset_by(lanes, at.FINAL_SIZE * WIDTH), offset_by(sizes, first), used)


@plain
def ready(lanes, limit):
    """Active lanes whose last step was shorter than a limit, relative to where it led and squared."""
    return where_less(get(lanes, at.NORM) * limit, get(lanes, at.GAP), 0, get(lanes, at.ACTIVE))


@fast
def settle_across(frame, sample, first, matrices, packed, prepared, memory):
    """Settle one sample in up to sixteen blocks, each in a lane; those that take longer are settled by themselves."""
    wide_vectors()
    n, samples = size_of(frame)
    used, (kind, threshold, lower, upper, _) = min(WIDTH, blocks_of(frame) - first), settings_of(frame)
    b, u, r = vector(memory, at.DRIVE, n), vector(memory, at.POTENTIAL, n), vector(memory, at.ACTIVITY, n)
    lanes = vector(memory, at.LANES, n)
    # Blocks follow each other in memory, and samples of a neuron.
    drive, start, fresh = drive_of(frame, first), start_of(frame, first), from_rest(frame)
    for i in range(n):
        for lane in range(WIDTH):
            place = (min(lane, used - 1) * n + i) * samples + sample
            b[i * WIDTH + lane] = drive[place]
            u[i * WIDTH + lane] = np.float32(0) if fresh else start[place]
        put(r, i, activity(kind, threshold, lower, upper, get(u, i)))
    final_u, final_r = vector(memory, at.FINAL_POTENTIAL, n), vector(memory, at.FINAL_ACTIVITY, n)
    if is_active(frame, sample):
        activate(lanes, used)
        settle_by_newton(frame, matrices, True, 0, packed, memory)
    else:
        stay(lanes)
        for i in range(n):
            put(final_u, i, get(u, i))
            put(final_r, i, get(r, i))
    potentials, activities = states_of(frame, first)
    for i in range(n):
        for lane in range(used):
            place = (lane * n + i) * samples + sample
            activities[place] = final_r[i * WIDTH + lane]
            if keeps_potentials(frame):
                potentials[place] = final_u[i * WIDTH + lane]
    steps, defects, sizes = figures_of(frame, first)
    left = 0
    for lane in range(used):
        place = lane * samples + sample
        steps[place] = np.int32(lanes[at.TAKEN * WIDTH + lane])
        defects[place], sizes[place] = lanes[at.FINAL_DEFECT * WIDTH + lane], lanes[at.FINAL_SIZE * WIDTH + lane]
        left |= int(lanes[at.ACTIVE * WIDTH + lane] > 0) << lane
    for lane in range(used):
        if left >> lane & 1:
            pack(matrix_of(frame, first + lane), n, n, n, packed)
            fill_up(matrix_of(frame, first + lane), n, prepared)
            settle_register(frame, first + lane, sample // WIDTH * WIDTH, packed, prepared, False, 0, memory)


@plain
def smallest_diagonal(a, n):
    """Smallest number on the diagonal of a matrix."""
    smallest = a[0]
    for i in range(n):
        smallest = min(smallest, a[i * n + i])
    return smallest


@plain
def stiffness(a, n):
    """A bound on the largest eigenvalue of a matrix: the largest sum of a row's absolute values."""
    most = np.float32(0)
    for i in range(n):
        row = np.float32(0)
        for j in range(n):
            row += abs(a[i * n + j])
        most = max(most, row)
    return most


@fast
def is_finite(a, count):
    """Whether so many numbers, at least broadcast, are all finite."""
    wide_vectors()
    zeros = broadcast(0)
    for part in range(registers_for(count)):
        zeros += get(offset_by(a, group_start(part, count)), 0) * 0
    return total(zeros) == 0


@plain
def any_left(frame, block, first, count):
    """Whether other methods have left any of some samples."""
    steps, left = figures_of(frame, block)[0], 0
    for sample in range(first, first + count):
        left += steps[sample] == LEFT
    return left > 0


@plain
def across(frame):
    """Whether the lanes of a register are blocks: where that takes clearly fewer registers than samples do."""
    (n, samples), blocks = size_of(frame), blocks_of(frame)
    return n <= NEWTON_SIZE and 3 * padded(blocks) * samples <= 2 * blocks * padded(samples)


@plain
def groups(frame):
    """Number of groups of samples: several where blocks are so few that cores would wait for each other."""
    registers = padded(size_of(frame)[1]) // WIDTH
    return max(1, min(registers, 8 // blocks_of(frame)))


@fast
def settle_few(frame, first):
    """Settle all samples in up to sixteen blocks."""
    blocks, (n, samples) = blocks_of(frame), size_of(frame)
    size, entries = packed_size(n, n), round_up_to_four(n) ** 2
    memory = allocate(size + (WIDTH + 1) * entries + memory_size(n, factors_size(n)))
    packed = floats_of(memory)
    prepared, matrices = offset_by(packed, size), offset_by(packed, size + entries)
    rest = offset_by(matrices, WIDTH * entries)
    for lane in range(WIDTH):
        fill_up(matrix_of(frame, min(first + lane, blocks - 1)), n, prepared)
        for entry in range(entries):
            matrices[entry * WIDTH + lane] = prepared[entry]
    for sample in range(samples):
        settle_across(frame, sample, first, matrices, packed, prepared, rest)
    free(memory)


@fast
def settle_many(frame, block, group):
    """Settle one group of samples in one block."""
    n, samples = size_of(frame)
    registers, parts = padded(samples) // WIDTH, groups(frame)
    begin, end = group * registers // parts * WIDTH, min((group + 1) * registers // parts * WIDTH, samples)
    kind, threshold, lower, _, _ = settings_of(frame)
    small, size, matrix = n <= NEWTON_SIZE, packed_size(n, n), matrix_of(frame, block)
    factored = small or (n <= SWEEP_SIZE and rectified(kind, threshold, lower))
    own = round_up_to_four(n) ** 2 if factored else size
    working = max(memory_size(n, factors_size(n) if factored else 0), inverse_size(n))
    memory = allocate(size + own + working + rows_size(n, AT_ONCE))
    packed = floats_of(memory)
    prepared, rest, rows = (
        offset_by(packed, size),
        offset_by(packed, size + own),
        offset_by(packed, size + own + working),
    )
    sweeping, alternating = False, False
    if factored:
        fill_up(matrix, n, prepared)
        sweeping = not small and smallest_diagonal(matrix, n) > LEAST
    else:
        alternating = invert(matrix, n, penalty_of(frame, block), prepared, rest)
    tried = 0
    if alternating:
        fill_registers(matrix, n, packed)
        for first in range(begin, end, AT_ONCE):
            settle_by_alternating(frame, block, first, min(AT_ONCE, end - first), packed, prepared, rows)
        tried = TRIED
    elif n == 4:
        settle_fours(frame, block, begin, end, prepared)
        tried = NEWTON_STEPS
    if tried == 0 or any_left(frame, block, begin, end - begin):
        pack(matrix, n, n, n, packed)
        for first in range(begin, end, WIDTH):
            if tried == 0 or any_left(frame, block, first, min(WIDTH, end - first)):
                settle_register(frame, block, first, packed, prepared, sweeping, tried, rest)
    if not small and not is_finite(matrix, n * n):
        # Samples at rest have not met the matrix.
        defects = figures_of(frame, block)[1]
        for sample in range(begin, end):
            defects[sample] = np.float32(np.nan)
    free(memory)


@exported(types.int64(Words, types.int64))
def tasks(frame, threads):
    """Number of tasks of a call: registers of blocks, or blocks times groups of samples."""
    blocks = blocks_of(frame)
    return padded(blocks) // WIDTH if across(frame) else blocks * groups(frame)


@exported(types.void(Words, types.int64, types.int64), **NUMERICS)
def settle_task(frame, number, count):
    """Settle some samples in some blocks, and write the results."""
    if across(frame):
        settle_few(frame, number * WIDTH)
    else:
        settle_many(frame, number // groups(frame), number % groups(frame))
