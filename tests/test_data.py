"""What users pass as data: containers, streams of batches, arrays larger than memory, batches of many sizes."""

import contextlib
import itertools
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

import simatch as sm
from simatch.estimators import SimilarityMatching

NET = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=1.5)])


class Tensor:
    """Offers its memory and its rows, as those of PyTorch do, and has a type that NumPy does not know."""

    dtype = "torch.float32"

    def __init__(self, a):
        self.a = np.asarray(a)
        self.shape = self.a.shape

    def __array__(self, dtype=None, copy=None):
        return self.a if dtype is None else self.a.astype(dtype)

    def __dlpack__(self, **_):
        return self.a.__dlpack__()

    def __getitem__(self, i):
        if i >= len(self.a):
            raise IndexError
        return Tensor(self.a[i])


class Stored:
    """A dataset of h5py: it reads slices, and rows whose numbers increase."""

    def __init__(self, a):
        self.a, self.shape, self.dtype, self.read = a, a.shape, a.dtype, 0

    def __getitem__(self, chosen):
        if isinstance(chosen, np.ndarray):
            assert chosen.ndim == 1
            assert (np.diff(chosen) > 0).all()
        self.read += len(self.a[chosen])
        return self.a[chosen]


CONTAINERS = {
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tuple of rows": lambda x: tuple(x.tolist()),
    "list of tensors": lambda x: list(map(Tensor, x)),
    "tensor": Tensor,
    "stored": Stored,
    "pandas": lambda x: pd.DataFrame(x.reshape(len(x), -1)),
    "pandas with missing values possible": lambda x: pd.DataFrame(x.reshape(len(x), -1)).convert_dtypes(),
    "polars": lambda x: pl.DataFrame(x.reshape(len(x), -1)),
    "jax": jnp.asarray,
    "masked, but nothing": np.ma.masked_array,
    "not contiguous": lambda x: np.asfortranarray(np.repeat(x, 2, 0))[::2],
    "sparse": lambda x: scipy.sparse.coo_array(x.reshape(len(x), -1)),
}


@pytest.fixture
def x(rng):
    return rng.normal(size=(45, 4, 4)).astype(np.float32)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.parameters, b.parameters)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_function_takes_every_container(container, x):
    other = CONTAINERS[container](x)
    np.testing.assert_array_equal(sm.relax(NET, other)["layer1"], sm.relax(NET, x)["layer1"])
    np.testing.assert_array_equal(sm.encode(NET, other, batch_size=20), sm.encode(NET, x, batch_size=20))
    np.testing.assert_array_equal(sm.encode(NET, {"input": other}), sm.encode(NET, x))
    for function in (sm.objective, sm.similarity_cost):
        assert function(NET, other) == function(NET, x)
    assert sm.certificate(NET, other) == sm.certificate(NET, x)
    assert sm.credit(NET, other).total() == sm.credit(NET, x).total()
    for function in (sm.sized, sm.imprinted):
        assert_same(function(NET, other), function(NET, x))
    assert_same(sm.calibrate(NET, other, batches=3, batch_size=20), sm.calibrate(NET, x, batches=3, batch_size=20))
    settings = {"batch_size": 20, "progress": False}
    learned, reports = sm.train(NET, other, held_out=other, **settings)
    assert reports[-1].samples == 45
    assert_same(learned, sm.train(NET, x, **settings)[0])
    for own, wanted in zip(sm.epochs_of(other, batch_size=20), sm.epochs_of(x, batch_size=20), strict=True):
        np.testing.assert_array_equal(np.reshape(own, (len(wanted), 16)), wanted.reshape(-1, 16))
    flat = CONTAINERS[container](x.reshape(45, 16))
    fitted = SimilarityMatching(2, max_iter=2, tol=0, random_state=0)
    wanted = fitted.fit_transform(x.reshape(45, 16))
    if container != "list of tensors":  # scikit-learn does not take it
        np.testing.assert_array_equal(fitted.fit_transform(flat), wanted)


