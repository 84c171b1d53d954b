"""Rules: the phases in which a network relaxes, and the change of its parameters afterwards."""

import abc
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..network import (
    Activities,
    Network,
    Term,
    Weights,
    activity_costs,
    ascent_gradients,
    cost_gradients,
    cost_shares,
    energy_gradients,
    mean,
    optima,
    signs_of,
)
from ..relaxation import INPUTS_CLAMPED, Phase
from ._devices import averaged
from ._rates import Schedule, automatic_rate, curvature_limits


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

    >>> import jax, jax.numpy as jnp, numpy as np, simatch as sm
    >>> from simatch.network import energy_gradients
    >>> class Hebb(sm.Rule):
    ...     @property
    ...     def phases(self):
    ...         return (sm.Phase(),)
    ...     def change(self, net, settled, state, entries):
    ...         descent = jax.tree.map(jnp.negative, energy_gradients(net, settled[0]))
    ...         return sm.Change(descent, state, jnp.nan)
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net, reports = sm.train(net, x, rule=Hebb(), rate=1e-3, progress=False)
    """

    @property
    @abc.abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """Phases in which the network relaxes on every batch, one after the other."""

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of a batch that the rule reads besides the clamped ones, such as sample numbers; none by default."""
        return ()

    def check(self, entries: Mapping[str, Any]) -> None:
        """Raise ValueError if a value among `entries` is of no use to the rule; by default, all values are of use.

        Parameters
        ----------
        entries : mapping of str to array of shape (samples, ...)
            Samples as users pass them; only called for a rule that reads further entries (`entries`).
        """

    def init(self, net: Network) -> PyTree:
        """State before the first batch; None by default, which means a rule without state.

        Parameters
        ----------
        net : Network
            The network before learning.

        Returns
        -------
        pytree
        """
        return None

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        """Potentials at which the first phase starts, of all populations that relax in it; None (the default) for 0.

        Parameters
        ----------
        net : Network
        state : pytree
            State of the rule before this batch.
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

        A subclass may take one more argument, ``weights=None``: the share of each sample in all means, an array of
        shape (samples,) whose sum is 1, or None if all count alike. Then batches of many sizes share a few compiled
        programs: they are filled up with samples of weight 0.

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

    @property
    def weighted(self) -> bool:
        """Whether `change` takes the argument `weights`."""
        return "weights" in inspect.signature(self.change).parameters

    def drawn(self, state: PyTree) -> "Rule":
        """Return the rule as it holds for the next batch, with the same phases apart from numbers; by default itself.

        A rule overrides this method if numbers of its phases vary from batch to batch, such as the sign of a nudge.

        Parameters
        ----------
        state : pytree
            State of the rule before the batch.

        Returns
        -------
        Rule
        """
        return self

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        """Largest factors on the changes of descending and of ascending parameters at which no decay overshoots 0.

        Parameters
        ----------
        net : Network
        terms : sequence of Term, optional
            Those that learn by this rule; all terms of the network by default.

        Returns
        -------
        array of shape (2,)
            For descending, then for ascending parameters; infinity where nothing decays.
        """
        return curvature_limits(net, net.terms if terms is None else terms)

    def default_rate(self, batch_size: int, count: int | None) -> float | Schedule:
        """Learning rate if the user gives none; 0.05 by default.

        Parameters
        ----------
        batch_size : int
            Samples in a batch, at least 1, on all devices together.
        count : int or None
            Number of all samples, at least 1; None if it is not known.

        Returns
        -------
        float, or callable
            A callable is a schedule: a function from the number of a batch, from 0, to its rate.
        """
        return 0.05

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
        return averaged(after, axis)


def changed(
    rule: Rule,
    net: Network,
    settled: tuple[Activities, ...],
    state: PyTree,
    entries: Activities,
    weights: Weights = None,
) -> Change:
    """Return the change of a rule, whether or not its method `change` takes weights; then they must be None."""
    own = {} if weights is None else {"weights": weights}
    return rule.change(net, settled, state, entries, **own)


class OnePhaseRule(Rule):
    """A rule with one phase; a subclass defines `change`."""

    phase: Phase = eqx.field(default_factory=lambda: INPUTS_CLAMPED)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (self.phase,)


@final
class GradientRule(OnePhaseRule):
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

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        (activities,) = settled
        gradients = energy_gradients(net, activities, weights)
        return Change(
            _slopes(net, gradients, self.phase), state, 2 * _cost(net, activities, gradients, self.phase, weights)
        )


@final
class AveragingRule(OnePhaseRule):
    """Averaging rule: each parameter is a running average of its optimum for the activities of the batches.

    The optimum of a synapse is ``c <r_i x_j>`` or ``c <r_i r_j>``, so at a rate eta the weights move by

        ``dW_ij = eta (c_ij <r_i x_j> - W_ij)``,  ``dL_ij = ratio eta (c_ij <r_i r_j> - L_ij)``.

    This is `GradientRule` with the rate of each synapse multiplied by its structure constant: as local, with the same
    fixed points, but a rate is a fraction of the distance to the optimum, whatever the scales, the sizes of the inputs
    and the feedback. Rates up to 1 are possible; 0.5 learns from whole data sets in some tens of steps. A parameter
    whose optimum has no closed form (`simatch.Term.optimum`) moves along its gradient.

    Parameters
    ----------
    phase : Phase, optional
        Phase in which the network relaxes; by default all populations without activation are clamped.

    References
    ----------
    Equation (21) of ``docs/mathematics.md``.

    Examples
    --------
    One step at a rate of 1 from activities of a batch leads to the optimum for these activities:

    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net = sm.layered(4, [sm.Layer(units=2, scale=0.1)])
    >>> out = sm.relax(net, x)
    >>> after = sm.learn(net, out, rate=1.0, rule=sm.AveragingRule())
    >>> bool(np.isclose(sm.objective(after, out), sm.similarity_cost(net, out)))
    True
    """

    def default_rate(self, batch_size: int, count: int | None) -> float | Schedule:
        return automatic_rate(batch_size, count)

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        along_gradient = [
            term
            for term, best in zip(net.terms, optima(net, net.parameters), strict=True)
            if best is None and (terms is None or any(term is own for own in terms))
        ]
        # Rates of ascending parameters come doubled (`ascent`), and `change` halves their changes.
        return jnp.minimum(jnp.asarray([1.0, 2.0]), curvature_limits(net, along_gradient))

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        (activities,) = settled
        gradients = energy_gradients(net, activities, weights)
        slopes = _slopes(net, gradients, self.phase)

        def towards(term, best, slope):
            if best is None:
                return slope
            return jax.tree.map(
                lambda sign, b, w: (b - w) * (0.5 if sign > 0 else 1.0), signs_of(term), best, term.parameters
            )

        changes = tuple(
            towards(term, best, slope)
            for term, best, slope in zip(net.terms, optima(net, gradients), slopes, strict=True)
        )
        changes = without_absent(net, changes, self.phase)
        return Change(changes, state, 2 * _cost(net, activities, gradients, self.phase, weights))


def _slopes(net: Network, gradients: tuple[PyTree, ...], phase: Phase) -> tuple[PyTree, ...]:
    """Derivative of energy plus cost in every parameter, down or up according to its sign."""
    decays = without_absent(net, cost_gradients(net), phase)
    return ascent_gradients(net, jax.tree.map(jnp.add, gradients, decays))


def _cost(
    net: Network, activities: Activities, gradients: tuple[PyTree, ...], phase: Phase, weights: Weights
) -> Float[Array, ""]:
    """Half of the dual cost (9), computed from the gradients, without another pass over the samples if possible."""
    shares = [share for _, share in cost_shares(net, activities, gradients, weights)]
    parts = [jnp.sum(leaf) for leaf in jax.tree.leaves(shares)]
    costs = activity_costs(net, activities, phase.relaxing(net))
    return sum([*parts, *(mean(jnp.sum(c, axis=0), weights) for c in costs.values())], start=jnp.zeros(()))


def without_absent(net: Network, gradients: tuple[PyTree, ...], phase: Phase) -> tuple[PyTree, ...]:
    """Set the gradients of terms that read a population absent in a phase to 0, so that they do not learn."""
    return tuple(
        jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), own)
        if any(name in phase.absent for name in term.populations)
        else own
        for term, own in zip(net.terms, gradients, strict=True)
    )


DEFAULT_RULE = AveragingRule()
"""The rule of everybody who names none."""
