"""Estimators of components that learn from streams: their contract, and exact solutions."""

import pickle

import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from simatch.data import time_windows
from simatch.estimators import ContrastivePCA, OnlineCCA, OnlineSFA

ONLINE = {"solver": "online", "random_state": 0}


# Some checks have features that are linearly dependent, or too few rows.
DEPENDENT = pytest.mark.filterwarnings("ignore:.*linearly dependent:UserWarning")


# Learning online, the checks compile dozens of programs.
@pytest.mark.slow
@DEPENDENT
@parametrize_with_checks([OnlineCCA(1, **ONLINE), OnlineSFA(1, **ONLINE), ContrastivePCA(1, **ONLINE)])
def test_contract_online(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.mark.slow
@DEPENDENT
@parametrize_with_checks([OnlineSFA(1), ContrastivePCA(1)])
def test_contract_of_the_others(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@DEPENDENT
@parametrize_with_checks([OnlineCCA(1)])
def test_contract(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


def two_views(rng, samples):
    """Two views with two correlated directions, not centred, of sizes that differ."""
    common = rng.normal(size=(samples, 2)) * [1, 0.8]
    a = np.hstack([common + 0.4 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 4))])
    b = np.hstack([common * [1, -1] + 0.6 * rng.normal(size=(samples, 2)), rng.normal(size=(samples, 3))])
    return 1e3 * a @ MIXING[:6, :6] + 7, (1e-3 * b) @ MIXING[6:, 6:] - 2


MIXING = np.linalg.qr(np.random.default_rng(7).normal(size=(11, 11)))[0]


def exact(a, b, units):
    """Largest generalised eigenvalues and eigenvectors, largest first."""
    values, vectors = scipy.linalg.eigh(a, b)
    return values[::-1][:units], vectors[:, ::-1][:, :units]


def slowest(now, before, units):
    """Slowness values and slow directions of pairs of rows, slowest first."""
    change = now - before
    values, vectors = scipy.linalg.eigh(change.T @ change, (now.T @ now + before.T @ before) / 2)
    return values[:units], vectors[:, :units]


def angle(a, b):
    return float(np.rad2deg(np.max(scipy.linalg.subspace_angles(a, b))))


def canonical(x, y, units):
    """Correlations, and the map from X, by a singular value decomposition of whitened views."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    left, right = (np.linalg.svd(view, full_matrices=False)[0] for view in (x, y))
    u, rho, _ = np.linalg.svd(left.T @ right)
    return rho[:units], np.linalg.lstsq(x, left @ u[:, :units])[0]


def test_canonical_correlations_of_data_in_memory(rng):
    x, y = two_views(rng, 500)
    cca = OnlineCCA(2, random_state=0).fit(x, y)
    rho, rotations = canonical(x, y, 2)
    np.testing.assert_allclose(cca.canonical_correlations_, rho, rtol=1e-8)
    assert angle(cca.x_rotations_, rotations) < 1e-6
    u, v = cca.transform(x, y)
    np.testing.assert_allclose(np.cov(u.T, bias=True), np.eye(2), atol=1e-7)
    np.testing.assert_allclose(np.cov(v.T, bias=True), np.eye(2), atol=1e-7)
    np.testing.assert_allclose(u.T @ v / len(x), np.diag(rho), atol=1e-7)
    np.testing.assert_array_equal(cca.fit_transform(x, y), u)
    other = CCA(2, scale=False, max_iter=5000, tol=1e-12).fit(x, 1e3 * y)
    assert angle(other.x_rotations_, cca.x_rotations_) < 1e-3


def test_canonical_correlations_of_a_stream():
    """One pass in calls of many sizes comes within a degree of the solution of all rows; copies go on alike."""
    x, y = two_views(np.random.default_rng(2), 30_000)
    cca, begin = OnlineCCA(2, random_state=0), 0
    for rows in [8, 300, *[4923] * 6]:
        cca.partial_fit(x[begin : begin + rows], y[begin : begin + rows])
        begin += rows
    rho, rotations = canonical(x[:begin], y[:begin], 2)
    np.testing.assert_allclose(cca.canonical_correlations_, rho, atol=0.02)
    assert angle(cca.x_rotations_, rotations) < 1
    np.testing.assert_allclose(cca.x_mean_, x[:begin].mean(axis=0), atol=20)
    copied = pickle.loads(pickle.dumps(cca))  # noqa: S301
    for own in (cca, copied):
        own.partial_fit(x[:500], y[:500])
    np.testing.assert_array_equal(copied.x_rotations_, cca.x_rotations_)


def test_drift_is_followed():
    """After the views have changed, a constant rate forgets those of before."""
    rng = np.random.default_rng(3)
    x, y = two_views(rng, 6000)
    turned = x[:, ::-1]
    cca = OnlineCCA(2, learning_rate=0.05, random_state=0).partial_fit(x, y).partial_fit(turned, y)
    rho, rotations = canonical(turned, y, 2)
    assert angle(cca.x_rotations_, rotations) < 5
    np.testing.assert_allclose(cca.canonical_correlations_, rho, atol=0.1)


def chaotic(samples):
    """A chaotic series (logistic map) driven by a slow sum of sines, as in the publications."""
    t = np.arange(samples) / samples * 2 * np.pi
    gamma = np.sin(5 * t) + np.sin(11 * t) + np.sin(13 * t)
    w = np.full(samples, 0.6)
    for i in range(1, samples):
        w[i] = (3.6 + 0.13 * gamma[i] / 3) * w[i - 1] * (1 - w[i - 1])
    return w, gamma


def test_slow_features_of_a_chaotic_series():
    """The driving force is the slowest of the quadratic features of four successive values."""
    w, gamma = chaotic(4000)
    x = PolynomialFeatures(2, include_bias=False).fit_transform(time_windows(w[:, None], 4))
    sfa = OnlineSFA(2).fit(x)
    centred = x - x.mean(axis=0)
    values, vectors = slowest(centred[1:], centred[:-1], 2)
    np.testing.assert_allclose(sfa.slowness_, values, atol=1e-8)
    assert angle(sfa.components_.T, vectors) < 1e-4
    y = sfa.transform(x)
    np.testing.assert_allclose((y[1:].T @ y[1:] + y[:-1].T @ y[:-1]) / (2 * len(y) - 2), np.eye(2), atol=1e-6)
    np.testing.assert_allclose(np.mean(np.diff(y, axis=0) ** 2, axis=0), sfa.slowness_, atol=1e-8)
    assert abs(np.corrcoef(y[:, 0], gamma[3:])[0, 1]) > 0.95


@pytest.mark.parametrize("rate", ["auto", 0.03])
def test_slow_features_of_a_stream(rate):
    """One pass in calls of many sizes comes within a degree, though slowness values are small and close."""
    t = np.arange(20_000)[:, None]
    rng = np.random.default_rng(4)
    sources = np.hstack([np.sin(2 * np.pi * t / [900, 600, 250]), rng.normal(size=(len(t), 5))])
    x = sources @ rng.normal(size=(8, 8))
    sfa, begin = OnlineSFA(2, learning_rate=rate, batch_size=100, random_state=0), 0
    for rows in [50, 1000, *[6316] * 3]:
        sfa.partial_fit(x[begin : begin + rows])
        begin += rows
    centred = x[:begin] - x[:begin].mean(axis=0)
    values, vectors = slowest(centred[1:], centred[:-1], 2)
    assert angle(sfa.components_.T, vectors) < 1
    np.testing.assert_allclose(sfa.slowness_, values, atol=2e-5)
    np.testing.assert_allclose(np.cov(sfa.transform(x).T), np.eye(2), atol=0.25)


def test_series_do_not_run_into_each_other(rng):
    """Neither within a call nor between calls, unless they follow each other."""
    x = rng.normal(size=(60, 3)).cumsum(axis=0)
    whole = OnlineSFA(1, lag=2).fit(x)
    parts = OnlineSFA(1, lag=2).fit(x, lengths=[25, 35])
    assert whole.n_samples_seen_ == 58
    assert parts.n_samples_seen_ == 56
    by_hand = [*(np.arange(25)[2:]), *(np.arange(25, 60)[2:])]
    centred = x - x.mean(axis=0)
    now, before = centred[by_hand], centred[np.array(by_hand) - 2]
    np.testing.assert_allclose(parts.slowness_, slowest(now, before, 1)[0], atol=1e-9)
    online = (
        OnlineSFA(1, lag=2, random_state=0).partial_fit(x[:20]).partial_fit(x[20:40]).partial_fit(x[40:], follows=False)
    )
    assert online.n_samples_seen_ == 18 + 20 + 18
    with pytest.raises(ValueError, match="lengths must be whole numbers above 0 that add up to 60 rows"):
        whole.fit(x, lengths=[30, 40])
    with pytest.raises(ValueError, match=r"No series has more than lag=2 rows \(n_samples = 4\)"):
        whole.fit(x[:4], lengths=[2, 2])


@pytest.mark.parametrize("solver", ["alternation", pytest.param("online", marks=pytest.mark.slow)])
def test_components_of_the_foreground(solver, rng):
    samples = 300 if solver == "alternation" else 30_000
    behind = rng.random(samples) < 0.3
    x = (
        rng.normal(size=(samples, 5)) * np.where(behind[:, None], [4, 1, 1, 1, 8], [1, 3, 2, 1.2, 9])
        + behind[:, None] * 5
    )
    cpca = ContrastivePCA(2, solver=solver, batch_size=100, background="b", random_state=0)
    cpca.fit(x, np.where(behind, "b", "f"))
    fore, back = (np.cov(x[behind == kind].T, bias=True) for kind in (False, True))
    values, vectors = exact(fore, back, 2)
    tolerance = 1e-7 if solver == "alternation" else 0.05
    assert angle(cpca.components_.T, vectors) < (1e-5 if solver == "alternation" else 1.5)
    np.testing.assert_allclose(cpca.variance_ratio_, values, rtol=tolerance)
    np.testing.assert_allclose(cpca.components_ @ back @ cpca.components_.T, np.eye(2), atol=tolerance)
    np.testing.assert_allclose(cpca.transform(x[~behind]).mean(axis=0), 0, atol=1e-9 if tolerance < 1e-6 else 0.1)


def test_use_outside_the_conditions_is_told(rng):
    x, y = two_views(rng, 100)
    dependent = np.hstack([x, x[:, :1] + x[:, 1:2]])
    with pytest.warns(UserWarning, match="The 12 features are linearly dependent, .* among the 11 directions"):
        cca = OnlineCCA(2).fit(dependent, y)
    np.testing.assert_allclose(cca.canonical_correlations_, OnlineCCA(2).fit(x, y).canonical_correlations_, rtol=1e-7)
    cca = OnlineCCA(2).partial_fit(dependent, y)  # few rows of a stream may be alike
    many = 20 * list(range(100))
    with pytest.warns(UserWarning, match="Features of the 2100 rows seen so far are linearly dependent"):
        cca.partial_fit(dependent[many], y[many])
    cca.partial_fit(dependent, y)  # told once
    with pytest.raises(ValueError, match="n_components=6 must be at most 5"):
        OnlineCCA(6).fit(x, y)
    with pytest.raises(ValueError, match="y has 4 features, but OnlineCCA has seen 5"):
        cca.partial_fit(dependent, y[:, :4])
    assert cca.n_samples_seen_ == 2200
    with pytest.raises(ValueError, match="all rows are foreground where the label 3 marks the background"):
        ContrastivePCA(1, background=3).fit(x, np.ones(100))
    with pytest.raises(ValueError, match="give `background`"):
        ContrastivePCA(1).partial_fit(x, np.ones(100))
    with pytest.warns(ConvergenceWarning, match="The alternation has not converged after 2 passes"):
        OnlineCCA(2, max_iter=2).fit(x, y)
