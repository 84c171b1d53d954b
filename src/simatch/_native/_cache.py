# pyright: reportPrivateImportUsage=false, reportAttributeAccessIssue=false
"""Compiled code is kept on disk, in one file that is named after the content of all files of this folder.

Numba's own cache follows only the file that holds an entry point: it would run old code after an edit of any other.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import sys
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from .._caches import cache_folder

# Files that nobody has used for so many seconds are removed.
UNUSED = 30 * 24 * 3600
NAME_LENGTH = 32
CHECKSUM_LENGTH = hashlib.sha256().digest_size


def machine() -> tuple[str, str, str]:
    """Platform, name and features of the processor that Numba compiles for."""
    return cpu_target.target_context.codegen().magic_tuple()


def digest(folder: Path = Path(__file__).parent) -> str:
    """Digest of all that compiled code depends on: the files of a folder, the compiler and the processor."""
    parts = [numba.__version__, llvmlite.__version__, sys.version, *machine()]
    for file in sorted(folder.glob("*.py")):
        parts += [file.name, hashlib.sha256(file.read_bytes()).hexdigest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:NAME_LENGTH]


def read(path: Path) -> dict[str, bytes]:
    """Read compiled code, by the names of functions; a file that is missing or damaged holds none."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    checksum, code = content[:CHECKSUM_LENGTH], content[CHECKSUM_LENGTH:]
    if hashlib.sha256(code).digest() != checksum:
        return {}
    with contextlib.suppress(OSError):
        os.utime(path)
    return pickle.loads(code)  # noqa: S301 - as private to the user as Numba's own cache, and checked for damage


def write(path: Path, entries: dict[str, bytes]) -> None:
    """Write compiled code at once, so that no other process reads a part of it, and remove what is long unused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = pickle.dumps(entries)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        draft.write_bytes(hashlib.sha256(code).digest() + code)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    for other in path.parent.glob("[0-9a-f]" * NAME_LENGTH + "*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > UNUSED:
                other.unlink()


class _Store:
    """Compiled functions of this process: what was on disk, and what is new."""

    def __init__(self):
        self.entries: dict[str, bytes] = {}
        self.complete = True
        place = cache_folder("native")
        self.path = None if place is None else place / digest()
        if self.path is not None:
            self.entries = read(self.path)

    def save(self) -> None:
        """Keep what is new; where that cannot be, say so and what to do."""
        if self.complete:
            return
        self.complete = True
        reason = "no home folder is known"
        if self.path is not None:
            try:
                write(self.path, self.entries)
            except OSError as error:
                reason = str(error)
            else:
                return
        warnings.warn(
            f"Compiled code cannot be kept ({reason}), so that every process compiles it anew, which takes half a "
            "minute: set the environment variable SIMATCH_CACHE_DIR to a folder that can be written.",
            stacklevel=2,
        )


@functools.cache
def store() -> _Store:
    """The compiled functions of this process."""
    return _Store()


class Kept(NullCache):
    """Where Numba looks for the compiled code of one function, and leaves it."""

    def __init__(self, name: str):
        self.name = name

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        # What cannot be loaded, for whatever reason, is compiled anew and replaced.
        with contextlib.suppress(Exception):
            return CompileResult._rebuild(target_context, *pickle.loads(store().entries[self.name]))  # noqa: S301
        return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        # Addresses of this process would mean nothing in another one.
        if not cres.library.has_dynamic_globals:
            store().entries[self.name] = dumps(cres._reduce())
            store().complete = False
