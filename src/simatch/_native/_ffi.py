# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false
"""What native code needs of XLA: the layout of its calls, memory at addresses, and counters that threads share.

XLA hands a custom call one structure with the addresses of its operands and results, and of XLA's own services, laid
out in ``xla/ffi/api/c_api.h`` (a stable binary interface, version 0). Everything here reads it as 64-bit words.
"""

import inspect
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from ._cache import Kept, machine


def compiled(compiler):
    """Apply a decorator of Numba to the function itself, without what checks its types in tests."""
    return lambda function: compiler(inspect.unwrap(function))


INTERNAL: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
NUMERICS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
plain = compiled(njit(**INTERNAL))
fast = compiled(njit(**INTERNAL, **NUMERICS))


def exported(signature, **options):
    """Compile a function that C code can call, or find it compiled on disk."""

    def export(function):
        code = CFunc(function, (signature.args, signature.return_type), locals={}, options=options)
        code._cache = Kept(f"{function.__module__}.{function.__qualname__}")
        code.compile()
        return code

    return compiled(export)


Words = types.CPointer(types.int64)
Floats = types.CPointer(types.float32)
Integers = types.CPointer(types.int32)

# Positions in a call frame, in 64-bit words.
EXTENSION, SERVICES, CONTEXT, OPERAND_COUNT, OPERANDS, RESULTS, ATTRIBUTES = 1, 2, 3, 7, 9, 14, 20
BUFFER_DATA, BUFFER_SHAPE = 3, 5
SCALAR_VALUE = 1
SCHEDULE, THREADS = 17, 18
METADATA_EXTENSION, VERSION_MAJOR, VERSION_MINOR = 1, 0, 1


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


def _calling(context, builder, sig, args):
    kind = ir.FunctionType(cgutils.intp_t, [argument.type for argument in args[1:]])
    return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])


@compiled(intrinsic)
def call(typingctx, function, memory):
    """Call the function at an address with one pointer."""
    return types.int64(types.int64, Words), _calling


@compiled(intrinsic)
def call_with(typingctx, function, memory, number):
    """Call the function at an address with a pointer and a number."""
    return types.int64(types.int64, Words, types.int64), _calling


@compiled(intrinsic)
def call_for(typingctx, function, memory, number, count):
    """Call the function at an address with a pointer, a number and how many numbers there are."""
    return types.int64(types.int64, Words, types.int64, types.int64), _calling


def vector_attributes(triple: str) -> list[str]:
    """What the compiler is told of functions with vectors, for a platform such as ``x86_64-unknown-linux-gnu``."""
    attributes = ['"prefer-vector-width"="512"']
    if triple.startswith(("x86_64", "i686", "i386")):
        # An estimate has 12 or 14 bits there, and 24 after one refinement; on ARM it has 8, and 16: too few.
        attributes.append('"reciprocal-estimates"="vec-divf:1"')
    return attributes


@compiled(intrinsic)
def wide_vectors(typingctx):
    """Let the compiler use the widest vector registers in the function that calls this."""

    def codegen(context, builder, sig, args):
        builder.function.attributes.add("noinline")
        for attribute in vector_attributes(machine()[0]):
            set.add(builder.function.attributes, attribute)  # llvmlite has no public way
        return context.get_dummy_value()

    return types.void(), codegen


@compiled(intrinsic)
def always_inlined(typingctx):
    """Let the compiler copy the function that calls this to wherever it is called."""

    def codegen(context, builder, sig, args):
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), codegen


malloc = types.ExternalFunction("malloc", Words(types.int64))
free = types.ExternalFunction("free", types.void(Words))


# Bytes of a line of the cache: vectors that cross its end take two accesses.
LINE = 64


@plain
def allocate(numbers):
    """Memory for so many numbers in single precision, which is to be given back with `free`."""
    return malloc(numbers * 4 + LINE)


@plain
def floats_of(memory):
    """Where the numbers of allocated memory begin: on a line of the cache."""
    return floats_at((address_of(memory) + LINE - 1) // LINE * LINE)


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


@plain
def result_length(frame, index, axis):
    """Length of an axis of a result."""
    return words_at(words_at(words_at(frame[RESULTS])[index])[BUFFER_SHAPE])[axis]


@plain
def attribute(frame):
    """Value of the only attribute, a number."""
    return words_at(words_at(words_at(frame[ATTRIBUTES])[0])[SCALAR_VALUE])[0]


@compiled(intrinsic(prefer_literal=True))
def address_named(typingctx, name):
    """Address of what was given to `publish` under a name; it is looked up whenever code is loaded."""
    symbol = name.literal_value

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [cgutils.intp_t.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, symbol)
        return builder.ptrtoint(function, cgutils.intp_t)

    return types.int64(name), codegen


def publish(name, address):
    """Make an address known by name; it must not be part of code that is kept on disk."""
    llvmlite.binding.add_symbol(name, address)
