"""Energy, costs and learning rules against the typed-out equations and against finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import networks
import numpy as np
import oracle
import pytest

import simatch as sm
from simatch.network import energy, optimal_parameters, total_cost

jitted_energy, jitted_cost = jax.jit(energy), jax.jit(total_cost)
jitted_rule = jax.jit(lambda net, states: sm.GradientRule().change(net, (states,), None, {}).parameters)

CASES = [(kind, gamma, kind != "local") for kind in networks.KINDS for gamma in (0.0, 0.3, 1.0)]


@pytest.fixture(params=CASES, ids=str)
def case(request, rng, x64):
    """A network with arbitrary weights and arbitrary activities, not a fixed point."""
    kind, gamma, graded = request.param
    c = networks.structure(rng, graded)
    net = networks.randomised(networks.two_layers(kind, c, gamma, scale=1.7), rng)
    x = rng.normal(size=(7, networks.BELOW.size))
    r = [np.tanh(rng.normal(size=(7, n))) for n in (networks.MIDDLE.size, networks.TOP.size)]
    states = {"input": jnp.asarray(x.T), "layer1": jnp.asarray(r[0].T), "layer2": jnp.asarray(r[1].T)}
    c = [1.7 * m for m in c]
    return net, gamma, [c[0], c[2]], [c[1], c[3]], x, r, states


def test_energy_is_half_of_the_bracket(case):
    net, gamma, _, _, x, r, states = case
    W, L = networks.matrices(net)
    np.testing.assert_allclose(2 * energy(net, states), oracle.bracket(x, r, W, L, gamma, oracle.tanh_cost), rtol=1e-10)


def test_dual_cost(case):
    net, gamma, cW, cL, x, r, states = case
    W, L = networks.matrices(net)
    expected = oracle.dual(x, r, W, L, cW, cL, gamma, oracle.tanh_cost)
    np.testing.assert_allclose(2 * total_cost(net, states), expected, rtol=1e-10)


def test_primal_cost_is_the_double_sum_over_samples(case):
    net, gamma, cW, cL, x, r, states = case
    out = _relaxation(states)
    expected = oracle.primal(x, r, cW, cL, gamma, oracle.tanh_cost)
    np.testing.assert_allclose(sm.similarity_cost(net, out), expected, rtol=1e-10)


def test_plasticity_is_rule_11(case):
    net, gamma, cW, cL, x, r, states = case
    W, L = networks.matrices(net)
    dW, dL = oracle.rules(x, r, W, L, cW, cL, gamma, eta=1.0)
    changes = jitted_rule(net, states)
    for pathway, change, expected in zip(net.pathways, changes, [dW[0], dL[0], dW[1], dL[1]], strict=True):
        np.testing.assert_allclose(pathway.connectivity.to_dense(change), expected, rtol=1e-9, atol=1e-12)


def test_plasticity_by_finite_differences(case):
    """Every weight moves along the slope of the cost: down if Hebbian, up if anti-Hebbian."""
    net, _, _, _, _, _, states = case
    changes = jitted_rule(net, states)
    rng = np.random.default_rng(1)
    for k, pathway in enumerate(net.pathways):
        n = (pathway.connectivity.post.size, pathway.connectivity.pre.size)
        direction = rng.normal(size=n)
        direction = pathway.connectivity.gather(direction if pathway.signs < 0 else direction + direction.T)

        def cost(h, k=k, direction=direction):
            weights = list(net.weights)
            weights[k] = jax.tree.map(lambda w, d: w + h * d, weights[k], direction)
            return float(jitted_cost(net.with_weights(weights), states))

        slope = (cost(1e-5) - cost(-1e-5)) / 2e-5
        products = jax.tree.map(lambda a, b: jnp.sum(a * b), changes[k], direction)
        along = sum(float(v) for v in jax.tree.leaves(products))
        np.testing.assert_allclose(along, pathway.signs * slope, rtol=1e-6)


def test_forces_by_finite_differences(case):
    """The dynamics' right side less -u is minus the energy's slope over the population's weight: equation (10)."""
    net, gamma, _, _, x, r, states = case
    W, L = networks.matrices(net)
    below = [x, *r[:-1]]
    for p, name in enumerate(net.layers):
        current = below[p] @ W[p].T - r[p] @ L[p].T + r[p] - np.arctanh(r[p])
        if p == 0:
            current = current + gamma * r[1] @ W[1]
        direction = np.random.default_rng(p).normal(size=r[p].shape)

        def bracket(h, name=name, direction=direction):
            moved = {**states, name: states[name] + h * jnp.asarray(direction.T)}
            # Without feedback a layer does not feel the terms of the layer above.
            own = [p for p in net.pathways if p.post == name or (gamma > 0 and p.pre == name)]
            scaled = eqx.tree_at(lambda n: n.terms, net, tuple(own))
            return float(jnp.sum(jitted_energy(scaled, moved)))

        slope = (bracket(1e-6) - bracket(-1e-6)) / 2e-6
        np.testing.assert_allclose(np.sum(current * direction), -slope / net.energy_weight[name], rtol=1e-5)


