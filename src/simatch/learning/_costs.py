"""The objective in its primal and dual form, and its split into synapses."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, activity_costs, dual_cost, primal_cost, signals, synaptic_terms
from ..relaxation import Inputs, Relaxation, relax


class Credit(eqx.Module):
    """The dual cost, split among the synapses and neurons that cause it.

    Attributes
    ----------
    synapses : tuple of pytrees
        For each pathway, one term a synapse, in the layout of its weights; missing synapses have none, or 0.
    neurons : dict of str to array of shape (neurons,)
        For each layer, one term a neuron: the cost ``2 F(r)`` of its activity.
    """

    synapses: tuple[PyTree, ...]
    neurons: dict[str, Float[Array, " _"]]

    def total(self) -> float:
        """Sum of all terms: the dual cost."""
        return float(sum(jnp.sum(leaf) for leaf in jax.tree.leaves((self.synapses, self.neurons))))


def objective(net: Network, x: Inputs | Relaxation) -> float:
    """Dual cost (9): what plasticity descends in the feedforward and ascends in the lateral weights.

    Parameters
    ----------
    net : Network
    x : array of samples, a dict of them, or the Relaxation of some
        Samples are relaxed first.

    Returns
    -------
    float
        Mean over the samples.

    Raises
    ------
    ValueError
        If the input does not fit.

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
    return float(_dual(net, _states(net, x), net.weights))


def similarity_cost(net: Network, x: Inputs | Relaxation) -> float:
    """Primal cost (8) of the activities: how well their similarities match those of the layer below.

    For one all-to-all layer this is equation (1) less ``1/(2T^2) sum (x.x')^2``, which no network can change.
    The double sum over samples is a sum over pairs of neurons of squared correlations, and computed so.

    Parameters
    ----------
    net : Network
    x : array of samples, a dict of them, or the Relaxation of some

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the input does not fit.

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
    return float(_primal(net, _states(net, x)))


def credit(net: Network, x: Inputs | Relaxation) -> Credit:
    """Split the dual cost into one term for each synapse and one for each neuron.

    A synapse's term, ``-2 W_ij r_i x_j + W_ij^2 / c`` or ``L_ij r_i r_j - L_ij^2 / (2c)``, averaged over the
    samples, contains only what its two neurons know.

    Parameters
    ----------
    net : Network
    x : array of samples, a dict of them, or the Relaxation of some

    Returns
    -------
    Credit

    Raises
    ------
    ValueError
        If the input does not fit.

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
    return _credit(net, _states(net, x))


def _states(net: Network, x: Inputs | Relaxation) -> Activities:
    return x.states if isinstance(x, Relaxation) else relax(net, x).states


_dual = jax.jit(dual_cost)
_primal = jax.jit(primal_cost)


@jax.jit
def _credit(net: Network, states: Activities) -> Credit:
    neurons = {name: jnp.mean(cost, axis=-1) for name, cost in activity_costs(net, states).items()}
    return Credit(synaptic_terms(net, signals(net, states)), neurons)
