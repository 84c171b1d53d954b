# pyright: reportCallIssue=false, reportIndexIssue=false
"""A small matrix times the lanes of registers: all products of native code."""

from ._ffi import fast, wide_vectors
from ._lanes import get, put, sixteen


@fast
def multiply(a, down, right, x, y, m, n):
    """Set ``y = A x`` for m rows of n: eight rows in registers, then four, then one.

    Entries in a column of A lie `down` numbers apart in memory, those in a row `right`.
    """
    wide_vectors()
    i = 0
    while i + 8 <= m:
        y0 = y1 = y2 = y3 = y4 = y5 = y6 = y7 = sixteen(0)
        at = i * down
        for k in range(n):
            v = get(x, k)
            y0 += v * a[at]
            y1 += v * a[at + down]
            y2 += v * a[at + 2 * down]
            y3 += v * a[at + 3 * down]
            y4 += v * a[at + 4 * down]
            y5 += v * a[at + 5 * down]
            y6 += v * a[at + 6 * down]
            y7 += v * a[at + 7 * down]
            at += right
        put(y, i, y0)
        put(y, i + 1, y1)
        put(y, i + 2, y2)
        put(y, i + 3, y3)
        put(y, i + 4, y4)
        put(y, i + 5, y5)
        put(y, i + 6, y6)
        put(y, i + 7, y7)
        i += 8
    while i + 4 <= m:
        y0 = y1 = y2 = y3 = sixteen(0)
        at = i * down
        for k in range(n):
            v = get(x, k)
            y0 += v * a[at]
            y1 += v * a[at + down]
            y2 += v * a[at + 2 * down]
            y3 += v * a[at + 3 * down]
            at += right
        put(y, i, y0)
        put(y, i + 1, y1)
        put(y, i + 2, y2)
        put(y, i + 3, y3)
        i += 4
    while i < m:
        y0 = sixteen(0)
        at = i * down
        for k in range(n):
            y0 += get(x, k) * a[at]
            at += right
        put(y, i, y0)
        i += 1
