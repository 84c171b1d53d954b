"""The linear readout against scikit-learn's `LinearSVC`, whose cost it minimises."""

import gc
import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from simatch.readout import LinearReadout, choose_cost
from simatch.readout import _readout as module

X, Y = load_digits(return_X_y=True)
X = X / 16


@parametrize_with_checks([LinearReadout()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("labels", [Y, Y > 6, np.array(["few", "many"])[(Y > 1) * 1]], ids=["ten", "two", "names"])
@pytest.mark.parametrize(("C", "scaling"), [(0.01, 1.0), (1.0, 5.0)])
def test_agrees_with_linear_svc(class_weight, labels, C, scaling):
    ours = LinearReadout(C, class_weight=class_weight, intercept_scaling=scaling, tol=1e-12).fit(X, labels)
    theirs = LinearSVC(
        C=C, class_weight=class_weight, intercept_scaling=scaling, tol=1e-8, dual=False, max_iter=100_000
    ).fit(X, labels)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_objective_is_the_cost_of_linear_svc():
    """Every class's cost, typed out, at our weights and at those of `LinearSVC`; ours is no higher."""
    ours = LinearReadout(0.1).fit(X, Y)

    def cost(coef, intercept):
        signs = np.where(Y[:, None] == np.arange(10), 1, -1)
        errors = np.maximum(0, 1 - signs * (X @ coef.T + intercept))
        return (coef**2).sum(1) / 2 + intercept**2 / 2 + 0.1 * (errors**2).sum(0)

    theirs = LinearSVC(C=0.1, dual=True, tol=1e-6, max_iter=100_000, random_state=0).fit(X, Y)
    np.testing.assert_allclose(ours.objective_, cost(ours.coef_, ours.intercept_), rtol=1e-9)
    np.testing.assert_allclose(ours.objective_, cost(theirs.coef_, theirs.intercept_), rtol=1e-5)
    assert (ours.objective_ <= cost(theirs.coef_, theirs.intercept_) * (1 + 1e-6)).all()
    assert (ours.suboptimality_ <= 1e-6).all()


def test_more_features_than_samples(rng):
    x, y = rng.normal(size=(40, 300)), rng.integers(3, size=40)
    ours = LinearReadout(tol=1e-12).fit(x, y)
    theirs = LinearSVC(tol=1e-10, dual=True, max_iter=100_000, random_state=0).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


def test_float32_is_not_copied_nor_converted(monkeypatch):
    x = X.astype(np.float32)
    seen = []
    newton = module._newton
    monkeypatch.setattr(module, "_newton", lambda problem, *a: seen.append(problem.x) or newton(problem, *a))
    ours = LinearReadout(0.1).fit(x, Y)
    assert all(np.shares_memory(x, other) for other in seen)
    assert ours.coef_.dtype == np.float32
    np.testing.assert_allclose(ours.objective_, LinearReadout(0.1, tol=1e-10).fit(X, Y).objective_, rtol=2e-6)


def test_memory_is_a_fraction_of_the_features(rng):
    y = rng.integers(3, size=40_000)
    x = (rng.normal(size=(40_000, 400)) + 3 * np.eye(3, 400)[y]).astype(np.float32)
    LinearReadout().fit(x, y)  # what the first fit of a process imports stays, and is not for the features
    gc.collect()
    tracemalloc.start()
    LinearReadout().fit(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2


def test_weights_by_label_as_in_linear_svc():
    weights = {0: 0.1, 3: 10.0}
    ours = LinearReadout(0.1, class_weight=weights, tol=1e-12).fit(X, Y)
    theirs = LinearSVC(C=0.1, class_weight=weights, tol=1e-8, dual=False, max_iter=100_000).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


def test_growing_parts_reach_the_same_optimum(rng):
    """Enough samples that the fit starts on a part of them, read in several chunks."""
    y = rng.integers(3, size=9000)
    x = rng.normal(size=(9000, 10)) + np.eye(3, 10)[y]
    ours = LinearReadout(tol=1e-12).fit(x, y)
    theirs = LinearSVC(tol=1e-8, dual=False, max_iter=100_000).fit(x, y)
    assert module._growing(len(x)) == [2250]
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


def test_threads_change_nothing():
    one, two = LinearReadout(0.1).fit(X, Y), LinearReadout(0.1, n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_warm_start_at_the_optimum_takes_no_step():
    readout = LinearReadout(0.1, warm_start=True).fit(X, Y)
    assert readout.n_iter_ > 0
    assert readout.fit(X, Y).n_iter_ == 0


def test_too_few_steps_warn():
    with pytest.warns(ConvergenceWarning, match="after 1 steps"):
        LinearReadout(max_iter=1).fit(X, Y)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="only one class: 0"):
        LinearReadout().fit(X, np.zeros(len(X), int))


@pytest.mark.parametrize("parameter", [{"C": 0.0}, {"C": -1.0}, {"intercept_scaling": 0.0}, {"max_iter": 0}])
def test_parameters_out_of_range_are_refused(parameter):
    with pytest.raises(ValueError, match=next(iter(parameter))):
        LinearReadout(**parameter).fit(X, Y)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        LinearReadout().fit(np.where(X == 1, np.nan, X), Y)


def test_cost_is_chosen_on_the_validation_part():
    train, valid = slice(0, 900), slice(900, None)
    costs = [1e-5, 1e-2, 1e2]
    best, errors = choose_cost(LinearReadout(), X[train], Y[train], X[valid], Y[valid], costs)
    for C in costs:
        alone = LinearReadout(C).fit(X[train], Y[train])
        assert errors[C] == pytest.approx(1 - alone.score(X[valid], Y[valid]), abs=3e-3)
    assert min(errors, key=lambda C: errors[C]) == best.C
    assert best.score(X[valid], Y[valid]) == pytest.approx(1 - errors[best.C])
    assert not best.warm_start


def test_no_costs_are_refused():
    with pytest.raises(ValueError, match="no C"):
        choose_cost(LinearReadout(), X, Y, X, Y, [])
