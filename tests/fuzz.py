"""Damaged and made-up files of every kind that is read: each loads correctly or is refused by the package itself.

``make fuzz`` reads 10,000 in a process that may take 1 GiB of memory more than it has after its imports, and 20 seconds
for a file; it ends with a table. `test_fuzz.py` is the short form.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
import scipy.sparse

import simatch as sm
from simatch.data import Dataset, load_dataset
from simatch.runs import KIND, Model, merged, run
from simatch.storage import RunFolder, draft, info, write_atomically
from simatch.storage._arrays_file import arrays_file, write_arrays
from simatch.storage._sound import check_missing, check_sound

MEMORY, SECONDS = 1 << 30, 20
# Errors that say that a file cannot be used. Whatever else comes out of reading is a failure.
REFUSED = (ValueError, FileNotFoundError)

Change = Callable[[bytes, random.Random, Path], bytes]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: examples, how it is read and checked, and the changes that know its form.

    Attributes
    ----------
    suffix : str
    examples : list of bytes
    read : callable
        Reads a file.
    check : callable
        Checks what was read. The third argument is what the file was before, or None if the change was one that its
        author may have meant.
    changes : list of callables
    protected : bool
        Whether no change of bytes may go unnoticed.
    """

    suffix: str
    examples: list[bytes]
    read: Callable[[Path], Any]
    check: Callable[[Any, Path, bytes | None], None]
    changes: list[Change]
    protected: bool = True


# --- Changes of bytes


def flipped(content: bytes, rng: random.Random, _: Path) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random, _: Path) -> bytes:
    return content[: rng.randrange(len(content))]


def deleted(content: bytes, rng: random.Random, _: Path) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 2, 8, 100)) :]


def inserted(content: bytes, rng: random.Random, _: Path) -> bytes:
    start, other = rng.randrange(len(content) + 1), rng.randrange(len(content))
    part = rng.choice(
        (bytes(rng.choice((1, 8, 1000))), b"\xff" * 8, rng.randbytes(8), content[other : other + 64], b"[")
    )
    return content[:start] + part + content[start:]


def exchanged(content: bytes, rng: random.Random, _: Path) -> bytes:
    a, b = sorted((rng.randrange(len(content)), rng.randrange(len(content))))
    size = min(rng.choice((1, 4, 8, 64)), b - a)
    return content[:a] + content[b : b + size] + content[a + size : b] + content[a : a + size] + content[b + size :]


def overwritten(content: bytes, rng: random.Random, _: Path) -> bytes:
    start = rng.randrange(len(content))
    part = rng.choice((bytes(8), b"\xff" * 8, struct.pack("<q", 1 << 40), struct.pack("<d", 1e300), b"99999999", b"-1"))
    return content[:start] + part + content[start + len(part) :]


BYTES: list[Change] = [flipped, cut, deleted, inserted, exchanged, overwritten]

# --- Changes of values that JSON and TOML hold

VALUES = (
    None, True, 0, 1, -1, 2**31, 10**18, 10**30, 1e-300, 1e300, float("nan"), float("inf"), "", "x", "²", "\udcff",
    [], {}, [1], [[]], {"a": 1}, {"tensor": "x"}, {"grid": [1, 1, 10**12]}, "terms.0/.parameters", 2500.0, 0.5, 3,
)  # fmt: skip


def edited(value: Any, rng: random.Random) -> Any:
    """Replace, delete, repeat or exchange something somewhere inside a value."""
    children = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not children or rng.random() < 0.1:
        if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
            return rng.choice((value + 1, value * 2, -value, value / 2, value * 1e9, str(value)))
        return rng.choice(VALUES)
    key, kind = rng.choice(children), rng.random()
    changed = value.copy()
    if kind < 0.7:
        changed[key] = edited(value[key], rng)
    elif kind < 0.8:
        del changed[key]
    elif kind < 0.9:
        changed[key] = value[rng.choice(children)]
    elif isinstance(changed, list):
        changed.insert(rng.randrange(len(changed) + 1), value[key])
    else:
        changed[rng.choice(("name", "tensor", "sparse", "grid", "more", "shape"))] = value[key]
    return changed


# --- Files of arrays


