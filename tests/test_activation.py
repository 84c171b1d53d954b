"""Activations against equation (2), and proximal steps against the equation that they solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import simatch as sm


class Softsign(sm.Activation):
    """One that a user would add: f and F only."""

    lower, upper = -1.0, 1.0

    def __call__(self, u):
        return u / (1 + jnp.abs(u))

    def cost(self, r):
        return -jnp.abs(r) - jnp.log1p(-jnp.abs(r)) - r**2 / 2


ALL = ["linear", "relu", "clip", "tanh", "soft_threshold:0.3", "shifted_relu:0.3", Softsign()]


@pytest.fixture(params=ALL, ids=str)
def f(request):
    return sm.activation(request.param)


def test_cost_is_tied_to_the_function(f, x64):
    """Equation (2): F'(r) = u - r where r = f(u), wherever f is invertible."""
    u = jnp.linspace(-2.93, 2.91, 59)
    slope = jax.vmap(jax.grad(f))(u)
    u = u[slope > 0]
    derivative = jax.vmap(jax.grad(f.cost))(f(u))
    np.testing.assert_allclose(derivative, u - f(u), atol=1e-8)


def test_tanh_cost_is_the_published_one_and_finite_at_the_bounds(x64):
    r = np.array([-0.99, -0.3, 0.2, 0.9999])
    published = r * np.arctanh(r) + np.log(1 - r**2) / 2 - r**2 / 2
    np.testing.assert_allclose(sm.activation("tanh").cost(jnp.asarray(r)), published, rtol=1e-12)
    np.testing.assert_allclose(sm.activation("tanh").cost(jnp.array([1.0, -1.0])), np.log(2) - 0.5)


@pytest.mark.parametrize("step", [0.05, 0.3, 1.0, 4.0])
def test_prox_solves_its_equation(f, step, x64):
    z = jnp.concatenate([jnp.linspace(-6, 6, 241), jnp.array([-50.0, 50.0])])
    u = f.prox(z, jnp.asarray(step))
    np.testing.assert_allclose(step * u + (1 - step) * f(u), z, atol=2e-6)


@pytest.mark.parametrize("step", [0.05, 0.3, 0.9, 1.0, 4.0])
def test_refining_ends_at_the_prox(f, step, x64):
    """From any potential, and the root stays a root."""
    z = jnp.linspace(-6, 6, 61)
    exact = f.prox(z, jnp.asarray(step))
    refine = jax.jit(lambda u: f.refine(z, jnp.asarray(step), u, f(u)))
    for start in (-10.0, -0.5, 0.0, 3.0):
        u = jnp.full_like(z, start)
        for _ in range(12):
            u = refine(u)
        np.testing.assert_allclose(u, exact, rtol=1e-6, atol=1e-6)


def test_prox_minimises(f, x64):
    """The proximal point of step F at z, by a scalar minimiser that knows only F and the bounds."""
    step, bounds = 0.4, (max(f.lower, -5), min(f.upper, 5))
    for z in (-1.7, -0.2, 0.1, 0.8, 2.5):
        cost = lambda r, z=z: (r - z) ** 2 / 2 + step * float(f.cost(jnp.asarray(r)))  # noqa: E731
        best = scipy.optimize.minimize_scalar(cost, bounds=bounds, options={"xatol": 1e-10}).x
        np.testing.assert_allclose(f(f.prox(jnp.asarray(z), jnp.asarray(step))), best, atol=1e-4)


def test_derived_prox_equals_closed_forms(f, x64):
    z = jnp.linspace(-3, 3, 61)
    for step in (0.2, 1.5):
        derived = sm.Activation.prox(f, z, jnp.asarray(step))
        np.testing.assert_allclose(f(derived), f(f.prox(z, jnp.asarray(step))), atol=1e-6)


def test_saturation():
    r = jnp.array([-0.95, -0.5, 0.0, 0.5, 0.95])
    assert sm.activation("tanh").saturated(r).tolist() == [True, False, False, False, True]
    assert sm.activation("clip").saturated(r).tolist() == [False, False, False, False, True]
    assert not sm.activation("relu").saturated(100 * r).any()


@pytest.mark.parametrize("name", ["sigmoid", "tanh:0.1", "soft_threshold:x", "soft_threshold:-1"])
def test_unknown_activations_are_named(name):
    with pytest.raises(ValueError, match=r"activation|threshold"):
        sm.activation(name)
