"""Folders for results, and results as JSON."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._atomic import write_atomically

RUNS = Path("runs")
"""Folder in which commands make folders for their results."""
_RESULTS = "results.json"


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise ValueError if a folder is a file, or is not empty and may not be overwritten."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{str(out)!r} is a file; give --out a folder.")
    # Hidden files are no results.
    if out.is_dir() and not overwrite and any(path.name[0] != "." for path in out.iterdir()):
        raise ValueError(f"The folder {str(out)!r} is not empty; give --out another one, or add --overwrite.")


def as_json(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return values as JSON; numbers that are not finite become null.

    Parameters
    ----------
    values : mapping of str to values
        Nested mappings, lists, tuples, numbers, strings and None.
    indent : int, optional
        Spaces for each level, at least 0; by default all is on one line.

    Returns
    -------
    str

    Examples
    --------
    >>> from simatch.storage import as_json
    >>> as_json({"error": 0.02, "ratio": float("nan")})
    '{"error": 0.02, "ratio": null}'
    """
    return json.dumps(_finite(values), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keep_numbers(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write the numerical results of a run to ``results.json`` in its folder.

    Parameters
    ----------
    folder : Path
        An existing folder.
    numbers : mapping of str to values that JSON can hold
        Numbers that are not finite become null.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from simatch.storage import keep_numbers, results_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_numbers(pathlib.Path(folder), {"error": 0.02})
    ...     results_of(pathlib.Path(folder))
    {'error': 0.02}
    """
    write_atomically(folder / _RESULTS, as_json(numbers, indent=2) + "\n")


def results_of(folder: Path) -> dict[str, Any]:
    """Return the numerical results that `keep_numbers` wrote.

    Parameters
    ----------
    folder : Path
        The folder to which `keep_numbers` wrote.

    Returns
    -------
    dict of str to values

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    path = folder / _RESULTS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({error}); delete it.") from None
