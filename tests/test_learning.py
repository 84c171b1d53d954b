"""What learning converges to, against what theory says it must."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import sklearn.datasets

import simatch as sm
from simatch.network import optimal_parameters


def learned_from(net, x, steps, rate, **settings):
    """Full-batch learning, compiled as one stream of the same batch."""
    batches = (x for _ in range(steps))
    *_, (net, _) = sm.training(net, batches, rate=rate, report_every=100, **settings)
    return net


def test_linear_activation_learns_the_principal_subspace(rng):
    """All to all and linear: the rows of L^-1 W span the leading eigenvectors of the input's covariance."""
    basis = scipy.linalg.qr(rng.normal(size=(20, 20)))[0]
    deviations = np.array([3, 2.5, 2] + [0.5] * 17)
    x = (rng.normal(size=(400, 20)) * deviations) @ basis.T
    net = sm.layered(20, [sm.Layer(units=3, activation="linear")])
    net = learned_from(net, x, 1500, 0.05, tolerance=1e-5)
    filters = np.linalg.solve(net.lateral[0].to_dense(), net.feedforward[0].to_dense())
    _, vectors = np.linalg.eigh(x.T @ x)
    angles = scipy.linalg.subspace_angles(filters.T, vectors[:, -3:])
    assert np.rad2deg(angles).max() < 0.1
    # Similarity matching: the outputs are a rotation of the principal components, of the same length.
    outputs = np.asarray(sm.relax(net, x)["layer1"]).reshape(400, 3)
    components = x @ vectors[:, -3:]
    np.testing.assert_allclose(outputs @ outputs.T, components @ components.T, atol=0.05)


def test_primal_equals_dual_at_the_optimum(rng, x64):
    x = rng.normal(size=(60, 6)) * np.array([2, 1.5, 1, 0.5, 0.4, 0.3])
    net = sm.layered(6, [sm.Layer(units=3, activation="tanh"), sm.Layer(units=2, activation="tanh")], feedback=0.3)
    start = sm.similarity_cost(net, x) - sm.objective(net, x)
    net = learned_from(net, x, 3000, 0.1, tolerance=1e-10)
    gap = sm.similarity_cost(net, x) - sm.objective(net, x)
    assert abs(start) > 1e-2
    assert abs(gap) < 1e-6
    best = optimal_parameters(net, sm.relax(net, x, tolerance=1e-10).states)
    jax.tree.map(lambda w, b: np.testing.assert_allclose(w, b, atol=1e-4), net.weights, best)


def test_dual_cost_is_the_primal_less_what_the_network_cannot_change(rng, x64):
    """Equation (1) itself, a sum over pairs of samples, for one all-to-all layer at its optimum."""
    x = rng.normal(size=(40, 5))
    net = sm.layered(5, [sm.Layer(units=2, activation="linear")])
    net = learned_from(net, x, 3000, 0.1, tolerance=1e-10)
    r = np.asarray(sm.relax(net, x, tolerance=1e-10)["layer1"]).reshape(40, 2)
    matching = np.sum((x @ x.T - r @ r.T) ** 2) / (2 * 40**2)
    constant = np.sum((x @ x.T) ** 2) / (2 * 40**2)
    np.testing.assert_allclose(sm.objective(net, x), matching - constant, atol=1e-5)
    # The best rank-2 match keeps the two largest eigenvalues.
    rest = np.linalg.eigvalsh(x @ x.T / 40)[:-2]
    np.testing.assert_allclose(matching, np.sum(rest**2) / 2, rtol=1e-3)


def test_relu_finds_clusters():
    """Nonnegative similarity matching of separated clusters: every unit answers to one of them, or to none.

    At the optimum, where primal and dual cost are equal, a unit answers to other clusters by up to an eighth.
    """
    x, label = sklearn.datasets.make_blobs(600, 10, centers=np.eye(4, 10) * 4, cluster_std=0.2, random_state=0)
    net = sm.layered(10, [sm.Layer(units=8, activation="relu")])
    net, _ = sm.train(net, x, epochs=40, batch_size=50, rate=0.1, progress=False)
    r = np.asarray(sm.relax(net, x)["layer1"]).reshape(600, 8)
    answers = np.array([r[label == k].mean(axis=0) for k in range(4)])
    favourite = answers.argmax(axis=0)[answers.max(axis=0) > 0.1]
    assert set(favourite) == {0, 1, 2, 3}
    others = np.where(np.arange(4)[:, None] == answers.argmax(axis=0), 0, answers)
    assert others.max() < 0.15 * answers.max()
    primal, dual = sm.similarity_cost(net, x), sm.objective(net, x)
    assert abs(primal - dual) < 1e-3 * abs(primal)


