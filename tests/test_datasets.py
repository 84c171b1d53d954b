"""Data sets: each against its source, and each way in which a file can be wrong."""

import io
import os
import pickle
import zipfile
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from simatch.data import Preprocessing, known_datasets, load_dataset
from simatch.data import _datasets as datasets

REAL = os.environ.get("SIMATCH_DATA")


@pytest.fixture(autouse=True)
def no_copies(monkeypatch):
    """No copies, and no downloads, unless a test provides them."""
    monkeypatch.delenv("SIMATCH_DATA", raising=False)

    def unreachable(*_, **__):
        raise URLError("no network in tests")

    monkeypatch.setattr(datasets.sklearn_datasets, "fetch_openml", unreachable)
    monkeypatch.setattr(datasets.sklearn_datasets, "fetch_lfw_people", unreachable)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMATCH_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def pixels(rng):
    return lambda *shape: rng.integers(256, size=shape).astype(np.uint8)


# --- What scikit-learn ships


def test_digits():
    digits, source = load_dataset("digits"), load_digits()
    np.testing.assert_allclose(digits.x_train[..., 0], source.images / 16)
    np.testing.assert_array_equal(digits.y_train, source.target)
    assert digits.shape == (8, 8, 1)
    assert digits.classes == tuple("0123456789")
    assert digits.x_test is None


def test_patches_are_cut_from_the_pictures():
    patches = load_dataset("patches", size=5, count=30)
    assert patches.x_train.shape == (30, 5, 5, 1)
    assert patches.y_train is None
    grey = np.stack(load_sample_images().images) @ [0.299, 0.587, 0.114] / 255
    windows = np.lib.stride_tricks.sliding_window_view(grey, (5, 5), axis=(1, 2))
    first = patches.x_train[0, ..., 0]
    corner = np.argwhere(np.isclose(windows[..., 0, 0], first[0, 0], atol=1e-6))
    assert any(np.allclose(windows[tuple(place)], first, atol=1e-6) for place in corner)
    assert patches.x_train.std((1, 2, 3)).min() > 1 / 255


def test_patches_repeat_with_their_seed():
    first, same, other = (load_dataset("patches", count=50, seed=seed).x_train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("wrong", [{"size": 1}, {"size": 428}, {"count": 0}])
def test_impossible_patches_are_refused(wrong):
    with pytest.raises(ValueError, match=f"got {next(iter(wrong.values()))}"):
        load_dataset("patches", **wrong)


# --- Held-out part


def test_held_out_is_a_proportional_split():
    digits = load_dataset("digits")
    split = digits.held_out(0.25, seed=3)
    rows = np.concatenate([split.x_train, split.x_test]).reshape(1797, -1)
    np.testing.assert_array_equal(np.sort(rows.sum(1)), np.sort(digits.x_train.reshape(1797, -1).sum(1)))
    shares = np.bincount(split.y_test) / np.bincount(digits.y_train)
    np.testing.assert_allclose(shares, 0.25, atol=0.01)
    np.testing.assert_array_equal(split.x_test, digits.held_out(0.25, seed=3).x_test)
    assert not np.array_equal(split.y_test, digits.held_out(0.25, seed=4).y_test)


def test_held_out_without_labels_or_with_rare_ones(tmp_path, pixels):
    np.savez(tmp_path / "x.npz", x=pixels(10, 3, 3), y=np.arange(10))
    assert load_dataset(tmp_path / "x.npz").held_out(0.3).y_test.shape == (3,)
    assert load_dataset("patches", count=10).held_out(0.3).y_test is None


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 2.0, 1e-9, float("nan")])
def test_held_out_of_nothing_is_refused(fraction):
    with pytest.raises(ValueError, match="leaves a part empty"):
        load_dataset("digits").held_out(fraction)


# --- Copies in SIMATCH_DATA


def test_mnist_copy(copies, pixels):
    x, y = pixels(20, 28, 28), np.arange(20).astype(np.uint8) % 10
    np.savez(copies / "mnist.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])
    mnist = load_dataset("mnist")
    np.testing.assert_array_equal(mnist.x_train, (x[..., None] / np.float32(255)).astype(np.float32))
    np.testing.assert_array_equal(mnist.y_test, y[:5])
    assert mnist.name == "mnist"


def test_lfw_copy(copies, pixels):
    np.savez(copies / "lfw64.npz", x=pixels(4, 64, 64), person=np.array(["B", "A", "B", "C"]))
    lfw = load_dataset("lfw")
    assert lfw.shape == (64, 64, 1)
    assert lfw.classes == ("A", "B", "C")
    np.testing.assert_array_equal(lfw.y_train, [1, 0, 1, 2])


def jpeg(colour):
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "JPEG")
    return file.getvalue()


