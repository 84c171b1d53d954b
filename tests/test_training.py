"""Training: repeatable, the same as its steps by hand, honest about what went wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import simatch as sm
from simatch.learning import batches_in, samples_at_once
from simatch.learning._loop import learn_batches


def network(**layer):
    return sm.layered(sm.Grid(6, 6), [sm.Layer(units=3, stride=2, radius=2.0, **layer)])


@pytest.fixture
def x(rng):
    return rng.normal(size=(130, 6, 6)).astype(np.float32)


def assert_same(a, b, **tolerance):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, **tolerance), a.weights, b.weights)


def test_a_run_repeats_bit_for_bit(x):
    one, _ = sm.train(network(), x, epochs=2, batch_size=20, seed=5, progress=False)
    two, _ = sm.train(network(), x, epochs=2, batch_size=20, seed=5, progress=False)
    other, _ = sm.train(network(), x, epochs=2, batch_size=20, seed=6, progress=False)
    assert_same(one, two, rtol=0)
    with pytest.raises(AssertionError):
        assert_same(one, other, rtol=1e-6)


def test_compiled_runs_equal_single_steps(x):
    """A run of batches in one program, the last one shorter, is `relax` and `learn` in turn."""
    schedule = sm.hyperbolic(0.05, over=6)
    expected, batches = network(), [x[20 * i : 20 * i + 20] for i in range(6)] + [x[120:]]
    for n, batch in enumerate(batches):
        expected = sm.learn(expected, sm.relax(expected, batch, tolerance=1e-5), rate=float(schedule(n)))
    networks, reports = zip(
        *sm.training(network(), batches, rate=schedule, tolerance=1e-5, report_every=4), strict=True
    )
    assert [r.batches for r in reports] == [4, 6, 7]
    assert [r.samples for r in reports] == [80, 120, 130]
    assert_same(networks[-1], expected, atol=1e-5)
    np.testing.assert_allclose(reports[1].rate, float(schedule(5)))


def test_a_continued_run_is_the_same_run(x):
    schedule = sm.hyperbolic(0.05, over=6)
    batches = list(sm.epochs_of(x, epochs=1, batch_size=20))
    *_, (whole, _) = sm.training(network(), batches, rate=schedule)
    *_, (half, report) = sm.training(network(), batches[:3], rate=schedule)
    *_, (rest, last) = sm.training(half, batches[3:], rate=schedule, after=report)
    assert (last.batches, last.samples) == (7, 130)
    assert last.seconds > report.seconds
    assert_same(whole, rest, rtol=0)


@pytest.mark.parametrize("count", [1, 7, 10, 40, 199])
@pytest.mark.parametrize("epochs", [1, 3, 0.5, 2.3])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_epochs_use_every_sample(count, epochs, size):
    """No sample comes more often than another by more than one, and each epoch has all of them."""
    batches = list(sm.epochs_of(np.arange(count), epochs=epochs, batch_size=size, seed=1))
    assert len(batches) == batches_in(count, epochs=epochs, batch_size=size)
    order = np.concatenate(batches)
    assert len(order) == max(round(count * epochs), 1)
    counts = np.bincount(order, minlength=count)
    assert counts.max() - counts.min() <= 1
    for i in range(int(epochs)):
        assert sorted(order[count * i : count * (i + 1)]) == list(range(count))


@pytest.mark.parametrize(
    ("count", "epochs", "sizes"),
    [(199, 1, [100, 99]), (101, 1, [51, 50]), (249, 1, [100, 75, 74]), (100, 2, [100, 100]), (60, 1.5, [60, 30])],
)
def test_no_batch_is_less_than_half_full(count, epochs, sizes):
    assert [len(batch) for batch in sm.epochs_of(np.zeros(count), epochs=epochs, batch_size=100)] == sizes


def test_one_epoch_learns_from_all_samples(x):
    _, reports = sm.train(network(), x[:99], epochs=1, batch_size=50, progress=False)
    assert [report.samples for report in reports] == [50, 99]


def test_batches_for_several_devices():
    sizes = [len(batch) for batch in sm.epochs_of(np.zeros(55), epochs=1, batch_size=20, multiple=4)]
    assert sizes == [20, 20, 12]
    with pytest.raises(ValueError, match="from 1 to 3"):
        next(sm.epochs_of(np.zeros(5), batch_size=3, multiple=4))


def test_as_many_batches_as_fractions_of_an_epoch_say():
    """Calibration asks for a number of batches in this way."""
    assert all(batches_in(n, epochs=60 * 100 / n, batch_size=100) == 60 for n in range(100, 2000))


def test_streams_of_batches(x):
    """Any iterator will do, and an array's batches given as a stream learn the same."""
    batches = sm.epochs_of(x, epochs=1, batch_size=10, seed=0)
    streamed, reports = sm.train(network(), batches, rate=0.02, progress=False)
    direct, _ = sm.train(network(), x, epochs=1, batch_size=10, rate=lambda n: 0.02, progress=False)
    assert_same(streamed, direct, rtol=0)
    assert reports[-1].samples == 130


