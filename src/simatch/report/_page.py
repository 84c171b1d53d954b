"""Self-contained HTML pages, which load no scripts, fonts or images from elsewhere."""

import base64
import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib
import matplotlib.figure

from ..plot import style
from ..storage import write_atomically
from ._provenance import Provenance

# Dots for an inch in PNG files.
DPI = 200


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure with its caption.

    Parameters
    ----------
    name : str
        Name of its file, without the suffix.
    drawing : matplotlib.figure.Figure
    caption : str
        Text below the figure; also the alternative text for screen readers.
    format : {"png", "svg"}
        Format in the page: lines stay sharp as SVG, pixel images are smaller as PNG.
    """

    name: str
    drawing: matplotlib.figure.Figure
    caption: str
    format: Literal["png", "svg"] = "png"

    def render(self, format: Literal["png", "svg"]) -> bytes:
        """Return the content of an image file of the figure, whose layout is fixed from then on.

        Parameters
        ----------
        format : {"png", "svg"}

        Returns
        -------
        bytes
        """
        buffer = io.BytesIO()
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        with style():
            self._lay_out()
            self.drawing.savefig(buffer, format=format, dpi=DPI, metadata=metadata)
        return buffer.getvalue()

    def _lay_out(self) -> None:
        """Give everything its place once: Matplotlib would draw all of it a second time, for every file, to find it."""
        engine, dpi = self.drawing.get_layout_engine(), self.drawing.get_dpi()
        if engine is not None:
            self.drawing.set_dpi(DPI)
            engine.execute(self.drawing)
            self.drawing.set_dpi(dpi)
            with matplotlib.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
                self.drawing.set_layout_engine(None)

    @functools.cached_property
    def png(self) -> bytes:
        """Content of a PNG file of the figure, drawn once."""
        return self.render("png")

    @property
    def uri(self) -> str:
        """The figure as a ``data:`` URI."""
        kind = {"png": "image/png", "svg": "image/svg+xml"}[self.format]
        content = self.png if self.format == "png" else self.render(self.format)
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of results.

    Parameters
    ----------
    title : str
        What the table shows, in a few words.
    columns, rows : sequences of str and of sequences of str
        The first column names the row.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Page:
    """Content of a page.

    Parameters
    ----------
    title, lead : str
        Heading, and the result in one or two sentences.
    columns, rows : sequences of str and of sequences of str
        Table of results; the first column names the row.
    figures : sequence of Figure
    settings : mapping of str to values
    provenance : Provenance
    remarks : sequence of str
        Remarks on the numbers.
    emphasised : bool
        Whether the last row stands out.
    tables : sequence of Table
        More results, below the first table.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Sequence[Figure]
    settings: Mapping[str, Any]
    provenance: Provenance
    remarks: Sequence[str] = ()
    emphasised: bool = False
    tables: Sequence[Table] = ()


def write_page(page: Page, folder: Path, *, name: str = "index.html") -> Path:
    """Write a page, and each of its figures as a PNG file in the same folder.

    Parameters
    ----------
    page : Page
    folder : Path
        An existing folder.
    name : str
        Name of the file of the page.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from simatch.report import Figure, Page, Table, provenance, similarity_rows, write_page
    >>> drawing = similarity_rows({"input": {"two samples": np.eye(2)}}, np.array([0, 1]))
    >>> figure, rows = Figure("similarity", drawing, "Two samples differ."), [["pixels", "4.9 %"]]
    >>> page = Page(
    ...     *("Digits", "Pixels do well.", ["", "error"], rows, [figure], {"seed": 0}, provenance("simatch demo")),
    ...     tables=[Table("The same again", ["", "error"], rows)],
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(page, pathlib.Path(folder)).name
    'index.html'
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("simatch.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for figure in page.figures:
        write_atomically(folder / f"{figure.name}.png", figure.png)
    path = folder / name
    write_atomically(path, environment.get_template("page.html.jinja").render(page=page))
    return path
