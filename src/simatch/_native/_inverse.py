# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Inverse of a symmetric matrix, sixteen pivots at a time.

To sweep pivots K with square D turns the other squares into ``M_ij - M_iK D^-1 M_Kj``, their rows into
``D^-1 M_Kj`` and D into ``-D^-1``; when all are swept, minus the inverse is left. The matrix stays symmetric: squares
below the diagonal are only room for what is transposed.
"""

import numpy as np

from ._ffi import address_of, fast, integers_at, plain, wide_vectors
from ._lanes import WIDTH, broadcast, get, load_lanes, offset_by, padded, put, row_of, transpose
from ._multiply import TOGETHER, choose_all, multiply_chosen, round_up_to_tile

# Numbers on the diagonal count as above 0 if they are above this.
LEAST = np.float32(1e-6)


@plain
def inverse_size(n):
    """Numbers of memory in which a matrix of n rows is inverted."""
    return (
        (padded(n) + WIDTH + 2 * round_up_to_tile(WIDTH)) * padded(n) + WIDTH * WIDTH + padded(round_up_to_tile(WIDTH))
    )


@fast
def invert(a, n, shift, whole, memory):
    """Write down the inverse of ``A + shift`` in rows of whole registers; returns whether all pivots were above 0."""
    wide_vectors()
    registers, m = padded(n) // WIDTH, memory
    inverse, solved = row_of(m, padded(n), registers), row_of(m, padded(n) + WIDTH, registers)
    products = row_of(solved, round_up_to_tile(WIDTH), registers)
    units = row_of(products, TOGETHER, registers)
    rows = integers_at(address_of(offset_by(units, WIDTH * WIDTH)))
    for i in range(padded(n)):
        for register in range(registers):
            put(row_of(m, i, registers), register, broadcast(0))
        if i < n:
            for register in range(i // WIDTH, registers):
                first = register * WIDTH
                load_lanes(
                    offset_by(a, i * n + first), offset_by(row_of(m, i, registers), first), min(WIDTH, n - first)
                )
            row_of(m, i, registers)[i] += shift
        else:
            row_of(m, i, registers)[i] = np.float32(1)
    for i in range(WIDTH * WIDTH):
        units[i] = np.float32(i % WIDTH == i // WIDTH)
    for pivots in range(registers):
        for other in range(registers):
            if other < pivots:
                mirror(m, other, pivots, registers)
            elif other > pivots:
                mirror(m, pivots, other, registers)
        for i in range(WIDTH):
            put(row_of(inverse, i, registers), 0, get(row_of(m, pivots * WIDTH + i, registers), pivots))
        if not invert_square(inverse, units, registers):
            return False
        sweep(m, n, pivots, inverse, solved, products, rows)
    for i in range(registers):
        for j in range(i + 1, registers):
            mirror(m, i, j, registers)
    for i in range(padded(n) * registers):
        put(whole, i, 0 - get(m, i))
    return True


@fast
def mirror(m, i, j, registers):
    """Transpose a square above the diagonal to its place below."""
    wide_vectors()
    apart = registers * WIDTH
    above, below = offset_by(m, (i * apart + j) * WIDTH), offset_by(m, (j * apart + i) * WIDTH)
    transpose(above, apart, below, apart)


@fast
def invert_square(d, units, registers):
    """Invert the square at the beginning of sixteen rows in place; returns whether all pivots were above 0."""
    wide_vectors()
    for p in range(WIDTH):
        own, unit = row_of(d, p, registers), get(units, p)
        pivot = own[p]
        if not pivot > LEAST:
            return False
        solved = (get(own, 0) + unit * (1 - pivot)) * (1 / pivot)
        change = solved + unit
        for i in range(WIDTH):
            row = row_of(d, i, registers)
            put(row, 0, get(row, 0) - change * row[p])
        put(own, 0, solved)
    return True


@fast
def sweep(m, n, pivots, inverse, solved, products, rows):
    """Sweep sixteen pivots, whose square is inverted and whose rows and columns are whole."""
    wide_vectors()
    registers, first = padded(n) // WIDTH, pivots * WIDTH
    choose_all(WIDTH, rows)
    own = row_of(m, first, registers)
    multiply_chosen(inverse, padded(n), rows, WIDTH, own, solved, WIDTH, 0, registers, registers)
    for start in range(0, n, TOGETHER):
        for k in range(TOGETHER):
            rows[k] = min(start + k, n - 1)
        begin = start // WIDTH
        left = offset_by(m, first)
        multiply_chosen(left, padded(n), rows, TOGETHER, solved, products, WIDTH, begin, registers, registers)
        for k in range(min(TOGETHER, n - start)):
            row, product = row_of(m, start + k, registers), row_of(products, k, registers)
            for register in range(begin, registers):
                put(row, register, get(row, register) - get(product, register))
    for k in range(WIDTH):
        row, own = row_of(m, first + k, registers), row_of(solved, k, registers)
        for register in range(registers):
            put(row, register, get(own, register))
        put(row, pivots, 0 - get(row_of(inverse, k, registers), 0))
    for other in range(pivots):
        mirror(m, pivots, other, registers)
