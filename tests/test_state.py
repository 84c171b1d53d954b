"""What is left after a failure: exceptions that travel, objects as before, and what was learned."""

import concurrent.futures
import importlib.util
import inspect
import multiprocessing
import pickle
import pkgutil
import warnings

import joblib
import numpy as np
import pytest

import simatch
import simatch as sm
from simatch.data import Preprocessing
from simatch.data._image_error import ImageError
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching
from simatch.readout import LinearReadout


def network():
    return sm.layered(4, [sm.Layer(units=2, activation="linear")])


@pytest.fixture
def x(rng):
    return rng.normal(size=(400, 4)).astype(np.float32)


def exceptions():
    """Every class of exceptions that the package defines."""
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(simatch.__path__, "simatch.")
        if "__main" not in m.name
    ]
    found = {own for module in modules for own in vars(module).values() if inspect.isclass(own)}
    return sorted(
        (own for own in found if issubclass(own, BaseException) and own.__module__.startswith("simatch.")),
        key=lambda own: own.__name__,
    )


def raised(kind):
    own = {sm.DivergenceError: [network()], ImageError: [7, "In x, image"]}
    return kind("what is wrong", *own.get(kind, []))


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_survives_a_pickle(kind):
    before = raised(kind)
    before.add_note("a note")
    after = pickle.loads(pickle.dumps(before))  # noqa: S301
    assert type(after) is kind
    assert (str(after), after.__notes__, set(vars(after))) == (str(before), ["a note"], set(vars(before)))
    if kind is sm.DivergenceError:
        np.testing.assert_array_equal(after.network.lateral[0].to_dense(), before.network.lateral[0].to_dense())


def diverge(_):
    raise sm.DivergenceError("worker", network())


def in_a_pool():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map_async(diverge, [0]).get(timeout=100)


def in_an_executor():
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(diverge, 0).result(timeout=100)


def by_joblib():
    joblib.Parallel(2, timeout=100)([joblib.delayed(diverge)(0)])


@pytest.mark.parametrize(
    "work", [in_a_pool, *(pytest.param(work, marks=pytest.mark.slow) for work in (in_an_executor, by_joblib))]
)
def test_workers_hand_over_what_they_raise(work):
    """An exception that could not be copied would hang a pool and break an executor."""
    with pytest.raises(sm.DivergenceError, match="worker") as caught:
        work()
    assert isinstance(caught.value.network, sm.Network)


def refit(model, x8, x4):
    model.set_params(learning_rate=5.0).fit(x8)


def wrong_shape(model, x8, x4):
    model.set_params(n_components="three").fit(x8)


def interrupted(model, x8, x4):
    model.set_params(learning_rate=stopping).fit(x8)


def stopping(n):
    raise KeyboardInterrupt


def streamed(model, x8, x4):
    model.set_params(learning_rate=stopping).partial_fit(x4)


def other_width(model, x8, x4):
    model.partial_fit(x8)


def warned(model, x8, x4):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(max_iter=1, tol=1e-12).fit(x8)


@pytest.mark.parametrize("attempt", [refit, wrong_shape, interrupted, streamed, other_width, warned])
def test_an_estimator_is_as_before_a_failed_fit(attempt, x, rng):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(x, columns=list("abcd"))
    model = SimilarityMatching(2, max_iter=1, tol=0, random_state=0).fit(frame)
    before, outputs = dict(vars(model)), model.transform(frame)
    with pytest.raises((ValueError, KeyboardInterrupt, UserWarning)):
        attempt(model, rng.normal(size=(400, 8)), frame)
    after = vars(model)
    assert set(after) == set(before)
    fitted = {name for name in before if name.endswith("_")}
    assert {"n_features_in_", "feature_names_in_", "network_", "unit_", "cost_history_"} <= fitted
    assert all(after[name] is before[name] for name in fitted)
    np.testing.assert_array_equal(model.transform(frame), outputs)


def test_a_failed_first_fit_leaves_nothing(x):
    model = DeepSimilarityMatching([2], image_shape=(3, 3))
    with pytest.raises(ValueError, match="image_shape"):
        model.fit(x)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_a_readout_is_as_before_a_failed_fit(x):
    y = (x[:, 0] > 0).astype(int)
    readout = LinearReadout().fit(x, y)
    before = dict(vars(readout))
    with pytest.raises(ValueError, match="only one class"):
        readout.fit(x[:, :2], np.zeros(400))
    assert vars(readout) == before
    assert readout.score(x, y) > 0.9


def test_preprocessing_is_as_before_a_failed_fit(rng):
    x = rng.random((5, 4, 4, 1))
    fitted = Preprocessing(mean_image=True, scale=1.0).fit(x)
    before = fitted.transform(x)
    for attempt in (fitted.fit, fitted.fit_transform):
        with pytest.raises(ValueError, match="Nothing is left"):
            attempt(np.ones((3, 6, 6, 1)))
        np.testing.assert_array_equal(fitted.transform(x), before)


