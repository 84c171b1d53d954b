"""Files of arrays with a description: safetensors, whose header is checked before anything is read or made."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ._atomic import write_atomically
from ._reading import check_memory, explained, reason, regular

Arrays = dict[str, np.ndarray]

# The types that files may hold; others have no exact counterpart in NumPy.
TYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
# Characters of a description; that of a network of a thousand layers has a million.
LONGEST = 1 << 24


@dataclasses.dataclass(frozen=True)
class Declared:
    """Type and shape of an array, as the header of a file declares it.

    Attributes
    ----------
    dtype : str
        Name of the type in NumPy.
    shape : tuple of int
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class ArraysFile:
    """An open file of arrays, of which only the header has been read.

    Attributes
    ----------
    path : Path
    description : dict
        What the file says about itself, under ``"format"`` its kind and version; empty if it says nothing.
    arrays : dict of str to Declared
    """

    path: Path
    description: dict[str, Any]
    arrays: dict[str, Declared]
    _digest: Any
    _file: Any

    def version(self, kind: str, known: range) -> int:
        """Return the version of a file of this kind, which must be known.

        Raises
        ------
        ValueError
            If the file is of another kind or version.
        """
        name = self.description.get("format")
        found = re.fullmatch(r"simatch-([a-z]+)-([0-9]{1,9})", name) if isinstance(name, str) else None
        if found is None or found[1] != kind:
            raise ValueError(f"{str(self.path)!r} is no {kind} file: its format is {name!r}, not simatch-{kind}-*.")
        version = int(found[2])
        if version > known[-1]:
            raise ValueError(
                f"{str(self.path)!r} was written by a newer version of simatch, in format {version} of {kind} files, "
                f"of which this version reads {_spoken(known)}; update simatch."
            )
        if version < known[0]:
            raise ValueError(
                f"{str(self.path)!r} is in format {version} of {kind} files, of which this version reads "
                f"{_spoken(known)}; make the network anew with this version, or read it with the one that "
                "wrote it."
            )
        return version

    def read(self, *, checksum: bool) -> Arrays:
        """Read all arrays.

        Parameters
        ----------
        checksum : bool
            Whether there must be a checksum; if there is one, it is compared in any case.

        Raises
        ------
        ValueError
            If an array cannot be read, or the file was changed after it was written.
        """
        check_memory(sum(a.size * np.dtype(a.dtype).itemsize for a in self.arrays.values()), self.path)
        with _described_errors(self.path):
            arrays = {name: self._file.get_tensor(name) for name in self.arrays}
        if self._digest is None:
            if checksum:
                raise ValueError(f"{str(self.path)!r} is damaged: it has no checksum; use another copy.")
        elif self._digest != _digest_of(arrays, self.description):
            raise ValueError(
                f"{str(self.path)!r} is damaged: its arrays do not have the checksum that they were written with; use "
                "another copy."
            )
        return arrays


@contextlib.contextmanager
def arrays_file(path: str | os.PathLike[str]) -> Iterator[ArraysFile]:
    """Open a file that `write_arrays` wrote, and read its header.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or its header is damaged.
    """
    path = regular(path)
    with contextlib.ExitStack() as stack:
        with _described_errors(path):
            file = stack.enter_context(safetensors.safe_open(path, framework="numpy"))
            metadata: Mapping[str, str] = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            declared = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
        for name, (dtype, _) in declared.items():
            if dtype not in TYPES:
                raise ValueError(f"{str(path)!r} has an array of type {dtype}, {name!r}, where NumPy has none.")
        arrays = {name: Declared(TYPES[dtype], shape) for name, (dtype, shape) in declared.items()}
        description = _described(metadata.get("simatch", "{}"), path)
        digest = description.pop("digest", None)
        yield ArraysFile(path, description, arrays, digest, file)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write arrays with a description and a checksum; an earlier file is replaced when the new one is complete.

    Parameters
    ----------
    path : path
    arrays : mapping of str to array of any shape
    description : mapping of str to values that JSON can hold
        With the kind and the version of the file as ``"format"``.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If an array is of a type that files do not hold.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from simatch.storage import read_arrays, write_arrays
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arrays(pathlib.Path(folder) / "kept", {"x": np.arange(3)}, {"unit": "mV"})
    ...     arrays, description = read_arrays(pathlib.Path(folder) / "kept")
    >>> arrays["x"].tolist(), description["unit"]
    ([0, 1, 2], 'mV')
    """
    # `ascontiguousarray` gives a number the shape (1,).
    own = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in arrays.items()}
    for name, value in own.items():
        if value.dtype.name not in TYPES.values():
            raise ValueError(f"A file cannot hold {name!r}, an array of type {value.dtype}; convert it to float32.")
    # In one entry: the library writes several in any order, and the same network is to have the same bytes.
    text = json.dumps({"digest": _digest_of(own, description), **description})
    write_atomically(path, safetensors.numpy.save(own, {"simatch": text}))


def read_arrays(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read the arrays and the description of a file that `write_arrays` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    arrays : dict of str to array of any shape
    description : dict of str to values that JSON can hold

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or is damaged.
    """
    with arrays_file(path) as file:
        return file.read(checksum=True), file.description


def _digest_of(arrays: Arrays, description: Mapping[str, Any]) -> str:
    """Digest of a description and of the names, types, shapes and bytes of all arrays."""
    digest = hashlib.sha256(json.dumps(dict(description)).encode())
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(value.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _described_errors(path: Path) -> Iterator[None]:
    """Turn whatever the library for these files raises into one sentence that names the file."""
    try:
        yield
    except safetensors.SafetensorError as error:
        raise ValueError(f"{str(path)!r} is truncated, damaged or not a file of arrays ({reason(error)}).") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{str(path)!r} has an array that cannot be read ({reason(error)}).") from None
    except OSError as error:
        raise explained(error, f"{str(path)!r} could not be read") from error


def _described(text: str, path: Path) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ValueError(f"{str(path)!r} has a description of {len(text):,} characters, where {LONGEST:,} are allowed.")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} has a damaged description ({reason(error)}).") from None
    if not isinstance(description, dict):
        raise ValueError(f"{str(path)!r} has a {type(description).__name__} where its description was expected.")
    return description


def _spoken(versions: range) -> str:
    return " and ".join(map(str, versions))
