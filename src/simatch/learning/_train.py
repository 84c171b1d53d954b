"""Learning from a stream of batches, in compiled runs of many batches each."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._progress import tracked
from ..network import Network
from ..relaxation import ConvergenceWarning, Inputs, Solver, checked, count_samples, is_input
from ._batches import batches_in, check_plan, epochs_of, grouped
from ._devices import batch_mesh, check_same, first_copy, own_share, replicated, spread
from ._loop import LearningState, Method, learn_batches
from ._rates import KINDS, Rate, check_rate, hyperbolic, schedules
from ._rule import DEFAULT_RULE, Rule


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
        What the rule lowers, on the last batch and before learning from it: the dual cost (9) for the gradient rule.
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
        Learning rate of the last batch, that of descending parameters.
    seconds : float
        Wall time since the start.
    state : LearningState
        What the rule and the transformation keep from batch to batch; `training` goes on from it.
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
    state: LearningState = dataclasses.field(default=LearningState(None, None), repr=False, compare=False)


def training(
    net: Network,
    batches: Iterable[Inputs],
    *,
    rate: Rate,
    rule: Rule | None = None,
    transform: Any = None,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    report_every: int | None = None,
    start: int = 0,
    state: LearningState | None = None,
    mesh: Mesh | None = None,
) -> Iterator[tuple[Network, Report]]:
    """Learn from batches and report after every few; `train` is the short form.

    Everything that accompanies learning (progress, checkpoints, recording, stopping early) is a loop over
    what this yields.

    Parameters
    ----------
    net : Network
    batches : iterable of input arrays
        As `simatch.relax` takes them, or dicts with all entries that the phases of the rule clamp. Batches of one
        shape run in one compiled loop.
    rate : float, callable, or mapping with "descending" and "ascending"
        Learning rate, or a schedule from the number of the batch to it (any Optax schedule, `hyperbolic`,
        `published_schedule`), largest at first; with a mapping one for the parameters that descend the cost (Hebbian)
        and one for those that ascend it (anti-Hebbian).
    rule : Rule, optional
        `GradientRule` by default.
    transform : optax.GradientTransformation, optional
        What becomes of the changes before they are multiplied by the rate, such as ``optax.trace(0.9)``,
        ``optax.scale_by_adam()`` or ``optax.clip(1.0)``. Changes are directions to go in, not gradients to go against:
        take transformations without a rate of their own, not whole optimisers such as ``optax.adam(1e-3)``.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Residual at which a sample counts as relaxed; that of a phase goes before.
    report_every : int, optional
        Batches between two reports; by default 10, or as many small ones as hold 1,000 samples.
    start : int
        Number of the first batch, for schedules, when a run is continued.
    state : LearningState, optional
        That of the report after which a run is continued; by default a new one.
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
        is out of range, if a phase of the rule does not fit the network, or if the networks of several processes
        differ.
    DivergenceError
        If activities grow without bound; it carries the last good network.
    """
    rule = rule or DEFAULT_RULE
    plans = schedules(rate)
    check_rate(net, {kind: float(plan(start)) for kind, plan in zip(KINDS, plans, strict=True)})
    for phase in rule.phases:
        phase.relaxing(net)  # says what does not fit
    if transform is not None and not (hasattr(transform, "init") and hasattr(transform, "update")):
        raise ValueError(f"A transform has `init` and `update`, as those of Optax do, but {transform!r} has not.")
    net = _in_default_precision(net)
    if state is None:
        state = LearningState(rule.init(net), None if transform is None else transform.init(net.parameters))
    if mesh is not None:
        check_same(net, mesh, "The processes hold different networks; make them from one seed and one calibration.")
        mesh = batch_mesh(mesh)
        net, state = replicated(net, mesh), replicated(state, mesh)
    method = Method(rule, transform, solver, mesh)
    began, number, samples = time.perf_counter(), start, 0
    for stack, count in grouped(net, batches, report_every, rule):
        rates = tuple(np.zeros(len(next(iter(stack.values())))) for _ in plans)
        for own, schedule in zip(rates, plans, strict=True):
            own[:count] = [float(schedule(number + i)) for i in range(count)]
        if mesh is not None:
            stack = spread(stack, mesh)
        plan, planned, strict = jax.device_put((rates, np.asarray(count), np.asarray(tolerance)))
        net, state, done, figures = learn_batches(net, state, stack, plan, planned, strict, method)
        own, kept = (net, state) if mesh is None else (first_copy(net), first_copy(state))
        size = next(iter(stack.values())).shape[-1]
        number, samples = number + int(done), samples + int(done) * size
        if int(done) < count:
            raise DivergenceError(
                f"Learning stopped at batch {number + 1}: activities grew without bound at a learning rate of "
                f"{rates[0][int(done)]:.3g}; use a smaller rate, less feedback or a smaller scale. The error's "
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
                rate=float(rates[0][count - 1]),
                seconds=time.perf_counter() - began,
                state=kept,
            ),
        )


def _in_default_precision(net: Network) -> Network:
    """Return a network whose numbers have the precision in which JAX computes now."""
    own = jnp.dtype(jnp.result_type(float))
    other = jnp.dtype("float32" if own == "float64" else "float64")
    if all(getattr(leaf, "dtype", own) != other for leaf in jax.tree.leaves(net)):
        return net
    return jax.tree.map(lambda a: a.astype(own) if getattr(a, "dtype", own) == other else a, net)


def train(
    net: Network,
    x: Inputs | Iterable[Inputs],
    *,
    epochs: float = 1,
    batch_size: int = 100,
    rate: Rate = 0.05,
    rule: Rule | None = None,
    transform: Any = None,
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
    rate : float, callable, or mapping with "descending" and "ascending"
        A number is the rate of the first batch, which falls to a twenty-first over the run
        (`hyperbolic`) for an array, and stays as it is for an iterator, whose length is unknown.
    rule, transform
        See `training`.
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
        rule = rule or DEFAULT_RULE
        checked(net, x, rule.phases, rule.entries)  # all of it, so that nothing is learned from a part of bad data
        check_plan(epochs, batch_size)
        if mesh is not None:
            batch_size = own_share(batch_size, mesh)
            check_same(count_samples(x), mesh, "The processes hold different numbers of samples; give each as many.")
        total = batches_in(count_samples(x), epochs=epochs, batch_size=batch_size)
        batches = epochs_of(x, epochs=epochs, batch_size=batch_size, seed=seed)
        schedule = _falling(rate, total)
    else:
        batches, total, schedule = cast(Iterable[Inputs], x), None, rate
    runs = training(
        net,
        batches,
        rate=schedule,
        rule=rule,
        transform=transform,
        solver=solver,
        tolerance=tolerance,
        report_every=report_every,
        mesh=mesh,
    )
    reports = []
    for net, report in tracked(runs, total, describe, shown=progress):
        reports.append(report)
        if observe is not None:
            observe(net, report)
    warn_unconverged(reports)
    return net, reports


def _falling(rate: Rate, over: int) -> Rate:
    """Schedules in place of numbers."""
    if isinstance(rate, Mapping):
        return {kind: cast(Any, _falling(own, over)) for kind, own in rate.items()}
    return rate if callable(rate) else hyperbolic(rate, over=over)


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
