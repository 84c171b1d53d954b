"""What is checked before a file is read, and how errors about it are told."""

import os
from pathlib import Path


def memory() -> int | None:
    """Bytes of memory of this machine; None if it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def check_memory(needed: int, path: Path) -> None:
    """Raise ValueError if a file declares more bytes than this machine has memory for."""
    there = memory()
    if there is not None and needed > there:
        raise ValueError(
            f"{str(path)!r} declares arrays of {needed / 1e9:,.1f} GB, but this machine has {there / 1e9:,.1f} GB of "
            "memory; use a larger machine, or check the file."
        )


def explained(error: OSError, what: str) -> OSError:
    """Return an error of the same kind with one sentence about the user's file, not about a temporary one."""
    sentence = type(error)(f"{what}: {error.strerror or error}.")
    sentence.errno = error.errno
    return sentence


def regular(path: str | os.PathLike[str]) -> Path:
    """Return the path of an existing file.

    Parameters
    ----------
    path : path

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is a folder, or a device or the like, from which reading might never end.

    Examples
    --------
    >>> from simatch.storage import regular
    >>> regular("nowhere.npy")
    Traceback (most recent call last):
    FileNotFoundError: There is no file 'nowhere.npy'; check the path.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}; check the path.")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is {'a folder' if path.is_dir() else 'no ordinary file'}; give a file.")
    return path


def reason(error: Exception) -> str:
    """Say in a line what an error from reading damaged contents is about."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, KeyError):
        text = f"it lacks {text}"
    elif not isinstance(error, ValueError | OSError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= 300 else f"{text[:300]}..."
