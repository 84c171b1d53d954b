"""Layers of a chain as users give them to an estimator, and the image that the features of a row form."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from ..models import Layer
from ..network import Grid


def layers_of(given: Iterable[Any], name: str, **settings: Any) -> list[Layer]:
    """Return the layers of the parameter `name`; a number n stands for n neurons, with further settings of a `Layer`.

    Raises
    ------
    ValueError
        If an item is neither a layer nor a whole number above 0.
    """

    def layer(own: Any) -> Layer:
        if isinstance(own, Integral) and int(own) > 0:
            return Layer(units=int(own), **settings)
        if not isinstance(own, Layer):
            raise ValueError(f"Each of {name} must be a sm.Layer or a whole number of neurons above 0, got {own!r}.")
        return own

    return [layer(own) for own in given]


def input_grid(layers: Sequence[Layer], name: str, image_shape: Any, n_features: int) -> Grid:
    """Return the grid of the features of a row on which the layers of the parameter `name` stand.

    Raises
    ------
    ValueError
        If a layer needs an image and there is none, or the image has another number of features.
    """
    if image_shape is None:
        local = next((p for p, layer in enumerate(layers) if (layer.radius, layer.stride) != (None, None)), None)
        if local is not None:
            raise ValueError(
                f"{name}[{local}] has a radius or a stride, which need an image; pass "
                f"image_shape=(height, width) or (height, width, channels) for the {n_features} features."
            )
        return Grid(1, 1, n_features)
    shape = tuple(image_shape)
    if len(shape) not in (2, 3) or not all(isinstance(n, Integral) and int(n) > 0 for n in shape):
        raise ValueError(
            f"image_shape must be (height, width) or (height, width, channels), whole numbers above 0, got {shape}."
        )
    grid = Grid(*map(int, shape))
    if grid.size != n_features:
        raise ValueError(f"image_shape {shape} stands for {grid.size} features, but X has {n_features}.")
    return grid