def test_cifar10_copy_in_a_fixed_order(copies):
    with zipfile.ZipFile(copies / "cifar10.zip", "w") as folder:
        folder.writestr("train/", "")
        for name in ("train/frog/0001.jpg", "train/cat/0000.jpg", "test/frog/0000.jpg", "train/frog/0000.jpg"):
            folder.writestr(name, jpeg((0, 200, 0) if "frog" in name else (200, 0, 0)))
    cifar10 = load_dataset("cifar10")
    assert cifar10.classes == ("cat", "frog")
    np.testing.assert_array_equal(cifar10.y_train, [0, 1, 1])
    np.testing.assert_array_equal(cifar10.y_test, [1])
    np.testing.assert_array_equal(cifar10.x_train.mean((1, 2)).argmax(1), [0, 1, 1])
    assert cifar10.shape == (32, 32, 3)
    assert "JPEG" in cifar10.note


@pytest.mark.parametrize(("name", "file"), [("mnist", "mnist.npz"), ("lfw", "lfw64.npz"), ("cifar10", "cifar10.zip")])
def test_damaged_copy_is_refused(copies, name, file):
    (copies / file).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=f"{file}.*truncated, damaged"):
        load_dataset(name)


def test_damaged_picture_is_refused(copies):
    with zipfile.ZipFile(copies / "cifar10.zip", "w") as folder:
        folder.writestr("train/cat/0000.jpg", jpeg("red")[:300])
    with pytest.raises(ValueError, match="truncated, damaged"):
        load_dataset("cifar10")


def test_folder_that_is_missing_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMATCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_dataset("mnist")


@pytest.mark.skipif(not REAL, reason="needs SIMATCH_DATA")
def test_real_mnist(monkeypatch):
    monkeypatch.setenv("SIMATCH_DATA", REAL)
    mnist = load_dataset("mnist")
    assert mnist.x_train.shape == (60_000, 28, 28, 1)
    assert mnist.x_test.shape == (10_000, 28, 28, 1)
    assert mnist.x_train.max() == 1
    np.testing.assert_array_equal(np.bincount(mnist.y_test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


@pytest.mark.skipif(not REAL, reason="needs SIMATCH_DATA")
def test_real_lfw(monkeypatch):
    monkeypatch.setenv("SIMATCH_DATA", REAL)
    lfw = load_dataset("lfw")
    assert lfw.x_train.shape == (13_233, 64, 64, 1)
    assert len(lfw.classes) == 5749


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="needs SIMATCH_DATA")
def test_real_cifar10(monkeypatch):
    monkeypatch.setenv("SIMATCH_DATA", REAL)
    cifar10 = load_dataset("cifar10")
    assert cifar10.x_train.shape == (50_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(cifar10.y_test), np.full(10, 1000))
    assert len(np.unique(cifar10.y_train[:10])) == 10


# --- Downloads


def test_mnist_download_has_the_standard_split(monkeypatch):
    data = np.zeros((70_000, 784), np.uint8)
    data[:, 0] = np.arange(70_000) % 256
    target = (np.arange(70_000) % 10).astype(str).astype(object)
    asked = []
    bunch = SimpleNamespace(data=data, target=target)
    monkeypatch.setattr(datasets.sklearn_datasets, "fetch_openml", lambda name, **k: asked.append((name, k)) or bunch)
    mnist = load_dataset("mnist")
    assert asked[0][0] == "mnist_784"
    assert not asked[0][1]["as_frame"]
    assert mnist.x_train.shape == (60_000, 28, 28, 1)
    np.testing.assert_allclose(mnist.x_test[:, 0, 0, 0] * 255, np.arange(60_000, 70_000) % 256, rtol=1e-6)
    np.testing.assert_array_equal(mnist.y_test, np.arange(10_000) % 10)


def test_cifar10_download_has_channels_last(monkeypatch):
    data = np.zeros((50_001, 3, 32, 32), np.uint8)
    data[:, 1, 2, 5] = 255
    bunch = SimpleNamespace(data=data.reshape(-1, 3072), target=np.full(50_001, "6", object))
    monkeypatch.setattr(datasets.sklearn_datasets, "fetch_openml", lambda *_, **__: bunch)
    cifar10 = load_dataset("cifar10")
    assert cifar10.x_train.shape == (50_000, 32, 32, 3)
    assert cifar10.x_test[0, 2, 5].tolist() == [0, 1, 0]
    assert cifar10.classes == ("frog",)


def test_lfw_download(monkeypatch):
    def fetch(*, slice_, resize):
        # What scikit-learn does with the sides of the part that it cuts out
        sides = tuple(int(resize * (s.stop - s.start)) for s in slice_)
        return SimpleNamespace(images=np.zeros((3, *sides)), target=np.array([1, 0, 1]), target_names=["Ann", "Bo"])

    monkeypatch.setattr(datasets.sklearn_datasets, "fetch_lfw_people", fetch)
    lfw = load_dataset("lfw")
    assert lfw.shape == (64, 64, 1)
    assert [lfw.classes[i] for i in lfw.y_train] == ["Bo", "Ann", "Bo"]


@pytest.mark.parametrize("name", ["mnist", "lfw", "cifar10"])
def test_no_network_is_one_clear_error(name):
    with pytest.raises(ConnectionError, match=rf"'{name}' could not be downloaded .*SIMATCH_DATA"):
        load_dataset(name)


# --- A user's own


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 4, 3), (4, 3, 1)), ((5, 4, 3, 2), (4, 3, 2)), ((5, 7), (1, 1, 7))],
    ids=["grey", "channels", "features"],
)
def test_npy(tmp_path, rng, shape, expected):
    x = rng.normal(size=shape)
    np.save(tmp_path / "mine.npy", x)
    mine = load_dataset(str(tmp_path / "mine.npy"))
    assert mine.shape == expected
    assert mine.name == "mine"
    np.testing.assert_allclose(mine.x_train.ravel(), x.ravel(), rtol=1e-6)