def test_credit_sums_to_the_objective(case):
    net, _, cW, cL, _, r, states = case
    out = _relaxation(states)
    split = sm.credit(net, out)
    np.testing.assert_allclose(split.total(), sm.objective(net, out), rtol=1e-10)
    # One term by hand: -2 W r x + W^2 / c for a feedforward synapse of the second layer.
    W, L = networks.matrices(net)
    i, j = np.argwhere(cW[1] > 0)[4]
    term = -2 * W[1][i, j] * np.mean(r[1][:, i] * r[0][:, j]) + W[1][i, j] ** 2 / cW[1][i, j]
    np.testing.assert_allclose(net.pathways[2].connectivity.to_dense(split.synapses[2])[i, j], term, rtol=1e-9)
    term = L[1][1, 2] * np.mean(r[1][:, 1] * r[1][:, 2]) - L[1][1, 2] ** 2 / (2 * cL[1][1, 2])
    np.testing.assert_allclose(net.pathways[3].connectivity.to_dense(split.synapses[3])[1, 2], term, rtol=1e-9)


def test_optimal_weights_are_scaled_correlations(case):
    net, gamma, cW, cL, x, r, states = case
    best = optimal_parameters(net, states)
    dense = [p.connectivity.to_dense(w) for p, w in zip(net.pathways, best, strict=True)]
    np.testing.assert_allclose(dense[0], cW[0] * (r[0].T @ x) / 7, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dense[1], (1 + gamma) * cL[0] * (r[0].T @ r[0]) / 7, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dense[3], cL[1] * (r[1].T @ r[1]) / 7, rtol=1e-9, atol=1e-12)


def test_missing_synapses_stay_exactly_zero(rng):
    c = networks.structure(rng)
    for kind in networks.KINDS:
        net = networks.two_layers(kind, c, 0.3)
        for _ in range(3):
            x = rng.normal(size=(5, networks.BELOW.size))
            net = sm.learn(net, sm.relax(net, x), rate=0.05)
        for pathway, allowed in zip(net.pathways, c, strict=True):
            dense = pathway.to_dense()
            assert not dense[allowed == 0].any(), kind
            assert np.count_nonzero(dense) == np.count_nonzero(allowed), kind


def _relaxation(states):
    """A Relaxation that holds given activities."""
    samples = states["input"].shape[-1]
    grids = {"layer1": networks.MIDDLE, "layer2": networks.TOP}
    return sm.Relaxation(
        states,
        {},
        jnp.zeros(samples),
        jnp.zeros(samples, jnp.int32),
        jnp.zeros(samples, jnp.int32),
        tuple((name, grid.shape) for name, grid in grids.items()),
    )
