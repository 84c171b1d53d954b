"""Figures of the experiments: learning curves, states of the two phases, similarity matrices, receptive fields."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ...report import COLOURS, SIGNED, style

Curve = Sequence[Sequence[float]]
States = Mapping[str, Float[np.ndarray, "samples neurons"]]


def learning_curves(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    """Draw test errors over epochs, one colour for each kind of network and a line for each seed."""
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
        ax.set(xlabel="passes over the training images", ylabel="test error, %", yscale="log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value in (2, 3, 5, 20, 50) else "")
        ax.legend()
    return figure


def phases(free: States, nudged: States, targets: Float[np.ndarray, "samples classes"], *, most: int = 60) -> Figure:
    """Draw the outputs in both phases beside their targets, and below, hidden activities and what the nudge changes."""
    (*hidden, output) = free
    first = hidden[0]
    # The units that vary most between the images.
    chosen = np.sort(np.argsort(-free[first].var(axis=0))[:most])
    change = (nudged[first] - free[first])[:, chosen].T
    with style():
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1, 2))
        panels = {"Outputs, free": free[output], "Outputs, nudged": nudged[output], "Targets": targets}
        for ax, (title, values) in zip(above.subplots(1, 3), panels.items(), strict=True):
            shown = ax.imshow(values.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            _bare(ax, title, "class")
        above.colorbar(shown, ax=above.axes, label="activity")
        left, right = below.subplots(1, 2)
        shown = left.imshow(free[first][:, chosen].T, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        _bare(left, "First hidden layer, free", f"{len(chosen)} units")
        below.colorbar(shown, ax=left, label="activity")
        largest = float(np.abs(change).max()) or 1.0
        shown = right.imshow(change, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto")
        _bare(right, "Nudged minus free", f"{len(chosen)} units")
        right.set_xlabel("images, sorted by class")
        left.set_xlabel("images, sorted by class")
        below.colorbar(shown, ax=right, label="change of activity")
    return figure


def _bare(ax, title: str, label: str) -> None:
    ax.set(title=title, ylabel=label, xticks=[], yticks=[])
    ax.grid(visible=False)


def before_and_after(
    before: Mapping[str, Float[np.ndarray, "samples samples"]],
    after: Mapping[str, Float[np.ndarray, "samples samples"]],
    labels: Int[np.ndarray, " samples"],
) -> Figure:
    """Draw the similarity matrices of all layers, before learning in the first row and after it in the second."""
    edges = np.flatnonzero(np.diff(labels)) + 0.5
    with style():
        figure = Figure(figsize=(2.6 * len(before) + 1.2, 5.2), layout="constrained")
        axes = figure.subplots(2, len(before), squeeze=False)
        shown = None
        for row, matrices, when in zip(axes, (before, after), ("before learning", "after learning"), strict=True):
            for ax, (title, matrix) in zip(row, matrices.items(), strict=True):
                shown = ax.imshow(matrix, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
                _bare(ax, title if when.startswith("before") else "", when if ax is row[0] else "")
                for edge in edges:
                    ax.axhline(edge, color="white", linewidth=0.5)
                    ax.axvline(edge, color="white", linewidth=0.5)
        assert shown is not None
        figure.colorbar(shown, ax=axes, label="cosine similarity", shrink=0.6)
    return figure
