"""A network on disk is the same network; anything else is refused in one sentence."""

import errno
import json
import os
import stat
import tracemalloc

import jax
import numpy as np
import pytest
import safetensors.numpy
import scipy.sparse

import simatch as sm
from simatch.storage import load, save, write_atomically
from simatch.storage._arrays_file import arrays_file, write_arrays


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


def whitened(rng):
    """A network with two inputs, one of them through whitened synapses of which some are missing."""
    eye, ear, above = sm.Grid(2, 2), sm.Grid(1, 1, 3), sm.Grid(1, 1, 4)
    missing = (rng.random((4, 4)) < 0.7).astype(float) + np.eye(4) > 0
    return sm.Network(
        {"eye": sm.Population(eye), "ear": sm.Population(ear), "r": sm.Population(above, "relu")},
        [
            sm.WhitenedHebbian("eye", "r", sm.Dense(eye, above, missing.astype(float)), scale=0.7),
            sm.Hebbian("ear", "r", sm.Dense(ear, above)),
            sm.AntiHebbian("r", sm.Dense(above, above)),
        ],
    )


@pytest.mark.parametrize("build", [chain, graph, terms, whitened])
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


def small(path):
    net = sm.layered(4, [sm.Layer(units=2)])
    save(net, path)
    return net


def contents(path):
    """Description and arrays of a file."""
    with arrays_file(path) as file:
        return file.description, file.read(checksum=True)


def rewritten(path, change):
    """Change the description and the arrays of a file, and sign it anew, as somebody might who means it."""
    description, tensors = contents(path)
    change(description, tensors)
    write_arrays(path, tensors, description)


def test_bad_files(tmp_path):
    good = tmp_path / "good"
    small(good)
    content = good.read_bytes()
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load(tmp_path / "none")
    with pytest.raises(ValueError, match="is a folder"):
        load(tmp_path)
    bad = tmp_path / "bad"
    for damaged in (b"", b"hello", content[:20], content[:-1], content + b"0"):
        bad.write_bytes(damaged)
        with pytest.raises(ValueError, match="bad' is truncated, damaged or not a file of arrays"):
            load(bad)
    bad.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(ValueError, match="bad' is no network file: its format is None"):
        load(bad)


def test_every_flipped_bit_is_noticed(rng, tmp_path):
    """No byte of a file can change without a refusal, unless the network is the same as before."""
    path = tmp_path / "net"
    net = small(path)
    content = path.read_bytes()
    for place in range(8, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            read = load(path)
        except ValueError as error:
            assert "net" in str(error)  # noqa: PT017
        else:
            assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(net), strict=True))


def test_formats_before_and_after(tmp_path):
    path = tmp_path / "net"
    net = small(path)
    description, tensors = contents(path)
    # As version 2 was written: no checksum.
    path.write_bytes(
        safetensors.numpy.save(tensors, {"simatch": json.dumps({**description, "format": "simatch-network-2"})})
    )
    np.testing.assert_array_equal(load(path).weights[0], net.weights[0])
    path.write_bytes(safetensors.numpy.save(tensors, {"simatch": json.dumps(description)}))
    with pytest.raises(ValueError, match="damaged: it has no checksum"):
        load(path)
    for version, words in (
        ("simatch-network-4", "newer version of simatch, in format 4 .* reads 2 and 3"),
        ("simatch-network-1", "is in format 1 of network files, of which this version reads 2 and 3"),
        ("simatch-state-1", "is no network file: its format is 'simatch-state-1'"),
        (3, "its format is 3"),
    ):
        write_arrays(path, tensors, {**description, "format": version})
        with pytest.raises(ValueError, match=words):
            load(path)


