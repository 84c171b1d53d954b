"""Batches: cutting arrays into batches, and stacking batches of equal shape for one compiled program."""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from .._checks import number, whole
from ..network import Network
from ..relaxation import Inputs, arrays, batch_reader, checked, count_samples, rows_of, stacked
from ._rule import Rule

# Largest number of samples to which a batch of an uncommon size is filled up.
_RAGGED = 1024

Stack = dict[str, Float[Array, "most _ samples"]]
# A stack, the number of its batches, and the number of samples that count in a batch that may be filled up.
Group = tuple[Stack, int, int | None]


def epochs_of(
    x: Inputs, *, epochs: float = 1, batch_size: int = 100, seed: int = 0, multiple: int = 1, start: int = 0
) -> Iterator[Inputs]:
    """Cut an array into batches, in a new random order each epoch, so that every sample is used.

    A batch may hold the last samples of one epoch and the first of the next. If the samples of all epochs do not fill
    the batches, the last batch is shorter; if it would be less than half full, the last two batches share their
    samples, because a step that averages over few samples is noisy.

    Parameters
    ----------
    x : array of shape (samples, ...), or whatever else `simatch.relax` takes
        Only one batch is read, and of a sparse matrix dense, at a time.
    epochs : float
        Passes over the data, above 0; at least one batch is made.
    batch_size : int
        Largest number of samples in a batch, at least 1.
    seed : int
        Seed of the order, at least 0.
    multiple : int
        Every batch has a multiple of so many samples, from 1 to `batch_size`: the number of devices over which
        `training` spreads it. Fewer samples than that are left out at the end.
    start : int
        Number of the first batch that is yielded, from 0, to continue a run.

    Yields
    ------
    array of shape (batch, ...), or dict of such arrays
        One batch.

    Raises
    ------
    ValueError
        If there are no samples, or if `epochs`, `batch_size` or `multiple` is out of range.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> [len(batch) for batch in sm.epochs_of(np.zeros((10, 3)), epochs=2, batch_size=6)]
    [6, 6, 4, 4]
    >>> [len(batch) for batch in sm.epochs_of(np.zeros((199, 3)), batch_size=100)]
    [100, 99]
    """
    x = arrays(x)
    if not jax.tree.leaves(x)[0].shape or not (count := count_samples(x)):
        raise ValueError("There are no samples to cut into batches; pass an array with at least one on its first axis.")
    order = order_of(count, epochs=epochs, batch_size=batch_size, seed=seed, multiple=multiple)
    for chosen in itertools.islice(order, start, None):
        yield rows_of(x, chosen)


def order_of(
    count: int, *, epochs: float = 1, batch_size: int = 100, seed: int = 0, multiple: int = 1
) -> Iterator[Int[np.ndarray, " batch"]]:
    """Yield the numbers of the samples in every batch of `epochs_of`."""
    rng = np.random.default_rng(seed)
    order = np.empty(0, np.int64)
    for size in _sizes(count, epochs, batch_size, multiple):
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(count)])
        chosen, order = order[:size], order[size:]
        yield chosen


def batches_in(count: int, *, epochs: float = 1, batch_size: int = 100, multiple: int = 1) -> int:
    """Return how many batches `epochs_of` yields for `count` samples.

    Parameters
    ----------
    count : int
        Number of samples, at least 1.
    epochs, batch_size, multiple
        As in `epochs_of`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `epochs`, `batch_size` or `multiple` is out of range.

    Examples
    --------
    >>> from simatch.learning import batches_in
    >>> batches_in(1797, epochs=2, batch_size=100)
    36
    """
    return len(_sizes(count, epochs, batch_size, multiple))