def signed(content: bytes, rng: random.Random, path: Path) -> bytes:
    """Change description and arrays, and write the file as its author would, checksum included."""
    path.write_bytes(content)
    with arrays_file(path) as file:
        description, arrays = file.description, file.read(checksum=True)
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2))):
            description = edited(description, rng)
    if rng.random() < 0.5:
        name, other = rng.choice(list(arrays)), rng.choice(list(arrays))
        arrays = changed_arrays(arrays, name, other, rng)
    if not isinstance(description, dict):
        text = json.dumps(description)
        return safetensors.numpy.save(arrays, {"simatch": text})
    write_arrays(path, arrays, description)
    return path.read_bytes()


def changed_arrays(arrays: dict[str, np.ndarray], name: str, other: str, rng: random.Random) -> dict[str, np.ndarray]:
    value = arrays[name].copy()
    flat = value.reshape(-1)
    kind = rng.randrange(9)
    if kind == 0 and flat.size:
        with np.errstate(all="ignore"):
            flat[rng.randrange(flat.size)] = np.array(rng.choice((-1.0, 0.0, np.nan, np.inf, 1e30, 7))).astype(
                value.dtype
            )
    elif kind == 1:
        value = value.astype(rng.choice(("f2", "f4", "f8", "i4", "i8", "u1", "?")))
    elif kind == 2:
        value = flat[: rng.randrange(flat.size + 1)].copy()
    elif kind == 3:
        value = np.concatenate([flat, flat])
    elif kind == 4:
        value = flat[::-1].reshape(value.shape).copy()
    elif kind == 5:
        value = np.zeros(rng.choice(((0,), (1,), (0, 1 << 40), (3, 3), ())), value.dtype)
    elif kind == 6:
        return {**arrays, name: arrays[other], other: arrays[name]}
    elif kind == 7:
        return {k: v for k, v in arrays.items() if k != name}
    else:
        return {**arrays, f"{name}.more": value}
    return {**arrays, name: value}


