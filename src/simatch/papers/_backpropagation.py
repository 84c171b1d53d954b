"""Back-propagation on the feedforward synapses of a network: the yardstick beside rules that are local."""

import functools
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._extras import Feature
from ..learning import epochs_of
from ..network import Activities, Bias, Network

with Feature("Back-propagation", extra="app"):
    import optax

# Batches in one compiled loop.
_TOGETHER = 50


def outputs_of(net: Network, x: Float[Array, "inputs samples"]) -> Float[Array, "outputs samples"]:
    """Compute one pass through the feedforward synapses: hidden units apply their function, outputs are linear."""
    biases = {term.population: term.parameters for term in net.terms if isinstance(term, Bias)}
    drives: dict[str, Any] = {}
    activities: dict[str, Any] = dict.fromkeys(net.inputs, x)
    (*_, last) = net.layers
    for pathway in net.feedforward:  # from the bottom to the top
        if pathway.pre not in activities:
            activities[pathway.pre] = net.activations[pathway.pre](drives[pathway.pre])
        drive = pathway.connectivity.project(pathway.parameters, activities[pathway.pre])
        drives[pathway.post] = drives.get(pathway.post, biases[pathway.post][:, None]) + drive
    return drives[last]


def loss(net: Network, x: Float[Array, "inputs samples"], y: Float[Array, "outputs samples"]) -> Float[Array, ""]:
    """Mean over the samples of the squared error of the outputs."""
    return jnp.mean(jnp.sum((outputs_of(net, x) - y) ** 2, axis=0))


def back_propagation(
    net: Network,
    x: Float[np.ndarray, "samples ..."],
    y: Float[np.ndarray, "samples outputs"],
    *,
    epochs: float,
    batch_size: int = 100,
    rate: float = 1e-3,
    seed: int = 0,
) -> Iterator[tuple[Network, int]]:
    """Descend the squared error of the outputs with Adam, whose rate falls to 0 along a cosine.

    Parameters
    ----------
    net : Network
        With feedforward pathways from bottom to top and a bias of every layer; other terms are not used.
    x : array of shape (samples, ...)
    y : array of shape (samples, outputs)
        Targets.
    epochs, batch_size, seed
        As in `simatch.train`.
    rate : float
        Adam's learning rate at the beginning.

    Yields
    ------
    network : Network
    samples : int
        Number of samples learned from so far.
    """
    total = max(1, round(len(x) * epochs / batch_size))
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, total))
    state = optimiser.init(eqx.filter(net.parameters, eqx.is_array))
    group: list[Activities] = []
    seen = 0
    rows = {"x": np.asarray(x, np.float32).reshape(len(x), -1), "y": np.asarray(y, np.float32)}
    for number, batch in enumerate(epochs_of(rows, epochs=epochs, batch_size=batch_size, seed=seed), start=1):
        group.append(batch)
        full = len(group) == _TOGETHER or number == total or len(batch["y"]) != len(group[0]["y"])
        if full:
            for same in _of_one_size(group):
                stack = {name: np.stack([own[name].T for own in same]) for name in rows}
                net, state = _steps(net, state, stack, optimiser)
                seen += sum(len(own["y"]) for own in same)
            group = []
            yield net, seen


def _of_one_size(group: list[Activities]) -> Iterator[list[Activities]]:
    sizes = [len(own["y"]) for own in group]
    for size in dict.fromkeys(sizes):
        yield [own for own, n in zip(group, sizes, strict=True) if n == size]


@functools.partial(eqx.filter_jit, donate="none")
def _steps(net: Network, state: Any, stack: dict[str, Array], optimiser: Any) -> tuple[Network, Any]:
    def step(carry, batch):
        parameters, state = carry
        gradient = jax.grad(lambda p: loss(net.with_parameters(p), batch["x"], batch["y"]))(parameters)
        updates, state = optimiser.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), None

    (parameters, state), _ = jax.lax.scan(step, (net.parameters, state), stack)
    return net.with_parameters(parameters), state
