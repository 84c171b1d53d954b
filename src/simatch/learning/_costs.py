"""The objective in its primal and dual form, and the shares of synapses and neurons in it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..network import (
    Activities,
    Network,
    activity_costs,
    cost_shares,
    energy_gradients,
    in_default_precision,
    optimal_parameters,
    total_cost,
)
from ..relaxation import INPUTS_CLAMPED, Inputs, Phase, Relaxation, relax
from ._learn import check_states


class Credit(eqx.Module):
    """The dual cost, split into shares of synapses and neurons.

    Attributes
    ----------
    synapses : tuple of pytrees
        For each term of the network, one number for each synapse in the layout of the term's parameters; 0 for a
        missing synapse if the layout has a place for it. A term that does not offer `simatch.Term.shares`, for example
        because its energy is not linear in its parameters, has one number for the whole term.
    neurons : dict of str to array of shape (neurons,)
        For each population that relaxed, one number for each neuron: the mean cost ``2 F(r)`` of its activity.
    """

    synapses: tuple[PyTree, ...]
    neurons: dict[str, Float[Array, " _"]]

    def total(self) -> Any:
        """Sum of all shares: the dual cost, a float, or a scalar array inside ``jax.jit``."""
        return _number(sum(jnp.sum(leaf) for leaf in jax.tree.leaves((self.synapses, self.neurons))))


def objective(net: Network, x: Inputs | Relaxation, *, phase: Phase | None = None) -> Any:
    """Dual cost (9), which learning descends in the feedforward weights and ascends in the lateral weights.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), dict of such arrays, or Relaxation
        Samples are relaxed first, with the defaults of `simatch.relax`.
    phase : Phase, optional
        Phase in which the samples are relaxed, or in which the given relaxation was made. The additional terms of the
        phase, such as a nudge, are not part of the cost.

    Returns
    -------
    float, or a scalar array inside ``jax.jit``
        Mean over the samples.

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge.

    Raises
    ------
    ValueError
        If the input does not fit the network and the phase.

    References
    ----------
    Equations (3) and (9) of ``docs/mathematics.md``. With feedback 0 the factors gamma^(p - P) are 1.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(16, [sm.Layer(units=4)])
    >>> x = jax.random.normal(jax.random.key(0), (50, 16))
    >>> out = sm.relax(net, x)
    >>> sm.objective(net, out) == sm.objective(net, x)
    True
    """
    net = in_default_precision(net)
    return _number(_dual(net, *_settled(net, x, phase)))


def similarity_cost(net: Network, x: Inputs | Relaxation, *, phase: Phase | None = None) -> Any:
    """Primal cost (8) of the activities: how well their similarities match those of the layer below.

    For one all-to-all layer it is equation (1) minus ``1/(2T^2) sum (x.x')^2``, which does not depend on the network.
    It is computed as the dual cost at the optimal parameters for the activities, so the double sum over samples becomes
    a sum of squared correlations over pairs of neurons.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), dict of such arrays, or Relaxation
        Samples are relaxed first, with the defaults of `simatch.relax`.
    phase : Phase, optional
        Phase in which the samples are relaxed, or in which the given relaxation was made. The additional terms of the
        phase, such as a nudge, are not part of the cost.

    Returns
    -------
    float, or a scalar array inside ``jax.jit``

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge.

    Raises
    ------
    ValueError
        If the input does not fit the network and the phase, or if a term has parameters whose optimum for given
        activities has no closed form (`simatch.Term.optimum`), so that there is no primal cost.

    References
    ----------
    Equations (1), (6) and (8) of ``docs/mathematics.md``.

    Examples
    --------
    No four linear units match similarities better than the four leading principal components:

    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(50, 16))
    >>> net = sm.layered(16, [sm.Layer(units=4, activation="linear")])
    >>> best = -float(np.sum(np.linalg.eigvalsh(x.T @ x / 50)[-4:] ** 2)) / 2
    >>> sm.similarity_cost(net, x) > best
    True
    """
    net = in_default_precision(net)
    return _number(_primal(net, *_settled(net, x, phase)))


def credit(net: Network, x: Inputs | Relaxation, *, phase: Phase | None = None) -> Credit:
    """Split the dual cost into one number for each synapse and one for each neuron.

    The share of a synapse, ``-2 W_ij r_i x_j + W_ij^2 / c`` or ``L_ij r_i r_j - L_ij^2 / (2c)`` averaged over the
    samples, depends only on its weight and on the activities of its two neurons.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), dict of such arrays, or Relaxation
        Samples are relaxed first, with the defaults of `simatch.relax`.
    phase : Phase, optional
        Phase in which the samples are relaxed, or in which the given relaxation was made. The additional terms of the
        phase, such as a nudge, are not part of the cost.

    Returns
    -------
    Credit

    Warns
    -----
    ConvergenceWarning
        If some sample did not converge.

    Raises
    ------
    ValueError
        If the input does not fit the network and the phase.

    References
    ----------
    Section 2 of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(16, [sm.Layer(units=4)])
    >>> x = jax.random.normal(jax.random.key(0), (50, 16))
    >>> abs(sm.credit(net, x).total() - sm.objective(net, x)) < 1e-4
    True
    """
    net = in_default_precision(net)
    return _credit(net, *_settled(net, x, phase))


def _settled(net: Network, x: Inputs | Relaxation, phase: Phase | None) -> tuple[Activities, tuple[str, ...]]:
    out = x if isinstance(x, Relaxation) else relax(net, x, phase=phase)
    check_states(net, out.states, phase or INPUTS_CLAMPED)
    return out.states, out.relaxed


def _number(cost: Any) -> Any:
    """Return a cost as a float; inside a compiled function, where it has no value yet, return it as it is."""
    return cost if isinstance(cost, Tracer) else float(cost)


@eqx.filter_jit
def _dual(net: Network, states: Activities, relaxed: tuple[str, ...]) -> Float[Array, ""]:
    return 2 * total_cost(net, states, relaxed)


@eqx.filter_jit
def _primal(net: Network, states: Activities, relaxed: tuple[str, ...]) -> Float[Array, ""]:
    return 2 * total_cost(net.with_parameters(optimal_parameters(net, states)), states, relaxed)


@eqx.filter_jit
def _credit(net: Network, states: Activities, relaxed: tuple[str, ...]) -> Credit:
    shares = [share for _, share in cost_shares(net, states, energy_gradients(net, states))]
    costs = activity_costs(net, states, relaxed)
    return Credit(
        jax.tree.map(lambda share: 2 * share, tuple(shares)),
        {name: 2 * jnp.mean(cost, axis=-1) for name, cost in costs.items()},
    )
