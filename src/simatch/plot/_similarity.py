"""Similarity matrices."""

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes

from ._style import SIGNED, new_axes

Matrix = Float[np.ndarray, "samples samples"]


def similarity(
    matrix: Matrix,
    labels: Shaped[np.ndarray, " samples"] | None = None,
    *,
    limit: float | None = None,
    bar: str | None = "cosine similarity",
    ax: Axes | None = None,
) -> Axes:
    """Draw a similarity matrix (`simatch.analysis.similarity`).

    Parameters
    ----------
    matrix : array of shape (samples, samples)
    labels : array of shape (samples,), optional
        Class of each sample, sorted; marked along the axes.
    limit : float, optional
        The colours go from minus this number to this number, above 0. By default the largest magnitude off the
        diagonal, as a sample is most similar to itself.
    bar : str or None
        Label of a bar that explains the colours; None for no bar.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one label for each sample.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x, labels = np.random.default_rng(0).normal(size=(20, 5)), np.repeat([0, 1], 10)
    >>> ax = sm.plot.similarity(sm.analysis.similarity(x), labels)
    """
    if labels is not None and len(labels) != len(matrix):
        raise ValueError(f"There are {len(labels)} labels for {len(matrix)} samples; give one for each.")
    limit = largest_off_diagonal(matrix) if limit is None else limit
    ax = ax or new_axes(4.4, 3.6)
    image = ax.imshow(matrix, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if labels is None:
        ax.set(xlabel="sample", ylabel="sample")
    else:
        _mark(ax, labels)
    if bar is not None:
        colours = ax.figure.colorbar(image, ax=ax, label=bar, shrink=0.85, pad=0.02)
        colours.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return ax


def largest_off_diagonal(*matrices: Matrix) -> float:
    """Largest magnitude off the diagonals of matrices; 1 if there is none.

    Parameters
    ----------
    *matrices : array of shape (samples, samples)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> sm.plot.largest_off_diagonal(np.array([[1.0, -0.5], [-0.5, 1.0]]))
    0.5
    """
    values = [np.abs(m[~np.eye(len(m), dtype=bool)]) for m in matrices]
    return max((float(own.max()) for own in values if own.size), default=1.0) or 1.0


def _mark(ax: Axes, labels: Shaped[np.ndarray, " samples"]) -> None:
    names, first, count = np.unique(labels, return_index=True, return_counts=True)
    middle = first + (count - 1) / 2
    # A dollar sign in the name of a class is no mathematics.
    texts = [str(n) for n in names]
    ax.set_xticks(middle, texts, rotation=0 if max(map(len, texts)) < 3 else 90, parse_math=False)
    ax.set_yticks(middle, texts, parse_math=False)
    ax.set(xlabel="class", ylabel="class")
    for edge in first[1:] - 0.5:
        ax.axhline(edge, color="white", linewidth=0.6)
        ax.axvline(edge, color="white", linewidth=0.6)