def headed(content: bytes, rng: random.Random, _: Path) -> bytes:
    """Change the header that the library for these files reads."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(edited(header, rng)).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def unsigned(content: bytes, rng: random.Random, path: Path) -> bytes:
    """Change a file without a checksum, as earlier versions wrote them."""
    path.write_bytes(content)
    with arrays_file(path) as file:
        description, arrays = file.description, file.read(checksum=True)
    description = edited({**description, "format": "simatch-network-2"}, rng)
    return safetensors.numpy.save(arrays, {"simatch": json.dumps(description)})


def equal(a: Any, b: Any) -> bool:
    mine, own = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(mine) == len(own) and all(np.array_equal(x, y) for x, y in zip(mine, own, strict=True))


def networks() -> list[Any]:
    rng = np.random.default_rng(0)
    chain = sm.layered(
        sm.Grid(4, 6, 2),
        [
            sm.Layer(units=3, stride=2, radius=2.3, lateral_radius=2.0, activation="soft_threshold:0.1"),
            sm.Layer(units=2),
        ],
        feedback=0.3,
    )
    eye, ear, top = sm.Grid(3, 3), sm.Grid(1, 1, 4), sm.Grid(1, 1, 3)
    sparse = scipy.sparse.csr_array(rng.random((3, 9)) * (rng.random((3, 9)) < 0.5) + np.eye(3, 9))
    graph = sm.Network(
        {"eye": sm.Population(eye), "ear": sm.Population(ear), "top": sm.Population(top, "relu")},
        [
            sm.Hebbian("eye", "top", sm.Sparse(eye, top, sparse)),
            sm.Hebbian("ear", "top", sm.Dense(ear, top, rng.random((3, 4)) + np.eye(3, 4)), scale=2.0),
            sm.AntiHebbian("top", sm.Dense(top, top), scale=0.5),
            sm.Bias("top", top),
            sm.Leak("top", 0.5),
        ],
    )
    return [chain, graph]


def in_bytes(write: Callable[[Path], Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.npz")
        write(path)
        return path.read_bytes()


def check_network(net: sm.Network, path: Path, before: bytes | None) -> None:
    check_sound(net)
    check_missing(net)
    for pathway in net.pathways:
        shape = pathway.connectivity.post.size, pathway.connectivity.pre.size
        assert max(shape) > 10_000 or pathway.to_dense().shape == shape
    if before is not None:
        path.write_bytes(before)
        assert equal(net, sm.load(path)), "a changed network was loaded"
    else:
        sm.save(net, path)
        assert equal(net, sm.load(path)), "a network did not survive its own file"


class Noting(sm.Checkpoints):
    """Checkpoints that note what learning opens them with."""

    def course(self, *with_what: Any) -> Any:
        self.opened = with_what
        return super().course(*with_what)


@functools.cache
def learned() -> tuple[bytes, Any]:
    """A checkpoint, and what it is opened with."""
    net = sm.layered(4, [sm.Layer(units=2, activation="linear")])
    x = np.random.default_rng(2).normal(size=(60, 4))
    with tempfile.TemporaryDirectory() as folder:
        kept = Noting(folder)
        sm.train(net, x, epochs=2, batch_size=10, report_every=4, checkpoints=kept, progress=False)
        (*_, last) = sorted(Path(folder).glob("batch-*"))
        return last.read_bytes(), kept.opened


def read_checkpoint(path: Path) -> Any:
    folder = Path(f"{path}.folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "batch-0000000012.safetensors").write_bytes(path.read_bytes())
    with sm.Checkpoints(folder).course(*learned()[1]) as course:
        return course


def check_checkpoint(course: Any, path: Path, before: bytes | None) -> None:
    if before is not None:
        path.write_bytes(before)
        own = read_checkpoint(path)
        assert equal((course.network, course.last.state), (own.network, own.last.state)), "a changed course was loaded"
        assert course.batches == own.batches


# --- Settings

TOKENS = (
    "[", "]", "{", "}", "=", '"', "\n", ".", "[[layers]]\n", "[layers]\n", "preprocessing = 3\n", "layers = []\n",
    "9" * 5000, "[" * 5000, "a." * 60_000, "\x00", "units = true\n", "data = 3\n", "2020-01-01", "'''", "1e999", "nan",
)  # fmt: skip


def respelled(content: bytes, rng: random.Random, _: Path) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    start = rng.randrange(len(text))
    return (text[:start] + rng.choice(TOKENS) + text[start + rng.choice((0, 0, 1, 5)) :]).encode(
        "utf-8", "surrogateescape"
    )


def revalued(content: bytes, rng: random.Random, _: Path) -> bytes:
    lines = content.decode().split("\n")
    number = rng.randrange(len(lines))
    value = rng.choice(
        ("[]", "{}", "'x'", "-1", "0", "1e400", "nan", "true", "[[1]]", "{a = 1}", "'none'", "'²'", "9" * 30)
    )
    lines[number] = f"{lines[number].partition('=')[0]}= {value}"
    return "\n".join(lines).encode()


def read_settings(path: Path) -> Any:
    return merged(None, file=path)


def check_settings(settings: Any, path: Path, _: bytes | None) -> None:
    write_atomically(path, settings.toml())
    assert merged(None, file=path) == settings


# --- Samples


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def relabelled(content: bytes, rng: random.Random, _: Path) -> bytes:
    """Change the text of a NumPy header."""
    length = int.from_bytes(content[8:10], "little")
    text = content[10 : 10 + length].decode()
    for old, new in rng.sample(
        [
            ("(", rng.choice(("(-", "((", "(9", "(0, ", "("))),
            (
                "<f8",
                rng.choice(("<f4", ">f8", "|O", "<c16", "<U9", "|V8", "<M8[s]", "nonsense", "<f8, <f8", "|S0", "<U0")),
            ),
            ("|u1", rng.choice(("<f4", "|O", "|b1", "|i1", "<i8"))),
            ("False", rng.choice(("True", "None", "(", "0"))),
            (")", rng.choice(("", ", 9)", "**9)", ", 10000000000000)", "L)"))),
            ("'", rng.choice(('"', "'''", ""))),
            ("}", rng.choice(("", "}}", ", 'a': 1}", "} + {}"))),
        ],
        rng.choice((1, 2)),
    ):
        text = text.replace(old, new, 1)
    header = text.encode()
    return content[:8] + len(header).to_bytes(2, "little") + header + content[10 + length :]


def repacked(content: bytes, rng: random.Random, path: Path) -> bytes:
    """Write an archive anew with changed members, as somebody might who means it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    number = rng.randrange(len(members))
    name, own = members[number]
    kind = rng.randrange(6)
    if kind < 2:
        own = relabelled(own, rng, path)
    elif kind == 2:
        own = rng.choice(BYTES)(own, rng, path)
    elif kind == 3:
        name = rng.choice(
            ("../" + name, "/" + name, name.upper(), "labels.npy", "x", "x.npy", "y_test.npy", "/", "a\0b.npy", "é.npy")
        )
    elif kind == 4:
        own = npy(np.array(rng.choice((1.0, "a", b"\xff", np.nan, 1e300, [[1.0]], [], list(range(12)), [1j] * 12))))
    else:
        own = b""
    members[number] = name, own
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, own in members:
            archive.writestr(name, own)
    return file.getvalue()


