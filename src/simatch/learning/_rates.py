"""Learning rates: schedules, and the largest rate at which weights stay bounded."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..network import Network, Term, signs_of

Schedule = Callable[[int], Any]
Rate = float | Schedule | Mapping[str, float | Schedule]

# The kinds of parameters that may have different rates, in the order in which arrays of rates hold them.
KINDS = ("descending", "ascending")

# How fast lateral weights learn compared with feedforward ones: as published, and so that no component of a linear
# network is lost, whatever the variances (section 9 of the mathematics).
PUBLISHED_RATIO, STABLE_RATIO = 0.5, 1.0


def hyperbolic(rate: float, *, over: int, decay: float = 20.0) -> Schedule:
    """Learning rate ``rate / (1 + decay n / over)`` at batch n of `over`.

    Parameters
    ----------
    rate : float
        Learning rate of the first batch, above 0.
    over : int
        Number of batches in the whole run, at least 1.
    decay : float
        At least 0; the rate at the end of the run is ``rate / (1 + decay)``.

    Returns
    -------
    callable
        Function from the number of a batch, from 0, to its learning rate.

    Examples
    --------
    >>> import simatch as sm
    >>> schedule = sm.hyperbolic(0.05, over=100)
    >>> round(float(schedule(0)), 4), round(float(schedule(100)), 4)
    (0.05, 0.0024)
    """
    return lambda n: rate / (1 + decay * n / max(over, 1))


def published_schedule(batch_size: int = 1) -> Schedule:
    """Published learning rate, ``max(5e-3 / (1 + 0.5 k), 1e-4)`` for the k-th thousand of samples, k from 0.

    Parameters
    ----------
    batch_size : int
        Samples in a batch, at least 1.

    Returns
    -------
    callable
        Function from the number of a batch, from 0, to its learning rate.

    References
    ----------
    Section 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.published_schedule()(2000)
    0.0025
    """
    return lambda n: max(5e-3 / (1 + 0.5 * (n * batch_size // 1000)), 1e-4)


def schedule_of(rate: Rate, ratio: float | None = None) -> Callable[[int], tuple[Any, Any]]:
    """Return a function from the number of a batch to the rates of descending and of ascending parameters.

    Raises
    ------
    ValueError
        If a mapping does not have a rate for each kind, or comes with a ratio; if the ratio is out of range.
    """
    if isinstance(rate, Mapping):
        check_kinds(rate)
        if ratio is not None:
            raise ValueError(f"Rates by kind already have a ratio, but ratio={ratio!r} was given too; leave one out.")
        descending, ascending = (_schedule(rate[kind]) for kind in KINDS)
        return lambda n: (descending(n), ascending(n))
    factor, schedule = ascent(ratio), _schedule(rate)

    def both(n: int) -> tuple[Any, Any]:
        own = schedule(n)
        return own, factor * own

    return both


def ascent(ratio: float | None = None) -> float:
    """Return the factor by which ascending parameters move faster along their gradient than descending ones.

    The gradient of ``r' L r / 2 - sum L^2 / 4c`` is half of ``r r' - L / c``, hence twice the ratio.

    Raises
    ------
    ValueError
        If the ratio is not finite or not above 0.
    """
    ratio = STABLE_RATIO if ratio is None else ratio
    if not (np.isfinite(ratio) and ratio > 0):
        raise ValueError(f"The ratio of lateral to feedforward learning rates must be above 0, got {ratio!r}.")
    return 2 * float(ratio)


def check_kinds(rates: Mapping[str, Any]) -> None:
    """Raise ValueError unless there is exactly one rate for each kind of parameter."""
    if set(rates) != set(KINDS):
        raise ValueError(
            f"Rates by kind need one for each of {' and '.join(map(repr, KINDS))}, got "
            f"{', '.join(map(repr, rates)) or 'none'}."
        )


def _schedule(rate: Any) -> Schedule:
    return rate if callable(rate) else lambda _: rate


def largest_rate(net: Network, ratio: float | None = None) -> float:
    """Learning rate above which the decay of some weight overshoots 0.

    Parameters
    ----------
    net : Network
    ratio : float, optional
        Rate of lateral weights over that of feedforward weights, above 0; 1 by default.

    Returns
    -------
    float
        Infinity if no cost of a parameter has curvature.
    """
    limits = _limits(net)
    return min(limits["descending"], limits["ascending"] / ascent(ratio))


def _limits(net: Network) -> dict[str, float]:
    return dict(zip(KINDS, map(float, np.asarray(_largest_rates(net))), strict=True))


@eqx.filter_jit
def _largest_rates(net: Network) -> Float[Array, "2"]:
    decays: dict[int, list] = {-1: [], 1: []}
    for term in net.terms:
        for sign, decay in zip(*map(jax.tree.leaves, (signs_of(term), _decays(net, term))), strict=True):
            decays[sign].append(jnp.max(jnp.abs(decay)))
    # A cost without curvature sets no limit.
    return jnp.stack([1 / jnp.max(jnp.stack(d)) if d else jnp.asarray(jnp.inf) for d in (decays[-1], decays[1])])


def _decays(net: Network, term: Term):
    """Curvature of the cost in each parameter: its change at a rate of 1 and a distance of 1 from the minimum."""
    gradient = jax.grad(lambda parameters: net.term_weight(term) * term.cost(parameters))
    ones = jax.tree.map(jnp.ones_like, term.parameters)
    return jax.jvp(gradient, (term.parameters,), (ones,))[1]


def check_rate(net: Network, rate: float | Float[Array, ""] | Mapping[str, Any], ratio: float | None = None) -> None:
    """Raise ValueError if a learning rate is not above 0 or too large for this network's weights to stay bounded."""
    schedule_of(cast(Any, rate), ratio)  # refuses what is missing or out of range
    if any(
        isinstance(leaf, Tracer) for leaf in jax.tree.leaves((net, dict(rate) if isinstance(rate, Mapping) else rate))
    ):
        return  # inside a compiled function there are no values to check
    if isinstance(rate, Mapping):
        pairs = [(f" for the {kind} parameters", rate[kind], limit) for kind, limit in _limits(net).items()]
    else:
        pairs = [("", rate, largest_rate(net, ratio))]
    for whose, own, limit in pairs:
        if not (np.isfinite(own) and 0 < own <= limit):
            raise ValueError(
                f"The learning rate{whose} must be above 0 and at most {limit:.3g} for this network (beyond it weights "
                f"overshoot and diverge), got {own!r}."
            )
