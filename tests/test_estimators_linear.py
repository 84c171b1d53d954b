"""Filters, captured variance, reconstructions and scores, against principal components and least squares."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import simatch as sm
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching
from simatch.estimators._linear import captured, projection
from simatch.estimators._reconstruction import reconstruction
from simatch.estimators._score import mean_squared_similarity


def learned(x, components=3, **settings):
    """Learning in whole passes until nothing changes."""
    return SimilarityMatching(components, **{"max_iter": 200, "tol": 0.0, "random_state": 0, **settings}).fit(x)


@pytest.fixture
def x(rng):
    """Centred data with three large variances."""
    basis = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    data = rng.normal(size=(300, 10)) * np.r_[3.0, 2.0, 1.2, np.full(7, 0.3)] @ basis
    return data - data.mean(axis=0)


@pytest.mark.parametrize("scale", [1.0, 0.25, 4.0])
def test_linear_units_are_principal_components(x, scale):
    matching, pca = learned(x, scale=scale), PCA(3).fit(x)
    filters = matching.components_
    np.testing.assert_allclose(matching.transform(x), x @ filters.T, atol=1e-4)
    np.testing.assert_allclose(filters @ filters.T, scale * np.eye(3), atol=scale * 1e-3)
    assert np.rad2deg(subspace_angles(filters.T, pca.components_.T)).max() < 0.1
    np.testing.assert_allclose(matching.explained_variance_, pca.explained_variance_ * 299 / 300, rtol=1e-4)
    np.testing.assert_allclose(matching.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-4)
    reconstructed = matching.inverse_transform(matching.transform(x))
    np.testing.assert_allclose(reconstructed, pca.inverse_transform(pca.transform(x)), atol=0.01)


def test_structure_constants_do_not_occur_in_the_projection(rng):
    """Before learning too, and with missing synapses."""
    x = rng.normal(size=(20, 4))
    constants = np.array([[1.0, 0.5, 0.0, 2.0], [0.0, 1.0, 3.0, 0.1], [1.0, 1.0, 1.0, 1.0]])
    net = sm.layered(4, [sm.Layer(units=3, activation="linear", structure=constants, lateral_scale=0.3)])
    net, _ = sm.train(net, x, epochs=5, batch_size=10, progress=False)
    np.testing.assert_allclose(sm.encode(net, x, tolerance=1e-5), x @ projection(net).T, atol=1e-4)


def test_without_centring_they_are_mean_squares(x):
    """TruncatedSVD does not centre either; its singular values are those of the data."""
    x = x + np.r_[2.0, np.zeros(9)]
    svd = TruncatedSVD(3, algorithm="arpack").fit(x)
    np.testing.assert_allclose(learned(x).explained_variance_, svd.singular_values_**2 / len(x), rtol=1e-4)


@pytest.mark.parametrize("sparse", [np.asarray, scipy.sparse.csr_array])
def test_captured_variance_of_any_subspace(rng, sparse):
    """With more rows than are projected at a time, filters that are no axes, and one that depends on the others."""
    x = rng.normal(size=(1100, 6)).astype(np.float32)
    filters = rng.normal(size=(3, 6))
    filters[2] = filters[0] - 2 * filters[1]
    basis = np.linalg.qr(filters[:2].T)[0]
    found, total = captured(filters, sparse(x))
    expected = np.linalg.eigvalsh(basis.T @ (x.T @ x / len(x)) @ basis)[::-1]
    np.testing.assert_allclose(found, [*expected, 0.0], rtol=1e-5)
    np.testing.assert_allclose(total, np.mean(np.sum(x**2, axis=1)), rtol=1e-5)


def test_more_components_than_the_data_have(rng):
    x = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 6))
    matching = learned(x, 4)
    np.testing.assert_allclose(matching.inverse_transform(matching.transform(x)), x, atol=1e-2)
    np.testing.assert_allclose(np.sum(matching.explained_variance_ratio_), 1, rtol=1e-6)
    np.testing.assert_allclose(matching.explained_variance_[2:], 0, atol=1e-4)


@pytest.mark.parametrize(("activation", "scale"), [("tanh", 0.1), ("relu", 1.0), ("linear", 2.0)])
def test_synapses_hold_the_least_squares_reconstruction(x, activation, scale):
    matching = learned(x, activation=activation, scale=scale)
    z = matching.transform(x)
    best = z @ np.linalg.lstsq(z, x)[0]
    np.testing.assert_allclose(matching.inverse_transform(z), best, atol=2e-3)
    assert np.mean((best - x) ** 2) < 0.9 * np.mean(x**2)


def test_silent_units_do_not_spoil_the_reconstruction(rng):
    """The fourth unit hears nothing and says nothing."""
    net = sm.layered(5, [sm.Layer(units=4, activation="relu")], seed=1)
    forward, lateral = (np.array(w) for w in net.weights)
    forward[3], lateral[3], lateral[:, 3] = 0, 0, 0
    matrix = reconstruction(net.with_weights([forward, lateral]))
    np.testing.assert_allclose(matrix, [[*row, 0.0] for row in forward[:3].T], atol=1e-6)


def test_what_is_defined_for_what(x):
    linear = SimilarityMatching(2, max_iter=1, tol=0, random_state=0)
    with pytest.raises(NotFittedError):
        linear.components_  # noqa: B018
    linear.fit(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(linear)).explained_variance_, linear.explained_variance_)  # noqa: S301
    linear.partial_fit(x)
    assert linear.components_.shape == (2, 10)
    with pytest.raises(AttributeError, match="explained_variance_ratio_ is measured by `fit`"):
        linear.explained_variance_ratio_  # noqa: B018
    with pytest.raises(ValueError, match="X has 10 columns, but the network has 2 outputs"):
        linear.inverse_transform(x)
    bounded = SimilarityMatching(2, activation="tanh", max_iter=1, tol=0, random_state=0).fit(x)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_"):
        with pytest.raises(AttributeError, match=f"{name} is defined for linear units only.*'tanh'"):
            getattr(bounded, name)
    with pytest.raises(AttributeError, match="only its first layer learns correlations with the input"):
        DeepSimilarityMatching((2,)).inverse_transform(x)
    assert not hasattr(DeepSimilarityMatching((2,)), "inverse_transform")


def test_inverse_of_a_pipeline(x):
    pipeline = make_pipeline(StandardScaler(with_std=False), SimilarityMatching(2, max_iter=1, tol=0, random_state=0))
    shifted = x + 5
    z = pipeline.fit_transform(shifted)
    expected = pipeline[1].inverse_transform(z) + shifted.mean(axis=0)
    np.testing.assert_allclose(pipeline.inverse_transform(z), expected, rtol=1e-5)


# Scores


@pytest.mark.parametrize("scale", [1.0, 0.25, 4.0])
def test_the_score_is_the_share_of_similarity_that_is_matched(x, scale):
    """Of linear units, whatever the scale; no outputs are better than the principal components."""
    matching = learned(x, scale=scale)
    z = matching.transform(x)
    inner, outer = scale * x @ x.T, z @ z.T
    expected = 1 - np.sum((inner - outer) ** 2) / np.sum(inner**2)
    np.testing.assert_allclose(matching.score(x), expected, rtol=1e-5)
    variances = np.linalg.eigvalsh(x.T @ x)[::-1]
    best = np.sum(variances[:3] ** 2) / np.sum(variances**2)
    np.testing.assert_allclose(matching.score(x), best, rtol=1e-4)
    assert learned(x, scale=scale, max_iter=1).score(x) < best - 1e-3


@pytest.mark.parametrize("sparse", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize(
    "estimator",
    [
        SimilarityMatching(3, activation="tanh", scale=0.5, max_iter=1, tol=0, tolerance=1e-6),
        DeepSimilarityMatching((4, 3), activation="tanh", feedback=0.2, max_iter=1, tol=0, tolerance=1e-6),
    ],
)
def test_the_score_is_the_primal_cost(rng, estimator, sparse):
    """With more samples than relax together."""
    x = rng.normal(size=(700, 5)).astype(np.float32)
    fitted = estimator.set_params(random_state=0).fit(x)
    cost = sm.similarity_cost(fitted.network_, sm.relax(fitted.network_, x, tolerance=1e-6))
    inner = (0.5 if isinstance(fitted, SimilarityMatching) else 1) * x @ x.T
    np.testing.assert_allclose(fitted.score(sparse(x)), -2 * cost / np.mean(inner**2), rtol=1e-4)


@pytest.mark.parametrize("shape", [(600, 30), (30, 600), (1, 1)])
def test_mean_squared_similarity(rng, shape):
    x = rng.normal(size=shape)
    for data in (x, scipy.sparse.csr_array(x)):
        np.testing.assert_allclose(mean_squared_similarity(data), np.mean((x @ x.T) ** 2))


def test_constant_zeros_score_0():
    assert SimilarityMatching(2, max_iter=1, tol=0).fit(np.zeros((10, 3))).score(np.zeros((10, 3))) == 0


@pytest.mark.parametrize(
    ("settings", "grid", "best"),
    [
        ({}, {"learning_rate": [1e-4, 1e-2, 0.5]}, {"learning_rate": 0.5}),
        pytest.param({"activation": "tanh"}, {"scale": [1e-3, 0.1, 10.0]}, {"scale": 0.1}, marks=pytest.mark.slow),
    ],
)
def test_model_selection_on_digits(settings, grid, best):
    """A rate at which learning arrives, and a scale at which units neither hardly respond nor saturate."""
    x = load_digits().data[:600] / 16
    x = x - x.mean(axis=0)
    matching = SimilarityMatching(4, max_iter=50, tol=0, random_state=0, **settings)
    search = GridSearchCV(matching, grid, cv=3).fit(x)
    assert search.best_params_ == best
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0.05
