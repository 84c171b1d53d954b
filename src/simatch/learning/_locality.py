"""Which activities the change of every parameter reads, found by differentiation."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, PyTree

from .._checks import whole
from ..network import Activities, Network
from ..relaxation import Phase
from ._rule import Rule

# Derivative of a parameter in the activities of each population.
Slopes = Mapping[str, jax.Array]

# Samples and changes before the one that is differentiated, so that states of rules are not special.
_BEFORE, _CHANGES = 20, 3
# Largest number of broadcast numbers that are counted.
_NUMBERS = 3
# A derivative below this share of the largest one counts as 0.
_NOTHING = 1e-4


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the change of one parameter of a term reads of the activities of one population.

    Attributes
    ----------
    term : int
        Number of the term in the network, from 0.
    parameter : str
        Name of the parameter, or "weights" if the term has one only.
    phase : int
        Number of the phase of the rule, from 0.
    population : str
        Name of the population, or of a clamped entry.
    reads : str
        "ends": each synapse reads the neurons at its own ends. "neuron": besides, one number that sums up the others
        for each neuron to which synapses lead (the first axis of the parameter), as its drive does. "other end": the
        same for each neuron at the other end (the second axis). "one number": besides, one number that is the same for
        all synapses. "2 numbers", "3 numbers": besides, so many of these. "all": more than that of neurons at which
        the synapse does not end.
    """

    term: int
    parameter: str
    phase: int
    population: str
    reads: str


def locality(net: Network, rule: Rule, *, seed: int = 0) -> list[Reading]:
    """Say of every parameter which activities its change reads, after one sample.

    The change of the rule is differentiated in all activities, at random ones and random parameters. What it reads of
    neurons at which a synapse does not end is compared across synapses: if all follow one direction, it is one number,
    and if they combine two or three, so many. That a rule reads the parameter itself is not listed. Give a network with
    few neurons, of different numbers in each population, and at least 4, or for k numbers k + 3: the derivatives of all
    parameters in all activities are held.

    Parameters
    ----------
    net : Network
    rule : Rule
    seed : int
        Seed of the random activities, at least 0.

    Returns
    -------
    list of Reading
        In the order of terms, parameters, phases and populations; populations that are not read are left out.

    Raises
    ------
    ValueError
        If `seed` is not a whole number of at least 0.

    Examples
    --------
    Whitened synapses need the drive of their neuron:

    >>> import simatch as sm
    >>> from simatch.learning import locality
    >>> x, r = sm.Grid(1, 1, 5), sm.Grid(1, 1, 4)
    >>> net = sm.Network(
    ...     {"x": sm.Population(x), "r": sm.Population(r, "relu")},
    ...     [sm.WhitenedHebbian("x", "r", sm.Dense(x, r)), sm.AntiHebbian("r", sm.Dense(r, r))],
    ... )
    >>> [(own.term, own.population, own.reads) for own in locality(net, sm.GradientRule())]
    [(0, 'r', 'ends'), (0, 'x', 'neuron'), (1, 'r', 'ends')]
    """
    rng = np.random.default_rng(whole(seed, "The seed", least=0))
    # Away from special values, such as the identity, with which a sum over neurons would look like one neuron.
    net = net.with_parameters(jax.tree.map(lambda p: p + 0.3 * jnp.asarray(rng.normal(size=p.shape)), net.parameters))
    state = rule.init(net)
    for _ in range(_CHANGES):
        state = rule.change(net, _drawn(net, rule.phases, rng, _BEFORE), state, {}).state
    settled = _drawn(net, rule.phases, rng, 1)

    def change(activities: tuple[Activities, ...]):
        return rule.change(net, activities, state, {}).parameters

    slopes = jax.jacobian(change)(settled)
    found = []
    for number, own in enumerate(slopes):
        for name, by_phase in _leaves(own, net.terms[number].parameters):
            sizes = {k: float(np.abs(s).max()) for k, s in _each(by_phase)}
            largest = max(sizes.values(), default=0.0)
            for (phase, population), slope in _each(by_phase):
                if sizes[phase, population] > _NOTHING * largest:
                    # Of the only sample: the axes of the parameter, then the neurons.
                    reads = _reads(np.asarray(slope)[..., 0], _NOTHING * largest)
                    found.append(Reading(number, name, phase, population, reads))
    return found


def _drawn(net: Network, phases: Sequence[Phase], rng: np.random.Generator, samples: int) -> tuple[Activities, ...]:
    """Random activities of all populations in every phase, above 0, so that bounds play no part."""
    drawn = []
    for phase in phases:
        sizes = {name: net.populations[name].grid.size for name in phase.relaxing(net)}
        for name in phase.entries(net):
            like = next((t.populations[-1] for t in phase.terms if name in t.populations), name)
            sizes[name] = net.populations[name if name in net.populations else like].grid.size
        drawn.append({name: jnp.asarray(rng.uniform(0.2, 1, (size, samples))) for name, size in sizes.items()})
    return tuple(drawn)


def _leaves(slopes: PyTree, parameters: PyTree) -> Iterator[tuple[str, tuple[Slopes, ...]]]:
    """Names of the parameters of a term, and the slopes of each."""
    paths = jax.tree_util.tree_leaves_with_path(parameters)
    each = jax.tree.structure(parameters).flatten_up_to(slopes)
    for (path, _), own in zip(paths, each, strict=True):
        yield jax.tree_util.keystr(path, simple=True, separator=" ") or "weights", own


def _each(by_phase: tuple[Slopes, ...]) -> Iterator[tuple[tuple[int, str], jax.Array]]:
    for phase, own in enumerate(by_phase):
        for population, slope in own.items():
            yield (phase, population), slope


def _reads(slope: Float[np.ndarray, "..."], least: float) -> str:
    """Scope of the slopes of one parameter, of shape (axes of the parameter, neurons)."""
    shape, neurons = slope.shape[:-1], slope.shape[-1]
    other = np.ones(slope.shape, bool)
    for axis, size in enumerate(shape):
        if size == neurons:
            # The neuron at the end of a synapse along this axis.
            index = np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(shape))])
            other &= index[..., None] != np.arange(neurons)
    if not (np.abs(slope) * other > least).any():
        return "ends"
    rows, counts = slope.reshape(-1, neurons), other.reshape(-1, neurons)
    if _combined(rows, counts, least):
        return "one number"
    for axis, end in zip(range(len(shape)), ("neuron", "other end"), strict=False):
        parts = zip(np.moveaxis(slope, axis, 0), np.moveaxis(other, axis, 0), strict=True)
        if all(_combined(s.reshape(-1, neurons), o.reshape(-1, neurons), least) for s, o in parts):
            return end
    few = next((k for k in range(2, _NUMBERS + 1) if neurons >= k + 3 and _combined(rows, counts, least, k)), None)
    return "all" if few is None else f"{few} numbers"


def _combined(
    rows: Float[np.ndarray, "synapses neurons"], counts: Bool[np.ndarray, "synapses neurons"], least: float, k: int = 1
) -> bool:
    """Whether all rows combine `k` vectors, as far as the entries that count tell."""
    for neurons in itertools.combinations(range(rows.shape[1]), k + 1):
        columns = list(neurons)
        whole = rows[counts[:, columns].all(axis=1)][:, columns]
        sizes = np.linalg.svd(whole, compute_uv=False) if len(whole) > k else np.zeros(k + 1)
        if sizes[k] > max(1e-3 * sizes[0], least):
            return False
    return True