@pytest.mark.parametrize(
    "item",
    [
        lambda b: [Tensor(b)],
        lambda b: b.tolist(),
        list,
        lambda b: {"input": Tensor(b)},
        lambda b: pd.DataFrame(b.reshape(15, 16)),
        Stored,
    ],
)
def test_batches_in_every_container(item, x):
    wanted, _ = sm.train(NET, list(x.reshape(3, 15, 4, 4)), progress=False)
    for stream in (list, iter):
        assert_same(sm.train(NET, stream([item(b) for b in x.reshape(3, 15, 4, 4)]), progress=False)[0], wanted)


@pytest.mark.parametrize(
    "pair",
    [
        lambda b: (Tensor(b), Tensor(np.arange(15))),
        lambda b: [Tensor(b), Tensor(b)],
        lambda b: (b.tolist(), [0] * 15),
        lambda b: ({"input": b}, [0] * 15),
    ],
)
def test_labels_in_batches_are_left_out_and_this_is_told_once(pair, x):
    wanted, _ = sm.train(NET, list(x.reshape(3, 15, 4, 4)), progress=False)
    for stream in (list, iter):
        with pytest.warns(UserWarning, match="only x is used") as told:
            learned, _ = sm.train(NET, stream([pair(b) for b in x.reshape(3, 15, 4, 4)]), progress=False)
        assert len(told) == 1
        assert_same(learned, wanted)


def test_lists_of_samples_that_look_like_batches():
    """An image of one row has the shape of a batch of one, so a list of these is a stream."""
    net, x = sm.layered(sm.Grid(1, 4), [sm.Layer(units=2)]), np.random.default_rng(0).normal(size=(20, 1, 4))
    assert sm.train(net, list(x), progress=False)[1][-1].batches == 20
    assert sm.train(net, list(x[:, 0]), progress=False)[1][-1].batches == 1
    assert sm.train(net, [list(x), list(x)], progress=False)[1][-1].batches == 2


class Unreadable:
    shape = (3, 16)

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.\nAnd")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[1.0] * 16, [1.0]], "cannot be read as an array .*; make all rows equally long"),
        ([["a"] * 16] * 3, "real numbers, got one of type <U1"),
        ([[None] * 16] * 3, "real numbers, got one of type object"),
        (Unreadable(), r"a Unreadable, cannot be read as an array \(Can't call .* instead\); convert it to a NumPy"),
        (np.ma.masked_less(np.ones((3, 16)) * np.arange(16), 3), "masked entries"),
        (pd.DataFrame(np.ones((3, 16))).assign(name="a"), "real numbers"),
        (jnp.ones((3, 16), complex), "real numbers, got one of type complex64"),
        ("digits.npy", "of type str"),
        (3, "."),
        ({"input": [[1.0] * 16], "label": [0]}, "'input', 'label'"),
    ],
)
def test_what_is_no_data_is_told(bad, message):
    for use in (sm.relax, sm.encode, sm.calibrate, lambda net, x: sm.train(net, x, progress=False)):
        with pytest.raises(ValueError, match=message) as error:
            use(NET, bad)
        assert "\n" not in str(error.value)


def test_streams_are_for_training_only(x):
    with pytest.raises(ValueError, match="generator; only train and training take iterables"):
        sm.encode(NET, (b for b in [x]))
    with pytest.raises(ValueError, match=r"batch axis: x\[None\]"):
        sm.train(NET, iter(x), progress=False)
    with pytest.raises(ValueError, match="complex"):
        sm.train(NET, [x, jnp.asarray(x, complex)], progress=False)


def test_channels_first_are_asked_about():
    net = sm.layered(sm.Grid(8, 6, 3), [sm.Layer(units=2, stride=2, radius=1.5)])
    with pytest.raises(ValueError, match=r"channels first\? transpose with x.transpose\(0, 2, 3, 1\)\.$"):
        sm.encode(net, np.ones((5, 3, 8, 6)))


def test_bad_numbers_are_found_in_their_rows_whatever_is_read(x):
    x = np.resize(x, (2000, 4, 4))
    x[1777, 3, 3] = np.nan
    for other in (x, Stored(x), Tensor(x), x.astype(np.float16)):
        for use in (sm.encode, sm.calibrate, lambda net, x: sm.train(net, x, progress=False)):
            if use is not sm.calibrate or isinstance(other, Stored):
                with pytest.raises(ValueError, match="first in sample 1777;"):
                    use(NET, other) if use is not sm.calibrate else use(NET, other, batches=40)
    with pytest.raises(ValueError, match=r"beyond 1e\+18"):
        sm.encode(NET, np.full((3, 16), 2 * 10**18))


