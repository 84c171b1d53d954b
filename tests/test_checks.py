"""Settings: the same check, with the same words, in every function that takes one."""

import time
import tracemalloc
import warnings

import jax
import numpy as np
import pytest

import simatch as sm
from simatch import analysis
from simatch._checks import number, whole
from simatch.learning import epochs_of, published_schedule, recalibrated
from simatch.runs import SettingsError, merged

# Users pass what beartype would refuse in tests.
pytestmark = pytest.mark.usefixtures("untyped")

NET = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=1.5)])
X = np.random.default_rng(0).normal(size=(40, 4, 4)).astype(np.float32)

WITH_SOLVER = {
    "relax": sm.relax,
    "encode": sm.encode,
    "train": sm.train,
    "training": lambda net, x, **own: next(sm.training(net, [x], rate=0.1, **own)),
    "certificate": sm.certificate,
    "calibrate": sm.calibrate,
    "sized": sm.sized,
    "imprinted": sm.imprinted,
}
WITH_TOLERANCE = ("relax", "encode", "train", "training", "certificate")
WITH_SEED = ("train", "calibrate", "sized", "imprinted")


@pytest.mark.parametrize("name", WITH_SOLVER)
@pytest.mark.parametrize(("solver", "words"), [("euler", "got 'euler'"), (sm.Euler, r"such as Euler\(\), got <class")])
def test_solvers(name, solver, words):
    with pytest.raises(ValueError, match=f"A solver is an object .*{words}"):
        WITH_SOLVER[name](NET, X, solver=solver)


@pytest.mark.parametrize("name", WITH_TOLERANCE)
@pytest.mark.parametrize("tolerance", [np.nan, -1, 0, np.inf, "small", None])
def test_tolerances(name, tolerance):
    with pytest.raises(ValueError, match="The tolerance must be finite and above 0, got"):
        WITH_SOLVER[name](NET, X, tolerance=tolerance)


@pytest.mark.parametrize("name", WITH_SEED)
@pytest.mark.parametrize("seed", [-1, 0.5, "x"])
def test_seeds(name, seed):
    with pytest.raises(ValueError, match="The seed must be a whole number of at least 0, got"):
        WITH_SOLVER[name](NET, X, seed=seed)


BAD = {
    "encode batch_size": lambda v: sm.encode(NET, X, batch_size=v),
    "train batch_size": lambda v: sm.train(NET, X, batch_size=v),
    "train report_every": lambda v: sm.train(NET, X, report_every=v),
    "calibrate batches": lambda v: sm.calibrate(NET, X, batches=v),
    "calibrate batch_size": lambda v: sm.calibrate(NET, X, batch_size=v),
    "epochs_of batch_size": lambda v: next(epochs_of(X, batch_size=v)),
    "epochs_of multiple": lambda v: next(epochs_of(X, multiple=v)),
    "relax max_steps": lambda v: sm.relax(NET, X, max_steps=v),
    "Phase steps": lambda v: sm.Phase(steps=v),
    "Euler max_steps": lambda v: sm.Euler(max_steps=v),
    "Euler check_every": lambda v: sm.Euler(check_every=v),
    "Accelerated max_steps": lambda v: sm.Accelerated(max_steps=v),
    "Accelerated check_every": lambda v: sm.Accelerated(check_every=v),
    "Adaptive max_steps": lambda v: sm.Adaptive(max_steps=v),
    "Adaptive check_every": lambda v: sm.Adaptive(check_every=v),
    "Blockwise max_steps": lambda v: sm.Blockwise(max_steps=v),
    "published_schedule": published_schedule,
    "hyperbolic": lambda v: sm.hyperbolic(0.1, over=v),
    "Grid height": lambda v: sm.Grid(v, 2),
    "Grid units": lambda v: sm.Grid(2, 2, v),
    "layered input": lambda v: sm.layered(v, [sm.Layer(units=2)]),
    "Layer units": lambda v: sm.layered(4, [sm.Layer(units=v)]),
    "Layer stride": lambda v: sm.layered(sm.Grid(4, 4), [sm.Layer(units=1, stride=v, radius=1.5)]),
    "class_samples": lambda v: analysis.class_samples(np.zeros(3), v),
    "gratings": lambda v: analysis.gratings(4, 4, orientations=v),
    "edges": lambda v: analysis.edges(4, 4, spacing=v),
    "occluded": lambda v: analysis.occluded(np.ones((1, 4, 4, 1)), v),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("value", [0, -3, 1.5, "2", np.inf])
def test_whole_numbers(what, value):
    with pytest.raises(ValueError, match="must be a whole number of at least 1, got"):
        BAD[what](value)


BAD_NUMBERS = {
    "train epochs": lambda v: sm.train(NET, X, epochs=v),
    "train ratio": lambda v: sm.train(NET, X, ratio=v),
    "train tol": lambda v: sm.train(NET, X, held_out=X, tol=v),
    "calibrate level": lambda v: sm.calibrate(NET, X, level=v),
    "Phase tolerance": lambda v: sm.Phase(tolerance=v),
    "Euler step_size": lambda v: sm.Euler(step_size=v),
    "Layer scale": lambda v: sm.layered(4, [sm.Layer(units=2, scale=v)]),
    "Layer lateral_scale": lambda v: sm.layered(4, [sm.Layer(units=2, lateral_scale=v)]),
}


@pytest.mark.parametrize("what", BAD_NUMBERS)
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "1"])
def test_numbers_above_0(what, value):
    with pytest.raises(ValueError, match="must be finite and above 0, got"):
        BAD_NUMBERS[what](value)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int16])
