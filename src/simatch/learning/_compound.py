"""Rules made of rules: terms that learn by different rules, states that are kept, a nudge of random sign."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._checks import whole
from ..network import Activities, Network, Nudge, Term, Weights
from ..relaxation import Phase
from ._contrast import ContrastRule
from ._rates import Schedule
from ._rule import Change, Rule, changed


@final
class RuleByTerm(Rule):
    """Terms that learn by different rules, from the same phases.

    Rules that are given the same `Phase` object share it: the network relaxes once in it. The phases of the first rule
    come first, then those of the others that are new, in their order.

    Parameters
    ----------
    rules : sequence of Rule
        At least one.
    of : sequence of int
        For each term of the network, in their order, the number of its rule, from 0.

    Raises
    ------
    ValueError
        If `of` names a rule that is not there, or, when the rule is used, if the network has another number of terms.

    References
    ----------
    Section 8 of ``docs/mathematics.md``.

    Examples
    --------
    Feedforward weights learn from the difference of two phases, lateral weights from the second phase alone:

    >>> import simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=8), sm.Layer(units=2)], feedback=1.0)
    >>> nudge = sm.Nudge("layer2", target="label")
    >>> free, nudged = sm.Phase(), sm.Phase(["input", "label"], terms=[nudge], start="previous")
    >>> rule = sm.RuleByTerm(
    ...     [sm.ContrastRule(free, nudged), sm.GradientRule(nudged)], of=[int(t in net.lateral) for t in net.terms]
    ... )
    >>> len(rule.phases)
    2
    """

    rules: tuple[Rule, ...]
    of: tuple[int, ...] = eqx.field(static=True)
    # For each rule, the places of its phases among those of the whole.
    _places: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __init__(self, rules: Sequence[Rule], of: Sequence[int]):
        self.rules, self.of = tuple(rules), tuple(whole(number, "The number of a rule", least=0) for number in of)
        if not self.rules or max(self.of, default=0) >= len(self.rules):
            raise ValueError(f"There are {len(self.rules)} rules, but a term has the rule {max(self.of, default=0)}.")
        phases: list[Phase] = []
        places = []
        for rule in self.rules:
            own = []
            for phase in rule.phases:
                found = [i for i, known in enumerate(phases) if known is phase]
                own.append(found[0] if found else len(phases))
                phases += [] if found else [phase]
            places.append(tuple(own))
        self._places = tuple(places)

    @property
    def phases(self) -> tuple[Phase, ...]:
        known: dict[int, Phase] = {}
        for rule, places in zip(self.rules, self._places, strict=True):
            for place, phase in zip(places, rule.phases, strict=True):
                known.setdefault(place, phase)
        return tuple(known[place] for place in sorted(known))

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry for rule in self.rules for entry in rule.entries))

    @property
    def weighted(self) -> bool:
        return all(rule.weighted for rule in self.rules)

    def check(self, entries: Mapping[str, Any]) -> None:
        for rule in self.rules:
            rule.check(entries)

    def init(self, net: Network) -> PyTree:
        self._own(net, 0)  # raises an error if the rule does not fit
        states = tuple(rule.init(net) for rule in self.rules)
        return states if any(state is not None for state in states) else None

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        return self.rules[0].start(net, self._state(state)[0], entries)

    def drawn(self, state: PyTree) -> Rule:
        drawn = tuple(rule.drawn(own) for rule, own in zip(self.rules, self._state(state), strict=True))
        return eqx.tree_at(lambda rule: rule.rules, self, drawn)

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        limits = [rule.largest_rates(net, self._own(net, number)) for number, rule in enumerate(self.rules)]
        return jnp.min(jnp.stack(limits), axis=0)

    def default_rate(self, batch_size: int, count: int | None) -> float | Schedule:
        return self.rules[0].default_rate(batch_size, count)

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        changes = [
            changed(rule, net, tuple(settled[place] for place in places), own, entries, weights)
            for rule, places, own in zip(self.rules, self._places, self._state(state), strict=True)
        ]
        states = tuple(change.state for change in changes)
        return Change(
            tuple(changes[number].parameters[i] for i, number in enumerate(self.of)),
            None if state is None else states,
            changes[0].cost,
        )

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        pairs = zip(self.rules, self._state(before), self._state(after), strict=True)
        joined = tuple(rule.joined(own, new, axis) for rule, own, new in pairs)
        return None if after is None else joined

    def _own(self, net: Network, number: int) -> list[Term]:
        if len(self.of) != len(net.terms):
            raise ValueError(
                f"The rule is for {len(self.of)} terms, but the network has {len(net.terms)}; give each term its rule."
            )
        return [term for term, own in zip(net.terms, self.of, strict=True) if own == number]

    def _state(self, state: PyTree) -> tuple[PyTree, ...]:
        return (None,) * len(self.rules) if state is None else state


class Around(Rule):
    """A rule around another one, which it leaves as it is apart from what a subclass overrides.

    The state is a pair: that of the rule inside, and that of the subclass.
    """

    rule: Any  # a Rule; a subclass may need one of a certain class

    @property
    def phases(self) -> tuple[Phase, ...]:
        return self.rule.phases

    @property
    def entries(self) -> tuple[str, ...]:
        return self.rule.entries

    @property
    def weighted(self) -> bool:
        return self.rule.weighted

    def check(self, entries: Mapping[str, Any]) -> None:
        self.rule.check(entries)

    def init(self, net: Network) -> PyTree:
        return self.rule.init(net), None

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        return self.rule.start(net, state[0], entries)

    def drawn(self, state: PyTree) -> Rule:
        return eqx.tree_at(lambda own: own.rule, self, self.rule.drawn(state[0]))

    def largest_rates(self, net: Network, terms: Sequence[Term] | None = None) -> Float[Array, "2"]:
        return self.rule.largest_rates(net, terms)

    def default_rate(self, batch_size: int, count: int | None) -> float | Schedule:
        return self.rule.default_rate(batch_size, count)

    def change(
        self,
        net: Network,
        settled: tuple[Activities, ...],
        state: PyTree,
        entries: Activities,
        weights: Weights = None,
    ) -> Change:
        inside, own = state
        found = changed(self.rule, net, settled, inside, entries, weights)
        return found._replace(state=(found.state, self.after(net, settled, own, entries)))

    def after(self, net: Network, settled: tuple[Activities, ...], own: PyTree, entries: Activities) -> PyTree:
        """Own state after a batch; by default as before."""
        return own

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        return self.rule.joined(before[0], after[0], axis), after[1]


@final
class KeptStates(Around):
    """A rule whose first phase starts, for each sample, where it ended when this sample was last learned from.

    Phases of few steps thereby come closer to the fixed point from epoch to epoch. Each batch needs an entry with the
    numbers of its samples. Activities of all samples are kept: 4 bytes for each neuron and sample.

    Parameters
    ----------
    rule : Rule
    samples : int
        Number of samples, at least 1.
    entry : str
        Name of the entry of the batch that holds the numbers of the samples, from 0.

    Raises
    ------
    ValueError
        If `samples` is out of range, or, when the rule is used, the number of a sample.

    References
    ----------
    Scellier and Bengio 2017, where the states are called persistent particles.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> rule = sm.KeptStates(sm.GradientRule(sm.Phase(steps=5)), samples=100)
    >>> x = {"input": np.random.default_rng(0).normal(size=(100, 4)), "sample": np.arange(100)[:, None]}
    >>> net, reports = sm.train(net, x, rule=rule, epochs=3, rate=0.01, progress=False)
    """

    samples: int = eqx.field(static=True)
    entry: str = eqx.field(static=True)

    def __init__(self, rule: Rule, samples: int, entry: str = "sample"):
        self.rule, self.samples, self.entry = rule, whole(samples, "The number of samples"), entry

    @property
    def entries(self) -> tuple[str, ...]:
        return (*self.rule.entries, self.entry)

    def check(self, entries: Mapping[str, Any]) -> None:
        super().check(entries)
        numbers = np.asarray(entries[self.entry])
        wrong = numbers[(numbers < 0) | (numbers >= self.samples) | (numbers != np.floor(numbers))]
        if wrong.size:
            raise ValueError(
                f"States are kept of {self.samples} samples, with the numbers 0 to {self.samples - 1}, but the entry "
                f"{self.entry!r} has the number {wrong[0]:g}; number the samples so, or make the rule for more samples."
            )

    def init(self, net: Network) -> PyTree:
        relaxing = self.phases[0].relaxing(net)
        kept = {name: jnp.zeros((self.samples, net.populations[name].grid.size)) for name in relaxing}
        return self.rule.init(net), kept

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        chosen = self._numbers(entries)
        return {name: potentials_of(net, name, kept[chosen].T) for name, kept in state[1].items()}

    def after(self, net: Network, settled: tuple[Activities, ...], own: PyTree, entries: Activities) -> PyTree:
        chosen = self._numbers(entries)
        return {name: kept.at[chosen].set(settled[0][name].T) for name, kept in own.items()}

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        # Each device has changed the states of its own samples.
        own = jax.tree.map(lambda old, new: old + jax.lax.psum(new - old, axis), before[1], after[1])
        return self.rule.joined(before[0], after[0], axis), own

    def _numbers(self, entries: Activities) -> Array:
        return entries[self.entry][0].astype(int)


def potentials_of(net: Network, name: str, r: Float[Array, "neurons samples"]) -> Float[Array, "neurons samples"]:
    """Potentials ``u = r + F'(r)`` at which the activities are r (equation 2)."""
    slope = jax.grad(lambda r: jnp.sum(net.activations[name].cost(r)))(r)
    return r + jnp.nan_to_num(slope)


