"""Derivatives through `relax`, in weights and inputs, against finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest
import test_terms

import simatch as sm

EXACT = {"tolerance": 1e-13, "max_steps": 20000}


def chain(rng, kind, gamma, activation):
    net = networks.two_layers(kind, networks.structure(rng), gamma, 1.0, activation)
    return networks.randomised(net, rng), rng.normal(size=(5, networks.BELOW.size))


CHAINS = [("dense", 0.3, "tanh"), ("local", 0.0, "tanh"), ("local", 0.4, "relu"), ("sparse", 0.3, "clip")]


def readout_loss(net, x, readout, labels, settings):
    """Cross entropy of a linear readout of the activities of all layers."""
    out = sm.relax(net, x, **settings)
    features = jnp.concatenate([out.states[name] for name in net.layers])
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(readout @ features, axis=0) * labels, axis=0))


@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
@pytest.mark.parametrize("chosen", [*CHAINS, "quartic", "prediction", "kernel"], ids=str)
def test_a_readouts_loss(chosen, rng, x64):
    if isinstance(chosen, str):
        net, x, _ = test_terms.settled(chosen)
    else:
        net, x = chain(rng, *chosen)
    size = sum(net.populations[name].grid.size for name in net.layers)
    readout, labels = jnp.asarray(rng.normal(size=(3, size))), jax.nn.one_hot(jnp.arange(len(x)) % 3, 3).T

    def loss(parameters, x):
        return readout_loss(net.with_parameters(parameters), x, readout, labels, EXACT)

    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))(net.parameters, jnp.asarray(x))
    loss = jax.jit(loss)
    for k, term in enumerate(net.terms):
        direction = jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape)), term.parameters)
        if isinstance(term, sm.AntiHebbian):  # a lateral weight and its mirror image are one number
            dense = term.connectivity.to_dense(direction)
            direction = term.connectivity.gather(dense + dense.T)

        def along(h, k=k, direction=direction):
            moved = jax.tree.map(lambda w, d: w + h * d, net.parameters[k], direction)
            return float(loss([moved if m == k else p for m, p in enumerate(net.parameters)], x))

        products = jax.tree.map(lambda g, d: float(jnp.sum(g * d)), slopes[0][k], direction)
        assert_slope(along, sum(jax.tree.leaves(products)))
    direction = rng.normal(size=x.shape)
    assert_slope(lambda h: float(loss(net.parameters, x + h * direction)), float(np.sum(slopes[1] * direction)))


def assert_slope(along, slope):
    h = 1e-4
    expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    assert abs(slope - expected) <= 1e-7 * max(1, abs(expected))


def test_forward_and_backward_agree(rng, x64):
    net, x = chain(rng, "local", 0.3, "tanh")

    def top(x):
        return sm.relax(net, x, **EXACT).states["layer2"]

    x = jnp.asarray(x)
    np.testing.assert_allclose(jax.jacfwd(top)(x), jax.jacrev(top)(x), atol=1e-9)


def test_the_default_solver_in_single_precision(rng):
    """Native code, whose steps cannot be differentiated, and the gradient of the same network in double precision."""
    net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    x = rng.normal(size=(3, 8, 8))

    def loss(net, x):
        return jnp.sum(sm.relax(net, x, tolerance=1e-6).states["layer1"] ** 2)

    single = eqx.filter_grad(loss)(net, x)
    with jax.enable_x64(True):
        double = eqx.filter_grad(loss)(
            jax.tree.map(lambda w: w.astype(float) if eqx.is_inexact_array(w) else w, net), x
        )
    for a, b in zip(jax.tree.leaves(single.weights), jax.tree.leaves(double.weights), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3 * np.abs(b).max())


def test_potentials_move_too(rng, x64):
    net, x = chain(rng, "dense", 0.3, "tanh")
    direction = rng.normal(size=x.shape)

    def potential(h):
        return jnp.sum(sm.relax(net, x + h * direction, **EXACT).potentials["layer1"] ** 2)

    assert_slope(lambda h: float(potential(h)), float(jax.grad(potential)(0.0)))


def test_costs_can_be_compiled_and_differentiated(rng, x64):
    net, x = chain(rng, "dense", 0.3, "tanh")
    for cost in (sm.objective, sm.similarity_cost, lambda net, x: sm.credit(net, x).total()):
        np.testing.assert_allclose(jax.jit(lambda net, x, cost=cost: cost(net, x))(net, x), cost(net, x), rtol=1e-6)
    # At the minimum of the energy its slope in the weights is that of the rule, times two.
    slope = jax.grad(lambda net: sm.objective(net, sm.relax(net, x, **EXACT)))(net)
    rule = sm.GradientRule().change(net, (sm.relax(net, x, **EXACT).states,), None, {}).parameters
    for p, a, b in zip(net.pathways, slope.weights, rule, strict=True):
        a = a if p.signs < 0 else (a + a.T) / 2
        np.testing.assert_allclose(a, 2 * p.signs * b, atol=1e-7)
    with pytest.raises(ValueError, match="use relax"):
        jax.jit(lambda net: sm.encode(net, x))(net)
