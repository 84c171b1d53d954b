"""Lesions: units of a network that are silent whatever their input."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ._activation import Activation
from ._network import Network
from ._registry import register


@register("lesioned", Activation)
@final
class Lesioned(Activation):
    """The activation of a population of which some neurons are silent: their activity is 0 at every potential.

    Parameters
    ----------
    activation : Activation
        Of the other neurons.
    alive : bool array of shape (neurons,)
        Which neurons are not silent.
    """

    activation: Activation
    alive: Bool[Array, " neurons"] = eqx.field(converter=lambda alive: jnp.asarray(alive, bool))

    # The neurons are on the first axis of all arrays, as everywhere inside the engine.

    @property
    def lower(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.activation.lower

    @property
    def upper(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.activation.upper

    @property
    def scale_free(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.activation.scale_free

    def __call__(self, u: Float[Array, "neurons samples"]) -> Float[Array, "neurons samples"]:
        return jnp.where(self.alive[:, None], self.activation(u), 0)

    def cost(self, r: Float[Array, "neurons samples"]) -> Float[Array, "neurons samples"]:
        return jnp.where(self.alive[:, None], self.activation.cost(r), 0)

    def prox(self, z: Float[Array, "neurons samples"], step: Float[Array, "..."]) -> Float[Array, "neurons samples"]:
        return jnp.where(self.alive[:, None], self.activation.prox(z, step), z / step)

    def refine(
        self,
        z: Float[Array, "neurons samples"],
        step: Float[Array, "..."],
        u: Float[Array, "neurons samples"],
        r: Float[Array, "neurons samples"],
    ) -> Float[Array, "neurons samples"]:
        return jnp.where(self.alive[:, None], self.activation.refine(z, step, u, r), z / step)

    def saturated(self, r: Float[Array, "neurons samples"]) -> Array:
        return self.alive[:, None] & self.activation.saturated(r)


def lesion(net: Network, units: Mapping[str, Sequence[int] | np.ndarray]) -> Network:
    """Return a network in which some units are silent: their activity is 0, whatever their input.

    Their synapses stay as they are. Learning goes on at all synapses, and those of a silent unit decay, as nothing
    is associated with it; to keep them, freeze them (`simatch.Plasticity`). Networks with lesions relax without native
    code.

    Parameters
    ----------
    net : Network
    units : mapping of str to sequence of int
        For each population that can relax, the numbers of its silent neurons, counted site by site, row by row. Units
        that were silent before remain so.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there is no such population, or no such unit.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3)])
    >>> x = np.random.default_rng(0).normal(size=(1, 4))
    >>> (sm.relax(sm.lesion(net, {"layer1": [1]}), x)["layer1"].ravel() == 0).tolist()
    [False, True, False]
    """
    activations = {}
    for name, numbers in units.items():
        if name not in net.layers:
            raise ValueError(
                f"Population {name!r} cannot have lesions, because it does not relax; there are "
                f"{', '.join(map(repr, net.layers))}."
            )
        own, size = net.activations[name], net.populations[name].grid.size
        before = np.asarray(own.alive) if isinstance(own, Lesioned) else np.ones(size, bool)
        alive = before & ~np.isin(np.arange(size), _checked(numbers, size, name))
        activations[name] = Lesioned(own.activation if isinstance(own, Lesioned) else own, jnp.asarray(alive))
    if not activations:
        return net
    return eqx.tree_at(
        lambda n: [n.populations[name].activation for name in activations], net, list(activations.values())
    )


def _checked(numbers: Any, size: int, name: str) -> np.ndarray:
    own = np.asarray(numbers)
    if own.size and (own.dtype.kind not in "iu" or own.ndim != 1 or own.min() < 0 or own.max() >= size):
        raise ValueError(
            f"The units of {name!r} have numbers from 0 to {size - 1}, got {numbers!r}; name some of these."
        )
    return own
