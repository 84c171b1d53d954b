"""Health of layers: figures against NumPy, each bad state provoked on purpose; calibration that checks itself."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import simatch as sm
from simatch.learning import _calibrate, health, warn_unhealthy


@pytest.fixture(scope="module")
def digits():
    x = load_digits().images / 16
    return (x - x.mean(axis=(1, 2), keepdims=True)).astype(np.float32)


def one_layer(inputs=6, units=4, **layer):
    return sm.layered(inputs, [sm.Layer(units=units, **layer)])


def judged(r, activation="tanh"):
    """Health of a layer whose units have the activities r, of shape (units, samples)."""
    return health(one_layer(units=len(r), activation=activation), {"layer1": jnp.asarray(r, jnp.float32)})["layer1"]


def by_numpy(r, bound):
    """The figures again, in double precision."""
    r = np.asarray(np.asarray(r, np.float32), float)
    size = np.sqrt(np.mean(r**2))
    silent = np.abs(r).max(axis=1) <= 0.05 * (bound or size)
    constant = r.std(axis=1) <= 0.01 * np.sqrt(np.mean(r**2, axis=1))
    copies = np.zeros(len(r), bool)
    varied = np.flatnonzero(~constant)
    if len(varied) > 1:
        alike = np.abs(np.corrcoef(r[varied]))
        np.fill_diagonal(alike, 0)
        copies[varied] = alike.max(axis=0) > 0.99
    saturated = np.abs(r) > 0.9 * bound if bound else np.zeros_like(r)
    return [np.mean(share) for share in (saturated, silent, constant, copies)] + [size]


@pytest.mark.parametrize(("activation", "bound"), [("tanh", 1.0), ("linear", None)])
def test_figures_against_numpy(rng, activation, bound):
    r = rng.uniform(-1, 1, size=(40, 60))
    r[:3] *= 0.01  # silent
    r[3:7] = np.sign(r[3:7]) * 0.97  # saturated
    r[7:12] = 0.5 + 0.001 * r[7:12]  # constant
    r[12:20] = -r[20:28] + 0.01 * r[12:20]  # copies
    r[28] = 0
    for gain in (1.0, 1e-15, 1e15) if bound is None else (1.0,):
        own = judged(gain * r, activation)
        figures = [own.saturated, own.silent, own.constant, own.copies, own.size]
        np.testing.assert_allclose(figures, by_numpy(gain * r, bound), rtol=1e-5)
        np.testing.assert_allclose([own.silent, own.constant, own.copies], [4 / 40, 6 / 40, 16 / 40], rtol=1e-6)


def test_large_layers_are_compared_in_part(rng):
    """Copies are looked for among neighbours, so those at one site of a large layer are found."""
    r = np.repeat(rng.normal(size=(1000, 700)), 2, axis=0)
    assert judged(r, "linear").copies == 1
    assert judged(r[:1], "linear").copies == 0


@pytest.mark.parametrize(
    ("r", "word"),
    [
        (lambda r: 1e-3 * r, "respond to no sample"),
        (lambda r: np.where(np.arange(20)[:, None] < 10, 1e-3 * r, r), "50% of its units respond to no sample"),
        (lambda r: 0.5 + 1e-3 * r, "whatever the input"),
        (np.ones_like, "whatever the input"),
        (lambda r: r[:1] + 0.01 * r, "copies"),
        (lambda r: 0.95 * np.sign(r), "100% of its activities are near a bound"),
        (lambda r: np.nan * r, "root mean square of nan"),
    ],
)
def test_complaints(rng, r, word):
    graded = rng.uniform(-0.9, 0.9, size=(20, 100))
    assert judged(graded).complaint is None
    assert word in judged(r(graded)).complaint


@pytest.mark.parametrize("gain", [1e-5, 1.0, 1e5])
def test_units_without_bounds_have_no_absolute_threshold(rng, gain):
    r = gain * rng.normal(size=(20, 100))
    assert judged(r, "linear").complaint is None
    assert judged(np.maximum(r, 0), "relu").complaint is None


@pytest.mark.parametrize("gain", [1e-7, 1e7])
def test_sizes_out_of_range(rng, gain):
    assert "root mean square" in judged(gain * rng.normal(size=(20, 100)), "linear").complaint


def test_few_samples_are_not_judged():
    assert judged(np.zeros((5, 15)) + 0.5).complaint is None
    assert judged(np.zeros((5, 16)) + 0.5).complaint is not None


def trained(net, x, **settings):
    """Train, and return the warnings on the health of layers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net, reports = sm.train(net, x, progress=False, **settings)
    return net, reports, [str(w.message) for w in caught if w.category is sm.HealthWarning]


