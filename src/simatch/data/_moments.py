"""Alignment of images by their moments, as is common for handwritten digits."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import affine_transform

from ._image_error import ImageError

Images = Float[np.ndarray, "samples height width channels"]


def framed(x: Images, *, deskew: bool, spread: float) -> Images:
    """Centre, shear and resize every image according to its centre of mass and its second moments.

    The output pixel at the offset ``p`` from the middle of the image is read at ``m + A p``, where m is the centre of
    mass. The matrix A removes the slant, so that the mean column is the same in all rows, and resizes.

    Parameters
    ----------
    x : array of shape (samples, height, width, channels)
        Images with pixels of at least 0, not all of them 0.
    deskew : bool
        Whether to remove the slant.
    spread : float
        Standard deviation in pixels to which height and width are moved half-way, in ratios; 0 for no resizing.

    Returns
    -------
    array of the same shape

    Raises
    ------
    ValueError
        If an image has negative pixels, or only pixels of 0.
    """
    each = (1, 2, 3)
    if (bad := (x.min(each) < 0) | (x.max(each) == 0)).any():
        raise ImageError(
            "has no centre of mass: deskew and spread need pixels of at least 0, not all of them 0; remove the image, "
            "or set deskew and spread to 0.",
            int(bad.argmax()),
        )
    middle = (np.array(x.shape[1:3]) - 1) / 2
    centres, covariances = _moments(x)
    # In an image with one row of ink the variance along the rows is 0, but rounding leaves a covariance.
    slants = covariances[:, 0, 1] / np.maximum(covariances[:, 0, 0], 1e-9) * deskew
    # Standard deviations along the columns, and along the rows after the slant is removed.
    height = covariances[:, 0, 0]
    width = covariances[:, 1, 1] - 2 * slants * covariances[:, 0, 1] + slants**2 * height
    sizes = np.sqrt(np.stack([height, width], 1).clip(0))
    # Half-way to the spread, in ratios; a stroke without width is not resized.
    factors = np.where((sizes > 0) & (spread > 0), np.sqrt(sizes / (spread or 1)), 1.0)
    out = np.empty_like(x)
    for image, new, centre, slant, (a, b) in zip(x, out, centres, slants, factors, strict=True):
        matrix = np.array([[a, 0], [slant * a, b]])
        offset = centre - matrix @ middle
        for channel in range(x.shape[3]):
            affine_transform(image[..., channel], matrix, offset, output=new[..., channel], order=1)
    return out


def _moments(x: Images) -> tuple[np.ndarray, np.ndarray]:
    """Centre (row, column) and covariance of the position, with pixels as weights."""
    rows, columns = (np.arange(n, dtype=float) for n in x.shape[1:3])
    ink = x.sum(3, dtype=float)
    weights = ink / ink.sum((1, 2), keepdims=True)
    by_row, by_column = weights.sum(2), weights.sum(1)
    centres = np.stack([by_row @ rows, by_column @ columns], 1)
    down, across = rows - centres[:, :1], columns - centres[:, 1:]
    mixed = np.einsum("nij,ni,nj->n", weights, down, across, optimize=True)
    own = (by_row * down**2).sum(1), (by_column * across**2).sum(1)
    return centres, np.stack([own[0], mixed, mixed, own[1]], 1).reshape(-1, 2, 2)
