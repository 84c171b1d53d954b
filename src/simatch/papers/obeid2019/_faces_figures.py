"""Figures of the faces: features of units, their extent, and their preference for faces."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, mosaic, style
from ._faces import PUBLISHED_EXTENT, Measures

Images = Float[np.ndarray, "_ _ _ _"]
Layers = Sequence[Measures]

NOTE = "red: brighter, blue: darker, each scaled by its largest; grey: beyond the extent of the unit"


def features(layers: Sequence[Images]) -> Figure:
    """Draw the features of every layer on whole images."""
    return mosaic({f"Layer {i}": images for i, images in enumerate(layers, start=1)}, note=NOTE)


def closeups(images: Images, centres: Float[np.ndarray, "_ 2"], radius: float, *, side: int = 2) -> Figure:
    """Draw features cut out around the centres of their units, up to a distance of `side` times the radius."""
    reach = int(np.ceil(radius * side))
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    corners = np.ceil(centres).astype(int)
    cut = np.stack([image[r : r + 2 * reach, c : c + 2 * reach] for image, (r, c) in zip(padded, corners, strict=True)])
    return mosaic({"Layer 1, close up": cut}, note=NOTE)


def by_layer(networks: Mapping[str, Layers]) -> Figure:
    """Draw measures by layer, with a line for every network: extent, and power of responses to altered faces."""
    panels = {
        "Extent on the image": ("extent", "radius in pixels"),
        "Upside-down faces": ("upside_down", "power, relative to faces"),
        "Phase-scrambled faces": ("scrambled", "power, relative to faces"),
    }
    with style():
        figure = Figure(figsize=(10, 3.2), layout="constrained")
        axes = figure.subplots(1, len(panels))
        numbers = np.arange(1, max(map(len, networks.values())) + 1)
        for ax, (title, (measure, label)) in zip(axes, panels.items(), strict=True):
            for colour, (name, layers) in zip(COLOURS, networks.items(), strict=False):
                ax.plot(numbers, [getattr(layer, measure) for layer in layers], "o-", color=colour, label=name)
            ax.set(title=title, ylabel=label, xlabel="layer", xticks=numbers, xlim=(0.7, len(numbers) + 0.3))
            if measure == "extent":
                ax.plot(numbers, PUBLISHED_EXTENT[: len(numbers)], "s--", color=FAINT, label="published", zorder=0)
            else:
                ax.axhline(1, color=FAINT, linewidth=0.8, linestyle="--")
            ax.set_ylim(0, 1.08 * ax.get_ylim()[1])
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(networks) + 1)
    return figure
