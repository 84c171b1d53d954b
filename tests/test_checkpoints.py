"""Checkpoints: a run that is interrupted anywhere ends as one that is not, bit for bit."""

import contextlib
import json
import os
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_phases import Averaged, Trace, data, deep, rule

import simatch as sm
from simatch import estimators
from simatch.learning import _train
from simatch.models import contrastive
from simatch.storage import read_arrays, write_arrays


class Stop(BaseException):
    """An interruption."""


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def stopping(after):
    """Return an observer that interrupts a run after so many reports."""
    count = 0

    def observe(*_):
        nonlocal count
        count += 1
        if count > after:
            raise Stop

    return observe


@pytest.mark.parametrize(
    ("own", "transform"),
    [
        pytest.param(own, transform, id=f"{name}-{transform}", marks=[] if quick else [pytest.mark.slow])
        for own, transform, name, quick in [
            (None, None, "", True),
            (None, Trace, "", False),
            (sm.GradientRule(), None, "gradient", False),
            (sm.GradientRule(), Trace, "gradient", False),
            (Averaged(), None, "state", False),
            (Averaged(), Trace, "state", True),
            (rule(0.3), None, "contrast", True),
            (rule(0.3), Trace, "contrast", False),
        ]
    ],
)
def test_an_interrupted_run_ends_as_one_that_was_not(own, transform, rng, tmp_path):
    net, settings = deep(), {"rate": 0.05, "transform": transform, "report_every": 2, "rule": own, "progress": False}
    batches = [dict(zip(("input", "label"), data(rng), strict=True)) for _ in range(9)]
    if not isinstance(own, sm.ContrastRule):
        batches = [{"input": batch["input"]} for batch in batches]
    whole, expected = sm.train(net, iter(batches), **settings)
    for after in (0, 1, 2):
        with pytest.raises(Stop):
            sm.train(net, iter(batches), checkpoints=sm.Checkpoints(tmp_path), observe=stopping(after), **settings)
    resumed, reports = sm.train(net, iter(batches), checkpoints=sm.Checkpoints(tmp_path), **settings)
    same(whole.weights, resumed.weights)
    same(expected[-1].state, reports[-1].state)
    for a, b in zip(expected, reports, strict=True):
        assert (a.batches, a.samples, a.cost, a.rate, a.health) == (b.batches, b.samples, b.cost, b.rate, b.health)
    assert all(np.diff([report.seconds for report in reports]) > 0)
    # The run is complete: nothing more is learned.
    again, _ = sm.train(net, iter(batches), checkpoints=sm.Checkpoints(tmp_path), observe=stopping(0), **settings)
    same(whole.weights, again.weights)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.fixture
def x(rng):
    return rng.normal(size=(230, 6)) * [3, 2, 1, 0.5, 0.5, 0.5]


def linear(units=3):
    return sm.layered(6, [sm.Layer(units=units, activation="linear")])


SETTINGS = {"batch_size": 20, "epochs": 4, "report_every": 5, "progress": False}


def test_arrays_certificates_and_the_end_by_tolerance(x, tmp_path):
    settings = {**SETTINGS, "held_out": x[:20], "tol": 0.6}
    whole, expected = sm.train(linear(), x, **settings)
    assert 1 < len(expected) < 9  # it ends early
    with pytest.raises(Stop):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path, every=0), observe=stopping(1), **settings)
    for _ in range(2):
        resumed, reports = sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **settings)
        same(whole.weights, resumed.weights)
        assert [report.certificate for report in reports] == [report.certificate for report in expected]


def test_notes_are_kept_with_the_checkpoints(x, tmp_path):
    for after in (2, 3, 99):
        checkpoints = sm.Checkpoints(tmp_path, every=0)
        stop = stopping(after)

        def observe(net, report, checkpoints=checkpoints, stop=stop):
            stop()
            checkpoints.notes.setdefault("samples", []).append(report.samples)

        try:
            _, reports = sm.train(linear(), x, checkpoints=checkpoints, observe=observe, **SETTINGS)
        except Stop:
            continue
    assert checkpoints.notes["samples"] == [report.samples for report in reports]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 5}, "epochs 4 instead of 5"),
        ({"batch_size": 23}, "batch size"),
        ({"seed": 1}, "seed 0 instead of 1"),
        ({"rate": 0.01}, "rates"),
        ({"ratio": 0.5}, "rates"),
        ({"rule": sm.GradientRule(), "rate": 0.01}, "rule|rates"),
        ({"tolerance": 1e-4}, "tolerance"),
        ({"x": np.ones((230, 6))}, "data"),
        ({"net": linear(2)}, "network"),
        ({"transform": Trace, "rate": 0.01}, "rates|rule"),
    ],
)
def test_another_run_is_refused_and_leaves_the_checkpoints(change, words, x, tmp_path):
    with pytest.raises(Stop):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), observe=stopping(2), **SETTINGS)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    settings = {**SETTINGS, **change}
    with pytest.raises(ValueError, match=f"of another (run, with ({words})|network or rule)"):
        sm.train(settings.pop("net", linear()), settings.pop("x", x), checkpoints=sm.Checkpoints(tmp_path), **settings)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_run_with_another_nudge_is_another_run(rng, tmp_path):
    x, y = rng.uniform(size=(40, 6)), np.eye(3)[rng.integers(3, size=40)]
    plan = {"epochs": 1, "batch_size": 20, "checkpoints": sm.Checkpoints(tmp_path)}
    contrastive(6, [4], 3, beta=0.5).fit(x, y, **plan)
    with pytest.raises(ValueError, match="of another run, with rule"):
        contrastive(6, [4], 3, beta=0.25).fit(x, y, **plan)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(x, tmp_path):
    whole, _ = sm.train(linear(), x, **SETTINGS)
    with pytest.raises(Stop):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path, every=0), observe=stopping(3), **SETTINGS)
    _, second = sorted(tmp_path.glob("*.safetensors"))
    content = bytearray(second.read_bytes())
    content[-3] ^= 1  # one bit of a weight
    second.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"{second.name}' is damaged.* The checkpoint before it is used"):
        resumed, _ = sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    same(whole.weights, resumed.weights)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with (
        pytest.warns(UserWarning, match="truncated"),
        pytest.raises(ValueError, match="All checkpoints in"),
    ):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)


