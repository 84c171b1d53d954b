"""Learning rates: schedules, the ratio of lateral to feedforward rates, and the limits that decay sets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import number, whole
from ..network import Network, Term, signs_of

Schedule = Callable[[int], Any]
"""Function from the number of a batch, from 0, to a learning rate, such as a schedule of Optax."""
Rate = float | Schedule | Mapping[str, float | Schedule]
"""A learning rate or schedule, or one each for ``"descending"`` and ``"ascending"`` parameters."""

# The kinds of parameters that may have different rates, in the order in which arrays of rates hold them.
KINDS = ("descending", "ascending")

PUBLISHED_RATIO = 0.5
"""How fast lateral weights learn compared with feedforward ones, as published (equation 5)."""

# So that no component of a linear network is lost, whatever the variances (section 9 of the mathematics).
STABLE_RATIO = 1.0

# Batches in which the automatic rate rises.
_RISING = 10


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

    Raises
    ------
    ValueError
        If `over` is not a whole number of at least 1, or `decay` is negative or not finite.

    Examples
    --------
    >>> import simatch as sm
    >>> schedule = sm.hyperbolic(0.05, over=100)
    >>> round(float(schedule(0)), 4), round(float(schedule(100)), 4)
    (0.05, 0.0024)
    """
    over = whole(over, "The number of batches")
    decay = number(decay, "The decay of the learning rate", least=0)
    return lambda n: rate / (1 + decay * n / over)


def rising(schedule: Schedule, *, over: int) -> Schedule:
    """Return a schedule that rises in proportion to that of another one over the first batches.

    Parameters
    ----------
    schedule : callable
        Function from the number of a batch, from 0, to its learning rate.
    over : int
        Number of batches, at least 1, until the rate is that of `schedule`.

    Returns
    -------
    callable
        Function from the number of a batch, from 0, to its learning rate.

    Raises
    ------
    ValueError
        If `over` is not a whole number of at least 1.

    Examples
    --------
    >>> from simatch.learning import rising
    >>> [rising(lambda n: 0.5, over=10)(n) for n in (0, 4, 9, 20)]
    [0.05, 0.25, 0.5, 0.5]
    """
    over = whole(over, "The number of batches")
    return lambda n: schedule(n) * min(1.0, (n + 1) / over)


def automatic_rate(batch_size: int, count: int | None = None) -> Schedule:
    """Learning rate of the averaging rule if the user gives none: ``0.5 / (max(1, 100 / batch_size) + n / 19)``.

    In the first 10 batches the rate rises to this: lateral weights do not know yet which units respond together, and a
    long first step would silence most units that cannot be negative for ever. Batches of fewer than 100 samples have
    a smaller rate, so that as many samples count at the beginning. If a batch holds all of the `count` samples, there
    is no noise that the rate has to average out: it stays at 0.5.

    Parameters
    ----------
    batch_size : int
        Samples in a batch, at least 1.
    count : int, optional
        Number of all samples, at least 1, if it is known.

    Returns
    -------
    callable
        Function from the number of a batch, from 0, to its learning rate.

    Examples
    --------
    >>> from simatch.learning import automatic_rate
    >>> automatic_rate(100, 100)(0), automatic_rate(100, 100)(99), automatic_rate(400, 1000)(19)
    (0.05, 0.5, 0.25)
    """
    first, falling = max(1.0, 100 / batch_size), 1 / 19
    if count is not None and batch_size >= count:
        first, falling = 1.0, 0.0
    return lambda n: 0.5 / (first + n * falling) * min(1.0, (n + 1) / _RISING)


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

    Raises
    ------
    ValueError
        If `batch_size` is not a whole number of at least 1.

    References
    ----------
    Section 4 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.published_schedule()(2000)
    0.0025
    """
    batch_size = whole(batch_size, "The batch size")
    return lambda n: max(5e-3 / (1 + 0.5 * (n * batch_size // 1000)), 1e-4)


def schedule_of(rate: Rate, ratio: float | None = None) -> Callable[[int], tuple[Any, Any]]:
    """Return a function from the number of a batch to the rates of descending and of ascending parameters.

    Parameters
    ----------
    rate : float, callable, or mapping from "descending" and "ascending" to these
        Learning rate above 0 or schedule, as in `training`.
    ratio : float, optional
        Rate of lateral (ascending) weights over that of feedforward (descending) ones, above 0; 1 by default.

    Returns
    -------
    callable
        Function from the number of a batch, from 0, to the pair of its rates. The second is ``2 ratio`` times the
        first, because the gradient of the energy of lateral synapses, r'Lr/2, has a factor of 1/2.

    Raises
    ------
    ValueError
        If a mapping does not have a rate for each kind, or comes with a ratio; if the ratio is out of range.

    Examples
    --------
    >>> from simatch.learning import schedule_of
    >>> schedule_of(0.1)(0), schedule_of(0.1, ratio=0.5)(0), schedule_of({"descending": 0.1, "ascending": 0.3})(7)
    ((0.1, 0.2), (0.1, 0.1), (0.1, 0.3))
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
    return 2 * number(ratio, "The ratio of lateral to feedforward learning rates", above=0)


def check_kinds(rates: Mapping[str, Any]) -> None:
    """Raise ValueError unless there is exactly one rate for each kind of parameter."""
    if set(rates) != set(KINDS):
        raise ValueError(
            f"Rates by kind need one for each of {' and '.join(map(repr, KINDS))}, got "
            f"{', '.join(map(repr, rates)) or 'none'}."
        )


def _schedule(rate: Any) -> Schedule:
    return rate if callable(rate) else lambda _: rate


def curvature_limits(net: Network, terms: Sequence[Term]) -> Float[Array, "2"]:
    """Rates of descending and ascending parameters of some terms, along the gradient, at which a decay reaches 0."""
    decays: dict[int, list] = {-1: [], 1: []}
    for term in terms:
        for sign, decay in zip(*map(jax.tree.leaves, (signs_of(term), _decays(net, term))), strict=True):
            decays[sign].append(jnp.max(jnp.abs(decay)))
    # A cost without curvature sets no limit.
    return jnp.stack([1 / jnp.max(jnp.stack(d)) if d else jnp.asarray(jnp.inf) for d in (decays[-1], decays[1])])


def _decays(net: Network, term: Term):
    """Curvature of the cost in each parameter: its change at a rate of 1 and a distance of 1 from the minimum."""
    gradient = jax.grad(lambda parameters: net.term_weight(term) * term.cost(parameters))
    ones = jax.tree.map(jnp.ones_like, term.parameters)
    return jax.jvp(gradient, (term.parameters,), (ones,))[1]
