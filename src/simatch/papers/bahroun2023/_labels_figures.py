"""Figures of the classification experiment: learning curves, similarity matrices."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ...report import COLOURS, SIGNED, style

Matrices = Mapping[str, Mapping[str, Float[np.ndarray, "samples samples"]]]


def learning_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw test errors over the passes, a line for each kind of learning."""
    with style():
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        ax = figure.subplots()
        for (title, curve), colour in zip(curves.items(), COLOURS, strict=False):
            ax.plot(*zip(*curve, strict=True), color=colour, marker="o", markersize=3, linewidth=1.6, label=title)
        ax.set(xlabel="passes over the training images", ylabel="test error of a linear readout, %", ylim=(0, None))
        ax.legend()
    return figure


def similarities(rows: Matrices, labels: Int[np.ndarray, " samples"]) -> Figure:
    """Draw similarity matrices by class: a row for each kind of learning, a column for each condition."""
    edges = np.flatnonzero(np.diff(labels)) + 0.5
    columns = max(len(row) for row in rows.values())
    with style():
        figure = Figure(figsize=(2.7 * columns + 1.2, 2.7 * len(rows) + 0.3), layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False)
        shown = None
        for line, (title, row) in zip(axes, rows.items(), strict=True):
            for ax in line[len(row) :]:
                ax.set_axis_off()
            for ax, (condition, matrix) in zip(line, row.items(), strict=False):
                shown = ax.imshow(matrix, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
                ax.grid(visible=False)
                ax.set(xticks=[], yticks=[], title=condition)
                for edge in edges:
                    ax.axhline(edge, color="white", linewidth=0.5)
                    ax.axvline(edge, color="white", linewidth=0.5)
            line[0].set_ylabel(title)
        assert shown is not None
        figure.colorbar(shown, ax=axes, label="cosine similarity", shrink=0.6)
    return figure