def test_a_healthy_network_is_silent(rng):
    _, reports, told = trained(one_layer(), rng.normal(size=(300, 6)), epochs=10)
    assert not told
    assert reports[-1].health["layer1"].complaint is None
    assert reports[-1].saturated == {"layer1": reports[-1].health["layer1"].saturated}
    assert reports[-1].silent == {"layer1": reports[-1].health["layer1"].silent}
    assert reports[-1].health["layer1"].samples == 100


PROVOKED = {
    "saturated": ({"scale": 1e6}, lambda x: x, "near a bound"),
    "raw 0..255": ({}, lambda x: 255 * x, "near a bound"),
    "silent": ({"activation": "shifted_relu:0.1"}, lambda x: 1e-3 * x, "respond to no sample"),
    "constant": ({}, lambda x: 300 + x, "whatever the input"),
    "copies": ({"activation": "linear"}, lambda x: x[:, :1] * np.ones(6) + 1e-3 * x, "copies"),
}


@pytest.mark.parametrize("state", PROVOKED)
def test_states_in_training(rng, state):
    layer, change, word = PROVOKED[state]
    _, reports, told = trained(one_layer(**layer), change(rng.normal(size=(300, 6))), epochs=20)
    assert len(reports) > 1
    assert len(told) == 1
    assert word in told[0]
    assert "'layer1'" in told[0]


def test_feedback_that_makes_activities_ignore_the_input(rng):
    """Two bounded layers that hold each other at a bound; each is told once."""
    layers = [sm.Layer(units=6, scale=30.0), sm.Layer(units=4, scale=30.0)]
    net = sm.layered(6, layers, feedback=0.5)
    _, reports, told = trained(net, rng.normal(size=(300, 6)) * 0.1 + 0.5, epochs=30)
    assert [message.split()[0] for message in told] == ["'layer1'", "'layer2'"]
    assert reports[-1].health["layer2"].constant == 1


def test_since_when(rng):
    """A layer that recovers is not told; one that falls ill, from the first report in which it stays so."""
    x = rng.normal(size=(50, 6))
    well, ill = [x] * 3, [np.zeros_like(x)] * 4
    net = one_layer(activation="relu")
    *_, told = trained(net, [*ill, *well], rate=0.1, report_every=1)
    assert not told
    _, reports, told = trained(net, [*ill, *well, *ill], rate=0.1, report_every=1)
    assert told[0].startswith("'layer1' carries little information, in every report from batch 8 to 11: 100% of")
    with pytest.warns(sm.HealthWarning, match="from batch 1 to 4"):
        warn_unhealthy(reports[:4])
    warn_unhealthy([])


def test_estimators_tell(rng):
    with pytest.warns(sm.HealthWarning, match="respond to no sample"):
        sm.SimilarityMatching(4, activation="shifted_relu:0.1", scale=1.0).fit(1e-3 * rng.normal(size=(100, 6)))


@pytest.mark.parametrize("calibrated", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_network_of_the_readme_trained_longer(digits, calibrated):
    """Case 4: all features became constant without a word. Calibrated, as in the README now, they do not."""
    layers = [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=16)]
    net = sm.layered(sm.Grid(8, 8), layers, feedback=0.1, seed=0)
    if calibrated:
        net = sm.calibrate(net, digits)
    net, _, told = trained(net, digits, epochs=8)
    varied = np.asarray(sm.encode(net, digits)).std(axis=0).min() > 0.05
    assert varied == calibrated
    assert bool(told) != calibrated


# Data as users have them: raw tables, bytes, tiny and large, uncentred, with a quiet first row, with heavy tails.
DATA = {
    "breast cancer": lambda rng: load_breast_cancer().data,
    "wine": lambda rng: load_wine().data,
    "bytes": lambda rng: load_digits().data * 255 / 16,
    "tiny": lambda rng: 1e-3 * rng.normal(size=(200, 20)),
    "large": lambda rng: 1e4 * rng.normal(size=(200, 20)),
    "quiet row": lambda rng: rng.normal(size=(200, 10)) * np.r_[1e-4, np.ones(199)][:, None],
    "heavy": lambda rng: rng.standard_t(1.5, size=(200, 20)),
}


def level(net, x, name="layer1"):
    return float(np.sqrt(np.mean(np.asarray(sm.relax(net, x, tolerance=1e-3)[name], float) ** 2)))


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("data", DATA)
def test_calibration_of_any_data(rng, data, activation):
    """Case 6 is the first: NaN weights, no error. Warnings are errors here, so the level is reached."""
    x = DATA[data](rng)
    net = sm.calibrate(one_layer(x.shape[1], 8, activation=activation), x)
    np.testing.assert_allclose(level(net, x), 0.5, rtol=0.2)
    assert all(np.all(np.isfinite(p.to_dense())) for p in net.pathways)


