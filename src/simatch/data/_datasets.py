"""Data sets: well-known sets of images, and arrays from a user's files."""

import dataclasses
import http.client
import importlib.util
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn import datasets as sklearn_datasets
from sklearn.model_selection import train_test_split

from .._extras import Feature
from .._progress import tracked

Images = Float[np.ndarray, "samples height width channels"]
Labels = Int[np.ndarray, " samples"]

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A set of images, in a training and a test part, with or without labels.

    Attributes
    ----------
    name : str
        Name of the set, or of the file it came from.
    x_train : array of shape (samples, height, width, channels), float32
        Training images. Images of type uint8 are scaled to [0, 1]. Features without geometry are images of one pixel
        with many channels.
    y_train : int array of shape (samples,), or None
        Labels, as indices into `classes`; None without labels.
    x_test, y_test : arrays like `x_train` and `y_train`, or None
        Test images and labels; None if the set has no test part.
    classes : tuple of str
        Names of the classes; empty without labels.
    note : str
        Remark on this copy of the data, for display beside results; often empty.

    See Also
    --------
    load_dataset
    """

    name: str
    x_train: Float[np.ndarray, "train height width channels"]
    y_train: Int[np.ndarray, " train"] | None = None
    x_test: Float[np.ndarray, "test height width channels"] | None = None
    y_test: Int[np.ndarray, " test"] | None = None
    classes: tuple[str, ...] = ()
    note: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of an image, the arguments of `simatch.Grid`."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    def held_out(self, fraction: float = 0.25, *, seed: int = 0) -> "Dataset":
        """Return a data set whose test part is a random share of the training part.

        The original test part is dropped, so that settings can be chosen without it. Every class has the same share in
        both parts if all classes have enough images for that.

        Parameters
        ----------
        fraction : float
            Share of the training images that become test images, between 0 and 1.
        seed : int
            Seed of the choice.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            If `fraction` leaves one of the two parts empty.

        Examples
        --------
        >>> from simatch.data import load_dataset
        >>> digits = load_dataset("digits").held_out(0.2, seed=1)
        >>> digits.x_train.shape, digits.x_test.shape
        ((1438, 8, 8, 1), (359, 8, 8, 1))
        """
        count = len(self.x_train)
        held = round(fraction * count) if 0 < fraction < 1 else 0
        if not 0 < held < count:
            raise ValueError(
                f"Holding out {fraction!r} of {count} images leaves a part empty; choose a fraction between 0 and 1."
            )
        y = self.y_train
        sizes = np.unique(y, return_counts=True)[1] if y is not None else np.zeros(0)
        proportional = y is not None and sizes.min() >= 2 and min(held, count - held) >= len(sizes)
        train, test = train_test_split(
            np.arange(count), test_size=held, random_state=seed, stratify=y if proportional else None
        )
        return dataclasses.replace(
            self,
            x_train=self.x_train[train],
            x_test=self.x_train[test],
            y_train=None if y is None else y[train],
            y_test=None if y is None else y[test],
        )


def load_dataset(name: str | os.PathLike[str], *, size: int = 16, count: int = 10_000, seed: int = 0) -> Dataset:
    """Load a data set by its name, or from a file.

    If the environment variable ``SIMATCH_DATA`` names a folder, the files ``mnist.npz``, ``lfw64.npz`` and
    ``cifar10.zip`` in it are used. Otherwise scikit-learn downloads the sets ``"mnist"``, ``"lfw"`` and ``"cifar10"``
    once, into its own cache.

    Parameters
    ----------
    name : str or path
        One of

        - ``"digits"``: 1797 digits, 8 by 8 pixels, which are part of scikit-learn; no test part, see
          `Dataset.held_out`;
        - ``"patches"``: grey patches of the two photographs that are part of scikit-learn, without labels;
        - ``"mnist"``: 60,000 training and 10,000 test images of digits, 28 by 28 pixels;
        - ``"lfw"``: Labeled Faces in the Wild, 13,233 grey faces, labelled by person, the central 150 of 250 pixels
          reduced to 64 by 64; no test part;
        - ``"cifar10"``: 50,000 training and 10,000 test photographs, 32 by 32 pixels, three channels;

        or the path of a ``.npy`` or ``.npz`` file. An array of images has shape (samples, height, width), (samples,
        height, width, channels) or (samples, features); uint8 is scaled to [0, 1]. A ``.npz`` file holds ``x_train``
        (or ``x``) and optionally ``y_train`` (or ``y``, or ``person``), ``x_test`` and ``y_test``.
    size : int
        Side of a patch in pixels, between 2 and 427; for ``"patches"`` only.
    count : int
        Number of patches, at least 1; for ``"patches"`` only.
    seed : int
        Seed of the positions of the patches; for ``"patches"`` only.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If there is no such set, if a setting of the patches is out of range, or if the file is damaged or has no usable
        arrays.
    FileNotFoundError
        If there is no such file, or ``SIMATCH_DATA`` does not name a folder.
    ConnectionError
        If the set cannot be downloaded.
    ModuleNotFoundError
        If ``cifar10.zip`` is to be read but Pillow is not installed.

    Examples
    --------
    >>> from simatch.data import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.shape, digits.classes[:3]
    ((8, 8, 1), ('0', '1', '2'))
    """
    if name == "patches":
        return _patches(size, count, seed)
    if isinstance(name, str) and name in _LOADERS:
        return _LOADERS[name]()
    path = Path(name)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(
            f"There is no data set {str(name)!r}; there are {', '.join(map(repr, known_datasets()))}, "
            "or give the path of a .npy or .npz file."
        )
    return _load_file(path)


def known_datasets() -> tuple[str, ...]:
    """Return the names of the data sets that `load_dataset` knows.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from simatch.data import known_datasets
    >>> known_datasets()
    ('digits', 'patches', 'mnist', 'lfw', 'cifar10')
    """
    return "digits", "patches", *(name for name in _LOADERS if name != "digits")


# --- Sets that are part of scikit-learn


def _digits() -> Dataset:
    digits: Any = sklearn_datasets.load_digits()
    return _dataset("digits", {"x": digits.images / 16, "y": digits.target})


def _patches(size: int, count: int, seed: int) -> Dataset:
    # The two photographs of scikit-learn have 427 by 640 pixels.
    if not 2 <= size <= 427:
        raise ValueError(f"The side of a patch must be between 2 and 427 pixels, got {size!r}.")
    if count < 1:
        raise ValueError(f"The number of patches must be at least 1, got {count!r}.")
    pictures: Any = sklearn_datasets.load_sample_images()
    grey = np.stack(pictures.images) @ np.array([0.299, 0.587, 0.114]) / 255
    windows = np.lib.stride_tricks.sliding_window_view(grey, (size, size), axis=(1, 2))
    rng = np.random.default_rng(seed)
    patches = np.empty((0, size, size), np.float32)
    while len(patches) < count:
        more = windows[tuple(rng.integers(windows.shape[:3], size=(count, 3)).T)].astype(np.float32)
        # A flat patch, for example of overexposed sky, has no structure to learn.
        patches = np.concatenate([patches, more[more.std((1, 2)) > 1 / 255]])
    return Dataset("patches", patches[:count, ..., None])


# --- Sets that are downloaded unless SIMATCH_DATA has a copy


def _mnist() -> Dataset:
    if path := _local_copy("mnist.npz"):
        return _dataset("mnist", _read(path), path)
    x, y = _openml("mnist_784", "mnist", "mnist.npz")
    x = x.reshape(-1, 28, 28)
    return _dataset("mnist", {"x_train": x[:60_000], "y_train": y[:60_000], "x_test": x[60_000:], "y_test": y[60_000:]})


def _lfw() -> Dataset:
    if path := _local_copy("lfw64.npz"):
        return _dataset("lfw", _read(path), path)
    centre = slice(50, 200)
    with _downloading("lfw", "lfw64.npz"):
        # A little more than 64 / 150: scikit-learn rounds down.
        faces: Any = sklearn_datasets.fetch_lfw_people(slice_=(centre, centre), resize=64.01 / 150)
    images = np.asarray(faces.images, np.float32)
    return _dataset("lfw", {"x": images, "y": np.asarray(faces.target_names)[faces.target]})


def _cifar10() -> Dataset:
    if path := _local_copy("cifar10.zip"):
        note = "CIFAR-10 from a copy that was encoded as JPEG, so slightly lossy."
        return _dataset("cifar10", _read_image_folder(path), path, note)
    x, y = _openml("CIFAR_10", "cifar10", "cifar10.zip")
    x, y = x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(_CIFAR10)[y]
    return _dataset(
        "cifar10", {"x_train": x[:50_000], "y_train": y[:50_000], "x_test": x[50_000:], "y_test": y[50_000:]}
    )


_LOADERS: dict[str, Callable[[], Dataset]] = {"digits": _digits, "mnist": _mnist, "lfw": _lfw, "cifar10": _cifar10}


def _local_copy(filename: str) -> Path | None:
    """Path of a file in the folder that ``SIMATCH_DATA`` names; None if it does not exist."""
    folder = os.environ.get("SIMATCH_DATA")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"The environment variable SIMATCH_DATA names {folder!r}, which is not a folder; correct or unset it."
        )
    path = Path(folder) / filename
    return path if path.exists() else None


def _openml(openml_name: str, name: str, filename: str) -> tuple[np.ndarray, np.ndarray]:
    # The fast parser of scikit-learn needs pandas, which is optional.
    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    with _downloading(name, filename):
        bunch: Any = sklearn_datasets.fetch_openml(openml_name, version=1, as_frame=False, parser=parser)
    # OpenML stores whole numbers up to 255 in double precision; uint8 takes an eighth of the memory.
    return np.asarray(bunch.data).astype(np.uint8), np.asarray(bunch.target).astype(int)


@contextmanager
def _downloading(name: str, filename: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ConnectionError(
            f"The data set {name!r} could not be downloaded ({error}); check the network, or let the environment "
            f"variable SIMATCH_DATA name a folder that holds {filename}."
        ) from error


# --- Files


def _load_file(path: Path) -> Dataset:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}; check the path.")
    return _dataset(path.stem, _read(path), path)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file by name, or the array of a ``.npy`` file as ``x``."""
    try:
        # Opened here, because numpy.load leaves a damaged file open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"x": loaded}
            return {key: loaded[key] for key in loaded.files if key in _KEYS} or dict.fromkeys(
                loaded.files, np.empty(0)
            )
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"The file {str(path)!r} holds Python objects, which are never unpickled; store arrays of numbers."
            ) from error
        raise ValueError(
            f"The file {str(path)!r} is truncated, damaged, or no NumPy file ({error or type(error).__name__}); "
            "write it again with numpy.save or numpy.savez."
        ) from error


