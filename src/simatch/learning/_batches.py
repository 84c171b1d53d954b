"""Batches: cutting arrays into batches, and stacking batches of equal shape for one compiled program."""

from collections.abc import Iterable, Iterator

import jax
import numpy as np
from jaxtyping import Array, Float

from ..network import Network
from ..relaxation import Inputs, count_samples, stacked
from ._rule import Rule

Stack = dict[str, Float[Array, "most _ samples"]]


def epochs_of(x: Inputs, *, epochs: float = 1, batch_size: int = 100, seed: int = 0) -> Iterator[Inputs]:
    """Cut an array into batches, in a new random order each epoch.

    All batches are full: a batch may hold the last samples of one epoch and the first of the next. Less than a batch
    is left out at the end.

    Parameters
    ----------
    x : array with the samples on the first axis, or a dict of such arrays
    epochs : float
        Passes over the data, above 0; at least one batch is made.
    batch_size : int
        Samples in a batch, at least 1. If there are fewer samples, a batch has all of them.
    seed : int
        Seed of the order.

    Yields
    ------
    array, or dict of arrays
        One batch.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> [len(batch) for batch in sm.epochs_of(np.zeros((10, 3)), epochs=2, batch_size=6)]
    [6, 6, 6]
    """
    check_plan(epochs, batch_size)
    count = count_samples(x)
    size = min(batch_size, count)
    rng = np.random.default_rng(seed)
    order = np.empty(0, np.int64)
    for _ in range(batches_in(count, epochs=epochs, batch_size=batch_size)):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(count)])
        chosen, order = order[:size], order[size:]
        yield jax.tree.map(lambda a, rows=chosen: a[rows], x)


def batches_in(count: int, *, epochs: float = 1, batch_size: int = 100) -> int:
    """Return how many batches `epochs_of` yields for `count` samples."""
    return max(1, int(count * epochs) // min(batch_size, count))


def check_plan(epochs: float, batch_size: int) -> None:
    """Raise ValueError if the number of epochs or the batch size is out of range."""
    if not (np.isfinite(epochs) and epochs > 0):
        raise ValueError(f"The number of epochs must be above 0, got {epochs!r}.")
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, got {batch_size!r}.")


def grouped(
    net: Network, batches: Iterable[Inputs], report_every: int | None, rule: Rule
) -> Iterator[tuple[Stack, int]]:
    """Group consecutive batches of equal shape into stacks, all padded to the same length for one compiled program.

    Yields
    ------
    stack : dict of str to array of shape (most, neurons, samples)
    count : int
        Number of batches in the stack, without padding.
    """
    group: list[Inputs] = []
    most = 0
    for batch in batches:
        if group and jax.tree.map(np.shape, batch) != jax.tree.map(np.shape, group[0]):
            yield stacked(net, group, most, rule.phases, rule.entries), len(group)
            group = []
        if not group:
            most = report_every or _reported_batches(batch)
        group.append(batch)
        if len(group) == most:
            yield stacked(net, group, most, rule.phases, rule.entries), most
            group = []
    if group:
        yield stacked(net, group, most, rule.phases, rule.entries), len(group)


def _reported_batches(batch: Inputs) -> int:
    """Number of batches between two reports: 10, or more if 10 batches have fewer than 1,000 samples."""
    first = jax.tree.leaves(batch)[0]
    return max(10, 1000 // len(first)) if np.ndim(first) and len(first) else 10
