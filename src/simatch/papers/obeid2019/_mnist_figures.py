"""Figure of errors, ours and published."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, style


def error_by_units(
    ours: Mapping[int, Sequence[float]], published: Mapping[int, float], *, label: str = "test error, %"
) -> Figure:
    """Draw errors over units at each site: our mean over seeds, each of our seeds, and the published error.

    Parameters
    ----------
    ours : mapping of int to sequence of float
        For each number of units, the errors of all seeds in percent.
    published : mapping of int to float
        For each number of units, the published error in percent.
    label : str
        Label of the vertical axis.

    Returns
    -------
    matplotlib.figure.Figure
    """
    units = sorted(ours)
    means = [sum(ours[u]) / len(ours[u]) for u in units]
    ticks = sorted({*units, *published})
    with style():
        figure = Figure(figsize=(7, 3.9), layout="constrained")
        ax = figure.subplots()
        ax.plot(
            sorted(published), [published[u] for u in sorted(published)], "o--", color=COLOURS[1], label="published"
        )
        ax.plot(units, means, "o-", color=COLOURS[0], label="ours, mean")
        seeds = [(u, error) for u in units for error in ours[u] if len(ours[u]) > 1]
        if seeds:
            ax.plot(*zip(*seeds, strict=True), "_", color=FAINT, markersize=11, label="ours, each seed", zorder=1)
        ax.set(xscale="log", xlabel="units at each site (NPS)", ylabel=label, ylim=(0, None))
        ax.set_xticks(ticks, [str(u) for u in ticks])
        ax.minorticks_off()
        ax.legend()
    return figure
