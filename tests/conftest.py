"""What tests share."""

import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import jaxtyping
import numpy as np
import pytest

# Every compiled program occupies several of the memory areas that the system allows a process (65,530 on Linux), and
# JAX keeps all programs; beyond the limit it crashes.
AREAS = 20_000

# As rarely as the command line does (`simatch.__main__`).
gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """Let go of the programs of earlier modules before there are too many."""
    yield
    try:
        areas = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return
    if areas > AREAS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision in JAX, for this test only."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def untyped() -> Iterator[None]:
    """The package as a user has it, without the checks of types that beartype makes in tests, for this test only."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
