"""Native code against the same fixed points in double precision, which `Accelerated` finds in JAX."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import networks
import numpy as np
import oracle
import pytest

import simatch as sm
from simatch import _native as native
from simatch.relaxation import settle, stage_problem

pytestmark = pytest.mark.skipif(not native.available(), reason="native code does not run here")
ACTIVATIONS = ("tanh", "linear", "relu", "clip", "soft_threshold:0.2", "shifted_relu:0.1")


def one_layer(units, activation="tanh", sites=2, stiffness=3.0, seed=0):
    """A network of a few sites whose lateral matrices have eigenvalues between 0.05 and `stiffness`."""
    net = sm.layered(sm.Grid(2 * sites, 2), [sm.Layer(units=units, stride=2, radius=1.5, activation=activation)])
    rng = np.random.default_rng(seed)
    feedforward, lateral = (p.connectivity for p in net.pathways)
    matrix = np.zeros((sites * units,) * 2)
    for site in range(sites):
        axes = np.linalg.qr(rng.normal(size=(units, units)))[0]
        own = slice(site * units, (site + 1) * units)
        matrix[own, own] = axes * np.geomspace(0.05, stiffness, units) @ axes.T
    drive = rng.normal(size=(sites * units, feedforward.pre.size)) * 0.7
    return net.with_weights((feedforward.gather(drive), lateral.gather(matrix)))


def hearing_one_input(net):
    """The network with one input for each unit: XLA, which may multiply, rounds sums for few samples in another way."""
    feedforward, lateral = (p.weights for p in net.pathways)
    largest = jax.tree.map(lambda w: jnp.where(abs(w) == jnp.max(abs(w), axis=-1, keepdims=True), w, 0), feedforward)
    return net.with_weights((largest, lateral))


def images(net, samples, seed=1):
    x = np.random.default_rng(seed).normal(size=(samples, net.populations["input"].grid.size))
    return np.where(np.arange(samples)[:, None] == 2, 0, x).astype(np.float32)  # one that is silent


def exact(net, x):
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: a.astype(float) if eqx.is_inexact_array(a) else a, net)
        out = sm.relax(double, x.astype(np.float64), solver=sm.Accelerated(max_steps=20000), tolerance=1e-10)
        assert out.converged.all()
        return np.asarray(out.states["layer1"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("units", "samples"),
    [
        (1, 1),
        (4, 100),
        pytest.param(6, 5, marks=pytest.mark.slow),
        (16, 33),
        (19, 130),
        pytest.param(40, 17, marks=pytest.mark.slow),
        pytest.param(100, 7, marks=pytest.mark.slow),
    ],
)
def test_fixed_points_are_those_of_double_precision(units, samples, activation):
    net = one_layer(units, activation)
    x = images(net, samples)
    out = sm.relax(net, x, solver=sm.Blockwise(), tolerance=1e-5)
    assert out.converged.all()
    wanted = exact(net, x)
    # An error is at most the residual over the smallest eigenvalue, 0.05.
    error = np.linalg.norm(out.states["layer1"] - wanted, axis=0)
    assert (error <= 1e-3 * np.linalg.norm(wanted, axis=0)).all()
    np.testing.assert_allclose(
        net.activations["layer1"](out.potentials["layer1"]), out.states["layer1"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("radius", [None, 1.5])
def test_stored_matrices_are_those_that_probes_measure(radius):
    net = sm.layered(sm.Grid(4, 2), [sm.Layer(units=3, stride=2, radius=radius)], seed=3)
    net = networks.randomised(net, np.random.default_rng(0))
    problem = stage_problem(net, ("layer1",), {"input": jnp.ones((8, 1))})
    probed = dataclasses.replace(problem, stored=None).matrices()
    assert problem.stored is not None
    np.testing.assert_allclose(problem.stored, probed, atol=1e-6)


def test_residual_is_measured_as_by_the_other_solvers():
    net = one_layer(16)
    x = images(net, 20)
    with pytest.warns(sm.ConvergenceWarning):
        out = sm.relax(net, x, solver=sm.Blockwise(), max_steps=2, tolerance=1e-6)
    problem = stage_problem(net, ("layer1",), {"input": jnp.asarray(x.T)})
    r = out.states["layer1"]
    defect = problem.activities({"layer1": r + problem.force({"layer1": r})["layer1"]})["layer1"] - r
    size = np.linalg.norm(r, axis=0)
    expected = np.linalg.norm(defect, axis=0) / np.where(size > 0, size, 1)
    np.testing.assert_allclose(out.residual, expected, rtol=1e-3, atol=1e-6)
    assert set(np.asarray(out.steps)) <= {0, 2}


@pytest.mark.parametrize("activation", ["tanh", "relu", "soft_threshold:0.2"])
@pytest.mark.parametrize("units", [3, 8, 16, 24])
def test_no_sample_depends_on_the_others(units, activation):
    """Bit for bit, though few samples share registers with other sites and many with each other."""
    net = hearing_one_input(one_layer(units, activation, sites=18))
    x = images(net, 150)
    together = sm.relax(net, x, tolerance=1e-4)
    # Some finish early, some are left to accelerated steps where Newton's method may cycle.
    order = np.argsort(together.steps)
    for few in ([order[0]], [order[-1]], [7], [2, 3, 149]):
        alone = sm.relax(net, x[few], tolerance=1e-4)
        np.testing.assert_array_equal(together.states["layer1"][:, few], alone.states["layer1"])
        np.testing.assert_array_equal(together.potentials["layer1"][:, few], alone.potentials["layer1"])
        np.testing.assert_array_equal(together.steps[np.array(few)], alone.steps)
        np.testing.assert_allclose(together.residual[np.array(few)], alone.residual, rtol=1e-5)
    if (units, activation) == (16, "soft_threshold:0.2"):
        assert together.steps.max() > 10


@pytest.mark.parametrize("activation", ["tanh", "relu", "soft_threshold:0.2"])
@pytest.mark.parametrize("begin", [0, 7])
def test_samples_may_share_one_register_or_two(begin, activation):
    """Blocks of four units settle samples in pairs of registers and the last few in one, bit for bit alike."""
    net = hearing_one_input(one_layer(4, activation))
    x = images(net, 150)
    together = sm.relax(net, x, tolerance=1e-4)
    assert together.steps.max() > together.steps.min()
    for count in (9, 16, 17, 32, 41):
        some = slice(begin, begin + count)
        alone = sm.relax(net, x[some], tolerance=1e-4)
        np.testing.assert_array_equal(together.states["layer1"][:, some], alone.states["layer1"])
        np.testing.assert_array_equal(together.potentials["layer1"][:, some], alone.potentials["layer1"])
        np.testing.assert_array_equal(together.steps[some], alone.steps)


def test_a_warm_start_takes_no_steps():
    net = one_layer(16)
    x = images(net, 10)
    cold = sm.relax(net, x, tolerance=1e-4)
    assert (sm.relax(net, x, tolerance=2e-4, start=cold).steps == 0).all()


@pytest.mark.parametrize("units", [4, 24])
def test_some_samples_may_start_where_others_have_ended(units):
    """Some are done at once, so that the others do not follow each other; bit for bit as by themselves."""
    net = one_layer(units)
    x = images(net, 150)
    cold = sm.relax(net, x, tolerance=1e-4)
    done = np.arange(len(x)) % 3 == 0
    start = eqx.tree_at(lambda out: out.potentials, cold, {"layer1": jnp.where(done, cold.potentials["layer1"], 0)})
    mixed = sm.relax(net, x, tolerance=1e-4, start=start)
    assert (mixed.steps[done] == 0).all()
    np.testing.assert_array_equal(mixed.states["layer1"], cold.states["layer1"])
    np.testing.assert_array_equal(mixed.steps[~done], cold.steps[~done])


@pytest.mark.parametrize("stiffness", [0.9, 3.0, 30.0])
def test_alternating_directions_take_few_steps_whatever_the_scale_of_interactions(stiffness):
    """Also with weak ones, where a penalty far below 1 makes the steps of saturated neurons long."""
    net = one_layer(64, stiffness=stiffness)
    assert (sm.relax(net, 5 * images(net, 40), tolerance=1e-3).steps <= 40).all()


def stretched(net, lowest, highest):
    """The same network with lateral matrices of eigenvalues between these."""
    units = net.populations["layer1"].grid.units
    rng = np.random.default_rng(5)
    matrix = np.zeros((2 * units, 2 * units))
    for site in range(2):
        axes = np.linalg.qr(rng.normal(size=(units, units)))[0]
        own = slice(site * units, (site + 1) * units)
        spectrum = np.linspace(lowest, highest, units) if lowest < 0 else np.geomspace(lowest, highest, units)
        matrix[own, own] = axes * spectrum @ axes.T
    return net.with_weights((net.weights[0], net.pathways[1].connectivity.gather(matrix)))


@pytest.mark.parametrize(
    ("activation", "units", "lowest", "highest", "before"),
    [("tanh", 40, -0.9, 2.0, 0), ("clip", 40, -0.9, 2.0, 5 + 10), ("relu", 80, 1e-3, 30.0, 60)],
)
def test_what_other_methods_cannot_do_is_finished_by_accelerated_steps(activation, units, lowest, highest, before):
    """A matrix without an inverse of the right sign, and one whose scale is far from its mean."""
    net = stretched(one_layer(units, activation), lowest, highest)
    x = images(net, 20)
    out = sm.relax(net, x, solver=sm.Blockwise(max_steps=5000), tolerance=1e-4)
    assert out.converged.all()
    assert out.steps.max() > before
    if lowest > 0:
        error = np.linalg.norm(out.states["layer1"] - exact(net, x), axis=0)
        assert (error <= 0.1 * np.linalg.norm(exact(net, x), axis=0)).all()  # 1e-4 over 1e-3
    problem = stage_problem(net, ("layer1",), {"input": jnp.asarray(x.T)})
    r = out.states["layer1"]
    defect = problem.activities({"layer1": r + problem.force({"layer1": r})["layer1"]})["layer1"] - r
    assert (np.linalg.norm(defect, axis=0) <= 1.01e-4 * np.linalg.norm(r, axis=0)).all()


@pytest.mark.parametrize(("units", "activation"), [(4, "tanh"), (40, "tanh"), (40, "soft_threshold:0.1"), (40, "relu")])
@pytest.mark.parametrize("started", [False, True])
def test_nothing_depends_on_whether_potentials_are_kept(units, activation, started):
    """Bit for bit, also where one sample of a register is left to accelerated steps and another is not."""
    net = stretched(one_layer(units, activation), 1e-2, 10.0)
    inputs = {"input": jnp.asarray((images(net, 40) * np.geomspace(0.01, 30, 40)[:, None]).T)}
    start = {"layer1": jnp.full((2 * units, 40), 0.1)} if started else None
    settled = jax.jit(settle, static_argnames=("solver", "max_steps", "potentials"))
    kept, left_out = (
        settled(net, inputs, sm.Blockwise(), jnp.asarray(1e-3), 2000, start, potentials=wanted)
        for wanted in (True, False)
    )
    assert set(kept.potentials) == {"layer1"}
    assert not left_out.potentials
    responses = net.activations["layer1"](kept.potentials["layer1"])
    np.testing.assert_allclose(responses, kept.states["layer1"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(kept.states["layer1"], left_out.states["layer1"])
    np.testing.assert_array_equal(kept.steps, left_out.steps)
    np.testing.assert_array_equal(kept.residual, left_out.residual)
    if (units, activation) == (40, "tanh"):
        assert kept.steps.min() < 60 < kept.steps.max()


def test_unbounded_activities_are_reported():
    net = one_layer(3, "linear")
    lateral = net.pathways[1].connectivity.gather(-np.eye(6))
    runaway = net.with_weights((net.weights[0], lateral))
    with pytest.warns(sm.ConvergenceWarning, match="without bound"):
        out = sm.relax(runaway, images(net, 4)[[0, 1, 3]], solver=sm.Blockwise())
    assert (out.status == sm.Status.DIVERGED).all()


@pytest.mark.parametrize("activation", ["tanh", "relu", "soft_threshold:0.2"])
@pytest.mark.parametrize(("units", "samples"), [(4, 1), (19, 40)])
@pytest.mark.parametrize("pathway", [0, 1])
def test_weights_that_are_not_numbers_are_reported(pathway, units, samples, activation):
    net = one_layer(units, activation)
    weights = list(net.weights)
    weights[pathway] = tuple(w.at[0, 1, 0].set(jnp.nan) for w in weights[pathway])
    x = images(net, samples) + (pathway == 0)  # one is silent, and meets no lateral weight
    broken = net.with_weights(tuple(weights))
    with pytest.warns(sm.ConvergenceWarning):
        out = sm.relax(broken, x, solver=sm.Blockwise())
    assert (out.status == sm.Status.DIVERGED).all()


@pytest.mark.parametrize("activation", ["tanh", "relu", "soft_threshold:0.2"])
@pytest.mark.parametrize("units", [4, 19, 64])
def test_a_sample_that_is_not_a_number_leaves_the_others_alone(units, activation):
    net = one_layer(units, activation)
    x = images(net, 40)
    settled = jax.jit(settle, static_argnames=("solver", "max_steps"))
    whole, broken = (
        settled(net, {"input": jnp.asarray(own.T)}, sm.Blockwise(), jnp.asarray(1e-4), 1000)
        for own in (x, np.where(np.arange(40)[:, None] == 5, np.nan, x))
    )
    others = np.arange(40) != 5
    assert broken.status[5] == sm.Status.DIVERGED
    assert np.isnan(broken.states["layer1"][:, 5]).all()
    np.testing.assert_array_equal(broken.states["layer1"][:, others], whole.states["layer1"][:, others])
    np.testing.assert_array_equal(broken.steps[others], whole.steps[others])


def test_what_native_code_cannot_do_is_left_to_the_default_solver(monkeypatch):
    net = one_layer(4)
    x = images(net, 8)
    monkeypatch.setattr(native, "available", lambda: False)
    out = sm.relax(net, x, solver=sm.Blockwise(max_steps=999), tolerance=1e-5)
    np.testing.assert_allclose(out.states["layer1"], exact(net, x), atol=1e-3)


@pytest.mark.parametrize(
    ("units", "activation"), [(7, "tanh"), (24, "tanh"), (24, "relu"), (24, "linear"), (40, "clip")]
)
def test_layers_with_feedback_take_a_few_sweeps_whatever_their_size(units, activation):
    """Blocks of more than 16 units were once left to joint steps, of which they need 30 to 600."""
    gamma, rng, f = 0.2, np.random.default_rng(0), oracle.ACTIVATIONS[activation]
    layers = [sm.Layer(units=n, stride=2, radius=1.5, activation=activation) for n in (units, units // 2)]
    net = sm.layered(sm.Grid(4, 4), layers, feedback=gamma)
    net = networks.randomised(net, rng)
    x = rng.normal(size=(9, 16))
    out = sm.relax(net, x, tolerance=1e-5)
    assert out.converged.all()
    assert out.steps.max() <= 12
    expected = oracle.dynamics(x, *networks.matrices(net), gamma, f)
    for found, wanted in zip(networks.rows(out, net), expected, strict=True):
        assert np.abs(wanted).max() > 0.05
        np.testing.assert_allclose(found, wanted, atol=1e-4)