def _read_image_folder(path: Path) -> dict[str, np.ndarray]:
    """Images of a zipped folder ``train/CLASS/NAME.jpg`` and ``test/CLASS/NAME.jpg``, in a fixed order."""
    with Feature("Reading the images of CIFAR-10", extra="app"):
        from PIL import Image

    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as folder:
            names = [Path(n) for n in folder.namelist() if n.endswith(".jpg") and n.count("/") == 2]
            # Sorted by file name before class, so that the first images are of all classes.
            names.sort(key=lambda n: (n.parts[0], n.name, n.parts[1]))
            for part in ("train", "test"):
                chosen = [n for n in names if n.parts[0] == part]
                pixels = [
                    np.asarray(Image.open(io.BytesIO(folder.read(n.as_posix()))).convert("RGB"))
                    for n in tracked(chosen, None, lambda _: (0, ""), label=f"reading {part} images")
                ]
                arrays |= {f"x_{part}": np.array(pixels), f"y_{part}": np.array([n.parts[1] for n in chosen])}
    except (ValueError, OSError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"The file {str(path)!r} is truncated, damaged, or no zipped folder of JPEG images "
            f"({error or type(error).__name__}); copy it again."
        ) from error
    return arrays


# --- From arrays to a data set

_KEYS = ("x_train", "x", "y_train", "y", "person", "x_test", "y_test")


