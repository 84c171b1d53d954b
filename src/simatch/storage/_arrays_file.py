"""Files of named arrays with a description: safetensors with JSON in the header, protected by a checksum."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ._atomic import write_atomically

Arrays = dict[str, np.ndarray]


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write arrays and their description to a file; an earlier file is replaced when the new one is complete.

    Parameters
    ----------
    path : path
    arrays : mapping of str to array
    description : mapping of str to values that JSON can hold
        Floats keep their exact values, NaN and infinity too.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    own = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in arrays.items()}
    text = json.dumps(dict(description))
    write_atomically(path, safetensors.numpy.save(own, {"simatch": text, "digest": _digest(own, text)}))


def read_arrays(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Returns
    -------
    arrays : dict of str to array
    description : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["digest"] != _digest(arrays, metadata["simatch"]):
            raise ValueError("its checksum does not fit its content")
        return arrays, json.loads(metadata["simatch"])
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"The file {str(path)!r} is truncated or damaged ({error}).") from None


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].data if arrays[name].size else b"")
    return digest.hexdigest()
