"""What the commands share: errors in a sentence, folders for results, JSON, the cache of compiled programs."""

import contextlib
import json
import logging
import math
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

RUNS = Path("runs")


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn what a user can cause into one sentence on standard error, and an exit code that says whose turn it is."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: typer.echo(f"simatch: warning: {message}", err=True)
        try:
            yield
        except KeyboardInterrupt:
            fail("interrupted.", 130)
        except (ValueError, FileNotFoundError) as error:
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

    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "simatch" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
        # A damaged entry is compiled anew; that is nobody's concern.
        logging.getLogger("jax._src.compiler").setLevel(logging.ERROR)


def results_folder(out: Path | None, name: str, *, overwrite: bool) -> Path:
    """Make the folder for results: `out` if it is empty or may be overwritten, else a new one of this name."""
    if out is None:
        RUNS.mkdir(exist_ok=True)
        for number in range(1, sys.maxsize):
            with contextlib.suppress(FileExistsError):
                folder = RUNS / f"{name}-{number}"
                folder.mkdir()
                return folder
    assert out is not None
    if out.exists() and not out.is_dir():
        raise ValueError(f"{str(out)!r} is a file; give --out a folder.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ValueError(f"The folder {str(out)!r} is not empty; give --out another one, or add --overwrite.")
    out.mkdir(parents=True, exist_ok=True)
    return out


def command_line() -> str:
    """Return the command that the user typed."""
    return shlex.join(["simatch", *sys.argv[1:]])


def as_json(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return values as JSON, in which a number that is not finite is null."""
    return json.dumps(_finite(values), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keep_numbers(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write the numbers of a run beside its page."""
    from ..files import write_atomically

    write_atomically(folder / "results.json", as_json(numbers, indent=2) + "\n")


def conclude(text: str, numbers: Mapping[str, Any], *, json: bool) -> None:
    """End a command: a last line for people and, if it was asked for, one of JSON on standard output."""
    typer.echo(text, err=json)
    if json:
        typer.echo(as_json(numbers))


def percent(share: float) -> str:
    """Return a share as a percentage, for people."""
    return f"{100 * share:.1f} %"