def test_reports_say_how_much_of_their_range_units_use(x):
    with pytest.warns(sm.HealthWarning, match="near a bound"):
        _, loud = sm.train(network(scale=1000.0), 10 * x, epochs=6, batch_size=20, rate=0.5, progress=False)
    with pytest.warns(sm.HealthWarning, match="respond to no sample"):
        _, quiet = sm.train(network(), 1e-3 * x[:120], epochs=1, batch_size=20, progress=False)
    assert loud[-1].saturated["layer1"] > 0.9
    assert loud[-1].silent["layer1"] == 0
    assert quiet[-1].saturated["layer1"] == 0
    assert quiet[-1].silent["layer1"] == 1


@pytest.mark.parametrize("gain", [0.05, 1.0, 20.0])
def test_calibration_reaches_the_graded_range(x, gain):
    net = sm.calibrate(network(), gain * x, level=0.4, batch_size=20)
    out = sm.relax(net, gain * x)
    np.testing.assert_allclose(np.sqrt(np.mean(out["layer1"] ** 2)), 0.4, rtol=0.15)


def test_divergence_keeps_the_last_good_network(x):
    """A linear layer whose second stream of data is a million times larger."""
    net = sm.layered(sm.Grid(6, 6), [sm.Layer(units=3, activation="linear")])
    batches = [x[:20], x[20:40], np.float32(1e17) * x[40:60], x[60:80]]
    with pytest.raises(sm.DivergenceError, match="batch 3") as caught:
        list(sm.training(net, batches, rate=0.1))
    *_, (good, _) = sm.training(net, batches[:2], rate=0.1)
    assert_same(caught.value.network, good, rtol=0)


@pytest.mark.parametrize("rate", [0.0, -0.1, 3.0, np.nan])
def test_rates_out_of_range(x, rate):
    net = network()
    with pytest.raises(ValueError, match="learning rate must be above 0 and at most 1"):
        sm.train(net, x, rate=rate, progress=False)
    with pytest.raises(ValueError, match="learning rate"):
        sm.learn(net, sm.relax(net, x), rate=rate)


def test_the_largest_rate_is_where_decay_overshoots():
    """With c = 1/2 a weight decays by 2 eta each step: at eta = 1/2 it is forgotten at once."""
    net = network(scale=0.5)
    out = sm.relax(net, np.zeros((3, 36)))
    plain = sm.GradientRule()
    assert not any(np.any(w) for w in jax.tree.leaves(sm.learn(net, out, rate=0.5, rule=plain).feedforward[0].weights))
    with pytest.raises(ValueError, match=r"at most 0\.5"):
        sm.learn(net, out, rate=0.51, rule=plain)
    # The averaging rule forgets at a rate of 1, whatever c; lateral weights at a rate of 1 / ratio.
    assert not any(np.any(w) for w in jax.tree.leaves(sm.learn(net, out, rate=1.0).weights))
    with pytest.raises(ValueError, match=r"at most 0\.5"):
        sm.learn(net, out, rate=0.51, ratio=2.0)


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (-0.1, "-0.1"), (1.5, "1.5")])
def test_every_rate_of_a_schedule_is_checked(x, bad, shown):
    """The network that learned until then is not lost: `training` has given it."""
    schedule = lambda n: bad if n == 25 else 0.01  # noqa: E731
    batches = (x[:20] for _ in range(40))
    runs = sm.training(network(), batches, rate=schedule, report_every=10)
    assert [next(runs)[1].batches for _ in range(3)] == [10, 20, 25]
    with pytest.raises(ValueError, match=f"gives batch 25 the learning rate {shown}"):
        next(runs)
    sm.train(network(), x, rate=lambda n: 0.1 * (n == 0), progress=False)  # later rates may be 0
    sm.train(network(), x, rate=lambda n: 0.01 * n, progress=False)  # and the first, if a schedule gives it


