"""Rules: the phases in which a network relaxes, and the change of its parameters afterwards."""

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
    """Result of a rule for one batch.

    Attributes
    ----------
    parameters : tuple of pytrees
        Change of every parameter at a learning rate of 1, in the layout of `simatch.Network.parameters`. It is added to
        the parameter.
    state : pytree
        State of the rule after this batch; None for a rule without state.
    cost : scalar array
        Cost on this batch, before the change, for reports; NaN if the rule has none.
    """

    parameters: tuple[PyTree, ...]
    state: PyTree
    cost: Float[Array, ""]


class Rule(eqx.Module):
    """How a network learns: the phases in which it relaxes, and the change of its parameters.

    A subclass defines `phases` and `change`. A rule with a state (running means, preconditioners, one state for each
    sample) also defines `init`. Learning rates, transformations of the changes, averages over devices, reports and
    checkpoints work with every rule.

    References
    ----------
    Section 8 of ``docs/mathematics.md``.

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
        """Phases in which the network relaxes on every batch, one after the other."""

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of a batch that the rule reads besides the clamped ones, such as sample numbers; none by default."""
        return ()

    def init(self, net: Network) -> PyTree:
        """State before the first batch; None by default, which means a rule without state."""
        return None

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        """Potentials at which the first phase starts, of all populations that relax in it; None (the default) for 0.

        Parameters
        ----------
        net : Network
        state : pytree
        entries : dict of str to array of shape (neurons, samples)
            The batch.

        Returns
        -------
        dict of str to array of shape (neurons, samples), or None
        """
        return None

    @abc.abstractmethod
    def change(self, net: Network, settled: tuple[Activities, ...], state: PyTree, entries: Activities) -> Change:
        """Return the change of all parameters for one batch.

        Parameters
        ----------
        net : Network
            The network before the change.
        settled : tuple of dicts of str to array of shape (neurons, samples)
            For each phase, the activities of all populations that are not absent, and of the other clamped entries.
        state : pytree
            State of the rule before this batch.
        entries : dict of str to array of shape (neurons, samples)
            The batch.

        Returns
        -------
        Change
        """

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        """Join the states of several devices after a batch, inside ``jax.shard_map``; by default, average them.

        A rule that keeps a state for each sample overrides this method, for example to add up the changes of all
        devices.

        Parameters
        ----------
        before, after : pytree
            State before the batch, and on this device after it.
        axis : str
            Name of the mesh axis of the devices.
        """
        return jax.lax.pmean(after, axis) if jax.tree.leaves(after) else after


@final
class GradientRule(Rule):
    """Gradient rule: each parameter moves along the derivative of energy plus cost, down or up according to its sign.

    It has one phase. For the networks of `simatch.layered` it is equation (11): Hebbian weights descend the dual cost,
    anti-Hebbian weights ascend it.

    Parameters
    ----------
    phase : Phase, optional
        Phase in which the network relaxes; by default all populations without activation are clamped.

    References
    ----------
    Obeid, Ramambason, Pehlevan, NeurIPS 2019; equations (5), (7), (11) and (17) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> len(sm.GradientRule().phases)
    1
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
        """Half of the dual cost (9), computed from the gradients, without another pass over the samples if possible."""
        parts = [
            jnp.sum(leaf) for _, share in cost_shares(net, activities, gradients) for leaf in jax.tree.leaves(share)
        ]
        costs = activity_costs(net, activities, self.phase.relaxing(net))
        return sum([*parts, *(jnp.mean(jnp.sum(c, axis=0)) for c in costs.values())], start=jnp.zeros(()))


def without_absent(net: Network, gradients: tuple[PyTree, ...], phase: Phase) -> tuple[PyTree, ...]:
    """Set the gradients of terms that read a population absent in a phase to 0, so that they do not learn."""
    return tuple(
        jax.tree.map(jnp.zeros_like, own) if any(name in phase.absent for name in term.populations) else own
        for term, own in zip(net.terms, gradients, strict=True)
    )


# The rule of everybody who names none.
DEFAULT_RULE = GradientRule()
