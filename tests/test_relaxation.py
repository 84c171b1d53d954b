"""Relaxation against a plain NumPy loop of (10), solvers against each other, and the energy that must fall."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import oracle
import pytest

import simatch as sm
from simatch.network import energy
from simatch.relaxation import stage_problem
from simatch.relaxation._spectrum import _power_iteration, largest_eigenvalue

SOLVERS = {"accelerated": sm.Accelerated(), "euler": sm.Euler(max_steps=20000)}


def network(kind, gamma, rng, activation="tanh"):
    return networks.randomised(networks.two_layers(kind, networks.structure(rng), gamma, 1.0, activation), rng)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("kind", "gamma", "activation"),
    [("local", 0.0, "tanh"), ("dense", 0.3, "tanh"), ("sparse", 0.5, "relu"), ("local", 0.3, "clip")],
)
def test_fixed_point_is_that_of_a_numpy_loop(kind, gamma, activation, solver, rng, x64):
    net = network(kind, gamma, rng, activation)
    x = rng.normal(size=(6, networks.BELOW.size))
    W, L = networks.matrices(net)
    expected = oracle.dynamics(x, W, L, gamma, oracle.ACTIVATIONS[activation])
    out = sm.relax(net, x, solver=SOLVERS[solver], tolerance=1e-9)
    assert out.converged.all()
    for found, wanted in zip(networks.rows(out, net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_residual_is_that_of_equation_10(rng, x64):
    net, gamma = network("dense", 0.3, rng), 0.3
    x = rng.normal(size=(4, networks.BELOW.size))
    with pytest.warns(sm.ConvergenceWarning):
        out = sm.relax(net, x, max_steps=5, tolerance=1e-12)
    W, L = networks.matrices(net)
    r = networks.rows(out, net)
    u = [
        x @ W[0].T - r[0] @ (L[0] - np.eye(18)) + gamma * r[1] @ W[1],
        r[0] @ W[1].T - r[1] @ (L[1] - np.eye(5)),
    ]
    defects = [np.linalg.norm(np.tanh(a) - b, axis=1) / np.linalg.norm(b, axis=1) for a, b in zip(u, r, strict=True)]
    np.testing.assert_allclose(out.residual, np.max(defects, axis=0), rtol=1e-9)
    assert (out.steps == 5).all()
    assert not out.converged.any()
    assert "max_steps" in out.reason[0]


@pytest.mark.parametrize("name", SOLVERS)
def test_energy_never_rises_along_the_dynamics(name, rng, x64):
    """Small Euler steps follow the flow (10); proximal steps restart before they climb for long."""
    net = network("local", 0.3, rng)
    solver = sm.Euler(step_size=0.02, smallest=0.02, decay=0.0) if name == "euler" else sm.Accelerated()
    inputs = {"input": jnp.asarray(rng.normal(size=(networks.BELOW.size, 5)))}
    problem = stage_problem(net, net.stages()[0], inputs)
    prepared = solver.prepare(problem)
    state = solver.begin(problem, prepared, {"layer1": jnp.zeros((18, 5)), "layer2": jnp.zeros((5, 5))})
    step = jax.jit(lambda s: solver.step(problem, prepared, s))
    level = jax.jit(lambda s: energy(net, {**inputs, **problem.activities(solver.potentials(s))}))
    energies = [level(state)]
    for _ in range(60):
        state = step(state)
        energies.append(level(state))
    energies = np.array(energies)
    rises = np.diff(energies, axis=0)
    if name == "euler":
        assert (rises <= 1e-12).all()
    else:
        assert (rises <= 1e-3 * np.ptp(energies, axis=0)).all()
    assert (energies[-1] < energies[0]).all()


def test_no_feedback_is_layer_by_layer(rng, x64):
    c = networks.structure(rng)
    net = networks.randomised(networks.two_layers("local", c, 0.0), rng)
    assert net.stages() == (("layer1",), ("layer2",))
    x = rng.normal(size=(5, networks.BELOW.size))
    both = sm.relax(net, x, tolerance=1e-10)
    first, second = (
        sm.Network(
            {"input": sm.Population(below), "top": sm.Population(above, "tanh")},
            [sm.Hebbian("input", "top", w.connectivity), sm.AntiHebbian("top", v.connectivity)],
        ).with_weights((w.weights, v.weights))
        for below, above, w, v in (
            (networks.BELOW, networks.MIDDLE, net.pathways[0], net.pathways[1]),
            (networks.MIDDLE, networks.TOP, net.pathways[2], net.pathways[3]),
        )
    )
    middle = sm.relax(first, x, tolerance=1e-10)["top"]
    np.testing.assert_allclose(both["layer1"], middle, atol=1e-9)
    np.testing.assert_allclose(both["layer2"], sm.relax(second, middle, tolerance=1e-10)["top"], atol=1e-8)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_kinds_of_connectivity_agree(gamma, rng, x64):
    """A local and a sparse network equal the dense one with the same structure constants, learning included."""
    c = networks.structure(rng)
    reference = networks.randomised(networks.two_layers("dense", c, gamma), rng)
    x = rng.normal(size=(6, networks.BELOW.size))
    wanted = sm.relax(reference, x, tolerance=1e-10)
    learned = sm.learn(reference, wanted, rate=0.02)
    for kind in ("local", "sparse"):
        net = networks.two_layers(kind, c, gamma)
        weights = [p.connectivity.gather(q.to_dense()) for p, q in zip(net.pathways, reference.pathways, strict=True)]
        net = net.with_weights(weights)
        out = sm.relax(net, x, tolerance=1e-10)
        for name in net.layers:
            np.testing.assert_allclose(out[name], wanted[name], atol=1e-8)
        for p, q in zip(sm.learn(net, out, rate=0.02).pathways, learned.pathways, strict=True):
            np.testing.assert_allclose(p.to_dense(), q.to_dense(), atol=1e-9)


def test_permuting_a_batch_permutes_the_result(rng):
    net = network("local", 0.3, rng)
    x = rng.normal(size=(9, networks.BELOW.size))
    order = rng.permutation(9)
    out, permuted = sm.relax(net, x), sm.relax(net, x[order])
    for a, b in zip(out.activities, permuted.activities, strict=True):
        np.testing.assert_allclose(np.asarray(a)[order], b, atol=1e-6)
    assert (np.asarray(out.steps)[order] == permuted.steps).all()


def test_a_sample_does_not_depend_on_its_batch(rng):
    net = network("local", 0.3, rng)
    x = rng.normal(size=(9, networks.BELOW.size)) * np.linspace(0.1, 3, 9)[:, None]
    together = sm.relax(net, x)
    assert len(set(together.steps.tolist())) > 1
    for number in (0, int(together.steps.argmin())):
        alone = sm.relax(net, x[number : number + 1])
        np.testing.assert_allclose(together["layer1"][number], alone["layer1"][0], atol=1e-6)
        assert int(together.steps[number]) == int(alone.steps[0])


def test_input_shapes_mean_the_same(rng):
    net = network("local", 0.0, rng)
    x = rng.normal(size=(3, 4, 6, 2))
    a, b = sm.relax(net, x), sm.relax(net, x.reshape(3, -1))
    np.testing.assert_array_equal(a["layer1"], b["layer1"])
    assert a.activities[0].shape == (3, 2, 3, 3)
    assert a.activities[1].shape == (3, 1, 1, 5)


def test_one_population_has_none_to_take_turns_with(rng):
    net = sm.layered(12, [sm.Layer(units=5)])
    x = rng.normal(size=(3, 12))
    turns, alone = (sm.relax(net, x, tolerance=1e-5, solver=s) for s in (sm.Coupled(), sm.Accelerated()))
    assert turns.converged.all()
    np.testing.assert_allclose(turns["layer1"], alone["layer1"], atol=1e-4)


def test_layers_with_singular_lateral_matrices_relax(rng):
    """Newton steps of a block with a pivot of exactly 0 ended in NaN, and learning with them stopped."""
    signs = np.array([1.0, 1.0, -1.0, 1.0])
    net = sm.layered(4, [sm.Layer(units=4), sm.Layer(units=4)], feedback=0.2)
    together, apart = jnp.asarray(np.outer(signs, signs), jnp.float32), jnp.eye(4)
    net = net.with_weights([apart if p.pre != p.post else together for p in net.pathways])
    out = sm.relax(net, 10 * signs + rng.normal(size=(5, 4)), tolerance=1e-5)
    assert out.converged.all()
    for name in net.layers:
        np.testing.assert_array_equal(np.sign(np.reshape(out[name], (5, 4))), np.tile(signs, (5, 1)))


def test_layers_of_bounded_units_relax_in_turn(rng):
    """Newton steps alone go in circles where an activation has kinks, so that no sweep was ever enough."""
    layers = [sm.Layer(units=n, stride=2, radius=2.0, activation="clip") for n in (4, 8)]
    net = sm.layered(sm.Grid(8, 8), [*layers, sm.Layer(units=10, activation="clip")], feedback=1.0)
    net = net.with_weights(
        [jax.tree.map(lambda w, by=3 * (p.pre != p.post): w + by * w, p.weights) for p in net.pathways]
    )
    x = rng.uniform(size=(40, 8, 8))
    out = sm.relax(net, x, tolerance=1e-5)
    assert out.converged.all()
    assert out.steps.max() < 300  # sweeps, or joint steps without native code
    joint = sm.relax(net, x, tolerance=1e-4, solver=sm.Accelerated(), start=out)
    assert (joint.steps == 0).all()


@pytest.mark.parametrize("units", [(6, 1), (5, 1, 4)])
def test_linear_forces_in_one_direction_take_three_sweeps(units, rng):
    """Forces on one linear unit lie on a line, where extrapolation from the first two sweeps is exact."""
    layers = [sm.Layer(units=n, activation="linear") for n in units]
    net = networks.randomised(sm.layered(8, layers, feedback=0.1), rng)
    x = rng.normal(size=(7, 8))
    out = sm.relax(net, x, tolerance=1e-4, solver=sm.Coupled())
    assert out.converged.all()
    np.testing.assert_array_equal(out.steps, 3)
    expected = oracle.dynamics(x, *networks.matrices(net), 0.1, oracle.ACTIVATIONS["linear"])
    for found, wanted in zip(networks.rows(out, net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_start_at_the_fixed_point_takes_no_step(rng):
    net = network("local", 0.3, rng)
    x = rng.normal(size=(3, networks.BELOW.size))
    out = sm.relax(net, x, tolerance=1e-5)
    again = sm.relax(net, x, tolerance=1e-4, start=out)
    assert (again.steps == 0).all()
    assert again.converged.all()


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_never_more_than_max_steps(solver, rng):
    with pytest.warns(sm.ConvergenceWarning):
        out = sm.relax(network("dense", 0.3, rng), np.ones((2, 48)), solver=solver, max_steps=7, tolerance=1e-30)
    assert (out.steps == 7).all()


def test_silence_is_a_fixed_point(rng):
    out = sm.relax(network("local", 0.3, rng), np.zeros((2, networks.BELOW.size)))
    assert out.converged.all()
    assert (out.residual == 0).all()


def test_an_energy_without_minimum_is_reported():
    """Strong feedback between unbounded units: the activities run away, and it is said."""
    net = sm.layered(3, [sm.Layer(units=3, activation="linear"), sm.Layer(units=3, activation="linear")], feedback=4.0)
    big = jax.tree.map(lambda w: 3 * w, net.weights)
    with pytest.warns(sm.ConvergenceWarning, match="without bound"):
        out = sm.relax(net.with_weights(big), np.ones((2, 3)))
    assert (out.status == sm.Status.DIVERGED).all()
    with pytest.raises(ValueError, match="Nothing was learned"):
        sm.learn(net, out, rate=0.01)


@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_stiffness_bounds_the_spectrum(gamma, rng, x64):
    net = network("local", gamma, rng)
    inputs = {"input": jnp.zeros((networks.BELOW.size, 1))}
    problem = stage_problem(net, net.stages()[0], inputs)
    W, L = networks.matrices(net)
    if gamma:
        exact = [np.linalg.eigvals(np.block([[L[0], -gamma * W[1].T], [-W[1], L[1]]])).real.max()]
        probed = _power_iteration(problem)[:, 0]
        assert (probed >= 0.99 * np.array(exact)).all()
        assert (probed <= 1.11 * np.array(exact)).all()
    else:
        exact = [np.linalg.eigvalsh(L[0][3 * k : 3 * k + 3, 3 * k : 3 * k + 3]).max() for k in range(6)]
    bound = np.asarray(largest_eigenvalue(problem)[:, 0])
    assert (bound >= np.array(exact)).all()
    assert (bound <= 1.15 * np.array(exact)).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 5, 6)), "has shape"),
        (np.ones((4, 6, 2)), "batch axis"),
        (np.full((2, 48), np.nan), "NaN or infinity, or numbers beyond 1e.18, in 2 of 2"),
        (np.where(np.arange(96).reshape(2, 48) == 50, np.inf, 0), "first in sample 1"),
        (np.ones((0, 48)), "no samples"),
        (np.array([["a"] * 48]), "real numbers"),
        ({"eye": np.ones((2, 48))}, "entries of a batch are 'input' here"),
    ],
)
def test_bad_input(x, message, rng):
    with pytest.raises(ValueError, match=message):
        sm.relax(network("local", 0.0, rng), x)


def test_bad_settings(rng):
    net = network("local", 0.0, rng)
    with pytest.raises(ValueError, match="tolerance"):
        sm.relax(net, np.ones((1, 48)), tolerance=0.0)
    with pytest.raises(ValueError, match="max_steps"):
        sm.relax(net, np.ones((1, 48)), max_steps=0)
    with pytest.raises(KeyError, match="layer3"):
        sm.relax(net, np.ones((1, 48)))["layer3"]