def _dataset(name: str, arrays: dict[str, np.ndarray], path: Path | None = None, note: str = "") -> Dataset:
    where = f"file {str(path)!r}" if path else f"data set {name!r}"
    x_key = next((key for key in ("x_train", "x") if key in arrays), None)
    y_key = next((key for key in ("y_train", "y", "person") if key in arrays), None)
    if x_key is None:
        raise ValueError(
            f"The {where} holds no array named x_train or x, but {', '.join(map(repr, arrays)) or 'none at all'}; "
            "rename the array of images."
        )
    x_train = _images(arrays[x_key], x_key, where)
    x_test = _images(arrays["x_test"], "x_test", where) if "x_test" in arrays else None
    if x_test is not None and x_test.shape[1:] != x_train.shape[1:]:
        raise ValueError(
            f"In the {where}, {x_key} and x_test hold images of shapes {arrays[x_key].shape[1:]} and "
            f"{arrays['x_test'].shape[1:]}; they must agree."
        )
    y_train = _labels(arrays[y_key], y_key, len(x_train), where) if y_key else None
    y_test = None
    if y_train is not None and x_test is not None and "y_test" in arrays:
        y_test = _labels(arrays["y_test"], "y_test", len(x_test), where)
    labels = [y for y in (y_train, y_test) if y is not None]
    if len({y.dtype.kind == "U" for y in labels}) > 1:
        raise ValueError(f"In the {where}, {y_key} and y_test must both be numbers, or both be text.")
    classes = np.unique(np.concatenate(labels)) if labels else np.empty(0)
    y_train, y_test = (None if y is None else np.searchsorted(classes, y) for y in (y_train, y_test))
    return Dataset(name, x_train, y_train, x_test, y_test, tuple(map(str, classes)), note)


