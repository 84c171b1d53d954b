"""Learning from deviations: activities less their running means."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from .._checks import number
from ..network import Activities, Network, Weights, mean
from ._means import AroundMeans, of_one_phase, recent_share
from ._rule import Change, Rule, changed


@final
class CentredRule(AroundMeans):
    """A rule around another one that learns from activities less their running means.

    Correlations in its changes become covariances. The network settles as before. A synapse needs to know the running
    means of the activities at its ends.

    Parameters
    ----------
    rule : Rule
        With one phase.
    memory : float, optional
        Largest number of batches, at least 1, over which the means extend; by default the last tenth of all batches.

    Raises
    ------
    ValueError
        If `memory` is out of range, or the rule has several phases.

    References
    ----------
    Lipshutz, Pehlevan, Chklovskii, "Biologically plausible single-layer networks for nonnegative independent component
    analysis", *Biological Cybernetics* 2022, arXiv 2010.12632.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> net = sm.layered(1, [sm.Layer(units=1)])
    >>> settled = ({"input": jnp.ones((1, 5)), "layer1": jnp.ones((1, 5))},)  # no deviations: decay alone
    >>> rule = sm.CentredRule(sm.GradientRule())
    >>> change = rule.change(net, settled, rule.init(net), {}).parameters[0]
    >>> bool(jnp.allclose(change, -net.weights[0]))
    True
    """

    memory: float | None = eqx.field(static=True)

    def __init__(self, rule: Rule, *, memory: float | None = None):
        self.rule = of_one_phase(rule)
        self.memory = None if memory is None else number(memory, "The memory of a mean", least=1)

    def init(self, net: Network) -> PyTree:
        phase = self.phases[0]
        names = [*phase.relaxing(net), *(name for name in phase.entries(net) if name in net.populations)]
        return self.rule.init(net), (jnp.zeros(()), {n: jnp.zeros(net.populations[n].grid.size) for n in names})

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        inside, (count, means) = state
        share = recent_share(count, self.memory)
        (activities,) = settled
        after = {name: own + share * (mean(activities[name], weights) - own) for name, own in means.items()}
        centred = {name: r - after[name][:, None] if name in after else r for name, r in activities.items()}
        found = changed(self.rule, net, (centred,), inside, entries, weights)
        return Change(found.parameters, (found.state, (count + 1, after)), found.cost)