def test_numpy_integers_count_as_integers(kind):
    """A network made with them is the one made with ints, and may be an argument of a compiled function."""
    n = kind
    layer = sm.Layer(units=n(2), stride=n(2), radius=np.float32(1.5))
    net = sm.layered(sm.Grid(n(4), n(4)), [layer], seed=n(0))
    np.testing.assert_array_equal(net.feedforward[0].to_dense(), NET.feedforward[0].to_dense())
    out = sm.relax(net, X, solver=sm.Accelerated(max_steps=n(50), check_every=n(5)), max_steps=n(60))
    assert bool(out.converged.all())
    assert sm.encode(net, X, batch_size=n(16)).shape == (40, 8)
    _, reports = sm.train(net, X, batch_size=n(20), report_every=n(1), seed=n(0), progress=False)
    assert [r.samples for r in reports] == [20, 40]
    assert sm.layered(n(4), [sm.Layer(units=4, stride=n(1), radius=2.0)]).inputs == ("input",)


def test_starts_of_other_relaxations():
    out = sm.relax(NET, X)
    with pytest.raises(ValueError, match="start of population 'layer1' has shape"):
        sm.relax(NET, X[:7], start=out)
    with pytest.raises(ValueError, match="A start is a Relaxation"):
        sm.relax(NET, X, start=out.potentials)
    assert recalibrated(sm.calibrate(NET, X), X) is not None


def test_a_radius_beyond_the_grid_takes_no_memory():
    """No site is farther than the sides of the grid, whatever the radius."""
    tracemalloc.start()
    began = time.perf_counter()
    net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2000.0)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert time.perf_counter() - began < 5
    assert net.feedforward[0].connectivity.synapses == 64 * 64


@pytest.mark.parametrize("radius", [0.5, 1.5, 3.0, 7.0, 30.0])
def test_receptive_fields_by_distances(radius):
    """An oracle: all pairs of sites, compared by their distance."""
    pre, post = sm.Grid(4, 6), sm.Grid(2, 3)
    connectivity = sm.Local(pre, post, radius + 0.3)
    centre = 2 * np.indices((2, 3)).reshape(2, -1).T + 1.0
    site = np.indices((4, 6)).reshape(2, -1).T + 0.5
    near = np.linalg.norm(centre[:, None] - site, axis=-1) <= radius + 0.3
    found = connectivity.to_dense([np.ones((len(s), 1, s.shape[1])) for s in connectivity.sources])
    np.testing.assert_array_equal(found > 0, near)


