"""Figure of the distance of nudged learning from back-propagation."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, style
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
