"""Data sets: well-known sets of images, and arrays from a user's files."""

import dataclasses
import http.client
import importlib.util
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn import datasets as sklearn_datasets
from sklearn.model_selection import train_test_split

from .._checks import whole
from .._extras import Feature
from .._progress import tracked
from ..storage import read_numpy, regular
from ._columns import KEYS, Images, check_same_scale, images_of, key_of, labels_of, tell_ignored
from ._image_error import ImageError
from ._preprocessing import Preprocessing

# Bytes of one picture of 32 by 32 pixels, at most.
_LARGEST_JPEG = 1 << 20
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
    x_test, y_test : arrays of shapes like those of `x_train` and `y_train`, or None
        Test images and labels; None if the set has no test part.
    classes : tuple of str
        Names of the classes; empty without labels.
    note : str
        Remark on this copy of the data, such as how a file was understood, for display beside results; often empty.
    rows : pair of int arrays of shape (samples,), or None
        After `held_out`, the numbers of the training and of the test images in the data set that they come from.

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
    rows: tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]] | None = None

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
            Seed of the choice, at least 0.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            If `fraction` leaves one of the two parts empty, or `seed` is not a whole number of at least 0.

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
            remedy = (
                f"choose a fraction from {1 / count:.2g} to {1 - 1 / count:.2g}, or give more images"
                if count > 1
                else "give more images"
            )
            raise ValueError(f"Holding out {fraction!r} of {count} images leaves a part empty; {remedy}.")
        seed, y = whole(seed, "The seed", least=0), self.y_train
        sizes = np.unique(y, return_counts=True)[1] if y is not None else np.zeros(0)
        proportional = y is not None and sizes.min() >= 2 and min(held, count - held) >= len(sizes)
        train, test = train_test_split(
            np.arange(count), test_size=held, random_state=seed, stratify=y if proportional else None
        )
        rows = np.arange(count) if self.rows is None else self.rows[0]
        return dataclasses.replace(
            self,
            rows=(rows[train], rows[test]),
            x_train=self.x_train[train],
            x_test=self.x_train[test],
            y_train=None if y is None else y[train],
            y_test=None if y is None else y[test],
        )

    def processed(
        self, preprocessing: Preprocessing
    ) -> tuple[
        Float[np.ndarray, "train height width channels"], Float[np.ndarray, "test height width channels"] | None
    ]:
        """Fit preprocessing on the training images, and return the training and the test images processed.

        Parameters
        ----------
        preprocessing : Preprocessing
            It is fitted.

        Returns
        -------
        x_train, x_test : arrays of shape (samples, height, width, channels), float32
            `x_test` is None if the set has no test part.

        Raises
        ------
        ValueError
            As by `Preprocessing`; images are called by their numbers before `held_out`.

        Examples
        --------
        >>> from simatch.data import Preprocessing, load_dataset
        >>> x_train, x_test = load_dataset("digits").held_out(0.2).processed(Preprocessing(own_mean=True))
        >>> len(x_train), len(x_test)
        (1438, 359)
        """
        train, test = self.rows or (None, None)
        with _numbered("x_train", train):
            x_train = preprocessing.fit_transform(self.x_train)
        with _numbered("x_test" if test is None else "x_train", test):
            return x_train, None if self.x_test is None else preprocessing.transform(self.x_test)


@contextmanager
def _numbered(part: str, rows: Int[np.ndarray, " samples"] | None) -> Iterator[None]:
    """Call an image by its number in the part of the data that the user gave."""
    try:
        yield
    except ImageError as error:
        image = error.image if rows is None else int(rows[error.image])
        raise ImageError(error.text, image, f"In {part}, image") from None


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
        Seed of the positions of the patches, at least 0; for ``"patches"`` only.

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
    rng = np.random.default_rng(whole(seed, "The seed", least=0))
    patches = np.empty((0, size, size), np.float32)
    while len(patches) < count:
        more = windows[tuple(rng.integers(windows.shape[:3], size=(count, 3)).T)].astype(np.float32)
        # A flat patch, for example of overexposed sky, has no structure to learn.
        patches = np.concatenate([patches, more[more.std((1, 2)) > 1 / 255]])
    return Dataset("patches", patches[:count, ..., None])


# --- Sets that are downloaded unless SIMATCH_DATA has a copy


def _mnist() -> Dataset:
    if path := _local_copy("mnist.npz"):
        return _dataset("mnist", read_numpy(path, KEYS), path)
    x, y = _openml("mnist_784", "mnist", "mnist.npz")
    x = x.reshape(-1, 28, 28)
    return _dataset("mnist", {"x_train": x[:60_000], "y_train": y[:60_000], "x_test": x[60_000:], "y_test": y[60_000:]})


