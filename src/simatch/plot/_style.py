"""Colours and settings that all figures share."""

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.style import context

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Palette of Okabe and Ito for colour-blind readers; the first two colours have the most contrast."""
INK = "#2b2f36"
"""Colour of text."""
FAINT = "#8a919c"
"""Colour of what is in the background."""
MISSING = "#e3e5e9"
"""Colour of missing synapses; it differs from all colours of `SIGNED`, also from the white of a weight of 0."""
SIGNED = "RdBu_r"
"""Colour map of numbers with a sign: red above zero, blue below, white at zero."""

SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.formatter.use_mathtext": True,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9ebee",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "simatch",
}
"""Settings of Matplotlib that all figures share: ``plt.style.use(sm.plot.SETTINGS)`` gives them to a whole program."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Context with the settings of Matplotlib for figures; restores the earlier settings at the end.

    It starts from Matplotlib's defaults, not from the user's, which may need programs such as LaTeX that are missing.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, simatch as sm
    >>> with sm.plot.style():
    ...     figure, ax = plt.subplots()
    """
    with context(["default", SETTINGS]):
        yield


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of Matplotlib's pyplot, so that notebooks show it.

    Parameters
    ----------
    width, height : float
        Of the figure, above 0, in inches.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import simatch as sm
    >>> ax = sm.plot.new_axes(4, 3)
    """
    with style():
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
