"""Features as images, side by side."""

import math

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .._arrays import real
from .._checks import whole
from ._style import MISSING, SIGNED, new_axes


def mosaic(
    images: Shaped[np.ndarray, "count height width channels"],
    *,
    columns: int = 16,
    most: int = 96,
    ax: Axes | None = None,
) -> Axes:
    """Draw features as images side by side, such as receptive fields (`simatch.analysis.receptive_fields`).

    Parameters
    ----------
    images : array of shape (count, height, width, channels)
        Three channels are shown as colours around mid grey, which is 0: a positive value brightens its colour, a
        negative one darkens it. Other numbers of channels are averaged: red is positive, blue negative. Each image is
        scaled by its largest magnitude. Pixels that are exactly 0 in all channels, where no synapse exists, are light
        grey.
    columns : int
        Number of images in a row, at least 1.
    most : int
        Largest number of images, at least 1; of more, evenly spaced ones are shown.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the images have another shape or hold NaN or infinity, or if a number is below 1.

    Examples
    --------
    >>> import simatch as sm
    >>> net = sm.layered(sm.Grid(6, 6), [sm.Layer(units=8)])
    >>> ax = sm.plot.mosaic(sm.analysis.receptive_fields(net.feedforward[0]), columns=4)
    """
    columns, most = whole(columns, "The number of columns"), whole(most, "The number of images")
    images = real(images, "Images", "count", "height", "width", "channels")
    images = images[np.linspace(0, len(images) - 1, min(len(images), most)).round().astype(int)]
    columns = min(columns, len(images))
    canvas = _canvas(_tiles(images), columns)
    if ax is None:
        ax = new_axes(6, 6 * canvas.shape[0] / canvas.shape[1])
    ax.imshow(_painted(canvas), interpolation="nearest", aspect="equal")
    ax.set_axis_off()
    return ax


def _tiles(images: Float[np.ndarray, "count height width channels"]) -> Float[np.ndarray, "count h w _"]:
    """Images in units of their largest number, in colour or as one number a pixel, NaN where no synapse exists."""
    channels = images.shape[-1]
    size = np.abs(images).max(axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(images, size, out=np.zeros_like(images), where=size > 0)
    tiles = scaled / 2 + 0.5 if channels == 3 else scaled.sum(axis=-1, keepdims=True) / channels
    tiles = tiles.copy()
    tiles[~images.any(axis=-1)] = np.nan
    # Gaps are a few screen pixels wide, independently of the resolution of the images.
    zoom = max(1, round(24 / max(images.shape[1:3])))
    return tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)


def _canvas(tiles: Float[np.ndarray, "count h w c"], columns: int) -> Float[np.ndarray, "height width c"]:
    """Tiles on a grid, with gaps of infinity between them."""
    count, height, width, channels = tiles.shape
    gap, rows = max(1, round(max(height, width) / 14)), math.ceil(count / columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.inf)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        canvas[row * (height + gap) :, column * (width + gap) :][:height, :width] = tile
    return canvas


def _painted(canvas: Float[np.ndarray, "height width channels"]) -> Float[np.ndarray, "height width rgb"]:
    """Colours of a canvas, in which NaN marks a missing synapse and infinity a gap between images."""
    absent, paper = np.isnan(canvas).any(axis=-1), np.isinf(canvas).any(axis=-1)
    values = np.where(np.isfinite(canvas), canvas, 0)
    rgb = np.clip(values, 0, 1) if canvas.shape[-1] == 3 else mpl.colormaps[SIGNED](values[..., 0] / 2 + 0.5)[..., :3]
    rgb = np.array(rgb, float)
    rgb[absent], rgb[paper] = to_rgb(MISSING), 1.0
    return rgb
