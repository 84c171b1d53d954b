"""Files of the state of learning: its arrays as safetensors."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._arrays_file import arrays_file, write_arrays

FORMAT = "simatch-state-1"


def save_state(state: PyTree, path: str | os.PathLike[str]) -> None:
    """Write a state of learning, such as the `state` of a `simatch.Report`, to a file.

    Parameters
    ----------
    state : pytree of arrays and numbers
    path : path
        Any name; an earlier file of this name is replaced when the new one is complete.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If an array is of a type that files do not hold, such as complex numbers.

    Examples
    --------
    >>> import pathlib, tempfile, jax.numpy as jnp, simatch as sm
    >>> state = sm.LearningState({"mean": jnp.ones(3)}, None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sm.storage.save_state(state, pathlib.Path(folder, "state"))
    ...     again = sm.storage.load_state(pathlib.Path(folder, "state"), like=state)
    >>> again.rule["mean"].shape
    (3,)
    """
    write_arrays(path, {k: np.asarray(v, jnp.result_type(v)) for k, v in _leaves(state)}, {"format": FORMAT})


def load_state(path: str | os.PathLike[str], like: PyTree) -> PyTree:
    """Read a state of learning that `save_state` wrote.

    Parameters
    ----------
    path : path
    like : pytree
        A state of the same layout, shapes and types, such as the state before the first batch.

    Returns
    -------
    pytree
        The state, in the layout of `like`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or its arrays do not have the layout, shapes and types of `like`.
    """
    with arrays_file(path) as file:
        # Earlier files have no description.
        described = bool(file.description)
        if described:
            file.version("state", range(1, 2))
        needed = {place: (np.shape(leaf), jnp.result_type(leaf).name) for place, leaf in _leaves(like)}
        found = {place: (declared.shape, declared.dtype) for place, declared in file.arrays.items()}
        if needed != found:
            raise ValueError(
                f"{str(file.path)!r} is the state of another rule or network: it holds {_listed(found)} where "
                f"{_listed(needed)} was expected; continue with the settings that it was made with."
            )
        tensors = file.read(checksum=described)
    places = [place for place, _ in _leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(tensors[place]) for place in places])


def _leaves(state: PyTree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)]


def _listed(arrays: dict[str, tuple[Any, str]]) -> str:
    listed = [f"{place} of shape {shape} and type {dtype}" for place, (shape, dtype) in sorted(arrays.items())]
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "") or "nothing"
