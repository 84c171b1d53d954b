"""Folders for results, and results as JSON."""

import contextlib
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._atomic import write_atomically

RUNS = Path("runs")


def results_folder(out: Path | None, name: str, *, overwrite: bool) -> Path:
    """Make the folder for the results of a command.

    Parameters
    ----------
    out : Path or None
        The folder; by default the first of ``runs/name-1``, ``runs/name-2``, ... that does not exist.
    name : str
        Name of a new folder.
    overwrite : bool
        Whether `out` may hold files.

    Returns
    -------
    Path
        The folder, which exists.

    Raises
    ------
    ValueError
        If `out` is a file, or is not empty and may not be overwritten.
    """
    if out is None:
        RUNS.mkdir(exist_ok=True)
        for number in range(1, sys.maxsize):
            with contextlib.suppress(FileExistsError):
                folder = RUNS / f"{name}-{number}"
                folder.mkdir()
                return folder
    assert out is not None
    if out.exists() and not out.is_dir():
        raise ValueError(f"{str(out)!r} is a file; give --out a folder.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ValueError(f"The folder {str(out)!r} is not empty; give --out another one, or add --overwrite.")
    out.mkdir(parents=True, exist_ok=True)
    return out


def as_json(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return values as JSON; numbers that are not finite become null."""
    return json.dumps(_finite(values), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keep_numbers(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write the numerical results of a run to ``results.json`` in its folder."""
    write_atomically(folder / "results.json", as_json(numbers, indent=2) + "\n")
