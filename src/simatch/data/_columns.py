"""The arrays of a file: what each is for, and whether it can be used."""

import warnings
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

# Whole numbers that double precision tells apart.
_EXACT = 2.0**53

Images = Float[np.ndarray, "samples height width channels"]

# What the arrays of a file are for, and the names that they may have; an earlier name comes before a later one.
NAMES = {
    "x_train": ("x_train", "x"),
    "y_train": ("y_train", "y", "person"),
    "x_test": ("x_test",),
    "y_test": ("y_test",),
}
KEYS = tuple(name for names in NAMES.values() for name in names)


def key_of(role: str, arrays: Mapping[str, np.ndarray]) -> str | None:
    """Name under which an array for this role is there."""
    return next((name for name in NAMES[role] if name in arrays), None)


def tell_ignored(arrays: Mapping[str, np.ndarray], tested: bool, where: str) -> None:
    """Warn about arrays that have a known name and are not used; `tested` says whether ``y_test`` is."""
    for role, names in NAMES.items():
        used = key_of(role, arrays)
        for name in names:
            if name in arrays and name != used:
                warnings.warn(f"In the {where}, {name} is ignored, because there is {used}.", stacklevel=4)
    if "y_test" in arrays and not tested:
        missing = " and ".join(role for role in ("x_test", "y_train") if key_of(role, arrays) is None)
        warnings.warn(f"In the {where}, y_test is ignored, because there is no {missing}.", stacklevel=4)


def check_same_scale(arrays: Mapping[str, np.ndarray], x_key: str, where: str) -> None:
    """Raise ValueError if only one part is scaled to [0, 1]."""
    if "x_test" not in arrays:
        return
    for scaled, key in ((x_key, "x_test"), ("x_test", x_key)):
        x = arrays[key]
        if arrays[scaled].dtype == np.uint8 and x.dtype != np.uint8 and x.dtype.kind in "fiu" and (x > 1).any():
            raise ValueError(
                f"In the {where}, {scaled} is of type uint8, so that 0..255 becomes 0..1, but {key} is of type "
                f"{x.dtype} with values up to {x[x > 1].max():g}; store both in the same type and range."
            )


def images_of(x: np.ndarray, key: str, where: str) -> Images:
    """Return an array as images in single precision, those of type uint8 scaled to [0, 1]; `where` is for errors."""
    if x.dtype.kind not in "fiub":
        raise ValueError(f"In the {where}, {key} must be an array of real numbers, got one of type {x.dtype}.")
    if x.ndim not in (2, 3, 4):
        raise ValueError(
            f"In the {where}, {key} has shape {x.shape}, but (samples, height, width), (samples, height, width, "
            "channels) or (samples, features) is needed."
        )
    if not x.size:
        raise ValueError(f"In the {where}, {key} is empty (shape {x.shape}); it needs at least one image.")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[1] < x.shape[2] and x.shape[3] > 4:
        channels, height, width = x.shape[1:]
        raise ValueError(
            f"In the {where}, {key} has shape {x.shape}, which seems to be {channels} channel{'s' * (channels > 1)} "
            f"before {height} by {width} pixels: store {key}.transpose(0, 2, 3, 1), channels last; or, if these are "
            f"images of {channels} by {height} pixels with {width} channels, {key}.transpose(0, 2, 1, 3)."
        )
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is reported below
        images = x.astype(np.float32)
    if x.dtype == np.uint8:
        images /= 255
    bad = np.asarray(~np.isfinite(images).all(axis=tuple(range(1, x.ndim))))
    if bad.any():
        raise ValueError(
            f"In the {where}, {key} holds NaN, infinity or numbers beyond float32 in {bad.sum()} of {len(bad)} images, "
            f"first in image {bad.argmax()}; remove or replace them."
        )
    height, width, channels = {2: (1, 1, -1), 3: (*x.shape[1:], 1), 4: x.shape[1:]}[x.ndim]
    return images.reshape(len(x), height, width, channels)


def labels_of(y: np.ndarray, key: str, count: int, where: str) -> np.ndarray:
    """Return labels as whole numbers or as text, one for each of `count` images."""
    if y.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"In the {where}, {key} has shape {y.shape}, but there are {count} images: one label for each."
        )
    y = y.reshape(count)
    if y.dtype.kind == "f":
        if (missing := np.isnan(y)).any():
            raise ValueError(
                f"In the {where}, {key} holds NaN for {missing.sum()} of {count} images, first for image "
                f"{missing.argmax()}; give each image a label, or remove {key}."
            )
        if (y == np.round(y)).all() and (np.abs(y) < _EXACT).all():
            return y.astype(np.int64)
    if y.dtype.kind not in "iubUS":
        raise ValueError(f"In the {where}, {key} must hold whole numbers or names, got values of type {y.dtype}.")
    if y.dtype.kind != "S":
        return y
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"In the {where}, {key} holds names that are not UTF-8 ({error}); encode them so.") from error
