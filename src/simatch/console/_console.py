"""Common parts of the commands: error messages, output on the console, the cache of compiled programs."""

import contextlib
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from .._caches import cache_folder
from .._extras import MissingPackageError
from ..storage import Draft, as_json, draft


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as by a batch system at the end of its time."""


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn expected errors and warnings into one sentence on standard error, and errors into an exit code.

    Exit codes: 2 for wrong input or a missing package, 1 for a failure of the computation, the memory or a file, 130
    for an interruption and 143 for SIGTERM.

    Raises
    ------
    typer.Exit
        In place of an error that is expected.
    """
    with warnings.catch_warnings(), _terminable():
        warnings.showwarning = lambda message, *_: typer.echo(f"simatch: warning: {message}", err=True)
        try:
            yield
        except Terminated:
            fail("terminated.", 128 + signal.SIGTERM)
        except KeyboardInterrupt:
            fail("interrupted.", 128 + signal.SIGINT)
        except (ValueError, FileNotFoundError, MissingPackageError) as error:
            fail(error, 2)
        except MemoryError:
            fail("There is not enough memory; use fewer units, a smaller radius or a smaller batch.", 1)
        except (ArithmeticError, OSError) as error:
            fail(error, 1)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like an interruption, so that a run keeps what it has learned."""

    def terminate(*_: object) -> NoReturn:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(message: object, code: int) -> NoReturn:
    """Write an error message to standard error and exit with a code.

    Parameters
    ----------
    message : object
        One sentence; line breaks become spaces.
    code : int
        Exit code, at least 1.

    Raises
    ------
    typer.Exit
        Always.
    """
    typer.echo(f"simatch: {' '.join(str(message).split())}", err=True)
    raise typer.Exit(code)


def progress(text: str) -> None:
    """Write what happens now to standard error; standard output is for results.

    Parameters
    ----------
    text : str
        One line.
    """
    typer.echo(text, err=True)


def cache_compiled_programs() -> None:
    """Keep compiled programs in the user's cache folder, so that later runs start faster.

    If the folder cannot be written, programs are compiled in every run.
    """
    import jax

    # A damaged entry is compiled again, so a message about it would not help the user.
    logging.getLogger("jax._src.compiler").setLevel(logging.ERROR)
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]  # the user has chosen one
        return
    folder = cache_folder("compiled")
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def command_line() -> str:
    """Return the command that the user typed."""
    return shlex.join(["simatch", *sys.argv[1:]])


def conclude(text: str, numbers: Mapping[str, Any], *, json: bool) -> None:
    """End a command with a last line of text and, if `json`, one line of JSON with the numbers on standard output.

    Parameters
    ----------
    text : str
        The last line, for people.
    numbers : mapping of str to values that JSON can hold
        Results; numbers that are not finite become null.
    json : bool
        Whether to write the numbers; `text` then goes to standard error.
    """
    typer.echo(text, err=json)
    if json:
        typer.echo(as_json(numbers))


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a percentage, for display.

    Parameters
    ----------
    share : float
        Between 0 and 1.

    Returns
    -------
    str
        With one decimal.

    Examples
    --------
    >>> from simatch.console import percent
    >>> percent(0.0216)
    '2.2 %'
    """
    return f"{100 * share:.1f} %"


@contextlib.contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """On an interruption or a failure of the machine, write that the same command resumes from this folder.

    Parameters
    ----------
    folder : Path
        What the message names.
    """
    try:
        yield
    except (KeyboardInterrupt, OSError, MemoryError):
        progress(f"Stopped. The same command goes on from what {str(folder)!r} holds.")
        raise


@contextlib.contextmanager
def drafted(out: Path | None, name: str, settings: dict[str, Any], *, overwrite: bool) -> Iterator[Draft]:
    """Begin a run or go on with an interrupted one (`simatch.storage.draft`), and say how to go on if it stops.

    Parameters
    ----------
    out, name, settings, overwrite
        As in `simatch.storage.draft`.

    Yields
    ------
    simatch.storage.Draft

    Raises
    ------
    ValueError
        As `simatch.storage.draft`.
    """
    with draft(out, name, settings, overwrite=overwrite) as own:
        if own.published:
            progress(
                f"{str(own.out)!r} already holds the results of these settings; add --overwrite to compute them again."
            )
        elif own.begun:
            progress(f"Going on with the run in {str(own.out)!r}.")
        try:
            yield own
        except (KeyboardInterrupt, OSError, MemoryError):
            progress(
                f"Stopped. The same command goes on from what {str(own.folder)!r} holds."
                if own.begun
                else "Stopped before anything was learned; no file was changed."
            )
            raise
