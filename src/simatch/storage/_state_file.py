"""Files of the state of learning: its arrays as safetensors."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import PyTree

from ._atomic import write_atomically


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
    leaves = {place: np.asarray(leaf) for place, leaf in _leaves(state)}
    write_atomically(
        path, safetensors.numpy.save({k: np.ascontiguousarray(v).reshape(v.shape) for k, v in leaves.items()})
    )


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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{str(path)!r} is truncated, damaged or not a state of learning ({error}).") from None
    needed = {place: (np.shape(leaf), jnp.result_type(leaf)) for place, leaf in _leaves(like)}
    found = {place: (tensor.shape, tensor.dtype) for place, tensor in tensors.items()}
    if needed != found:
        raise ValueError(
            f"{str(path)!r} is the state of another rule or network: it holds {_listed(found)} where {_listed(needed)} "
            "was expected; continue with the settings that it was made with."
        )
    places = [place for place, _ in _leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(tensors[place]) for place in places])


def _leaves(state: PyTree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)]


def _listed(arrays: dict) -> str:
    return ", ".join(f"{place} of shape {shape}" for place, (shape, _) in sorted(arrays.items())) or "nothing"
