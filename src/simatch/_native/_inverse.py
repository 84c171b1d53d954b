# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
"""Inverse of a symmetric matrix, packed for products."""

import numpy as np

from ._ffi import fast, plain, wide_vectors
from ._lanes import WIDTH, copy_in, get, padded, put, row_of, shifted, sixteen, transpose

# Pivots that are eliminated at a time, and what they have to be above to count as above 0.
PIVOTS, LEAST = 4, np.float32(1e-6)


@plain
def inverse_size(n):
    """Numbers of memory in which a matrix of n rows is inverted."""
    return (n + 3) * padded(n) + 2 * PIVOTS * padded(n) + PIVOTS * PIVOTS


@fast
def invert(a, n, shift, packed, memory):
    """Pack the inverse of ``A + shift``; returns whether all pivots were above 0."""
    wide_vectors()
    # Rows are kept from the register with their diagonal on: the upper half, and whole squares along the diagonal.
    registers, m = padded(n) // WIDTH, memory
    for i in range(n):
        for register in range(i // WIDTH, registers):
            first = register * WIDTH
            copy_in(shifted(a, i * n + first), shifted(row_of(m, i, registers), first), min(WIDTH, n - first))
        row_of(m, i, registers)[i] += shift
    own = row_of(m, n + 3, registers)
    solved, square = row_of(own, PIVOTS, registers), row_of(own, 2 * PIVOTS, registers)
    for k in range(0, n, PIVOTS):
        collect(m, n, k, own, square)
        if not invert_square(square):
            return False
        sweep_pivots(m, n, k, own, solved, square)
    pack_negative(m, n, packed)
    return True


@fast
def collect(m, n, k, own, square):
    """Copy the rows of the next pivots, whole by symmetry, and the square where they meet."""
    wide_vectors()
    registers, count = padded(n) // WIDTH, min(PIVOTS, n - k)
    for p in range(PIVOTS):
        row = row_of(own, p, registers)
        for register in range(registers):
            here = p < count and register >= k // WIDTH
            put(row, register, get(row_of(m, k + p, registers), register) if here else sixteen(0))
    for i in range(k // WIDTH * WIDTH):
        for p in range(count):
            row_of(own, p, registers)[i] = row_of(m, i, registers)[k + p]
    for p in range(PIVOTS):
        for q in range(PIVOTS):
            inside = p < count and q < count
            square[p * PIVOTS + q] = row_of(own, p, registers)[k + q] if inside else np.float32(p == q)


@fast
def invert_square(d):
    """Invert a square of pivots in place; returns whether all were above 0."""
    for p in range(PIVOTS):
        if not d[p * PIVOTS + p] > LEAST:
            return False
        factor = np.float32(1) / d[p * PIVOTS + p]
        d[p * PIVOTS + p] = np.float32(1)
        for q in range(PIVOTS):
            d[p * PIVOTS + q] *= factor
        for i in range(PIVOTS):
            if i != p:
                f = d[i * PIVOTS + p]
                d[i * PIVOTS + p] = np.float32(0)
                for q in range(PIVOTS):
                    d[i * PIVOTS + q] -= f * d[p * PIVOTS + q]
    return True


@plain
def swept(x, f, s0, s1, s2, s3):
    """Numbers of a row after four pivots with their factors in that row."""
    return x - (s0 * f[0] + s1 * f[1]) - (s2 * f[2] + s3 * f[3])


@fast
def sweep_rows(rows, own, solved, first, registers):
    """Subtract four pivots from four rows, from a register on."""
    wide_vectors()
    apart = registers * WIDTH
    f0 = own[0], own[apart], own[2 * apart], own[3 * apart]
    f1 = own[1], own[apart + 1], own[2 * apart + 1], own[3 * apart + 1]
    f2 = own[2], own[apart + 2], own[2 * apart + 2], own[3 * apart + 2]
    f3 = own[3], own[apart + 3], own[2 * apart + 3], own[3 * apart + 3]
    row1, row2, row3 = row_of(rows, 1, registers), row_of(rows, 2, registers), row_of(rows, 3, registers)
    for register in range(first, registers):
        s0, s1 = get(solved, register), get(solved, registers + register)
        s2, s3 = get(solved, 2 * registers + register), get(solved, 3 * registers + register)
        put(rows, register, swept(get(rows, register), f0, s0, s1, s2, s3))
        put(row1, register, swept(get(row1, register), f1, s0, s1, s2, s3))
        put(row2, register, swept(get(row2, register), f2, s0, s1, s2, s3))
        put(row3, register, swept(get(row3, register), f3, s0, s1, s2, s3))


@fast
def sweep_pivots(m, n, k, own, solved, square):
    """Sweep pivots whose square is inverted: of a symmetric matrix, minus its inverse is left when all are swept."""
    wide_vectors()
    registers, count = padded(n) // WIDTH, min(PIVOTS, n - k)
    own1, own2, own3 = row_of(own, 1, registers), row_of(own, 2, registers), row_of(own, 3, registers)
    for p in range(PIVOTS):
        d0, d1, d2, d3 = square[p * 4], square[p * 4 + 1], square[p * 4 + 2], square[p * 4 + 3]
        for register in range(registers):
            some = get(own, register) * d0 + get(own1, register) * d1
            more = get(own2, register) * d2 + get(own3, register) * d3
            put(row_of(solved, p, registers), register, some + more)
    for i in range(0, n, 4):
        sweep_rows(row_of(m, i, registers), shifted(own, i), solved, i // WIDTH, registers)
    for i in range(min((k // WIDTH + 1) * WIDTH, n)):
        for p in range(count):
            row_of(m, i, registers)[k + p] = row_of(solved, p, registers)[i]
    for p in range(count):
        row = row_of(m, k + p, registers)
        for register in range(k // WIDTH, registers):
            put(row, register, get(row_of(solved, p, registers), register))
        for q in range(count):
            row[k + q] = -square[p * PIVOTS + q]


@fast
def pack_negative(m, n, packed):
    """Pack the negative of a symmetric matrix of which the upper half is there."""
    wide_vectors()
    registers = padded(n) // WIDTH
    for panel in range(registers):
        for squares in range(registers):
            square = shifted(packed, (panel * n + squares * WIDTH) * WIDTH)
            for i in range(WIDTH):
                if squares < panel:
                    put(square, i, 0 - get(row_of(m, squares * WIDTH + i, registers), panel))
                elif panel * WIDTH + i < n:
                    put(square, i, 0 - get(row_of(m, panel * WIDTH + i, registers), squares))
                else:
                    put(square, i, sixteen(0))
            if squares >= panel:
                transpose(square)
