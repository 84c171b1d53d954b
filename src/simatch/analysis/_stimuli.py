"""Stimuli: images that show what units respond to."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from .._arrays import real
from .._checks import number, whole

_AXES = "samples", "height", "width", "channels"
Images = Float[np.ndarray, "samples height width channels"]


def phase_scrambled(images: Shaped[np.ndarray, "samples height width channels"], *, seed: int = 0) -> Images:
    """Randomise the phases of images and keep the amplitude spectrum of each image.

    An image keeps the power at each spatial frequency and orientation, but loses its edges and parts and their
    positions. All channels of an image get the same phases.

    Parameters
    ----------
    images : array of shape (samples, height, width, channels)
    seed : int
        Seed of the phases, at least 0.

    Returns
    -------
    array of the same shape and type, float32 for whole numbers

    Raises
    ------
    ValueError
        If `images` have another shape, are empty, or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import phase_scrambled
    >>> x = np.random.default_rng(1).normal(size=(3, 8, 8, 1))
    >>> amplitude = lambda images: np.abs(np.fft.fft2(images, axes=(1, 2)))
    >>> bool(np.allclose(amplitude(phase_scrambled(x)), amplitude(x)))
    True
    """
    images = real(images, "Images", *_AXES)
    axes, size = (1, 2), images.shape[1:3]
    # The phases of a real image have the symmetry that makes the inverse transform real.
    noise = np.random.default_rng(whole(seed, "The seed", least=0)).standard_normal((len(images), *size, 1))
    phases = np.exp(1j * np.angle(np.fft.rfft2(noise, axes=axes)))
    # The mean of an image and its sign do not change.
    phases[:, 0, 0] = 1
    return np.fft.irfft2(np.fft.rfft2(images, axes=axes) * phases, s=size, axes=axes).astype(images.dtype)


def gratings(
    height: int, width: int, *, orientations: int = 16, wavelengths: Sequence[float] = (6.0, 8.0, 12.0), phases: int = 8
) -> Float[np.ndarray, "orientations wavelengths phases height width"]:
    """Sinusoidal gratings that fill the image.

    Parameters
    ----------
    height, width : int
        Size of the image, at least 1, in pixels.
    orientations : int
        Number of orientations, at least 1, evenly spaced over half a turn. The stripes of orientation k run along the
        angle ``pi k / orientations``, from the axis of columns towards that of rows.
    wavelengths : sequence of float
        Wavelengths, above 0, in pixels.
    phases : int
        Number of phases, at least 1, evenly spaced over a period.

    Returns
    -------
    float32 array of shape (orientations, wavelengths, phases, height, width)
        Each image has a root mean square of 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Examples
    --------
    >>> from simatch.analysis import gratings
    >>> gratings(16, 16, orientations=4, phases=2).shape
    (4, 3, 2, 16, 16)
    """
    height, width = whole(height, "The height"), whole(width, "The width")
    orientations, phases = whole(orientations, "The number of orientations"), whole(phases, "The number of phases")
    wavelengths = [number(length, "A wavelength", above=0) for length in wavelengths]
    angle = (np.pi * np.arange(orientations) / orientations)[:, None, None, None, None]
    length = np.asarray(wavelengths, float)[:, None, None, None]
    phase = (2 * np.pi * np.arange(phases) / phases)[:, None, None]
    across = np.cos(angle) * np.arange(height)[:, None] - np.sin(angle) * np.arange(width)
    return _unit(np.sin(2 * np.pi * across / length + phase))


def edges(
    height: int, width: int, *, orientations: int = 4, spacing: int = 4, wavelength: float = 8.0, size: float = 2.0
) -> Float[np.ndarray, "orientations rows columns phases height width"]:
    """Short edges and bars (Gabor patches), centred on a lattice of positions.

    Parameters
    ----------
    height, width : int
        Size of the image, at least 1, in pixels.
    orientations : int
        Number of orientations, as in `gratings`.
    spacing : int
        Distance of neighbouring centres, at least 1, in pixels; the first centre is half of it from the border.
    wavelength, size : float
        Wavelength of the grating, and standard deviation of its Gaussian envelope, above 0, in pixels.

    Returns
    -------
    float32 array of shape (orientations, rows, columns, 2, height, width)
        On the fourth axis, 0 is an edge (odd) and 1 a bar (even). Each image has a root mean square of 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Examples
    --------
    >>> from simatch.analysis import edges
    >>> edges(16, 16, spacing=8).shape
    (4, 2, 2, 2, 16, 16)
    """
    height, width = whole(height, "The height"), whole(width, "The width")
    orientations, spacing = whole(orientations, "The number of orientations"), whole(spacing, "The spacing")
    wavelength, size = number(wavelength, "The wavelength", above=0), number(size, "The size", above=0)
    angle = (np.pi * np.arange(orientations) / orientations)[:, None, None, None, None]
    down = np.arange(height)[:, None] - (np.arange(spacing / 2, height, spacing) - 0.5)[:, None, None, None]
    right = np.arange(width) - (np.arange(spacing / 2, width, spacing) - 0.5)[:, None, None]
    across = np.cos(angle) * down - np.sin(angle) * right
    envelope = np.exp(-(down**2 + right**2) / (2 * size**2))
    waves = [wave(2 * np.pi * across / wavelength) * envelope for wave in (np.sin, np.cos)]
    return _unit(np.stack(waves, axis=3))


def occluded(
    images: Shaped[np.ndarray, "samples height width channels"], size: int
) -> Float[np.ndarray, "rows columns samples height width channels"]:
    """Copies of images in each of which one square is covered with 0.

    Parameters
    ----------
    images : array of shape (samples, height, width, channels)
    size : int
        Side of a square in pixels, at least 1; must divide height and width.

    Returns
    -------
    array of shape (height / size, width / size, samples, height, width, channels)
        The first two axes are the row and the column of the covered square.

    Raises
    ------
    ValueError
        If the squares do not cover the image evenly, or if `images` have another shape, are empty, or hold NaN or
        infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.analysis import occluded
    >>> occluded(np.ones((1, 4, 4, 1)), 2)[0, 1, 0, :, :, 0]
    array([[1., 1., 0., 0.],
           [1., 1., 0., 0.],
           [1., 1., 1., 1.],
           [1., 1., 1., 1.]])
    """
    images, size = real(images, "Images", *_AXES), whole(size, "The side of a square")
    height, width = images.shape[1:3]
    if height % size or width % size:
        raise ValueError(
            f"Squares of {size} pixels do not cover images of {height} by {width} evenly; use a divisor of both sides."
        )
    keep = np.kron(
        1 - np.eye(height * width // size**2, dtype=images.dtype).reshape(-1, height // size, width // size),
        np.ones((1, size, size), images.dtype),
    )
    covered = images * keep[:, None, :, :, None]
    return covered.reshape(height // size, width // size, *images.shape)


def _unit(waves: np.ndarray) -> np.ndarray:
    return (waves / np.sqrt(np.mean(waves**2, axis=(-2, -1), keepdims=True))).astype(np.float32)
