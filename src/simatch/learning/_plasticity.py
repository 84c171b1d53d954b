"""Learning rates of single terms, as a transformation of changes."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import PyTree

from .._checks import number
from ..network import Network, Pathway, Term, entry_of


class Plasticity:
    """Factors on the learning rates of pathways and other terms; 0 switches the plasticity of a pathway off.

    It is a transformation of changes in Optax's form: pass it as `transform`, alone or in ``optax.chain``.

    Parameters
    ----------
    net : Network
    factors : mapping of str to float
        For terms by name, a factor between 0 and 1; the others have 1. Feedforward synapses are named after both
        populations, such as ``"input->layer1"``, lateral ones after theirs, such as ``"layer1"``, and other terms
        after their kind and the last of their populations, such as ``"bias of layer1"``.

    Raises
    ------
    ValueError
        If a pathway is unknown or a factor is not between 0 and 1.

    Examples
    --------
    Only the lateral synapses learn:

    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> frozen = sm.Plasticity(net, {"input->layer1": 0.0})
    >>> after, _ = sm.train(net, x, transform=frozen, progress=False)
    >>> [bool(np.array_equal(a.to_dense(), b.to_dense())) for a, b in zip(net.pathways, after.pathways)]
    [True, False]
    """

    def __init__(self, net: Network, factors: Mapping[str, float]):
        names = [_name(term) if jax.tree.leaves(term.parameters) else None for term in net.terms]
        for name, factor in factors.items():
            if name not in names:
                known = ", ".join(repr(own) for own in names if own is not None)
                raise ValueError(f"There is no pathway {name!r}; there are {known}.")
            if not 0 <= number(factor, f"The plasticity of {name!r}") <= 1:
                raise ValueError(f"The plasticity of {name!r} must be between 0 and 1, got {factor!r}.")
        self.factors = tuple(1.0 if name is None else float(factors.get(name, 1.0)) for name in names)

    def init(self, parameters: PyTree) -> None:
        """Return the state before the first batch: none."""

    def update(self, changes: tuple[PyTree, ...], state: None, parameters: Any = None) -> tuple[PyTree, None]:
        """Return the changes times the factors of their pathways."""
        scaled = [
            jax.tree.map(lambda d, f=factor: f * d, own) for own, factor in zip(changes, self.factors, strict=True)
        ]
        return tuple(scaled), state

    # Equal factors have one compiled program.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plasticity) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self.factors)


def _name(term: Term) -> str:
    if isinstance(term, Pathway):
        return term.post if term.pre == term.post else f"{term.pre}->{term.post}"
    entry = entry_of(term)
    return f"{entry.name if entry else type(term).__name__} of {term.populations[-1]}"
