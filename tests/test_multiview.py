"""Several inputs into one population, labels among them, against linear algebra, SciPy and finite differences."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from typer.testing import CliRunner

import simatch as sm
from simatch.cli import app
from simatch.models import multiview, multiview_network
from simatch.network import total_cost
from simatch.papers.bahroun2023 import _labels as experiment

CLASSES = 4


def correlated(rng, samples=400):
    """Two views with two correlated directions, of unequal variances."""
    common = rng.normal(size=(samples, 2))
    a = np.hstack([common + 0.4 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 4))])
    b = np.hstack([common * [1, -1] + 0.8 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 3))])
    return a @ rng.normal(size=(6, 6)), b @ rng.normal(size=(5, 5))


def labelled(rng, samples=400, inputs=6):
    """Inputs with different means by class, and one-hot labels of unequal frequencies."""
    y = rng.choice(CLASSES, samples, p=[0.4, 0.3, 0.2, 0.1])
    x = 1.5 * rng.normal(size=(CLASSES, inputs))[y] + rng.normal(size=(samples, inputs)) * np.linspace(0.3, 2, inputs)
    return x, np.eye(CLASSES)[y]


def learned(net, views, rule=None, epochs=600):
    size = len(next(iter(views.values())))
    rule = rule or sm.RegressionRule(sm.AveragingRule())
    return sm.train(net, views, rule=rule, epochs=epochs, batch_size=size, tolerance=1e-9, progress=False)[0]


def angle(a, b):
    return float(np.max(scipy.linalg.subspace_angles(a, b)))


def linear_map(net, views):
    """Rows of the linear map from all inputs, stacked, to the units."""
    lateral = net.lateral[0].to_dense()
    weights = [p.to_dense() for p in net.pathways if p.pre in views]
    return np.linalg.solve(lateral, np.hstack(weights))


def test_labels_lead_to_the_eigenvectors_of_the_joint_covariance(rng, x64):
    """Input weighted, labels whitened: principal components of the input with the whitened labels beside it."""
    x, z = labelled(rng)
    scale = 0.7
    net = multiview_network(
        {"x": 6, "z": CLASSES}, 2, regularisers={"z": "whiten"}, scales={"z": scale}, activation="linear"
    )
    net = learned(net, {"x": x, "z": z})
    whitening = np.linalg.inv(scipy.linalg.sqrtm(z.T @ z / len(z)))
    joint = np.hstack([x, np.sqrt(scale) * z @ whitening])
    values, vectors = np.linalg.eigh(joint.T @ joint / len(x))
    # r = A [x; z]; in the whitened coordinates of z the map is A_z Czz^(1/2) / sqrt(scale).
    found = linear_map(net, {"x", "z"}) @ scipy.linalg.block_diag(np.eye(6), np.linalg.inv(whitening) / np.sqrt(scale))
    assert angle(found.T, vectors[:, -2:]) < 1e-4
    np.testing.assert_allclose(np.linalg.eigvalsh(net.lateral[0].to_dense()), values[-2:], rtol=1e-6)


def test_whitened_views_lead_to_canonical_correlations(rng, x64):
    """Along the gradient, for views of unit variance; the command learns others by Newton steps."""
    a, b = (v @ np.linalg.inv(scipy.linalg.sqrtm(v.T @ v / len(v))).real for v in correlated(rng))
    net = multiview_network({"a": 6, "b": 5}, 2, regularisers={"a": "whiten", "b": "whiten"}, activation="linear")
    net = learned(net, {"a": a, "b": b}, sm.AveragingRule())
    both = np.hstack([a, b])
    covariance = both.T @ both / len(a)
    own = scipy.linalg.block_diag(covariance[:6, :6], covariance[6:, 6:])
    values, vectors = scipy.linalg.eigh(covariance, own)
    assert angle(linear_map(net, {"a", "b"}).T, vectors[:, -2:]) < 1e-4
    # The eigenvalues of L are 1 + the canonical correlations.
    np.testing.assert_allclose(np.linalg.eigvalsh(net.lateral[0].to_dense()), values[-2:], rtol=1e-6)


def test_activities_are_those_of_nonnegative_least_squares(rng, x64):
    net = multiview_network({"a": 4, "b": 3}, 5, regularisers={"b": "whiten"}, seed=1)
    half = rng.normal(size=(5, 5))
    net = net.with_weights([*net.weights[:2], jnp.asarray(half @ half.T + 0.1 * np.eye(5))])
    views = {"a": rng.normal(size=(20, 4)), "b": rng.normal(size=(20, 3))}
    r = np.asarray(sm.relax(net, views, tolerance=1e-10).states["units"])
    drive = sum(p.to_dense() @ views[p.pre].T for p in net.pathways[:2])
    upper = scipy.linalg.cholesky(net.lateral[0].to_dense())
    for own, d in zip(r.T, drive.T, strict=True):
        expected, _ = scipy.optimize.nnls(upper, scipy.linalg.solve_triangular(upper, d, trans=1))
        np.testing.assert_allclose(own, expected, atol=1e-7)
    assert 0.1 < (r > 0).mean() < 0.9


def test_the_rules_are_the_slopes_of_the_cost(rng, x64):
    """Of labels with whitening, of the input and of the lateral synapses; and by hand."""
    x, z = labelled(rng, samples=30)
    model = multiview(6, 3, CLASSES, label_weight=0.6 * CLASSES, seed=3)
    net = model.network.with_parameters(
        [None if p is None else p + 0.1 * rng.normal(size=p.shape) for p in model.network.parameters]
    )
    lateral = next(i for i, term in enumerate(net.terms) if isinstance(term, sm.AntiHebbian))
    net = net.with_parameters([(p + p.T) / 2 + np.eye(3) if i == lateral else p for i, p in enumerate(net.parameters)])
    phase = sm.Phase(["input", "label"], absent=["output"])
    batch = {"input": x, "label": z}
    out = sm.relax(net, batch, phase=phase, tolerance=1e-12)
    r = np.asarray(out.states["units"]).T
    changes = eqx.filter_jit(sm.GradientRule(phase).change)(net, (out.states,), None, {}).parameters
    cost = jax.jit(lambda parameters: total_cost(net.with_parameters(parameters), out.states))
    for number, term in enumerate(net.terms[:3]):
        direction = rng.normal(size=term.parameters.shape)
        direction = direction + direction.T if number == lateral else direction

        def along(h, number=number, direction=direction):
            return float(cost([p if i != number else p + h * direction for i, p in enumerate(net.parameters)]))

        slope = (along(1e-4) - along(-1e-4)) / 2e-4
        sign = 1 if number == lateral else -1
        np.testing.assert_allclose(np.sum(np.asarray(changes[number]) * direction), sign * slope, rtol=0, atol=1e-8)
    w = net.pathways[2].to_dense()
    np.testing.assert_allclose(changes[2], (r - z @ w.T / 0.6).T @ z / len(x), atol=1e-12)
    # The two other pathways: Hebbian with decay, and half of the anti-Hebbian rule.
    np.testing.assert_allclose(changes[0], r.T @ x / len(x) - net.pathways[0].to_dense(), atol=1e-12)
    np.testing.assert_allclose(changes[1], (r.T @ r / len(x) - net.pathways[1].to_dense()) / 2, atol=1e-12)


def test_a_regression_takes_newton_steps(rng, x64):
    """At a rate of 1 the first batch leads to the regression on it, of any covariance; a bad network is refused."""
    x, r = 20 * rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(50, 2))
    low, high = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)
    populations = {"x": sm.Population(low), "r": sm.Population(high, "linear")}
    net = sm.Network(populations, [sm.WhitenedHebbian("x", "r", sm.Dense(low, high), scale=0.5), sm.Leak("r")])
    rule = sm.RegressionRule(sm.GradientRule())
    settled = ({"x": jnp.asarray(x.T), "r": jnp.asarray(r.T)},)
    expected = net.weights[0] + rule.change(net, settled, rule.init(net), {}).parameters[0]
    np.testing.assert_allclose(expected, 0.5 * np.linalg.lstsq(x, r)[0].T, rtol=1e-6)
    weights = jnp.asarray(np.r_[np.full(25, 0.04), np.zeros(25)])
    half = net.weights[0] + rule.change(net, settled, rule.init(net), {}, weights=weights).parameters[0]
    np.testing.assert_allclose(half, 0.5 * np.linalg.lstsq(x[:25], r[:25])[0].T, rtol=1e-6)
    sparse = sm.Dense(low, high, np.array([[1.0, 1, 0], [1, 1, 1]]))
    with pytest.raises(ValueError, match="lacks some"):
        rule.init(sm.Network(populations, [sm.WhitenedHebbian("x", "r", sparse), sm.Leak("r")]))
    with pytest.raises(ValueError, match=r"for WhitenedHebbian terms, not for the Leak"):
        sm.RegressionRule(sm.GradientRule(), [1]).init(net)
    with pytest.raises(ValueError, match=r"must be 0 or 1 for whitened synapses, but one is 0\.5"):
        sm.WhitenedHebbian("x", "r", sm.Dense(low, high, np.full((2, 3), 0.5)))


@pytest.fixture(scope="module")
def taught():
    x, z = labelled(np.random.default_rng(5), samples=600)
    model, reports = multiview({"input": 6}, 8, CLASSES).fit(x[:400], z[:400], epochs=3, batch_size=40)
    assert sum(report.unconverged for report in reports) == 0
    return model, x, z


def test_answers_need_no_label(taught):
    """Activities settle with the label absent, by the same lateral synapses; the output is linear in them."""
    model, x, z = taught
    net = model.network
    answers = model.outputs(x[400:])
    assert answers.shape == (200, CLASSES)
    assert (answers.argmax(1) != z[400:].argmax(1)).mean() < 0.25  # 0.6 if it always names the most frequent class
    inputs, lateral, label, out = (p.to_dense() for p in net.pathways)
    lower = scipy.linalg.cholesky(lateral)
    for answer, own in zip(answers[:10], x[400:410], strict=True):
        r, _ = scipy.optimize.nnls(lower, scipy.linalg.solve_triangular(lower, inputs @ own, trans=1))
        np.testing.assert_allclose(answer, out @ r, atol=0.03)
    # Whatever the label synapses hold, the answers are the same.
    other = net.with_weights([*net.weights[:2], 7 + net.weights[2], net.weights[3]])
    np.testing.assert_array_equal(dataclasses.replace(model, network=other).outputs(x[400:]), answers)
    assert np.abs(label).max() > 0


def test_the_output_is_the_regression_of_labels_on_activities_without_them(taught):
    """Newton steps from batches come near the least squares of all samples; labels there are not seen by the units."""
    model, x, z = taught
    phase = sm.Phase(["input"], absent=["label", "output"])
    r = sm.encode(model.network, x[:400], layers="units", phase=phase)
    best = r @ np.linalg.lstsq(r, z[:400])[0]
    error = np.mean((model.outputs(x[:400]) - z[:400]) ** 2)
    assert error < 1.1 * np.mean((best - z[:400]) ** 2)


def test_populations_may_be_absent_on_a_mesh(taught):
    """The rules of a device work inside its loop; with one device the network is the same as without a mesh."""
    _, x, z = taught
    model = multiview({"input": 6}, 8, CLASSES)  # the program of `taught`
    mesh = jax.make_mesh((1,), ("devices",))
    nets = [model.fit(x[:80], z[:80], batch_size=40, mesh=m)[0].network for m in (None, mesh)]
    for a, b in zip(*(jax.tree.leaves(net.parameters) for net in nets), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_weights_made_from_samples_respond_to_them(rng):
    """Half of the units with random weights are silent for inputs whose mean is far from 0."""
    x = 1 + 0.1 * rng.normal(size=(200, 50))
    phase = sm.Phase(["input"], absent=["label", "output"])
    nets = [multiview(50, 8, 3, samples=samples).network for samples in (None, x)]
    responding = [int(np.sum(sm.encode(net, x, phase=phase, layers="units").max(axis=0) > 0)) for net in nets]
    assert responding[0] < responding[1] == 8


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch):
    """The quick form on fewer images: a page, numbers, and linear networks at their optimum."""
    small = experiment.Setting("digits", units=12, epochs=1, fitted=300, reports=1, a_class=3)
    monkeypatch.setattr(experiment, "QUICK", small)
    result = CliRunner().invoke(app, ["reproduce", "multiview", "--quick", "--json", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert [row["features"] for row in numbers["rows"]] == ["without labels", "with labels"]
    for row in numbers["rows"]:
        assert row["test_error_percent"] < 25
        assert row["unconverged_samples"] == 0
        assert row["curve"][-1][0] == 1.0
    assert numbers["rows"][1]["own_error_percent"] < 30
    for check in numbers["linear"]:
        assert check["angle"] < 1e-4
        assert check["eigenvalues"] < 1e-6
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1.6 %" in page
    assert all((tmp_path / "out" / f"{name}.png").exists() for name in ("learning", "similarities", "fields"))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"There is no view 'sound'; there are 'image'\."):
        multiview_network({"image": 4}, 2, scales={"sound": 1.0})
    with pytest.raises(ValueError, match=r'must be "weight" or "whiten", got \'both\'\.'):
        multiview_network({"image": 4}, 2, regularisers={"image": "both"})
    with pytest.raises(ValueError, match="at least one view"):
        multiview_network({}, 2)
    with pytest.raises(ValueError, match="A view has the name 'label'"):
        multiview({"label": 4}, 2, 3)
    with pytest.raises(ValueError, match="label_weight"):
        multiview(4, 2, 3, label_weight=0)