def test_npz_with_names_and_a_test_part(tmp_path, pixels):
    x = pixels(4, 3, 3)
    np.savez_compressed(
        tmp_path / "a.npz", x=x, y=np.array(["b", "a", "b", "a"]), x_test=x[:2], y_test=np.array(["c", "a"])
    )
    mine = load_dataset(tmp_path / "a.npz")
    assert mine.classes == ("a", "b", "c")
    np.testing.assert_array_equal(mine.y_train, [1, 0, 1, 0])
    np.testing.assert_array_equal(mine.y_test, [2, 0])
    np.testing.assert_allclose(mine.x_train[..., 0], x / 255, rtol=1e-6)


def test_whole_floats_are_labels(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", x=pixels(2, 3, 3), y=np.array([[3.0], [1.0]]))
    assert load_dataset(tmp_path / "a.npz").classes == ("1", "3")


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no data set 'mnits'") as error:
        load_dataset("mnits")
    assert all(repr(name) in str(error.value) for name in known_datasets())


@pytest.mark.parametrize("name", ["none.npy", "none.npz"])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 3, 60, 200, 900])
def test_truncated_file(tmp_path, rng, suffix, keep):
    path = tmp_path / f"cut{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, rng.random((9, 5, 5)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=f"cut{suffix}.*truncated, damaged"):
        load_dataset(path)


def test_flipped_bits(tmp_path, rng):
    path = tmp_path / "flipped.npz"
    np.savez_compressed(path, x=rng.random((9, 5, 5)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="truncated, damaged"):
        load_dataset(path)


def test_text_that_is_no_array(tmp_path):
    (tmp_path / "a.npy").write_text("1, 2, 3")
    with pytest.raises(ValueError, match="no NumPy file"):
        load_dataset(tmp_path / "a.npy")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}, None], object))
    np.savez(tmp_path / "b.npz", x=np.array([{}, None], object))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ValueError, match="never unpickled"):
            load_dataset(tmp_path / name)


def test_npz_without_images_names_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", pictures=np.ones((2, 3, 3)), z=1)
    with pytest.raises(ValueError, match=r"none of the arrays x_train, x, .* but 'pictures', 'z'"):
        load_dataset(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="none at all"):
        load_dataset(tmp_path / "b.npz")


def as_zip(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text, version=b"\x01\x00"):
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