@pytest.mark.parametrize("feedback", [0.0, 0.3])
def test_cost_falls_with_learning(feedback, rng):
    """The primal cost of the settled activities, on data that the network has not learned from."""
    images = sklearn.datasets.load_digits().images / 16
    x = images - images.mean((1, 2), keepdims=True)
    layers = [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=10)]
    net = sm.layered(sm.Grid(8, 8), layers, feedback=feedback)
    learned, _ = sm.train(net, x[:1400], epochs=3, batch_size=50, rate=0.05, progress=False)
    assert sm.similarity_cost(learned, x[1400:]) < sm.similarity_cost(net, x[1400:])


def test_online_is_a_batch_of_one(rng, x64):
    """The mean of single-sample changes is the change of the batch."""
    net = sm.layered(6, [sm.Layer(units=3)])
    x = rng.normal(size=(5, 6))
    whole = sm.learn(net, sm.relax(net, x, tolerance=1e-12), rate=0.1)
    single = [sm.learn(net, sm.relax(net, x[i : i + 1], tolerance=1e-12), rate=0.1).weights for i in range(5)]
    mean = jax.tree.map(lambda *w: jnp.mean(jnp.stack(w), axis=0), *single)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), whole.weights, mean)


SPECTRA = [(9, 4, 1), (4, 2.25, 1.44), (100, 9, 1)]


@pytest.mark.parametrize("kept", SPECTRA)
def test_no_component_is_lost_at_the_default_ratio(kept, rng):
    """Variances of the outputs are the largest ones of the input, however far these are apart."""
    x = exact(rng, kept)
    net = sm.layered(8, [sm.Layer(units=3, activation="linear")])
    net = learned_from(net, x, 8000, 0.02 if kept[0] == 100 else 0.05, tolerance=1e-6)
    np.testing.assert_allclose(variances(net, x), kept, rtol=0.01)


def test_the_published_ratio_loses_one():
    """Half as fast as feedforward synapses, lateral ones let the largest component take the place of the smallest."""
    rng = np.random.default_rng(0)
    x = exact(rng, (9, 4, 1))
    net = learned_from(sm.layered(8, [sm.Layer(units=3, activation="linear")]), x, 8000, 0.05, ratio=0.5)
    assert variances(net, x)[-1] < 1e-3
    assert variances(net, x)[0] > 11


def exact(rng, kept):
    """Samples whose covariance has exactly these largest eigenvalues, and 0.1 for the others."""
    x = scipy.linalg.qr(rng.normal(size=(200, 8)), mode="economic")[0] * np.sqrt(200)
    basis = scipy.linalg.qr(rng.normal(size=(8, 8)))[0]
    return x * np.sqrt([*kept, *[0.1] * 5]) @ basis.T


def variances(net, x):
    outputs = np.asarray(sm.encode(net, x), float)
    return np.linalg.eigvalsh(outputs.T @ outputs / len(x))[::-1]


def test_the_ratio_multiplies_lateral_changes(rng, x64):
    net = sm.layered(6, [sm.Layer(units=3)])
    x = rng.normal(size=(5, 6))
    out = sm.relax(net, x, tolerance=1e-12)
    r = np.asarray(out.states["layer1"])
    L = net.lateral[0].to_dense()
    for ratio in (0.5, 1.0, 2.0):
        learned = sm.learn(net, out, rate=0.1, ratio=ratio)
        change = ratio * 0.1 * (r @ r.T / 5 - L)
        np.testing.assert_allclose(learned.lateral[0].to_dense() - L, change, atol=1e-12)
        trained, _ = sm.train(net, iter([x]), rate=0.1, ratio=ratio, tolerance=1e-12, progress=False)
        np.testing.assert_allclose(trained.lateral[0].to_dense() - L, change, atol=1e-9)
    with pytest.raises(
        ValueError, match="ratio of lateral to feedforward learning rates must be finite and above 0, got 0"
    ):
        sm.train(net, x, ratio=0.0, progress=False)
    with pytest.raises(ValueError, match="already have a ratio"):
        sm.train(net, x, rate={"descending": 0.1, "ascending": 0.1}, ratio=1.0, progress=False)