def test_one_run_at_a_time(x, tmp_path):
    with (
        sm.Checkpoints(tmp_path).course(linear(), sm.LearningState(None, None), {}),
        pytest.raises(ValueError, match="Another run is working in the folder"),
    ):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)


def test_another_format_and_wrong_settings(x, tmp_path):
    sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    *_, newest = sorted(tmp_path.glob("*.safetensors"))
    arrays, description = read_arrays(newest)
    write_arrays(newest, arrays, {**description, "format": "simatch-checkpoint-9"})
    with pytest.raises(ValueError, match=r"simatch-checkpoint-9', not .* use the version of simatch"):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        sm.Checkpoints(tmp_path, every=-1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(x, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path / "run"), **SETTINGS)


def test_a_full_disk_loses_nothing(x, tmp_path, monkeypatch):
    whole, _ = sm.train(linear(), x, **SETTINGS)
    with pytest.raises(Stop):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path, every=0), observe=stopping(2), **SETTINGS)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path, every=0), **SETTINGS)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    resumed, _ = sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    same(whole.weights, resumed.weights)


def test_divergence_keeps_what_was_learned_before(x, tmp_path):
    schedule = lambda n: 0.01 if n < 20 else 1e30  # noqa: E731
    settings = {**SETTINGS, "rule": sm.GradientRule(), "rate": schedule}
    with pytest.raises((sm.DivergenceError, ValueError)):
        sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **settings)
    *_, newest = sorted(tmp_path.glob("*.safetensors"))
    arrays, description = read_arrays(newest)
    assert description["reports"][-1]["batches"] == 20
    assert all(np.isfinite(a).all() for a in arrays.values())


def test_reports_keep_their_exact_numbers(x, tmp_path):
    _, expected = sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    _, reports = sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS)
    assert reports == expected


def test_other_threads_may_train(x, tmp_path):
    """Neither signals nor the working directory are touched, which belong to the whole process."""
    found = []
    work = threading.Thread(
        target=lambda: found.append(sm.train(linear(), x, checkpoints=sm.Checkpoints(tmp_path), **SETTINGS))
    )
    work.start()
    work.join()
    same(found[0][0].weights, sm.train(linear(), x, **SETTINGS)[0].weights)


def test_arrays_files(tmp_path):
    path = tmp_path / "file"
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.float32(2), "c": np.zeros((0, 2)), "d": jnp.ones(2, bool)}
    write_arrays(path, arrays, {"x": [float("nan"), 0.1], "y": "ä"})
    found, description = read_arrays(path)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == np.asarray(value).dtype
    assert json.dumps(description) == json.dumps({"x": [float("nan"), 0.1], "y": "ä"})
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_arrays(tmp_path / "none")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            read_arrays(path)


# --- estimators


@contextlib.contextmanager
def interrupted(runs):
    """Interrupt learning after so many compiled runs of ten batches."""
    learn, done = _train.learn_batches, 0

    def counted(*arguments):
        nonlocal done
        done += 1
        if done > runs:
            raise KeyboardInterrupt
        return learn(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_train, "learn_batches", counted)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize("kind", ["linear", "tanh"])
def test_an_interrupted_fit_goes_on(kind, x, tmp_path):
    settings = {"activation": kind, "random_state": 0, "batch_size": 10, "max_iter": 4, "tol": 0}
    whole = estimators.SimilarityMatching(2, **settings).fit(x)
    for runs in (2, 3):
        with interrupted(runs):
            estimators.SimilarityMatching(2, checkpoints=tmp_path, **settings).fit(x)
    for _ in range(2):
        resumed = estimators.SimilarityMatching(2, checkpoints=tmp_path, **settings).fit(x)
        same(whole.network_.weights, resumed.network_.weights)
        np.testing.assert_array_equal(whole.cost_history_, resumed.cost_history_)
        for name in ("certificate_", "n_iter_", "n_steps_", "n_samples_seen_", "rate_", "unit_"):
            assert getattr(whole, name) == getattr(resumed, name)
    with pytest.raises(ValueError, match="of another run, with data"):
        estimators.SimilarityMatching(2, checkpoints=tmp_path, **settings).fit(x[::-1])
    with pytest.raises(ValueError, match="random_state must be an integer, got None"):
        estimators.SimilarityMatching(2, checkpoints=tmp_path, **{**settings, "random_state": None}).fit(x)


def test_a_fit_that_arrives_early_is_complete(x, tmp_path):
    settings = {"random_state": 0, "tol": 0.05}
    whole = estimators.SimilarityMatching(2, checkpoints=tmp_path, **settings).fit(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_train, "learn_batches", None)  # nothing is learned again
        again = estimators.SimilarityMatching(2, checkpoints=tmp_path, **settings).fit(x)
    assert again.certificate_ == whole.certificate_
    assert again.n_iter_ == whole.n_iter_