def check_samples(data: Dataset, path: Path, _: bytes | None) -> None:
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        if x is not None:
            assert x.dtype == np.float32
            assert x.ndim == 4
            assert np.isfinite(x).all()
        if y is not None:
            assert y.shape == (len(x),)
            assert y.min() >= 0
            assert y.max() < len(data.classes)


# --- Folders of runs


def retold(content: bytes, rng: random.Random, _: Path) -> bytes:
    """Change a value in JSON."""
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        value = edited(value, rng)
    return json.dumps(value).encode()


@functools.cache
def trained() -> dict[str, bytes]:
    """Files of the folder of a run, by name."""
    rng = np.random.default_rng(3)
    x = rng.random((40, 4, 4, 1)).astype(np.float32)
    data = Dataset("own", x, np.arange(40) % 3, x[:12], np.arange(12) % 3, ("a", "b", "c"))
    options = {"epochs": 1.0, "compare": False, "preprocessing": {"mean_image": True}}
    settings = merged("own.npz", options=options, layers={"units": ["2"], "scale": [1.0]})
    with tempfile.TemporaryDirectory() as folder:
        with draft(Path(folder, "run"), "run", settings.model_dump(), overwrite=False) as own:
            run(settings, data).model.save(own.folder)
            own.publish(KIND)
        with RunFolder.open(Path(folder, "rows"), {"rate": 0.1}, overwrite=False) as kept:
            kept.finish("row", {"units": 2, "seed": 0, "error": 1.5}, sm.layered(4, [sm.Layer(units=2)]))
        found = {path.name: path.read_bytes() for path in Path(folder, "run").iterdir()}
        return found | {"row": Path(folder, "rows/rows/row.json").read_bytes()}


