"""Learning arrives with defaults, or says why not: short forms of `benchmarks.spectra`, `.grid` and `.defaults`."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import simatch as sm
from benchmarks import defaults, grid, spectra
from simatch.estimators import SimilarityMatching
from simatch.learning import automatic_rate


@pytest.mark.parametrize("seed", range(12))
def test_random_spectra_arrive_or_warn(seed):
    # One shape, so that one compiled program serves all.
    outcome = spectra.outcome(spectra.random_case(seed, ratio=100.0 if seed % 2 else None, shape=(6, 500, 8)))
    assert outcome.arrived or outcome.warned
    assert outcome.error < 0.05


def test_no_component_is_lost(rng):
    """Case 1: the published ratio of rates left output variances of 12.39, 4.04 and 0.00."""
    x = rng.normal(size=(2000, 10)) * [3, 2, 1, *[0.3] * 7]
    x -= x.mean(axis=0)
    z = SimilarityMatching(3, max_iter=200, random_state=0).fit_transform(x)
    found = np.linalg.eigvalsh(z.T @ z / len(z))[::-1]
    np.testing.assert_allclose(found, np.linalg.eigvalsh(x.T @ x / len(x))[::-1][:3], rtol=0.01)


def test_similarities_of_iris_are_those_of_its_principal_components():
    """Case 5: with defaults the relative error of the similarities was 0.81 without a word; the least is 0.048."""
    x = StandardScaler().fit_transform(load_iris().data)
    similarities = x @ x.T

    def error(z):
        return np.linalg.norm(similarities - z @ z.T) / np.linalg.norm(similarities)

    least = error(PCA(2).fit_transform(x))
    assert error(SimilarityMatching(2, random_state=0).fit_transform(x)) < 1.01 * least


def test_a_tie_of_the_last_variance_kept_is_not_silent():
    outcome = spectra.outcome(spectra.tied_case(0, 0.0))
    assert outcome.warned
    assert not outcome.arrived


def test_variances_near_the_limit_of_single_precision_are_not_silent():
    # Kept variances of 7e5 and 18: the certificate must see what rounding does to the outputs.
    for seed in range(3):
        outcome = spectra.outcome(spectra.Case("wine", load_wine().data, 3, seed))
        assert outcome.arrived or outcome.warned


def test_a_spectrum_beyond_single_precision_is_named(recwarn):
    SimilarityMatching(5, random_state=0, max_iter=10).fit(load_wine().data)
    assert any("single precision" in str(w.message) for w in recwarn.list)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_captured_variance_is_that_of_principal_components(load):
    x = StandardScaler().fit_transform(load().data)
    best = PCA(3).fit(x).explained_variance_ratio_.sum()
    found = SimilarityMatching(3, random_state=0).fit(x).explained_variance_ratio_.sum()
    assert best - found < 0.01 * best


# What once collapsed, or diverged, without a word that helps.
@pytest.mark.parametrize(
    ("name", "activation", "depth"),
    [
        ("50 rows", "tanh", 2),
        ("raw pixels 0..255", "shifted_relu", 1),
        ("50 rows", "relu", 2),
        ("almost constant", "tanh", 1),
    ],
)
def test_nothing_collapses_silently(name, activation, depth):
    assert grid.cell(grid.inputs(name), activation, depth, max_iter=30).outcome in ("arrived", "warned")


@pytest.mark.parametrize("bad", ["copies", "constant", "rank", "saturated", "infinite"])
def test_collapse_is_recognised(bad, rng):
    x, z = rng.normal(size=(200, 8)), np.tanh(rng.normal(size=(200, 6)))
    assert grid.collapse(z, x, sm.activation("tanh")) == ""
    z = {
        "copies": z[:, :1] * np.arange(1, 7),
        "constant": np.ones((200, 6)) + 1e-4 * z,
        "rank": z[:, :1] + 0.2 * z,
        "saturated": np.sign(z),
        "infinite": np.where(z > 0, np.inf, z),
    }[bad]
    assert grid.collapse(z, x, sm.activation("tanh"))


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_clusters_are_better_than_those_of_factorisation():
    rows = list(defaults.clustered(load_digits().data / 16, load_digits().target, "digits", seeds=1))
    scores = {method: float(value) for _, method, value, _ in rows}
    assert min(scores["SimilarityMatching, relu"], scores["the same, centred"]) > scores["MiniBatchNMF"]


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_learning_is_not_worse_than_not_learning(load):
    x, y = StandardScaler().fit_transform(load().data), load().target
    estimator = SimilarityMatching(4)
    before, after = np.mean([defaults.versus_untrained(estimator, x, y, seed) for seed in range(3)], axis=0)
    assert after >= before


def test_no_unit_is_silenced_by_the_first_steps():
    x = load_digits().data / 16
    fitted = SimilarityMatching(64, activation="relu", max_iter=30, tol=0, random_state=0).fit(x)
    assert fitted.silent_["layer1"] < 0.2
    rates = [automatic_rate(400)(n) for n in range(10)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.05)
