"""Inputs reconstructed from the outputs of one all-to-all layer, with nothing but its synapses."""

import numpy as np
from jaxtyping import Float

from ..network import Network, Pathway
from ._linear import inverse_projection, is_linear, pseudoinverse


def reconstruction(net: Network) -> Float[np.ndarray, "features components"]:
    """Matrix B of the reconstruction ``x = B z`` of inputs from the outputs z of one all-to-all layer.

    For linear units B is the pseudo-inverse of `projection`: the reconstruction of x is its orthogonal projection on
    the subspace of the filters, the nearest of all inputs that have the outputs z.

    Outputs of other units do not determine the input. The linear reconstruction with the least squared error is
    ``B = <x z'> <z z'>^-1``, and the synapses have learned both correlations: at the optimum of learning W = c^W <z x'>
    and L = c^L <z z'>, so that ``B = (W / c^W)' (L / c^L)^-1``. No data are needed. For linear units at the optimum
    both are the same.

    Parameters
    ----------
    net : Network
        One layer, all to all.

    Returns
    -------
    array of shape (features, components)
        In double precision and in the units of the network's input and output.
    """
    if is_linear(net):
        return inverse_projection(net)
    (forward,), (lateral,) = net.feedforward, net.lateral
    return _correlations(forward).T @ pseudoinverse(_correlations(lateral))  # L is singular if a unit is silent


def _correlations(pathway: Pathway) -> Float[np.ndarray, "post pre"]:
    """Correlations of the activities at both ends that the synapses of a pathway have learned, ``W / c``."""
    return pathway.connectivity.to_dense(pathway.decay(pathway.weights))