def reports_in(count: int, report_every: int, *, epochs: float = 1, batch_size: int = 100) -> int:
    """Return how many reports `training` yields for the batches of `epochs_of`: each is about batches of one size.

    Parameters
    ----------
    count : int
        Number of samples, at least 1.
    report_every : int
        Batches between two reports, at least 1.
    epochs, batch_size
        As in `epochs_of`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `epochs` or `batch_size` is out of range.

    Examples
    --------
    >>> from simatch.learning import reports_in
    >>> reports_in(1797, 10)  # 17 batches of 100 samples, then one of 97
    3
    """
    sizes = itertools.groupby(_sizes(count, epochs, batch_size, 1))
    return sum(-(-len(list(group)) // report_every) for _, group in sizes)


def _sizes(count: int, epochs: float, batch_size: int, multiple: int) -> list[int]:
    """Numbers of samples in the batches of `epochs_of`."""
    check_plan(epochs, batch_size)
    epochs, batch_size, multiple = float(epochs), int(batch_size), whole(multiple, "The multiple")
    if multiple > batch_size:
        raise ValueError(
            f"Batches of at most {batch_size} samples cannot have a multiple of {multiple!r}; use a `multiple` from 1 "
            f"to {batch_size}."
        )
    size = max(min(batch_size, count) // multiple, 1)
    # Rounded, so that `batches * size / count` epochs are so many batches.
    full, rest = divmod(max(round(count * epochs) // multiple, 1), size)
    sizes = [size] * full + [rest] * (rest > 0)
    if full and 0 < rest < size / 2:
        sizes[-2:] = (size + rest + 1) // 2, (size + rest) // 2
    return [multiple * own for own in sizes]


def check_plan(epochs: float, batch_size: int) -> None:
    """Raise ValueError if the number of epochs or the batch size is out of range."""
    number(epochs, "The number of epochs", above=0)
    whole(batch_size, "The batch size")


def grouped(
    net: Network, batches: Iterable[Any], report_every: int | None, rule: Rule, *, ragged: bool = False
) -> Iterator[Group]:
    """Group consecutive batches of equal shape into stacks, all padded to the same length for one compiled program.

    If the iterable fails, or one of its batches is bad, the batches before it come first and then the error, with a
    note of the number of the batch. If `ragged`, a batch that is alone with its shape is filled up with its own samples
    to a power of two, so that few programs serve all sizes; large ones are not, because they take longer than a program
    is worth.

    Yields
    ------
    stack : dict of str to array of shape (most, neurons, samples)
    count : int
        Number of batches in the stack, without padding.
    real : int or None
        Number of samples that count in a batch that may be filled up; None if all do.
    """

    def stack(group: list[Inputs], most: int) -> Group:
        if ragged and len(group) == 1 < most:
            entries = checked(net, group[0], rule.phases, rule.entries)  # before samples are repeated, for messages
            _check_entries(rule, entries)
            real = count_samples(entries)
            filled = 1 << (real - 1).bit_length()
            if filled <= _RAGGED:
                repeated = rows_of(entries, np.arange(filled) % real)
                return stacked(net, [repeated], 1, rule.phases, rule.entries), 1, real
        whole = stacked(net, group, most, rule.phases, rule.entries)
        for batch in group:
            _check_entries(rule, batch)
        return whole, len(group), None

    group: list[Inputs] = []
    most, told, given = 0, False, _Given(batches, batch_reader(net, rule.phases, rule.entries))
    for batch, labelled in given:
        if labelled and not told:
            warnings.warn("Batches are pairs (x, y) here, of which only x is used; learning needs no y.", stacklevel=4)
            told = True
        if group and jax.tree.map(np.shape, batch) != jax.tree.map(np.shape, group[0]):
            yield from _sound(net, group, most, rule, given.count - 1, stack)
            group = []
        if not group:
            most = report_every or _reported_batches(batch)
        group.append(batch)
        if len(group) == most:
            yield from _sound(net, group, most, rule, given.count, stack)
            group = []
    if group:
        yield from _sound(net, group, most, rule, given.count, stack)
    if given.error is not None:
        raise given.error


class _Given:
    """Batches of an iterable until it ends or fails: their number so far, and the error."""

    def __init__(self, batches: Iterable[Any], read: Callable[[Any], tuple[Inputs, bool]]):
        self._batches, self._read = batches, read
        self.count, self.error = 0, None

    def __iter__(self) -> Iterator[tuple[Inputs, bool]]:
        try:
            for batch in self._batches:
                read = self._read(batch)
                self.count += 1
                yield read
        except Exception as error:
            error.add_note(f"The iterable of batches raised this in place of batch {self.count + 1}.")
            self.error = error


def _sound(
    net: Network, group: list[Inputs], most: int, rule: Rule, last: int, stack: Callable[[list[Inputs], int], Group]
) -> Iterator[Group]:
    """Stack the batches of a group, or those before a bad one, whose error follows; `last` numbers the last batch."""
    try:
        whole = stack(group, most)
    except Exception as error:
        good = next((i for i, batch in enumerate(group) if _is_bad(net, batch, rule)), 0)
        error.add_note(f"This is about batch {last - len(group) + good + 1}.")
        if good:
            yield stack(group[:good], most)
        raise
    yield whole


def _is_bad(net: Network, batch: Inputs, rule: Rule) -> bool:
    try:
        check_samples(net, batch, rule)
    except Exception:
        return True
    return False


def check_samples(net: Network, x: Inputs, rule: Rule) -> Inputs:
    """Check samples for a rule, and return the array of every entry, in the layout and type of the user."""
    entries = checked(net, x, rule.phases, rule.entries)
    _check_entries(rule, entries)
    return entries


def _check_entries(rule: Rule, batch: Inputs) -> None:
    if rule.entries:
        assert isinstance(batch, Mapping)  # there are several entries
        rule.check(batch)


def _reported_batches(batch: Inputs) -> int:
    """Number of batches between two reports: 10, or more if 10 batches have fewer than 1,000 samples."""
    first = jax.tree.leaves(batch)[0]
    return max(10, 1000 // np.shape(first)[0]) if np.ndim(first) and np.shape(first)[0] else 10
