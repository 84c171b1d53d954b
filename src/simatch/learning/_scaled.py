"""Parameters that learn at rates of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from .._checks import whole
from ..network import Activities, Network, Term, Weights
from ._compound import Around
from ._rule import Change, Rule, changed


@final
class ScaledRule(Around):
    """A rule around another one that multiplies the changes of the parameters of some terms.

    The factors may depend on the parameters themselves (a preconditioner), or be numbers, such as 0 for parameters that
    do not learn.

    Parameters
    ----------
    rule : Rule
    factors : mapping of int to callable
        For numbers of terms, from 0, the function from the parameters of the term to the factors on their changes: a
        number or array for each parameter, in the layout of the parameters or of a prefix of it. Functions that are
        defined once, outside of others, are compiled once.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    A bias that learns ten times as fast as the synapses:

    >>> import jax.numpy as jnp, numpy as np, simatch as sm
    >>> net = sm.Network(
    ...     {"x": sm.Population(2), "r": sm.Population(1, "linear")},
    ...     [sm.Hebbian("x", "r", sm.Dense(sm.Grid(1, 1, 2), sm.Grid(1, 1, 1))), sm.Bias("r", 1), sm.Leak("r")],
    ... )
    >>> settled = ({"x": jnp.ones((2, 1)), "r": jnp.ones((1, 1))},)
    >>> rule = sm.ScaledRule(sm.GradientRule(), {1: lambda bias: 10.0})
    >>> float(rule.change(net, settled, rule.init(net), {}).parameters[1][0])
    10.0
    """

    factors: tuple[tuple[int, Callable[[PyTree], PyTree]], ...] = eqx.field(static=True)

    def __init__(self, rule: Rule, factors: Mapping[int, Callable[[PyTree], PyTree]]):
        self.rule = rule
        self.factors = tuple((whole(i, "The number of a term", least=0), f) for i, f in factors.items())

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        # Of the others; a limit of scaled parameters would change with them.
        scaled = [net.terms[number] for number, _ in self.factors if number < len(net.terms)]
        others = [t for t in (net.terms if terms is None else terms) if not any(t is own for own in scaled)]
        return self.rule.largest_rates(net, others)

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        found = changed(self.rule, net, settled, state[0], entries, weights)
        parameters = list(found.parameters)
        for number, factor in self.factors:
            if number >= len(parameters):
                raise ValueError(f"A factor is for term {number}, but the network has {len(parameters)} terms, from 0.")
            scales = jax.tree.broadcast(factor(net.terms[number].parameters), parameters[number])
            parameters[number] = jax.tree.map(lambda s, d: s * d, scales, parameters[number])
        return Change(tuple(parameters), (found.state, None), found.cost)
