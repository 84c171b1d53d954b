"""Figures of features, similarities and learning. They do not use or change Matplotlib's global state."""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

from ..learning import Certificate, Report
from ._style import COLOURS, FAINT, MISSING, SIGNED, style

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
        Largest number of images of a group; of more, evenly spaced ones are shown.

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
            draw_mosaic(ax, images, columns=columns, most=most)
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
        draw_costs(cost, history)
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
            _samples_axis(ax)
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
            draw_mosaic(ax, images, columns=10, most=60)
            ax.set_title(title)
        left, right = below.subfigures(1, 2, squeeze=False, width_ratios=(len(matrices), 1))[0]
        draw_similarities(left, matrices, labels, "cosine similarity")
        draw_costs(right.subplots(), history)
    return figure


def draw_mosaic(ax: Axes, images: Images, *, columns: int, most: int) -> None:
    """Draw images on a grid, with white gaps between them."""
    count = min(len(images), most)
    images = images[np.linspace(0, len(images) - 1, count).round().astype(int)]
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    _, height, width, channels = images.shape
    size = np.abs(images).max(axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(images, size, out=np.zeros_like(images), where=size > 0)
    coloured = channels == 3
    missing = ~images.any(axis=-1)
    tiles = scaled / 2 + 0.5 if coloured else scaled.sum(axis=-1, keepdims=True) / (1 if channels == 1 else channels)
    tiles = tiles.copy()
    tiles[missing] = np.nan
    # Gaps are a few screen pixels wide, independently of the resolution of the images.
    zoom = max(1, round(24 / max(height, width)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = height * zoom, width * zoom
    gap = max(1, round(max(height, width) / 14))
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, tiles.shape[-1]), np.inf)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        canvas[row * (height + gap) :, column * (width + gap) :][:height, :width] = tile
    ax.imshow(_painted(canvas), interpolation="nearest", aspect="equal")
    ax.set_axis_off()


def _painted(canvas: Float[np.ndarray, "height width channels"]) -> Float[np.ndarray, "height width rgb"]:
    """Colours of a canvas, in which NaN marks a missing synapse and infinity a gap between images."""
    absent, paper = np.isnan(canvas).any(axis=-1), np.isinf(canvas).any(axis=-1)
    values = np.where(np.isfinite(canvas), canvas, 0)
    rgb = np.clip(values, 0, 1) if canvas.shape[-1] == 3 else mpl.colormaps[SIGNED](values[..., 0] / 2 + 0.5)[..., :3]
    rgb = np.array(rgb, float)
    rgb[absent], rgb[paper] = to_rgb(MISSING), 1.0
    return rgb


def draw_similarities(
    figure: FigureBase, matrices: Matrices, labels: Shaped[np.ndarray, " samples"] | None, label: str
) -> None:
    """Draw similarity matrices in a row of `figure`, with one colour bar."""
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    # The colour scale ignores the diagonal: a sample is most similar to itself.
    off = [np.abs(m[~np.eye(len(m), dtype=bool)]) for m in matrices.values()]
    limit = max((float(values.max()) for values in off if values.size), default=1.0) or 1.0
    image: AxesImage | None = None
    for i, (ax, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        image = ax.imshow(matrix, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(title)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        if labels is None:
            ax.set(xlabel="sample", ylabel="sample" if i == 0 else "")
            continue
        names, first, count = np.unique(labels, return_index=True, return_counts=True)
        middle = first + (count - 1) / 2
        # A dollar sign in the name of a class is no mathematics.
        texts = [str(n) for n in names]
        ax.set_xticks(middle, texts, rotation=0 if max(map(len, texts)) < 3 else 90, parse_math=False)
        ax.set_yticks(middle, texts if i == 0 else [], parse_math=False)
        ax.set(xlabel="class", ylabel="class" if i == 0 else "")
        for edge in first[1:] - 0.5:
            ax.axhline(edge, color="white", linewidth=0.6)
            ax.axvline(edge, color="white", linewidth=0.6)
    assert image is not None
    bar = figure.colorbar(image, ax=list(axes), label=label, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def draw_costs(ax: Axes, history: History) -> None:
    """Draw how the primal and the dual cost close while a network learns; where it starts may lie outside the axes."""
    learned = [point for point in history if point[0] > 0]
    samples = [n for n, _ in learned]
    primal, dual = (np.array([getattr(c, kind) for _, c in learned]) for kind in ("primal", "dual"))
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
    _samples_axis(ax, log=True)


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
    _samples_axis(ax, log=True)


def _samples_axis(ax: Axes, *, log: bool = False) -> None:
    ax.set_xlabel("samples learned from")
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.margins(x=0.02)
