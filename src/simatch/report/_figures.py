"""Figures of features, similarities and learning. They do not use or change Matplotlib's global state."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import NullFormatter, PercentFormatter

from .. import plot
from ..learning import Certificate, Report
from ..plot import COLOURS, FAINT, style

Images = Float[np.ndarray, "count height width channels"]
History = Sequence[tuple[int, Certificate]]
Matrices = Mapping[str, Float[np.ndarray, "samples samples"]]


def mosaic(features: Mapping[str, Images], *, note: str = "", columns: int = 16, most: int = 96) -> Figure:
    """Draw features as images side by side, one panel for each group.

    Parameters
    ----------
    features : mapping from a title to an array of shape (count, height, width, channels)
        Three channels are shown as colours around mid grey, which is 0: a positive value brightens its colour, a
        negative one darkens it. Other numbers of channels are averaged: red is positive, blue negative. Each feature is
        scaled by its largest magnitude. Pixels that are exactly 0 in all channels, where no synapse exists, are light
        grey.
    note : str
        A line of text below the panels.
    columns : int
        Number of images in a row, at least 1.
    most : int
        Largest number of images of a group, at least 1; of more, evenly spaced ones are shown.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import report
    >>> figure = report.mosaic({"Layer 1": np.random.default_rng(0).normal(size=(8, 5, 5, 1)).astype("f4")})
    """
    rows = [math.ceil(min(len(images), most) / columns) for images in features.values()]
    with style():
        figure = Figure(figsize=(9, 9 / columns * sum(rows) + 0.55 * len(rows) + 0.3), layout="constrained")
        axes = figure.subplots(len(rows), squeeze=False, height_ratios=rows)[:, 0]
        for ax, (title, images) in zip(axes, features.items(), strict=True):
            plot.mosaic(images, columns=columns, most=most, ax=ax)
            ax.set_title(title)
        if note:
            figure.supxlabel(note, fontsize=9, color=FAINT)
    return figure


def similarity_matrices(
    matrices: Matrices, labels: Shaped[np.ndarray, " samples"] | None = None, *, label: str = "cosine similarity"
) -> Figure:
    """Draw similarity matrices side by side on one colour scale.

    Parameters
    ----------
    matrices : mapping from a title to an array of shape (samples, samples)
    labels : array of shape (samples,), optional
        Class of each sample, sorted; marked along the axes.
    label : str
        Label of the colour bar.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.report import similarity_matrices
    >>> drawing = similarity_matrices({"pixels": np.eye(2), "layer1": np.eye(2)}, np.array([0, 1]))
    >>> [title for axes in drawing.axes if (title := axes.get_title(loc="left"))]
    ['pixels', 'layer1']
    """
    with style():
        figure = Figure(figsize=(3.1 * len(matrices) + 0.9, 3.5), layout="constrained")
        draw_similarities(figure, matrices, labels, label)
    return figure


def curves(reports: Sequence[Report], history: History, *, titles: Mapping[str, str] | None = None) -> Figure:
    """Draw costs, distance from the optimum, residual, and shares of saturated and silent units over the samples seen.

    Parameters
    ----------
    reports : sequence of Report
    history : sequence of (int, Certificate)
        Number of samples seen, and the distance from the optimum at that time; at least two, the last after learning.
    titles : mapping of str to str, optional
        Title of each layer by its name; by default the names.

    Returns
    -------
    matplotlib.figure.Figure
    """
    titles = titles or {name: name for name in reports[-1].saturated}
    samples = np.array([r.samples for r in reports])
    with style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        cost, distance, residual, share = figure.subplots(2, 2, gridspec_kw={"hspace": 0.09, "wspace": 0.05}).flat
        plot.costs(history, ax=cost)
        draw_distance(distance, history)
        values = np.array([max(r.residual, 1e-12) for r in reports])
        residual.plot(samples, values, color=COLOURS[0])
        # Limits at whole decades, so that small variations of a residual below the tolerance look small.
        decades = 10 ** np.floor(np.log10(values.min()) - 0.5), 10 ** np.ceil(np.log10(values.max()) + 0.5)
        residual.set(title="Settling of activities", ylabel="largest relative residual", yscale="log", ylim=decades)
        for colour, name in zip(COLOURS * len(titles), titles, strict=False):
            share.plot(samples, [r.saturated[name] for r in reports], color=colour, label=f"{titles[name]}, saturated")
            share.plot(samples, [r.silent[name] for r in reports], "--", color=colour, label=f"{titles[name]}, silent")
        share.set(title="Health of layers", ylabel="share of the layer", ylim=(-0.02, 1.02))
        share.yaxis.set_major_formatter(PercentFormatter(1))
        share.legend()
        for ax in (residual, share):
            plot.samples_axis(ax)
    return figure


def overview(
    features: Mapping[str, Images],
    matrices: Matrices,
    labels: Shaped[np.ndarray, " samples"] | None,
    history: History,
) -> Figure:
    """Draw features (above), similarity matrices and costs (below) of a run in one figure.

    Parameters
    ----------
    features
        As in `mosaic`.
    matrices, labels
        As in `similarity_matrices`.
    history
        As in `curves`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with style():
        figure = Figure(figsize=(11, 6.6), layout="constrained")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.05, 1))[:, 0]
        axes = above.subplots(1, len(features), squeeze=False)[0]
        for ax, (title, images) in zip(axes, features.items(), strict=True):
            plot.mosaic(images, columns=10, most=60, ax=ax)
            ax.set_title(title)
        left, right = below.subfigures(1, 2, squeeze=False, width_ratios=(len(matrices), 1))[0]
        draw_similarities(left, matrices, labels, "cosine similarity")
        plot.costs(history, ax=right.subplots())
    return figure


def draw_similarities(
    figure: FigureBase, matrices: Matrices, labels: Shaped[np.ndarray, " samples"] | None, label: str
) -> None:
    """Draw similarity matrices in a row of `figure`, with one colour bar."""
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    limit = plot.largest_off_diagonal(*matrices.values())
    for i, (ax, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        plot.similarity(matrix, labels, limit=limit, bar=None, ax=ax)
        ax.set_title(title)
        if i:
            ax.set_ylabel("")
            if labels is not None:
                ax.set_yticks([])
    bar = figure.colorbar(axes[-1].images[0], ax=list(axes), label=label, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def draw_distance(ax: Axes, history: History) -> None:
    """Draw the distance from the optimum of learning."""
    learned = [point for point in history if point[0] > 0]
    ax.plot([n for n, _ in learned], [c.distance for _, c in learned], color=COLOURS[2], marker="o", markersize=3.5)
    ax.set(
        title=f"Distance from the optimum: {learned[-1][1].distance:.2g} at the end",
        ylabel="relative to the primal cost",
        yscale="log",
    )
    ax.yaxis.set_minor_formatter(NullFormatter())
    plot.samples_axis(ax, log=True)
