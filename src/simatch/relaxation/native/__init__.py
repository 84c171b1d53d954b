"""Relaxation in native code, compiled by Numba and called by XLA.

The code of `simatch.relaxation.Accelerated` is what this is tested against, and what runs where this cannot.
"""

import functools
import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

TANH, SHRINK = 0.0, 1.0
NEWTON_SIZE = 16


@functools.cache
def available() -> bool:
    """Whether native code runs here; the first call compiles it, or finds it compiled, and tells XLA of it."""
    # XLA checks what it is told when it starts, and would not start at all if it objected.
    jax.local_devices(backend="cpu")
    try:
        from ._handler import handle

        jax.ffi.register_ffi_target("simatch_settle", jax.ffi.pycapsule(handle.ctypes), platform="cpu")
    except Exception as reason:
        if not isinstance(reason, ImportError):
            warnings.warn(f"Native code is not used, which makes relaxation slower: {reason}", stacklevel=2)
        return False
    return True


def settle(
    matrices: Float[Array, "blocks size size"],
    drive: Float[Array, "blocks size samples"],
    start: Float[Array, "blocks size samples"],
    step: Float[Array, " blocks"],
    settings: Float[Array, "5"],
    most: Int[Array, "1"],
) -> tuple[
    Float[Array, "blocks size samples"],
    Float[Array, "blocks size samples"],
    Int[Array, "blocks samples"],
    Float[Array, "blocks samples"],
    Float[Array, "blocks samples"],
]:
    """Fixed points of ``r = f(b + r - A r)`` in every block.

    Parameters
    ----------
    matrices, drive : A and b
    start : potentials to start from
    step : length of a proximal step
    settings : kind of activation, its threshold and bounds, and the tolerance of every block
    most : largest number of steps

    Returns
    -------
    potentials, activities, steps, and the squared lengths of the defect and of the activities
    """
    each = drive.shape[0], drive.shape[2]
    number, whole = jnp.float32, jnp.int32
    kinds = (drive.shape, number), (drive.shape, number), (each, whole), (each, number), (each, number)
    results = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds)
    call = jax.ffi.ffi_call("simatch_settle", results, vmap_method="sequential")
    potentials, activities, steps, defect, length = call(matrices, drive, start, step, settings, most)
    return potentials, activities, steps, defect, length
