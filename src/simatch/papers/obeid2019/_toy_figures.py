"""Figures of the toy experiment: similarity matrices, and the cost over learning."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ...report import COLOURS, SIGNED, style
from ._toy import STREAMS, SUBNETWORKS, TOP, Toy

COLUMNS = [part for stream, name in STREAMS.items() for part in (stream, name)] + [TOP]


def similarities(toys: Sequence[Toy], conditions: Sequence[str] = ("familiar", "right new")) -> Figure:
    """Draw similarity matrices, with a row for every network and condition, a column for every input and subnetwork."""
    rows = [(toy, condition) for toy in toys for condition in conditions]
    with style():
        figure = Figure(figsize=(10.4, 2.05 * len(rows) + 0.3), layout="constrained")
        axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
        image = None
        for row, (toy, condition) in zip(axes, rows, strict=True):
            edges = np.flatnonzero(np.diff(toy.labels)) + 0.5
            for ax, name in zip(row, COLUMNS, strict=True):
                matrix = toy.matrices[condition][name]
                image = ax.imshow(matrix, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
                ax.grid(visible=False)
                ax.spines[:].set_visible(False)
                ax.set(xticks=[], yticks=[])
                for edge in edges:
                    ax.axhline(edge, color="white", linewidth=0.6)
                    ax.axvline(edge, color="white", linewidth=0.6)
            row[0].set_ylabel(f"{feedback_title(toy)}\n{condition}", fontsize=10)
        for ax, name in zip(axes[0], COLUMNS, strict=True):
            ax.set_title((name if name in SUBNETWORKS else f"{name} input").capitalize(), fontsize=10)
        assert image is not None
        bar = figure.colorbar(image, ax=axes, label="cosine similarity", shrink=0.5, pad=0.015)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def costs(toys: Sequence[Sequence[Toy]]) -> Figure:
    """Draw the primal cost over the samples learned from, with a panel for every feedback and a line for every seed."""
    with style():
        figure = Figure(figsize=(8.4, 3.1), layout="constrained")
        for ax, group, colour in zip(figure.subplots(1, len(toys), squeeze=False)[0], toys, COLOURS, strict=False):
            for toy in group:
                ax.plot(
                    *zip(*toy.history, strict=True), color=colour, alpha=0.5 if len(group) > 1 else 1, linewidth=1.4
                )
            ax.set(title=feedback_title(group[0]).capitalize(), xlabel="samples seen", ylabel="primal cost")
            ax.margins(x=0.02)
    return figure


def feedback_title(toy: Toy) -> str:
    """Name a network by its feedback."""
    return f"feedback {toy.feedback:g}" if toy.feedback else "no feedback"
