"""Atomic writing of files: a file is either complete or unchanged."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from ._reading import explained

# How names of unfinished files begin. They are short, whatever the name of the file is, and lie in its folder, because
# only within one file system can a file be moved in one step.
UNFINISHED = ".simatch-unfinished-"


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a temporary file in the same folder, and move it to its final place when it is complete and on disk.

    A file that is replaced keeps its permissions. A link is followed: the file that it names is replaced.

    Parameters
    ----------
    path : path
    content : bytes or str
        A string is encoded as UTF-8; file names in it that are not UTF-8 keep their bytes.

    Raises
    ------
    OSError
        If the file cannot be written, such as FileNotFoundError if there is no such folder. An earlier file of this
        name is then unchanged.
    ValueError
        If `path` is not a file but, for example, a folder or a device, which must not be replaced.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from simatch.storage import write_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(pathlib.Path(folder, "a.txt"), "complete")
    ...     pathlib.Path(folder, "a.txt").read_text()
    'complete'
    """
    place = Path(os.path.realpath(path))
    folder = place.parent
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    temporary = folder / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        mode = _mode(place)
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {str(folder)!r} to write {str(path)!r} in; make it first.")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                if mode is not None:
                    temporary.chmod(mode)
                os.fsync(file.fileno())
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise explained(error, f"{str(path)!r} could not be written") from error
    _settle(folder)


def _mode(path: Path) -> int | None:
    """Permissions of a file that is to be replaced; None if there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            raise ValueError(f"{str(path)!r} is {kind}, which must not be replaced; give the name of a file.")
        return stat.S_IMODE(mode)
    return None


def _settle(folder: Path) -> None:
    """Put the new name on disk, so that files are never found in another order than they were written in."""
    # Some systems cannot open folders, and some file systems cannot do this; the file itself is complete.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
