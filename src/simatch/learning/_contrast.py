"""Contrastive learning: a rule that compares two phases."""

from collections.abc import Sequence
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._checks import number
from ..network import Activities, Network, Term, Weights, ascent_gradients, energy, energy_gradient_differences, mean
from ..relaxation import Phase
from ._rule import Change, Rule, without_absent


@final
class ContrastRule(Rule):
    """Contrastive rule: each parameter moves along the derivative of ``(min E_beta - min E_0) / beta``, down or up.

    E_0 is the energy of the free phase, and E_beta that of the nudged phase with its additional terms. By the envelope
    theorem the derivative of a minimum in a parameter is that of the energy at fixed, settled activities. A synapse
    therefore compares the activities of its two neurons in the two phases. The cost of the parameters is the same in
    both phases and cancels, so weights do not decay. The sign of a parameter (`simatch.Term.signs`) says whether it
    descends or ascends.

    As beta goes to 0, the change becomes the gradient of the error that the nudge measures. For finite beta it differs
    from this gradient.

    Parameters
    ----------
    free : Phase
        The first phase, usually with the inputs clamped.
    nudged : Phase
        The second phase, with a `simatch.Nudge` towards a target or with outputs clamped to their targets. If the
        energy has several minima, it should start from the "previous" phase.
    beta : float
        Divisor of the difference, not 0: the strength of the nudge, or 1 for clamped targets.

    Raises
    ------
    ValueError
        If `beta` is 0 or not finite.

    References
    ----------
    Equation (18) of ``docs/mathematics.md``; Scellier and Bengio 2017; Qin, Mudur, Pehlevan, *Neural Computation* 33
    (2021).

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=8), sm.Layer(units=2)], feedback=1.0)
    >>> nudge = sm.Nudge("layer2", target="label", strength=0.5)
    >>> rule = sm.ContrastRule(
    ...     sm.Phase(), sm.Phase(["input", "label"], terms=[nudge], start="previous"), beta=0.5
    ... )
    >>> rng = np.random.default_rng(0)
    >>> batch = {"input": rng.normal(size=(200, 4)), "label": rng.normal(size=(200, 2))}
    >>> net, reports = sm.train(net, batch, rule=rule, rate=0.01, progress=False)
    """

    free: Phase
    nudged: Phase
    beta: Float[Array, ""]

    def __init__(self, free: Phase, nudged: Phase, beta: float = 1.0):
        if number(beta, "beta") == 0:
            raise ValueError(f"beta must be finite and not 0, got {beta!r}.")
        self.free, self.nudged, self.beta = free, nudged, jnp.asarray(beta, float)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return self.free, self.nudged

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        return jnp.full(2, jnp.inf)  # nothing decays

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        before, after = settled
        pairs = (phase.entries(net).items() for phase in self.phases)
        held = dict(set.intersection(*map(set, pairs)))
        difference = jax.tree.map(
            lambda d: d / self.beta, energy_gradient_differences(net, before, after, held, weights)
        )
        for phase in self.phases:
            difference = without_absent(net, difference, phase)
        least = [
            mean(energy(net, activities, relaxed=phase.relaxing(net), extra=phase.terms), weights)
            for phase, activities in zip(self.phases, settled, strict=True)
        ]
        return Change(ascent_gradients(net, difference), state, (least[1] - least[0]) / self.beta)
