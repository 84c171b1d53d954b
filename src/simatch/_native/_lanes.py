# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportOptionalCall=false
"""Sixteen numbers in one vector register: a type for Numba's functions, with the arithmetic of one number.

Where a register holds as many, another type has the numbers of two, for computations that mostly wait for results:
those for the second register begin meanwhile.
"""

import functools
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from . import wide
from ._ffi import Floats, Integers, always_inlined, compiled, plain

WIDTH = 16
# Numbers of two registers, where the processor has enough registers for both.
PAIR = 2 * WIDTH if wide() else WIDTH
FLAGS = ("contract", "nsz", "arcp")


class _Lanes(types.Type):
    def __init__(self, width):
        super().__init__(name=f"Lanes{width}")
        self.width = width

    def can_convert_from(self, typingctx, other):
        return Conversion.safe if isinstance(other, types.Float | types.Integer) else None


Lanes, Pair = _Lanes(WIDTH), _Lanes(PAIR)
VECTOR, COUNTS = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(ir.IntType(32), WIDTH)


def _common(*kinds):
    """Type of lanes with which some lanes and numbers are computed."""
    return next((kind for kind in kinds if isinstance(kind, _Lanes)), Lanes)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR if kind.width == WIDTH else ir.ArrayType(VECTOR, kind.width // WIDTH))


def _parts(builder, lanes):
    """The vectors of some lanes."""
    if lanes.type == VECTOR:
        return [lanes]
    return [builder.extract_value(lanes, part) for part in range(lanes.type.count)]


def _whole(builder, parts):
    """Lanes with some vectors."""
    if len(parts) == 1:
        return parts[0]
    lanes = ir.Constant(ir.ArrayType(VECTOR, len(parts)), ir.Undefined)
    for part, vector in enumerate(parts):
        lanes = builder.insert_value(lanes, vector, part)
    return lanes


def _vector_by_vector(builder, operation, *lanes):
    """Apply an operation to each vector: the compiler rounds results alike then, however many there are."""
    return _whole(builder, [operation(*own) for own in zip(*(_parts(builder, a) for a in lanes), strict=True)])


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
    return _whole(builder, [repeated(builder, number)] * (target.width // WIDTH))


@lower_cast(types.Integer, _Lanes)
def _from_integer(context, builder, source, target, number):
    return _from_float(context, builder, types.float32, target, builder.sitofp(number, ir.FloatType()))


def _operator(symbol, instruction):
    @infer_global(symbol)
    class Rule(AbstractTemplate):
        def generic(self, args, kws):
            kind = _common(*args)
            return signature(kind, kind, kind) if kind in args else None

    @lower_builtin(symbol, _Lanes, _Lanes)
    def lower(context, builder, sig, args):
        return _vector_by_vector(builder, functools.partial(getattr(builder, instruction), flags=FLAGS), *args)

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
        return _vector_by_vector(builder, functools.partial(builder.fdiv, flags=(*FLAGS, "ninf")), *args)

    kind = _common(a, b)
    return kind(kind, kind), codegen


def _chosen(comparison):
    """Choose one of two numbers, lane by lane: the second if either is not a number."""

    @compiled(intrinsic)
    def choose(typingctx, a, b):
        def codegen(context, builder, sig, args):
            def chosen(a, b):
                return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

            return _vector_by_vector(builder, chosen, *args)

        kind = _common(a, b)
        return kind(kind, kind), codegen

    return choose


smaller, larger = _chosen("<"), _chosen(">")


@compiled(intrinsic)
def where_less(typingctx, a, b, yes, no):
    """Lane by lane, `yes` where ``a < b`` and `no` elsewhere, also where either is not a number."""

    def codegen(context, builder, sig, args):
        def chosen(a, b, yes, no):
            return builder.select(builder.fcmp_ordered("<", a, b), yes, no)

        return _vector_by_vector(builder, chosen, *args)

    kind = _common(a, b, yes, no)
    return kind(kind, kind, kind, kind), codegen


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


def _used(builder, used, part):
    """For each lane of a vector, one of several, whether it is among the first so many of all."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(64), WIDTH), [part * WIDTH + lane for lane in range(WIDTH)])
    return builder.icmp_signed("<", numbers, repeated(builder, used))


def _masked(builder, name, vector, result, memory, part, mask, before=(), after=()):
    """Call for the memory of some lanes of a vector only, one of several in a row: an intrinsic of LLVM."""
    start = cgutils.gep(builder, memory, ir.Constant(ir.IntType(64), part * WIDTH))
    there = builder.bitcast(start, vector.as_pointer())
    operands = [*before, there, ir.Constant(ir.IntType(32), 4), mask, *after]
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    ending = f"v{WIDTH}{'f' if vector == VECTOR else 'i'}32.p0"
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.{name}.{ending}")
    return builder.call(function, operands)


def _getting(kind):
    @compiled(intrinsic)
    def get_first(typingctx, memory, used):
        def codegen(context, builder, sig, args):
            memory, used = args
            zeros, parts = ir.Constant(VECTOR, [0.0] * WIDTH), []
            for part in range(kind.width // WIDTH):
                mask = _used(builder, used, part)
                parts.append(_masked(builder, "load", VECTOR, VECTOR, memory, part, mask, after=[zeros]))
            return _whole(builder, parts)

        return kind(Floats, types.int64), codegen

    return get_first


# The first numbers of memory, as many as are used, and zeros after them; what lies behind is not touched.
get_some, get_pair = _getting(Lanes), _getting(Pair)


def _putting(memory, vector, converted):
    def typed(typingctx, there, used, lanes):
        def codegen(context, builder, sig, args):
            start, used, lanes = args
            for part, own in enumerate(_parts(builder, lanes)):
                mask, before = _used(builder, used, part), [converted(builder, own)]
                _masked(builder, "store", vector, ir.VoidType(), start, part, mask, before=before)
            return context.get_dummy_value()

        return types.void(memory, types.int64, lanes), codegen

    return compiled(intrinsic)(typed)


# Keep the first lanes in memory, as they are or as whole numbers; what lies behind is not touched.
put_some = _putting(Floats, VECTOR, lambda builder, own: own)
put_counts = _putting(Integers, COUNTS, lambda builder, own: builder.fptosi(own, COUNTS))


def _flagging(kind):
    @compiled(intrinsic)
    def flag_first(typingctx, used):
        def codegen(context, builder, sig, args):
            parts = range(kind.width // WIDTH)
            return _whole(builder, [builder.uitofp(_used(builder, args[0], part), VECTOR) for part in parts])

        return kind(types.int64), codegen

    return flag_first


# 1 in the first lanes, as many as are used, and 0 in the others.
first_lanes, first_of_pair = _flagging(Lanes), _flagging(Pair)


@compiled(intrinsic)
def offset_by(typingctx, memory, count):
    """Pointer to a place some numbers further on."""

    def codegen(context, builder, sig, args):
        return cgutils.gep(builder, args[0], args[1])

    return Floats(Floats, types.int64), codegen


@compiled(intrinsic)
def total(typingctx, lanes):
    """Sum of all lanes."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{WIDTH}f32")
        whole = functools.reduce(functools.partial(builder.fadd, flags=FLAGS), _parts(builder, args[0]))
        return builder.call(function, [ir.Constant(ir.FloatType(), 0.0), whole], fastmath=(*FLAGS, "reassoc"))

    return types.float32(lanes), codegen


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
