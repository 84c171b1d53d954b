# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""What native code needs of XLA: the layout of its calls, memory at addresses, and counters that threads share.

XLA hands a custom call one structure with the addresses of its operands and results, and of XLA's own services, laid
out in ``xla/ffi/api/c_api.h`` (a stable binary interface, version 0). Everything here reads it as 64-bit words.
"""

import inspect

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def compiled(compiler):
    """Apply a decorator of Numba to the function itself, without what checks its types in tests."""
    return lambda function: compiler(inspect.unwrap(function))


INTERNAL = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
plain = compiled(njit(**INTERNAL))

Words = types.CPointer(types.int64)
Floats = types.CPointer(types.float32)
Integers = types.CPointer(types.int32)

# Positions in a call frame, in 64-bit words.
EXTENSION, SERVICES, CONTEXT, OPERANDS, RESULTS = 1, 2, 3, 9, 14
BUFFER_DATA, BUFFER_SHAPE = 3, 5
SCHEDULE, THREADS = 17, 18
METADATA_EXTENSION, VERSION_MAJOR, VERSION_MINOR = 1, 0, 3


def _pointer_to(kind):
    @compiled(intrinsic)
    def at(typingctx, address):
        def codegen(context, builder, sig, args):
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return kind(types.int64), codegen

    return at


words_at, floats_at, integers_at = _pointer_to(Words), _pointer_to(Floats), _pointer_to(Integers)


@compiled(intrinsic)
def address_of(typingctx, pointer):
    """Address that a pointer holds."""

    def codegen(context, builder, sig, args):
        return builder.ptrtoint(args[0], cgutils.intp_t)

    return types.int64(pointer), codegen


@compiled(intrinsic)
def add_atomically(typingctx, memory, position, value):
    """Add to a word that several threads share; returns what it was."""

    def codegen(context, builder, sig, args):
        place = cgutils.gep(builder, args[0], args[1])
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(Words, types.int64, types.int64), codegen


@compiled(intrinsic)
def call(typingctx, function, argument):
    """Call the function at an address with one pointer."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(cgutils.intp_t, [args[1].type])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])

    return types.int64(types.int64, Words), codegen


@compiled(intrinsic)
def wide_vectors(typingctx):
    """Let the compiler use the widest vector registers in the function that calls this."""

    def codegen(context, builder, sig, args):
        builder.function.attributes.add("noinline")
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # llvmlite has no public way
        return context.get_dummy_value()

    return types.void(), codegen


malloc = types.ExternalFunction("malloc", Words(types.int64))
free = types.ExternalFunction("free", types.void(Words))


@plain
def operand(frame, index):
    """Address of the data of an operand."""
    return words_at(words_at(frame[OPERANDS])[index])[BUFFER_DATA]


@plain
def result(frame, index):
    """Address of the data of a result."""
    return words_at(words_at(frame[RESULTS])[index])[BUFFER_DATA]


@plain
def length(frame, index, axis):
    """Length of an axis of an operand."""
    return words_at(words_at(words_at(frame[OPERANDS])[index])[BUFFER_SHAPE])[axis]


@compiled(intrinsic(prefer_literal=True))
def function_named(typingctx, name):
    """Address of the native function of a name given to `publish`; it is looked up whenever code is loaded."""
    symbol = name.literal_value

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [cgutils.intp_t.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, symbol)
        return builder.ptrtoint(function, cgutils.intp_t)

    return types.int64(name), codegen


def publish(name, function):
    """Make a compiled function known by name; addresses must not be part of code that is kept on disk."""
    llvmlite.binding.add_symbol(name, function.address)
