"""Files of networks: arrays as safetensors, architecture as JSON in the header. Reading executes no code of a file."""

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
import scipy.sparse

from ..network import Activation, Connectivity, Grid, Network, Population, Term, entry_of, named
from ._atomic import write_atomically

FORMAT = "simatch-network-2"
FAMILIES = {"activation": Activation, "connectivity": Connectivity, "term": Term}

Tensors = dict[str, np.ndarray]


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to a file. An earlier file of this name is replaced only when the new one is complete.

    Parameters
    ----------
    net : Network
        All its activations, connectivities and terms must be of classes of `simatch` or of registered classes
        (`simatch.register`).
    path : path
        Any name; by convention it ends in ``.safetensors``.

    Raises
    ------
    ValueError
        If an activation, connectivity or term is of a class that is not registered.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile, simatch as sm
    >>> from simatch import load, save
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(net, pathlib.Path(folder, "net.safetensors"))
    ...     load(pathlib.Path(folder, "net.safetensors")).synapses == net.synapses
    True
    """
    tensors: Tensors = {}
    header = {
        "format": FORMAT,
        "populations": [
            {"name": name, "grid": list(p.grid.shape), "activation": _described(p.activation, name, tensors)}
            for name, p in net.populations.items()
        ],
        "terms": [_described(term, f"terms.{i}", tensors) for i, term in enumerate(net.terms)],
    }
    for i, term in enumerate(net.terms):
        tensors |= {f"terms.{i}/{path}": np.asarray(leaf) for path, leaf in _numbers(term)}
    contiguous = {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in tensors.items()}
    write_atomically(path, safetensors.numpy.save(contiguous, {"simatch": json.dumps(header)}))


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Parameters
    ----------
    path : path
        File of a network. Classes that were registered when it was written must be registered again.

    Returns
    -------
    Network

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, not a file of a network, or names a class that is not registered.

    Examples
    --------
    See `save`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{str(path)!r} is truncated, damaged or not a network file ({error}).") from None
    try:
        header = json.loads(metadata.get("simatch", "{}"))
        if header.get("format") != FORMAT:
            raise ValueError(f"its format is {header.get('format')!r}, not {FORMAT!r}")
        return _rebuild(header, tensors)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(path)!r} does not hold together as a network ({reason}).") from error


def _described(value: Any, prefix: str, tensors: Tensors) -> Any:
    """Describe an object as JSON: the name of its kind and its arguments. Arrays are added to `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Grid):
        return {"grid": list(value.shape)}
    if scipy.sparse.issparse(value):
        csr = value.tocsr()
        tensors |= {f"{prefix}.{part}": np.asarray(getattr(csr, part)) for part in ("data", "indices", "indptr")}
        return {"sparse": prefix, "shape": list(csr.shape)}
    if eqx.is_array_like(value):
        array = np.asarray(value)
        if array.ndim == 0:
            return array.item()
        tensors[prefix] = array
        return {"tensor": prefix}
    entry = entry_of(value)
    if entry is None:
        raise ValueError(
            f"A file cannot describe a {type(value).__name__}, which is not registered; put "
            f'@sm.register("a name", sm.{_family(value)}) above its class.'
        )
    family = next(name for name, kind in FAMILIES.items() if kind is entry.family)
    arguments = value.arguments() if hasattr(value, "arguments") else _arguments(value)
    return {
        family: entry.name,
        "arguments": {name: _described(own, f"{prefix}.{name}", tensors) for name, own in arguments.items()},
    }


def _family(value: Any) -> str:
    return next((kind.__name__ for kind in FAMILIES.values() if isinstance(value, kind)), "Term")


def _arguments(value: Any) -> dict[str, Any]:
    """Arguments of an object's class, read from attributes of the same name, except the parameters of a term."""
    names = [name for name in inspect.signature(type(value)).parameters if name != "parameters"]
    return {name: getattr(value, name) for name in names}


def _numbers(term: Term) -> list[tuple[str, Any]]:
    """Every array of real numbers of a term, with its path in the tree of the term."""
    leaves = jax.tree_util.tree_leaves_with_path(term)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if eqx.is_inexact_array(leaf)]


def _rebuild(header: dict[str, Any], tensors: Tensors) -> Network:
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"tensor {name!r} holds NaN or infinity")
    populations = {
        p["name"]: Population(Grid(*p["grid"]), _made(p["activation"], tensors)) for p in header["populations"]
    }
    terms = [_made(description, tensors) for description in header["terms"]]
    if not all(isinstance(term, Term) for term in terms):
        raise ValueError("its terms are of another kind")
    net = Network(populations, terms)
    return eqx.tree_at(lambda n: n.terms, net, tuple(_filled(term, i, tensors) for i, term in enumerate(net.terms)))


def _made(description: Any, tensors: Tensors) -> Any:
    """Make an object from its description."""
    if not isinstance(description, Mapping):
        return description
    if "grid" in description:
        return Grid(*description["grid"])
    if "tensor" in description:
        return tensors[description["tensor"]]
    if "sparse" in description:
        parts = tuple(tensors[f"{description['sparse']}.{part}"] for part in ("data", "indices", "indptr"))
        return scipy.sparse.csr_array(parts, shape=tuple(description["shape"]))
    for name, family in FAMILIES.items():
        if name in description:
            kind = named(description[name], family).kind
            return kind(**{n: _made(own, tensors) for n, own in description["arguments"].items()})
    raise ValueError(f"unknown part {sorted(description)}")


def _filled(term: Term, number: int, tensors: Tensors) -> Term:
    """Return a term with the arrays of a file, which must have the shapes of its own arrays."""

    def read(path: Any, leaf: Any) -> Any:
        if not eqx.is_inexact_array(leaf):
            return leaf
        place = jax.tree_util.keystr(path)
        value = tensors[f"terms.{number}/{place}"]
        if value.shape != leaf.shape:
            raise ValueError(f"{place.strip('.')} of shape {value.shape} where {leaf.shape} was expected")
        return jnp.asarray(value, leaf.dtype)

    return jax.tree_util.tree_map_with_path(read, term)
