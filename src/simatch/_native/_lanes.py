# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportOptionalCall=false
"""Sixteen numbers in one vector register: a type for Numba's functions, with the arithmetic of one number."""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from ._ffi import Floats, always_inlined, compiled, plain

WIDTH = 16
FLAGS = ("contract", "nsz", "arcp")


class _Lanes(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")

    def can_convert_from(self, typingctx, other):
        return Conversion.safe if isinstance(other, types.Float | types.Integer) else None


Lanes = _Lanes()
VECTOR = ir.VectorType(ir.FloatType(), WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


def repeated(builder, number):
    """Sixteen times the same number."""
    nothing = ir.Constant(ir.VectorType(number.type, WIDTH), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, nothing, everywhere)


@lower_cast(types.Float, _Lanes)
def _from_float(context, builder, source, target, number):
    if source != types.float32:
        number = builder.fptrunc(number, ir.FloatType())
    return repeated(builder, number)


@lower_cast(types.Integer, _Lanes)
def _from_integer(context, builder, source, target, number):
    return repeated(builder, builder.sitofp(number, ir.FloatType()))


def _operator(symbol, instruction):
    @infer_global(symbol)
    class Rule(AbstractTemplate):
        def generic(self, args, kws):
            return signature(Lanes, Lanes, Lanes) if Lanes in args else None

    @lower_builtin(symbol, Lanes, Lanes)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=FLAGS)

    return Rule, lower


for _symbol, _instruction in [
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.iadd, "fadd"),
    (operator.isub, "fsub"),
    (operator.imul, "fmul"),
]:
    _operator(_symbol, _instruction)


@compiled(intrinsic)
def broadcast(typingctx, number):
    """Sixteen times the same number."""
    return Lanes(Lanes), lambda context, builder, sig, args: args[0]


@compiled(intrinsic)
def divide(typingctx, a, b):
    """Quotient of finite numbers, to a few units in the last place."""

    def codegen(context, builder, sig, args):
        # An estimate of the reciprocal, refined, instead of a division; see `wide_vectors`.
        return builder.fdiv(*args, flags=(*FLAGS, "ninf"))

    return Lanes(Lanes, Lanes), codegen


def _chosen(comparison):
    """Choose one of two numbers, lane by lane: the second if either is not a number."""

    @compiled(intrinsic)
    def choose(typingctx, a, b):
        def codegen(context, builder, sig, args):
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return Lanes(Lanes, Lanes), codegen

    return choose


smaller, larger = _chosen("<"), _chosen(">")


@compiled(intrinsic)
def where_less(typingctx, a, b, yes, no):
    """Lane by lane, `yes` where ``a < b`` and `no` elsewhere, also where either is not a number."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return Lanes(Lanes, Lanes, Lanes, Lanes), codegen


def place(builder, memory, position):
    """Pointer to sixteen numbers of memory, counted in registers."""
    start = cgutils.gep(builder, memory, builder.mul(position, ir.Constant(position.type, WIDTH)))
    return builder.bitcast(start, VECTOR.as_pointer())


def prefetch(builder, there):
    """Call for memory that is read soon, to the nearest cache."""
    byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(there, byte), *(ir.Constant(whole, i) for i in (0, 3, 1))])


@compiled(intrinsic)
def get(typingctx, memory, position):
    """Sixteen numbers of memory, counted in registers."""

    def codegen(context, builder, sig, args):
        return builder.load(place(builder, *args), align=4)

    return Lanes(Floats, types.int64), codegen


@compiled(intrinsic)
def put(typingctx, memory, position, lanes):
    """Keep sixteen numbers in memory."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], place(builder, *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(Floats, types.int64, Lanes), codegen


