"""Sparse matrices are learned from and encoded as the dense arrays that they stand for, without becoming dense."""

import tracemalloc

import jax
import numpy as np
import pytest
import scipy.sparse

import simatch as sm
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching

FORMATS = pytest.mark.parametrize(
    "sparse", [scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.coo_matrix, scipy.sparse.lil_matrix]
)


@pytest.fixture
def x(rng):
    """Float32, so that no format rounds."""
    return (rng.normal(size=(45, 12)) * (rng.random((45, 12)) < 0.3)).astype(np.float32)


def network(**layer):
    return sm.layered(12, [sm.Layer(units=3, activation="linear", **layer)])


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.parameters, b.parameters)


@FORMATS
def test_functions_give_what_they_give_for_dense_input(sparse, x):
    net, other = network(), sparse(x)
    np.testing.assert_array_equal(sm.encode(net, other, batch_size=20), sm.encode(net, x, batch_size=20))
    np.testing.assert_array_equal(sm.relax(net, other)["layer1"], sm.relax(net, x)["layer1"])
    assert sm.similarity_cost(net, other) == sm.similarity_cost(net, x)
    assert_same(sm.sized(net, other), sm.sized(net, x))
    assert_same(sm.calibrate(net, other, batches=3, batch_size=20), sm.calibrate(net, x, batches=3, batch_size=20))
    settings = {"batch_size": 20, "progress": False}
    learned, reports = sm.train(net, other, **settings)
    assert reports[-1].samples == 45
    assert_same(learned, sm.train(net, x, **settings)[0])
    streamed, _ = sm.train(net, [sparse(x[:20]), sparse(x[20:40])], progress=False)
    assert_same(streamed, sm.train(net, [x[:20], x[20:40]], progress=False)[0])


@FORMATS
def test_batches_are_dense_rows(sparse, x):
    for own, wanted in zip(sm.epochs_of(sparse(x), batch_size=10), sm.epochs_of(x, batch_size=10), strict=True):
        assert isinstance(own, np.ndarray)
        np.testing.assert_array_equal(own, wanted)
    labelled = {"input": sparse(x), "number": np.arange(45)}
    for batch in sm.epochs_of(labelled, batch_size=10):
        np.testing.assert_array_equal(batch["input"], x[batch["number"]])


def test_bad_numbers_are_found_in_their_rows(x):
    x[7, 3], x[30, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="in 2 of 45 samples, first in sample 7;"):
        sm.encode(network(), scipy.sparse.csr_array(x))
    with pytest.raises(ValueError, match="shape \\(45, 5\\), but the network expects"):
        sm.relax(network(), scipy.sparse.csr_array((45, 5)))
    with pytest.raises(ValueError, match="real numbers"):
        sm.relax(network(), scipy.sparse.csr_array((45, 12), dtype=complex))
    with pytest.raises(ValueError, match="0 everywhere"):
        sm.calibrate(network(), scipy.sparse.csr_array((45, 12)))


@pytest.mark.parametrize("sparse", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("scale", [1.0, "auto"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **settings: SimilarityMatching(2, **settings),
        pytest.param(
            lambda **settings: DeepSimilarityMatching((3, 2), feedback=0.2, **settings), marks=pytest.mark.slow
        ),
    ],
)
def test_estimators(sparse, scale, make, x):
    def learned(data):
        return make(max_iter=2, tol=0, batch_size=10, random_state=0, scale=scale).fit(data).partial_fit(data[:15])

    own, wanted = learned(sparse(x)), learned(x)
    np.testing.assert_array_equal(own.transform(sparse(x)), wanted.transform(x))
    assert own.n_steps_ == wanted.n_steps_


def test_memory(rng):
    """2000 rows of 50,000 features would take 400 MB."""
    x = scipy.sparse.random_array((2000, 50_000), density=1e-3, format="csr", dtype=np.float32, rng=rng)
    matching = SimilarityMatching(2, max_iter=1, tol=0, batch_size=10, random_state=0).fit(x[:100])
    matching.transform(x[:100])  # compiles
    tracemalloc.start()
    try:
        for use in (matching.transform, matching.score, matching.partial_fit, matching.fit):
            # `fit` finds sizes of weights and measures on some hundred rows at once.
            bound = 250e6 if use == matching.fit else 100e6
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            use(x)
            assert tracemalloc.get_traced_memory()[1] - before < bound
    finally:
        tracemalloc.stop()
