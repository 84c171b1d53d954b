"""Activation functions f, their costs F, and the proximal step of solvers.

Equation (2) of ``docs/mathematics.md`` relates f and F: ``F'(r) = u - r`` where ``r = f(u)``.
"""

import abc
import inspect
import math
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _native as native
from .._arrays import constant
from .._checks import number
from ._registry import named, names, register


class Activation(eqx.Module):
    """Activation function of a neuron. A subclass defines two methods: `__call__` (f) and `cost` (F).

    f must be nondecreasing with slope at most 1, so that F is convex. The proximal step and the saturated units
    are computed from f and the bounds. A subclass may override `prox` with a closed form, which is faster.

    Attributes
    ----------
    lower, upper : float
        Bounds of the activity; ``-inf`` and ``inf`` (the defaults) if it is unbounded.
    scale_free : bool
        Whether ``f(a u) = a f(u)`` for all a > 0, so that the size of the input does not matter. False by default.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> class Softsign(sm.Activation):
    ...     lower, upper = -1.0, 1.0
    ...     def __call__(self, u):
    ...         return u / (1 + jnp.abs(u))
    ...     def cost(self, r):
    ...         return -jnp.abs(r) - jnp.log1p(-jnp.abs(r)) - r**2 / 2
    >>> float(Softsign()(1.0))
    0.5
    """

    lower: ClassVar[float] = -math.inf
    upper: ClassVar[float] = math.inf
    scale_free: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Activity ``r = f(u)`` of neurons at the potentials `u`, elementwise.

        Parameters
        ----------
        u : array of any shape
            Potentials.

        Returns
        -------
        array of the same shape
        """

    @abc.abstractmethod
    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        """Cost ``F(r)`` of the activities `r`, elementwise.

        Parameters
        ----------
        r : array of any shape
            Activities.

        Returns
        -------
        array of the same shape
        """

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        """Solve ``step u + (1 - step) f(u) = z`` for the potential `u`, elementwise.

        ``f(u)`` is then the proximal point of ``step F`` at `z` (equation 13 of ``docs/mathematics.md``). The
        slope of the left side lies between 1 and `step`, so one evaluation brackets the root. Newton's method
        finds it inside the bracket; a bisection replaces each Newton step that would leave the bracket or is
        longer than half of the step before.

        Parameters
        ----------
        z : array of any shape
            Potentials after a step along the force.
        step : array
            Length of the proximal step, above 0; of a shape that is broadcastable against `z`.

        Returns
        -------
        array
            The potentials u, of the shape of `z`.
        """

        def excess(u):
            r, slope = jax.jvp(self, (u,), (jnp.ones_like(u),))
            return step * u + (1 - step) * r - z, step + (1 - step) * slope

        gap, _ = excess(z)
        ends = z - gap, z - gap / step
        below, above = jnp.minimum(*ends), jnp.maximum(*ends)

        def narrow(_, state):
            below, above, u, move = state
            gap, slope = excess(u)
            below, above = jnp.where(gap < 0, u, below), jnp.where(gap < 0, above, u)
            newton = u - gap / slope
            good = (newton >= below) & (newton <= above) & (jnp.abs(newton - u) <= move / 2)
            new = jnp.where(good, newton, (below + above) / 2)
            return below, above, new, jnp.abs(new - u)

        middle = (below + above) / 2
        return jax.lax.fori_loop(0, 30, narrow, (below, above, middle, above - below))[2]

    def refine(
        self, z: Float[Array, "..."], step: Float[Array, "..."], u: Float[Array, "..."], r: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """Improve an approximate solution `u` of the equation of `prox`; by default, solve it with `prox`.

        Solvers call this in every step with the potentials of the step before. A subclass may therefore take a
        single Newton step here: repeated over the steps of the solver, it converges to the exact solution.

        Parameters
        ----------
        z, step : array
            Of the shapes in `prox`.
        u, r : array of the shape of `z`
            The approximate solution, and its activities ``r = f(u)``.

        Returns
        -------
        array
            The improved potentials, of the shape of `z`.
        """
        return self.prox(z, step)

    def saturated(self, r: Float[Array, "..."]) -> Array:
        """Whether an activity exceeds 90 % of a bound other than 0, elementwise.

        Parameters
        ----------
        r : array of any shape
            Activities.

        Returns
        -------
        bool array of the same shape
        """
        low = r < 0.9 * self.lower if self.lower < 0 else jnp.zeros_like(r, bool)
        return (r > 0.9 * self.upper) | low


@register("linear", Activation, native=native.SHRINK)
@final
class Linear(Activation):
    """``f(u) = u``, unbounded, ``F = 0``.

    References
    ----------
    Equation (2) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import Linear
    >>> Linear()(jnp.array([-2.0, 0.5])).tolist()
    [-2.0, 0.5]
    """

    scale_free: ClassVar[bool] = True

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return u

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.zeros_like(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return z


@register("relu", Activation, native=native.SHRINK)
@final
class ReLU(Activation):
    """``f(u) = max(u, 0)``, ``r >= 0``, ``F = 0``.

    References
    ----------
    Equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import ReLU
    >>> ReLU()(jnp.array([-2.0, 0.5])).tolist()
    [0.0, 0.5]
    """

    lower: ClassVar[float] = 0.0
    scale_free: ClassVar[bool] = True

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(u, 0)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.zeros_like(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(z > 0, z, z / step)


def _threshold(value: Any) -> Any:
    # An array, so that programs serve all thresholds.
    return value if isinstance(value, jax.Array) else constant(number(value, "A threshold", least=0))


@register("soft_threshold", Activation, native=native.SHRINK)
@final
class SoftThreshold(Activation):
    """Two-sided soft threshold ``sign(u) max(|u| - threshold, 0)``, ``F(r) = threshold |r|``: sparse activities.

    Parameters
    ----------
    threshold : float
        Potential below which a neuron stays silent, at least 0.

    Raises
    ------
    ValueError
        If `threshold` is negative or not finite.

    References
    ----------
    Equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import SoftThreshold
    >>> SoftThreshold(0.5)(jnp.array([-2.0, 0.25])).tolist()
    [-1.5, 0.0]
    """

    threshold: Any = eqx.field(default=0.1, converter=_threshold)

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return u - jnp.clip(u, -self.threshold, self.threshold)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.threshold * jnp.abs(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        active = z + (1 - step) * self.threshold * jnp.sign(z)
        return jnp.where(jnp.abs(z) > step * self.threshold, active, z / step)


@register("shifted_relu", Activation, native=native.SHRINK)
@final
class ShiftedReLU(Activation):
    """One-sided soft threshold ``max(u - threshold, 0)``, ``r >= 0``, ``F(r) = threshold r``.

    Parameters
    ----------
    threshold : float
        Potential below which a neuron stays silent, at least 0.

    Raises
    ------
    ValueError
        If `threshold` is negative or not finite.

    References
    ----------
    Equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import ShiftedReLU
    >>> ShiftedReLU(0.5)(jnp.array([-2.0, 1.25])).tolist()
    [0.0, 0.75]
    """

    threshold: Any = eqx.field(default=0.1, converter=_threshold)
    lower: ClassVar[float] = 0.0

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(u - self.threshold, 0)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.threshold * r

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(z > step * self.threshold, z + (1 - step) * self.threshold, z / step)


@register("clip", Activation, native=native.SHRINK)
@final
class Clip(Activation):
    """``f(u) = min(max(u, 0), 1)``, ``0 <= r <= 1``, ``F = 0``.

    References
    ----------
    Equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import Clip
    >>> Clip()(jnp.array([-2.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    lower: ClassVar[float] = 0.0
    upper: ClassVar[float] = 1.0

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.clip(u, 0, 1)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.zeros_like(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(z < 0, z / step, jnp.where(z > 1, (z - 1) / step + 1, z))


@register("tanh", Activation, native=native.TANH)
@final
class Tanh(Activation):
    """``f(u) = tanh(u)``, ``-1 < r < 1``, ``F(r) = r artanh(r) + log(1 - r^2)/2 - r^2/2``.

    References
    ----------
    Equations (2) and (4) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from simatch.network import Tanh
    >>> [round(r, 3) for r in Tanh()(jnp.array([-2.0, 0.5])).tolist()]
    [-0.964, 0.462]
    """

    lower: ClassVar[float] = -1.0
    upper: ClassVar[float] = 1.0

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.tanh(u)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        # The expression of the docstring, rearranged to stay finite when r rounds to one.
        entropy = jax.scipy.special.xlogy(1 + r, 1 + r) + jax.scipy.special.xlogy(1 - r, 1 - r)
        return (entropy - r**2) / 2

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        # For z > 0 the left side is concave (convex, for step > 1), so Newton's method approaches the root
        # monotonically from its bound.
        size = jnp.abs(z)
        v = self._bound(size, step)
        for _ in range(5):
            v = self._newton(size, step, v, jnp.tanh(v))
        return jnp.sign(z) * v

    def refine(
        self, z: Float[Array, "..."], step: Float[Array, "..."], u: Float[Array, "..."], r: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # One Newton step, limited to the bound of the root, so that a poor start gives at least that bound.
        sign, size = jnp.sign(z), jnp.abs(z)
        bound = self._bound(size, step)
        beyond = (sign * u - bound) * (1 - step) >= 0
        near, response = jnp.where(beyond, sign * u, bound), jnp.where(beyond, sign * r, jnp.tanh(bound))
        v = self._newton(size, step, near, response)
        return sign * jnp.where((v - bound) * (1 - step) >= 0, v, bound)

    @staticmethod
    def _bound(size, step):
        """Lower (for step > 1, upper) bound of the root for ``z = size >= 0``, from tanh(v) <= min(v, 1)."""
        kink = (size - (1 - step)) / step
        return jnp.where(step < 1, jnp.maximum(size, kink), jnp.minimum(size, kink))

    @staticmethod
    def _newton(size, step, v, r):
        return v - (step * v + (1 - step) * r - size) / (step + (1 - step) * (1 - r * r))


def activation(name: "str | Activation") -> Activation:
    """Return the activation called `name`.

    Parameters
    ----------
    name : str or Activation
        ``"linear"``, ``"relu"``, ``"clip"``, ``"tanh"``, or ``"soft_threshold"`` and ``"shifted_relu"``,
        whose threshold (0.1 by default) follows a colon: ``"soft_threshold:0.2"``. `simatch.register` adds
        names for classes of your own. An `Activation` is returned unchanged.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If no activation has this name, if it takes no threshold but one is given, or if the threshold is not a
        number of at least 0.

    Examples
    --------
    >>> import simatch as sm
    >>> float(sm.activation("soft_threshold:0.25").threshold)
    0.25
    """
    if isinstance(name, Activation):
        return name
    kind, _, argument = str(name).partition(":")
    if kind not in names(Activation):
        raise ValueError(
            f"There is no activation {name!r}; use one of {', '.join(names(Activation))}, or an sm.Activation."
        )
    known = named(kind, Activation).kind
    settings = inspect.signature(known).parameters
    if not argument:
        return known()
    if len(settings) != 1:
        raise ValueError(f"The activation {kind!r} takes no number, so that {name!r} has no meaning; use {kind!r}.")
    try:
        number = float(argument)
    except ValueError:
        raise ValueError(f"The threshold in activation {name!r} is not a number.") from None
    return known(number)
