"""Synapses by which a neuron responds to the similarity of the input and a landmark."""

from collections.abc import Collection
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._kernels import Kernel
from ._pathway import checked_feedback
from ._registry import register
from ._term import Connection, Term
from .connectivity import Dense


@register("landmarks", Term)
@final
class Landmarks(Term):
    """Every neuron has a landmark w and a strength q: energy ``-r_post'(q o f(r_pre, w))``, cost ``q^2 f(w, w) / 2``.

    f is a kernel, and neuron i is driven by ``q_i f(x, w_i)``. With lateral synapses (`simatch.AntiHebbian`) the dot
    products of the activities match the kernel of the inputs, because for every neuron ``|<r_i phi(x)> - q_i
    phi(w_i)|^2 >= 0`` bounds the similarity that it accounts for (equations C1 and C2 of ``docs/models/kernel.md``).
    Learning fits ``q_i phi(w_i)`` to ``<r_i phi(x)>``.

    Parameters
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Dense
        Synapses between all neurons of both.
    kernel : Kernel
        f.
    feedback : float
        gamma, at least 0: how strongly `pre` feels the term, compared with `post`.
    parameters : dict, optional
        ``"landmarks"``, an array of shape (neurons of `post`, neurons of `pre`), and ``"strengths"``, one of shape
        (neurons of `post`,). By default a network draws landmarks from N(0, 1/4), with strengths of 1.

    Raises
    ------
    ValueError
        If `connectivity` lacks synapses, or `feedback` is out of range.

    References
    ----------
    Luther and Seung, NeurIPS 2022, arXiv 2204.07475.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> term = sm.Landmarks("x", "r", sm.Dense(sm.Grid(1, 1, 2), sm.Grid(1, 1, 1)), sm.RadialKernel(1.0))
    >>> parameters = {"landmarks": jnp.zeros((1, 2)), "strengths": jnp.array([2.0])}
    >>> float(term.energy(parameters, jnp.zeros((2, 1)), jnp.ones((1, 1)))[0]), float(term.cost(parameters))
    (-2.0, 2.0)
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Dense
    kernel: Kernel
    feedback: float = eqx.field(static=True)

    def __init__(
        self, pre: str, post: str, connectivity: Dense, kernel: Kernel, *, feedback: float = 0.0, parameters=None
    ):
        if connectivity.structure.ndim:
            raise ValueError(
                f"Landmarks of {pre!r} in {post!r} need synapses between all neurons; give a Dense connectivity "
                "without structure constants."
            )
        self.pre, self.post, self.connectivity, self.parameters = pre, post, connectivity, parameters
        self.kernel, self.feedback = kernel, checked_feedback(feedback)

    @classmethod
    def planned(cls, most: int, *, connectivity: Dense, **arguments: Any) -> int:
        return connectivity.post.size

    @property
    def populations(self) -> tuple[str, ...]:
        return self.pre, self.post

    @property
    def felt(self) -> tuple[float, ...]:
        return self.feedback, 1.0

    @property
    def connections(self) -> tuple[Connection, ...]:
        return ((self.pre, self.post, self.connectivity),)

    def energy(
        self, parameters: PyTree, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        similarities = self.kernel(parameters["landmarks"], pre)
        return -jnp.sum(parameters["strengths"][:, None] * post * similarities, axis=0)

    def cost(self, parameters: PyTree) -> Float[Array, ""]:
        return jnp.sum(parameters["strengths"] ** 2 * self.kernel.own(parameters["landmarks"])) / 2

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Landmarks from N(0, 1/4), and strengths of 1.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        dict of "landmarks", array of shape (units, inputs), and "strengths", array of shape (units,)
        """
        return {
            "landmarks": self.connectivity.normal(rng) / 2,
            "strengths": jnp.ones(self.connectivity.post.size),
        }

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return self.pre not in relaxing

    def curvature(self, parameters: PyTree, population: str) -> tuple[()] | None:
        return () if population == self.post else None
