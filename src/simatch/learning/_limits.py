"""The largest learning rate at which weights stay bounded."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from .._arrays import is_traced
from ..network import Network
from ._rates import KINDS, Rate, ascent, schedule_of
from ._rule import DEFAULT_RULE, Rule


def largest_rate(net: Network, ratio: float | None = None, rule: Rule | None = None) -> float:
    """Learning rate above which the decay of some weight overshoots 0.

    Parameters
    ----------
    net : Network
    ratio : float, optional
        Rate of lateral weights over that of feedforward weights, above 0; 1 by default.
    rule : Rule, optional
        `AveragingRule` by default.

    Returns
    -------
    float
        Infinity if no cost of a parameter has curvature.

    Raises
    ------
    ValueError
        If the ratio is not finite or not above 0.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import largest_rate
    >>> largest_rate(sm.layered(4, [sm.Layer(units=2)]), rule=sm.GradientRule())
    1.0
    """
    limits = _limits(net, rule or DEFAULT_RULE)
    return min(limits["descending"], limits["ascending"] / ascent(ratio))


def check_rate(
    net: Network,
    rate: float | Float[Array, ""] | Mapping[str, Any],
    ratio: float | None = None,
    rule: Rule | None = None,
) -> None:
    """Check that a learning rate is above 0, and not too large for this network's weights to stay bounded.

    Nothing is checked inside a compiled function, where numbers have no values yet.

    Parameters
    ----------
    net : Network
    rate : float, or mapping from "descending" and "ascending" to float
        Above 0; a number is the rate of descending parameters.
    ratio : float, optional
        Rate of lateral (ascending) weights over that of feedforward (descending) ones, above 0; 1 by default. Not with
        a mapping.
    rule : Rule, optional
        `AveragingRule` by default.

    Raises
    ------
    ValueError
        If a rate is not above 0, or is above its limit (`largest_rate`), or if rate and ratio do not fit together.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import check_rate
    >>> check_rate(sm.layered(4, [sm.Layer(units=2)]), 3.0)
    Traceback (most recent call last):
    ValueError: The learning rate must be above 0 and at most 1 for this network ...
    """
    schedule_of(cast(Any, rate), ratio)  # refuses what is missing or out of range
    if is_traced(net, dict(rate) if isinstance(rate, Mapping) else rate):
        return  # inside a compiled function there are no values to check
    if isinstance(rate, Mapping):
        limits = _limits(net, rule or DEFAULT_RULE)
        pairs = [(f" for the {kind} parameters", rate[kind], limit) for kind, limit in limits.items()]
    else:
        pairs = [("", rate, largest_rate(net, ratio, rule))]
    for whose, own, limit in pairs:
        if not (np.isfinite(own) and 0 < own <= limit):
            raise ValueError(
                f"The learning rate{whose} must be above 0 and at most {limit:.3g} for this network (beyond it weights "
                f"overshoot and diverge), got {own!r}."
            )


def check_start(net: Network, rate: Rate, ratio: float | None, rule: Rule, start: int = 0) -> None:
    """Raise ValueError if a learning rate, or the first one of a schedule that begins at batch `start`, is bad."""
    if not any(map(callable, rate.values() if isinstance(rate, Mapping) else [rate])):
        check_rate(net, cast(Any, rate), ratio, rule)
    elif (error := planned_rates(schedule_of(rate, ratio), start, 1, net, rule)[1]) is not None:
        raise error


def planned_rates(
    schedule: Callable[[int], tuple[Any, Any]], first: int, count: int, net: Network, rule: Rule
) -> tuple[Float[np.ndarray, "2 batches"], Exception | None]:
    """Return the rates of the next `count` batches, or of those before a bad one, and the error about that one.

    The rates have a row for each of `KINDS`. A schedule, unlike a number, may give 0, as a rise from 0 does.
    """
    found: list[tuple[float, ...]] = []
    error = None
    for number in range(first, first + count):
        try:
            found.append(tuple(map(float, schedule(number))))
        except Exception as raised:
            raised.add_note(f"The schedule of learning rates raised this for batch {number}.")
            error = raised
            break
    rates = np.array(found).reshape(-1, len(KINDS)).T
    limits = np.array([*_limits(net, rule).values()])[:, None] * (1 + 1e-6)
    bad = np.flatnonzero(~np.all((rates >= 0) & (rates <= limits), axis=0))
    if bad.size:
        error = ValueError(
            f"The schedule gives batch {first + bad[0]} the learning rate {rates[0, bad[0]]:.3g}, which is not a "
            "number from 0 to the largest one for this network (`largest_rate`); change the schedule."
        )
        rates = rates[:, : bad[0]]
    return rates, error


def _limits(net: Network, rule: Rule) -> dict[str, float]:
    return dict(zip(KINDS, map(float, np.asarray(_largest_rates(net, rule))), strict=True))


@eqx.filter_jit
def _largest_rates(net: Network, rule: Rule) -> Float[Array, "2"]:
    return rule.largest_rates(net)