HEADERS = {
    "endless": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3"),
    "nested": header(b"(" * 9000),
    "text": header(b"'" * 9),
    "calls": header(b"{'descr': print(), 'fortran_order': False, 'shape': (3,)}"),
    "negative": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
    "negatives": header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -3)}") + b"abc",
    "terabytes": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}"),
    "huge": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,)}" % 10**30),
    "long": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}" + b" " * 30_000),
    "version": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", b"\x09\x00") + bytes(24),
    "more": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}") + bytes(25),
    "type": header(b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (3,)}"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_lie(tmp_path, name, packed):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        as_zip(path, [("x.npy", HEADERS[name])])
    else:
        path.write_bytes(HEADERS[name])
    with pytest.raises(ValueError, match=r"a.np[yz]' is truncated, damaged"):
        load_dataset(path)


X = np.ones((4, 3, 3))


def test_archives_that_numpy_does_not_write(tmp_path):
    path = tmp_path / "a.npz"
    as_zip(path, [("x.npy", as_npy(X))], compression=zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match=r"a.npz', x is packed by method 12, which NumPy does not use"):
        load_dataset(path)
    as_zip(path, [("x.npy", as_npy(X))])
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.npz', x is encrypted"):
        load_dataset(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        as_zip(path, [("x.npy", as_npy(X)), ("x.npy", as_npy(2 * X))])
    with pytest.raises(ValueError, match="two arrays named 'x'"):
        load_dataset(path)
    as_zip(path, [("x.npy", as_npy(X)), ("../../y.npy", as_npy(X)), ("/etc/passwd", b"root"), ("deep/", b"")])
    with pytest.warns(UserWarning, match=r"also holds '../../y', '/etc/passwd', 'deep/', which are ignored"):
        assert load_dataset(path).y_train is None
    as_zip(path, [("x.npy", as_npy(np.zeros(3, [("a", int)])))])
    with pytest.raises(ValueError, match="x holds records"):
        load_dataset(path)


def test_a_small_archive_of_gigabytes_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((1000, 50, 50)))
    assert load_dataset(path).shape == (50, 50, 1)
    monkeypatch.setattr("simatch.storage._numpy_file.SMALL", 10**6)
    with pytest.raises(ValueError, match=r"a.npz' unpacks to 0.0 GB, 1,0\d\d times its size"):
        load_dataset(path)
    monkeypatch.setattr("simatch.storage._reading.memory", lambda: 10**7)
    with pytest.raises(ValueError, match=r"a.npz' declares arrays of 0.0 GB, but this machine has 0.0 GB of memory"):
        load_dataset(path)


