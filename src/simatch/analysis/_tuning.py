"""Tuning: the selectivity of units, computed from their responses to stimuli."""

import numpy as np
from jaxtyping import Bool, Float

from ..network import Grid


def orientation_selectivity(responses: Float[np.ndarray, "orientations *neurons"]) -> Float[np.ndarray, "*neurons"]:
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

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import orientation_selectivity
    >>> orientation_selectivity(np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [1.0, 0.0]])).round(6)
    array([0., 1.])
    """
    turn = np.exp(2j * np.pi * np.arange(len(responses)) / len(responses))
    total = responses.sum(axis=0)
    length = np.abs(np.tensordot(turn, responses, 1))
    return np.divide(length, total, out=np.zeros_like(total), where=total > 0)


def sparseness(responses: Float[np.ndarray, "stimuli *neurons"]) -> Float[np.ndarray, "*neurons"]:
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

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import sparseness
    >>> sparseness(np.array([[1.0, 0.0], [-1.0, 2.0], [1.0, 0.0]]))
    array([0., 1.])
    """
    power = np.mean(responses**2, axis=0)
    density = np.divide(np.abs(responses).mean(axis=0) ** 2, power, out=np.ones_like(power), where=power > 0)
    return (1 - density) / (1 - 1 / len(responses))


def centres(grid: Grid, height: int, width: int) -> Float[np.ndarray, "neurons 2"]:
    """Centre of every neuron of a layer on an image.

    Parameters
    ----------
    grid : Grid
        Grid of the layer, which covers the image evenly.
    height, width : int
        Size of the image, in pixels.

    Returns
    -------
    array of shape (neurons, 2)
        Row and column in pixels; the centre of the first pixel is (0, 0).

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.analysis import centres
    >>> centres(sm.Grid(2, 2), 8, 8)[-1]
    array([5.5, 5.5])
    """
    sites = np.indices((grid.height, grid.width)).reshape(2, -1).T
    places = (sites + 0.5) * [height / grid.height, width / grid.width] - 0.5
    return places.repeat(grid.units, axis=0)


def extent(
    fields: Bool[np.ndarray, "neurons height width"], centres: Float[np.ndarray, "neurons 2"]
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

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import extent
    >>> row, column = np.indices((31, 31)) - 15
    >>> extent((row**2 + column**2 <= 100)[None], np.array([[15.0, 15.0]])).round()
    array([10.])
    """
    row, column = (np.arange(n) for n in fields.shape[1:])
    squares = (row - centres[:, :1])[:, :, None] ** 2 + (column - centres[:, 1:])[:, None, :] ** 2
    pixels = fields.sum(axis=(1, 2))
    total = (squares * fields).sum(axis=(1, 2))
    return np.sqrt(2 * np.divide(total, pixels, out=np.full(len(fields), np.nan), where=pixels > 0))
