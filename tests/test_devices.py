"""Several devices, in one process and in two, learn what one device does."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import on_devices
import pytest
from jax.sharding import PartitionSpec as P
from on_devices import BATCH, counted, measured, network, poisoned, samples, weights

import simatch as sm
from simatch.learning._devices import BATCH as BATCH_AXIS
from simatch.learning._devices import averaged, batch_mesh

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    return run(tmp_path_factory, 1)[0]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return run(tmp_path_factory, 2)


def run(tmp_path_factory, processes):
    """Run the program in so many processes, and return what each found."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("devices")
    environment = os.environ | {"PYTHONPATH": str(Path(sm.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}

    def start(process):
        path = folder / f"{process}.npz"
        command = [sys.executable, on_devices.__file__, str(process), str(processes), address, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr
        return dict(np.load(path))

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(start, range(processes)))


def on_one_device(kind, name, processes=1):
    """Learn without a mesh what several processes learn together."""
    parts = np.split(samples(), processes)
    streams = [sm.epochs_of(part, batch_size=BATCH // processes) for part in parts]
    batches = [np.concatenate(shares) for shares in zip(*streams, strict=True)]
    rate = sm.hyperbolic(0.05, over=len(batches))
    settings = {**on_devices.LEARNING, "rate": rate, "batch_size": None}  # the batches have their size
    net, reports = sm.train(network(sm, kind), iter(batches), **settings)
    return net, weights(net, name) | counted(reports[-1], name), measured(reports[-1], name)


def assert_close(found, expected, **tolerance):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **tolerance)


@pytest.mark.parametrize("kind", [pytest.param("local", marks=pytest.mark.slow), "feedback"])
@pytest.mark.usefixtures("x64")
def test_four_devices_learn_what_one_does(one_process, kind):
    net, expected, report = on_one_device(kind, kind)
    assert_close(one_process, expected, **TIGHT)
    assert_close(one_process, {f"{kind} features": sm.encode(net, samples(), tolerance=1e-6)}, **TIGHT)
    assert_close(one_process, report, rtol=1e-6)  # shares are in single precision


@pytest.mark.usefixtures("x64")
def test_four_devices_learn_by_contrast_what_one_does(one_process):
    """Two phases, targets, and a momentum that goes from batch to batch."""
    settings = on_devices.contrast(sm) | on_devices.LEARNING
    net, reports = sm.train(network(sm, "feedback"), on_devices.labelled(samples()), **settings)
    assert_close(one_process, weights(net, "contrast") | counted(reports[-1], "contrast"), **TIGHT)
    assert_close(one_process, {"contrast cost": reports[-1].cost}, rtol=1e-9)


def test_in_single_precision(one_process):
    # Steps and residuals may differ: a rounding decides whether a sample is done one step earlier.
    _, expected, _ = on_one_device("local", "float32")
    assert all(value.dtype == np.float32 for name, value in one_process.items() if name.startswith("float32 weight"))
    assert_close(one_process, expected, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_the_devices_have_different_work():
    """What the tests of this file rest on: devices finish at different times, and one is silent in the last batch."""
    *_, last = sm.epochs_of(samples(), batch_size=BATCH)
    steps = np.asarray(sm.relax(network(sm, "local"), last, tolerance=1e-6).steps).reshape(4, -1)
    assert np.min(steps.max(axis=1)) == 0
    assert len(np.unique(steps.max(axis=1))) > 2


@pytest.mark.usefixtures("x64")
def test_two_processes_learn_what_one_does(two_processes):
    """Each has half of the samples and of every batch; both end with all weights and the same report."""
    net, expected, report = on_one_device("local", "local", processes=2)
    features = np.split(sm.encode(net, samples(), tolerance=1e-6), 2)
    for found, own in zip(two_processes, features, strict=True):
        assert_close(found, expected | {"local features": own}, **TIGHT)
        assert_close(found, report, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_two_processes_go_on_from_their_checkpoints(two_processes):
    _, expected, _ = on_one_device("local", "local", processes=2)
    for found in two_processes:
        for name, value in expected.items():
            if "weight" in name:
                np.testing.assert_allclose(found[name.replace("local", "resumed")], value, **TIGHT)


def test_divergence_on_one_device_stops_all(two_processes):
    *_, (good, _) = sm.training(network(sm, "linear"), poisoned()[:2], rate=0.1)
    for found in two_processes:
        assert "batch 3" in str(found["divergence refused"])
        assert_close(found, weights(good, "divergence"), atol=1e-5)


def test_uneven_batches_are_refused(one_process):
    for name in ("batch size", "encoding"):
        assert "A batch of 6 samples cannot be spread evenly over 4 devices" in str(one_process[f"{name} refused"])
    assert "A batch of 5 samples" in str(one_process["stream refused"])


def test_processes_must_agree(two_processes):
    for found in two_processes:
        assert "different networks" in str(found["networks refused"])
        assert "different numbers of samples" in str(found["samples refused"])


def test_changes_travel_in_one_message():
    """Between processes each message takes some milliseconds, however short it is."""
    mesh = batch_mesh(jax.make_mesh((1,), ("batch",)))
    changes = {"forward": jnp.arange(6.0).reshape(2, 3), "lateral": (jnp.ones(4), jnp.asarray(2.0))}
    mean = jax.jit(jax.shard_map(lambda own: averaged(own, BATCH_AXIS), mesh=mesh, in_specs=P(), out_specs=P()))
    assert mean.lower(changes).as_text().count("stablehlo.all_reduce") == 1
    jax.tree.map(np.testing.assert_array_equal, mean(changes), changes)
