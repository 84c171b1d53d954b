"""Figures of generalised eigenproblems: learning curves, and the force that drives a chaotic series."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ...report import COLOURS, FAINT, INK, style
from ._tasks import Learned, Task

Series = Float[np.ndarray, " samples"]


def learning(tasks: Sequence[Task], runs: Sequence[Sequence[Learned]]) -> Figure:
    """Draw for every task the angle to the exact solution, and the values beside the exact ones, over the samples."""
    with style():
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = figure.subplots(2, len(tasks), sharex="col")
        for (above, below), task, group in zip(axes.T, tasks, runs, strict=True):
            for one in group:
                samples, angles, values = zip(*one.curve, strict=True)
                above.plot(samples, angles, color=COLOURS[0], alpha=0.8, linewidth=1.4)
                for colour, own in zip(COLOURS * 2, np.transpose(values), strict=False):
                    below.plot(samples, own, color=colour, alpha=0.8, linewidth=1.4)
            for value in task.values:
                below.axhline(value, color=INK, linewidth=1, linestyle=":")
            above.set(title=task.title, yscale="log", ylim=(None, 120))
            above.yaxis.set_major_formatter(lambda value, _: f"{value:g}°")
            above.yaxis.set_minor_formatter(lambda value, _: f"{value:g}°" if f"{value:g}"[0] in "25" else "")
            below.set(xlabel="samples learned from", ylabel=task.measure, xscale="log")
            if len(task.values) == 1:
                below.set(yscale="log")
            else:  # what is found in the first batches may be far away
                margin = max(np.ptp(task.values), 0.1 * task.values.max())
                below.set(ylim=(max(0, task.values.min() - 3 * margin), task.values.max() + margin))
            below.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes[0, 0].set_ylabel("angle to the exact solution")
        figure.supxlabel("dotted: exact", fontsize=9, color=FAINT)
    return figure


def force(force: Series, series: Series, found: dict[str, Series], *, shown: int = 3000) -> Figure:
    """Draw a chaotic series, and below, the force that drives it and the slow features that were found."""
    with style():
        figure = Figure(figsize=(9.5, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
        above.plot(series[:shown], ".", color=FAINT, markersize=1.2)
        above.set(title="The series that the network sees", ylabel="x")
        below.plot(_standard(force)[:shown], color=INK, linewidth=3, alpha=0.3, label="force")
        for colour, (title, own) in zip(COLOURS, found.items(), strict=False):
            own = _standard(own) * np.sign(own @ _standard(force))
            below.plot(own[:shown], color=colour, linewidth=1.2, label=title)
        below.set(title="What drives it, and the slowest feature", xlabel="time", ylabel="unit variance")
        below.legend(loc="lower right", ncols=3)
        below.margins(x=0)
    return figure


def _standard(values: Series) -> Series:
    return (values - values.mean()) / values.std()
