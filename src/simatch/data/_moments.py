"""Images brought into a common frame by their own moments, as is customary for handwriting."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import affine_transform

Images = Float[np.ndarray, "samples height width channels"]


def framed(x: Images, *, deskew: bool, spread: float) -> Images:
    """Centre, shear and resize every image by its centre of mass and its second moments.

    An output pixel at ``p`` from the middle of the frame is read at ``m + A p``, where m is the centre of mass and A
    undoes the slant (the mean column is the same for every row) and resizes.
    """
    each = (1, 2, 3)
    if (bad := (x.min(each) < 0) | (x.max(each) == 0)).any():
        raise ValueError(
            f"Image {bad.argmax()} has no centre of mass: deskew and spread need pixels from 0 up, not all of them 0."
        )
    middle = (np.array(x.shape[1:3]) - 1) / 2
    centres, covariances = _moments(x)
    # Rounding leaves a covariance in an image of one row; its width is what it is
    slants = covariances[:, 0, 1] / np.maximum(covariances[:, 0, 0], 1e-9) * deskew
    # Standard deviations along the columns, and along the rows once the slant is gone
    height = covariances[:, 0, 0]
    width = covariances[:, 1, 1] - 2 * slants * covariances[:, 0, 1] + slants**2 * height
    sizes = np.sqrt(np.stack([height, width], 1).clip(0))
    # Half-way to the spread, in ratios: a stroke of no width stays as it is
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
