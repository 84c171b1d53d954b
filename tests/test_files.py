"""A network on disk is the same network; anything else is refused in one sentence."""

import json
import stat

import jax
import numpy as np
import pytest
import safetensors.numpy
import scipy.sparse

import simatch as sm
from simatch.storage import load, save, write_atomically


def structure(rng, shape):
    return rng.random(shape) * (rng.random(shape) < 0.5) + np.eye(*shape)


def chain(rng):
    return sm.layered(
        sm.Grid(6, 8, 2),
        [
            sm.Layer(units=3, stride=2, radius=2.3, lateral_radius=2.0, activation="soft_threshold:0.123", scale=0.7),
            sm.Layer(units=5, activation="clip"),
        ],
        feedback=0.3,
        seed=4,
    )


def graph(rng):
    eye, ear, top = sm.Grid(3, 3), sm.Grid(1, 1, 4), sm.Grid(1, 1, 6)
    lateral = structure(rng, (6, 6))
    return sm.Network(
        {"eye": sm.Population(eye), "ear": sm.Population(ear), "top": sm.Population(top, "relu")},
        [
            sm.Hebbian("eye", "top", sm.Sparse(eye, top, scipy.sparse.csr_array(structure(rng, (6, 9))))),
            sm.Hebbian("ear", "top", sm.Dense(ear, top, structure(rng, (6, 4))), scale=2.0),
            sm.AntiHebbian("top", sm.Dense(top, top, (lateral + lateral.T) / 2), scale=0.5),
        ],
    )


@sm.register("doubling", sm.Activation)
class Doubling(sm.network.Activation):
    """An activation of a user's own, under a name."""

    lower = 0.0

    def __call__(self, u):
        return jax.nn.relu(u) / 2

    def cost(self, r):
        return r**2 / 2


def terms(rng):
    """A network with terms that are no pathways, and with a registered activation."""
    below, above = sm.Grid(2, 2), sm.Grid(1, 1, 3)
    return sm.Network(
        {"input": sm.Population(below), "r": sm.Population(above, "doubling")},
        [
            sm.Hebbian("input", "r", sm.Dense(below, above)),
            sm.Leak("r", 0.3),
            sm.Bias("r", above),
        ],
    )


@pytest.mark.parametrize("build", [chain, graph, terms])
def test_round_trip(build, rng, tmp_path):
    net = build(rng)
    inputs = {name: rng.normal(size=(20, net.populations[name].grid.size)) for name in net.inputs}
    net, _ = sm.train(net, inputs, batch_size=5, rate=0.01, progress=False)
    save(net, tmp_path / "net.safetensors")
    read = load(tmp_path / "net.safetensors")
    assert jax.tree.structure(read) == jax.tree.structure(net)
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(net), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(sm.encode(read, inputs), sm.encode(net, inputs))


def test_double_precision_survives(x64, tmp_path):
    net = sm.layered(4, [sm.Layer(units=2)])
    save(net, tmp_path / "net")
    np.testing.assert_array_equal(load(tmp_path / "net").weights[0], net.weights[0])
    assert load(tmp_path / "net").weights[0].dtype == np.float64


def test_own_kinds_are_refused(tmp_path):
    class Mine(sm.Activation):
        def __call__(self, u):
            return u

        def cost(self, r):
            return 0 * r

    with pytest.raises(ValueError, match="cannot describe a Mine, which is not registered"):
        save(sm.layered(4, [sm.Layer(units=2, activation=Mine())]), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_bad_files(tmp_path):
    good = tmp_path / "good"
    save(sm.layered(4, [sm.Layer(units=2)]), good)
    content = good.read_bytes()
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load(tmp_path / "none")
    bad = tmp_path / "bad"
    for damaged in (b"", b"hello", content[:20], content[:-1]):
        bad.write_bytes(damaged)
        with pytest.raises(ValueError, match="truncated, damaged or not a network"):
            load(bad)
    bad.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(ValueError, match="its format is None"):
        load(bad)


@pytest.mark.parametrize("key", ["terms.0/.parameters", "terms.1/.scale"])
@pytest.mark.parametrize("change", [lambda a: np.full_like(a, np.nan), lambda a: np.zeros((7, 7, 7)), None])
def test_inconsistent_files(key, change, tmp_path):
    path = tmp_path / "net"
    save(sm.layered(4, [sm.Layer(units=2)]), path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors = {k: v if k != key else change(v) for k, v in tensors.items() if k != key or change}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match="does not hold together"):
        load(path)


def test_unknown_parts(tmp_path):
    path = tmp_path / "net"
    save(sm.layered(4, [sm.Layer(units=2)]), path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = json.loads(metadata["simatch"])
    header["terms"][0]["term"] = "quantum"
    path.write_bytes(safetensors.numpy.save(tensors, {"simatch": json.dumps(header)}))
    with pytest.raises(ValueError, match="no term 'quantum'"):
        load(path)


def test_a_failed_write_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_written_files_are_ordinary(tmp_path):
    write_atomically(tmp_path / "a", "1")
    (tmp_path / "b").write_text("1")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)
