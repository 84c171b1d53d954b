# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Products of weights and activities over receptive fields: drive, association (for plasticity) and feedback.

Drives read what a site sees where it lies. For associations, and for samples that fill no register, it is gathered into
the nearest cache, some at a time, and never written out as a whole.

Operands of a call are the position of every site among the sites of all groups (sites that see equally many others
form a group), then for every group the sites that each of its sites sees, then two of: activities below, activities
above, and the weights of every group. The results are the third.
"""

from numba import types

from ._ffi import (
    NUMERICS,
    OPERAND_COUNT,
    Words,
    address_of,
    allocate,
    exported,
    fast,
    floats_at,
    floats_of,
    free,
    integers_at,
    length,
    malloc,
    operand,
    plain,
    result,
    result_length,
    wide_vectors,
)
from ._lanes import (
    WIDTH,
    broadcast,
    get,
    group_start,
    load_lanes,
    offset_by,
    padded,
    put,
    registers_for,
    row_of,
    store_lanes,
    transpose,
)
from ._multiply import add_transposed, choose_all, multiply_chosen, multiply_listed, round_up_to_tile

# Products of two numbers in a task, at least: some 20 microseconds, beside which handing it out costs little.
FEWEST_PRODUCTS = 500_000
# Registers of samples, or of inputs, that are gathered at a time.
MOST = 8
# Registers of samples that a task of feedback takes at most, and numbers of its result that a core keeps at hand.
TOGETHER, CLOSE = 4, 1 << 18

ORDER, SOURCES = 0, 1


@plain
def most_seen(frame, groups):
    """Largest number of sites that a site sees."""
    most = 0
    for group in range(groups):
        most = max(most, length(frame, SOURCES + group, 1))
    return most


@plain
def found(frame, site):
    """Group of a site and its position there."""
    position, group = integers_at(operand(frame, ORDER))[site], 0
    while position >= length(frame, SOURCES + group, 0):
        position -= length(frame, SOURCES + group, 0)
        group += 1
    return group, position


@plain
def seen_neurons(frame, group, position, channels, neurons):
    """Write down the neurons that a site sees, in the order of its weights."""
    seen, row = length(frame, SOURCES + group, 1), 0
    sources = integers_at(operand(frame, SOURCES + group) + position * seen * 4)
    for source in range(seen):
        for channel in range(channels):
            neurons[row] = sources[source] * channels + channel
            row += 1


@plain
def products_size(rows, n):
    """Numbers of memory for a product of so many rows of n numbers with a matrix of `MOST` registers a row."""
    return (n + round_up_to_tile(rows)) * MOST * WIDTH + WIDTH * WIDTH


@fast
def drive_site(frame, groups, site, memory, neurons, chosen):
    """Multiply what a site sees by its weights."""
    wide_vectors()
    group, position = found(frame, site)
    below, weights = SOURCES + groups, SOURCES + groups + 1 + group
    samples, units, inputs = length(frame, below, 1), length(frame, weights, 1), length(frame, weights, 2)
    seen_neurons(frame, group, position, inputs // length(frame, SOURCES + group, 1), neurons)
    activities = floats_at(operand(frame, below))
    own = floats_at(operand(frame, weights) + position * units * inputs * 4)
    drive = floats_at(result(frame, 0) + site * units * samples * 4)
    used = min(WIDTH, samples)
    for begin in range(0, registers_for(samples), MOST):
        registers = min(MOST, registers_for(samples) - begin)
        x, y = memory, row_of(memory, inputs, registers)
        if used == WIDTH:
            last = group_start(begin + registers - 1, samples) - begin * WIDTH
            x = offset_by(activities, begin * WIDTH)
            multiply_listed(own, inputs, chosen, units, x, neurons, last, samples, y, inputs, 0, registers, registers)
        else:
            for row in range(inputs):
                load_lanes(offset_by(activities, neurons[row] * samples), row_of(x, row, registers), used)
            multiply_chosen(own, inputs, chosen, units, x, y, inputs, 0, registers, registers)
        for unit in range(units):
            for part in range(registers):
                target = unit * samples + group_start(begin + part, samples)
                store_lanes(offset_by(row_of(y, unit, registers), part * WIDTH), offset_by(drive, target), used)


@fast
def associate_site(frame, groups, site, memory, neurons, chosen):
    """Multiply the activities of a site by what it sees, summed over samples."""
    wide_vectors()
    group, position = found(frame, site)
    below, above = SOURCES + groups, SOURCES + groups + 1
    samples, units, inputs = length(frame, below, 1), result_length(frame, group, 1), result_length(frame, group, 2)
    seen_neurons(frame, group, position, inputs // length(frame, SOURCES + group, 1), neurons)
    activities = floats_at(operand(frame, below))
    own = floats_at(operand(frame, above) + site * units * samples * 4)
    weights = floats_at(result(frame, group) + position * units * inputs * 4)
    # Now the lanes are inputs: what is seen is transposed.
    square, used, present = memory, min(WIDTH, inputs), min(WIDTH, samples)
    for begin in range(0, registers_for(inputs), MOST):
        registers = min(MOST, registers_for(inputs) - begin)
        x = offset_by(memory, WIDTH * WIDTH)
        y = row_of(x, samples, registers)
        for part in range(registers):
            start = group_start(begin + part, inputs)
            for some in range(registers_for(samples)):
                first = group_start(some, samples)
                for lane in range(used):
                    row = offset_by(activities, neurons[start + lane] * samples + first)
                    load_lanes(row, offset_by(square, lane * WIDTH), present)
                for lane in range(used, WIDTH):
                    put(square, lane, broadcast(0))
                there = offset_by(row_of(x, first, registers), part * WIDTH)
                if present == WIDTH:
                    transpose(square, WIDTH, there, registers * WIDTH)
                    continue
                transpose(square, WIDTH, square, WIDTH)
                for sample in range(present):
                    put(row_of(there, sample, registers), 0, get(square, sample))
        multiply_chosen(own, samples, chosen, units, x, y, samples, 0, registers, registers)
        for unit in range(units):
            for part in range(registers):
                target = offset_by(weights, unit * inputs + group_start(begin + part, inputs))
                store_lanes(offset_by(row_of(y, unit, registers), part * WIDTH), target, used)


@fast
def feed_back_registers(frame, groups, begin, registers, memory, neurons):
    """Multiply the activities of all sites by their weights, transposed, for some registers of samples."""
    wide_vectors()
    above = SOURCES + groups
    samples, below, units = length(frame, above, 1), result_length(frame, 0, 0), length(frame, above + 1, 1)
    used = min(WIDTH, samples)
    activities, feedback = floats_at(operand(frame, above)), floats_at(result(frame, 0))
    x, y = memory, row_of(memory, units, registers)
    for i in range(below * registers):
        put(y, i, broadcast(0))
    for site in range(length(frame, ORDER, 0)):
        group, position = found(frame, site)
        inputs = length(frame, above + 1 + group, 2)
        seen_neurons(frame, group, position, inputs // length(frame, SOURCES + group, 1), neurons)
        own = floats_at(operand(frame, above + 1 + group) + position * units * inputs * 4)
        for unit in range(units):
            for part in range(registers):
                source = (site * units + unit) * samples + group_start(begin + part, samples)
                load_lanes(offset_by(activities, source), offset_by(row_of(x, unit, registers), part * WIDTH), used)
        add_transposed(own, inputs, x, y, neurons, inputs, units, registers)
    for neuron in range(below):
        for part in range(registers):
            target = neuron * samples + group_start(begin + part, samples)
            store_lanes(offset_by(row_of(y, neuron, registers), part * WIDTH), offset_by(feedback, target), used)


@plain
def site_groups(frame, known):
    """Number of groups of sites, where so many operands are neither sources nor weights."""
    return (frame[OPERAND_COUNT] - known) // 2


@plain
def site_shares(sites, products):
    """Number of tasks among which sites are shared, for so many products of two numbers at each."""
    return max(1, min(sites, sites * products // FEWEST_PRODUCTS))


@exported(types.int64(Words, types.int64))
def drive_tasks(frame, threads):
    """Number of tasks of a drive."""
    below = SOURCES + site_groups(frame, 2)
    inputs, units = length(frame, below + 1, 2), length(frame, below + 1, 1)
    return site_shares(length(frame, ORDER, 0), padded(length(frame, below, 1)) * inputs * units)


@exported(types.void(Words, types.int64, types.int64), **NUMERICS)
def drive_sites(frame, number, shares):
    """Drive of a share of the sites."""
    groups, sites = site_groups(frame, 2), length(frame, ORDER, 0)
    weights = SOURCES + groups + 1
    inputs = most_seen(frame, groups) * (length(frame, weights, 2) // length(frame, SOURCES, 1))
    units = length(frame, weights, 1)
    numbers = allocate(products_size(units, inputs))
    neurons, rows = malloc(inputs * 4), malloc(round_up_to_tile(units) * 4)
    seen, chosen = integers_at(address_of(neurons)), integers_at(address_of(rows))
    choose_all(units, chosen)
    for site in range(number * sites // shares, (number + 1) * sites // shares):
        drive_site(frame, groups, site, floats_of(numbers), seen, chosen)
    free(numbers)
    free(neurons)
    free(rows)


@exported(types.int64(Words, types.int64))
def association_tasks(frame, threads):
    """Number of tasks of an association."""
    below = frame[OPERAND_COUNT] - 2
    inputs, units = result_length(frame, 0, 2), result_length(frame, 0, 1)
    return site_shares(length(frame, ORDER, 0), length(frame, below, 1) * padded(inputs) * units)


@exported(types.void(Words, types.int64, types.int64), **NUMERICS)
def associate_sites(frame, number, shares):
    """Association at a share of the sites."""
    groups, sites = frame[OPERAND_COUNT] - 3, length(frame, ORDER, 0)
    inputs = most_seen(frame, groups) * (result_length(frame, 0, 2) // length(frame, SOURCES, 1))
    samples, units = length(frame, SOURCES + groups, 1), result_length(frame, 0, 1)
    numbers = allocate(products_size(units, samples))
    neurons, rows = malloc(inputs * 4), malloc(round_up_to_tile(units) * 4)
    seen, chosen = integers_at(address_of(neurons)), integers_at(address_of(rows))
    choose_all(units, chosen)
    for site in range(number * sites // shares, (number + 1) * sites // shares):
        associate_site(frame, groups, site, floats_of(numbers), seen, chosen)
    free(numbers)
    free(neurons)
    free(rows)


@exported(types.int64(Words, types.int64))
def feedback_tasks(frame, threads):
    """Number of tasks of feedback: some samples each, as fields of different sites overlap.

    Every task reads all weights, so tasks are few, unless threads were without one or results too large for a cache.
    """
    registers = registers_for(length(frame, SOURCES + site_groups(frame, 2), 1))
    together = max(1, min(TOGETHER, CLOSE // (result_length(frame, 0, 0) * WIDTH)))
    return min(registers, max(threads, (registers + together - 1) // together))


@exported(types.void(Words, types.int64, types.int64), **NUMERICS)
def feed_back_samples(frame, number, count):
    """Feedback for a share of the samples."""
    groups = site_groups(frame, 2)
    weights, samples = SOURCES + groups + 1, length(frame, SOURCES + groups, 1)
    inputs = most_seen(frame, groups) * (length(frame, weights, 2) // length(frame, SOURCES, 1))
    every = registers_for(samples)
    begin = number * every // count
    registers = (number + 1) * every // count - begin
    numbers = allocate((length(frame, weights, 1) + result_length(frame, 0, 0)) * registers * WIDTH)
    neurons = malloc(inputs * 4)
    feed_back_registers(frame, groups, begin, registers, floats_of(numbers), integers_at(address_of(neurons)))
    free(numbers)
    free(neurons)