KEYS = ["terms.0/.parameters", "terms.1/.scale"]
CHANGES = [
    (lambda a: np.full_like(a, np.nan), "holds NaN or infinity"),
    (lambda a: np.zeros((7, 7, 7), np.float32), "of shape"),
    (lambda a: np.full(a.shape, 1e300), "too large for float32"),
    (lambda a: a.astype(np.int32), "of type int32"),
    (lambda a: a.astype(np.float16), "of type float16"),
    (None, "lacks the array"),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_arrays_that_do_not_fit(key, change, message, tmp_path):
    path = tmp_path / "net"
    small(path)

    def edit(_, tensors):
        before = tensors.pop(key)
        if change:
            tensors[key] = change(before)

    rewritten(path, edit)
    with pytest.raises(ValueError, match=f"net' does not hold together.*{message}"):
        load(path)


def in_header(content, change):
    """Change the header that the library for these files reads."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header = json.dumps(change(header)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@pytest.mark.parametrize("dtype", ["BF16", "C64", "F8_E4M3", "F32x"])
def test_types_without_a_counterpart(dtype, tmp_path):
    path = tmp_path / "net"
    small(path)
    size = {"BF16": 2, "C64": 8, "F8_E4M3": 1}.get(dtype, 4)

    def change(header):
        weights = header["terms.0/.parameters"]
        begin, end = weights["data_offsets"]
        weights.update(dtype=dtype, shape=[(end - begin) // size])
        return header

    path.write_bytes(in_header(path.read_bytes(), change))
    with pytest.raises(ValueError, match=r"net' (has an array of type|is truncated, damaged)"):
        load(path)


@pytest.mark.parametrize(
    "text", ["[]", "[" * 100_000, '{"a":' * 100_000, "3", "", "{", '{"format": ' + "9" * 5000 + "}", '"' * 3], ids=len
)
def test_descriptions_that_are_none(text, tmp_path):
    path = tmp_path / "net"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"simatch": text}))
    with pytest.raises(ValueError, match=r"net' has a .*description"):
        load(path)


def local(path):
    save(sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)]), path)


def sparse(path):
    grid = sm.Grid(1, 1, 4)
    save(
        sm.Network(
            {"x": sm.Population(grid), "r": sm.Population(grid, "tanh")},
            [sm.Hebbian("x", "r", sm.Sparse(grid, grid, scipy.sparse.csr_array(np.tri(4)))), sm.Bias("r", grid)],
        ),
        path,
    )


def masked(path):
    below, above = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)
    dense = sm.Dense(below, above, np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]))
    net = sm.Network(
        {"x": sm.Population(below), "r": sm.Population(above, "tanh")},
        [
            sm.Hebbian("x", "r", dense, parameters=np.ones((2, 3), np.float32)),
            sm.AntiHebbian("r", sm.Dense(above, above)),
        ],
    )
    save(net, path)


SPARSE = "terms.0.connectivity.structure"
LIES = {
    "radius": (
        local,
        lambda d, t: d["terms"][0]["arguments"]["connectivity"]["arguments"].update(radius=2500),
        "of shape",
    ),
    "radius 1e300": (
        local,
        lambda d, t: d["terms"][0]["arguments"]["connectivity"]["arguments"].update(radius=1e300),
        "of shape",
    ),
    "grids": (
        local,
        lambda d, t: [
            d["terms"][0]["arguments"]["connectivity"]["arguments"].update(
                pre={"grid": [10**9, 10**9, 1]}, post={"grid": [10**6, 10**6, 4]}
            )
        ],
        "more weights than the file holds",
    ),
    "bias": (sparse, lambda d, t: d["terms"][1]["arguments"].update(grid={"grid": [10**6, 10**6, 1]}), "more weights"),
    "dense": (
        masked,
        lambda d, t: d["terms"][0]["arguments"]["connectivity"]["arguments"].update(
            pre={"grid": [1, 1, 10**9]}, post={"grid": [1, 1, 10**9]}
        ),
        "more weights",
    ),
    "number": (local, lambda d, t: d["populations"][0].update(name=3), "name of a population is 3"),
    "same names": (
        local,
        lambda d, t: d["populations"][1].update(name="input"),
        "two populations have the name 'input'",
    ),
    "no populations": (local, lambda d, t: d.pop("populations"), "no list of populations"),
    "terms": (local, lambda d, t: d.update(terms={}), "no list of terms"),
    "many": (local, lambda d, t: d.update(terms=d["terms"] * 3000), "declares 6,000 terms"),
    "text": (local, lambda d, t: d.update(terms=["a"]), "of another kind"),
    "kind": (local, lambda d, t: d["terms"][0].update(term="quantum"), "no term 'quantum'"),
    "argument": (local, lambda d, t: d["terms"][0]["arguments"].update(colour=3), "colour"),
    "unused": (local, lambda d, t: t.update(more=np.zeros(2)), "array 'more', which belongs to no part"),
    "unsorted": (sparse, lambda d, t: t.update({f"{SPARSE}.indices": t[f"{SPARSE}.indices"][::-1]}), "not sorted"),
    "twice": (sparse, lambda d, t: t[f"{SPARSE}.indices"].__setitem__(2, 0), "not sorted"),
    "outside": (sparse, lambda d, t: t[f"{SPARSE}.indices"].__setitem__(9, 4), "indices"),
    "below": (sparse, lambda d, t: t[f"{SPARSE}.indices"].__setitem__(0, -1), "indices"),
    "pointers": (sparse, lambda d, t: t[f"{SPARSE}.indptr"].__setitem__(1, 9), "ind"),
    "pointers beyond": (sparse, lambda d, t: t[f"{SPARSE}.indptr"].__setitem__(4, 11), "ind"),
    "fractions": (
        sparse,
        lambda d, t: t.update({f"{SPARSE}.indices": t[f"{SPARSE}.indices"] + 0.5}),
        "no whole numbers",
    ),
    "negative": (sparse, lambda d, t: t["terms.0/.connectivity.structure"].__setitem__(0, -1), "negative"),
    "zero": (sparse, lambda d, t: t["terms.0/.connectivity.structure"].__setitem__(0, 0), "0 where synapses exist"),
    "all zero": (sparse, lambda d, t: t["terms.0/.connectivity.structure"].fill(0), "all 0"),
    "missing": (masked, lambda d, t: t["terms.0/.parameters"].fill(1), "not 0 where no synapse exists"),
    "lateral": (masked, lambda d, t: t["terms.1/.parameters"].__setitem__((0, 1), 1), "not symmetric"),
    "scale": (masked, lambda d, t: t["terms.1/.scale"].__setitem__((), -1), "must be above 0"),
    "nested": (
        masked,
        lambda d, t: d["terms"][0]["arguments"].update(scale={"tensor": "terms.0/.parameters"}),
        "Error|ambiguous",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_lie(name, tmp_path):
    write, change, message = LIES[name]
    path = tmp_path / "net"
    write(path)
    load(path)
    rewritten(path, change)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"net' does not hold together as a network: .*({message})"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_what_load_would_refuse_is_not_saved(tmp_path):
    path = tmp_path / "net"
    net = small(path)
    before = path.read_bytes()
    first, lateral = net.weights
    for weights, message in (
        ((first * np.nan, lateral), "NaN or infinite"),
        ((first, lateral.at[0, 1].set(5)), "not symmetric"),
        ((first.astype(np.float16), lateral), "of type float16"),
    ):
        with pytest.raises(ValueError, match=message):
            save(net.with_weights(weights), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_weights_of_missing_synapses_are_saved_as_0(tmp_path):
    masked(tmp_path / "net")  # its weights are all 1
    np.testing.assert_array_equal(load(tmp_path / "net").weights[0], [[1, 0, 1], [0, 1, 0]])


def test_lateral_weights_without_a_minimum_are_told_when_they_relax(tmp_path):
    """Other terms, such as a leak, may make them definite, so that they can be saved."""
    net = sm.layered(4, [sm.Layer(units=2, activation="linear")])
    net = net.with_weights([net.weights[0], -3 * net.weights[1]])
    save(net, tmp_path / "net")
    with pytest.warns(sm.ConvergenceWarning):
        relaxed = sm.relax(load(tmp_path / "net"), np.ones((3, 4)))
    assert not relaxed.converged.any()


def test_double_precision_is_not_lost_silently(tmp_path):
    with jax.enable_x64(True):
        small(tmp_path / "net")
    with pytest.warns(UserWarning, match="net' holds a network in double precision"):
        load(tmp_path / "net")


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


def test_names_are_found_in_messages_of_failed_writes(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"There is no folder '.*none' to write '.*none/net' in; make it first"
    ) as error:
        save(sm.layered(4, [sm.Layer(units=2)]), tmp_path / "none" / "net")
    assert "unfinished" not in str(error.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/net"):
        write_atomically(tmp_path / "file" / "net", "")


def test_a_full_disk_is_told_in_a_sentence(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"^'.*net' could not be written: No space left on device\.$") as error:
        write_atomically(tmp_path / "net", "new")
    assert error.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_folders_are_put_on_disk_after_files(tmp_path, monkeypatch):
    settled = []
    monkeypatch.setattr("os.fsync", lambda d: settled.append(stat.S_ISDIR(os.fstat(d).st_mode)))
    write_atomically(tmp_path / "net", "new")
    assert settled == [False, True]


def test_permissions_and_links_are_kept(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name, kind in (("pipe", "no ordinary file"), ("null", "no ordinary file"), (".", "a folder")):
        with pytest.raises(ValueError, match=f"is {kind}, which must not be replaced"):
            write_atomically(tmp_path / name, "new")
    with pytest.raises(ValueError, match="is no ordinary file"):
        load(tmp_path / "pipe")


def test_unusual_names(tmp_path):
    for name in (b"n" * 222 + b".safetensors", b"\xff\xfe", b"a 'b' \"c\"", b"n" * 255):
        path = tmp_path / os.fsdecode(name)
        net = small(path)
        np.testing.assert_array_equal(load(path).weights[0], net.weights[0])
    with pytest.raises(OSError, match="could not be written"):
        small(tmp_path / ("n" * 256))
    assert len(list(tmp_path.iterdir())) == 4
