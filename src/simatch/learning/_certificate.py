"""How far learning is from its optimum: primal cost, dual cost and the gap between them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import (
    Activities,
    Network,
    activity_costs,
    cost_shares,
    energy_gradients,
    in_default_precision,
    optimal_parameters,
    present,
)
from ..relaxation import INPUTS_CLAMPED, Inputs, Phase, Relaxation, Solver, relax
from ._learn import check_states


@dataclasses.dataclass(frozen=True)
class Certificate:
    """How far a network is from the optimum of learning, on given samples.

    Attributes
    ----------
    primal : float
        Cost (8) of the activities: the dual cost at the parameters that are optimal for these activities.
    dual : float
        Dual cost (9) at the parameters of the network. At the optimum of learning it equals `primal`.
    distance : float
        Sum over all terms of the absolute difference between their shares of the two costs, divided by ``|primal|``.
        It is at least ``|gap|``, and 0 only if every parameter is optimal for the activities. The gap can be 0 by
        accident, because feedforward weights make it smaller and lateral weights make it larger.
    samples : int
        Number of samples.

    References
    ----------
    Equation (22) of ``docs/mathematics.md``.
    """

    primal: float
    dual: float
    distance: float
    samples: int

    @property
    def gap(self) -> float:
        """Relative duality gap, ``(primal - dual) / |primal|``."""
        return (self.primal - self.dual) / max(abs(self.primal), 1e-30)

    def shortfall(self) -> str:
        """What separates the network from the optimum, in words."""
        return f"primal cost {self.primal:.4g}, dual cost {self.dual:.4g}, distance {self.distance:.2g}"

    def __str__(self) -> str:
        return (
            f"primal {self.primal:.5g}, dual {self.dual:.5g}, gap {self.gap:.2g}, distance from the optimum "
            f"{self.distance:.2g}"
        )


def certificate(
    net: Network,
    x: Inputs | Relaxation,
    *,
    phase: Phase | None = None,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
) -> Certificate:
    """Measure how far a network is from the optimum of learning.

    It compares the parameters with those that are optimal for the activities of the given samples. With few samples
    that were not learned from, part of the distance is due to the choice of samples and does not become 0: about the
    product of the variances of inputs and outputs, divided by the number of samples.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), dict of such arrays, or Relaxation
        Samples are relaxed first.
    phase : Phase, optional
        Phase in which the samples are relaxed, or in which the given relaxation was made.
    solver, tolerance
        As in `simatch.relax`.

    Returns
    -------
    Certificate

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge.

    Raises
    ------
    ValueError
        If the input does not fit the network and the phase, or if a term has parameters whose optimum for given
        activities has no closed form.

    References
    ----------
    Equation (22) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(200, 5)) * [3, 2, 1, 0.3, 0.1]
    >>> net, _ = sm.train(sm.layered(5, [sm.Layer(units=2, activation="linear")]), x, epochs=30, progress=False)
    >>> sm.certificate(net, x).distance < 0.01
    True
    """
    net, phase = in_default_precision(net), phase or INPUTS_CLAMPED
    out = x if isinstance(x, Relaxation) else relax(net, x, phase=phase, solver=solver, tolerance=tolerance)
    check_states(net, out.states, phase)
    primal, dual, distance = map(float, jax.device_get(_costs(net, out.states, phase)))
    return Certificate(primal, dual, distance / max(abs(primal), 1e-30), out.status.size)


@eqx.filter_jit
def _costs(net: Network, states: Activities, phase: Phase) -> Float[Array, "3"]:
    """Primal cost, dual cost, and the sum of the absolute differences of the terms' shares."""
    gradients = energy_gradients(net, states)
    best = tuple(
        own if there else term.parameters
        for term, own, there in zip(net.terms, optimal_parameters(net, states), present(net.terms, states), strict=True)
    )
    dual, primal = (
        jnp.stack([_sum(share) for _, share in cost_shares(own, states, gradients)])
        for own in (net, net.with_parameters(best))
    )
    activity = sum(jnp.mean(jnp.sum(c, axis=0)) for c in activity_costs(net, states, phase.relaxing(net)).values())
    return 2 * jnp.stack([activity + jnp.sum(primal), activity + jnp.sum(dual), jnp.sum(jnp.abs(primal - dual))])


def _sum(share: PyTree) -> Float[Array, ""]:
    return sum(map(jnp.sum, jax.tree.leaves(share)), start=jnp.zeros(()))
