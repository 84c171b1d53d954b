"""Back-propagation on the same network: the yardstick beside rules that are local."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._extras import Feature
from ..learning import batches_in, epochs_of
from ..network import Bias, Network
from ..relaxation import count_samples

with Feature("Back-propagation", extra="app"):
    import optax

# Batches in one compiled loop.
TOGETHER = 100
Loss = Callable[[Network, Array, Array], Array]


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


def squared_error(
    net: Network, x: Float[Array, "inputs samples"], y: Float[Array, "outputs samples"]
) -> Float[Array, ""]:
    """Mean over the samples of the squared error of the outputs."""
    return jnp.mean(jnp.sum((outputs_of(net, x) - y) ** 2, axis=0))


def back_propagation(
    net: Network,
    x: Float[np.ndarray, "samples ..."],
    y: Float[np.ndarray, "samples outputs"],
    loss: Loss,
    *,
    epochs: float,
    batch_size: int,
    rate: float = 1e-3,
    seed: int = 0,
) -> Iterator[tuple[Network, int]]:
    """Descend a loss with Adam, whose rate falls to 0 along a line.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...)
    y : array of shape (samples, outputs)
        Targets.
    loss : callable
        Function from a network, inputs of shape (inputs, samples) and targets of shape (outputs, samples) to a scalar.
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
    how: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size}
    optimiser = optax.adam(optax.linear_schedule(rate, 0.0, batches_in(len(x), **how)))
    state, seen = optimiser.init(net.parameters), 0
    rows = {"x": np.asarray(x, np.float32).reshape(len(x), -1), "y": np.asarray(y, np.float32)}
    for size, same in itertools.groupby(epochs_of(rows, **how, seed=seed), key=count_samples):
        while group := list(itertools.islice(same, TOGETHER)):
            stack = {name: jnp.asarray(np.stack([own[name].T for own in group])) for name in rows}
            net, state = _steps(net, state, stack, optimiser, loss)
            seen += size * len(group)
            yield net, seen


@eqx.filter_jit
def _steps(net: Network, state: Any, stack: dict[str, Array], optimiser: Any, loss: Loss) -> tuple[Network, Any]:
    def step(carry, batch):
        parameters, state = carry
        gradient = jax.grad(lambda p: loss(net.with_parameters(p), batch["x"], batch["y"]))(parameters)
        updates, state = optimiser.update(gradient, state, parameters)
        return (jax.tree.map(jnp.add, parameters, updates), state), None

    (parameters, state), _ = jax.lax.scan(step, (net.parameters, state), stack)
    return net.with_parameters(parameters), state