def failing(x, good, error):
    """Batches of 10 samples, `good` of them and then an error."""
    for i in range(good):
        yield x[10 * i : 10 * i + 10]
    raise error


def learned(x, batches):
    return sm.train(network(), [x[10 * i : 10 * i + 10] for i in range(batches)], rate=0.1, progress=False)


def same(a, b):
    np.testing.assert_array_equal(a.lateral[0].to_dense(), b.lateral[0].to_dense())


def test_what_was_learned_before_an_iterable_fails(x):
    with pytest.raises(OSError, match="disk") as caught:
        sm.train(network(), failing(x, 13, OSError("disk")), rate=0.1, report_every=10, progress=False)
    assert "in place of batch 14" in caught.value.__notes__[0]
    assert "after 13 batches" in caught.value.__notes__[1]
    assert [r.batches for r in caught.value.reports] == [10, 13]
    same(caught.value.network, learned(x, 13)[0])


@pytest.mark.parametrize("bad", [np.full((10, 4), np.nan), np.ones((10, 5)), np.array([["a"] * 4] * 10)])
def test_what_was_learned_before_a_bad_batch(x, bad):
    batches = [*(x[10 * i : 10 * i + 10] for i in range(13)), bad, x[:10]]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        sm.train(network(), batches, rate=0.1, report_every=10, progress=False)
    assert "batch 14" in caught.value.__notes__[0]
    same(caught.value.network, learned(x, 13)[0])


@pytest.mark.parametrize("how", ["raises", "nan", "too large", "negative", "no number"])
def test_what_was_learned_before_a_schedule_fails(x, how):
    values = {"nan": np.nan, "too large": 3.0, "negative": -0.1, "no number": "fast"}

    def schedule(n):
        if n == 13:
            if how == "raises":
                raise ZeroDivisionError
            return values[how]
        return 0.1

    batches = [x[10 * i : 10 * i + 10] for i in range(20)]
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)) as caught:
        sm.train(network(), batches, rate=schedule, report_every=10, progress=False)
    assert "batch 13" in " ".join([str(caught.value), *caught.value.__notes__])
    same(caught.value.network, learned(x, 13)[0])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_was_learned_before_an_interrupt(x, kind):
    """A script stops at Ctrl-C, and yet nothing is lost: `sys.last_value.network` at a prompt."""

    def observe(net, report):
        if report.batches == 20:
            raise kind

    with pytest.raises(kind) as caught:
        sm.train(network(), [x[:10]] * 30, rate=0.1, report_every=10, observe=observe, progress=False)
    assert [r.batches for r in caught.value.reports] == [10, 20]
    same(caught.value.network, sm.train(network(), [x[:10]] * 20, rate=0.1, progress=False)[0])


def test_divergence_hands_over_the_reports_too(x):
    batches = [x[:10]] * 12 + [1e17 * x[:10]] + [x[:10]] * 3
    with pytest.raises(sm.DivergenceError, match="at batch 13") as caught:
        sm.train(network(), batches, rate=0.5, report_every=5, progress=False)
    assert [r.batches for r in caught.value.reports] == [5, 10]
    same(caught.value.network, sm.train(network(), batches[:12], rate=0.5, report_every=5, progress=False)[0])


def test_an_iterator_that_is_used_up(x):
    batches = iter([x[:10]])
    sm.train(network(), batches, progress=False)
    for empty in (batches, [], iter(())):
        with pytest.raises(ValueError, match="no batches to learn from"):
            sm.train(network(), empty, progress=False)


@pytest.mark.parametrize("setting", [{"epochs": 2}, {"batch_size": 10}, {"seed": 0}])
def test_settings_without_meaning_for_batches(x, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name}=.* says how samples are cut into batches"):
        sm.train(network(), [x], **setting, progress=False)


def test_unknown_entries_of_a_batch(x):
    good = {"input": x[:10]}
    with pytest.raises(ValueError, match="'input' here, but arrays were given for 'input', 'label'") as caught:
        sm.train(network(), [good, good, {**good, "label": x[:10]}], rate=0.1, progress=False)
    assert "batch 3" in caught.value.__notes__[0]
    same(caught.value.network, sm.train(network(), [good, good], rate=0.1, progress=False)[0])


class Interrupting:
    """A callback of scikit-learn in which Ctrl-C arrives."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        raise KeyboardInterrupt


@pytest.mark.skipif(importlib.util.find_spec("sklearn.callback") is None, reason="scikit-learn before 1.9")
def test_an_interrupt_in_a_callback(x, rng):
    """Callbacks are torn down, and the estimator is as before."""
    callback = Interrupting()
    model = SimilarityMatching(2, max_iter=1, tol=0, random_state=0).fit(x)
    outputs = model.transform(x)
    model.set_callbacks(callback)
    names = set(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(rng.normal(size=(400, 8)))
    assert callback.events == ["setup", "teardown"]
    assert set(vars(model)) == names
    np.testing.assert_array_equal(model.transform(x), outputs)
