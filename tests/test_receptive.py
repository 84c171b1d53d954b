"""Drive, association and feedback over receptive fields against dense matrices in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import simatch as sm
from simatch import _native as native

FIELDS = [
    # side, channels, stride, radius, units
    (28, 1, 2, 4.0, 4),
    (8, 3, 2, 2.0, 5),
    (6, 2, 3, 2.0, 19),
    (6, 7, 1, 1.5, 1),
    (5, 16, 1, 0.0, 16),
]


def example(side, channels, stride, radius, units, samples, dtype=np.float32):
    rng = np.random.default_rng(samples)
    below = sm.Grid(side, side, channels)
    local = sm.Local(below, below.coarsened(stride, units), radius)
    pre, post = (rng.normal(size=(grid.size, samples)).astype(dtype) for grid in (local.pre, local.post))
    weights = jax.tree.map(lambda w: w.astype(dtype), local.normal(rng))
    return local, weights, jnp.asarray(pre), jnp.asarray(post)


def products(local, weights, pre, post):
    """Drive, association and feedback."""
    drive, back = jax.vjp(local.project, weights, pre)
    association, feedback = back(post)
    return drive, association, feedback


@pytest.mark.parametrize("where", ["native", "JAX"])
@pytest.mark.parametrize("samples", [1, 2, 16, 37, 100])
@pytest.mark.parametrize("fields", FIELDS)
def test_products_are_those_of_dense_matrices(fields, samples, where, monkeypatch):
    if where == "JAX":
        monkeypatch.setattr(native, "available", lambda: False)
    elif not native.available():
        pytest.skip("native code does not run here")
    local, weights, pre, post = example(*fields, samples)
    drive, association, feedback = jax.jit(lambda *a: products(local, *a))(weights, pre, post)
    dense, below, above = (np.asarray(a, np.float64) for a in (local.to_dense(weights), pre, post))
    np.testing.assert_allclose(drive, dense @ below, rtol=1e-5, atol=3e-5)
    np.testing.assert_allclose(feedback, dense.T @ above, rtol=1e-5, atol=3e-5)
    for own, expected in zip(association, local.gather(above @ below.T), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-4)


def test_the_native_call_is_in_the_compiled_program(monkeypatch):
    """The test above would pass if native code were never called."""
    if not native.available():
        pytest.skip("native code does not run here")
    local, weights, pre, post = example(*FIELDS[0], 8)
    program = jax.jit(lambda *a: products(local, *a)).lower(weights, pre, post).as_text()
    assert program.count("@simatch(") == 3
    single = jax.jit(lambda *a: products(local, *a)).lower(weights, pre[:, :1], post[:, :1]).as_text()
    assert "@simatch(" not in single


def test_derivatives_of_derivatives():
    with jax.enable_x64(True):
        local, weights, pre, post = example(8, 1, 2, 2.0, 2, 3, np.float64)
        directions = jax.tree.map(jnp.cos, (weights, pre, post))

        def cost(weights, pre, post):
            return jnp.sum(jnp.sin(local.project(weights, pre)) * post)

        def slope(*arguments):
            return jax.jvp(cost, arguments, directions)[1]

        arguments = weights, pre, post
        curvature = jax.jvp(slope, arguments, directions)[1]
        reverse = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, jax.grad(slope, (0, 1, 2))(*arguments), directions)))
        step = 1e-5

        def moved(t):
            return slope(*jax.tree.map(lambda a, d: a + t * d, arguments, directions))

        differences = (moved(step) - moved(-step)) / (2 * step)
    np.testing.assert_allclose(curvature, differences, rtol=1e-7)
    np.testing.assert_allclose(reverse, differences, rtol=1e-7)


def test_derivative_in_the_weights_of_one_group():
    local, weights, pre, post = example(*FIELDS[0], 5)
    assert len(weights) > 1
    whole = jax.grad(lambda w: jnp.sum(post * local.project(w, pre)))(weights)
    for group, own in enumerate(weights):
        part = jax.grad(lambda w, g=group: jnp.sum(post * local.project((*weights[:g], w, *weights[g + 1 :]), pre)))
        np.testing.assert_allclose(part(own), whole[group], rtol=1e-5, atol=1e-5)


def test_vectorised_over_networks_and_inputs():
    local, weights, pre, _ = example(*FIELDS[1], 6)
    several = jax.tree.map(lambda w: jnp.stack([w, -2 * w]), weights)
    both = jax.vmap(local.project, in_axes=(0, None))(several, pre)
    np.testing.assert_allclose(both[1], -2 * local.project(weights, pre), rtol=1e-5, atol=1e-5)
    split = jax.vmap(local.project, in_axes=(None, 1), out_axes=1)(weights, pre.reshape(len(pre), 3, 2))
    np.testing.assert_allclose(split.reshape(len(split), 6), local.project(weights, pre), rtol=1e-5, atol=1e-5)


def test_native_code_runs_wherever_numba_does():
    """Other tests of it are skipped where it does not run."""
    pytest.importorskip("numba")
    assert native.available()


def test_operands_that_do_not_fit_are_refused():
    local, weights, pre, _ = example(*FIELDS[1], 6)
    drive, back = jax.vjp(local.project, weights, pre)
    with pytest.raises(ValueError, match=r"Activities below must be of shape \(192, 500\), not \(1, 500\)"):
        local.project(weights, jnp.zeros((1, 500)))
    with pytest.raises(ValueError, match="Weights must be of shape"):
        jax.jit(lambda w: local.project(w, pre))(tuple(w[:, :, 1:] for w in weights))
    with pytest.raises(ValueError, match="groups of sites"):
        local.project(weights[1:], pre)
    with pytest.raises(ValueError, match="are of type float16"):
        local.project(tuple(w.astype(jnp.float16) for w in weights), pre)
    with pytest.raises(ValueError, match="shape"):
        back(jnp.zeros((len(drive), 7)))
    with jax.disable_jit():
        np.testing.assert_allclose(local.project(weights, pre), drive, rtol=1e-5, atol=1e-5)
        with pytest.raises(ValueError, match="Activities below"):
            local.project(weights, jnp.zeros((1, 500)))
