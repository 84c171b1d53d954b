# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""Working memory for the lanes of a register, and what is kept of those that are done."""

import numpy as np

from ._ffi import fast, plain, wide_vectors
from ._lanes import WIDTH, broadcast, get, larger, padded, put, row_of, total, where_less

# Vectors of a register for every neuron of a block; behind them single registers, and room for factors.
DRIVE, POTENTIAL, ACTIVITY, FORCE, CHANGE, AHEAD, FINAL_POTENTIAL, FINAL_ACTIVITY, PIVOTS, LANES = range(10)
# Squared lengths of the defect, of the activities, of the last step and of what it led to; then what became of lanes
# that are done.
DEFECT, SIZE, GAP, NORM, MOMENTUM, ACTIVE, TAKEN, FINAL_DEFECT, FINAL_SIZE, COUNT = range(10)
# Activities whose squared length is larger have been lost.
LOST = np.float32(1e24)


@plain
def memory_size(n, factors):
    """Numbers of working memory for a block of n neurons and so many registers for factors."""
    return (LANES * padded(n) + COUNT + factors) * WIDTH


@plain
def vector(memory, index, n):
    """One of the vectors for a block of n neurons, or the single registers."""
    return row_of(memory, index, padded(n))


@plain
def activate(lanes, used):
    """Make the first lanes active."""
    for lane in range(WIDTH):
        lanes[ACTIVE * WIDTH + lane] = np.float32(lane < used)


@plain
def stay(lanes):
    """Make all lanes inactive, and let them count as settled."""
    put(lanes, ACTIVE, broadcast(0))
    put(lanes, TAKEN, broadcast(0))
    put(lanes, FINAL_DEFECT, broadcast(0))
    put(lanes, FINAL_SIZE, broadcast(1))


@fast
def keep(memory, n, looked_at, limit, taken, everyone, accelerating):
    """Keep what has become of the lanes that are done, of those that are looked at, and work no more for them.

    A lane is done at a relative defect within the limit (both squared); if there is no time left, everyone is, and
    while accelerating those that are lost.
    """
    wide_vectors()
    lanes = vector(memory, LANES, n)
    defect, size, infinite = get(lanes, DEFECT), get(lanes, SIZE), np.float32(np.inf)
    done = where_less(defect, infinite, where_less(size * limit, defect, 0, looked_at), 0)
    if accelerating:
        done = larger(done, where_less(defect, infinite, where_less(size, LOST, 0, looked_at), looked_at))
    if everyone:
        done = looked_at
    if not total(done) > 0:
        return
    put(lanes, ACTIVE, get(lanes, ACTIVE) - done)
    put(lanes, TAKEN, where_less(0, done, taken, get(lanes, TAKEN)))
    put(lanes, FINAL_DEFECT, where_less(0, done, defect, get(lanes, FINAL_DEFECT)))
    put(lanes, FINAL_SIZE, where_less(0, done, size, get(lanes, FINAL_SIZE)))
    u, r = vector(memory, POTENTIAL, n), vector(memory, ACTIVITY, n)
    final_u, final_r = vector(memory, FINAL_POTENTIAL, n), vector(memory, FINAL_ACTIVITY, n)
    for i in range(n):
        put(final_u, i, where_less(0, done, get(u, i), get(final_u, i)))
        put(final_r, i, where_less(0, done, get(r, i), get(final_r, i)))
