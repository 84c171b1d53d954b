"""Networks on disk: weights in safetensors, architecture as JSON in its header; nothing in a file is ever executed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
import scipy.sparse
from jaxtyping import PyTree

from ..network import (
    Activation,
    AntiHebbian,
    Clip,
    Connectivity,
    Dense,
    Grid,
    Hebbian,
    Linear,
    Local,
    Network,
    Pathway,
    Population,
    ReLU,
    ShiftedReLU,
    SoftThreshold,
    Sparse,
    Tanh,
)
from ._atomic import write_atomically

FORMAT = "simatch-network-1"


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to a file; what was there before is replaced only once the new file is complete.

    Parameters
    ----------
    net : Network
        Made of the activations, connectivities and pathways that `simatch` offers.
    path : path
        By custom it ends in ``.safetensors``.

    Raises
    ------
    ValueError
        If the network has a part of a kind of your own, which a file cannot describe.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile, simatch as sm
    >>> from simatch.storage import load, save
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(net, pathlib.Path(folder, "net.safetensors"))
    ...     load(pathlib.Path(folder, "net.safetensors")).synapses == net.synapses
    True
    """
    header = {
        "format": FORMAT,
        "populations": [
            {"name": name, "grid": list(p.grid.shape), "activation": _activation_name(p.activation)}
            for name, p in net.populations.items()
        ],
        "pathways": [_describe(p) for p in net.pathways],
    }
    tensors = {
        f"pathways.{i}.{name}": np.asarray(value)
        for i, pathway in enumerate(net.pathways)
        for name, value in _arrays(pathway)
    }
    contiguous = {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in tensors.items()}
    write_atomically(path, safetensors.numpy.save(contiguous, {"simatch": json.dumps(header)}))


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Network

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, or not one of a network.
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


def _activation_name(activation: Activation | None) -> str | None:
    if activation is None:
        return None
    if type(activation) in (SoftThreshold, ShiftedReLU):
        assert isinstance(activation, SoftThreshold | ShiftedReLU)
        kind = "soft_threshold" if isinstance(activation, SoftThreshold) else "shifted_relu"
        return f"{kind}:{activation.threshold!r}"
    for name, kind in {"linear": Linear, "relu": ReLU, "clip": Clip, "tanh": Tanh}.items():
        if type(activation) is kind:
            return name
    raise ValueError(f"A file cannot describe {activation!r}; only simatch's own activations can be saved.")


def _describe(pathway: Pathway) -> dict[str, Any]:
    kinds = {Hebbian: "hebbian", AntiHebbian: "anti_hebbian"}
    connectivities = {Dense: "dense", Local: "local", Sparse: "sparse"}
    connectivity = pathway.connectivity
    if type(pathway) not in kinds or type(connectivity) not in connectivities:
        raise ValueError(
            f"A file cannot describe a {type(pathway).__name__} pathway with {type(connectivity).__name__} "
            "connectivity; only simatch's own kinds can be saved."
        )
    description = {
        "kind": kinds[type(pathway)],
        "pre": pathway.pre,
        "post": pathway.post,
        "feedback": pathway.feedback,
        "connectivity": connectivities[type(connectivity)],
    }
    if isinstance(connectivity, Local):
        description["radius"] = connectivity.radius
    return description


def _arrays(pathway: Pathway) -> Iterator[tuple[str, Any]]:
    """Every array of a pathway that its description does not determine, by name."""
    yield "scale", pathway.scale
    for name, tree in (("weights", pathway.weights), ("structure", pathway.connectivity.structure)):
        for i, leaf in enumerate(jax.tree.leaves(tree)):
            yield f"{name}.{i}", leaf
    if isinstance(pathway.connectivity, Sparse):
        yield "sources", pathway.connectivity.sources
        yield "targets", pathway.connectivity.targets


def _rebuild(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Network:
    populations = {p["name"]: Population(Grid(*p["grid"]), p["activation"]) for p in header["populations"]}
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"tensor {name!r} holds NaN or infinity")
    pathways = []
    for i, description in enumerate(header["pathways"]):
        prefix = f"pathways.{i}."
        own = {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
        pathways.append(_pathway(description, populations, own))
    return Network(populations, pathways)


def _pathway(description: dict[str, Any], populations: dict[str, Population], own: dict[str, np.ndarray]) -> Pathway:
    pre, post = (populations[description[end]].grid for end in ("pre", "post"))
    connectivity = _connectivity(description, pre, post, own)
    scale = float(own["scale"])
    if description["kind"] == "hebbian":
        ends = description["pre"], description["post"]
        pathway = Hebbian(*ends, connectivity, scale=scale, feedback=description["feedback"])
    elif description["kind"] == "anti_hebbian":
        pathway = AntiHebbian(description["post"], connectivity, scale=scale)
    else:
        raise ValueError(f"unknown kind of pathway {description['kind']!r}")
    weights = _leaves(own, "weights", connectivity.normal(np.random.default_rng(0)))
    return eqx.tree_at(lambda p: p.weights, pathway, weights, is_leaf=lambda leaf: leaf is None)


def _connectivity(description: dict[str, Any], pre: Grid, post: Grid, own: dict[str, np.ndarray]) -> Connectivity:
    kind = description["connectivity"]
    if kind == "dense":
        structure = own["structure.0"]
        return Dense(pre, post, structure if structure.ndim else None)
    if kind == "sparse":
        entries = own["structure.0"], (own["targets"], own["sources"])
        return Sparse(pre, post, scipy.sparse.csr_array(entries, shape=(post.size, pre.size)))
    if kind == "local":
        local = Local(pre, post, description["radius"])
        return eqx.tree_at(lambda c: c.structure, local, _leaves(own, "structure", local.structure))
    raise ValueError(f"unknown connectivity {kind!r}")


def _leaves(own: dict[str, np.ndarray], name: str, like: PyTree) -> PyTree:
    """Arrays called `name.0`, `name.1`, ... in the layout of `like`, whose shapes they must have."""
    expected, layout = jax.tree.flatten(like)
    values = [own[f"{name}.{i}"] for i in range(len(expected))]
    for value, wanted in zip(values, expected, strict=True):
        if value.shape != wanted.shape:
            raise ValueError(f"{name} of shape {value.shape} where {wanted.shape} was expected")
    return jax.tree.unflatten(
        layout, [jnp.asarray(value, wanted.dtype) for value, wanted in zip(values, expected, strict=True)]
    )
