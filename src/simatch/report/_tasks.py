"""Figures of networks that learn a task: errors over learning, similarity matrices under several conditions."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ..plot import COLOURS, SIGNED, style

# Learned so far, and the error in percent at that time.
Curve = Sequence[Sequence[float]]


def learning_curves(
    curves: Mapping[str, Sequence[Curve]],
    *,
    learned: str = "passes over the training images",
    error: str = "test error, %",
) -> Figure:
    """Draw errors over what was learned from, one colour for each kind of network and a line for each seed.

    Parameters
    ----------
    curves : mapping of str to sequence of curves
        For each kind of network, the curves of all seeds: pairs of what was learned from so far and the error.
    learned, error : str
        Labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from simatch import report
    >>> figure = report.learning_curves({"local rule": [[(1, 5.0), (2, 3.0)]]})
    """
    with style():
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        ax = figure.subplots()
        for number, (title, group) in enumerate(curves.items()):
            for i, curve in enumerate(group):
                ax.plot(
                    *zip(*curve, strict=True),
                    color=COLOURS[number % len(COLOURS)],
                    linestyle="-" if number < len(COLOURS) else "--",
                    alpha=0.8,
                    linewidth=1.4,
                    label=title if i == 0 else None,
                )
        ax.set(xlabel=learned, ylabel=error, yscale="log")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "235" else "")
        ax.legend()
    return figure


def similarity_rows(
    rows: Mapping[str, Mapping[str, Float[np.ndarray, "samples samples"]]], labels: Shaped[np.ndarray, " samples"]
) -> Figure:
    """Draw similarity matrices under several conditions, all on the scale from -1 to 1.

    Parameters
    ----------
    rows : mapping of str to mapping of str to array of shape (samples, samples)
        For the title of each row, the matrices of its columns by their titles.
    labels : array of shape (samples,)
        Class of each sample, sorted.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names, first, count = np.unique(labels, return_index=True, return_counts=True)
    middle, columns = first + (count - 1) / 2, max(len(row) for row in rows.values())
    with style():
        figure = Figure(figsize=(2.7 * columns + 1.2, 2.8 * len(rows) + 0.3), layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False)
        shown = None
        for line, (title, row) in zip(axes, rows.items(), strict=True):
            for ax in line[len(row) :]:
                ax.set_axis_off()
            for ax, (condition, matrix) in zip(line, row.items(), strict=False):
                shown = ax.imshow(matrix, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
                ax.grid(visible=False)
                ax.tick_params(length=0)
                ax.set(title=condition, xticks=[], yticks=[])
                for edge in first[1:] - 0.5:
                    ax.axhline(edge, color="white", linewidth=0.5)
                    ax.axvline(edge, color="white", linewidth=0.5)
                if title == [*rows][-1]:
                    ax.set_xticks(middle, [str(n) for n in names], fontsize=8, parse_math=False)
                    ax.set_xlabel("class")
            line[0].set_yticks(middle, [str(n) for n in names], fontsize=8, parse_math=False)
            line[0].set_ylabel(f"{title}\nclass")
        assert shown is not None
        figure.colorbar(shown, ax=axes, label="cosine similarity", shrink=0.6)
    return figure
