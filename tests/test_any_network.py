"""Networks of any structure, on samples of any size: what holds for all of them, tried on random ones."""

import tempfile
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simatch as sm

ACTIVATIONS = ("linear", "relu", "tanh", "clip", "soft_threshold:0.1", "shifted_relu:0.1")


@st.composite
def chains(draw):
    """Input, layers, feedback and seed of a chain on a small grid: dense, structured or whole sites."""
    side, channels = draw(st.sampled_from([(4, 1), (4, 2), (6, 1)]))
    layers = []
    for depth in range(draw(st.integers(1, 2))):
        stride = None if depth else draw(st.sampled_from([None, 1, 2]))
        layers.append(
            {
                "units": draw(st.integers(1, 3)),
                "stride": stride,
                "radius": None if stride is None else draw(st.sampled_from([0.8, 1.5, 2500.0])),
                "activation": draw(st.sampled_from(ACTIVATIONS)),
                "scale": draw(st.sampled_from([0.1, 1.0])),
            }
        )
    feedback = draw(st.sampled_from([0.0, 0.2])) if len(layers) > 1 else 0.0
    return (side, side, channels), layers, feedback, draw(st.integers(0, 99))


def examine(chain, seed: int, size: float) -> None:
    shape, layers, feedback, own = chain
    net = sm.layered(sm.Grid(*shape), [sm.Layer(**layer) for layer in layers], feedback=feedback, seed=own)
    grid = net.populations["input"].grid
    x = (size * np.random.default_rng(seed).normal(size=(5, *grid.shape))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some inputs are told to be too small
        out = sm.relax(net, x, tolerance=1e-4)
        states = [np.asarray(own) for own in out.activities]
        told = np.asarray(out.converged)
        # A sample that is said to have converged is finite, whatever the others are.
        for own, name in zip(states, net.layers, strict=True):
            assert own.shape == (5, *net.populations[name].grid.shape)
            assert np.isfinite(own[told]).all()
        # The same, in another order, one by one in a batch, and after the network was in a file.
        order = [3, 0, 4, 2, 1]
        scale = max(np.abs(states[-1][told]).max(initial=0), np.finfo(np.float32).tiny)
        with tempfile.TemporaryDirectory() as folder:
            sm.save(net, Path(folder, "net"))
            again = sm.load(Path(folder, "net"))
        jax.tree.map(np.testing.assert_array_equal, net.weights, again.weights)
        other = sm.relax(again, x[order], tolerance=1e-4)
        both = told[order] & np.asarray(other.converged)
        np.testing.assert_allclose(
            np.asarray(other.activities[-1])[both] / scale, states[-1][order][both] / scale, atol=2e-2
        )
        # Learning gives finite weights, or says that it diverged.
        try:
            trained, reports = sm.train(net, x, epochs=2, batch_size=2, progress=False)
        except sm.DivergenceError as error:
            trained, reports = error.network, []
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained.weights))
        assert all(report.samples > 0 for report in reports)


SIZES = st.sampled_from([1e-12, 1e-3, 1.0, 1e3, 1e8])
FREE = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=8, **FREE)
@given(chains(), st.integers(0, 99), SIZES)
def test_any_network(chain, seed, size):
    examine(chain, seed, size)


@pytest.mark.slow
@settings(max_examples=150, **FREE)
@given(chains(), st.integers(0, 99), SIZES)
def test_many_networks(chain, seed, size):
    examine(chain, seed, size)
