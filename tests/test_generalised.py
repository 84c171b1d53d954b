"""Generalised eigenproblems: canonical correlations, slow features, contrastive components, against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import simatch as sm
from simatch.learning import rising
from simatch.models import alternation, generalised, generalised_adaptive
from simatch.network import Interneurons

RULE = sm.RegressionRule(sm.AveragingRule())


def two_views(rng, samples):
    """Two views with two correlated directions, of unequal variances."""
    common = rng.normal(size=(samples, 2))
    a = np.hstack([common + 0.4 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 4))])
    b = np.hstack([common * [1, -1] + 0.8 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 3))])
    mixing = np.random.default_rng(7)
    return {"a": a @ mixing.normal(size=(6, 6)), "b": b @ mixing.normal(size=(5, 5))}


def series(rng, samples):
    """Mixed oscillations of different speed; the slowest has the smallest variance."""
    x = np.sin(np.arange(samples)[:, None] * [0.05, 0.5, 0.9, 1.4]) * [0.5, 1, 2, 3]
    return (x + 0.05 * rng.normal(size=x.shape)) @ np.random.default_rng(7).normal(size=(4, 4))


def moments(batch, drives, references):
    """A and B of equation (D1)."""
    x = np.hstack([batch[name] for name in drives])
    own = [batch[references.get(name, name)] for name in drives]
    return x.T @ x / len(x), scipy.linalg.block_diag(*(r.T @ r / len(r) for r in own))


def case(name, rng, samples):
    if name == "canonical":
        return two_views(rng, samples), ("a", "b"), {}
    if name == "slow":
        x = series(rng, samples + 1)
        return {"sum": x[1:] + x[:-1], "input": x[1:]}, ("sum",), {"sum": "input"}
    foreground = rng.random(samples)[:, None] < 0.4
    x = rng.normal(size=(samples, 5)) * np.where(foreground, [1, 3, 1, 2, 9], [4, 1, 1, 1, 8])
    x = x @ np.linalg.qr(np.random.default_rng(7).normal(size=(5, 5)))[0]
    return {"fore": x * foreground, "back": x * ~foreground}, ("fore",), {"fore": "back"}


def built(batch, drives, references, units, **settings):
    sizes = {name: batch[name].shape[1] for name in drives}
    return generalised(sizes, units, references=references, **settings)


def learned(net, batch, epochs=400):
    size = len(next(iter(batch.values())))
    return sm.train(net, batch, rule=RULE, epochs=epochs, batch_size=size, tolerance=1e-10, progress=False)[0]


def filters(net):
    """Rows of the linear map from all drives, stacked, to the units."""
    weights = np.hstack([term.to_dense() for term in net.terms if isinstance(term, sm.WhitenedHebbian)])
    return np.linalg.solve(net.lateral[0].to_dense(), weights)


def angle(rows, columns):
    return float(np.rad2deg(np.max(scipy.linalg.subspace_angles(rows.T, columns))))


CASES = pytest.mark.parametrize("name", ["canonical", "slow", "contrastive"])


@pytest.mark.parametrize("name", ["slow", pytest.param("contrastive", marks=pytest.mark.slow)])
def test_the_fixed_point_solves_the_eigenproblem(name, rng, x64):
    """In batches of all samples; the eigenvalues of M are lambda, and V'BV = 1."""
    batch, drives, references = case(name, rng, 500)
    net = learned(built(batch, drives, references, 2), batch)
    a, b = moments(batch, drives, references)
    values, vectors = scipy.linalg.eigh(a, b)
    assert angle(filters(net), vectors[:, -2:]) < 1e-5
    np.testing.assert_allclose(np.linalg.eigvalsh(net.lateral[0].to_dense()), values[-2:], rtol=1e-7)
    np.testing.assert_allclose(filters(net) @ b @ filters(net).T, np.eye(2), atol=1e-7)


@pytest.mark.parametrize(
    "name", ["canonical", *(pytest.param(n, marks=pytest.mark.slow) for n in ("slow", "contrastive"))]
)
def test_one_pass_online_comes_within_a_degree(name):
    """Of the exact solution of the same samples, in batches of 20 and single precision."""
    batch, drives, references = case(name, np.random.default_rng(3), 40_000)
    net = built(batch, drives, references, 2)
    rate = rising(lambda n: 4 / (20 + n), over=10)
    net, reports = sm.train(net, batch, rule=RULE, batch_size=20, rate=rate, progress=False)
    assert sum(report.unconverged for report in reports) == 0
    values, vectors = scipy.linalg.eigh(*moments(batch, drives, references))
    assert angle(filters(net), vectors[:, -2:]) < 1
    np.testing.assert_allclose(np.linalg.eigvalsh(net.lateral[0].to_dense()), values[-2:], rtol=0.03)


@CASES
def test_alternation_finds_the_exact_solution(name, rng):
    a, b = moments(*case(name, rng, 300))
    values, vectors = scipy.linalg.eigh(a, b)
    found = alternation(a, b, 2, tolerance=1e-11)
    assert found.converged
    assert angle(np.linalg.solve(found.lateral, found.weights), vectors[:, -2:]) < 1e-8
    np.testing.assert_allclose(np.linalg.eigvalsh(found.lateral), values[-2:], rtol=1e-10)


def test_alternation_is_the_fixed_point_of_learning(rng, x64):
    """A network with its weights, which maps drives to Q V' xi, does not change any more."""
    batch, drives, references = case("slow", rng, 300)
    found = alternation(*moments(batch, drives, references), 2)
    net = built(batch, drives, references, 2).with_parameters([jnp.asarray(found.weights), jnp.asarray(found.lateral)])
    states = {name: jnp.asarray(x.T) for name, x in batch.items()}
    states["units"] = jnp.asarray(np.linalg.solve(found.lateral, found.weights)) @ states["sum"]
    change = sm.GradientRule().change(net, (states,), None, {}).parameters
    for own in change:
        assert np.abs(own).max() < 1e-8


