"""Contrastive learning: the difference of two phases."""

from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, ascent_gradients, energy, energy_gradients
from ..relaxation import Phase
from ._rule import Change, Rule


@final
class ContrastRule(Rule):
    """Every parameter moves along the derivative of ``(min E_beta - min E_0) / beta``, down or up by its sign.

    E_0 is the energy of the free phase and E_beta that of the nudged one, the terms of its phase included. Since both
    have settled, the derivative of a minimum is that of the energy at it, and each synapse compares what its two
    neurons do in the two phases. Costs of parameters drop out of the difference, so that nothing decays.

    For a finite beta this is not the gradient of the error that the nudge measures; it tends to it as beta goes to 0.

    Parameters
    ----------
    free, nudged : Phase
        The nudged phase should start from the "previous" one where the energy has several minima. It is pulled by a
        `simatch.Nudge`, or has outputs clamped to their targets.
    beta : float
        By what the difference is divided: the strength of the nudge, or 1 for clamped targets; not 0.

    Raises
    ------
    ValueError
        If beta is 0 or not finite.

    References
    ----------
    Equation (15) of ``docs/mathematics.md``; Scellier and Bengio 2017; Qin, Mudur, Pehlevan, *Neural Computation* 33
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
        if not (np.isfinite(beta) and beta != 0):
            raise ValueError(f"beta must be finite and not 0, got {beta!r}.")
        self.free, self.nudged, self.beta = free, nudged, jnp.asarray(beta, float)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return self.free, self.nudged

    def change(self, net: Network, settled: tuple[Activities, ...], state: PyTree, entries: Activities) -> Change:
        before, after = (energy_gradients(net, activities) for activities in settled)
        difference = jax.tree.map(lambda a, b: (b - a) / self.beta, before, after)
        least = [
            jnp.mean(energy(net, activities, relaxed=phase.relaxing(net), extra=phase.terms))
            for phase, activities in zip(self.phases, settled, strict=True)
        ]
        return Change(ascent_gradients(net, difference), state, (least[1] - least[0]) / self.beta)
