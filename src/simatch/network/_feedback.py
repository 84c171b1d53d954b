"""The same network with another strength of feedback."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._arrays import constant, is_traced
from ._network import Network
from ._pathway import AntiHebbian, Hebbian
from ._term import Term


def with_feedback(net: Network, feedback: float | Sequence[float]) -> Network:
    """Return the same network with another strength of feedback.

    Feedforward weights stay. Lateral weights are multiplied by ``(1 + new) / (1 + old)``, the ratio of their structure
    constants (equation 9 of ``docs/mathematics.md``), as at their optimum for the same activities.

    Parameters
    ----------
    net : Network
    feedback : float or sequence of float
        gamma, at least 0: of all Hebbian pathways between populations that relax, or of each Hebbian pathway of the
        network in turn (`Network.feedforward`). 0: no population hears those above it.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the feedback is negative, if the number of values is not that of the Hebbian pathways, or if no energy
        governs the dynamics with this feedback (`simatch.Network`).

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equations (9) to (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3), sm.Layer(units=2)], feedback=0.1)
    >>> alone = sm.with_feedback(net, 0)
    >>> net.stages(), alone.stages()
    ((('layer1', 'layer2'),), (('layer1',), ('layer2',)))
    >>> [round(float(own.lateral[0].to_dense()[0, 0]), 3) for own in (net, alone)]
    [1.0, 0.909]
    """
    if isinstance(feedback, Sequence):
        strengths = list(feedback)
        if len(strengths) != len(net.feedforward):
            raise ValueError(
                f"The network has {len(net.feedforward)} Hebbian pathways, but {len(strengths)} strengths of feedback "
                "were given; give one for each, or one number for all."
            )
    else:
        strengths = [float(feedback) if p.pre in net.layers else p.feedback for p in net.feedforward]
    changed: list[Term] = []
    for term in net.terms:
        if isinstance(term, Hebbian):
            pathway = Hebbian(
                term.pre, term.post, term.connectivity, feedback=strengths.pop(0), parameters=term.parameters
            )
            term = eqx.tree_at(lambda p: p.scale, pathway, term.scale)
        changed.append(term)
    # A network knows how much feedback each population receives, and tells its lateral pathways.
    other = Network(net.populations, changed)
    return other.with_parameters(
        [
            _times(old.parameters, new.gain, old.gain)
            if isinstance(old, AntiHebbian) and isinstance(new, AntiHebbian)
            else old.parameters
            for old, new in zip(net.terms, other.terms, strict=True)
        ]
    )


def _times(parameters: PyTree, new: Float[Array, ""], old: Float[Array, ""]) -> PyTree:
    """Multiply by the ratio of two gains, by NumPy where it can: JAX would compile a program for every shape."""
    if is_traced(parameters, new, old):
        return jax.tree.map(lambda w: w * (new / old), parameters)
    factor = np.divide(new, old)
    return jax.tree.map(lambda w: constant(np.asarray(w) * factor, w.dtype), parameters)


def without_feedback(net: Network) -> Network:
    """Return the same network without feedback; or the network itself if its pathways form a loop.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Network
        As `with_feedback` returns it for 0; populations in a loop have no order in which one relaxes before the others.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import without_feedback
    >>> without_feedback(sm.layered(4, [sm.Layer(units=3), sm.Layer(units=2)], feedback=0.1)).stages()
    (('layer1',), ('layer2',))
    """
    try:
        return with_feedback(net, 0)
    except ValueError:
        return net
