"""What the commands that compute results and write one page have in common."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..console import cache_compiled_programs, conclude, drafted
from ..storage import Draft, keep_numbers, results_of

if TYPE_CHECKING:
    from ..report import Page

# From a draft and a function that writes a line for the user: the page and the numbers.
Compute = Callable[[Draft, Callable[[str], None]], "tuple[Page, dict[str, Any]]"]


def published(
    compute: Compute, out: Path | None, name: str, settings: dict[str, Any], *, overwrite: bool, json: bool
) -> None:
    """Compute results and publish them as a page with figures and numbers, unless the folder already holds them.

    Parameters
    ----------
    compute : callable
        Called with a draft and with a function that writes a line for the user.
    out : Path or None
        Folder for the results; by default a new one in ``runs``.
    name : str
        Name of the command.
    settings : dict of str to values that JSON can hold
        Everything that determines the results.
    overwrite, json : bool
        As the options of the commands.
    """
    with drafted(out, name, settings, overwrite=overwrite) as own:
        if own.published:
            numbers = results_of(own.out)
        else:
            cache_compiled_programs()
            page, numbers = compute(own, functools.partial(typer.echo, err=json))
            numbers = {**numbers, "out": str(own.out)}

            from ..report import write_page

            write_page(page, own.folder)
            keep_numbers(own.folder, numbers)
            own.publish(name)
    conclude(f"Page and figures: {own.out / 'index.html'}", numbers, json=json)
