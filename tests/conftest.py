"""What tests share."""

from collections.abc import Iterator

import jax
import jaxtyping
import numpy as np
import pytest


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