def read_run(name: str, path: Path) -> Any:
    """Read the folder of a run in which a file was changed, and after its manifest was told so."""
    folder = Path(f"{path}.folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for own, content in trained().items():
        (folder / own).write_bytes(content)
    (folder / name).write_bytes(path.read_bytes())
    if name != "run.json":
        manifest = json.loads((folder / "run.json").read_text())
        manifest["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "run.json").write_text(json.dumps(manifest))
    return Model.load(folder)


def check_run(model: Model, *_: Any) -> None:
    x = np.full((2, 4, 4, 1), 0.3)
    x[1, 0, 0] = 1
    with contextlib.suppress(ValueError):  # about the images, such as those that a changed preprocessing leaves at 0
        assert np.isfinite(model.encode(x)).all()
        if model.readout is not None:
            assert set(model.predict(x)) <= set(model.classes)


def read_row(path: Path) -> Any:
    folder = Path(f"{path}.folder")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "rows").mkdir(parents=True)
    shutil.copy(path, folder / "rows" / "row.json")
    with RunFolder.open(folder, {"rate": 0.1}, overwrite=True) as _:
        pass
    (folder / "rows").mkdir(exist_ok=True)
    shutil.copy(path, folder / "rows" / "row.json")
    return RunFolder(folder).rows()


def check_row(rows: Any, *_: Any) -> None:
    assert rows in ([], [{"units": 2, "seed": 0, "error": 1.5}])


# --- All kinds


def kinds() -> dict[str, Kind]:
    rng = np.random.default_rng(1)
    arrays = {"x": rng.random((12, 3, 4)), "y": np.arange(12) % 3, "x_test": rng.random((2, 3, 4))}
    bytes_ = {"x": rng.integers(0, 255, (12, 5), np.uint8), "person": np.array(["a", "b", "ç"] * 4)}
    return {
        "network": Kind(
            "safetensors",
            [in_bytes(lambda path, net=net: sm.save(net, path)) for net in networks()],
            sm.load,
            check_network,
            [signed, signed, signed, unsigned, headed],
        ),
        "checkpoint": Kind("safetensors", [learned()[0]], read_checkpoint, check_checkpoint, [signed, signed, headed]),
        "settings": Kind(
            "toml",
            [merged(name).toml().encode() for name in ("digits", "lfw")],
            read_settings,
            check_settings,
            [respelled, revalued],
            False,
        ),
        "samples (npy)": Kind(
            "npy", [npy(arrays["x"]), npy(bytes_["x"])], load_dataset, check_samples, [relabelled, relabelled], False
        ),
        "samples (npz)": Kind(
            "npz",
            [in_bytes(lambda p: np.savez(p, **arrays)), in_bytes(lambda p: np.savez_compressed(p, **bytes_))],
            load_dataset,
            check_samples,
            [repacked, repacked, repacked],
            False,
        ),
        **{
            name: Kind(
                Path(name).suffix[1:],
                [trained()[name]],
                functools.partial(read_run, name),
                check_run,
                [signed, signed] if name == "readout.safetensors" else [retold, retold],
                False,
            )
            for name in ("run.json", "preprocessing.json", "readout.safetensors")
        },
        "row": Kind("json", [trained()["row"]], read_row, check_row, [retold, retold], False),
    }


# Changes of which the result may be loaded, although it differs.
MEANT = {signed, unsigned, repacked, retold}


def attack(
    folder: Path, count: int, seed: int, *, limit: Callable[[], None] = lambda: None
) -> dict[str, collections.Counter]:
    """Read so many changed files, and return how many of each kind were loaded and how many refused.

    Raises
    ------
    AssertionError
        If one was read wrongly, or refused by another error than those of the package; the file is kept in the folder.
    """
    found: dict[str, collections.Counter] = {}
    everything = kinds()
    for number in range(count):
        rng = random.Random(f"{seed} {number}")  # noqa: S311
        name = list(everything)[number % len(everything)]
        kind = everything[name]
        counter = found.setdefault(name, collections.Counter())
        before = rng.choice(kind.examples)
        change = rng.choice(BYTES + kind.changes * 2)
        path = folder / f"changed.{kind.suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = change(before, rng, path)
            path.write_bytes(content)
            limit()
            try:
                info(path)
            except REFUSED as error:
                assert_told(error, path)
            start = time.perf_counter()
            try:
                value = kind.read(path)
                counter["loaded"] += 1
                try:
                    kind.check(value, path, None if change in MEANT or not kind.protected else before)
                except REFUSED as error:
                    raise AssertionError(f"loaded, but then: {error}") from error
            except REFUSED as error:
                assert_told(error, path)
                counter["refused"] += 1
            except Exception as error:
                path.write_bytes(content)
                raise AssertionError(f"{name} {number}, {change.__name__}: {type(error).__name__}: {error}") from error
            counter["slowest, in ms"] = max(counter["slowest, in ms"], round(1000 * (time.perf_counter() - start)))
    return found


def assert_told(error: Exception, path: Path) -> None:
    assert str(path) in str(error), f"{error!r} does not name the file"
    assert "\n" not in str(error), f"{str(error)[:300]} has more than one line"
    assert len(str(error)) < 2000, f"{str(error)[:300]} is too long"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    own = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        attack(Path(folder), 200, own.seed + 1)  # so that everything is imported and compiled
        there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (there + MEMORY, resource.RLIM_INFINITY))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kept = Path(tempfile.mkdtemp(prefix="simatch-fuzz-"))
        # The signal ends the process, even inside of compiled code; the file that it read is in the folder.
        found = attack(kept, own.count, own.seed, limit=lambda: signal.alarm(SECONDS))
        signal.alarm(0)
        shutil.rmtree(kept)  # it stays after a failure, with the file
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    for name, counter in found.items():
        sys.stdout.write(f"{name}: {', '.join(f'{k} {v}' for k, v in sorted(counter.items()))}\n")
    sys.stdout.write(f"{own.count} files, seed {own.seed}; at most {more:.0f} MiB more memory than before\n")


if __name__ == "__main__":
    main()