def test_calibration_with_feedback(rng):
    x = load_breast_cancer().data
    net = sm.layered(x.shape[1], [sm.Layer(units=8, activation="linear")] * 2, feedback=0.1)
    net = sm.calibrate(net, x, level=0.3)
    for name in net.layers:
        np.testing.assert_allclose(level(net, x, name), 0.3, rtol=0.2)


def test_layers_that_hear_each_other_are_calibrated_before_they_ignore_the_input(rng):
    """With feedback while nothing was learned, all units of these layers ended at their bounds."""
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(32)] * 2)) + 1e-9
    x = np.fft.ifft2(np.fft.fft2(rng.normal(size=(500, 32, 32))) / np.maximum(frequency, 1 / 32) ** 1.5).real
    x -= x.mean((1, 2), keepdims=True)
    layers = [sm.Layer(units=4, stride=2, radius=8.0), *(sm.Layer(units=n, stride=2, radius=6.0) for n in (8, 16))]
    net = sm.layered(sm.Grid(32, 32), layers, feedback=0.3)
    net = sm.calibrate(net, x, batches=20)
    for name in net.layers:
        np.testing.assert_allclose(level(net, x[:100], name), 0.5, rtol=0.2)


def test_sizes_are_those_without_feedback(rng):
    """With feedback the search did not rest, because larger activities ask for larger weights."""
    x = rng.normal(size=(200, 13))
    net = sm.layered(13, [sm.Layer(units=n, activation="relu") for n in (8, 4)], feedback=0.1)
    alone = sm.with_feedback(sm.sized(sm.with_feedback(net, 0), x), 0.1)
    net = sm.sized(net, x)
    for own, other in zip(jax.tree.leaves(net.weights), jax.tree.leaves(alone.weights), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5)
    assert np.max(np.asarray(sm.relax(net, x).steps)) < 30


def test_scales_of_linear_layers_in_closed_form(rng):
    """At the optimum of a linear layer as wide as its input, activities are sqrt(c) as large as inputs."""
    x = 40 * rng.normal(size=(500, 3))
    net = sm.calibrate(one_layer(3, 3, activation="linear"), x, level=0.2, batches=200)
    np.testing.assert_allclose(float(net.feedforward[0].scale), (0.2 / 40) ** 2, rtol=0.1)


def test_calibration_tells_what_it_did_not_reach(rng):
    """One sample in a hundred is not 0: activities of 0.5 would need more than their bound of 1."""
    x = np.zeros((400, 6))
    x[::100] = rng.normal(size=(4, 6))
    with pytest.warns(sm.HealthWarning, match=r"activities of 0\.5 reached 0\.1 in 'layer1'"):
        sm.calibrate(one_layer(), x)


def test_calibration_does_not_search_on_where_activities_jump(monkeypatch):
    """With strong feedback no scale may lead to the level: it ends with the best one, and says so."""
    net, seen = one_layer(), []

    def jumping(net, inputs, level, tolerance, solver):
        seen.append(net)
        changed = net.with_weights([jax.tree.map(lambda w: 1.1 * w, w) for w in net.weights])
        return changed, {"layer1": jnp.asarray([0.3, 0.1, 0.99][min(len(seen) - 1, 1 + len(seen) % 2)])}, None

    monkeypatch.setattr(_calibrate, "_nearer", jumping)
    assert _calibrate._search(net, {}, 0.5, None) is net
    assert len(seen) < 15


def test_calibration_raises_instead_of_returning_what_is_not_finite(rng):
    """Inputs whose squares leave single precision are refused; all others are calibrated."""
    with pytest.raises(ValueError, match="divide the input by its size"):
        sm.calibrate(one_layer(), 1e30 * rng.normal(size=(100, 6)))
    assert sm.calibrate(one_layer(), 1e17 * rng.normal(size=(100, 6))).feedforward[0].scale > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 0.0}, "above 0"),
        ({"level": np.nan}, "above 0"),
        ({"level": 1.0}, "below the bound 1 of the activities of 'layer1', got 1.0"),
        ({"rate": 1.5}, "between 0 and 1, got 1.5"),
        ({"batches": 0}, "number of batches must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_settings_of_calibration_out_of_range(rng, settings, message):
    with pytest.raises(ValueError, match=message):
        sm.calibrate(one_layer(), rng.normal(size=(20, 6)), **settings)