def _lfw() -> Dataset:
    if path := _local_copy("lfw64.npz"):
        return _dataset("lfw", read_numpy(path, KEYS), path)
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
    arrays = read_numpy(path, KEYS)
    dataset = _dataset(path.stem, arrays, path)
    scaled = " and scaled from 0..255 to 0..1" if arrays[key_of("x_train", arrays) or ""].dtype == np.uint8 else ""
    test = "" if dataset.x_test is None else f", and {len(dataset.x_test):,} of the same shape for tests"
    return dataclasses.replace(dataset, note=f"Read as {_in_words(dataset.x_train)}{scaled}{test}.")


def _in_words(x: Images) -> str:
    count, height, width, channels = x.shape
    if (height, width) == (1, 1):
        return f"{count:,} samples of {channels:,} features"
    return f"{count:,} images of {height} by {width} pixels with {channels} channel{'s' * (channels > 1)}"


def _read_image_folder(path: Path) -> dict[str, np.ndarray]:
    """Images of a zipped folder ``train/CLASS/NAME.jpg`` and ``test/CLASS/NAME.jpg``, in a fixed order."""
    with Feature("Reading the images of CIFAR-10", extra="app"):
        from PIL import Image

    arrays: dict[str, np.ndarray] = {}
    regular(path)
    try:
        with zipfile.ZipFile(path) as folder:
            names = [Path(n) for n in folder.namelist() if n.endswith(".jpg") and n.count("/") == 2]
            # Sorted by file name before class, so that the first images are of all classes.
            names.sort(key=lambda n: (n.parts[0], n.name, n.parts[1]))
            for part in ("train", "test"):
                chosen = [n for n in names if n.parts[0] == part]
                pixels = [
                    _pixels(folder.getinfo(n.as_posix()), folder, Image)
                    for n in tracked(chosen, None, lambda _: (0, ""), label=f"reading {part} images")
                ]
                arrays |= {f"x_{part}": np.array(pixels), f"y_{part}": np.array([n.parts[1] for n in chosen])}
    except Exception as error:  # whatever `zipfile`, zlib and Pillow raise about damaged bytes
        raise ValueError(
            f"The file {str(path)!r} is truncated, damaged, or no zipped folder of JPEG images "
            f"({error or type(error).__name__}); copy it again."
        ) from error
    return arrays


def _pixels(entry: zipfile.ZipInfo, folder: zipfile.ZipFile, pillow: Any) -> np.ndarray:
    if entry.file_size > _LARGEST_JPEG:
        raise ValueError(f"{entry.filename!r} has {entry.file_size:,} bytes")
    image = pillow.open(io.BytesIO(folder.read(entry)))
    if image.size != (32, 32):
        raise ValueError(f"{entry.filename!r} has {image.size[0]} by {image.size[1]} pixels, not 32 by 32")
    return np.asarray(image.convert("RGB"))


# --- From arrays to a data set


def _dataset(name: str, arrays: dict[str, np.ndarray], path: Path | None = None, note: str = "") -> Dataset:
    where = f"file {str(path)!r}" if path else f"data set {name!r}"
    x_key, y_key = key_of("x_train", arrays), key_of("y_train", arrays)
    if x_key is None:
        raise ValueError(
            f"The {where} holds no array named x_train or x, but {', '.join(map(repr, arrays)) or 'none at all'}; "
            "rename the array of images."
        )
    check_same_scale(arrays, x_key, where)
    x_train = images_of(arrays[x_key], x_key, where)
    x_test = images_of(arrays["x_test"], "x_test", where) if "x_test" in arrays else None
    if x_test is not None and x_test.shape[1:] != x_train.shape[1:]:
        raise ValueError(
            f"In the {where}, {x_key} and x_test hold images of shapes {arrays[x_key].shape[1:]} and "
            f"{arrays['x_test'].shape[1:]}; they must agree."
        )
    y_train = labels_of(arrays[y_key], y_key, len(x_train), where) if y_key else None
    y_test = None
    if y_train is not None and x_test is not None and "y_test" in arrays:
        y_test = labels_of(arrays["y_test"], "y_test", len(x_test), where)
    tell_ignored(arrays, y_test is not None, where)
    labels = [y for y in (y_train, y_test) if y is not None]
    if len({y.dtype.kind == "U" for y in labels}) > 1:
        raise ValueError(f"In the {where}, {y_key} and y_test must both be numbers, or both be text.")
    classes = np.unique(np.concatenate(labels)) if labels else np.empty(0)
    y_train, y_test = (None if y is None else np.searchsorted(classes, y) for y in (y_train, y_test))
    return Dataset(name, x_train, y_train, x_test, y_test, tuple(map(str, classes)), note)
