"""Figures of local rules against gradients, and of the costs over learning."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, style
from ._gradients import Claim


def rules_and_gradients(claims: Sequence[Claim]) -> Figure:
    """Draw the rule over the gradient, with a point for every synapse and a panel for every network."""
    with style():
        figure = Figure(figsize=(3 * len(claims) + 0.4, 3.7), layout="constrained")
        for i, (ax, claim) in enumerate(zip(_row(figure, len(claims)), claims, strict=True)):
            limit = 1.08 * max(np.abs([c.rule, c.gradient]).max() for c in claim.before)
            ax.plot([-limit, limit], [-limit, limit], color=FAINT, linewidth=0.8, zorder=1)
            for colour, c in zip(COLOURS, claim.before, strict=False):
                ax.plot(c.gradient, c.rule, ".", color=colour, markersize=5, alpha=0.6, label=c.pathway, mew=0)
            ax.set(title=claim.name.capitalize(), aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))
            ax.set(xlabel="gradient of the dual cost", ylabel="local rule" if i == 0 else "")
            ax.locator_params(nbins=5)
            ax.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2, labelspacing=0.2, fontsize=8)
    return figure


def costs_over_learning(claims: Sequence[Claim]) -> Figure:
    """Draw primal cost, duality gap and gradient over the steps of learning."""
    with style():
        figure = Figure(figsize=(10, 3.3), layout="constrained")
        cost, gap, gradient = _row(figure, 3)
        for colour, claim in zip(COLOURS, claims, strict=False):
            steps = [p.steps for p in claim.points]
            size = abs(claim.points[-1].primal)
            cost.plot(steps, [p.primal / size for p in claim.points], color=colour, label=claim.name)
            # A smaller difference of costs is a rounding error.
            gap.plot(steps, [max(p.gap, 1e-15) for p in claim.points], color=colour)
            gradient.plot(steps, [p.gradient for p in claim.points], color=colour)
        cost.set(title="Primal cost", ylabel="relative to the size of its last value")
        gap.set(title="Duality gap", ylabel="|primal cost - dual cost|", yscale="log")
        gradient.set(title="Gradient", ylabel="length, all weights", yscale="log")
        for ax in (cost, gap, gradient):
            ax.set_xlabel("steps of learning")
        cost.legend()
    return figure


def _row(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])
