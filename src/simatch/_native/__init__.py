"""Native code for small blocks of neurons, compiled by Numba and called by XLA.

The code in JAX that does the same is what this is tested against, and what runs where this cannot.
"""

import contextlib
import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.backend import backends
from jaxtyping import Array, Float, Int

TANH, SHRINK = 0.0, 1.0
# Largest blocks that relax by Newton's method, and, if rectified, by sweeps from neuron to neuron before it.
NEWTON_SIZE, SWEEP_SIZE = 16, 64

# Numbers of the kernels in `simatch._native._handler`.
SETTLE, DRIVE, ASSOCIATE, FEED_BACK = range(4)


_starting = threading.RLock()


def available() -> bool:
    """Whether native code runs here; the first call compiles it, or finds it compiled, and tells XLA of it.

    The environment variable ``SIMATCH_NATIVE=0`` switches it off.
    """
    with _starting:
        return _start()


@functools.cache
def _start() -> bool:
    if os.environ.get("SIMATCH_NATIVE") == "0":
        return False
    try:
        # XLA checks what it is told when it starts, and would not start at all if it objected.
        jax.local_devices(backend="cpu")
    except RuntimeError:
        # JAX may compute on other devices only, as after JAX_PLATFORMS=cuda, where there is nothing for native code.
        return False
    try:
        from ._cache import store

        if not store().entries:
            _say("simatch compiles its native code, which takes up to a minute; the next process finds it compiled.")
        from ._handler import handle

        jax.ffi.register_ffi_target("simatch", jax.ffi.pycapsule(handle.ctypes), platform="cpu")
    except Exception as reason:
        advice = "install it with: pip install 'simatch[native]'." if _says_that_numba_is_missing(reason) else ""
        warnings.warn(
            f"Native code is not used, which makes relaxation and learning slower: {reason}"
            f"{'; ' + advice if advice else ''}",
            stacklevel=3,
        )
        return False
    store().save()
    return True


def _say(sentence: str) -> None:
    """Tell on standard error what takes long, as it happens: a warning would be an error in many tests."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # standard error may be missing or closed
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def _says_that_numba_is_missing(reason: Exception) -> bool:
    return isinstance(reason, ModuleNotFoundError) and str(reason.name).split(".")[0] in ("numba", "llvmlite")


def wide() -> bool:
    """Whether the processor has vector registers of 512 bits; only after `available`."""
    from ._cache import machine

    return "+avx512f" in machine()[2].split(",")


def on_cpus(here: Callable[..., Any], elsewhere: Callable[..., Any], *operands: Any) -> Any:
    """Compute the one on CPUs and the other on other devices.

    JAX would trace both, which takes a fourth of the time until a small network has learned for the first time. Where
    all devices are CPUs, only the first is.
    """
    if set(backends()) == {"cpu"}:
        return here(*operands)
    return jax.lax.platform_dependent(*operands, cpu=here, default=elsewhere)


def call(kernel: int, results: Sequence[jax.ShapeDtypeStruct], *operands: Array) -> list[Array]:
    """Call a kernel by its number."""
    native = jax.ffi.ffi_call("simatch", list(results), vmap_method="sequential")
    return list(native(*operands, kernel=np.int64(kernel)))


def settle(
    matrices: Float[Array, "blocks size size"],
    drive: Float[Array, "blocks size samples"],
    start: Float[Array, "blocks size started"],
    settings: Float[Array, "5"],
    most: Int[Array, "1"],
    active: Float[Array, " told"] | None = None,
    *,
    potentials: bool,
) -> tuple[
    Float[Array, "blocks size kept"],
    Float[Array, "blocks size samples"],
    Int[Array, "blocks samples"],
    Float[Array, "blocks samples"],
    Float[Array, "blocks samples"],
]:
    """Fixed points of ``r = f(b + r - A r)`` in every block.

    Parameters
    ----------
    matrices, drive : A and b
    start : potentials to start from, or those of no sample for 0
    settings : kind of activation, its threshold and bounds, and the tolerance of every block
    most : largest number of steps
    active : 1 for samples that are to settle, 0 for those that stay where they start, whose defect counts as 0
    potentials : whether they are kept

    Returns
    -------
    potentials (of no sample if they are not kept), activities, steps, and the squared lengths of the defect and of the
    activities

    Raises
    ------
    ValueError
        If the shapes or the types of the operands do not fit together: native code itself checks nothing.
    """
    active = jnp.zeros(0) if active is None else active
    _check(matrices, drive, start, settings, most, active)
    each = drive.shape[0], drive.shape[2]
    kept = (*drive.shape[:2], drive.shape[2] * potentials)
    number, whole = jnp.float32, jnp.int32
    kinds = (kept, number), (drive.shape, number), (each, whole), (each, number), (each, number)
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
    reached, activities, steps, defect, length = call(SETTLE, results, matrices, drive, start, settings, most, active)
    return reached, activities, steps, defect, length


def _check(matrices: Array, drive: Array, start: Array, settings: Array, most: Array, active: Array) -> None:
    blocks, size, samples = drive.shape
    started = start.shape[-1] if start.shape[-1:] == (0,) else samples
    told = samples if started and active.shape != (0,) else 0  # from rest, all are to settle
    wanted = {
        "interactions": (matrices, (blocks, size, size), jnp.float32),
        "drive": (drive, drive.shape, jnp.float32),
        "potentials to start from": (start, (blocks, size, started), jnp.float32),
        "settings": (settings, (5,), jnp.float32),
        "largest number of steps": (most, (1,), jnp.int32),
        "list of samples to settle": (active, (told,), jnp.float32),
    }
    for name, (given, shape, dtype) in wanted.items():
        if given.shape != shape or given.dtype != dtype:
            raise ValueError(
                f"The {name} of {blocks} blocks of {size} neurons and {samples} samples must be of shape {shape} and "
                f"type {jnp.dtype(dtype)}, not {given.shape} and {given.dtype}: pass a start, inputs and weights of "
                "the same network, in single precision."
            )