@final
class RandomSign(Around):
    """A contrast whose nudge has a random sign, drawn anew for each batch.

    The error of the contrast as a gradient changes its sign with beta, so that it averages out in first order.

    Parameters
    ----------
    rule : ContrastRule
        With a positive beta; in the nudged phase the strengths of all `simatch.Nudge` terms get the sign too.
    seed : int
        At least 0.

    Raises
    ------
    ValueError
        If `seed` is negative.

    References
    ----------
    Scellier and Bengio 2017.

    Examples
    --------
    >>> import simatch as sm
    >>> nudged = sm.Phase(["input", "label"], terms=[sm.Nudge("layer2", "label", 0.5)], start="previous")
    >>> rule = sm.RandomSign(sm.ContrastRule(sm.Phase(), nudged, beta=0.5))
    """

    seed: int = eqx.field(static=True)

    def __init__(self, rule: ContrastRule, seed: int = 0):
        self.rule, self.seed = rule, whole(seed, "The seed", least=0)

    def init(self, net: Network) -> PyTree:
        return self.rule.init(net), jnp.zeros((), jnp.int32)

    def drawn(self, state: PyTree) -> Rule:
        key = jax.random.fold_in(jax.random.key(self.seed), state[1])
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)

        def numbers(own: Any) -> list[Any]:
            nudges = [term.strength for term in own.rule.nudged.terms if isinstance(term, Nudge)]
            return [own.rule.beta, *nudges]

        return eqx.tree_at(numbers, self, [sign.astype(number.dtype) * number for number in numbers(self)])

    def after(self, net: Network, settled: tuple[Activities, ...], own: PyTree, entries: Activities) -> PyTree:
        return own + 1


@final
class StartedAt(Around):
    """A rule whose first phase starts at potentials that a function computes from the network and the batch.

    Parameters
    ----------
    rule : Rule
    potentials : callable
        Function from a network and the entries of a batch to the potentials of all populations that relax in the first
        phase, each of shape (neurons, samples).

    Examples
    --------
    Relaxation starts at what the inputs alone elicit:

    >>> import numpy as np, simatch as sm
    >>> def driven(net, entries):
    ...     (pathway,) = net.feedforward
    ...     return {"layer1": pathway.connectivity.project(pathway.weights, entries["input"])}
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net, reports = sm.train(net, x, rule=sm.StartedAt(sm.AveragingRule(), driven), progress=False)
    """

    potentials: Callable[[Network, Activities], Activities] = eqx.field(static=True)

    def start(self, net: Network, state: PyTree, entries: Activities) -> Activities | None:
        return self.potentials(net, entries)