def _masked(builder, name, result, operands, used):
    """Call for the memory of the first lanes only: an intrinsic of LLVM, whose last operand comes after the mask."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(64), WIDTH), list(range(WIDTH)))
    mask = builder.icmp_signed("<", numbers, repeated(builder, used))
    *before, last = operands
    operands = [*before, ir.Constant(ir.IntType(32), 4), mask, *last]
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.{name}.v{WIDTH}f32.p0")
    return builder.call(function, operands)


@compiled(intrinsic)
def get_some(typingctx, memory, used):
    """Up to sixteen numbers of memory, and zeros after them; what lies behind is not touched."""

    def codegen(context, builder, sig, args):
        memory, used = args
        there = builder.bitcast(memory, VECTOR.as_pointer())
        return _masked(builder, "load", VECTOR, [there, [ir.Constant(VECTOR, [0.0] * WIDTH)]], used)

    return Lanes(Floats, types.int64), codegen


@compiled(intrinsic)
def put_some(typingctx, memory, used, lanes):
    """Keep the first numbers of a register in memory; what lies behind is not touched."""

    def codegen(context, builder, sig, args):
        memory, used, lanes = args
        there = builder.bitcast(memory, VECTOR.as_pointer())
        _masked(builder, "store", ir.VoidType(), [lanes, there, []], used)
        return context.get_dummy_value()

    return types.void(Floats, types.int64, Lanes), codegen


@compiled(intrinsic)
def offset_by(typingctx, memory, count):
    """Pointer to a place some numbers further on."""

    def codegen(context, builder, sig, args):
        return cgutils.gep(builder, args[0], args[1])

    return Floats(Floats, types.int64), codegen


@compiled(intrinsic)
def total(typingctx, lanes):
    """Sum of sixteen numbers."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{WIDTH}f32")
        return builder.call(function, [ir.Constant(ir.FloatType(), 0.0), args[0]], fastmath=(*FLAGS, "reassoc"))

    return types.float32(Lanes), codegen


@compiled(intrinsic)
def transpose(typingctx, source, between, target, apart):
    """Transpose sixteen by sixteen numbers; source and target may be the same, rows begin so many numbers apart."""

    def codegen(context, builder, sig, args):
        def places(start, apart):
            starts = (builder.mul(apart, ir.Constant(apart.type, row)) for row in range(WIDTH))
            return [builder.bitcast(cgutils.gep(builder, start, i), VECTOR.as_pointer()) for i in starts]

        rows = [builder.load(there, align=4) for there in places(*args[:2])]
        span = 1
        while span < WIDTH:
            # Swap what lies off the diagonal of every square of twice the span.
            low = [j if j & span == 0 else WIDTH + j - span for j in range(WIDTH)]
            high = [j + span if j & span == 0 else WIDTH + j for j in range(WIDTH)]
            for i in (i for i in range(WIDTH) if i & span == 0):
                pair = rows[i], rows[i + span]
                for row, lanes in ((i, low), (i + span, high)):
                    order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), lanes)
                    rows[row] = builder.shuffle_vector(*pair, order)
            span *= 2
        for there, row in zip(places(*args[2:]), rows, strict=True):
            builder.store(row, there, align=4)
        return context.get_dummy_value()

    return types.void(Floats, types.int64, Floats, types.int64), codegen


@plain
def row_of(matrix, i, registers):
    """A row of a matrix whose rows are so many registers."""
    return offset_by(matrix, i * registers * WIDTH)


@plain
def registers_for(count):
    """Number of groups of sixteen that cover so many numbers."""
    return (count + WIDTH - 1) // WIDTH


@plain
def padded(count):
    """Count rounded up to whole registers."""
    return registers_for(count) * WIDTH


@plain
def group_start(group, count):
    """First number of a group: the last sixteen may overlap with those before, so that no group is smaller."""
    return max(0, min(group * WIDTH, count - WIDTH))


@plain
def load_lanes(source, target, used):
    """Copy up to sixteen numbers into a register's place, and zeros after them."""
    always_inlined()
    put(target, 0, get_some(source, used))


@plain
def store_lanes(source, target, used):
    """Copy the used lanes of a register to memory where others follow."""
    always_inlined()
    put_some(target, used, get(source, 0))
