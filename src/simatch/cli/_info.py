"""``simatch info``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import Json, reported
from ..storage import as_json


def info(
    path: Annotated[
        Path, typer.Argument(help="A network, checkpoint, data, settings or results file, or a run folder.")
    ],
    json: Json = False,
) -> None:
    """Say what a file, or the folder of a run, holds, without reading its arrays."""
    from .. import storage

    with reported():
        found = storage.info(path)
        for line in _lines(found):
            typer.echo(line.encode("utf-8", "backslashreplace").decode(), err=json)
        if json:
            typer.echo(as_json(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if "error" in found:
        yield f"{found['path']}: {found['error']}"
        return
    if found["kind"] == "folder":
        if found["run"]:
            yield f"{found['path']}: {found['run']}"
        for own in found["files"]:
            first, *_ = _lines(own)
            yield first
        if found["more"]:
            yield f"and {found['more']} more files"
        return
    parts = [str(found["kind"])]
    if found.get("format"):
        parts.append(f"format {found['format'].rpartition('-')[2]}")
    if "numbers" in found:
        parts.append(f"{found['numbers']:,} numbers")
    yield f"{found['path']}: {', '.join(parts)}, {found['bytes']:,} bytes"
    for p in found.get("populations", ()):
        yield f"  {p['name']}: {' x '.join(map(str, p['grid']))}, {p['activation'] or 'input'}"
    for term in found.get("terms", ()):
        own = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in term.items() if k not in ("term", "numbers"))
        yield f"  {term['term'].replace('_', '-')}: {own}, {term['numbers']:,} parameters"
    for array in found.get("arrays", ()):
        yield f"  {array['name']}: {array['dtype']}, shape {tuple(array['shape'])}"
    for name, value in found.get("entries", {}).items():
        yield f"  {name}: {value}"
