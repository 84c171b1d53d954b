"""``python -m benchmarks``: run the rows, print the table, keep the numbers."""

import dataclasses
import fnmatch
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .networks import KINDS, default_cache
from .result import Options, Result
from .rows import ROWS, Row
from .table import table_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("simatch", "jax", "jaxlib", "numba", "numpy", "scikit-learn")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[list[str] | None, typer.Option(help="Rows to run, with * for anything; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rows, few rounds.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Times that everything is timed, in turn.")] = 5,
    out: Annotated[Path | None, typer.Option(help="File for the numbers, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead of the table.")] = False,
    compare: Annotated[Path | None, typer.Option(help="Numbers of an earlier run, to be compared with.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for trained weights.")] = None,
    pynsm_python: Annotated[str | None, typer.Option(help="Interpreter that can import pynsm.")] = None,
) -> None:
    """Measure simatch and its peers on this machine."""
    messages = Console(stderr=True)
    rows = {
        name: row
        for name, row in ROWS.items()
        if (row.quick or not quick or only) and (not only or any(fnmatch.fnmatch(name, pattern) for pattern in only))
    }
    if not rows:
        raise typer.BadParameter(f"No row is called {' or '.join(map(repr, only or ()))}; there are {', '.join(ROWS)}.")
    earlier = _read(compare) if compare else []
    options = Options(min(rounds, 2) if quick else rounds, str((cache or default_cache()).resolve()), pynsm_python)
    content = {
        "versions": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {_cores()} cores",
        "rounds": options.rounds,
        "rows": [],
    }
    results, failed = [], []
    for number, (name, row) in enumerate(rows.items(), start=1):
        messages.print(f"{number}/{len(rows)} {name}", highlight=False)
        done = _run(name, row, options)
        results += done
        if not done:
            failed.append(name)
        content["rows"] = [dataclasses.asdict(result) for result in results]
        if out:  # after every row, so that a run that is stopped has not been for nothing
            out.write_text(json.dumps(content, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(content))
    else:
        Console(width=None if sys.stdout.isatty() else 190).print(table_of(results, earlier))
    if failed:
        messages.print(f"No result of {', '.join(failed)}; the messages above say why.", highlight=False)
        raise typer.Exit(1)


def _run(name: str, row: Row, options: Options) -> list[Result]:
    """Train what the row needs and measure it, each in a process of its own; nothing if one of them fails."""
    for kind in row.kinds:
        if not KINDS[kind].file(row.stage, options.folder).exists():
            _process(options, "prepare", kind, row.stage)
    done = _process(options, "measure", name)
    return [Result(**fields) for fields in json.loads(done.stdout)] if done.returncode == 0 else []


def _process(options: Options, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.rows", *arguments],
        input=json.dumps(dataclasses.asdict(options)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )


def _read(path: Path) -> list[Result]:
    try:
        return [Result(**fields) for fields in json.loads(path.read_text())["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{path} does not hold the numbers of an earlier run ({error}).") from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
