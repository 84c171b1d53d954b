"""Health of layers: how much of their range units use, and whether activities say anything about the input."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._arrays import plain
from ..network import Activation, Activities, Network, Weights, mean

SILENT_BELOW = 0.05
"""A unit whose activity stays below this share of its bound is silent; without bounds, of the root mean square of its
layer."""
# A unit is constant if its standard deviation is at most this share of its root mean square, and a copy of another if
# they are more strongly correlated than this.
_CONSTANT_BELOW, _COPY_ABOVE = 0.01, 0.99
# Units and samples that are compared with each other at most, so that the cost of large layers stays small.
_COMPARED = 256
# Fewer samples do not tell whether a unit responds to none, to all, or like another one.
_ENOUGH = 16
# Roots of mean squares beyond these are out of any reasonable range: squares in single precision lose their digits.
_SMALLEST, _LARGEST = 1e-6, 1e6

# State, share of units from which it is told, in words, and what to change; in the order of severity.
_STATES = (
    (
        "silent",
        0.95,
        "respond to no sample",
        "raise the scale of the layer, centre the data, or lower the threshold of its activation",
    ),
    (
        "constant",
        0.95,
        "respond to every sample alike, whatever the input",
        "lower the feedback or the scale of the layer, or centre the data",
    ),
    (
        "copies",
        0.95,
        "are copies of another unit",
        "use fewer units, or standardise the data so that they vary in more directions",
    ),
    ("saturated", 0.95, "are near a bound, so that the code is binary", "lower the scale of the layer"),
    (
        "silent",
        0.5,
        "respond to no sample",
        "use fewer units, raise the scale of the layer, or lower the threshold of its activation",
    ),
)


class HealthWarning(UserWarning):
    """The activities of a layer say little about its input, or are out of any reasonable range."""


@dataclasses.dataclass(frozen=True)
class Health:
    """State of one layer on some samples.

    Attributes
    ----------
    saturated : float
        Share of activities beyond 90 % of a bound other than 0.
    silent : float
        Share of units whose activity is small for all samples: below 5 % of the smaller bound other than 0, or, if
        there is none, below 5 % of the root mean square of the layer.
    constant : float
        Share of units whose standard deviation over the samples is at most 1 % of their root mean square: what they do
        is independent of the input.
    copies : float
        Share of units with a correlation above 0.99 in magnitude with another unit of the layer. At most 256 units and
        256 samples are compared; constant units are no copies.
    size : float
        Root mean square of the activities.
    samples : int
        Number of samples.
    """

    saturated: float
    silent: float
    constant: float
    copies: float
    size: float
    samples: int

    @property
    def complaint(self) -> str | None:
        """What is wrong with the layer and what to change, in words; None if nothing is.

        Nearly all units (95 %) are silent, constant, copies or saturated, half of them are silent, or the size of the
        activities is not finite or beyond 1e-6 to 1e6. Fewer than 16 samples are not judged.
        """
        if self.samples < _ENOUGH:
            return None
        for state, least, what, remedy in _STATES:
            share = getattr(self, state)
            if share >= least:
                kind = "activities" if state == "saturated" else "units"
                return f"{share:.0%} of its {kind} {what}; {remedy}"
        if math.isfinite(self.size) and _SMALLEST <= self.size <= _LARGEST:
            return None
        return (
            f"its activities have a root mean square of {self.size:.2g}; divide the data by their standard deviation, "
            "or change the scale of the layer"
        )


def health(net: Network, activities: Activities) -> dict[str, Health]:
    """Return the health of every layer, judged from its activities.

    Parameters
    ----------
    net : Network
    activities : dict of str to array of shape (neurons, samples)
        Settled activities, such as ``out.states`` of a relaxation `out`. Layers that are not in it are left out.

    Returns
    -------
    dict of str to Health

    Raises
    ------
    ValueError
        If there are no activities of a layer, or they are empty or of another shape.

    Examples
    --------
    Inputs far below the threshold of all units:

    >>> import numpy as np, simatch as sm
    >>> from simatch.learning import health
    >>> x = 1e-3 * np.random.default_rng(0).normal(size=(100, 4))
    >>> net = sm.layered(4, [sm.Layer(units=3, activation="shifted_relu:0.1")])
    >>> health(net, sm.relax(net, x).states)["layer1"].complaint
    '100% of its units respond to no sample; raise the scale of the layer, ...
    """
    own = {name: _checked(activities[name], name) for name in net.layers if name in activities}
    if not own:
        raise ValueError(f"There are no activities of a layer; pass those of {', '.join(map(repr, net.layers))}.")
    return read(_figures_jit(net, own), max(r.shape[-1] for r in own.values()))


def _checked(r: Any, name: str) -> Float[Array, "neurons samples"]:
    """Activities as an array; they may be NaN or infinite, which their health tells."""
    r = r if isinstance(r, jax.Array) else plain(r, f"The activities of {name!r}")
    if r.dtype.kind not in "fiub" or r.ndim != 2 or not r.size:
        raise ValueError(
            f"The activities of {name!r} must be real numbers of shape (neurons, samples), got {r.dtype} of shape "
            f"{r.shape}."
        )
    return jnp.asarray(r, float)


def read(figures: Mapping[str, Mapping[str, Any]], samples: int) -> dict[str, Health]:
    """Return the health of every layer from what `figures` computed for this number of samples."""
    return {
        name: Health(**{key: float(value) for key, value in own.items()}, samples=samples)
        for name, own in jax.device_get(figures).items()
    }


def figures(net: Network, activities: Activities, weights: Weights = None) -> dict[str, dict[str, Float[Array, ""]]]:
    """Figures of `Health` for every layer, for use inside compiled functions.

    Samples of weight 0 are repetitions of others.
    """
    return {name: _layer(f, activities[name], weights) for name, f in net.activations.items() if name in activities}


_figures_jit = eqx.filter_jit(figures)


def root_mean_square(r: Float[Array, "neurons samples"], weights: Weights = None) -> Float[Array, ""]:
    """Root mean square of activities, for all sizes that single precision can hold."""
    largest = jnp.max(jnp.abs(r))
    return largest * jnp.sqrt(jnp.mean(mean(jnp.square(r / jnp.where(largest > 0, largest, 1)), weights)))


def _layer(activation: Activation, r: Float[Array, "neurons samples"], weights: Weights) -> dict[str, Float[Array, ""]]:
    size = root_mean_square(r, weights)
    bounds = [abs(b) for b in (activation.lower, activation.upper) if b and math.isfinite(b)]
    largest = jnp.max(jnp.abs(r), axis=1)
    # "At most", because a layer of zeros is silent.
    silent = largest <= SILENT_BELOW * (jnp.asarray(min(bounds), r.dtype) if bounds else size)
    # Each unit in its own unit, so that squares neither overflow nor vanish.
    own = r / jnp.where(largest > 0, largest, 1)[:, None]
    around = own - mean(own, weights)[:, None]
    spread, power = mean(around**2, weights), mean(own**2, weights)
    constant = spread <= _CONSTANT_BELOW**2 * power
    shares = {
        "saturated": mean(activation.saturated(r).astype(r.dtype), weights),
        "silent": silent,
        "constant": constant,
        "copies": _copies(around if weights is None else around * jnp.sqrt(weights), constant),
    }
    return {**{name: jnp.mean(share, dtype=r.dtype) for name, share in shares.items()}, "size": size}


def _copies(around: Float[Array, "neurons samples"], constant: Bool[Array, " neurons"]) -> Bool[Array, " some"]:
    """Whether each of some units, in the middle of a layer, is a copy of another one of these."""
    neurons, samples = around.shape
    # Neighbours, because the units of one site of a structured layer see the same inputs.
    first = max(0, neurons - _COMPARED) // 2
    some = slice(first, first + _COMPARED)
    around, varied = around[some, :: -(-samples // _COMPARED)], ~constant[some]
    length = jnp.sqrt(jnp.sum(around**2, axis=1))
    direction = around / jnp.where(length > 0, length, 1)[:, None]
    alike = jnp.abs(direction @ direction.T) > _COPY_ABOVE
    others = varied[:, None] & varied & ~jnp.eye(len(around), dtype=bool)
    return jnp.any(alike & others, axis=1)