class Explosive(sm.Rule):
    """A rule whose changes leave the range of numbers."""

    @property
    def phases(self):
        return sm.GradientRule().phases

    def change(self, net, settled, state, entries):
        return sm.Change(jax.tree.map(lambda w: w * 1e30, net.parameters), state, jnp.zeros(()))


def test_weights_that_leave_the_range_of_numbers(x):
    net = network()
    with pytest.raises(sm.DivergenceError, match="divide the data") as error:
        sm.train(net, x, rule=Explosive(), rate=1.0, progress=False)
    np.testing.assert_array_equal(error.value.network.feedforward[0].to_dense(), net.feedforward[0].to_dense())
    with pytest.raises(ValueError, match="divide the input by its size"):
        sm.train(net, x * 1e20, progress=False)


def test_bad_plans(x):
    with pytest.raises(ValueError, match="epochs"):
        sm.train(network(), x, epochs=0, progress=False)
    with pytest.raises(ValueError, match="batch size"):
        sm.train(network(), x, batch_size=0, progress=False)
    bad = x.copy()
    bad[77] = np.nan
    with pytest.raises(ValueError, match="first in sample 77"):
        sm.train(network(), bad, progress=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b.astype(complex), "type complex128"),
        (lambda b: b.astype(str), "real numbers"),
        (lambda b: b * np.where(np.arange(len(b)) == 3, np.nan, 1)[:, None, None], "first in sample 3"),
    ],
)
def test_a_bad_batch_in_a_stream_is_named_and_what_was_reported_before_is_kept(x, spoil, message):
    batches = [x[:20].astype(float) + 1, x[20:40].astype(float) + 1, x[40:60].astype(float) + 1]
    runs = sm.training(network(), [*batches[:2], spoil(batches[2])], rate=0.01, report_every=2)
    _, report = next(runs)
    assert report.samples == 40
    with pytest.raises(ValueError, match=message):
        next(runs)


def test_batches_may_be_arrays_of_numpy_or_jax(x):
    net = network()
    one, other = (
        sm.train(net, iter([given(x[:20]), given(x[20:40])]), rate=0.01, progress=False)[0]
        for given in (np.asarray, jnp.asarray)
    )
    assert_same(one, other, rtol=0)


def test_unsettled_samples_are_never_silent(x):
    with pytest.warns(sm.ConvergenceWarning, match="before they had settled"):
        sm.train(network(), x, solver=sm.Accelerated(max_steps=1), tolerance=1e-7, progress=False)
    with pytest.warns(sm.ConvergenceWarning, match="130 of 130"):
        sm.encode(network(), x, solver=sm.Accelerated(max_steps=1), tolerance=1e-7)


def test_encoding_is_relaxing(x):
    net = network()
    features = sm.encode(net, x, batch_size=50, tolerance=1e-5)
    out = sm.relax(net, x, tolerance=1e-5)
    np.testing.assert_allclose(features, np.asarray(out["layer1"]).reshape(130, -1), atol=1e-5)
    with pytest.raises(ValueError, match="no layer 'layer7'"):
        sm.encode(net, x, layers=["layer7"])


