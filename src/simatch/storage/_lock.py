"""Locks of folders: one run at a time works in a folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder; the system releases it if the process dies.

    Raises
    ------
    ValueError
        If another run holds it.
    """
    path = folder / LOCK
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another run is working in the folder {str(folder)!r}; wait for its end, or give another folder."
            ) from None
        yield
    finally:
        os.close(file)


def is_locked(folder: Path) -> bool:
    """Whether some run holds the lock of a folder."""
    try:
        with locked(folder):
            return False
    except ValueError:
        return True
