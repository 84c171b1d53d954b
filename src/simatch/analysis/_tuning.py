"""How selective units are, from their responses to stimuli: plain functions from arrays to arrays."""

import numpy as np
from jaxtyping import Bool, Float

from ..network import Grid


def orientation_selectivity(responses: Float[np.ndarray, "orientations *neurons"]) -> Float[np.ndarray, "*neurons"]:
    """Length of the mean response vector, ``|sum_k r_k exp(2i pi k / n)| / sum_k r_k``, one less circular variance.

    Parameters
    ----------
    responses : array of shape (orientations, ...)
        Size of the response, at least 0, to orientations that are evenly spaced over half a turn.

    Returns
    -------
    array
        1 for neurons that respond to one orientation only, 0 for those that respond to all alike, or never.

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
    """Treves and Rolls' sparseness over stimuli, ``(1 - <|r|>^2 / <r^2>) / (1 - 1/n)``.

    Parameters
    ----------
    responses : array of shape (stimuli, ...)
        At least two stimuli.

    Returns
    -------
    array
        1 for neurons that respond to one stimulus only, 0 for those that respond to all with the same size, or
        never; ``1 - 2/pi``, nearly, where responses are normally distributed about 0.

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
    """Row and column, in pixels of an image, on which every neuron of a layer is centred; pixel 0 lies at 0.

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
    """Radius of a disc with the same mean square distance from a neuron's centre, ``sqrt(2 <d^2>)``.

    The border of an image that cuts a disc through its centre does not change it.

    Parameters
    ----------
    fields : array of shape (neurons, height, width)
        The pixels that elicit a response.
    centres : array of shape (neurons, 2)
        In pixels, as `centres` returns them.

    Returns
    -------
    array of shape (neurons,)
        In pixels; NaN for a field without a pixel.

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
