"""Streams: what `partial_fit` and iterators track, and rows that come in an unusual size, number or order."""

import contextlib
import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from sklearn.decomposition import IncrementalPCA

from benchmarks.streams import KEPT, NOISE, VARIANCES, angles, angles_of_train, best_memory, jumping, matching, rotating
from simatch import ConvergenceWarning
from simatch.estimators import SimilarityMatching

AXES = rotating(0.0)(0)


def data(count, seed=0, axes=AXES):
    """Rows with three strong components."""
    rng = np.random.default_rng(seed)
    kept = rng.normal(size=(count, KEPT)) * np.sqrt(VARIANCES)
    return kept @ axes.T + np.sqrt(NOISE) * rng.normal(size=(count, len(axes)))


def angle(learner):
    return np.degrees(scipy.linalg.subspace_angles(learner.components_.T, AXES)[0])


def new(**settings):
    return SimilarityMatching(KEPT, **{"random_state": 0, **settings})


def level(learner):
    return np.sqrt(np.mean(learner.transform(data(300, seed=99)) ** 2))


# Drift


def test_a_rotating_subspace_is_followed_where_incremental_pca_is_left_behind():
    """At the best memory, which the linear theory names, with about the error that it names."""
    degrees, calls = 0.5, 40
    own = angles(matching(100 / best_memory(degrees)), rotating(degrees), calls)[-20:].mean()
    automatic = angles(matching("auto"), rotating(degrees), calls)[-20:].mean()
    theirs = angles(IncrementalPCA(KEPT), rotating(degrees), calls)[-20:].mean()
    assert own < 3
    assert theirs > 3 * own
    assert theirs > 3 * automatic


def test_lag_and_noise_are_those_of_the_linear_theory():
    """Slow learning in a fast rotation lags by speed x memory; fast learning in none has noise that falls as a root."""
    gain = 1 - NOISE / VARIANCES.min()
    lag = angles(matching(100 / 3200), rotating(1.0), 60)[-20:].mean()
    np.testing.assert_allclose(lag, 3.2 / gain, rtol=0.15)
    still = [np.sqrt(np.mean(angles(matching(rate), rotating(0.0), 40)[-25:] ** 2)) for rate in (0.4, 0.1)]
    np.testing.assert_allclose(still[0] / still[1], 2, rtol=0.2)


def test_a_jump_is_forgotten():
    found = angles(matching(0.2), jumping(10_000), 20)
    assert found[9] < 5
    assert found[10] > 20
    assert found[-1] < 5
    theirs = angles(IncrementalPCA(KEPT), jumping(10_000), 20)
    assert theirs[-1] > 3 * found[-1]


def test_an_iterator_with_a_constant_rate_is_followed_as_by_partial_fit():
    found = angles_of_train(rotating(0.5), 40, 0.1)
    own = angles(matching(0.1), rotating(0.5), 40)
    np.testing.assert_allclose(found[-20:].mean(), own[-20:].mean(), rtol=0.05)


def test_the_automatic_rate_knows_rows_not_calls():
    """It falls with the rows seen, whatever the calls, and not below the one at which 20,000 rows are remembered."""
    calls = new()
    for part in (1, 49, 350, 400, 800, 4000):
        calls.partial_fit(data(part))
    np.testing.assert_allclose(calls.rate_, 0.5 / (1 + 5200 / 400 / 19))
    calls.n_samples_seen_ = 10**9
    assert calls.partial_fit(data(800)).rate_ == 0.02
    assert calls.partial_fit(data(100)).rate_ == 0.005


# Calls, batches and rates


def test_rows_one_at_a_time():
    one, many = (new(learning_rate=0.01, batch_size=size) for size in ("auto", 1))
    rows = data(400)
    for row in rows:
        one.partial_fit(row[None])
    many.partial_fit(rows)
    assert one.n_steps_ == many.n_steps_ == one.n_samples_seen_ == 400
    assert angle(one) < 20
    assert angle(many) < 20


@pytest.mark.parametrize("rate", ["auto", 0.5, lambda n: 0.5])
def test_a_last_batch_of_one_row_does_little(rate):
    learner = new(learning_rate=rate).partial_fit(data(2000))
    before = learner.network_.lateral[0].to_dense()
    with_tail, without = copy.deepcopy(learner), copy.deepcopy(learner)
    rows = data(401, seed=1)
    rows[-1] *= 3
    with_tail.partial_fit(rows)
    without.partial_fit(rows[:400])
    after, wanted = with_tail.network_.lateral[0].to_dense(), without.network_.lateral[0].to_dense()
    assert np.abs(after - wanted).max() < 0.1 * np.abs(before).max()
    assert np.abs(after - wanted).max() > 0
    assert angle(with_tail) < angle(without) + 2