def test_too_long_steps_of_euler_are_named():
    net = sm.layered(4, [sm.Layer(units=2, activation="linear")])
    x = np.ones((20, 4), np.float32)
    long = sm.Euler(step_size=50.0, smallest=50.0)
    with pytest.warns(sm.ConvergenceWarning, match="solver's steps are too long"):
        sm.relax(net, x, solver=long)
    with pytest.raises(sm.DivergenceError, match="or shorter steps of Euler"):
        sm.train(net, x, rate=0.1, solver=long, progress=False)
    assert bool(sm.relax(net, x).converged.all())


@pytest.mark.parametrize("value", [3, np.int8(3), np.array(3)])
def test_whole(value):
    assert type(whole(value, "It")) is int


def test_number():
    assert number(np.float16(0.5), "It", above=0) == 0.5
    assert number(-2, "It") == -2.0
    for value in (np.nan, "1", b"1", None, [1, 2], 1j):
        with pytest.raises(ValueError, match="It must be finite, got"):
            number(value, "It")
    with pytest.raises(ValueError, match="It must be finite and at least 0, got -1"):
        number(-1, "It", least=0)


@pytest.mark.parametrize("name", ["epochs", "tol", "tolerance", "rate", "ratio", "feedback"])
@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
def test_settings_of_runs(name, value):
    with pytest.raises(SettingsError, match=f"The {name} cannot be {value}"):
        merged("digits", options={name: value})


@pytest.mark.parametrize("name", ["radius", "lateral_radius", "scale", "lateral_scale"])
@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
def test_settings_of_layers(name, value):
    with pytest.raises(SettingsError, match=f"cannot be {value}"):
        merged("digits", layers={name: [value]})


@pytest.mark.parametrize(
    ("solver", "activation"),
    [
        (None, "linear"),
        (None, "tanh"),
        (None, "relu"),
        (sm.Accelerated(max_steps=50), "relu"),
        (sm.Adaptive(max_steps=50), "tanh"),
        (sm.Euler(max_steps=50), "linear"),
    ],
)
def test_inputs_whose_squares_vanish_are_not_called_settled(solver, activation):
    """Near 1e-30 activities are 0 and the residual, a ratio of squares, 0 of 0."""
    net = sm.layered(4, [sm.Layer(units=3, activation=activation)])
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        tiny = sm.relax(net, x * np.float32(1e-30), solver=solver)
    # All activations are linear near 0, on each side of it.
    exact = sm.relax(net, 1e-3 * x, solver=sm.Accelerated(), tolerance=1e-6).states["layer1"] * 1e-27
    right = np.isclose(tiny.states["layer1"], exact, rtol=1e-2, atol=1e-33).all(axis=0)
    settled = np.asarray(tiny.converged)
    assert np.all(right[settled])
    assert settled.all() or "multiply a tiny input" in str(given[0].message)
    assert solver is not None or not settled.all()
    assert bool(sm.relax(net, np.zeros((6, 4))).converged.all())  # zeros are settled at once


def test_double_precision_sees_smaller_numbers():
    with jax.enable_x64(True):
        assert bool(sm.relax(sm.layered(4, [sm.Layer(units=3)]), np.full((6, 4), 1e-30)).converged.all())


def test_silent_units_are_settled():
    """Units of ReLU that inputs of a usual size do not drive are 0, and this is right."""
    net = sm.layered(4, [sm.Layer(units=3, activation="relu")])
    weights = jax.tree.map(lambda w: -np.abs(w), net.feedforward[0].weights)
    silent = net.with_weights((weights, net.lateral[0].weights))
    out = sm.relax(silent, np.ones((6, 4), np.float32))
    assert bool(out.converged.all())
    assert not np.any(out.states["layer1"])
