"""Feedforward synapses that learn by the Hebbian rule of a regression."""

from collections.abc import Collection
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._pathway import Pathway, checked_feedback, checked_scale
from ._registry import register
from ._term import Term
from .connectivity import Connectivity


@register("whitened_hebbian", Term)
@final
class WhitenedHebbian(Pathway):
    """Feedforward synapses that regress on their input: energy ``-r_post' W r_pre + |W r_ref|^2 / 2c``, no cost.

    By default the reference r_ref is `pre` itself. Then the rule is ``dW = <(r_post - W r_pre / c) r_pre'>``, so that
    the fixed point is ``W = c <r x'> <x x'>^-1``: the post population responds to the input as if the input were
    whitened. `Hebbian` has the fixed point ``c <r x'>``. The second part of the energy does not depend on the
    activities of `post`; `pre` feels both parts, times the feedback.
    A synapse needs the drive of its neuron through this pathway, ``W r_pre``, besides the activities at its ends.

    Another reference, a population of the size of `pre`, gives ``dW = <r_post r_pre' - W r_ref r_ref' / c>``: the
    response to the input is relative to the second moments of the reference. The same synapses carry both, so that a
    neuron keeps two sums of inputs apart, as in two compartments. With linear units and lateral synapses the network
    finds the leading solutions of ``A v = lambda B v``, where A has the second moments of the input, and B those of the
    reference (equations D1 and D2 of ``docs/models/generalised.md``).

    The optimal weights depend on the covariance of the reference, so that `AveragingRule` moves them along the
    gradient. It is stable at rates below ``2 c`` over the largest eigenvalue of ``<x x'>``, and directions of small
    variance are learned slowly.

    Parameters
    ----------
    pre, post : str
        Names of the populations at both ends.
    connectivity : Connectivity
        Which synapses exist; its structure constants must be 0 or 1.
    reference : str, optional
        Name of the population whose second moments whiten the input, with as many neurons as `pre`; `pre` by default.
    scale : float
        c, above 0. It multiplies the share of this input in the similarity that `post` matches.
    feedback : float
        gamma, at least 0: how strongly `pre` feels the term, compared with `post`.
    parameters : pytree of arrays, optional
        The weights, in the layout of `connectivity`; by default a network draws them as those of `Hebbian`.

    Raises
    ------
    ValueError
        If `scale` or `feedback` is out of range, a structure constant is neither 0 nor 1, or, when the energy is
        evaluated, if the reference has another number of neurons than `pre`.

    References
    ----------
    Bahroun, Sridharan, Acharya, Chklovskii, Sengupta 2023, arXiv 2308.02427; with a reference: Lipshutz, Bahroun,
    Golkar, Sengupta, Chklovskii, *Neural Computation* 35 (2023), arXiv 2302.10051.

    Examples
    --------
    The weights of a regression do not change:

    >>> import jax.numpy as jnp, numpy as np, simatch as sm
    >>> rng = np.random.default_rng(0)
    >>> x, r = rng.normal(size=(3, 50)), rng.normal(size=(2, 50))
    >>> w = np.linalg.lstsq(x.T, r.T)[0].T
    >>> pathway = sm.WhitenedHebbian("x", "r", sm.Dense(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)), parameters=w)
    >>> net = sm.Network({"x": sm.Population(3), "r": sm.Population(2, "linear")}, [pathway, sm.Leak("r")])
    >>> change = sm.GradientRule().change(net, ({"x": jnp.asarray(x), "r": jnp.asarray(r)},), None, {})
    >>> bool(jnp.abs(change.parameters[0]).max() < 1e-5)
    True
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: Connectivity
    reference: str = eqx.field(static=True)
    scale: Float[Array, ""]
    feedback: float = eqx.field(static=True)

    def __init__(
        self,
        pre: str,
        post: str,
        connectivity: Connectivity,
        *,
        reference: str | None = None,
        scale: float = 1.0,
        feedback: float = 0.0,
        parameters=None,
    ):
        for leaf in jax.tree.leaves(connectivity.structure):
            other = np.asarray(leaf)[~np.isin(leaf, (0, 1))]
            if other.size:
                raise ValueError(
                    f"The structure constants of {pre!r} to {post!r} must be 0 or 1 for whitened synapses, but one is "
                    f"{other.flat[0]:g}; give their common factor as the scale."
                )
        self.pre, self.post, self.connectivity, self.parameters = pre, post, connectivity, parameters
        self.reference = pre if reference is None else reference
        self.scale, self.feedback = checked_scale(scale), checked_feedback(feedback)

    @property
    def populations(self) -> tuple[str, ...]:
        return (self.pre, self.post) if self.reference == self.pre else (self.pre, self.reference, self.post)

    @property
    def felt(self) -> tuple[float, ...]:
        return *(self.feedback for _ in self.populations[:-1]), 1.0

    def energy(self, parameters: PyTree, *activities: Float[Array, "_ samples"]) -> Float[Array, " samples"]:
        pre, *reference, post = activities
        drive = own = self.connectivity.project(parameters, pre)
        if reference:
            if len(reference[0]) != len(pre):
                raise ValueError(
                    f"The reference {self.reference!r} has {len(reference[0])} neurons, but {self.pre!r} has "
                    f"{len(pre)}; give both the same number."
                )
            own = self.connectivity.project(parameters, reference[0])
        return jnp.sum(own**2 / (2 * self.scale) - drive * post, axis=0)

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights drawn from N(0, 1), divided by the square root of the mean number of inputs to a neuron.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        pytree in the layout of `connectivity`
        """
        inputs = self.connectivity.synapses / self.connectivity.post.size
        return self.connectivity.drawn(rng, np.sqrt(inputs))

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: PyTree, population: str) -> tuple[()] | None:
        # Only the lower end has a curvature, W'W, which the solver finds by differentiation.
        return () if population == self.post else None