def test_the_rule_is_that_of_the_paper(rng, x64):
    """Of one sample, dW = y xi' - W x x' and dM = (y y' - M) / 2, half of the published rates."""
    x, before = rng.normal(size=(2, 1, 4))
    net = generalised({"sum": 4}, 2, references={"sum": "input"}, seed=1)
    out = sm.relax(net, {"sum": x + before, "input": x}, tolerance=1e-12)
    w = net.terms[0].to_dense()
    y = w @ (x + before).T
    np.testing.assert_allclose(out.states["units"], y, atol=1e-12)  # M is the identity
    d_w, d_m = sm.GradientRule().change(net, (out.states,), None, {}).parameters
    np.testing.assert_allclose(d_w, y @ (x + before) - w @ x.T @ x, atol=1e-12)
    np.testing.assert_allclose(d_m, (y @ y.T - np.eye(2)) / 2, atol=1e-12)


def test_interneurons_whiten_what_is_above_the_threshold(rng, x64):
    """P P' + alpha has the eigenvalues above alpha; the outputs have variances of 1 there, and 0 elsewhere."""
    batch, threshold, kept = two_views(rng, 400), 1.3, 2
    net = learned(generalised_adaptive({"a": 6, "b": 5}, 3, threshold=threshold), batch, 200)
    values, vectors = scipy.linalg.eigh(*moments(batch, ("a", "b"), {}))
    assert np.sum(values > threshold) == kept
    p = np.asarray(net.terms[2].parameters)
    np.testing.assert_allclose(np.linalg.eigvalsh(p @ p.T)[-kept:] + threshold, values[-kept:], rtol=1e-5)
    y = sm.encode(net, batch, tolerance=1e-10)
    np.testing.assert_allclose(np.linalg.eigvalsh(y.T @ y / 400), np.r_[np.zeros(3 - kept), np.ones(kept)], atol=1e-4)
    right = scipy.linalg.svd(y.T @ np.hstack([*batch.values()]))[2][:kept]
    b = moments(batch, ("a", "b"), {})[1]
    assert angle(right, b @ vectors[:, -kept:]) < 1e-2


def test_interneurons_by_hand(rng, x64):
    """Energy, curvature, activities and rule."""
    p = rng.normal(size=(3, 2))
    term = Interneurons("r", 3, 2, parameters=p)
    r = rng.normal(size=(3, 7))
    np.testing.assert_allclose(term.energy(jnp.asarray(p), jnp.asarray(r)), np.sum((p.T @ r) ** 2, axis=0) / 2)
    np.testing.assert_allclose(term.curvature(jnp.asarray(p), "r")[0][0], p @ p.T)
    net = sm.Network(
        {"x": sm.Population(4), "r": sm.Population(3, "linear")},
        [sm.Hebbian("x", "r", sm.Dense(sm.Grid(1, 1, 4), sm.Grid(1, 1, 3))), term, sm.Leak("r", 0.5)],
    )
    x = rng.normal(size=(7, 4))
    out = sm.relax(net, x, tolerance=1e-12)
    r = np.asarray(out.states["r"])
    np.testing.assert_allclose(r, np.linalg.solve(p @ p.T + 0.5 * np.eye(3), net.weights[0] @ x.T), atol=1e-10)
    change = sm.GradientRule().change(net, (out.states,), None, {}).parameters[1]
    np.testing.assert_allclose(change, r @ (p.T @ r).T / 7 - p, atol=1e-10)


def test_they_are_saved_and_loaded(tmp_path):
    net = generalised_adaptive({"sum": 3}, 2, threshold=1.5, references={"sum": "input"}, seed=4)
    sm.save(net, tmp_path / "net")
    read = sm.load(tmp_path / "net")
    assert jax.tree.structure(read) == jax.tree.structure(net)
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(net), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_settings_are_refused(rng):
    with pytest.raises(ValueError, match=r"A reference is given for 'c', but the drives are 'a'\."):
        generalised({"a": 3}, 1, references={"c": "b"})
    with pytest.raises(ValueError, match="at least one drive"):
        generalised({}, 1)
    with pytest.raises(ValueError, match="The threshold must be finite and above 0"):
        generalised_adaptive({"a": 3}, 1, threshold=0)
    x = rng.normal(size=(4, 5))
    with pytest.raises(ValueError, match="features are linearly dependent, or samples are fewer"):
        alternation(np.eye(5), x.T @ x, 1)
    with pytest.raises(ValueError, match="at most 5 units, got 6"):
        alternation(np.eye(5), np.eye(5), 6)
    with pytest.raises(ValueError, match="must be square"):
        alternation(np.ones((2, 3)), np.ones((2, 3)), 1)
    term = sm.WhitenedHebbian("x", "r", sm.Dense(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)), reference="s")
    populations = {"x": sm.Population(3), "s": sm.Population(4), "r": sm.Population(2, "linear")}
    net = sm.Network(populations, [term, sm.Leak("r")])
    with pytest.raises(ValueError, match="The reference 's' has 4 neurons, but 'x' has 3"):
        sm.relax(net, {"x": x[:, :3], "s": x[:, :4]})
    with pytest.raises(ValueError, match="The interneurons are for 3 neurons, but population 'r' has 2"):
        sm.Network(populations, [sm.WhitenedHebbian("x", "r", term.connectivity), Interneurons("r", 3, 1)])
