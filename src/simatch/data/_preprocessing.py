"""Preprocessing of images before a network learns from them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._arrays import plain
from .._checks import number
from .._unchanged import unchanged_if_failed
from ..relaxation import LARGEST
from ._image_error import ImageError
from ._moments import framed

Images = Float[np.ndarray, "samples height width channels"]


class Preprocessing(TransformerMixin, BaseEstimator):
    """Align images, remove what they have in common, and set their scale.

    Each step is optional, and the steps act in the order of the parameters below. The mean image and the common scale
    are fitted on the training images only. The activities of a network grow with the scale of its input: the scale
    determines whether its code is silent, graded or binary.

    Parameters
    ----------
    deskew : bool
        Shear each image upright, so that the mean column is the same in all rows, and move its centre of mass to the
        middle; for handwriting.
    spread : float
        Move the centre of mass of each image to the middle, and resize height and width so that the standard deviation
        of each becomes the geometric mean of its value before and of this number of pixels, at least 0; 0 for no
        resizing.
    mean_image : bool
        Subtract the mean of all training images.
    blur : float
        Subtract from each image its own Gaussian blur with this standard deviation in pixels, at least 0, which leaves
        high spatial frequencies; 0 for no blur.
    own_mean : bool
        Subtract each image's own mean over its pixels and channels.
    own_scale : bool
        Divide each image by its own root mean square.
    scale : float
        Multiply all images by one factor, which gives the training images this root mean square, at least 0; 0 for no
        change.

    Attributes
    ----------
    mean_image_ : array of shape (height, width, channels), or 0.0
        Mean image that is subtracted from every image.
    factor_ : float
        Factor by which every image is multiplied.
    shape_ : tuple of int
        Height, width and channels of the training images.

    Raises
    ------
    ValueError
        By `fit`, `transform` and `fit_transform`: if a setting is out of range; if an array is not of shape (samples,
        height, width, channels), is empty, holds NaN or infinity, or differs in shape from the training images; if
        `own_mean` is set and an image is constant, or nothing is left of an image to be scaled; or if `deskew` or
        `spread` is set and an image has negative pixels or only pixels of 0.

    Notes
    -----
    Deskewing and resizing weight positions by the pixels. Pixels that they would read outside of the image are 0.

    See Also
    --------
    default_preprocessing : Preprocessing for each of the known data sets.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.data import Preprocessing
    >>> x = np.random.default_rng(0).random((5, 8, 8, 1))
    >>> centred = Preprocessing(own_mean=True, scale=0.5).fit_transform(x)
    >>> bool(abs(centred.mean((1, 2, 3))).max() < 1e-6), round(float(centred.std()), 3)
    (True, 0.5)
    """

    def __init__(
        self,
        *,
        deskew: bool = False,
        spread: float = 0.0,
        mean_image: bool = False,
        blur: float = 0.0,
        own_mean: bool = False,
        own_scale: bool = False,
        scale: float = 0.0,
    ):
        self.deskew = deskew
        self.spread = spread
        self.mean_image = mean_image
        self.blur = blur
        self.own_mean = own_mean
        self.own_scale = own_scale
        self.scale = scale

    def fit(self, X: np.ndarray, y: object = None) -> "Preprocessing":
        """Fit the mean image and the scale. If it fails, what was fitted before is kept.

        Parameters
        ----------
        X : array of shape (samples, height, width, channels)
            Training images.
        y : ignored

        Returns
        -------
        self
        """
        self._fit(X)
        return self

    def fit_transform(self, X: np.ndarray, y: object = None, **fit_params: object) -> np.ndarray:
        """Fit on training images and return them as `transform` would.

        Parameters
        ----------
        X : array of shape (samples, height, width, channels)
            Training images.
        y, **fit_params : ignored

        Returns
        -------
        array of the same shape, float32
        """
        x = self._fit(X)
        x *= np.float32(self.factor_)
        return x

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Process images.

        Parameters
        ----------
        X : array of shape (samples, height, width, channels)

        Returns
        -------
        array of the same shape, float32

        Raises
        ------
        ValueError
            As described for the class: if an array or an image cannot be used.
        """
        check_is_fitted(self, "factor_")
        x = self._checked(X)
        if self.shape_ != x.shape[1:]:
            raise ValueError(
                f"The images have shape {x.shape[1:]}, but the training images have {self.shape_}; pass images of the "
                "same shape."
            )
        x = self._remainder(self._framed(x))
        x *= np.float32(self.factor_)
        return x

    def to_dict(self) -> dict[str, Any]:
        """Return settings and fitted values as numbers and lists, for a TOML or JSON file.

        Returns
        -------
        dict of str to bool, number or list

        See Also
        --------
        from_dict
        """
        check_is_fitted(self, "factor_")
        fitted = {"shape": list(self.shape_), "factor": self.factor_}
        if self.mean_image:
            fitted["mean"] = np.asarray(self.mean_image_, float).ravel().tolist()
        return {**self.get_params(), **fitted}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Return the fitted preprocessing whose values `to_dict` returned.

        Parameters
        ----------
        values : mapping
            What `to_dict` returned.

        Returns
        -------
        Preprocessing

        Raises
        ------
        ValueError
            If a value is missing or unknown.

        Examples
        --------
        >>> import numpy as np
        >>> from simatch.data import Preprocessing
        >>> x = np.random.default_rng(0).random((5, 8, 8, 1))
        >>> fitted = Preprocessing(mean_image=True, scale=1.0).fit(x)
        >>> bool(np.all(Preprocessing.from_dict(fitted.to_dict()).transform(x) == fitted.transform(x)))
        True
        """
        values = dict(values)
        try:
            shape, factor = tuple(values.pop("shape")), float(values.pop("factor"))
            if len(shape) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape):
                raise ValueError(f"the shape of an image cannot be {shape}")
            mean = np.asarray(values.pop("mean"), np.float32) if values.get("mean_image") else None
            restored = cls(**values)
            restored._check_settings()
            if mean is not None and mean.shape != (math.prod(shape),):
                raise ValueError(f"a mean image of shape {mean.shape} is none of {shape}")
            restored.mean_image_ = 0.0 if mean is None else mean.reshape(shape)
            if not (np.isfinite(factor) and np.isfinite(restored.mean_image_).all()):
                raise ValueError("a value is not finite")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"These are not the values of a fitted Preprocessing ({error}).") from error
        restored.shape_, restored.factor_ = shape, factor
        return restored

    def _check_settings(self) -> None:
        for name in ("spread", "blur", "scale"):
            number(getattr(self, name), f"The {name} of Preprocessing", least=0)
        for name in ("deskew", "mean_image", "own_mean", "own_scale"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} of Preprocessing must be True or False, got {getattr(self, name)!r}.")

    @unchanged_if_failed
    def _fit(self, X: np.ndarray) -> np.ndarray:
        self._check_settings()
        x = self._checked(X)
        if self.blur and x.shape[1:3] == (1, 1):
            raise ValueError(f"A blur of {self.blur!r} pixels needs images, but these have one pixel; set it to 0.")
        x = self._framed(x)
        self.shape_ = x.shape[1:]
        self.mean_image_ = x.mean(0, dtype=np.float64).astype(np.float32) if self.mean_image else 0.0
        x = self._remainder(x)
        rms = _rms(x, None).item()
        if self.scale and not rms:
            raise ValueError(f"Nothing is left of these {len(x)} images to be scaled: they are all alike or zero.")
        self.factor_ = self.scale / rms if self.scale else 1.0
        return x

    def _checked(self, X: np.ndarray) -> np.ndarray:
        x = plain(X, "Images")
        if x.dtype.kind not in "fiub":
            raise ValueError(f"Images must be an array of real numbers, got one of type {x.dtype}.")
        if x.ndim != 4 or not x.size:
            raise ValueError(f"Images must have shape (samples, height, width, channels), got {x.shape}.")
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)  # a copy: the steps work in place
        each = (1, 2, 3)
        if (bad := ~((x.min(each) >= -LARGEST) & (x.max(each) <= LARGEST))).any():
            raise ValueError(
                f"The images hold NaN or infinity, or numbers beyond {LARGEST:g}, first in image {bad.argmax()}; "
                "remove or replace such values, or divide all images by their size."
            )
        if self.own_mean and (flat := x.min(each) == x.max(each)).any():
            first = int(flat.argmax())
            raise ImageError(
                f"is constant (every value is {x[first].flat[0]:g}), so it carries nothing to learn from; remove it.",
                first,
            )
        return x

    def _framed(self, x: np.ndarray) -> np.ndarray:
        return framed(x, deskew=self.deskew, spread=self.spread) if self.deskew or self.spread else x

    def _remainder(self, x: np.ndarray) -> np.ndarray:
        each = (1, 2, 3)
        x -= self.mean_image_
        if self.blur:
            # Outside of the image the nearest pixel is repeated, so that its border is not an edge.
            x -= gaussian_filter(x, sigma=(0, self.blur, self.blur, 0), mode="nearest")
        if self.own_mean:
            x -= x.mean(each, keepdims=True, dtype=np.float64).astype(np.float32)
        if self.own_scale:
            rms = _rms(x, each)
            if not rms.all():
                raise ImageError("has nothing left to be scaled; remove it.", int(rms.argmin()))
            x /= rms
        return x


def default_preprocessing(name: str) -> Preprocessing:
    """Return the default preprocessing of a data set.

    Parameters
    ----------
    name : str
        As in `simatch.data.load_dataset`. For all other sets, such as a user's file, the mean of each image is
        subtracted and the scale is set to 1.

    Returns
    -------
    Preprocessing
        Not fitted yet.

    Examples
    --------
    >>> from simatch.data import default_preprocessing
    >>> default_preprocessing("mnist")
    Preprocessing(own_mean=True)
    """
    if name in ("digits", "mnist"):  # as published
        return Preprocessing(own_mean=True)
    if name == "lfw":  # otherwise only the mean face and slow changes of light are learned
        return Preprocessing(mean_image=True, blur=3.0, scale=0.4)
    return Preprocessing(own_mean=True, scale=1.0)


def _rms(x: np.ndarray, axis: tuple[int, ...] | None) -> np.ndarray:
    # In units of the largest pixel, whose square would vanish in single precision if it is tiny.
    largest = max(-float(x.min()), float(x.max())) or 1.0
    square = x / np.float32(largest)
    np.square(square, out=square)
    return (largest * np.sqrt(np.mean(square, axis=axis, keepdims=True, dtype=np.float64))).astype(np.float32)
