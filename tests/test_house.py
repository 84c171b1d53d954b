"""The safety nets of the suite are in place."""

import warnings

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import simatch as sm


def test_signatures_are_checked():
    """Beartype and jaxtyping watch the package: a wrong type and a wrong shape are both refused."""
    with pytest.raises(jaxtyping.TypeCheckError):
        sm.Grid(2, 2).coarsened("two", 1)  # pyright: ignore[reportArgumentType]
    connectivity = sm.Dense(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2))
    with pytest.raises(jaxtyping.TypeCheckError):
        sm.Hebbian("a", "b", connectivity).energy(jnp.ones((2, 3)), jnp.ones(3), jnp.ones((2, 1)))


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="loud"):
        warnings.warn("loud", stacklevel=1)


def test_x64_is_on(x64):
    assert jnp.zeros(1).dtype == np.float64


def test_x64_is_scoped():
    assert jnp.zeros(1).dtype == np.float32


def test_rng_repeats(rng):
    assert rng.integers(2**62) == np.random.default_rng(0).integers(2**62)
