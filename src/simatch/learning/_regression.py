"""Whitened synapses that learn by Newton steps, whatever the covariance of their input."""

from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float, PyTree

from .._checks import number, whole
from ..network import Activities, Dense, Network, Weights, WhitenedHebbian, described
from ..relaxation import Phase
from ._means import AroundMeans, recent_share
from ._rule import AveragingRule, Change, GradientRule, changed


@final
class RegressionRule(AroundMeans):
    """A rule around another one: whitened synapses move a fraction of the way to the regression on their input.

    Along the gradient, `simatch.WhitenedHebbian` synapses learn each direction of their input at a rate in proportion
    to its variance. Here their change is divided by a running mean C of ``<x x'>``, where x is their input, or their
    reference if they have one,

        ``dW = c <(r - W x / c) x'> C^-1``,

    so that a rate is a fraction of the distance to the optimum, as it is for the other synapses in `AveragingRule`. The
    fixed points are the same. The change is no longer local: C^-1 belongs to the whole input. On several devices, each
    adds its own samples of a batch to C before it divides, and the means are averaged afterwards: the change is that of
    one device only as far as all devices have samples of the same covariance.

    Parameters
    ----------
    rule : GradientRule or AveragingRule
        It determines the changes of all other terms.
    terms : sequence of int, optional
        Numbers of the terms of the network, from 0, that learn so; by default all `WhitenedHebbian` terms whose
        populations are present in the phase of the rule.
    memory : float, optional
        Largest number of batches, at least 1, over which the mean C extends, for data that change in time; by default
        it extends over the last tenth of all batches.

    Raises
    ------
    ValueError
        When it is used, if a term is not of the class `WhitenedHebbian`, or lacks synapses between some neurons.

    References
    ----------
    Recursive least squares; C is the running mean of the last tenth of the batches.

    Examples
    --------
    Canonical correlations of two inputs that whitened synapses connect to linear units:

    >>> import numpy as np, simatch as sm
    >>> a, b, r = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2), sm.Grid(1, 1, 1)
    >>> net = sm.Network(
    ...     {"a": sm.Population(a), "b": sm.Population(b), "r": sm.Population(r, "linear")},
    ...     [
    ...         sm.WhitenedHebbian("a", "r", sm.Dense(a, r)),
    ...         sm.WhitenedHebbian("b", "r", sm.Dense(b, r)),
    ...         sm.AntiHebbian("r", sm.Dense(r, r)),
    ...     ],
    ... )
    >>> x = np.random.default_rng(0).normal(size=(500, 4))
    >>> views = {"a": 30 * x[:, :3], "b": x[:, 2:]}  # one number in common
    >>> rule = sm.RegressionRule(sm.AveragingRule())
    >>> net, reports = sm.train(net, views, rule=rule, epochs=50, batch_size=500, progress=False)
    >>> bool(abs(net.lateral[0].to_dense()[0, 0] - 2) < 0.01)  # 1 + a correlation of 1
    True
    """

    rule: GradientRule | AveragingRule
    terms: tuple[int, ...] | None = eqx.field(static=True)
    memory: float | None = eqx.field(static=True)

    def __init__(
        self, rule: GradientRule | AveragingRule, terms: Sequence[int] | None = None, *, memory: float | None = None
    ):
        self.rule = rule  # pyright: ignore[reportIncompatibleVariableOverride]
        self.terms = None if terms is None else tuple(whole(t, "The number of a term", least=0) for t in terms)
        self.memory = None if memory is None else number(memory, "The memory of a mean", least=1)

    @property
    def phase(self) -> Phase:
        return self.rule.phase

    def init(self, net: Network) -> PyTree:
        own = self._own(net)
        for term in own.values():
            c = term.connectivity
            if not isinstance(c, Dense) or c.synapses < c.pre.size * c.post.size:
                raise ValueError(
                    f"A regression needs synapses between all neurons, but {described(term)} lacks some; leave it out "
                    "of `terms`, so that it learns by its gradient."
                )
        means = {place: jnp.zeros((term.connectivity.pre.size,) * 2) for place, term in own.items()}
        return self.rule.init(net), (jnp.zeros(()), means)

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        inside, (count, means) = state
        found = changed(self.rule, net, settled, inside, entries, weights)
        parameters, after = list(found.parameters), {}
        for place, term in self._own(net).items():
            x = settled[0][term.reference]
            batch = (x / x.shape[1] if weights is None else x * weights) @ x.T
            seen = (count + 1) * x.shape[1]
            after[place] = means[place] + (batch - means[place]) * recent_share(count, self.memory)
            factor = term.scale / net.term_weight(term)
            parameters[place] = factor * _divided(parameters[place], after[place], seen)
        return Change(tuple(parameters), (found.state, (count + 1, after)), found.cost)

    def _own(self, net: Network) -> dict[int, WhitenedHebbian]:
        own = {}
        for place, term in enumerate(net.terms):
            if self.terms is None:
                present = not any(name in self.phase.absent for name in term.populations)
                if isinstance(term, WhitenedHebbian) and present:
                    own[place] = term
            elif place in self.terms:
                if not isinstance(term, WhitenedHebbian):
                    raise ValueError(f"A regression is for WhitenedHebbian terms, not for {described(term)}.")
                own[place] = term
        return own


def _divided(
    change: Float[Array, "post pre"], covariance: Float[Array, "pre pre"], seen: Float[Array, ""]
) -> Float[Array, "post pre"]:
    """Change times the inverse of a covariance, which a multiple of the identity makes definite.

    It is small as soon as twice as many samples as inputs have been seen; before, a covariance says nothing about some
    directions.
    """
    size = len(covariance)
    unknown = jnp.maximum(1 - seen / (2 * size), 0) / size
    ridge = (10 * jnp.finfo(covariance.dtype).eps + unknown) * jnp.trace(covariance)
    # At the very beginning the input may be 0; then so is the change.
    ridge = jnp.where(ridge > 0, ridge, 1)
    factor = jax.scipy.linalg.cho_factor(covariance + ridge * jnp.eye(size, dtype=covariance.dtype))
    return jax.scipy.linalg.cho_solve(factor, change.T).T
