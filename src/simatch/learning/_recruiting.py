"""Units that have fallen silent learn to respond again."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from .._checks import number
from ..network import Activities, Network, Weights, mean
from ._means import AroundMeans, of_one_phase
from ._rule import Change, Rule, changed

# A unit is silent if its mean activity is below this share of the mean over all units.
_SILENT = 1e-2


@final
class RecruitingRule(AroundMeans):
    """A rule around another one in which silent units learn as if they responded to all samples alike.

    Units that cannot be negative and respond to nothing do not learn. A running mean of the activity of every unit
    tells which do; in place of their activities, the rule then sees the mean activity of the population. Their synapses
    thereby move towards the mean input until they respond to some samples. A unit knows its own running mean, and that
    of its population, one number for all.

    Parameters
    ----------
    rule : Rule
        With one phase.
    population : str
        Name of the population, whose activities are at least 0.
    memory : float
        Number of batches, at least 1, over which the means extend.

    Raises
    ------
    ValueError
        If `memory` is out of range, or the rule has several phases.

    Examples
    --------
    The second unit has been silent:

    >>> import jax.numpy as jnp, simatch as sm
    >>> net = sm.layered(1, [sm.Layer(units=2, activation="relu")])
    >>> settled = ({"input": jnp.ones((1, 1)), "layer1": jnp.array([[2.0], [0.0]])},)
    >>> rule = sm.RecruitingRule(sm.GradientRule(), "layer1", memory=1)
    >>> change = rule.change(net, settled, rule.init(net), {}).parameters[0]
    >>> bool(jnp.allclose(change + net.weights[0], jnp.array([[2.0], [1.0]])))
    True
    """

    population: str = eqx.field(static=True)
    memory: float = eqx.field(static=True)

    def __init__(self, rule: Rule, population: str, *, memory: float = 20.0):
        self.rule, self.population = of_one_phase(rule), population
        self.memory = number(memory, "The memory of a mean", least=1)

    def init(self, net: Network) -> PyTree:
        return self.rule.init(net), (jnp.zeros(()), jnp.zeros(net.populations[self.population].grid.size))

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        inside, (count, before) = state
        (activities,) = settled
        r = activities[self.population]
        after = before + (mean(r, weights) - before) * jnp.maximum(1 / (1 + count), 1 / self.memory)
        typical = jnp.mean(after)
        # At the beginning nobody has had the time to respond.
        silent = (after <= _SILENT * typical) & (count + 1 >= self.memory)
        own = jnp.where(silent[:, None], typical, r)
        found = changed(self.rule, net, ({**activities, self.population: own},), inside, entries, weights)
        return Change(found.parameters, (found.state, (count + 1, after)), found.cost)
