# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Operands and results of a call that settles blocks, as `simatch._native.settle` passes them."""

from ._ffi import floats_at, integers_at, length, operand, plain, result, result_length

MATRIX, DRIVE, START, SETTINGS, LIMIT, ACTIVE = range(6)
POTENTIAL, ACTIVITY, STEPS, DEFECT, SIZE = range(5)
# Number of steps of a sample that is left to another method.
LEFT = -1


@plain
def blocks_of(frame):
    """Number of blocks."""
    return length(frame, MATRIX, 0)


@plain
def size_of(frame):
    """Neurons of a block, and samples."""
    return length(frame, MATRIX, 1), length(frame, DRIVE, 2)


@plain
def matrix_of(frame, block):
    """Matrix of a block."""
    n = length(frame, MATRIX, 1)
    return floats_at(operand(frame, MATRIX) + block * n * n * 4)


@plain
def of_neurons(frame, address, block):
    """What a block has of an array with a number for every neuron and sample."""
    n, samples = size_of(frame)
    return floats_at(address + block * n * samples * 4)


@plain
def drive_of(frame, block):
    """Drive of a block, neurons by samples."""
    return of_neurons(frame, operand(frame, DRIVE), block)


@plain
def start_of(frame, block):
    """Potentials from which a block starts, neurons by samples."""
    return of_neurons(frame, operand(frame, START), block)


@plain
def from_rest(frame):
    """Whether all potentials start at 0."""
    return length(frame, START, 2) == 0


@plain
def some_stay(frame):
    """Whether it is said which samples are to settle; all are by default."""
    return length(frame, ACTIVE, 0) > 0


@plain
def active_of(frame):
    """For every sample 1 if it is to settle, and 0 if it is to stay where it starts."""
    return floats_at(operand(frame, ACTIVE))


@plain
def is_active(frame, sample):
    """Whether a sample is to settle."""
    return not some_stay(frame) or active_of(frame)[sample] > 0


@plain
def keeps_potentials(frame):
    """Whether potentials are asked for."""
    return result_length(frame, POTENTIAL, 2) > 0


@plain
def states_of(frame, block):
    """Potentials, if they are asked for, and activities that a block reaches, neurons by samples."""
    return of_neurons(frame, result(frame, POTENTIAL), block), of_neurons(frame, result(frame, ACTIVITY), block)


@plain
def figures_of(frame, block):
    """Steps, and squared lengths of defect and activities, of every sample in a block."""
    offset = block * length(frame, DRIVE, 2) * 4
    steps = integers_at(result(frame, STEPS) + offset)
    return steps, floats_at(result(frame, DEFECT) + offset), floats_at(result(frame, SIZE) + offset)


@plain
def settings_of(frame):
    """Kind of activation, its threshold and bounds, and the tolerance."""
    settings = floats_at(operand(frame, SETTINGS))
    return settings[0], settings[1], settings[2], settings[3], settings[4]


@plain
def most_steps(frame):
    """Largest number of steps."""
    return integers_at(operand(frame, LIMIT))[0]
