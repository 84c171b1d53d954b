"""Figures of predictive coding: distances from back-propagation, and learning curves."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, style
from ._mnist import Run
from ._rules import Distance


def nudge(distances: Sequence[Distance]) -> Figure:
    """Draw the relative error of nudged learning over beta, with a line of slope 1."""
    own = [(d.setting, d.error) for d in distances if d.rule == "nudged" and d.setting is not None]
    betas, errors = zip(*own, strict=True)
    with style():
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        ax = figure.subplots()
        ax.loglog(betas, [errors[-1] * beta / betas[-1] for beta in betas], color=FAINT, linewidth=1, label="slope 1")
        ax.loglog(betas, errors, "o-", color=COLOURS[0], label="nudged")
        ax.set(xlabel="strength of the nudge, beta", ylabel="relative error")
        ax.legend()
    return figure


def learning_curves(runs: Mapping[str, Sequence[Run]]) -> Figure:
    """Draw test errors over the images learned from, a line for every run."""
    with style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        ax = figure.subplots()
        for colour, (name, group) in zip(COLOURS, runs.items(), strict=False):
            for i, run in enumerate(group):
                ax.plot(*zip(*run.curve, strict=True), color=colour, linewidth=1.2, label=name if i == 0 else None)
        ax.set(xlabel="images seen", ylabel="test error (%)", yscale="log")
        ax.legend()
    return figure
