"""Figure of the states of a network in the free and in the nudged phase."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ...report import SIGNED, style

States = Mapping[str, Float[np.ndarray, "samples neurons"]]


def phases(free: States, nudged: States, targets: Float[np.ndarray, "samples classes"], *, most: int = 60) -> Figure:
    """Draw the outputs in both phases beside their targets, and below, hidden activities and what the nudge changes."""
    (*hidden, output) = free
    first = hidden[0]
    # The units that vary most between the images.
    chosen = np.sort(np.argsort(-free[first].var(axis=0))[:most])
    change = (nudged[first] - free[first])[:, chosen].T
    with style():
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        above, below = np.asarray(figure.subfigures(2, 1, height_ratios=(1, 2)))
        panels = {"Outputs, free": free[output], "Outputs, nudged": nudged[output], "Targets": targets}
        shown = None
        for ax, (title, values) in zip(above.subplots(1, 3), panels.items(), strict=True):
            shown = ax.imshow(values.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            _bare(ax, title, "class")
        assert shown is not None
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