def test_a_constant_rate_counts_rows_alike():
    """Calls shorter than a batch learn at a proportionally smaller rate."""
    learner = new(learning_rate=0.2, batch_size=100).partial_fit(data(100))
    assert learner.rate_ == 0.2
    assert learner.partial_fit(data(10)).rate_ == pytest.approx(0.02)
    assert learner.partial_fit(data(250)).rate_ == pytest.approx(0.1)


def test_after_fit_learning_goes_on_at_the_rate_that_was_reached():
    fitted = new(learning_rate=0.2, max_iter=3, batch_size=100, tol=0).fit(data(1000))
    reached = fitted.rate_
    assert reached < 0.2 / 15
    for _ in range(2):
        assert fitted.partial_fit(data(150)).rate_ == pytest.approx(reached / 2)
    assert fitted.partial_fit(data(100)).rate_ == pytest.approx(reached)


def test_after_fit_the_subspace_gets_better():
    fitted = new().fit(data(1000))
    before = angle(fitted)
    for seed in range(1, 11):
        fitted.partial_fit(data(400, seed=seed))
    assert angle(fitted) < before


# Sizes


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_a_quiet_first_row(activation):
    rows = data(2000)
    usual, quiet = new(activation=activation), new(activation=activation)
    quiet.partial_fit(1e-3 * rows[:1])
    usual.partial_fit(rows[:1])
    for i in range(1, 2000, 400):
        usual.partial_fit(rows[i : i + 400])
        quiet.partial_fit(rows[i : i + 400])
    assert level(quiet) == pytest.approx(level(usual), rel=0.2)
    assert quiet.score(rows) > usual.score(rows) - 0.05
    assert quiet.saturated_["layer1"] < 0.1


@pytest.mark.parametrize("factor", [1e3, pytest.param(1e-3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("count", [400, 1])  # for a call
def test_data_in_another_size_keep_what_was_learned(activation, factor, count):
    learner = new(activation=activation)
    for seed in range(5):
        learner.partial_fit(data(400, seed=seed))
    before = learner.score(data(1000, seed=50))
    rows = factor * data(400 if count > 1 else 120, seed=7)
    for i in range(0, len(rows), count):
        learner.partial_fit(rows[i : i + count])
    # From single rows, sizes are found as soon as there are eight, which is coarse.
    assert learner.score(factor * data(1000, seed=50)) > before * (0.9 if count > 1 else 0.55)
    assert learner.saturated_["layer1"] < 0.5
    if activation == "tanh":
        assert np.sqrt(np.mean(learner.transform(rows) ** 2)) == pytest.approx(0.5, rel=0.5)


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_single_rows_of_another_size_change_no_scale(activation):
    learner = new(activation=activation).partial_fit(data(400))
    scale, unit = float(learner.network_.feedforward[0].scale), learner.unit_
    for size in (1e-3, 1e-25, 2.0):
        # The squares of 1e-25 vanish, so that nobody knows whether the row has settled.
        with pytest.warns(ConvergenceWarning, match="1 of 1") if size == 1e-25 else contextlib.nullcontext():
            learner.partial_fit(size * data(1))
        assert (float(learner.network_.feedforward[0].scale), learner.unit_) == (scale, unit)


@pytest.mark.parametrize(
    ("activation", "kind"), [("linear", np.asarray), ("relu", np.asarray), ("tanh", scipy.sparse.csr_array)]
)
def test_rows_of_zeros_first(activation, kind):
    late, usual = new(activation=activation), new(activation=activation)
    with pytest.warns(UserWarning, match="respond to no sample"):
        late.partial_fit(kind(np.zeros((400, 20))))
    for seed in range(3):
        for learner in (late, usual):
            learner.partial_fit(kind(100 * data(400, seed=seed)))
    np.testing.assert_array_equal(late.transform(data(50)), usual.transform(data(50)))
    assert late.n_samples_seen_ == 1200


def test_rows_of_zeros_later_are_told_and_change_nothing():
    learner = new(learning_rate=0.5).partial_fit(data(400))
    before = learner.network_
    with pytest.warns(UserWarning, match="All rows are 0") as told:
        learner.partial_fit(np.zeros((4000, 20)))
    assert len(told) == 1
    assert learner.network_ is before


def test_one_call_warns_at_most_once():
    """Of a layer that is ill in all of its batches."""
    learner = new(activation="tanh", scale=1e4, batch_size=100)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            learner.partial_fit(data(2000))
        assert len(told) == 1


# Files


def test_pickles_go_on_and_hold_no_rows():
    learner = new(activation="tanh").partial_fit(data(400))
    again = pickle.loads(pickle.dumps(learner))  # noqa: S301
    assert again._latest is None
    np.testing.assert_array_equal(
        again.partial_fit(data(400, seed=1)).transform(data(9)),
        learner.partial_fit(data(400, seed=1)).transform(data(9)),
    )