def _images(x: np.ndarray, key: str, where: str) -> Images:
    if x.dtype.kind not in "fiub":
        raise ValueError(f"In the {where}, {key} must be an array of real numbers, got one of type {x.dtype}.")
    if x.ndim not in (2, 3, 4):
        raise ValueError(
            f"In the {where}, {key} has shape {x.shape}, but (samples, height, width), (samples, height, width, "
            "channels) or (samples, features) is needed."
        )
    if x.ndim == 4 and x.shape[1] <= 4 < x.shape[2] == x.shape[3]:
        raise ValueError(
            f"In the {where}, {key} has shape {x.shape}, which means {x.shape[3]} channels of {x.shape[1]} by "
            f"{x.shape[2]} pixels; channels first? transpose with x.transpose(0, 2, 3, 1), or pass (samples, features)."
        )
    if not x.size:
        raise ValueError(f"In the {where}, {key} is empty (shape {x.shape}); it needs at least one image.")
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is reported below
        images = x.astype(np.float32)
    if x.dtype == np.uint8:
        images /= 255
    bad = np.asarray(~np.isfinite(images).all(axis=tuple(range(1, x.ndim))))
    if bad.any():
        raise ValueError(
            f"In the {where}, {key} holds NaN, infinity or numbers beyond float32 in {bad.sum()} of {len(bad)} images, "
            f"first in image {bad.argmax()}; remove or replace them."
        )
    height, width, channels = {2: (1, 1, -1), 3: (*x.shape[1:], 1), 4: x.shape[1:]}[x.ndim]
    return images.reshape(len(x), height, width, channels)


def _labels(y: np.ndarray, key: str, count: int, where: str) -> np.ndarray:
    if y.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"In the {where}, {key} has shape {y.shape}, but there are {count} images: one label for each."
        )
    y = y.reshape(count)
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        return y.astype(np.int64)
    if y.dtype.kind not in "iubUS":
        raise ValueError(f"In the {where}, {key} must hold whole numbers or names, got values of type {y.dtype}.")
    return y.astype(np.str_) if y.dtype.kind == "S" else y