def test_features_can_be_written_where_the_user_wants_them(x, tmp_path):
    """For example to a file, in a layout of its own; with the last batch not full and more than one layer."""
    grid = sm.Grid(6, 6)
    net = sm.layered(grid, [sm.Layer(units=300, stride=2, radius=2.0), sm.Layer(units=2, radius=1.0)])
    wanted = np.concatenate([np.asarray(r).reshape(130, -1) for r in sm.relax(net, x, tolerance=1e-3).activities], 1)
    kept = np.memmap(tmp_path / "features", np.float64, "w+", shape=(2, *wanted.shape))
    returned = sm.encode(net, x, layers=net.layers, batch_size=50, out=kept[1])
    assert returned.base is kept or np.shares_memory(returned, kept)
    np.testing.assert_array_equal(kept[1], sm.encode(net, x, layers=net.layers, batch_size=50))
    np.testing.assert_allclose(kept[1], wanted, atol=1e-6)
    assert (kept[0] == 0).all()
    for wrong in (np.empty((130, 5)), np.empty(wanted.shape, int)):
        with pytest.raises(ValueError, match="need a floating-point array of shape"):
            sm.encode(net, x, layers=net.layers, out=wrong)


@pytest.mark.parametrize(("side", "units", "samples"), [(14, 4, 512), (56, 16, 64), (200, 8, 16)])
def test_as_many_samples_relax_together_as_fit_in_16_megabytes(side, units, samples):
    """A power of two, at least 16 and at most 512."""
    net = sm.layered(sm.Grid(side, side), [sm.Layer(units=units, stride=1, radius=0.5)])
    assert samples_at_once(net) == samples


def test_relaxing_and_learning_can_be_compiled_by_the_user(x):
    """One step under jit is the step that the checked functions take."""
    compiled = jax.jit(lambda net, x: sm.learn(net, sm.relax(net, x), rate=0.02))
    net = network()
    assert_same(compiled(net, x[:20]), sm.learn(net, sm.relax(net, x[:20]), rate=0.02), atol=1e-6)


def test_nothing_is_compiled_twice(x):
    """A second run with other data, seed, rate and tolerance reuses the programs of the first."""
    programs = learn_batches._cached._cache_size
    settings = {"batch_size": 20, "progress": False}
    net, _ = sm.train(sm.calibrate(network(), x, batches=2), x, **settings)
    compiled = programs()
    other = sm.calibrate(sm.layered(sm.Grid(6, 6), [sm.Layer(units=3, stride=2, radius=2.0)], seed=9), x, batches=2)
    sm.train(other, 2 * x, seed=3, rate=0.01, tolerance=1e-2, **settings)
    sm.train(net, x, **settings)
    assert programs() == compiled


@pytest.mark.parametrize("feedback", [0.0, 0.1])
def test_no_number_is_moved_to_the_device_by_accident(x, feedback):
    """What learning moves it moves at once and openly: hidden transfers make a GPU wait for the host."""
    layers = [sm.Layer(units=3, stride=2, radius=2.0), sm.Layer(units=5)]
    net = sm.layered(sm.Grid(6, 6), layers, feedback=feedback)
    settings = {"batch_size": 20, "rate": 0.01, "progress": False}
    sm.train(net, x, **settings)  # constants are made while programs are compiled
    with jax.transfer_guard_host_to_device("disallow"):
        sm.train(net, x, **settings)


@pytest.mark.parametrize("size", [0, -3])
def test_batch_sizes_are_checked(size, x):
    for use in (
        lambda: sm.encode(network(), x, batch_size=size),
        lambda: next(sm.epochs_of(x, batch_size=size)),
        lambda: sm.train(network(), x, batch_size=size, progress=False),
    ):
        with pytest.raises(ValueError, match=f"batch size must be a whole number of at least 1, got {size}"):
            use()


def test_layers_are_chosen_by_name(x):
    net = network()
    np.testing.assert_array_equal(sm.encode(net, x, layers="layer1"), sm.encode(net, x, layers=["layer1"]))
    with pytest.raises(ValueError, match="no layer 'layer9'"):
        sm.encode(net, x, layers="layer9")
