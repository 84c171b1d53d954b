"""Samples from which constructors find initial weights."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import real


def samples_of(samples: Any, inputs: int) -> Float[np.ndarray, "samples inputs"]:
    """Return samples as rows of as many inputs as the network has.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    rows = real(samples, "Samples", "samples", "inputs")
    if rows.shape[1] != inputs:
        raise ValueError(f"Samples have {rows.shape[1]} inputs, but the network has {inputs}.")
    return rows
