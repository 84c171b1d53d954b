"""The estimators keep scikit-learn's contract, and are the networks they say they are."""

import copy
import importlib.util
import pickle

import jax
import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import simatch as sm
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching

# One batch size and few numbers of features, since every new shape is a new program to compile.
# Two passes arrive nowhere, which is not what these tests are about: tol is 0, for "never".
FAST = {"max_iter": 2, "batch_size": 10, "tol": 0.0}


def single(**settings):
    return SimilarityMatching(**{"n_components": 2, "random_state": 0, **FAST, **settings})


def deep(**settings):
    return DeepSimilarityMatching(**{"layers": (3, 2), "feedback": 0.2, "random_state": 0, **FAST, **settings})


def local(**settings):
    """Sixteen pixels seen by four sites of three units, and one site of two on top."""
    return deep(layers=(sm.Layer(units=3, stride=2, radius=1.0), 2), image_shape=(4, 4), **settings)


BOTH = pytest.mark.parametrize("make", [single, deep])


@pytest.fixture
def x(rng):
    return rng.normal(size=(40, 16))


# The contract


# One layer, the same as SimilarityMatching's: both share their compiled programs, of which the checks need dozens.
@parametrize_with_checks([SimilarityMatching(2, **FAST), DeepSimilarityMatching((2,), activation="linear", **FAST)])
def test_contract(estimator, check, monkeypatch):
    """All checks run; those of data frames are skipped where pandas or polars, both optional, are missing."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it, one check is skipped
    check(estimator)


@BOTH
def test_clone_and_pickle(make, x):
    fitted = make().fit(x)
    features = fitted.transform(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(x), features)  # noqa: S301
    fresh = clone(fitted)
    with pytest.raises(NotFittedError):
        fresh.transform(x)
    np.testing.assert_array_equal(fresh.fit(x).transform(x), features)


@BOTH
def test_what_is_stored_are_numpy_arrays(make, x):
    """Other libraries store the state too, and cannot know what an array on a device is."""
    fitted = make().fit(x)
    for array in jax.tree.leaves(fitted.__getstate__()["network_"]):
        assert isinstance(array, np.ndarray)
    stored = pickle.dumps(fitted)
    assert b"jaxlib" not in stored
    assert b"jax._src" not in stored
    for array in jax.tree.leaves(copy.deepcopy(fitted).network_):
        assert isinstance(array, jax.Array)


@BOTH
def test_seeds(make, x):
    features = make().fit_transform(x)
    np.testing.assert_array_equal(make().fit_transform(x), features)
    np.testing.assert_array_equal(make(random_state=np.random.RandomState(0)).fit_transform(x), features)
    assert np.abs(make(random_state=1).fit_transform(x) - features).max() > 1e-3


def test_default_precision_is_that_of_jax(x, x64):
    assert single().fit_transform(x.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library, x):
    frames = pytest.importorskip(library)
    names = [f"pixel{i}" for i in range(16)]
    table = frames.DataFrame(dict(zip(names, x.T, strict=True)))
    fitted = single().set_output(transform=library).fit(table)
    assert list(fitted.feature_names_in_) == names
    assert list(fitted.transform(table).columns) == ["similaritymatching0", "similaritymatching1"]


def test_feature_names(x):
    names = local().fit(x).get_feature_names_out()
    assert list(names) == ["deepsimilaritymatching0", "deepsimilaritymatching1"]


def test_pipeline_and_grid_search():
    images, labels = load_digits(n_class=3, return_X_y=True)
    images, labels = images[:200] / 16, labels[:200]
    pipeline = make_pipeline(StandardScaler(with_std=False), single(max_iter=60), LogisticRegression())
    search = GridSearchCV(pipeline, {"similaritymatching__n_components": [1, 4]}, cv=2).fit(images, labels)
    assert search.best_params_ == {"similaritymatching__n_components": 4}
    assert search.best_score_ > 0.9


# Callbacks, which scikit-learn has from version 1.9 on


with_callbacks = pytest.mark.skipif(importlib.util.find_spec("sklearn.callback") is None, reason="no callbacks yet")


class Recorder:
    """Keeps what each finished task passes on, and stops after `stop` of them."""

    def __init__(self, stop=None):
        self.events, self.tasks, self.stop = [], [], stop

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X, fitted_estimator):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, metadata, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        self.tasks.append((metadata, fitted_estimator.transform(X)))
        return len(self.tasks) == self.stop


@with_callbacks
@BOTH
def test_callbacks(make, x):
    recorder = Recorder()
    fitted = make(max_iter=6).set_callbacks(recorder).fit(x)
    batches = ["begin batches", "end batches"] * 3
    assert recorder.events == ["setup", "begin fit", *batches, "end fit", "teardown"]
    costs = [metadata["cost"] for metadata, _ in recorder.tasks[:-1]]
    np.testing.assert_array_equal(costs, fitted.cost_history_)
    np.testing.assert_array_equal(recorder.tasks[-1][1], fitted.transform(x))
    assert np.abs(recorder.tasks[0][1] - recorder.tasks[1][1]).max() > 1e-4
    assert (fitted.n_iter_, fitted.n_steps_) == (6, 24)


@with_callbacks
def test_callback_stops_learning(x):
    recorder = Recorder(stop=1)
    fitted = single(max_iter=6).set_callbacks(recorder).fit(x)
    assert (fitted.n_iter_, fitted.n_steps_, len(fitted.cost_history_)) == (3, 10, 1)
    np.testing.assert_array_equal(recorder.tasks[0][1], fitted.transform(x))


@with_callbacks
def test_progress_bar(x, capsys):
    from sklearn.callback import ProgressBar

    single(verbose=True).set_callbacks(ProgressBar()).fit(x)
    assert "SimilarityMatching" in capsys.readouterr().out


# Oracles


def test_linear_outputs_span_the_principal_subspace(rng):
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    data = rng.normal(size=(1000, 16)) * np.r_[2.0, 1.6, 1.3, np.full(13, 0.3)] @ basis
    data -= data.mean(axis=0)
    matching = SimilarityMatching(3, random_state=0)
    filters = np.linalg.lstsq(data, matching.fit_transform(data))[0]
    angles = subspace_angles(filters, PCA(3).fit(data).components_.T)
    assert np.rad2deg(angles).max() < 1


@pytest.mark.parametrize("make", [single, deep, pytest.param(local, marks=pytest.mark.slow)])
def test_partial_fit_is_one_relaxation_and_one_step_of_learning(make, x):
    fitted = make(learning_rate=0.02).fit(x)
    before, steps = fitted.network_, fitted.n_steps_
    after = fitted.partial_fit(x[:10]).network_
    assert fitted.n_steps_ == steps + 1
    rows = x[:10] / fitted.unit_
    expected = sm.learn(before, sm.relax(before, rows, tolerance=1e-3), rate=fitted.rate_)
    for new, old, wanted in zip(after.pathways, before.pathways, expected.pathways, strict=True):
        np.testing.assert_allclose(new.to_dense(), wanted.to_dense(), rtol=1e-4, atol=1e-6)
        assert np.abs(new.to_dense() - old.to_dense()).max() > 1e-5


def test_partial_fit_in_batches_is_partial_fit_of_each(x):
    together = deep().partial_fit(x[:10]).partial_fit(x[10:30])
    apart = deep().partial_fit(x[:10]).partial_fit(x[10:20]).partial_fit(x[20:30])
    # A batch alone is filled up to a power of two, so that sums are rounded in another order.
    np.testing.assert_allclose(together.transform(x), apart.transform(x), rtol=1e-5, atol=1e-6)
    assert together.n_steps_ == apart.n_steps_ == 3


def test_partial_fit_learns_from_all_rows_in_their_order(x):
    settings = {"activation": "tanh", "learning_rate": 0.2}
    own = single(**settings).partial_fit(x[:10])
    expected = own.network_
    for rows, rate in ((x[10:20], 0.2), (x[20:30], 0.2), (x[30:37], 0.14)):
        expected = sm.learn(expected, sm.relax(expected, rows, tolerance=1e-3), rate=rate)
    own.partial_fit(x[10:37])
    assert own.n_steps_ == 4
    np.testing.assert_allclose(own.network_.feedforward[0].to_dense(), expected.feedforward[0].to_dense(), rtol=1e-4)
    backwards = single(**settings).partial_fit(x[:10]).partial_fit(x[36:9:-1])
    assert np.abs(backwards.transform(x) - own.transform(x)).max() > 1e-3


@with_callbacks
def test_fit_learns_from_all_rows(rng):
    """With batches of 100 and of 99, or of 100, 75 and 74."""
    for count, batches in ((199, 2), (249, 3)):
        recorder = Recorder()
        x = rng.normal(size=(count, 4))
        fitted = single(max_iter=1, batch_size=100).set_callbacks(recorder).fit(x)
        assert [metadata["samples"] for metadata, _ in recorder.tasks[:-1]][-1] == count
        assert (fitted.n_steps_, fitted.n_iter_, len(fitted.cost_history_)) == (batches, 1, batches)


@pytest.mark.parametrize("make", [single, local])
def test_transform_is_the_activity_of_the_top_layer(make, x):
    fitted = make().fit(x)
    rows = x / fitted.unit_
    top = fitted.unit_ * sm.relax(fitted.network_, rows, tolerance=1e-6).activities[-1].reshape(len(x), -1)
    np.testing.assert_allclose(fitted.transform(x), top, atol=1e-2)


def test_calibration_uses_the_graded_range(x):
    def level(scale):
        return np.sqrt(np.mean(single(activation="tanh", scale=scale, max_iter=10).fit_transform(x) ** 2))

    assert abs(level("auto") - 0.5) < 0.15
    assert level(0.02) < 0.25


# Bad input and corner cases


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_constant_data(make, value):
    constant = np.full((12, 16), value)
    features = make().fit_transform(constant)
    np.testing.assert_array_equal(features, np.broadcast_to(features[0], features.shape))


def test_invalid_rows_change_nothing(x):
    fitted = single().partial_fit(x)
    network, steps = fitted.network_, fitted.n_steps_
    with pytest.raises(ValueError, match="NaN"):
        fitted.partial_fit(np.where(np.arange(16) == 3, np.nan, x))
    with pytest.raises(ValueError, match="is expecting 16 features"):
        fitted.partial_fit(x[:, :3])
    with pytest.raises(ValueError, match="infinity or a value too large"):
        fitted.partial_fit(x * 1e50)
    assert fitted.network_ is network
    assert fitted.n_steps_ == steps


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (single(n_components=0), "'n_components' parameter .* must be an int"),
        (single(activation="sigmoid"), "no activation 'sigmoid'"),
        (single(learning_rate=3.0), "learning rate must be above 0 and at most"),
        (single(scale="automatic"), "'scale' parameter"),
        (single(tolerance=0.0), "'tolerance' parameter"),
        (deep(layers=()), "at least one layer"),
        (deep(layers=(4, 0)), "whole number of neurons above 0, got 0"),
        (deep(layers=("4",)), "whole number of neurons above 0, got '4'"),
        (deep(feedback=-0.1), "'feedback' parameter"),
        (deep(layers=(3, sm.Layer(units=2, radius=2.0))), r"layers\[1\] has a radius or a stride.*image_shape"),
        (deep(image_shape=(4, 5)), r"image_shape \(4, 5\) stands for 20 features, but X has 16"),
        (deep(image_shape=(16,)), r"must be \(height, width\).*got \(16,\)"),
        (deep(image_shape=(4.5, 4)), r"whole numbers above 0, got \(4.5, 4\)"),
        (deep(image_shape=(4, 4), layers=(sm.Layer(units=2, stride=3, radius=2.0),)), "stride of 3 does not divide"),
    ],
)
def test_settings_that_cannot_be(estimator, message, x):
    with pytest.raises(ValueError, match=message):
        estimator.fit(x)
    assert not hasattr(estimator, "network_")


def test_divergence_keeps_the_network(x):
    fitted = deep(activation="linear").partial_fit(x[:10])
    network = fitted.network_
    fitted.set_params(feedback=10.0, learning_rate=0.5, ratio=0.25, max_iter=50)
    with pytest.raises(sm.DivergenceError, match="less feedback"):
        fitted.fit(x)
    assert fitted.network_ is network


def test_unsettled_samples_are_not_silent(x):
    hasty = single(solver=sm.Accelerated(max_steps=1, check_every=1), tolerance=1e-7, activation="tanh", scale=1.0)
    with pytest.warns(sm.ConvergenceWarning, match="learned from before they had settled"):
        hasty.fit(x)
    with pytest.warns(sm.ConvergenceWarning, match="did not converge"):
        hasty.transform(x)


def test_warnings_are_those_of_scikit_learn(rng):
    """Filters of scikit-learn's ConvergenceWarning apply."""
    x = rng.normal(size=(20, 4))
    with pytest.warns(ConvergenceWarning, match="before they had settled"):
        DeepSimilarityMatching([4, 3], feedback=0.5, activation="tanh", scale=1.0, tolerance=1e-30, **FAST).fit(x)
