"""Settings of relaxation, checked in the same way by every function that takes them."""

import functools
from typing import Any

import equinox as eqx
from jax.core import Tracer

from .._checks import number, whole
from ._solver import Solver


def check_solving(solver: Solver | None, tolerance: float = 1e-3) -> float:
    """Return the tolerance as a float.

    Parameters
    ----------
    solver : Solver or None
    tolerance : float
        Above 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the solver is not a `Solver`, or the tolerance is not finite and above 0.

    Examples
    --------
    >>> from simatch.relaxation import check_solving
    >>> check_solving(None, 0.0)
    Traceback (most recent call last):
    ValueError: The tolerance must be finite and above 0, got 0.0.
    """
    if solver is not None and not isinstance(solver, Solver):
        hint = f"{solver.__name__}()" if isinstance(solver, type) and issubclass(solver, Solver) else "sm.Blockwise()"
        raise ValueError(f"A solver is an object such as {hint}, got {solver!r}; pass one, or None for the default.")
    return number(tolerance, "The tolerance", above=0)


def count_field(name: str, default: int) -> Any:
    """Field of a solver that holds a number of steps, at least 1."""
    return eqx.field(static=True, default=default, converter=functools.partial(whole, what=name))


def length_field(name: str, default: float, **bound: float) -> Any:
    """Field of a solver that holds a finite number within a bound."""

    def converter(value: Any) -> Any:
        return value if isinstance(value, Tracer) else number(value, name, **bound)

    return eqx.field(default=default, converter=converter)
