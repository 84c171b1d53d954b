# pyright: reportCallIssue=false, reportIndexIssue=false
"""All products of native code: a small matrix times the lanes of registers, and chosen rows times a matrix.

For the first the matrix is packed: panels of sixteen rows, column by column, so that products read it from beginning to
end. A last panel that is not full is filled up with zeros. For the second, rows are taken as they lie in memory.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._ffi import Floats, Integers, address_of, compiled, fast, integers_at, plain, wide_vectors
from ._lanes import (
    FLAGS,
    VECTOR,
    WIDTH,
    broadcast,
    group_start,
    load_lanes,
    offset_by,
    padded,
    place,
    prefetch,
    put,
    registers_for,
    repeated,
    row_of,
    transpose,
)


@plain
def packed_size(m, n):
    """Numbers that a packed matrix of m rows and n columns takes, with room for the last square."""
    return padded(m) * padded(n)


@fast
def pack(a, m, n, apart, packed):
    """Pack a matrix of m rows and n columns, whose rows begin so many numbers apart in memory."""
    wide_vectors()
    for row in range(0, m, WIDTH):
        for part in range(registers_for(n)):
            column = group_start(part, n)
            square = offset_by(packed, row * n + column * WIDTH)
            for i in range(WIDTH):
                if row + i < m:
                    load_lanes(offset_by(a, (row + i) * apart + column), offset_by(square, i * WIDTH), min(WIDTH, n))
                else:
                    put(square, i, broadcast(0))
            transpose(square, WIDTH, square, WIDTH)


@compiled(intrinsic(prefer_literal=True))
def multiply_rows(typingctx, panel, x, y, n, rows):
    """Multiply the first rows of a panel, whose number is known to the compiler, in a register each."""
    count = rows.literal_value

    def codegen(context, builder, sig, args):
        panel, x, y, n, _ = args

        sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(count)]
        for total in sums:
            builder.store(ir.Constant(VECTOR, [0.0] * WIDTH), total)
        with cgutils.for_range(builder, n) as loop:
            v = builder.load(place(builder, x, loop.index), align=4)
            column = builder.bitcast(place(builder, panel, loop.index), ir.FloatType().as_pointer())
            for row, total in enumerate(sums):
                entry = builder.load(cgutils.gep(builder, column, row), align=4)
                product = builder.fmul(repeated(builder, entry), v, flags=FLAGS)
                builder.store(builder.fadd(builder.load(total), product, flags=FLAGS), total)
        for row, total in enumerate(sums):
            builder.store(builder.load(total), place(builder, y, ir.Constant(n.type, row)), align=4)
        return context.get_dummy_value()

    return types.void(Floats, Floats, Floats, types.int64, rows), codegen


@fast
def multiply(packed, x, y, m, n):
    """Set ``y = A x`` for a packed matrix of m rows and n columns; y has room for whole panels."""
    wide_vectors()
    for row in range(0, m, WIDTH):
        panel, target, left = offset_by(packed, row * n), offset_by(y, row * WIDTH), m - row
        if left > 12:
            multiply_rows(panel, x, target, n, 16)
        elif left > 8:
            multiply_rows(panel, x, target, n, 12)
        elif left > 4:
            multiply_rows(panel, x, target, n, 8)
        else:
            multiply_rows(panel, x, target, n, 4)


# Rows and registers of a product that are found at a time, and rows after which one of the matrix is read.
TOGETHER, ACROSS, AHEAD = 6, 4, 3


@compiled(intrinsic(prefer_literal=True))
def multiply_tile(typingctx, x, between, chosen, matrix, listed, last, y, n, apart, beyond, rows, registers):
    """Multiply some chosen rows of x by n listed rows of a matrix, for some registers.

    How many rows and registers is known to the compiler.
    """
    height, width = rows.literal_value, registers.literal_value

    def codegen(context, builder, sig, args):
        x, between, chosen, matrix, listed, last, y, n, apart, beyond, _, _ = args

        def parts_of(start):
            places = [place(builder, start, ir.Constant(n.type, r)) for r in range(width - 1)]
            return [*places, builder.bitcast(cgutils.gep(builder, start, last), VECTOR.as_pointer())]

        def row_at(index):
            if not isinstance(sig.args[4], types.NoneType):
                index = builder.sext(builder.load(cgutils.gep(builder, listed, index)), n.type)
            return parts_of(cgutils.gep(builder, matrix, builder.mul(index, apart)))

        rows = []
        for sample in range(height):
            number = builder.load(cgutils.gep(builder, chosen, sample))
            start = builder.mul(builder.sext(number, ir.IntType(64)), between)
            rows.append(cgutils.gep(builder, x, start))
        sums = [[cgutils.alloca_once(builder, VECTOR) for _ in range(width)] for _ in rows]
        for own in sums:
            for total in own:
                builder.store(ir.Constant(VECTOR, [0.0] * WIDTH), total)
        with cgutils.for_range(builder, n) as loop:
            column = [builder.load(there, align=4) for there in row_at(loop.index)]
            if isinstance(sig.args[4], types.NoneType):
                # Rows of the matrix that follow each other are read ahead.
                for there in row_at(builder.add(loop.index, ir.Constant(n.type, AHEAD))):
                    prefetch(builder, there)
            else:
                # Listed ones are mostly at hand, but not what comes after these rows of x: weights of the next site.
                ahead = builder.mul(builder.add(n, loop.index), ir.Constant(n.type, height))
                prefetch(builder, cgutils.gep(builder, rows[0], ahead))
            for row, own in zip(rows, sums, strict=True):
                v = repeated(builder, builder.load(cgutils.gep(builder, row, loop.index), align=4))
                for part, total in zip(column, own, strict=True):
                    product = builder.fmul(v, part, flags=FLAGS)
                    builder.store(builder.fadd(builder.load(total), product, flags=FLAGS), total)
        for sample, own in enumerate(sums):
            target = cgutils.gep(builder, y, builder.mul(ir.Constant(n.type, sample), beyond))
            for r, total in enumerate(own):
                builder.store(builder.load(total), place(builder, target, ir.Constant(n.type, r)), align=4)
        return context.get_dummy_value()

    long, matrices = types.int64, (Floats, listed, types.int64, Floats)
    return types.void(Floats, long, Integers, *matrices, long, long, long, rows, registers), codegen


@plain
def rows_together(count):
    """Rows of a tile for so many rows: those that leave no part of a tile empty, if any do."""
    if count % TOGETHER > 0 and count % 8 == 0:
        return 8
    return 4 if count == 4 else TOGETHER


@fast
def multiply_listed(x, between, chosen, count, matrix, listed, last, apart, y, n, begin, end, registers):
    """Set rows of y to chosen rows of x, of n numbers, times n rows of a matrix, for registers from one to another.

    Rows of x begin so many numbers apart, and those of the matrix, whose last register begins at a number of its own;
    those of y so many registers. There is a choice, and room in y, for a multiple of `TOGETHER`.
    """
    wide_vectors()
    beyond, rows = registers * WIDTH, rows_together(count)
    # Sums of a tile stay in registers.
    across = 3 if rows == 8 else ACROSS
    while begin < end:
        parts = (end - begin + across - 1) // across
        width = (end - begin + parts - 1) // parts
        own = offset_by(matrix, begin * WIDTH)
        final = min(begin * WIDTH + (width - 1) * WIDTH, last) - begin * WIDTH
        for first in range(0, count, rows):
            some, target = integers_at(address_of(chosen) + 4 * first), offset_by(y, first * beyond + begin * WIDTH)
            if rows == 8:
                if width == 3:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 8, 3)
                elif width == 2:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 8, 2)
                else:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 8, 1)
            elif rows == 4:
                if width == 4:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 4, 4)
                elif width == 3:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 4, 3)
                elif width == 2:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 4, 2)
                else:
                    multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, 4, 1)
            elif width == 4:
                multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, TOGETHER, 4)
            elif width == 3:
                multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, TOGETHER, 3)
            elif width == 2:
                multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, TOGETHER, 2)
            else:
                multiply_tile(x, between, some, own, listed, final, target, n, apart, beyond, TOGETHER, 1)
        begin += width


@fast
def multiply_chosen(x, between, chosen, count, matrix, y, n, begin, end, registers):
    """Set rows of y to chosen rows of x, of n numbers, times a matrix of n rows, for registers from one to another.

    Rows of x begin so many numbers apart, those of the matrix and y so many registers. There is a choice, and room in
    y, for a multiple of `TOGETHER`.
    """
    wide_vectors()
    apart = registers * WIDTH
    multiply_listed(x, between, chosen, count, matrix, None, apart - WIDTH, apart, y, n, begin, end, registers)


# Rows of a transposed product, and registers, that are found at a time.
ROWS, PAIR = 8, 2


@compiled(intrinsic(prefer_literal=True))
def add_tile(typingctx, columns, between, x, y, chosen, n, apart, rows, registers):
    """Add to chosen rows of y the sum over n columns of a matrix, each times its row of x, for some registers.

    Columns begin so many numbers apart; rows of x and of y, too. How many rows and registers is known to the compiler.
    """
    count, width = rows.literal_value, registers.literal_value

    def codegen(context, builder, sig, args):
        columns, between, x, y, chosen, n, apart, _, _ = args

        def row_at(start, number):
            start = cgutils.gep(builder, start, builder.mul(number, apart))
            return [place(builder, start, ir.Constant(n.type, r)) for r in range(width)]

        numbers = [builder.load(cgutils.gep(builder, chosen, row)) for row in range(count)]
        targets = [row_at(y, builder.sext(number, n.type)) for number in numbers]
        sums = [[cgutils.alloca_once_value(builder, builder.load(there, align=4)) for there in row] for row in targets]
        with cgutils.for_range(builder, n) as loop:
            parts = [builder.load(there, align=4) for there in row_at(x, loop.index)]
            column = cgutils.gep(builder, columns, builder.mul(loop.index, between))
            # What comes after this matrix, as the weights of the next site do, is read ahead.
            prefetch(builder, cgutils.gep(builder, column, builder.mul(n, between)))
            for row, own in enumerate(sums):
                entry = repeated(builder, builder.load(cgutils.gep(builder, column, row), align=4))
                for part, total in zip(parts, own, strict=True):
                    product = builder.fmul(entry, part, flags=FLAGS)
                    builder.store(builder.fadd(builder.load(total), product, flags=FLAGS), total)
        for row, own in zip(targets, sums, strict=True):
            for there, total in zip(row, own, strict=True):
                builder.store(builder.load(total), there, align=4)
        return context.get_dummy_value()

    return (
        types.void(Floats, types.int64, Floats, Floats, Integers, types.int64, types.int64, rows, registers),
        codegen,
    )


@fast
def add_transposed(a, between, x, y, chosen, m, n, registers):
    """Add ``A' x`` to chosen rows of y, for a matrix of n rows and m columns whose rows begin so many numbers apart.

    Rows of x and of y are so many registers. No row is chosen twice.
    """
    wide_vectors()
    whole, apart = m // ROWS * ROWS, registers * WIDTH
    for first in range(0, registers, PAIR):
        pair, own, there = first + PAIR <= registers, offset_by(x, first * WIDTH), offset_by(y, first * WIDTH)
        for row in range(0, whole, ROWS):
            some = integers_at(address_of(chosen) + 4 * row)
            if pair:
                add_tile(offset_by(a, row), between, own, there, some, n, apart, ROWS, PAIR)
            else:
                add_tile(offset_by(a, row), between, own, there, some, n, apart, ROWS, 1)
        for row in range(whole, m):
            some = integers_at(address_of(chosen) + 4 * row)
            if pair:
                add_tile(offset_by(a, row), between, own, there, some, n, apart, 1, PAIR)
            else:
                add_tile(offset_by(a, row), between, own, there, some, n, apart, 1, 1)


# Columns of a symmetric matrix that do not get a register of their own.
FEW = 4


def folded(builder, a, b, size):
    """Add the halves of all groups of so many lanes, first those of a and then those of b."""
    lanes = [lane for lane in range(2 * WIDTH) if lane % size < size // 2]
    orders = [ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [i + half for i in lanes]) for half in (0, size // 2)]
    return builder.fadd(*(builder.shuffle_vector(a, b, order) for order in orders), flags=FLAGS)


@compiled(intrinsic)
def multiply_few(typingctx, x, chosen, rows, y, registers):
    """Multiply six chosen rows of x by four rows; all are so many registers, and the lanes are what is summed.

    The four products are the beginning of a register in a row of y, and zeros follow them.
    """

    def codegen(context, builder, sig, args):
        x, chosen, rows, y, registers = args
        apart = builder.mul(registers, ir.Constant(registers.type, WIDTH))

        def begin(start, number):
            return cgutils.gep(builder, start, builder.mul(number, apart))

        numbers = [builder.load(cgutils.gep(builder, chosen, sample)) for sample in range(TOGETHER)]
        samples = [begin(x, builder.sext(number, registers.type)) for number in numbers]
        columns = [begin(rows, ir.Constant(registers.type, i)) for i in range(FEW)]
        zero = ir.Constant(VECTOR, [0.0] * WIDTH)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in columns] for _ in samples]
        with cgutils.for_range(builder, registers) as loop:
            parts = [builder.load(place(builder, column, loop.index), align=4) for column in columns]
            for sample, own in zip(samples, sums, strict=True):
                v = builder.load(place(builder, sample, loop.index), align=4)
                for part, total in zip(parts, own, strict=True):
                    product = builder.fmul(v, part, flags=FLAGS)
                    builder.store(builder.fadd(builder.load(total), product, flags=FLAGS), total)
        for number, own in enumerate(sums):
            a, b, c, d = (builder.load(total) for total in own)
            quarters = folded(builder, folded(builder, a, b, 16), folded(builder, c, d, 16), 8)
            four = folded(builder, folded(builder, quarters, zero, 4), zero, 2)
            there = begin(y, ir.Constant(registers.type, number))
            builder.store(four, builder.bitcast(there, VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(Floats, Integers, Floats, Floats, types.int64), codegen


@fast
def multiply_symmetric(x, chosen, count, matrix, y, n):
    """Set rows of y to chosen rows of x times a symmetric matrix, where all rows have n numbers and zeros after them.

    Columns of the matrix are its rows, so that the last few may be found together. There are as many rows as make a
    square of whole registers; those after the first n are zero wherever x is not.
    """
    wide_vectors()
    registers, whole = padded(n) // WIDTH, n // WIDTH
    few = 0 < n - whole * WIDTH <= FEW
    multiply_chosen(x, padded(n), chosen, count, matrix, y, n, 0, whole if few else registers, registers)
    if few:
        rows = row_of(matrix, whole * WIDTH, registers)
        for first in range(0, count, TOGETHER):
            some = integers_at(address_of(chosen) + 4 * first)
            multiply_few(x, some, rows, offset_by(row_of(y, first, registers), whole * WIDTH), registers)


@plain
def choose_all(count, chosen):
    """Choose all of so many rows, and the last once more until there is a multiple of `TOGETHER`."""
    for i in range(round_up_to_tile(count)):
        chosen[i] = min(i, count - 1)


@plain
def round_up_to_tile(count):
    """Count of rows rounded up to a multiple of `TOGETHER`."""
    return (count + TOGETHER - 1) // TOGETHER * TOGETHER
