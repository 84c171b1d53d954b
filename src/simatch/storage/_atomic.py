"""Atomic writing of files: a file is either complete or unchanged."""

import os
import uuid
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a temporary file in the same folder, and move it to its final place when it is complete and on disk.

    Parameters
    ----------
    path : path
    content : bytes or str
        A string is encoded as UTF-8.

    Raises
    ------
    OSError
        If the file cannot be written; an earlier file of this name is then unchanged.
    """
    path = Path(path).resolve()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
