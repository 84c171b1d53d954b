"""One self-contained page: no script, no font, no picture from elsewhere."""

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib.figure

from ..storage import write_atomically
from ._provenance import Provenance
from ._style import style


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure and what it shows.

    Parameters
    ----------
    name : str
        Of its file, without an ending.
    drawing : matplotlib.figure.Figure
    caption : str
        Also read to those who cannot see it.
    format : {"png", "svg"}
        How the page embeds it: lines stay sharp as SVG, pictures are smaller as PNG.
    """

    name: str
    drawing: matplotlib.figure.Figure
    caption: str
    format: Literal["png", "svg"] = "png"

    def render(self, format: Literal["png", "svg"]) -> bytes:
        """Return the content of an image file."""
        buffer = io.BytesIO()
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        with style():
            self.drawing.savefig(buffer, format=format, dpi=200, metadata=metadata)
        return buffer.getvalue()

    @property
    def uri(self) -> str:
        """The figure as an address that contains it."""
        kind = {"png": "image/png", "svg": "image/svg+xml"}[self.format]
        return f"data:{kind};base64,{base64.b64encode(self.render(self.format)).decode()}"


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page says.

    Parameters
    ----------
    title, lead : str
        Heading, and the result in a sentence or two.
    columns, rows : sequences
        The table of results; the first column names the row.
    figures : sequence of Figure
    settings : mapping from str to str
    provenance : Provenance
    remarks : sequence of str
        What a reader should know about the numbers.
    summed : bool
        Whether the last row sums up the others.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Sequence[Figure]
    settings: Mapping[str, Any]
    provenance: Provenance
    remarks: Sequence[str] = ()
    summed: bool = False


def write_page(page: Page, folder: Path, *, name: str = "index.html") -> Path:
    """Write a page, and each of its figures as a PNG beside it.

    Returns
    -------
    Path
        Of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("simatch.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for figure in page.figures:
        write_atomically(folder / f"{figure.name}.png", figure.render("png"))
    path = folder / name
    write_atomically(path, environment.get_template("page.html.jinja").render(page=page))
    return path
