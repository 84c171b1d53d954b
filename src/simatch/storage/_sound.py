"""What every network in a file must fulfil, before it is written and after it is read."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..network import AntiHebbian, Network, Pathway, described

# Lateral weights differ from their transpose by rounding, which transformations such as Adam can magnify. The energy
# gives no meaning to weights that are far from symmetric.
ASYMMETRY = 0.1
# Neurons of a population whose lateral weights are compared with their transpose, if they are not stored as blocks.
MOST_NEURONS = 2048


def check_sound(net: Network) -> None:
    """Check the arrays of a network.

    Raises
    ------
    ValueError
        If an array holds NaN or infinity, or is neither in single nor in double precision; if a scale is not above 0;
        if structure constants are negative, all 0, or 0 for a synapse that exists; or if lateral weights are not
        symmetric.
    """
    for term in net.terms:
        for leaf in filter(eqx.is_inexact_array, jax.tree.leaves(term)):
            if leaf.dtype not in (np.float32, np.float64):
                raise ValueError(f"An array of {described(term)} is of type {leaf.dtype}; convert it to float32.")
            if not np.isfinite(np.asarray(leaf)).all():
                raise ValueError(
                    f"Weights or constants of {described(term)} are NaN or infinite; such a network is of no use, so "
                    "save one from before."
                )
        if isinstance(term, Pathway):
            _check_pathway(term)


def _check_pathway(pathway: Pathway) -> None:
    if not float(pathway.factor) > 0:
        raise ValueError(f"The scale of {described(pathway)} is {float(pathway.factor):g}; it must be above 0.")
    structure = [np.asarray(c) for c in jax.tree.leaves(pathway.connectivity.structure)]
    if any((c < 0).any() for c in structure) or not any((c > 0).any() for c in structure):
        raise ValueError(f"Structure constants of {described(pathway)} are negative, or all 0.")
    if not all((c > 0).all() for c in structure):
        existing = jax.tree.map(
            lambda c, w: np.broadcast_to(np.asarray(c) > 0, np.shape(w)).sum(),
            pathway.connectivity.structure,
            pathway.parameters,
        )
        if sum(jax.tree.leaves(existing)) != pathway.connectivity.synapses:
            raise ValueError(f"Structure constants of {described(pathway)} are 0 where synapses exist.")
    if isinstance(pathway, AntiHebbian) and (far := _asymmetry(pathway)) > ASYMMETRY:
        raise ValueError(
            f"Lateral weights of {described(pathway)} are not symmetric: they differ from their transpose by {far:.2g} "
            "times the largest; pass (L + L.T) / 2."
        )


def _asymmetry(pathway: AntiHebbian) -> float:
    """Largest difference of lateral weights from their transpose, relative to the largest weight."""
    connectivity, weights = pathway.connectivity, pathway.parameters
    blocks = connectivity.matrices(weights)
    if blocks is None:
        if connectivity.post.size > MOST_NEURONS:
            return 0.0
        blocks = connectivity.to_dense(weights)[None]
    blocks = np.asarray(blocks)
    largest = np.abs(blocks).max()
    return float(np.abs(blocks - blocks.swapaxes(1, 2)).max() / largest) if largest else 0.0


def without_missing(net: Network) -> Network:
    """Return a network whose missing synapses have the weight 0; until then their weights have no effect."""

    def masked(c: Any, w: Any) -> Any:
        return w if (np.asarray(c) > 0).all() else jnp.where(c > 0, w, 0)

    parameters = [
        jax.tree.map(masked, term.connectivity.structure, term.parameters)
        if isinstance(term, Pathway)
        else term.parameters
        for term in net.terms
    ]
    return net.with_parameters(parameters)


def check_missing(net: Network) -> None:
    """Raise ValueError if a synapse that does not exist has a weight."""
    for pathway, sound in zip(net.pathways, without_missing(net).weights, strict=True):
        for given, own in zip(jax.tree.leaves(pathway.parameters), jax.tree.leaves(sound), strict=True):
            if given is not own and (given != own).any():
                raise ValueError(f"Weights of {described(pathway)} are not 0 where no synapse exists.")
