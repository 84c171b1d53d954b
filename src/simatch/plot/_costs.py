"""Costs over learning, and the gap between the primal and the dual cost."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from ..learning import Certificate, Report
from ._style import COLOURS, FAINT, new_axes

# Number of samples learned from, and the costs at that time.
History = Sequence[tuple[int, Certificate]]


def learning(reports: Sequence[Report], *, ax: Axes | None = None) -> Axes:
    """Draw the cost of a run over the samples learned from and, where it was measured, the gap to the optimum.

    Parameters
    ----------
    reports : sequence of Report
        As `simatch.train` returns them. Those of a run with `held_out` samples have certificates, from which `costs`
        draws the primal and the dual cost; without them, the cost of the batches is drawn.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are no reports.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(300, 4))
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> net, reports = sm.train(net, x[:200], held_out=x[200:], batch_size=20, report_every=1, progress=False)
    >>> ax = sm.plot.learning(reports)
    """
    if not reports:
        raise ValueError("There are no reports to draw; pass those that sm.train returns.")
    ax = ax or new_axes(5.2, 3.4)
    measured = [(r.samples, r.certificate) for r in reports if r.certificate is not None]
    if len(measured) > 1:
        return costs(measured, ax=ax)
    ax.plot([r.samples for r in reports], [r.cost for r in reports], color=COLOURS[1], marker="o", markersize=3.5)
    ax.set(title="Cost", ylabel="cost, last batch")
    samples_axis(ax)
    return ax


def costs(history: History, *, ax: Axes | None = None) -> Axes:
    """Draw how the primal and the dual cost close while a network learns.

    Parameters
    ----------
    history : sequence of (int, Certificate)
        Number of samples learned from, and the costs at that time, after learning has begun. The dual cost of a network
        that has learned little may lie outside the axes.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    References
    ----------
    Section 10 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> learned, _ = sm.train(net, x, progress=False)
    >>> ax = sm.plot.costs([(50, sm.certificate(net, x)), (100, sm.certificate(learned, x))])
    """
    learned = [point for point in history if point[0] > 0]
    samples = [n for n, _ in learned]
    primal, dual = (np.array([getattr(c, kind) for _, c in learned]) for kind in ("primal", "dual"))
    ax = ax or new_axes(5.2, 3.4)
    ax.fill_between(samples, primal, dual, color=FAINT, alpha=0.25, linewidth=0)
    ax.plot(samples, dual, color=COLOURS[1], marker="o", markersize=3.5, label="dual")
    ax.plot(samples, primal, color=COLOURS[0], marker="o", markersize=3.5, label="primal")
    # The dual cost of a network that has learned little can be a thousand times as large as at the end.
    shown = np.append(primal, dual[-1])
    margin = 0.9 * max(np.ptp(shown), 0.05 * np.abs(shown).max())
    ax.set(
        title="Primal and dual cost", ylabel="cost, held-out samples", ylim=(shown.min() - margin, shown.max() + margin)
    )
    ax.legend()
    samples_axis(ax, log=True)
    return ax


def samples_axis(ax: Axes, *, log: bool = False) -> None:
    """Make the horizontal axis one of samples learned from.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    log : bool
        Whether it is logarithmic.

    Examples
    --------
    >>> import simatch as sm
    >>> ax = sm.plot.new_axes(4, 3)
    >>> sm.plot.samples_axis(ax, log=True)
    >>> ax.get_xlabel()
    'samples learned from'
    """
    ax.set_xlabel("samples learned from")
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.margins(x=0.02)
