"""Rules: which phases a network settles in, and how its parameters change then."""

import abc
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import (
    Activities,
    Network,
    activity_costs,
    ascent_gradients,
    cost_gradients,
    cost_shares,
    energy_gradients,
)
from ..relaxation import INPUTS_CLAMPED, Phase


class Change(NamedTuple):
    """What a rule makes of a batch.

    Attributes
    ----------
    parameters : tuple of pytrees
        Change of every parameter at a learning rate of 1, in the layout of `simatch.Network.parameters`.
    state : pytree
        The rule's state after this batch; None for a rule without one.
    cost : scalar array
        What the rule lowers, on this batch and before the change; for reports.
    """

    parameters: tuple[PyTree, ...]
    state: PyTree
    cost: Float[Array, ""]


class Rule(eqx.Module):
    """How a network learns: the phases in which it settles, and the change of its parameters from what has settled.

    To write one, give `phases` and `change`; with a state (running means, preconditioners, states kept for each
    sample) also `init`. Rates, transformations of the changes, averages over devices, reports and checkpoints are the
    same for all rules.

    Examples
    --------
    Plain Hebbian learning without decay:

    >>> import jax, jax.numpy as jnp, simatch as sm
    >>> from simatch.network import energy_gradients
    >>> class Hebb(sm.Rule):
    ...     @property
    ...     def phases(self):
    ...         return (sm.Phase(),)
    ...     def change(self, net, settled, state, entries):
    ...         descent = jax.tree.map(jnp.negative, energy_gradients(net, settled[0]))
    ...         return sm.Change(descent, state, jnp.nan)
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> net, reports = sm.train(net, jnp.ones((100, 4)), rule=Hebb(), rate=1e-3, progress=False)
    """

    @property
    @abc.abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """Phases in which the network settles on every batch, one after the other."""

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of a batch that the rule reads besides those that phases clamp, such as the number of a sample."""
        return ()

    def init(self, net: Network) -> PyTree:
        """State before the first batch; none by default."""
        return None

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        """Potentials of all populations from which the first phase starts; by default all are 0."""
        return None

    @abc.abstractmethod
    def change(self, net: Network, settled: tuple[Activities, ...], state: PyTree, entries: Activities) -> Change:
        """Return the change of all parameters.

        Parameters
        ----------
        net : Network
            Before the change.
        settled : tuple of dicts of str to array of shape (neurons, samples)
            For each phase, the activities of all populations that are there.
        state : pytree
        entries : dict of str to array of shape (neurons, samples)
            The batch.
        """

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        """State after a batch whose samples lie on several devices, inside ``jax.shard_map``; by default the mean.

        A rule that keeps something for each sample adds up what each device has changed instead.
        """
        return jax.lax.pmean(after, axis) if jax.tree.leaves(after) else after


@final
class GradientRule(Rule):
    """Every parameter moves along the derivative of energy and cost in itself, down or up by its sign.

    This is equation (11): one phase, in which the inputs are clamped.

    Parameters
    ----------
    phase : Phase, optional
        By default all populations without activation are clamped.

    References
    ----------
    Equations (5), (7), (11) of ``docs/mathematics.md``.
    """

    phase: Phase

    def __init__(self, phase: Phase | None = None):
        self.phase = phase or INPUTS_CLAMPED

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (self.phase,)

    def change(self, net: Network, settled: tuple[Activities, ...], state: PyTree, entries: Activities) -> Change:
        (activities,) = settled
        gradients = energy_gradients(net, activities)
        decays = without_absent(net, cost_gradients(net), self.phase)
        total = jax.tree.map(jnp.add, gradients, decays)
        return Change(ascent_gradients(net, total), state, 2 * self._cost(net, activities, gradients))

    def _cost(self, net: Network, activities: Activities, gradients: tuple[PyTree, ...]) -> Float[Array, ""]:
        """Half of the dual cost (9), without another pass over the samples where terms can be split."""
        parts = [
            jnp.sum(leaf) for _, share in cost_shares(net, activities, gradients) for leaf in jax.tree.leaves(share)
        ]
        costs = activity_costs(net, activities, self.phase.relaxing(net))
        return sum([*parts, *(jnp.mean(jnp.sum(c, axis=0)) for c in costs.values())], start=jnp.zeros(()))


def without_absent(net: Network, gradients: tuple[PyTree, ...], phase: Phase) -> tuple[PyTree, ...]:
    """Set to 0 the gradients of terms that read a population which is absent in a phase: they do not learn."""
    return tuple(
        jax.tree.map(jnp.zeros_like, own) if any(name in phase.absent for name in term.populations) else own
        for term, own in zip(net.terms, gradients, strict=True)
    )


# The rule of everybody who names none.
DEFAULT_RULE = GradientRule()
