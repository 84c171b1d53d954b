"""How much memory there is, before a file is read that needs more."""

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
