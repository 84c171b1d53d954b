"""Learning from a stream of batches, in compiled runs of many batches each."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from .._progress import tracked
from ..network import Network, activity_costs, signals, synaptic_cost
from ..relaxation import ConvergenceWarning, Inputs, Solver, Status, checked, count_samples, is_input, settle, stacked
from ._devices import BATCH, batch_mesh, check_same, first_copy, own_share, replicated, spread
from ._plasticity import check_rate, update
from ._statistics import saturated_share, silent_share

Schedule = Callable[[int], Any]
Stack = dict[str, Float[Array, "most _ samples"]]


class DivergenceError(ArithmeticError):
    """Learning was stopped because activities grew without bound.

    Attributes
    ----------
    network : Network
        The network before the step that diverged; nothing learned until then is lost.
    """

    def __init__(self, message: str, network: Network):
        super().__init__(message)
        self.network = network


@dataclasses.dataclass(frozen=True)
class Report:
    """What happened in one run of batches.

    Attributes
    ----------
    batches, samples : int
        Batches and samples learned from, since the start.
    cost : float
        Dual cost (9) on the last batch, before learning from it.
    residual : float
        Largest residual of any sample of the run.
    steps : float
        Solver steps a sample, mean over the run.
    unconverged : int
        Samples of the run that did not reach the tolerance.
    saturated, silent : dict of str to float
        For every layer, the share of activities near a bound and the share of units that never respond, on
        the last batch (`saturated_share`).
    rate : float
        Learning rate of the last batch.
    seconds : float
        Wall time since the start.
    """

    batches: int
    samples: int
    cost: float
    residual: float
    steps: float
    unconverged: int
    saturated: dict[str, float]
    silent: dict[str, float]
    rate: float
    seconds: float


def hyperbolic(rate: float, *, over: int, decay: float = 20.0) -> Schedule:
    """Learning rate ``rate / (1 + decay n / over)`` at batch n of `over`.

    Parameters
    ----------
    rate : float
        Learning rate of the first batch, above 0.
    over : int
        Number of batches in the whole run, at least 1.
    decay : float
        The last batch learns at ``rate / (1 + decay)``.

    Examples
    --------
    >>> import simatch as sm
    >>> schedule = sm.hyperbolic(0.05, over=100)
    >>> round(float(schedule(0)), 4), round(float(schedule(100)), 4)
    (0.05, 0.0024)
    """
    return lambda n: rate / (1 + decay * n / max(over, 1))


def published_schedule(batch_size: int = 1) -> Schedule:
    """The paper's learning rate, ``max(5e-3 / (1 + 0.5 k), 1e-4)`` for the k-th thousand of samples.

    Examples
    --------
    >>> import simatch as sm
    >>> sm.published_schedule()(2000)
    0.0025
    """
    return lambda n: max(5e-3 / (1 + 0.5 * (n * batch_size // 1000)), 1e-4)


def epochs_of(x: Inputs, *, epochs: float = 1, batch_size: int = 100, seed: int = 0) -> Iterator[Inputs]:
    """Cut an array into batches, in a new random order each epoch.

    The epochs follow each other without a seam, so that every batch is full; less than one batch is left
    over at the very end.

    Parameters
    ----------
    x : array with samples on the first axis, or a dict of them
    epochs : float
        Passes over the data, above 0.
    batch_size : int
        Samples in a batch; at most as many as there are.
    seed : int
        Seed of the order.

    Yields
    ------
    array or dict of arrays
    """
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


def training(
    net: Network,
    batches: Iterable[Inputs],
    *,
    rate: float | Schedule,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    report_every: int | None = None,
    start: int = 0,
    mesh: Mesh | None = None,
) -> Iterator[tuple[Network, Report]]:
    """Learn from batches and report after every few; `train` is the short form.

    Everything that accompanies learning (progress, checkpoints, recording, stopping early) is a loop over
    what this yields.

    Parameters
    ----------
    net : Network
    batches : iterable of input arrays
        As `simatch.relax` takes them. Batches of one shape run in one compiled loop.
    rate : float or callable
        Learning rate, or a schedule from the number of the batch to it (any Optax schedule, `hyperbolic`,
        `published_schedule`), largest at first.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Residual at which a sample counts as relaxed.
    report_every : int, optional
        Batches between two reports; by default 10, or as many small ones as hold 1,000 samples.
    start : int
        Number of the first batch, for schedules, when a run is continued.
    mesh : jax.sharding.Mesh, optional
        Devices over which the samples of every batch are spread, evenly; every device has all weights. In a run of
        several processes each passes the same network and its own part of every batch.

    Yields
    ------
    network : Network
        After the last batch so far.
    report : Report

    Raises
    ------
    ValueError
        If a batch has the wrong shape, is not finite or cannot be spread evenly over the mesh, if the learning rate
        is out of range, or if the networks of several processes differ.
    DivergenceError
        If activities grow without bound; it carries the last good network.
    """
    schedule = rate if callable(rate) else lambda _: rate
    check_rate(net, float(schedule(start)))
    if mesh is not None:
        check_same(net, mesh, "The processes hold different networks; make them from one seed and one calibration.")
        mesh = batch_mesh(mesh)
        net = replicated(net, mesh)
    began, number, samples = time.perf_counter(), start, 0
    for stack, count in _grouped(net, batches, report_every):
        rates = np.zeros(len(next(iter(stack.values()))))
        rates[:count] = [float(schedule(number + i)) for i in range(count)]
        if mesh is not None:
            stack = spread(stack, mesh)
        plan, planned, strict = jax.device_put((rates, np.asarray(count), np.asarray(tolerance)))
        net, done, figures = _learn_batches(net, stack, plan, planned, strict, solver, mesh)
        own = net if mesh is None else first_copy(net)
        size = next(iter(stack.values())).shape[-1]
        number, samples = number + int(done), samples + int(done) * size
        if int(done) < count:
            raise DivergenceError(
                f"Learning stopped at batch {number + 1}: activities grew without bound at a learning rate of "
                f"{rates[int(done)]:.3g}; use a smaller rate, less feedback or a smaller scale. The error's "
                "`network` holds the weights before that batch.",
                own,
            )
        figures = jax.device_get(figures)
        yield (
            own,
            Report(
                batches=number - start,
                samples=samples,
                cost=float(figures["cost"]),
                residual=float(figures["residual"]),
                steps=float(figures["steps"]) / (count * size),
                unconverged=int(figures["unconverged"]),
                saturated={name: float(v) for name, v in figures["saturated"].items()},
                silent={name: float(v) for name, v in figures["silent"].items()},
                rate=float(rates[count - 1]),
                seconds=time.perf_counter() - began,
            ),
        )


def train(
    net: Network,
    x: Inputs | Iterable[Inputs],
    *,
    epochs: float = 1,
    batch_size: int = 100,
    rate: float | Schedule = 0.05,
    seed: int = 0,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    report_every: int | None = None,
    progress: bool = True,
    observe: Callable[[Network, Report], None] | None = None,
    mesh: Mesh | None = None,
) -> tuple[Network, list[Report]]:
    """Learn from an array or a stream of batches.

    Parameters
    ----------
    net : Network
    x : array, dict of arrays, or iterator of batches
        An iterator is consumed once and sets its own batches.
    epochs, batch_size, seed
        See `epochs_of`; for arrays only.
    rate : float or callable
        A number is the rate of the first batch, which falls to a twenty-first over the run
        (`hyperbolic`) for an array, and stays as it is for an iterator, whose length is unknown.
    solver, tolerance, report_every
        See `training`.
    progress : bool
        Show a bar with rate, cost and residual on standard error, if that is a terminal.
    observe : callable, optional
        Called with the network and its report at every report, to record or to save.
    mesh : jax.sharding.Mesh, optional
        Devices over which the samples of every batch are spread; `batch_size` counts the samples on all of them.
        In a run of several processes each passes its own samples, the same number in each. See `training` and
        ``docs/clusters.md``.

    Returns
    -------
    network : Network
    reports : list of Report
        One for every `report_every` batches.

    Warns
    -----
    ConvergenceWarning
        If some samples did not reach the tolerance.

    Raises
    ------
    ValueError, DivergenceError
        See `training`.

    Examples
    --------
    >>> import simatch as sm
    >>> from sklearn.datasets import load_digits
    >>> x = load_digits().images / 16
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> net, reports = sm.train(net, x - x.mean((1, 2), keepdims=True), progress=False)
    >>> reports[-1].samples
    1700
    """
    if is_input(x):
        checked(net, x)  # the whole array, so that nothing is learned from a part of bad data
        _check_plan(epochs, batch_size)
        if mesh is not None:
            batch_size = own_share(batch_size, mesh)
            check_same(count_samples(x), mesh, "The processes hold different numbers of samples; give each as many.")
        total = batches_in(count_samples(x), epochs=epochs, batch_size=batch_size)
        batches = epochs_of(x, epochs=epochs, batch_size=batch_size, seed=seed)
        schedule = rate if callable(rate) else hyperbolic(rate, over=total)
    else:
        batches, total, schedule = cast(Iterable[Inputs], x), None, rate
    runs = training(
        net, batches, rate=schedule, solver=solver, tolerance=tolerance, report_every=report_every, mesh=mesh
    )
    reports = []
    for net, report in tracked(runs, total, describe, shown=progress):
        reports.append(report)
        if observe is not None:
            observe(net, report)
    warn_unconverged(reports)
    return net, reports


def describe(progress: tuple[Network, Report]) -> tuple[int, str]:
    """Batches done, and speed, cost and residual in words, for a progress bar."""
    _, report = progress
    speed = report.samples / report.seconds
    return report.batches, f"{speed:,.0f} samples/s  cost {report.cost:.4g}  residual {report.residual:.1g}"


def warn_unconverged(reports: Sequence[Report], stacklevel: int = 3) -> None:
    """Warn once if some samples of a training run did not reach the tolerance."""
    missed = sum(r.unconverged for r in reports)
    if missed:
        worst = max(r.residual for r in reports)
        warnings.warn(
            f"{missed} of {reports[-1].samples} samples were learned from before they had settled (largest residual "
            f"{worst:.2g}); raise the solver's max_steps or the tolerance.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def _check_plan(epochs: float, batch_size: int) -> None:
    if not (np.isfinite(epochs) and epochs > 0):
        raise ValueError(f"The number of epochs must be above 0, got {epochs!r}.")
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, got {batch_size!r}.")


def _grouped(net: Network, batches: Iterable[Inputs], report_every: int | None) -> Iterator[tuple[Stack, int]]:
    """Group consecutive batches of one shape into stacks, padded so that one program serves all."""
    group: list[Inputs] = []
    most = 0
    for batch in batches:
        if group and jax.tree.map(np.shape, batch) != jax.tree.map(np.shape, group[0]):
            yield stacked(net, group, most), len(group)
            group = []
        if not group:
            most = report_every or _reported_batches(batch)
        group.append(batch)
        if len(group) == most:
            yield stacked(net, group, most), most
            group = []
    if group:
        yield stacked(net, group, most), len(group)


def _reported_batches(batch: Inputs) -> int:
    """Batches between two reports: ten, or as many small ones as hold about a thousand samples."""
    first = jax.tree.leaves(batch)[0]
    return max(10, 1000 // len(first)) if np.ndim(first) and len(first) else 10


@eqx.filter_jit
def _learn_batches(
    net: Network,
    stack: Stack,
    rates: Float[Array, " most"],
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    solver: Solver | None,
    mesh: Mesh | None,
):
    """Relax and learn, batch after batch, until `count` are done or one diverges; also describes the last one."""
    if mesh is None:
        learned, done, totals, last = _learn_own(net, stack, rates, count, tolerance, solver)
    else:
        learned, done, totals, last = _learn_shared(net, stack, rates, count, tolerance, solver, mesh)
    synapses, states = last
    neurons = sum(jnp.mean(jnp.sum(cost, axis=0)) for cost in activity_costs(net, states).values())
    described = {
        "cost": synapses + neurons,
        "saturated": saturated_share(net, states),
        "silent": silent_share(net, states),
    }
    return learned, done, {**totals, **described}


def _learn_shared(
    net: Network,
    stack: Stack,
    rates: Float[Array, " most"],
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    solver: Solver | None,
    mesh: Mesh,
):
    """`_learn_batches` on the devices of a mesh."""

    def learn_share(stack):
        learned, done, totals, last = _learn_own(net, stack, rates, count, tolerance, solver, BATCH)
        totals = {
            "residual": jax.lax.pmax(totals["residual"], BATCH),
            "steps": jax.lax.psum(totals["steps"], BATCH),
            "unconverged": jax.lax.psum(totals["unconverged"], BATCH),
        }
        return learned.weights, done, totals, last

    # A device relaxes its samples alone, for as many steps as they take, and waits for the others only to average
    # the changes of the weights. Automatic partitioning would ask all devices after every few steps who still moves.
    weights, done, totals, last = jax.shard_map(
        learn_share,
        mesh=mesh,
        in_specs=P(None, None, BATCH),
        out_specs=(P(), P(), P(), (P(), P(None, BATCH))),
        check_vma=False,  # solvers start their loops from constants, which it takes for values of all devices
    )(stack)
    return net.with_weights(weights), done, totals, last


def _learn_own(
    net: Network,
    stack: Stack,
    rates: Float[Array, " most"],
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    solver: Solver | None,
    axis: str | None = None,
):
    """`_learn_batches` on one device; `axis` names the mesh axis along which others learn from the same batches."""

    def inputs(i):
        return {name: x[i] for name, x in stack.items()}

    def learned(weights, states, i):
        before = net.with_weights(weights)
        means = signals(before, {**inputs(i), **states}, axis)
        return update(before, means, rates[i]).weights, synaptic_cost(before, means)

    def body(loop):
        # Learning from a batch is put off to the next one, so that the weights before it need not be kept besides.
        weights, i, _, totals, states = loop
        new = lambda *now: learned(*now)[0]  # noqa: E731
        weights = jax.lax.cond(i > 0, new, lambda weights, *_: weights, weights, states, i - 1)
        out = settle(net.with_weights(weights), inputs(i), solver, tolerance)
        diverged = jnp.any(out.status == Status.DIVERGED)
        if axis is not None:
            diverged = jax.lax.psum(diverged.astype(tolerance.dtype), axis) > 0
        totals = {
            "residual": jnp.maximum(totals["residual"], jnp.max(out.residual)),
            "steps": totals["steps"] + jnp.sum(out.steps, dtype=jnp.int32),
            "unconverged": totals["unconverged"] + jnp.sum(out.status != Status.CONVERGED, dtype=jnp.int32),
        }
        states = {name: out.states[name] for name in net.layers}
        return weights, i + jnp.where(diverged, 0, 1), diverged, totals, states

    def unfinished(loop):
        _, i, diverged, _, _ = loop
        return (i < count) & ~diverged

    zero = jnp.zeros((), jnp.int32)
    totals = {"residual": jnp.zeros((), tolerance.dtype), "steps": zero, "unconverged": zero}
    samples = next(iter(stack.values())).shape[-1]
    states = {name: jnp.zeros((net.populations[name].grid.size, samples), tolerance.dtype) for name in net.layers}
    loop = (net.weights, zero, jnp.asarray(False), totals, states)
    weights, done, diverged, totals, states = jax.lax.while_loop(unfinished, body, loop)
    as_before = lambda weights, *_: (weights, jnp.nan)  # noqa: E731
    final, synapses = jax.lax.cond(diverged, as_before, learned, weights, states, done - 1)
    return net.with_weights(final), done, totals, (synapses, states)