def test_arrays_that_are_ignored_are_told(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=X, labels=np.arange(4))
    with pytest.warns(
        UserWarning, match=r"a.npz' also holds 'labels', which is ignored; understood are .* y_train, y,"
    ):
        load_dataset(path)
    np.savez(path, x=X, x_train=2 * X)
    with pytest.warns(UserWarning, match=r"a.npz', x is ignored, because there is x_train"):
        assert load_dataset(path).x_train.max() == 2
    np.savez(path, x=X, y_test=np.arange(4))
    with pytest.warns(UserWarning, match="y_test is ignored, because there is no x_test and y_train"):
        load_dataset(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_is_asked_about(tmp_path, rng, channels):
    x = rng.random((5, channels, 8, 9))
    path = tmp_path / "a.npy"
    np.save(path, x)
    with pytest.raises(ValueError, match=r"x has shape .* store x.transpose\(0, 2, 3, 1\), channels last; or"):
        load_dataset(path)
    for order, shape in (((0, 2, 3, 1), (8, 9, channels)), ((0, 2, 1, 3), (8, channels, 9))):
        np.save(path, x.transpose(order))
        assert load_dataset(path).shape == shape


def test_what_was_understood_is_said(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", x=pixels(5, 4, 3), x_test=pixels(2, 4, 3))
    np.save(tmp_path / "b.npy", X.reshape(4, 9))
    assert load_dataset(tmp_path / "a.npz").note == (
        "Read as 5 images of 4 by 3 pixels with 1 channel and scaled from 0..255 to 0..1, and 2 of the same shape for "
        "tests."
    )
    assert load_dataset(tmp_path / "b.npy").note == "Read as 4 samples of 9 features."


def test_parts_of_different_scales_are_refused(tmp_path, pixels):
    x = pixels(5, 4, 3)
    for train, test in ((x, x.astype(float)), (x.astype(np.int32), x)):
        np.savez(tmp_path / "a.npz", x_train=train, x_test=test)
        with pytest.raises(ValueError, match=r"is of type uint8, so that 0..255 becomes 0..1, but .* up to 2"):
            load_dataset(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x / 255)
    np.testing.assert_allclose(
        *(getattr(load_dataset(tmp_path / "a.npz"), n) for n in ("x_train", "x_test")), rtol=1e-6
    )


def test_names_in_bytes(tmp_path):
    names = [n.encode() for n in ("äpfel", "birnen", "äpfel", "²")]
    np.savez(tmp_path / "a.npz", x=X, y=np.array(names))
    assert load_dataset(tmp_path / "a.npz").classes == ("birnen", "²", "äpfel")
    np.savez(tmp_path / "a.npz", x=X, y=np.array([b"\xff", *names[1:]]))
    with pytest.raises(ValueError, match=r"a.npz', y holds names that are not UTF-8"):
        load_dataset(tmp_path / "a.npz")


def test_too_few_images_to_hold_out(tmp_path):
    np.savez(tmp_path / "a.npz", x=X[:2], y=np.arange(2))
    with pytest.raises(ValueError, match=r"Holding out 0.25 of 2 images .* choose a fraction from 0.5 to 0.5"):
        load_dataset(tmp_path / "a.npz").held_out()
    np.save(tmp_path / "a.npy", X[:1])
    with pytest.raises(ValueError, match=r"Holding out 0.25 of 1 images leaves a part empty; give more images"):
        load_dataset(tmp_path / "a.npy").held_out()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.array([["a"]])}, "real numbers, got one of type <U1"),
        ({"x": X * 1j}, "complex128"),
        ({"x": np.ones(3)}, r"shape \(3,\)"),
        ({"x": np.ones((2, 2, 2, 2, 2))}, r"shape \(2, 2, 2, 2, 2\)"),
        ({"x": np.ones((2, 3, 8, 8))}, r"3 channels before 8 by 8 pixels: store x.transpose\(0, 2, 3, 1\)"),
        ({"x": X[:0]}, "empty"),
        ({"x": np.ones((2, 0, 3))}, "empty"),
        ({"x": np.where(np.arange(4)[:, None, None] > 1, np.nan, X)}, "2 of 4 images, first in image 2"),
        ({"x": X * 1e300}, "beyond float32"),
        ({"x": X, "y": np.arange(3)}, r"y has shape \(3,\), but there are 4 images"),
        ({"x": X, "y": np.arange(4) + 0.5}, "whole numbers or names"),
        ({"x": X, "y": np.array([1.0, np.nan, 2.0, np.nan])}, "y holds NaN for 2 of 4 images, first for image 1"),
        ({"x": X, "y": np.arange(4) * 1e300}, "whole numbers or names"),
        ({"x": X, "y": np.arange(4) * 1j}, "whole numbers or names"),
        ({"x": X, "y": np.arange(4), "x_test": X, "y_test": np.arange(2)}, "y_test has shape"),
        ({"x": X, "y": np.arange(4), "x_test": X, "y_test": np.array(list("abcd"))}, "both be text"),
        ({"x": X, "x_test": np.ones((4, 3, 2))}, "must agree"),
        ({"x": X, "x_test": X * np.inf}, "x_test holds NaN"),
    ],
)
def test_unusable_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        load_dataset(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value)


def test_images_are_called_by_their_numbers_in_the_file(tmp_path, rng):
    x = rng.random((40, 3, 3))
    x[7] = 0.5
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    data = load_dataset(tmp_path / "a.npz")
    told = set()
    for seed in range(8):
        for part in (data.held_out(seed=seed), data.held_out(0.2, seed=seed).held_out(0.6, seed=seed)):
            told |= {"train" if 7 in part.rows[0] else "test" if 7 in part.rows[1] else "neither"}
            if 7 not in np.concatenate(part.rows):
                part.processed(Preprocessing(own_mean=True))
                continue
            with pytest.raises(ValueError, match=r"In x_train, image 7 is constant \(every value is 0.5\)") as error:
                part.processed(Preprocessing(own_mean=True))
            assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # noqa: S301
    assert told == {"train", "test", "neither"}
    np.savez(tmp_path / "a.npz", x=x[8:], x_test=x)
    with pytest.raises(ValueError, match="In x_test, image 7 has nothing left to be scaled"):
        load_dataset(tmp_path / "a.npz").processed(Preprocessing(blur=1.0, own_scale=True))
