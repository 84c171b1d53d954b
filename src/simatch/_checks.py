"""Checks of settings: the same words for the same mistake, wherever a setting enters."""

import math
import operator
from typing import Any


def whole(value: Any, what: str, *, least: int = 1) -> int:
    """Return a setting that is a whole number, NumPy's among them, as an int.

    Raises
    ------
    ValueError
        If it is not a whole number, or below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, got {value!r}.")
    return number


def number(value: Any, what: str, *, above: float | None = None, least: float | None = None) -> float:
    """Return a setting that is a finite number, above one bound or at least another, as a float.

    Raises
    ------
    ValueError
        If it is no number, is NaN or infinite, or is out of range.
    """
    bound = f"above {above:g}" if above is not None else "finite" if least is None else f"at least {least:g}"
    try:
        own = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        own = math.nan
    if not math.isfinite(own) or (above is not None and own <= above) or (least is not None and own < least):
        also = "" if bound == "finite" else "finite and "
        raise ValueError(f"{what} must be {also}{bound}, got {value!r}.")
    return own
