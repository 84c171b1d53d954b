"""Activation functions f, their costs F, and the proximal step that solvers take with them.

Equation (2) of ``docs/mathematics.md`` ties the two: ``F'(r) = u - r`` where ``r = f(u)``.
"""

import abc
import inspect
import math
from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _native as native
from ._registry import named, names, register


class Activation(eqx.Module):
    """A neuron's activation function, to be subclassed with two methods: `__call__` (f) and `cost` (F).

    f must be nondecreasing with slope at most 1, which is what makes F convex. Everything else (the proximal
    step, the share of saturated units) is derived from f, F and the bounds, and may be given where a closed
    form is faster.

    Attributes
    ----------
    lower, upper : float
        Bounds of the activity, ``-inf`` and ``inf`` where there is none.

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

    @abc.abstractmethod
    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Activity ``r = f(u)`` of a neuron at potential `u`."""

    @abc.abstractmethod
    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        """Cost ``F(r)`` of an activity, elementwise."""

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        """Solve ``step u + (1 - step) f(u) = z`` for the potential `u`, elementwise.

        ``f(u)`` is then the proximal point of ``step F`` at `z` (section 6 of ``docs/mathematics.md``). The
        left side has slopes between 1 and `step`, so one evaluation brackets the root; inside the bracket
        Newton's method runs, replaced by bisection whenever it would leave or fails to halve its step.
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
        """Bring a potential `u`, with ``r = f(u)``, closer to the solution of the equation of `prox`.

        Solvers call this in every step with their last potential, so that an iteration may take one cheap
        step here and be exact in the limit. By default it is `prox` itself.
        """
        return self.prox(z, step)

    def saturated(self, r: Float[Array, "..."]) -> Array:
        """Whether an activity is within a tenth of a bound other than zero, elementwise."""
        low = r < 0.9 * self.lower if self.lower < 0 else jnp.zeros_like(r, bool)
        return (r > 0.9 * self.upper) | low


@register("linear", Activation, native=native.SHRINK)
@final
class Linear(Activation):
    """``f(u) = u``, unbounded, ``F = 0``."""

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return u

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.zeros_like(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return z


@register("relu", Activation, native=native.SHRINK)
@final
class ReLU(Activation):
    """``f(u) = max(u, 0)``, ``r >= 0``, ``F = 0``."""

    lower: ClassVar[float] = 0.0

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(u, 0)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.zeros_like(r)

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(z > 0, z, z / step)


def _threshold(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"A threshold must be finite and at least 0, got {value!r}.")
    return float(value)


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
    """

    threshold: float = eqx.field(static=True, default=0.1, converter=_threshold)

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
    """

    threshold: float = eqx.field(static=True, default=0.1, converter=_threshold)
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
    """``f(u) = min(max(u, 0), 1)``, ``0 <= r <= 1``, ``F = 0``."""

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
    """``f(u) = tanh(u)``, ``-1 < r < 1``, ``F(r) = r artanh(r) + log(1 - r^2)/2 - r^2/2``."""

    lower: ClassVar[float] = -1.0
    upper: ClassVar[float] = 1.0

    def __call__(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.tanh(u)

    def cost(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        # The same expression, arranged so that it stays finite when r rounds to one.
        entropy = jax.scipy.special.xlogy(1 + r, 1 + r) + jax.scipy.special.xlogy(1 - r, 1 - r)
        return (entropy - r**2) / 2

    def prox(self, z: Float[Array, "..."], step: Float[Array, "..."]) -> Float[Array, "..."]:
        # The left side is concave (convex, for step > 1) beyond zero, so that Newton's method approaches the
        # root monotonically from its bound.
        size = jnp.abs(z)
        v = self._bound(size, step)
        for _ in range(5):
            v = self._newton(size, step, v, jnp.tanh(v))
        return jnp.sign(z) * v

    def refine(
        self, z: Float[Array, "..."], step: Float[Array, "..."], u: Float[Array, "..."], r: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # One Newton step, never beyond the bound of the root: from a poor start it is no worse than that bound.
        sign, size = jnp.sign(z), jnp.abs(z)
        bound = self._bound(size, step)
        beyond = (sign * u - bound) * (1 - step) >= 0
        near, response = jnp.where(beyond, sign * u, bound), jnp.where(beyond, sign * r, jnp.tanh(bound))
        v = self._newton(size, step, near, response)
        return sign * jnp.where((v - bound) * (1 - step) >= 0, v, bound)

    @staticmethod
    def _bound(size, step):
        """Bound of the root for ``z = size >= 0``: from below, or above for step > 1, as tanh(v) <= min(v, 1)."""
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
        which take their threshold (0.1 by default) after a colon: ``"soft_threshold:0.2"``. An
        `Activation` is returned as it is. Kinds of your own come in with `simatch.register`.

    Raises
    ------
    ValueError
        If there is no such activation, or its threshold is not a number.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.activation("soft_threshold:0.2").threshold
    0.2
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
