"""Kernels: similarities of inputs and landmarks."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import number, whole
from ._registry import register


class Kernel(eqx.Module):
    """A similarity f of inputs and landmarks.

    A subclass defines `__call__`; `own` may be overridden by something faster. f should be positive semidefinite and
    differentiable.

    References
    ----------
    ``docs/models/kernel.md``.

    Examples
    --------
    A kernel of one's own, which a network can be saved with:

    >>> import jax.numpy as jnp, simatch as sm
    >>> @sm.register("laplacian", sm.Kernel)
    ... class Laplacian(sm.Kernel):
    ...     def __call__(self, landmarks, x):
    ...         return jnp.exp(-jnp.sum(jnp.abs(landmarks[:, :, None] - x), axis=1))
    >>> float(Laplacian().own(jnp.ones((1, 3)))[0])
    1.0
    """

    @abc.abstractmethod
    def __call__(
        self, landmarks: Float[Array, "units inputs"], x: Float[Array, "inputs samples"]
    ) -> Float[Array, "units samples"]:
        """Return ``f(x, w)`` for every landmark w and every sample x.

        Parameters
        ----------
        landmarks : array of shape (units, inputs)
        x : array of shape (inputs, samples)

        Returns
        -------
        array of shape (units, samples)
        """

    def own(self, landmarks: Float[Array, "units inputs"]) -> Float[Array, " units"]:
        """Return ``f(w, w)`` for every landmark.

        Parameters
        ----------
        landmarks : array of shape (units, inputs)

        Returns
        -------
        array of shape (units,)
        """
        return jax.vmap(lambda w: self(w[None], w[:, None])[0, 0])(landmarks)


@register("radial", Kernel)
@final
class RadialKernel(Kernel):
    """Radial kernel ``exp(-|x - w|^2 / 2 width^2)``.

    Parameters
    ----------
    width : float
        Above 0, in the unit of the inputs.

    Raises
    ------
    ValueError
        If `width` is out of range.

    References
    ----------
    ``docs/models/kernel.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> round(float(sm.RadialKernel(2.0)(jnp.zeros((1, 1)), jnp.full((1, 1), 2.0))[0, 0]), 4)
    0.6065
    """

    width: float = eqx.field(static=True)

    def __init__(self, width: float = 1.0):
        self.width = number(width, "The width of a kernel", above=0)

    def __call__(
        self, landmarks: Float[Array, "units inputs"], x: Float[Array, "inputs samples"]
    ) -> Float[Array, "units samples"]:
        lengths = jnp.sum(landmarks**2, axis=1)[:, None] + jnp.sum(x**2, axis=0)
        return jnp.exp(-jnp.maximum(lengths - 2 * landmarks @ x, 0) / (2 * self.width**2))

    def own(self, landmarks: Float[Array, "units inputs"]) -> Float[Array, " units"]:
        return jnp.ones(len(landmarks), landmarks.dtype)


@register("polynomial", Kernel)
@final
class PolynomialKernel(Kernel):
    """Polynomial kernel ``(w.x + constant)^degree``.

    Parameters
    ----------
    degree : int
        At least 1.
    constant : float
        At least 0.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    ``docs/models/kernel.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.PolynomialKernel(2, 1.0)(jnp.ones((1, 2)), jnp.ones((2, 1)))[0, 0])
    9.0
    """

    degree: int = eqx.field(static=True)
    constant: float = eqx.field(static=True)

    def __init__(self, degree: int = 2, constant: float = 1.0):
        self.degree = whole(degree, "The degree of a kernel")
        self.constant = number(constant, "The constant of a kernel", least=0)

    def __call__(
        self, landmarks: Float[Array, "units inputs"], x: Float[Array, "inputs samples"]
    ) -> Float[Array, "units samples"]:
        return (landmarks @ x + self.constant) ** self.degree

    def own(self, landmarks: Float[Array, "units inputs"]) -> Float[Array, " units"]:
        return (jnp.sum(landmarks**2, axis=1) + self.constant) ** self.degree


@register("cosine_power", Kernel)
@final
class CosinePowerKernel(Kernel):
    """Power of the cosine, ``|x| |w| cos(x, w)^power``; with power 1 the dot product.

    It is proportional to the lengths of x and w, so that a factor on w does what a strength does.

    Parameters
    ----------
    power : int
        At least 1.

    Raises
    ------
    ValueError
        If `power` is out of range.

    References
    ----------
    Luther and Seung, NeurIPS 2022, arXiv 2204.07475; ``docs/models/kernel.md``.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> round(float(sm.CosinePowerKernel(2)(jnp.array([[2.0, 0.0]]), jnp.ones((2, 1)))[0, 0]), 4)  # cos = sqrt(1/2)
    1.4142
    """

    power: int = eqx.field(static=True)

    def __init__(self, power: int = 3):
        self.power = whole(power, "The power of a kernel")

    def __call__(
        self, landmarks: Float[Array, "units inputs"], x: Float[Array, "inputs samples"]
    ) -> Float[Array, "units samples"]:
        product = landmarks @ x
        if self.power == 1:
            return product
        lengths = _lengths(landmarks, 1)[:, None] * _lengths(x, 0)
        return product * (product / jnp.where(lengths > 0, lengths, 1)) ** (self.power - 1)

    def own(self, landmarks: Float[Array, "units inputs"]) -> Float[Array, " units"]:
        return jnp.sum(landmarks**2, axis=1)


def _lengths(x: Float[Array, "_ _"], axis: int) -> Float[Array, " _"]:
    """Lengths, with a derivative of 0 at 0."""
    squares = jnp.sum(x**2, axis=axis)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
