"""Files of networks: arrays as safetensors, architecture as JSON in the header. Reading executes no code of a file."""

import inspect
import os
import warnings
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from ..network import Activation, Connectivity, Grid, Kernel, Network, Population, Term, entry_of, named
from ._arrays_file import Arrays, ArraysFile, arrays_file, write_arrays
from ._reading import reason
from ._sound import check_missing, check_sound, without_missing

# Format 2 had no checksum.
FORMAT, READ = "simatch-network-3", range(2, 4)
FAMILIES = {"activation": Activation, "connectivity": Connectivity, "kernel": Kernel, "term": Term}
# Populations, and terms: the search for stages takes the square of their number.
MOST_PARTS = 4096
# Numbers that the connectivities of a file may need in any case; beyond these, they may need as many as it holds.
SMALL = 1 << 20


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
        If an activation, connectivity or term is of a class that is not registered, or if `load` would refuse the file:
        weights hold NaN or infinity, lateral weights are not symmetric. An earlier file is then unchanged.
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
    check_sound(net)
    if max(len(net.populations), len(net.terms)) > MOST_PARTS:
        raise ValueError(
            f"A file holds at most {MOST_PARTS} populations and terms, but the network has {len(net.populations)} and "
            f"{len(net.terms)}."
        )
    net = without_missing(net)
    tensors: dict[str, Any] = {}
    description = {
        "format": FORMAT,
        "populations": [
            {
                "name": name,
                "grid": list(p.grid.shape),
                "activation": _described(p.activation, f"populations.{i}", tensors),
            }
            for i, (name, p) in enumerate(net.populations.items())
        ],
        "terms": [_described(term, f"terms.{i}", tensors) for i, term in enumerate(net.terms)],
    }
    for i, term in enumerate(net.terms):
        tensors |= {f"terms.{i}/{path}": np.asarray(leaf) for path, leaf in _numbers(term)}
    write_arrays(path, tensors, description)


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Nothing of a file is executed, and nothing large is made before what the file declares has been compared with what
    it holds (``docs/files.md``).

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
        If the file is truncated, damaged, not a file of a network, of a version that is not known, or names a class
        that is not registered; the message names the file.

    Warns
    -----
    UserWarning
        If the file holds double precision, which JAX rounds to single precision unless ``jax_enable_x64`` is set.

    Examples
    --------
    See `save`.
    """
    with arrays_file(path) as file:
        version = file.version("network", READ)
        tensors = file.read(checksum=version > 2)
    try:
        net = _Rebuilding(file, tensors).network()
        check_sound(net)
        check_missing(net)
    # Whatever constructors raise on arguments of a wrong kind.
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{str(file.path)!r} does not hold together as a network: {reason(error)}.") from error
    if any(np.dtype(np.float64) == v.dtype for v in tensors.values()) and jnp.zeros(()).dtype == np.float32:
        warnings.warn(
            f"{str(file.path)!r} holds a network in double precision, which was rounded to single precision; set "
            'jax.config.update("jax_enable_x64", True) first to keep it.',
            stacklevel=2,
        )
    return net


def _described(value: Any, prefix: str, tensors: Arrays) -> Any:
    """Describe an object as JSON: the name of its kind and its arguments. Arrays are added to `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Grid):
        return {"grid": list(value.shape)}
    if isinstance(value, tuple):
        return [_described(own, f"{prefix}.{i}", tensors) for i, own in enumerate(value)]
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


class _Rebuilding:
    """A network that is made from its description and its arrays, each of which must be used."""

    def __init__(self, file: ArraysFile, tensors: Arrays):
        self.description, self.tensors = file.description, tensors
        self.used: set[str] = set()
        # How many numbers the connectivities may still need.
        self.left = max(SMALL, sum(value.size for value in tensors.values()))

    def network(self) -> Network:
        for name, value in self.tensors.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"array {name!r} holds NaN or infinity")
        populations = self._population_list()
        terms = [self.made(description) for description in self._parts("terms")]
        if not all(isinstance(term, Term) for term in terms):
            raise ValueError("its terms are of another kind")
        net = Network(populations, terms)
        net = eqx.tree_at(lambda n: n.terms, net, tuple(self._filled(term, i) for i, term in enumerate(net.terms)))
        if unused := sorted(self.tensors.keys() - self.used):
            raise ValueError(f"it holds an array {unused[0]!r}, which belongs to no part of it")
        return net

    def _parts(self, name: str) -> list[Any]:
        parts = self.description.get(name)
        if not isinstance(parts, list):
            raise ValueError(f"it has no list of {name}")
        if len(parts) > MOST_PARTS:
            raise ValueError(f"it declares {len(parts):,} {name}, where {MOST_PARTS} are allowed")
        return parts

    def _population_list(self) -> dict[str, Population]:
        populations: dict[str, Population] = {}
        for p in self._parts("populations"):
            name = p["name"]
            if not isinstance(name, str):
                raise ValueError(f"the name of a population is {name!r}, which is not text")
            if name in populations:
                raise ValueError(f"two populations have the name {name!r}")
            populations[name] = Population(Grid(*p["grid"]), self.made(p["activation"]))
        return populations

    def tensor(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise ValueError(f"it lacks the array {name!r}")
        self.used.add(name)
        return self.tensors[name]

    def made(self, description: Any) -> Any:
        """Make an object from its description."""
        if isinstance(description, list):
            return tuple(self.made(own) for own in description)
        if not isinstance(description, Mapping):
            return description
        if "grid" in description:
            return Grid(*description["grid"])
        if "tensor" in description:
            return self.tensor(description["tensor"])
        if "sparse" in description:
            return self._sparse(description["sparse"], description["shape"])
        for name, family in FAMILIES.items():
            if name in description:
                kind = named(description[name], family).kind
                arguments = {n: self.made(own) for n, own in description["arguments"].items()}
                if family in (Connectivity, Term):
                    self._afford(kind, arguments)
                return kind(**arguments)
        raise ValueError(f"unknown part {sorted(description)}")

    def _afford(self, kind: Any, arguments: dict[str, Any]) -> None:
        """Refuse what would need more memory than the file holds numbers."""
        planned = kind.planned(self.left, **arguments)
        if planned > self.left:
            raise ValueError(f"its {kind.__name__} would have more weights than the file holds")
        self.left -= planned

    def _sparse(self, name: str, shape: list[int]) -> scipy.sparse.csr_array:
        data, indices, indptr = (self.tensor(f"{name}.{part}") for part in ("data", "indices", "indptr"))
        if indices.dtype.kind != "i" or indptr.dtype.kind != "i":
            raise ValueError(f"the indices of {name!r} are no whole numbers")
        matrix = scipy.sparse.csr_array((data, indices, indptr), shape=tuple(shape))
        matrix.check_format(full_check=True)  # before SciPy's compiled code follows these indices
        if not matrix.has_canonical_format or not (data > 0).all():
            raise ValueError(f"the synapses of {name!r} are not sorted, occur twice or have constants that are not > 0")
        return matrix

    def _filled(self, term: Term, number: int) -> Term:
        """Return a term with the arrays of a file, which must have the shapes of its own arrays."""

        def read(path: Any, leaf: Any) -> Any:
            if not eqx.is_inexact_array(leaf):
                return leaf
            place = jax.tree_util.keystr(path)
            value = self.tensor(f"terms.{number}/{place}")
            place = place.strip(".")
            if value.shape != leaf.shape:
                raise ValueError(f"{place} of shape {value.shape} where {leaf.shape} was expected")
            if value.dtype not in (np.float32, np.float64):
                raise ValueError(f"{place} of type {value.dtype} where float32 or float64 was expected")
            with np.errstate(over="ignore"):
                own = value.astype(leaf.dtype)
            if not np.isfinite(own).all():
                raise ValueError(f"{place} holds numbers that are too large for {leaf.dtype}")
            return jnp.asarray(own)

        return jax.tree_util.tree_map_with_path(read, term)
