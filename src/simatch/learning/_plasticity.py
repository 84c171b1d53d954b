"""Learning rates of single terms and synapses, as a transformation of changes."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._checks import number
from ..network import Network, Pathway, Term, entry_of


class Plasticity(eqx.Module):
    """Factors on the learning rates of pathways, other terms, or single synapses; 0 switches plasticity off.

    It is a transformation of changes in Optax's form: pass it as `transform`, alone or in ``optax.chain``.

    Parameters
    ----------
    net : Network
    factors : mapping of str to float or array
        For terms by name, a factor between 0 and 1; the others have 1. Feedforward synapses are named after both
        populations, such as ``"input->layer1"``, lateral ones after theirs, such as ``"layer1"``, and other terms
        after their kind and the last of their populations, such as ``"bias of layer1"``. For the synapses of a pathway,
        an array of factors of shape (post neurons, pre neurons), as `Pathway.to_dense` returns weights; that of lateral
        synapses is symmetric. For the parameters of another term, an array of their shape.

    Raises
    ------
    ValueError
        If a pathway is unknown, or a factor is not between 0 and 1 or has the wrong shape.

    Examples
    --------
    Only the lateral synapses learn, and not those of the first unit:

    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> frozen = sm.Plasticity(net, {"input->layer1": 0.0, "layer1": np.array([[0, 0], [0, 1]])})
    >>> after, _ = sm.train(net, x, transform=frozen, progress=False)
    >>> [(a.to_dense() == b.to_dense()).tolist() for a, b in zip(net.pathways, after.pathways)]
    [[[True, True, True, True], [True, True, True, True]], [[True, True], [True, False]]]
    """

    factors: tuple[PyTree, ...]

    def __init__(self, net: Network, factors: Mapping[str, Any]):
        names = [_name(term) if jax.tree.leaves(term.parameters) else None for term in net.terms]
        for name in factors:
            if name not in names:
                known = ", ".join(repr(own) for own in names if own is not None)
                raise ValueError(f"There is no pathway {name!r}; there are {known}.")
        self.factors = tuple(
            _factor(term, name, factors[name]) if name is not None and name in factors else 1.0
            for name, term in zip(names, net.terms, strict=True)
        )

    def init(self, parameters: PyTree) -> None:
        """Return the state before the first batch: none.

        Parameters
        ----------
        parameters : pytree
            Parameters of the network; not used.
        """

    def update(self, changes: tuple[PyTree, ...], state: None, parameters: Any = None) -> tuple[PyTree, None]:
        """Return the changes times the factors of their pathways or synapses.

        Parameters
        ----------
        changes : tuple of pytrees
            Changes of the parameters of every term.
        state : None
            There is none.
        parameters : optional
            Not used.

        Returns
        -------
        changes : tuple of pytrees
        state : None
        """

        def scaled(change: PyTree, factor: PyTree) -> PyTree:
            if isinstance(factor, float):
                return jax.tree.map(lambda d: factor * d, change)
            return jax.tree.map(lambda d, f: f.astype(d.dtype) * d, change, factor)

        return tuple(scaled(*pair) for pair in zip(changes, self.factors, strict=True)), state


def _factor(term: Term, name: str, value: Any) -> PyTree:
    """Return a factor, or factors in the layout of the parameters of a term."""
    if np.ndim(value) == 0:
        if not 0 <= number(value, f"The plasticity of {name!r}") <= 1:
            raise ValueError(f"The plasticity of {name!r} must be between 0 and 1, got {value!r}.")
        return float(value)
    own = np.asarray(value)
    shape = np.shape(jax.tree.leaves(term.parameters)[0])
    if isinstance(term, Pathway):
        shape = term.connectivity.post.size, term.connectivity.pre.size
    if own.dtype.kind not in "biuf" or own.shape != shape:
        raise ValueError(
            f"The plasticity of {name!r} must be one number or an array of shape {shape}, got {own.shape}."
        )
    if not ((own >= 0) & (own <= 1)).all():
        raise ValueError(f"The plasticity of {name!r} must be between 0 and 1, got numbers outside.")
    if isinstance(term, Pathway):
        if term.pre == term.post and not np.array_equal(own, own.T):
            raise ValueError(f"The plasticity of the lateral synapses {name!r} must be symmetric, as they are.")
        return term.connectivity.gather(own.astype(float))
    return jax.tree.map(lambda p: own.astype(p.dtype), term.parameters)


def _name(term: Term) -> str:
    if isinstance(term, Pathway):
        return term.post if term.pre == term.post else f"{term.pre}->{term.post}"
    entry = entry_of(term)
    return f"{entry.name if entry else type(term).__name__} of {term.populations[-1]}"
