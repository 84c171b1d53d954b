"""What a file or the folder of a run holds, from headers and descriptions alone."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._arrays_file import LONGEST, ArraysFile, arrays_file
from ._draft import DRAFT, MANIFEST, manifest_of
from ._numpy_file import declared_numpy
from ._reading import explained, reason, regular
from ._toml_file import read_toml

# Files of a folder that are described, at most.
MOST_FILES = 200
SUFFIXES = (".safetensors", ".npy", ".npz", ".json", ".toml")


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what a file, or the folder of a run, holds. Arrays are not read, and no network is made.

    Parameters
    ----------
    path : path
        A network or a checkpoint (``.safetensors``), samples (``.npy``, ``.npz``), settings
        (``.toml``), results (``.json``), or a folder of such files.

    Returns
    -------
    dict of values that JSON can hold
        ``path``, ``kind`` and ``bytes``, and what there is of this kind: ``format``, ``populations`` and ``terms`` of a
        network; ``arrays``, each with name, type and shape; ``entries`` of settings and results; ``run`` (in words)
        and ``files`` of a folder, of which those that cannot be described have an ``error``. Damage is noticed only
        where it is read.

    Raises
    ------
    FileNotFoundError
        If there is nothing of this name.
    ValueError
        If the file is of another kind, or its header is damaged; the message names the file.

    Examples
    --------
    >>> import pathlib, tempfile, simatch as sm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.safetensors")
    ...     sm.save(sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)]), path)
    ...     found = sm.storage.info(path)
    >>> found["format"], [(p["name"], p["grid"]) for p in found["populations"]]
    ('simatch-network-3', [('input', [8, 8, 1]), ('layer1', [4, 4, 4])])
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    found = {"path": str(regular(path)), "bytes": path.stat().st_size}
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise explained(error, f"{str(path)!r} could not be read") from error
    if suffix in (".json", ".toml"):
        return found | _text(path, suffix)
    if start == b"\x93NUMPY" or start.startswith(b"PK"):
        arrays = [{"name": a.name, "dtype": str(a.dtype), "shape": list(a.shape)} for a in declared_numpy(path)]
        return found | {"kind": "samples", "arrays": arrays}
    with arrays_file(path) as file:
        return found | _arrays(file)


def _folder(path: Path) -> dict[str, Any]:
    # Not deeper than the folders of runs are: a folder such as the user's home has no end.
    inside = [p for depth in ("*", "*/*", "*/*/*") for p in path.glob(depth)]
    names = sorted(p for p in inside if p.suffix in SUFFIXES and not p.name.startswith(".") and p.is_file())
    files = []
    for name in names[:MOST_FILES]:
        try:
            own = info(name)
        except (ValueError, OSError) as error:
            own = {"path": str(name), "error": str(error)}
        files.append(own)
    if not files:
        raise ValueError(f"The folder {str(path)!r} holds no file of simatch; give a file, or the folder of a run.")
    more = max(len(names) - MOST_FILES, 0)
    return {"path": str(path), "kind": "folder", "run": _run(path), "files": files, "more": more}


def _run(path: Path) -> str | None:
    """What run the folder holds, in words; None if it holds none."""
    if (path / MANIFEST).is_file():
        try:
            manifest = manifest_of(path)
        except ValueError as error:
            return str(error)
        return f"a finished run of kind {manifest.get('kind')!r}, by simatch {manifest.get('simatch')}"
    if (path / DRAFT).is_dir():
        return "an interrupted run; the command that began it goes on with it"
    return None


def _text(path: Path, suffix: str) -> dict[str, Any]:
    values = read_toml(path) if suffix == ".toml" else _json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{str(path)!r} holds a {type(values).__name__}, where names with values were expected.")
    entries = {
        name: value if isinstance(value, str | int | float | bool | None) else _sized(value)
        for name, value in values.items()
    }
    return {"kind": "settings" if suffix == ".toml" else "values", "entries": entries}


def _json(path: Path) -> Any:
    if path.stat().st_size > LONGEST:
        raise ValueError(f"{str(path)!r} has {path.stat().st_size:,} bytes, where {LONGEST:,} are allowed.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as JSON ({reason(error)}).") from None


def _sized(value: Any) -> str:
    """Stand for a value that is not a single one."""
    return (
        f"{len(value)} {'names' if isinstance(value, dict) else 'values'}" if hasattr(value, "__len__") else str(value)
    )


def _arrays(file: ArraysFile) -> dict[str, Any]:
    name = file.description.get("format")
    found: dict[str, Any] = {"kind": "arrays", "format": name, "numbers": sum(a.size for a in file.arrays.values())}
    if isinstance(name, str) and name.startswith("simatch-"):
        found["kind"] = name.removeprefix("simatch-").rpartition("-")[0]
    if found["kind"] != "network":
        arrays = [{"name": n, "dtype": a.dtype, "shape": list(a.shape)} for n, a in sorted(file.arrays.items())]
        return found | {"arrays": arrays}
    try:
        populations = [
            {"name": str(p["name"]), "grid": [int(n) for n in p["grid"]], "activation": _kind(p["activation"])}
            for p in file.description["populations"]
        ]
        terms = [_term(file, i, own) for i, own in enumerate(file.description["terms"])]
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{str(file.path)!r} has a damaged description ({reason(error)}).") from None
    return found | {"populations": populations, "terms": terms}


def _term(file: ArraysFile, number: int, description: Mapping[str, Any]) -> dict[str, Any]:
    arguments = description["arguments"]
    numbers = sum(a.size for n, a in file.arrays.items() if n.startswith(f"terms.{number}/.parameters"))
    own = {n: v for n, v in arguments.items() if isinstance(v, str | int | float)}
    if "connectivity" in arguments:
        inner = arguments["connectivity"]
        own |= {"connectivity": _kind(inner)}
        own |= {n: v for n, v in inner["arguments"].items() if isinstance(v, str | int | float)}
    return {"term": str(description["term"]), **own, "numbers": numbers}


def _kind(description: Mapping[str, Any] | None) -> str | None:
    """Name of the kind of an activation or connectivity, with its numbers."""
    if description is None:
        return None
    name = next((str(v) for n, v in description.items() if n != "arguments"), "")
    numbers = [f"{v:g}" for v in description["arguments"].values() if isinstance(v, float)]
    return ":".join([name, *numbers]) if "activation" in description else name
