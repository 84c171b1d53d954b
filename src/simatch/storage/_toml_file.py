"""TOML files, as users write them."""

import os
import tomllib
from typing import Any

from ._reading import explained, reason, regular

# Bytes of a file, and dots of a line: the parser takes the square of the number of parts of a name.
LARGEST, DEEPEST = 1 << 18, 64


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file. Names of files in it may have any bytes, as `write_atomically` writes them.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML file, is larger than 256 KiB, or is nested too deeply; the message names the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from simatch.storage import read_toml
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "settings.toml")
    ...     _ = path.write_text("seed = 3")
    ...     read_toml(path)
    {'seed': 3}
    """
    path = regular(path)
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"The settings file {str(path)!r} has {size:,} bytes, where {LARGEST:,} are allowed.")
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if max(line.count(".") for line in text.split("\n")) > DEEPEST:
            raise RecursionError
        return tomllib.loads(text)
    except OSError as error:
        raise explained(error, f"The settings file {str(path)!r} cannot be read") from error
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else reason(error)
        raise ValueError(f"The settings file {str(path)!r} cannot be read as TOML: {why}.") from None
