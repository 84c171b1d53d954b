"""Figures of sources, their mixture and what was found."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, style
from ._sources import Mixture, Separated

# Samples in a panel of points.
_SHOWN = 3000


def images(mixture: Mixture, found: Mapping[str, Separated]) -> Figure:
    """Draw sources that are images, their mixtures, and what each algorithm has found, one row each."""
    rows = {"sources": mixture.sources, "mixtures": mixture.x, **{name: own.found for name, own in found.items()}}
    with style():
        figure = Figure(figsize=(9.6, 7.6), layout="constrained")
        for part, (title, values) in zip(np.asarray(figure.subfigures(1, len(rows))), rows.items(), strict=True):
            part.suptitle(title, fontsize=11, fontweight="bold")
            axes = part.subplots(values.shape[1], 1)
            for ax, image in zip(axes, values.T, strict=True):
                ax.imshow(image.reshape(mixture.side, mixture.side), cmap="Greys_r", aspect="equal")
                ax.set_axis_off()
    return figure


def beside(sources: Mapping[str, Float[np.ndarray, "samples sources"]], found: Mapping[str, Separated]) -> Figure:
    """Draw what was found over the sources themselves, one panel for each network."""
    with style():
        figure = Figure(figsize=(3.3 * len(found), 3.6), layout="constrained")
        axes = figure.subplots(1, len(found), squeeze=False)[0]
        for ax, (title, own) in zip(axes, found.items(), strict=True):
            s, y = sources[title][-_SHOWN:], own.found[-_SHOWN:]
            top = float(s.max())
            ax.plot([0, top], [0, top], color=FAINT, linewidth=1)
            for number in range(s.shape[1]):
                ax.plot(
                    s[:, number], y[:, number], ".", markersize=1.5, alpha=0.5, color=COLOURS[number % len(COLOURS)]
                )
            ax.set(title=title, xlabel="source", aspect="equal", xlim=(-0.1, top * 1.05), ylim=(-0.1, top * 1.05))
        axes[0].set_ylabel("output")
    return figure
