"""Tuning: the selectivity of units, computed from their responses to stimuli."""

import numpy as np
from jaxtyping import Float, Shaped

from .._arrays import real
from .._checks import whole
from ..network import Grid


def orientation_selectivity(responses: Shaped[np.ndarray, "orientations *neurons"]) -> Float[np.ndarray, "*neurons"]:
    """Length of the mean response vector, ``|sum_k r_k exp(2i pi k / n)| / sum_k r_k``: 1 minus the circular variance.

    Parameters
    ----------
    responses : array of shape (orientations, ...)
        Magnitudes of the responses, at least 0, to n orientations evenly spaced over half a turn.

    Returns
    -------
    array of shape (...)
        Between 0 and 1: 1 for a neuron that responds to one orientation only, 0 for a neuron that responds equally to
        all orientations or to none.

    Raises
    ------
    ValueError
        If a response is negative, NaN or infinite, or if there are none.

    References
    ----------
    Ringach, Shapley and Hawken, *Journal of Neuroscience* 22 (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import orientation_selectivity
    >>> orientation_selectivity(np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [1.0, 0.0]])).round(6)
    array([0., 1.])
    """
    responses = real(responses, "Responses", "orientations", "...")
    if responses.min() < 0:
        raise ValueError(
            f"Responses must be magnitudes of at least 0, but the smallest is {responses.min():g}; take abs(...)."
        )
    turn = np.exp(2j * np.pi * np.arange(len(responses)) / len(responses))
    total = responses.sum(axis=0)
    length = np.abs(np.tensordot(turn, responses, 1))
    return np.divide(length, total, out=np.zeros_like(total), where=total > 0)


def sparseness(responses: Shaped[np.ndarray, "stimuli *neurons"]) -> Float[np.ndarray, "*neurons"]:
    """Sparseness of responses over n stimuli (Treves and Rolls), ``(1 - <|r|>^2 / <r^2>) / (1 - 1/n)``.

    Parameters
    ----------
    responses : array of shape (stimuli, ...)
        Responses to at least two stimuli.

    Returns
    -------
    array of shape (...)
        Between 0 and 1: 1 for a neuron that responds to one stimulus only, 0 for a neuron whose responses all have the
        same magnitude. Responses that are normally distributed about 0 have nearly ``1 - 2/pi``.

    Raises
    ------
    ValueError
        If there are fewer than two stimuli, or a response is NaN or infinite.

    References
    ----------
    Treves and Rolls, *Network* 2 (1991); divided by ``1 - 1/n`` as in Vinje and Gallant, *Science* 287 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import sparseness
    >>> sparseness(np.array([[1.0, 0.0], [-1.0, 2.0], [1.0, 0.0]]))
    array([0., 1.])
    """
    size = np.abs(real(responses, "Responses", "stimuli", "..."))
    if len(size) < 2:
        raise ValueError(f"Sparseness needs responses to at least two stimuli, got {len(size)}.")
    # In units of the largest response of each neuron, so that squares neither overflow nor vanish.
    largest = size.max(axis=0)
    size = size / np.where(largest > 0, largest, 1)
    power = np.mean(size**2, axis=0)
    density = np.divide(size.mean(axis=0) ** 2, power, out=np.ones_like(power), where=power > 0)
    return (1 - density) / (1 - 1 / len(size))


def centres(grid: Grid, height: int, width: int) -> Float[np.ndarray, "neurons 2"]:
    """Centre of every neuron of a layer on an image.

    Parameters
    ----------
    grid : Grid
        Grid of the layer, which covers the image evenly.
    height, width : int
        Size of the image, at least 1, in pixels.

    Returns
    -------
    array of shape (neurons, 2)
        Row and column in pixels; the centre of the first pixel is (0, 0).

    Raises
    ------
    ValueError
        If a size is not a whole number of at least 1.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.analysis import centres
    >>> centres(sm.Grid(2, 2), 8, 8)[-1]
    array([5.5, 5.5])
    """
    height, width = whole(height, "The height"), whole(width, "The width")
    sites = np.indices((grid.height, grid.width)).reshape(2, -1).T
    places = (sites + 0.5) * [height / grid.height, width / grid.width] - 0.5
    return places.repeat(grid.units, axis=0)


def extent(
    fields: Shaped[np.ndarray, "neurons height width"], centres: Shaped[np.ndarray, "neurons 2"]
) -> Float[np.ndarray, " neurons"]:
    """Radius of the disc whose pixels have the same mean square distance d from the centre: ``sqrt(2 <d^2>)``.

    A disc that the border of the image cuts through its centre has the same extent as a whole disc.

    Parameters
    ----------
    fields : bool array of shape (neurons, height, width)
        For each neuron, the pixels that elicit a response.
    centres : array of shape (neurons, 2)
        Row and column of the centre of each neuron in pixels, as the function `centres` returns them.

    Returns
    -------
    array of shape (neurons,)
        Radius in pixels; NaN for a field without pixels.

    Raises
    ------
    ValueError
        If fields and centres are not of the same neurons, are empty, or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import extent
    >>> row, column = np.indices((31, 31)) - 15
    >>> extent((row**2 + column**2 <= 100)[None], np.array([[15.0, 15.0]])).round()
    array([10.])
    """
    inside, centres = (
        real(fields, "Fields", "neurons", "height", "width") != 0,
        real(centres, "Centres", "neurons", "2"),
    )
    if centres.shape != (len(inside), 2):
        raise ValueError(
            f"There are {len(inside)} fields but centres of shape {centres.shape}; give a row and a column for each."
        )
    row, column = (np.arange(n) for n in inside.shape[1:])
    squares = (row - centres[:, :1])[:, :, None] ** 2 + (column - centres[:, 1:])[:, None, :] ** 2
    pixels = inside.sum(axis=(1, 2))
    total = (squares * inside).sum(axis=(1, 2))
    return np.sqrt(2 * np.divide(total, pixels, out=np.full(len(inside), np.nan), where=pixels > 0))
