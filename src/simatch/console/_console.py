"""What the commands share: errors in a sentence, words on standard error, the cache of compiled programs."""

import contextlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from .._extras import MissingPackageError
from ..storage import as_json


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn what a user can cause into one sentence on standard error, and an exit code that says whose turn it is."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: typer.echo(f"simatch: warning: {message}", err=True)
        try:
            yield
        except KeyboardInterrupt:
            fail("interrupted.", 130)
        except (ValueError, FileNotFoundError, MissingPackageError) as error:
            fail(error, 2)
        except MemoryError:
            fail("There is not enough memory; use fewer units, a smaller radius or a smaller batch.", 1)
        except (ArithmeticError, OSError) as error:
            fail(error, 1)


def fail(message: object, code: int) -> NoReturn:
    """Say what went wrong and exit."""
    typer.echo(f"simatch: {' '.join(str(message).split())}", err=True)
    raise typer.Exit(code)


def progress(text: str) -> None:
    """Say what happens now, on standard error: standard output is for results."""
    typer.echo(text, err=True)


def cache_compiled_programs() -> None:
    """Keep compiled programs between runs; without a place to keep them, everything works as well but starts later."""
    import jax

    # A damaged entry is compiled anew; that is nobody's concern.
    logging.getLogger("jax._src.compiler").setLevel(logging.ERROR)
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]  # the user has chosen one
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "simatch" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def command_line() -> str:
    """Return the command that the user typed."""
    return shlex.join(["simatch", *sys.argv[1:]])


def conclude(text: str, numbers: Mapping[str, Any], *, json: bool) -> None:
    """End a command: a last line for people and, if it was asked for, one of JSON on standard output."""
    typer.echo(text, err=json)
    if json:
        typer.echo(as_json(numbers))


def percent(share: float) -> str:
    """Return a share as a percentage, for people."""
    return f"{100 * share:.1f} %"


@contextlib.contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say to whoever interrupts this that the folder keeps what has been done."""
    try:
        yield
    except KeyboardInterrupt:
        progress(f"Stopped. The same command goes on from what {str(folder)!r} holds.")
        raise
