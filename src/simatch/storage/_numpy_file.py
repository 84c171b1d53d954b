"""NumPy files, as users give them: everything that they declare is compared with what is there before it is read."""

import contextlib
import dataclasses
import math
import os
import warnings
import zipfile
from collections.abc import Collection, Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import numpy as np
from numpy.lib import format as npy

from ._reading import check_memory, explained, reason, regular

# Arrays of an archive that unpack to more bytes than this must not be so many times larger than the archive.
SMALL, RATIO = 1 << 30, 100
# How NumPy packs archives.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ZIP, NPY = b"PK", b"\x93NUMPY"

Stream = BufferedReader | zipfile.ZipExtFile


@dataclasses.dataclass(frozen=True)
class DeclaredArray:
    """An array as the header of a NumPy file declares it.

    Attributes
    ----------
    name : str
        Name in the archive; ``"x"`` in a file of one array.
    dtype : dtype
        NumPy's type of its numbers.
    shape : tuple of int
        Length of each axis.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def declared_numpy(path: str | os.PathLike[str]) -> list[DeclaredArray]:
    """Return what a ``.npy`` or ``.npz`` file says that it holds, without reading the arrays.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of DeclaredArray

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file, or a header is damaged or declares more than is there.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np
    >>> from simatch.storage import declared_numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.npz")
    ...     np.savez(path, x=np.zeros((10, 8, 8), np.uint8))
    ...     [(a.name, str(a.dtype), a.shape) for a in declared_numpy(path)]
    [('x', 'uint8', (10, 8, 8))]
    """
    with _archive(path) as archive:
        return [archive.declared(name) for name in archive.names]


def read_numpy(path: str | os.PathLike[str], known: Collection[str]) -> dict[str, np.ndarray]:
    """Read the arrays with known names from a ``.npy`` or ``.npz`` file; nothing in it is unpickled.

    Parameters
    ----------
    path : path
    known : collection of str
        The names that are understood. The array of a ``.npy`` file has the name ``"x"``.

    Returns
    -------
    dict of str to array of any shape

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds none of these arrays, or unpacks to more than memory or its size allows; the
        message names the file.

    Warns
    -----
    UserWarning
        If the file holds arrays with other names, which are ignored.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np
    >>> from simatch.storage import read_numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.npz")
    ...     np.savez(path, x=np.zeros((10, 8, 8), np.uint8))
    ...     read_numpy(path, ["x"])["x"].shape
    (10, 8, 8)
    """
    with _archive(path) as archive:
        chosen = [name for name in archive.names if name in known]
        others = [name for name in archive.names if name not in known]
        if not chosen:
            raise ValueError(
                f"The file {str(path)!r} holds none of the arrays {', '.join(known)}, but "
                f"{_listed(others) or 'none at all'}; rename its arrays."
            )
        archive.check_size([archive.declared(name) for name in chosen])
        arrays = {name: archive.read(name) for name in chosen}
    if others:
        warnings.warn(
            f"The file {str(path)!r} also holds {_listed(others)}, which {'is' if len(others) == 1 else 'are'} "
            f"ignored; understood are the names {', '.join(known)}.",
            stacklevel=3,
        )
    return arrays


class _Archive:
    """A NumPy file, as an archive; a ``.npy`` file is one with the one array ``x``."""

    def __init__(self, path: Path, file: BufferedReader):
        self.path, self.file, self.size = path, file, os.fstat(file.fileno()).st_size
        self.zip: zipfile.ZipFile | None = None
        self.entries: dict[str, zipfile.ZipInfo] = {}
        start = file.read(len(NPY))
        file.seek(0)
        if start.startswith(ZIP):
            with _damage(path):
                self.zip = zipfile.ZipFile(file)
            for entry in self.zip.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in self.entries:
                    raise ValueError(f"The file {str(path)!r} is damaged: it holds two arrays named {name!r}.")
                self.entries[name] = entry
        elif start != NPY:
            raise damaged(path, "it begins like no file of arrays")

    @property
    def names(self) -> list[str]:
        return ["x"] if self.zip is None else list(self.entries)

    def declared(self, name: str) -> DeclaredArray:
        """What the header of an array declares, of which there must be as many bytes."""
        with self._opened(name) as (stream, there):
            dtype, shape = self._header(stream)
            if dtype.hasobject:
                raise ValueError(
                    f"The file {str(self.path)!r} holds Python objects, which are never unpickled; store arrays of "
                    "numbers."
                )
            if dtype.names or dtype.subdtype:
                raise ValueError(
                    f"In the file {str(self.path)!r}, {name} holds records of type {dtype}; store each field as an "
                    "array of its own."
                )
            declared = DeclaredArray(name, dtype, shape)
            if stream.tell() + declared.nbytes != there:
                raise damaged(
                    self.path,
                    f"{name} declares {declared.nbytes:,} bytes of type {dtype} and shape {shape}, but holds "
                    f"{there - stream.tell():,}",
                )
            return declared

    def read(self, name: str) -> np.ndarray:
        with self._opened(name) as (stream, _), _damage(self.path):
            array = npy.read_array(stream, allow_pickle=False)
            stream.read(1)  # the end, where a wrong checksum is noticed
            return array

    def check_size(self, arrays: list[DeclaredArray]) -> None:
        needed = sum(array.nbytes for array in arrays)
        check_memory(needed, self.path)
        if needed > SMALL and needed > RATIO * self.size:
            raise ValueError(
                f"The file {str(self.path)!r} unpacks to {needed / 1e9:,.1f} GB, {needed // self.size:,} times its "
                "size; if this is right, store its arrays with numpy.savez, which does not compress them."
            )

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[tuple[Stream, int]]:
        """An array's own stream, and the number of its bytes."""
        if self.zip is None:
            self.file.seek(0)
            yield self.file, self.size
            return
        entry = self.entries[name]
        if entry.flag_bits & 1:
            raise ValueError(f"In the file {str(self.path)!r}, {name} is encrypted; store it with numpy.savez.")
        if entry.compress_type not in METHODS:
            raise ValueError(
                f"In the file {str(self.path)!r}, {name} is packed by method {entry.compress_type}, which NumPy does "
                "not use; store it with numpy.savez_compressed."
            )
        with contextlib.ExitStack() as stack:
            with _damage(self.path):
                stream = cast(zipfile.ZipExtFile, stack.enter_context(self.zip.open(entry)))
            yield stream, entry.file_size

    def _header(self, stream: Stream) -> tuple[np.dtype, tuple[int, ...]]:
        with _damage(self.path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, which are read all the same
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, _, dtype = read[npy.read_magic(stream)](stream)
            if not all(side >= 0 for side in shape):
                raise ValueError(f"the shape {shape}")
        return dtype, shape


@contextlib.contextmanager
def _archive(path: str | os.PathLike[str]) -> Iterator[_Archive]:
    path = regular(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise explained(error, f"{str(path)!r} could not be read") from error
    with file:
        archive = _Archive(path, file)
        with archive.zip or contextlib.nullcontext():
            yield archive


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn whatever NumPy, `zipfile`, Python's parser or zlib raise about damaged bytes into one sentence."""
    try:
        yield
    except Exception as error:
        raise damaged(path, reason(error)) from error


def damaged(path: Path, why: str) -> ValueError:
    """Return an error about a damaged file of arrays."""
    return ValueError(
        f"The file {str(path)!r} is truncated, damaged, or no NumPy file ({why}); write it again with numpy.save "
        "or numpy.savez."
    )


def _listed(names: Collection[str]) -> str:
    shown = [repr(name[:80]) for name in list(names)[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
