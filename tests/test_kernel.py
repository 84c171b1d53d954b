"""Kernel similarity matching against closed forms, finite differences and scikit-learn's kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity, polynomial_kernel, rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

import simatch as sm
from simatch.estimators import KernelSimilarityMatching
from simatch.models import kernel_matching, kernel_rule


@sm.register("quartic of the tests", sm.Kernel)
class Quartic(sm.Kernel):
    """A kernel of a user, ``(w.x)^2 + (w.x)^4``."""

    def __call__(self, landmarks, x):
        return (landmarks @ x) ** 2 + (landmarks @ x) ** 4


KERNELS = [sm.RadialKernel(0.8), sm.PolynomialKernel(3, 0.5), sm.CosinePowerKernel(3), Quartic()]


def built(kernel, rng, units=3, inputs=4):
    """A network with random parameters, samples, and its settled activities, by NumPy."""
    net = kernel_matching(inputs, units, kernel, leak=0.1)
    half = rng.normal(size=(units, units))
    lateral = half @ half.T + np.eye(units)
    parameters = {"landmarks": rng.normal(size=(units, inputs)), "strengths": rng.uniform(0.5, 2, units)}
    net = net.with_parameters([jax.tree.map(jnp.asarray, parameters), jnp.asarray(lateral), None])
    x = rng.normal(size=(12, inputs))
    drive = parameters["strengths"][:, None] * np.asarray(
        kernel(net.terms[0].parameters["landmarks"], jnp.asarray(x.T))
    )
    return net, x, np.linalg.solve(lateral + 0.1 * np.eye(units), drive)


def cost(kernel, w, q, lateral, x):
    """(C2) at the activities of lowest energy."""
    drive = q[:, None] * kernel(w, x.T)
    y = jnp.linalg.solve(lateral + 0.1 * jnp.eye(len(q)), drive)
    return jnp.sum(q**2 * kernel.own(w)) / 2 - jnp.sum(lateral**2) / 4 - jnp.mean(jnp.sum(y * drive, axis=0)) / 2


def test_kernels_are_those_of_scikit_learn(rng, x64):
    w, x = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    arrays = jnp.asarray(w), jnp.asarray(x.T)
    np.testing.assert_allclose(sm.RadialKernel(0.8)(*arrays), rbf_kernel(w, x, gamma=1 / (2 * 0.8**2)))
    np.testing.assert_allclose(sm.PolynomialKernel(3, 0.5)(*arrays), polynomial_kernel(w, x, 3, 1.0, 0.5))
    lengths = np.outer(np.linalg.norm(w, axis=1), np.linalg.norm(x, axis=1))
    np.testing.assert_allclose(sm.CosinePowerKernel(3)(*arrays), lengths * cosine_similarity(w, x) ** 3)
    for kernel in KERNELS:
        np.testing.assert_allclose(
            kernel.own(arrays[0]), np.diag(np.asarray(kernel(arrays[0], arrays[0].T))), rtol=1e-9
        )
    silent = jax.grad(lambda w: jnp.sum(sm.CosinePowerKernel(3)(w, arrays[1])))(jnp.zeros((3, 4)))
    assert np.isfinite(silent).all()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_the_rule_is_the_slope_of_the_cost(kernel, rng, x64):
    """Autodiff of (C2), whose activities follow the parameters; landmarks are divided by the squared strength (C3)."""
    net, x, y = built(kernel, rng)
    (w, q), lateral = (net.parameters[0][name] for name in ("landmarks", "strengths")), net.parameters[1]
    d_w, d_q, d_l = jax.grad(cost, argnums=(1, 2, 3))(kernel, w, q, lateral, jnp.asarray(x))
    rule = kernel_rule(net)
    states = {"input": jnp.asarray(x.T), "units": jnp.asarray(y)}
    found = rule.change(net, (states,), rule.init(net), {}).parameters
    alone = isinstance(kernel, sm.CosinePowerKernel)
    np.testing.assert_allclose(found[0]["landmarks"], -d_w if alone else -d_w / q[:, None] ** 2, rtol=1e-8)
    np.testing.assert_allclose(found[0]["strengths"], 0 * d_q if alone else -d_q, rtol=1e-8)
    np.testing.assert_allclose(found[1], d_l, rtol=1e-8)
    np.testing.assert_allclose(found[1], (y @ y.T / len(x) - lateral) / 2, rtol=1e-8)


def test_the_bound_on_similarities(rng, x64):
    """(C1) for each unit, and for any activities, landmarks and strengths."""
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    for kernel in KERNELS:
        exact = -y @ np.asarray(kernel(jnp.asarray(x), jnp.asarray(x.T))) @ y / (2 * 30**2)
        for _ in range(20):
            w, q = jnp.asarray(rng.normal(size=(1, 4))), rng.normal()
            similarities = np.asarray(kernel(w, jnp.asarray(x.T)))[0]
            bound = -q * np.mean(similarities * y) + q**2 * float(kernel.own(w)[0]) / 2
            assert exact <= bound + 1e-12


def test_power_1_is_linear_similarity_matching(rng, x64):
    """The same rule, and the same activities, as Hebbian synapses of the same weights."""
    net, x, y = built(sm.CosinePowerKernel(1), rng)
    net = net.with_parameters([{**net.parameters[0], "strengths": jnp.ones(3)}, *net.parameters[1:]])
    w = net.parameters[0]["landmarks"]
    linear = sm.Network(
        net.populations,
        [sm.Hebbian("input", "units", sm.Dense(sm.Grid(1, 1, 4), sm.Grid(1, 1, 3)), parameters=w), *net.terms[1:]],
    )
    states = {"input": jnp.asarray(x.T), "units": jnp.asarray(y)}
    rule = kernel_rule(net)
    ours = rule.change(net, (states,), rule.init(net), {}).parameters
    theirs = sm.GradientRule().change(linear, (states,), None, {}).parameters
    np.testing.assert_allclose(ours[0]["landmarks"], theirs[0], rtol=1e-10)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10)
    energies = [own.terms[0].energy(own.parameters[0], states["input"], states["units"]) for own in (net, linear)]
    np.testing.assert_allclose(*energies, rtol=1e-10)


def test_one_factorisation_settles_any_number_of_linear_units(rng, x64):
    """With a matrix that iteration could not solve; other units are refused."""
    net, x, _ = built(sm.RadialKernel(1.0), rng)
    ill = np.diag([1.0, 1e-6, 1e3])
    net = net.with_parameters([net.parameters[0], jnp.asarray(ill), None])
    net = sm.Network(net.populations, net.terms[:2])
    out = sm.relax(net, x, solver=sm.Direct(), tolerance=1e-10)
    assert bool(out.converged.all())
    assert set(np.asarray(out.steps)) == {1}
    drive = net.parameters[0]["strengths"][:, None] * sm.RadialKernel(1.0)(
        net.parameters[0]["landmarks"], jnp.asarray(x.T)
    )
    np.testing.assert_allclose(out.states["units"], drive / np.diag(ill)[:, None], rtol=1e-9)
    other = sm.layered(4, [sm.Layer(units=2, activation="relu")])
    with pytest.raises(ValueError, match="one population of linear units with a quadratic energy, not for 'layer1'"):
        sm.relax(other, x, solver=sm.Direct())


def test_half_moons():
    """Dot products match the kernel nearly as well as 16 of them can, and moons become separable."""
    x, moon = make_moons(1600, noise=0.1, random_state=0)
    matching = KernelSimilarityMatching(16, gamma=1 / (2 * 0.3**2), random_state=0).fit(x)
    z, kernel = matching.transform(x).astype(float), rbf_kernel(x, gamma=1 / (2 * 0.3**2))
    assert np.linalg.norm(z @ z.T - kernel) < 0.2 * np.linalg.norm(kernel)
    assert (
        LogisticRegression().fit(x, moon).score(x, moon)
        < 0.9
        < 0.99
        < LogisticRegression(C=100).fit(z, moon).score(z, moon)
    )
    similarities = matching.strengths_ * rbf_kernel(x, matching.landmarks_, gamma=1 / (2 * 0.3**2))
    np.testing.assert_allclose(z, np.linalg.solve(matching.lateral_, similarities.T).T, atol=1e-3)
    assert matching.condition_ < 1e3


def test_a_network_with_a_kernel_is_saved(tmp_path, rng):
    for kernel in KERNELS:
        net = kernel_matching(4, 3, kernel, samples=rng.normal(size=(9, 4)))
        sm.save(net, tmp_path / "net")
        read = sm.load(tmp_path / "net")
        assert jax.tree.structure(read) == jax.tree.structure(net)
        for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(net), strict=True):
            np.testing.assert_array_equal(a, b)


def test_use_outside_the_conditions_is_told(rng):
    x = rng.normal(size=(64, 4))
    matching = KernelSimilarityMatching(2, leak=1e-9, learning_rate=1e-9, max_iter=1, random_state=0).fit(x)
    assert matching.condition_ == pytest.approx(1)
    first, _, last = matching.network_.parameters
    # Without drive, so that nothing is learned.
    silent = {**first, "strengths": jnp.zeros(2)}
    matching.network_ = matching.network_.with_parameters([silent, jnp.diag(jnp.array([1.0, 1e-7])), last])
    with pytest.warns(UserWarning, match=r"condition number of 1e\+07, .* raise `leak`, or lower n_components"):
        matching.partial_fit(x)
    with pytest.raises(ValueError, match=r"n_components=9 units need as many rows .* n_samples = 8"):
        KernelSimilarityMatching(9).fit(x[:8])
    with pytest.raises(ValueError, match="Samples have 4 inputs, but the network has 3"):
        kernel_matching(3, 2, sm.RadialKernel(), samples=x)
    dense = sm.Dense(sm.Grid(1, 1, 2), sm.Grid(1, 1, 2), np.eye(2))
    with pytest.raises(ValueError, match="need synapses between all neurons"):
        sm.Landmarks("x", "r", dense, sm.RadialKernel())
    with pytest.raises(ValueError, match="The width of a kernel must be finite and above 0"):
        sm.RadialKernel(0)
    net, x, y = built(sm.RadialKernel(), rng)
    states = {"input": jnp.asarray(x.T, float), "units": jnp.asarray(y, float)}
    rule = sm.ScaledRule(sm.GradientRule(), {7: float})
    with pytest.raises(ValueError, match="A factor is for term 7, but the network has 3 terms"):
        rule.change(net, (states,), rule.init(net), {})


def test_a_stream_out_of_reach_is_told_and_a_slow_one_is_followed(rng):
    """Landmarks move along the slope of their kernel, which far away is 0."""
    x = rng.normal(size=(320, 2))
    matching = KernelSimilarityMatching(4, gamma=0.05, learning_rate=0.1, random_state=0).partial_fit(x)
    begun = matching.landmarks_.mean()
    for step in range(1, 7):
        matching.partial_fit(x + 0.5 * step)
    assert matching.landmarks_.mean() > begun + 0.1
    with pytest.warns(UserWarning, match="64 of the last 64 rows are out of reach of all landmarks"):
        matching.partial_fit(x + 50)
    matching.partial_fit(x + 50)  # told once


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["poly", "cosine_power"])
def test_other_kernels_are_matched_online(kernel):
    """In one pass, much better than at the beginning."""
    x, _ = make_moons(20_000, noise=0.1, random_state=0)
    matching = KernelSimilarityMatching(8, kernel=kernel, degree=2, random_state=0)
    exact = (
        polynomial_kernel(x[:300], degree=2)
        if kernel == "poly"
        else (
            np.linalg.norm(x[:300], axis=1)[:, None] * np.linalg.norm(x[:300], axis=1) * cosine_similarity(x[:300]) ** 2
        )
    )
    z = matching.partial_fit(x).transform(x[:300])
    assert np.linalg.norm(z @ z.T - exact) < 0.15 * np.linalg.norm(exact)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The lateral matrix has a condition number:UserWarning")
@parametrize_with_checks([KernelSimilarityMatching(2, max_iter=2, batch_size=10)])
def test_contract(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)
