"""Local learning rules: each weight moves along the derivative of its own term of the cost."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, decays, signals
from ..relaxation import Relaxation, Status


def plasticity(net: Network, signals: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """Change of every weight at a learning rate of 1, from what its synapse learns from (`simatch.network.signals`).

    Half the derivative of the cost (9), down for Hebbian and up for anti-Hebbian pathways: equation (11).
    """
    return tuple(
        jax.tree.map(lambda g, d, sign=pathway.sign: sign * (g + d) / 2, signal, decay)
        for pathway, signal, decay in zip(net.pathways, signals, decays(net), strict=True)
    )


def update(net: Network, signals: tuple[PyTree, ...], rate: Float[Array, ""] | float) -> Network:
    """Take one plasticity step; `learn` without its checks, for use inside compiled functions."""
    return net.with_weights(jax.tree.map(lambda w, d: w + rate * d, net.weights, plasticity(net, signals)))


def learn(net: Network, out: Relaxation, rate: float | Float[Array, ""]) -> Network:
    """Take one plasticity step, averaged over the batch.

    Parameters
    ----------
    net : Network
    out : Relaxation
        What `relax` returned for this network.
    rate : float
        Learning rate eta of equation (11), above 0. A batch of one is the paper's online rule. Inside
        ``jax.jit``, where there are no values yet, neither the rate nor divergence is checked.

    Returns
    -------
    Network
        The same network with new weights; `net` itself is unchanged.

    Raises
    ------
    ValueError
        If the rate is out of range or so large that the decay of some weight overshoots, or if activities
        diverged.

    References
    ----------
    Equations (5), (7) and (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)))
    >>> net = sm.learn(net, out, rate=1e-2)
    """
    check_rate(net, rate)
    if not isinstance(out.status, Tracer):
        diverged = int(jnp.sum(out.status == Status.DIVERGED))
        if diverged:
            raise ValueError(
                f"Nothing was learned: the activities of {diverged} of {out.status.size} samples diverged; "
                "lower the learning rate, the feedback or the scale of the structure constants."
            )
    return _learn(net, out.states, jnp.asarray(rate, float))


def largest_rate(net: Network) -> float:
    """Learning rate above which the decay of some weight overshoots zero."""
    return float(_largest_rate(net))


@jax.jit
def _largest_rate(net: Network) -> Float[Array, ""]:
    decays = [
        net.importance[pathway.post] * jnp.max(leaf) * (1.0 if pathway.sign < 0 else 0.5)
        for pathway in net.pathways
        for leaf in jax.tree.leaves(pathway.decay(jax.tree.map(jnp.ones_like, pathway.weights)))
    ]
    return 1 / jnp.max(jnp.stack(decays))


def check_rate(net: Network, rate: float | Float[Array, ""]) -> None:
    """Raise ValueError if a learning rate is not above 0 or too large for this network's weights to stay bounded."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((net, rate))):
        return  # inside a compiled function there are no values to check
    limit = largest_rate(net)
    if not 0 < rate <= limit:
        raise ValueError(
            f"The learning rate must be above 0 and at most {limit:.3g} for this network (beyond it weights "
            f"overshoot and diverge), got {rate!r}."
        )


@jax.jit
def _learn(net: Network, activities: Activities, rate: Float[Array, ""]) -> Network:
    return update(net, signals(net, activities), rate)
