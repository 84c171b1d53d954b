"""Estimators that learn from targets keep scikit-learn's contract, and learn."""

import pickle

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import simatch as sm
from simatch.estimators import (
    ContrastiveSimilarityMatching,
    EquilibriumPropagation,
    PredictiveCodingClassifier,
    PredictiveCodingRegressor,
    SupervisedSimilarityMatching,
    _supervised,
    load,
    save,
)

pytestmark = pytest.mark.filterwarnings("ignore::simatch.HealthWarning")  # of layers of three units

FAST = {"max_iter": 5, "batch_size": 10}
CLASSIFIERS = [
    EquilibriumPropagation((3,), **FAST, random_state=0),
    ContrastiveSimilarityMatching((3,), **FAST, random_state=0),
    SupervisedSimilarityMatching(3, **FAST, random_state=0),
    PredictiveCodingClassifier((3,), **FAST, random_state=0),
]
ALL = [*CLASSIFIERS, PredictiveCodingRegressor((3,), max_iter=20, batch_size=10, learning_rate=1.0, random_state=0)]
NAMES = [type(estimator).__name__ for estimator in ALL]


@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
@parametrize_with_checks([clone(CLASSIFIERS[3]).set_params(max_iter=20)])
def test_contract(estimator, check, monkeypatch):
    """All checks of the classifier that compiles fastest; the others have the same base and only another model."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
@parametrize_with_checks([*CLASSIFIERS[:2], ALL[-1]])
def test_contract_of_others(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.fixture
def task(rng):
    x = rng.normal(size=(60, 4))
    return x, np.array(["b", "a", "c"])[np.argmax(x[:, :3], axis=1)]


@pytest.mark.parametrize("estimator", ALL, ids=NAMES)
def test_round_trips(estimator, task, tmp_path):
    """A clone learns the same; a pickle and a folder answer the same."""
    x, y = task
    y = y if estimator in CLASSIFIERS else x[:, 0]
    fitted = clone(estimator).fit(x, y)
    answers = fitted.predict(x)
    np.testing.assert_array_equal(clone(fitted).fit(x, y).predict(x), answers)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(x), answers)  # noqa: S301
    save(fitted, tmp_path / "fitted")
    again = load(tmp_path / "fitted")
    np.testing.assert_array_equal(again.predict(x), answers)
    assert again.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(fitted).predict(x)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=NAMES[:-1])
def test_partial_fit(estimator, task):
    """The first call needs all classes; later ones may lack some; a wrong call changes nothing."""
    x, y = task
    learner = clone(estimator)
    with pytest.raises(ValueError, match="needs all labels"):
        learner.partial_fit(x, y)
    assert not hasattr(learner, "network_")
    few = y != "c"
    learner.partial_fit(x[few], y[few], classes=["a", "b", "c"]).partial_fit(x[:20], y[:20])
    assert learner.n_samples_seen_ == few.sum() + 20
    assert learner.decision_function(x).shape == (60, 3)
    before = learner.predict(x)
    for wrong in ({"y": np.full(60, "z")}, {"y": y, "classes": ["a", "b"]}):
        with pytest.raises(ValueError, match=r"classes"):
            learner.partial_fit(x, **wrong)
    np.testing.assert_array_equal(learner.predict(x), before)
    assert learner.n_samples_seen_ == few.sum() + 20


def test_streams_go_on_where_they_were(task):
    """Rows count alike, one by one or together; the state of the rule goes on; wrong settings are told."""
    x, y = task
    start = EquilibriumPropagation((3,), random_sign=True, batch_size=10, random_state=0)
    one = clone(start).partial_fit(x[:10], y[:10], classes=np.unique(y))
    assert int(one._last.state.rule[1]) == 1
    one.partial_fit(x[10:20], y[10:20])
    assert int(one._last.state.rule[1]) == 2
    moved = []
    for parts in ([slice(0, 10)], [slice(k, k + 1) for k in range(10)]):
        learner = clone(start).set_params(random_sign=False)
        for k, part in enumerate(parts):
            learner.partial_fit(x[part], y[part], classes=np.unique(y) if k == 0 else None)
            if k == 0:
                learner.unit_ = 1.0
        moved.append(
            np.linalg.norm(
                learner.network_.feedforward[0].to_dense() - learner._model().network.feedforward[0].to_dense()
            )
        )
    assert 0.3 < moved[1] / moved[0] < 3
    with pytest.raises(ValueError, match="at least 2 classes"):
        clone(start).partial_fit(x, y, classes=["a"])
    with pytest.raises(ValueError, match=r"2\.7"):
        clone(start).set_params(hidden=(2.7,)).fit(x, y)


def test_an_interrupted_fit_goes_on(task, tmp_path, monkeypatch):
    """To the same weights, bit for bit; what determines them must be repeatable."""
    x, y = task
    start = clone(CLASSIFIERS[3]).set_params(max_iter=40)
    whole = clone(start).fit(x, y)
    kept = clone(start).set_params(checkpoints=tmp_path)
    after = []

    def interrupted(*arguments, **settings):
        after.append(settings["after"])
        steps = sm.training(*arguments, **settings)
        yield next(steps)
        if len(after) == 1:
            raise KeyboardInterrupt
        yield from steps

    monkeypatch.setattr(_supervised, "training", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept.fit(x, y)
    assert not hasattr(kept, "network_")
    kept.fit(x, y)
    assert (after[0], after[1].batches) == (None, 100)
    assert (kept.n_steps_, kept.n_samples_seen_) == (whole.n_steps_, whole.n_samples_seen_) == (240, 2400)
    jax.tree.map(np.testing.assert_array_equal, kept.network_.parameters, whole.network_.parameters)
    np.testing.assert_array_equal(kept.cost_history_, whole.cost_history_)
    with pytest.raises(ValueError, match="of another run, with learning"):
        clone(kept).set_params(learning="settled").fit(x, y)
    with pytest.raises(ValueError, match="random_state must be an integer, got None"):
        kept.set_params(random_state=None).fit(x, y)


def test_local_layers(rng):
    """The network is that of the constructor; an image is needed; a changed layer does not fit the network so far."""
    x = rng.normal(size=(60, 16))
    y = x[:, 0] > 0
    layer = sm.Layer(units=2, stride=2, radius=1.0)
    local = EquilibriumPropagation((layer,), image_shape=(4, 4), **FAST, random_state=0).fit(x, y)
    expected = sm.models.equilibrium(sm.Grid(4, 4), [layer], 2).network
    assert local.network_.synapses == expected.synapses < 16 * 8 + 8 * 2
    with pytest.raises(ValueError, match=r"hidden\[0\] has a radius or a stride.*image_shape"):
        clone(local).set_params(image_shape=None).fit(x, y)
    before = local.network_
    with pytest.raises(ValueError, match=r"cannot go on learning with hidden=\(8,\), image_shape=\(4, 4\)"):
        local.set_params(hidden=(8,)).partial_fit(x, y)
    assert local.network_ is before


def test_two_classes(task):
    x, y = task
    fitted = clone(CLASSIFIERS[0]).fit(x, y == "a")
    margin = fitted.decision_function(x)
    assert margin.shape == (60,)
    np.testing.assert_array_equal(fitted.predict(x), margin > 0)
    with pytest.raises(ValueError, match="only one class"):
        fitted.fit(x, np.ones(60))
    np.testing.assert_array_equal(fitted.decision_function(x), margin)


def test_the_size_of_the_input_does_not_matter(task):
    """Powers of two, so that nothing rounds differently."""
    x, y = task
    answers = [clone(CLASSIFIERS[0]).fit(scale * x, y).decision_function(scale * x) for scale in (1.0, 256.0)]
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_warm_start_goes_on(task):
    x, y = task
    learner = clone(CLASSIFIERS[0]).set_params(warm_start=True).fit(x, y)
    first = learner.network_
    learner.fit(x, y)
    assert learner.n_samples_seen_ == 2 * 5 * 60
    assert not np.array_equal(learner.network_.feedforward[0].to_dense(), first.feedforward[0].to_dense())


def test_the_model_is_the_one_of_its_constructor(task):
    """The estimator is the constructor, trained on inputs in their unit."""
    x, y = task
    # Settled so far that it does not matter where inputs are rounded.
    fitted = clone(CLASSIFIERS[0]).set_params(tolerance=1e-6).fit(x, y)
    outputs = fitted.model_.outputs((x / fitted.unit_).astype(np.float32))
    np.testing.assert_allclose(fitted.decision_function(x), outputs, atol=1e-5)
    assert isinstance(fitted.model_, sm.models.Supervised)
