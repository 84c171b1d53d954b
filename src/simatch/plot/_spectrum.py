"""Eigenvalues of the curvature of the energy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ..analysis import curvature_eigenvalues
from ..network import Network
from ._style import COLOURS, new_axes


def spectrum(net: Network, layers: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of the curvature of the energy, which say how fast activities settle.

    An eigenvalue h gives a mode of activity that settles like ``exp(-h t / tau)``: those near 0 are slow. Euler steps
    must be shorter than 2 tau over the largest.

    Parameters
    ----------
    net : Network
    layers : sequence of str, optional
        Populations, as `simatch.analysis.curvature_eigenvalues` takes them; by default each group that relaxes
        together.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import simatch as sm
    >>> ax = sm.plot.spectrum(sm.layered(4, [sm.Layer(units=3)]))
    """
    groups = net.stages() if layers is None else (tuple(layers),)
    ax = ax or new_axes(5.2, 3.4)
    for i, group in enumerate(groups):
        values = np.sort(curvature_eigenvalues(net, group).ravel())[::-1]
        ax.plot(
            1 + np.arange(len(values)),
            values,
            marker="o",
            markersize=3.5,
            linewidth=1,
            color=COLOURS[i % len(COLOURS)],
            label=", ".join(group),
        )
    ax.set(xlabel="rank", ylabel="eigenvalue of the curvature", yscale="symlog" if _crosses(ax) else "log")
    if len(groups) > 1:
        ax.legend()
    return ax


def _crosses(ax: Axes) -> bool:
    return any(np.min(line.get_ydata()) <= 0 for line in ax.lines)  # pyright: ignore[reportCallIssue, reportArgumentType]
