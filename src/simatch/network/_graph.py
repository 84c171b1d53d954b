"""Graph of influences between populations: the stages in which they relax, and the weights of the one energy."""

import graphlib
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse.csgraph

from ._term import Term

Stages = tuple[tuple[str, ...], ...]


def stages(relaxing: Sequence[str], terms: Sequence[Term]) -> Stages:
    """Return the groups of populations that relax together, in the order in which they relax.

    A population influences every population that feels a term which reads it. The groups are the strongly connected
    components of this graph, in topological order.
    """
    number = {name: i for i, name in enumerate(relaxing)}
    influences = np.zeros((len(relaxing), len(relaxing)), bool)
    for term in terms:
        feels = [felt > 0 for felt in term.felt]
        for name in term.populations:
            for other, felt in zip(term.populations, feels, strict=True):
                if name in number and other in number:
                    influences[number[name], number[other]] |= felt
    count, component = scipy.sparse.csgraph.connected_components(influences, connection="strong")
    sorter = graphlib.TopologicalSorter({c: set() for c in range(count)})
    for source, target in np.argwhere(influences):
        if component[source] != component[target]:
            sorter.add(component[target], component[source])
    return tuple(
        tuple(name for name, c in zip(relaxing, component, strict=True) if c == stage)
        for stage in sorter.static_order()
    )


def felt_in(stage: Sequence[str], term: Term) -> bool:
    """Whether some population of a stage feels a term.

    Parameters
    ----------
    stage : sequence of str
        Names of populations.
    term : Term

    Returns
    -------
    bool

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import felt_in
    >>> feedforward = sm.layered(4, [sm.Layer(units=2)]).terms[0]
    >>> felt_in(["layer1"], feedforward), felt_in(["input"], feedforward)
    (True, False)
    """
    return any(name in stage and felt > 0 for name, felt in zip(term.populations, term.felt, strict=True))


def energy_weights(relaxing: Sequence[str], terms: Sequence[Term]) -> dict[str, float]:
    """Solve for the weight of each population in the cost, 1 for the last population of each stage.

    Each population divides its force by its own weight. One energy governs all populations if
    ``weight[pre] = weight[post] / feedback`` along every term that joins two populations of a stage.

    Raises
    ------
    ValueError
        If no weights fit the feedback of all terms.
    """
    weights = {}
    for stage in stages(relaxing, terms):
        weights[stage[-1]] = 1.0
        pairs = [pair for term in terms for pair in _pairs(stage, term)]
        for _ in stage:
            for name, other, ratio in pairs:
                if other in weights:
                    weights.setdefault(name, weights[other] / ratio)
                elif name in weights:
                    weights[other] = weights[name] * ratio
        for name, other, ratio in pairs:
            fitting = weights[other] / weights[name]
            if not np.isclose(fitting, ratio, rtol=1e-6):
                raise ValueError(
                    f"The feedback {ratio:g} from {other!r} to {name!r} contradicts that of the other pathways "
                    f"between them, so that no single energy governs both; with the others it must be {fitting:g}."
                )
    return weights


def _pairs(stage: Sequence[str], term: Term) -> list[tuple[str, str, float]]:
    """Pairs of populations of a stage that a term joins, with the ratio of how strongly they feel the term."""
    inside = [(n, felt) for n, felt in zip(term.populations, term.felt, strict=True) if n in stage]
    if len(inside) < 2:
        return []
    for name, felt in inside:
        if felt == 0:
            other = next(n for n, f in inside if f > 0) if any(f > 0 for _, f in inside) else inside[-1][0]
            raise ValueError(
                f"Populations {name!r} and {other!r} influence each other in a loop, but {name!r} does not feel the "
                "term that joins them, whose feedback is 0, so no single energy governs both; give this term feedback "
                "above 0, or remove the loop."
            )
    (last, whole) = inside[-1]
    return [(name, last, felt / whole) for name, felt in inside[:-1]]


def term_weight(term: Term, weights: Mapping[str, float]) -> float:
    """Return the factor on a term in the cost.

    It is the weight of the last of its populations that can relax and feels the term, times how strongly that
    population feels it.
    """
    for name, felt in reversed(list(zip(term.populations, term.felt, strict=True))):
        if name in weights and felt > 0:
            return weights[name] * felt
    return 1.0