def test_only_some_rows_are_read(x):
    for use in (sm.sized, sm.imprinted, lambda net, x: sm.calibrate(net, x, batches=2, batch_size=50)):
        stored = Stored(np.resize(x, (20_000, 16)))
        use(NET, stored)
        assert stored.read <= 600
    stored = Stored(np.resize(x, (20_000, 16)))
    sm.encode(NET, stored)
    assert 20_000 <= stored.read <= 21_000


@pytest.mark.parametrize("library", ["h5py", "zarr"])
def test_datasets_in_files(library, tmp_path, x):
    module = pytest.importorskip(library)
    if library == "h5py":
        stored = module.File(tmp_path / "x.h5", "w").create_dataset("x", data=x, chunks=(10, 4, 4))
    else:
        stored = module.create_array(tmp_path / "x.zarr", shape=x.shape, dtype=x.dtype, chunks=(10, 4, 4))
        stored[:] = x
    np.testing.assert_array_equal(sm.encode(NET, stored), sm.encode(NET, x))
    assert_same(*(sm.train(NET, own, batch_size=20, progress=False)[0] for own in (stored, x)))


LARGE = """
    import os, sys, threading, time, warnings
    import numpy as np, simatch as sm
    from simatch.estimators import SimilarityMatching

    def held():
        line = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024

    x = np.memmap(sys.argv[1], np.uint8, "r", shape=(60_000, 784))
    out = np.memmap(sys.argv[1] + ".out", np.float32, "w+", shape=(60_000, 4))
    net = sm.layered(784, [sm.Layer(units=4, scale=1e-4)])
    estimator = SimilarityMatching(4, batch_size=400, max_iter=1, tol=0, random_state=0)
    warnings.simplefilter("ignore")
    uses = {
        "train": lambda x: sm.train(net, x, batch_size=400, progress=False),
        "encode": lambda x: sm.encode(net, x, out=out[:len(x)]),
        "calibrate": lambda x: sm.calibrate(net, x, batches=2),
        "sized": lambda x: sm.sized(net, x),
        "fit": estimator.fit, "transform": estimator.transform, "score": estimator.score,
        "partial_fit": estimator.partial_fit,
    }
    peak = 0.0
    def watch():
        global peak
        while True:
            peak = max(peak, held())
            time.sleep(0.001)
    threading.Thread(target=watch, daemon=True).start()
    for name, use in uses.items():
        use(x[:6000])
        before = peak = held()
        use(x)
        print(name, peak - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")  # noqa: PTH110
@pytest.mark.slow
def test_memory_is_bounded_by_batches(tmp_path, rng):
    """47 MB of bytes on disk are 188 MB as numbers of the engine."""
    file = tmp_path / "x"
    rng.integers(0, 256, size=(60_000, 784), dtype=np.uint8).tofile(file)
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(LARGE), str(file)], capture_output=True, text=True, check=True
    )
    found = {name: float(more) for name, more in map(str.split, run.stdout.splitlines())}
    assert len(found) == 8
    assert max(found.values()) < 60, found


@pytest.mark.parametrize(("dtype", "shape"), [(np.uint8, (300, 12)), (np.float64, (20, 300)), (np.float16, (20, 300))])
def test_large_data_are_read_row_by_row_with_the_same_result(dtype, shape, rng, monkeypatch):
    x = rng.integers(0, 200, size=shape).astype(dtype)

    def learned(x):
        matching = SimilarityMatching(2, max_iter=1, tol=0, random_state=0).fit(x)
        score = matching.score(x)
        return matching.transform(x), score, matching.explained_variance_ratio_, matching.partial_fit(x).transform(x)

    wanted = learned(x)
    monkeypatch.setattr("simatch.estimators._rows.LARGE", 1000)
    monkeypatch.setattr("simatch.estimators._rows._AT_ONCE", 1000)
    for other in (x, Stored(x)):
        for own, whole in zip(learned(other), wanted, strict=True):
            np.testing.assert_allclose(own, whole, rtol=2e-3, atol=2e-3 * np.abs(whole).max())
    for bad in (np.nan, 1e30):
        if dtype == np.float64:
            x[7, 3] = bad
            with pytest.raises(ValueError, match=r"NaN|in sample 7|infinity"):
                SimilarityMatching(2).fit(x)
            with pytest.raises(ValueError, match="in sample 7"):
                SimilarityMatching(2).fit(Stored(x))
    with pytest.raises(ValueError, match="X must be a matrix of real numbers"):
        SimilarityMatching(2).fit(Stored(x.astype(complex)))


RULES = {
    "averaging": sm.AveragingRule(),
    "gradient": sm.GradientRule(),
    "contrast": sm.ContrastRule(
        sm.Phase(), sm.Phase(["input", "label"], terms=[sm.Nudge("layer2", target="label", strength=0.5)]), beta=0.5
    ),
}


@pytest.mark.parametrize(
    ("size", "rule", "activation"),
    [
        (1, "averaging", "tanh"),
        (17, "averaging", "soft_threshold:0.1"),
        (33, "gradient", "tanh"),
        (5, "contrast", "tanh"),
    ],
)
def test_batches_that_are_filled_up_teach_the_same(size, rule, activation, rng):
    """With a report for every batch none is filled up."""
    net = networks.two_layers("dense", networks.structure(rng), 0.3, activation=activation)
    net = networks.randomised(net, rng)
    batch = {"input": rng.normal(size=(size, 48))}
    if rule == "contrast":
        batch["label"] = rng.normal(size=(size, 5))
    (filled, own), (whole, wanted) = (
        next(sm.training(net, [batch], rate=0.01, rule=RULES[rule], report_every=every, tolerance=1e-6))
        for every in (2, 1)
    )
    networks.assert_close_trees(filled.parameters, whole.parameters, rtol=2e-5, atol=2e-6)
    assert (own.samples, own.unconverged, own.steps) == (size, wanted.unconverged, wanted.steps)
    np.testing.assert_allclose(own.cost, wanted.cost, rtol=1e-4)
    assert own.residual == pytest.approx(wanted.residual, rel=0.05, abs=1e-6)
    for name, health in wanted.health.items():
        assert vars(own.health[name]) == pytest.approx(vars(health), rel=1e-4)


@contextlib.contextmanager
def counted():
    """List of the programs that are compiled."""
    compiled = []

    def listen(event, *_, **__):
        if "backend_compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.clear_event_listeners()


def test_sizes_share_programs(rng):
    """Compiling takes a second and 9 MB, so this counts programs."""
    estimator = SimilarityMatching(2, random_state=0)
    for size in (60, 8, 16, 32, 64, 128):
        estimator.partial_fit(rng.normal(size=(size, 7)))
        estimator.transform(rng.normal(size=(size, 7)))
        sm.encode(NET, rng.normal(size=(size, 16)))
    with counted() as compiled:
        for size in (31, 47, 62, 25, 9, 100, 77):
            estimator.partial_fit(rng.normal(size=(size, 7)))
            estimator.transform(rng.normal(size=(size, 7)))
            sm.encode(NET, rng.normal(size=(size, 16)))
        sizes = iter((31, 47, 62, 25, 9, 100, 77))
        sm.train(NET, (rng.normal(size=(size, 16)) for size in itertools.islice(sizes, 1)), progress=False)
        before = len(compiled)
        sm.train(NET, (rng.normal(size=(size, 16)) for size in (20, 21, 22, 19)), progress=False)
        assert before <= 4
        assert len(compiled) == before


def test_thresholds_and_scales_share_programs(rng):
    x = rng.normal(size=(40, 6))

    def learned(threshold, scale):
        layer = sm.Layer(units=3, activation=f"soft_threshold:{threshold}", scale=scale)
        net, _ = sm.train(sm.layered(6, [layer]), x, progress=False)
        return sm.encode(net, x)

    first = learned(0.1, 1.0)
    with counted() as compiled:
        others = [learned(0.2, 1.0), learned(0.1, 0.5)]
    assert not compiled
    assert all(abs(other - first).max() > 0.01 for other in others)
