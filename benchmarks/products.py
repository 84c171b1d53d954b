"""Products over receptive fields, natively and by XLA, in turn: ``python -m benchmarks.products``."""

import statistics
import time
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

import simatch as sm
from simatch import _native as native
from simatch.network.connectivity import _receptive

ROUNDS, SAMPLES = 25, 100


def compiled(local: sm.Local, natively: bool) -> dict[str, Callable]:
    """Compile the three products of a connectivity."""
    with mock.patch.object(_receptive, "native_pays", return_value=native.available() and natively):
        jax.clear_caches()
        weights = local.normal(np.random.default_rng(0))
        rng = np.random.default_rng(1)
        pre = jnp.asarray(rng.normal(size=(local.pre.size, SAMPLES)), jnp.float32)
        post = jnp.asarray(rng.normal(size=(local.post.size, SAMPLES)), jnp.float32)
        drive = jax.jit(lambda w, x: 1.0 * local.project(w, x)).lower(weights, pre).compile()
        association = jax.jit(lambda w, x, r: jax.vjp(lambda w: local.project(w, x), w)[1](r)[0])
        feedback = jax.jit(lambda w, x, r: jax.vjp(lambda x: local.project(w, x), x)[1](r)[0])
        both = [f.lower(weights, pre, post).compile() for f in (association, feedback)]
    return {
        "drive": lambda: drive(weights, pre),
        "association": lambda: both[0](weights, pre, post),
        "feedback": lambda: both[1](weights, pre, post),
    }


def seconds(task: Callable) -> float:
    """Time one call."""
    began = time.perf_counter()
    jax.block_until_ready(task())
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each size and product."""
    below = sm.Grid(28, 28)
    for units in (4, 16, 64, 100):
        local = sm.Local(below, below.coarsened(2, units), 4.0)
        own, other = compiled(local, True), compiled(local, False)
        for name in own:
            for first in (own[name], other[name]):
                seconds(first)
            laps = [(seconds(own[name]), seconds(other[name])) for _ in range(ROUNDS)]
            natively, xla = (1e3 * statistics.median(lap) for lap in zip(*laps, strict=True))
            ratio = statistics.median(b / a for a, b in laps)
            print(f"{units:4d} {name:12s} native {natively:8.3f} ms  XLA {xla:8.3f} ms  XLA/native {ratio:5.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
