"""Training: learning from an array or an iterable of batches, in compiled runs of many batches each."""

import inspect
import itertools
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
from ..relaxation import ConvergenceWarning, Inputs, Solver, batch_reader, checked, count_samples, is_input
from ._arrival import certified, concluded, measure_on, warn_short
from ._batches import batches_in, check_plan, epochs_of, grouped
from ._devices import batch_mesh, check_same, first_copy, own_share, replicated, spread
from ._health import HealthWarning, read
from ._limits import check_rate, check_schedule
from ._loop import LearningState, Method, learn_batches
from ._rates import KINDS, Rate, hyperbolic, schedule_of
from ._report import Report
from ._rule import DEFAULT_RULE, Rule


class DivergenceError(ArithmeticError):
    """Learning stopped because activities grew without bound.

    Attributes
    ----------
    network : Network
        The network before the batch that diverged, with everything that it learned from earlier batches.
    """

    def __init__(self, message: str, network: Network):
        super().__init__(message)
        self.network = network


def training(
    net: Network,
    batches: Iterable[Any],
    *,
    rate: Rate,
    ratio: float | None = None,
    rule: Rule | None = None,
    transform: Any = None,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    report_every: int | None = None,
    start: int = 0,
    state: LearningState | None = None,
    mesh: Mesh | None = None,
) -> Iterator[tuple[Network, Report]]:
    """Learn from batches and yield a report every few batches; `train` is the short form.

    Progress bars, checkpoints, recordings and early stopping are written as loops over these reports.

    Parameters
    ----------
    net : Network
    batches : iterable of input arrays
        Arrays as `simatch.relax` takes them, or dicts with all entries that the phases of the rule clamp and that the
        rule reads; of pairs (x, y), as loaders of labelled data yield them, x is used. Consecutive batches of equal
        shape run in one compiled loop.
    rate : float, callable, or mapping with "descending" and "ascending"
        Learning rate, above 0, or a schedule: a function from the number of a batch to its learning rate, such as
        `hyperbolic`, `published_schedule` or any schedule of Optax. Only its first rate is checked, so this should be
        the largest. A mapping gives one rate or schedule to the parameters that descend the cost (Hebbian) and one to
        those that ascend it (anti-Hebbian).
    ratio : float, optional
        Rate of lateral (ascending) weights over that of feedforward (descending) ones, above 0: lateral weights learn
        by ``ratio * rate * (r_i r_j - L_ij / c)``. 1 by default, at which no component of a linear network is lost; 0.5
        in equations (5) and (11), see equation (20). Not with a mapping, which has a rate for each kind.
    rule : Rule, optional
        `AveragingRule` by default.
    transform : optax.GradientTransformation, optional
        Transformation of the changes before they are multiplied by the rate, such as ``optax.trace(0.9)``,
        ``optax.scale_by_adam()`` or ``optax.clip(1.0)``. Changes, unlike gradients, are added to the parameters: use
        transformations without a learning rate, not whole optimisers such as ``optax.adam(1e-3)``.
    solver : Solver, optional
        `Blockwise` by default.
    tolerance : float
        Largest residual at which a sample counts as converged, above 0. A tolerance of a phase takes precedence.
    report_every : int, optional
        Batches between two reports, at least 1; by default 10, or more if 10 batches have fewer than 1,000 samples.
    start : int
        Number of the first batch, from which schedules count when a run is continued.
    state : LearningState, optional
        State in the report after which a run is continued; by default a new state.
    mesh : jax.sharding.Mesh, optional
        Devices over which the samples of every batch are distributed evenly; every device holds all weights. If there
        are several processes, each passes the same network and its own part of every batch.

    Yields
    ------
    network : Network
        The network after all batches so far.
    report : Report

    Raises
    ------
    ValueError
        If a batch has the wrong shape, is not finite or cannot be spread evenly over the mesh, if the learning rate
        is out of range, if a phase of the rule does not fit the network, or if the networks of several processes
        differ.
    DivergenceError
        If activities grow without bound; its attribute `network` is the network before the batch that diverged.

    References
    ----------
    Equations (11), (17) and (18) of ``docs/mathematics.md``; several devices: ``docs/clusters.md``.
    """
    rule = rule or DEFAULT_RULE
    schedule = schedule_of(rate, ratio)
    first: dict[str, float] = dict(zip(KINDS, map(float, schedule(start)), strict=True))
    if isinstance(rate, Mapping):
        check_rate(net, first, rule=rule)
    else:
        check_rate(net, first["descending"], ratio, rule)
    for phase in rule.phases:
        phase.relaxing(net)  # raises an error if the phase does not fit
    if transform is not None and not (hasattr(transform, "init") and hasattr(transform, "update")):
        raise ValueError(
            f"A transform must have the methods `init` and `update`, as those of Optax have; {transform!r} does not."
        )
    net = _in_default_precision(net)
    if state is None:
        state = LearningState(rule.init(net), None if transform is None else transform.init(net.parameters))
    if mesh is not None:
        check_same(net, mesh, "The processes hold different networks; make them from one seed and one calibration.")
        mesh = batch_mesh(mesh)
        net, state = replicated(net, mesh), replicated(state, mesh)
    method = Method(rule, transform, solver, mesh)
    began, number, samples = time.perf_counter(), start, 0
    ragged = mesh is None and "weights" in inspect.signature(rule.change).parameters
    for stack, count, real in grouped(net, batches, report_every, rule, ragged=ragged):
        rates = np.zeros((len(KINDS), len(next(iter(stack.values())))))
        rates[:, :count] = np.transpose([[float(own) for own in schedule(number + i)] for i in range(count)])
        check_schedule(rates[:, :count], first_copy(net) if mesh is not None else net, rule, number)
        if mesh is not None:
            stack = spread(stack, mesh)
        before = net
        plan, planned, strict = jax.device_put((tuple(rates), np.asarray(count), np.asarray(tolerance)))
        counted = None if real is None else jax.device_put(np.asarray(real))
        net, state, done, figures = learn_batches(net, state, stack, plan, planned, strict, method, counted)
        own, kept = (net, state) if mesh is None else (first_copy(net), first_copy(state))
        size = real or next(iter(stack.values())).shape[-1]
        number, samples = number + int(done), samples + int(done) * size
        if int(done) < count:
            raise DivergenceError(
                f"Learning stopped at batch {number + 1}: activities grew without bound at a learning rate of "
                f"{rates[0][int(done)]:.3g}; use a smaller rate, less feedback or a smaller scale. The error's "
                "`network` holds the weights before that batch.",
                own,
            )
        figures = jax.device_get(figures)
        if not figures["finite"]:
            raise DivergenceError(
                f"Learning stopped after batch {number}: weights left the range of numbers; divide the data by their "
                f"standard deviation. The error's `network` holds the weights before the last {count} batches.",
                before if mesh is None else first_copy(before),
            )
        states = read(figures["health"], size)
        yield (
            own,
            Report(
                batches=number - start,
                samples=samples,
                cost=float(figures["cost"]),
                residual=float(figures["residual"]),
                steps=float(figures["steps"]) / (count * size),
                unconverged=int(figures["unconverged"]),
                saturated={name: own.saturated for name, own in states.items()},
                silent={name: own.silent for name, own in states.items()},
                health=states,
                rate=float(rates[0][count - 1]),
                seconds=time.perf_counter() - began,
                state=kept,
            ),
        )


def _in_default_precision(net: Network) -> Network:
    """Return a network whose arrays have JAX's current default precision."""
    own = jnp.dtype(jnp.result_type(float))
    other = jnp.dtype("float32" if own == "float64" else "float64")
    if all(getattr(leaf, "dtype", own) != other for leaf in jax.tree.leaves(net)):
        return net
    return jax.tree.map(lambda a: a.astype(own) if getattr(a, "dtype", own) == other else a, net)


def train(
    net: Network,
    x: Inputs | Iterable[Any],
    *,
    epochs: float = 1,
    batch_size: int = 100,
    rate: Rate | None = None,
    ratio: float | None = None,
    rule: Rule | None = None,
    transform: Any = None,
    seed: int = 0,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    held_out: Inputs | None = None,
    tol: float | None = None,
    report_every: int | None = None,
    progress: bool = True,
    observe: Callable[[Network, Report], None] | None = None,
    mesh: Mesh | None = None,
) -> tuple[Network, list[Report]]:
    """Learn from an array or a stream of batches.

    Parameters
    ----------
    net : Network
    x : array, or iterable of batches
        Samples that are shuffled and cut into batches: whatever `simatch.relax` takes, arrays larger than memory
        included (``docs/data.md``). Or an iterable whose items are the batches, as in `training`.
    epochs, batch_size, seed
        Passes over the data (above 0), samples in a batch (at least 1) and seed of the order, as in `epochs_of`; not
        used with an iterable of batches.
    rate : float, callable, or mapping with "descending" and "ascending", optional
        Learning rates or schedules as in `training`. For samples in arrays, a number is the rate of the first batch,
        and the rate falls to 1/21 of it over the run (`hyperbolic`). For an iterable, whose length is unknown, a number
        is a constant rate. None: the rate of the rule itself (`Rule.default_rate`). For `AveragingRule` it
        suits all amounts of data: ``0.5 / (max(1, 100 / batch_size) + n / 19)`` at batch n after a rise over ten
        batches, or 0.5 throughout if a batch holds all samples of an array.
    rule, transform, solver, tolerance, report_every
        As in `training`.
    held_out : array or dict of arrays, optional
        Samples on which `certificate` measures now and then how far learning is from its optimum; a thousand are
        usually enough. The last report always has a certificate.
    tol : float, optional
        Distance from the optimum (`simatch.Certificate`), above 0, at which learning ends before it has used all
        `epochs`, such as 0.01. Needs `held_out`.
    progress : bool
        Show a bar with speed, cost and residual, if standard error is a terminal and Rich is installed.
    observe : callable, optional
        Called with the network and the report at every report, for example to record or to save the network.
    mesh : jax.sharding.Mesh, optional
        Devices over which the samples of every batch are distributed; `batch_size` counts the samples on all of them.
        The last batch, too, has equally many samples on each: fewer samples than devices may be left out. If there are
        several processes, each passes its own samples, the same number in each. See `training` and
        ``docs/clusters.md``.

    Returns
    -------
    network : Network
        The trained network; `net` itself is unchanged.
    reports : list of Report
        One for every `report_every` batches, and one for the remaining batches.

    Warns
    -----
    ConvergenceWarning
        If some samples did not reach the tolerance, or if learning ended farther than `tol` from its optimum.
    HealthWarning
        Once for each layer whose activities say little about the input at the end (`Health.complaint`): since when, and
        what to change.

    Raises
    ------
    ValueError
        If `tol` is not above 0 or comes without `held_out`, if `epochs` or `batch_size` is out of range, or as in
        `training`. All samples of an array are checked before anything
        is learned.
    DivergenceError
        If activities grow without bound.

    References
    ----------
    Equation (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> from sklearn.datasets import load_digits
    >>> x = load_digits().images / 16
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> net, reports = sm.train(net, x - x.mean((1, 2), keepdims=True), progress=False)
    >>> reports[-1].samples
    1797
    """
    rule = rule or DEFAULT_RULE
    if tol is not None and not tol > 0:
        raise ValueError(f"tol must be above 0, got {tol!r}.")
    if tol is not None and held_out is None:
        raise ValueError(f"tol={tol!r} needs samples on which the distance is measured; pass held_out.")
    if held_out is not None:
        held_out = checked(net, held_out, rule.phases[:1])
    if is_input(net, x, rule.phases, rule.entries):
        x = checked(net, x, rule.phases, rule.entries)  # all samples, before anything is learned from some of them
        check_plan(epochs, batch_size)
        processes, devices = 1, 1
        if mesh is not None:
            whole, batch_size = batch_size, own_share(batch_size, mesh)
            processes, devices = whole // batch_size, len(mesh.local_devices)
            check_same(count_samples(x), mesh, "The processes hold different numbers of samples; give each as many.")
        plan = {"epochs": epochs, "batch_size": batch_size, "multiple": devices}
        total, batches = batches_in(count_samples(x), **plan), epochs_of(x, **plan, seed=seed)
        count = processes * count_samples(x)
        own = rule.default_rate(processes * batch_size, count) if rate is None else rate
        schedule = _falling(own, total)
    else:
        stream = iter(cast(Iterable[Any], x))
        first = list(itertools.islice(stream, 1))
        batches, total = itertools.chain(first, stream), None
        read = batch_reader(net, rule.phases, rule.entries)
        schedule = rule.default_rate(count_samples(read(first[0])[0]) if first else 1, None) if rate is None else rate
    runs = training(
        net,
        batches,
        rate=schedule,
        ratio=ratio,
        rule=rule,
        transform=transform,
        solver=solver,
        tolerance=tolerance,
        report_every=report_every,
        mesh=mesh,
    )
    reports: list[Report] = []
    measure = None
    if held_out is not None:
        measure = measure_on(held_out, phase=rule.phases[0], solver=solver, tolerance=tolerance)
        runs = certified(runs, measure, tol)
    for net, report in tracked(runs, total, describe, shown=progress):
        reports.append(report)
        if observe is not None:
            observe(net, report)
    if measure is not None and reports:
        reports = concluded(net, reports, measure)
        warn_short(reports[-1], tol, "train for more epochs, or raise tol")
    warn_unconverged(reports)
    warn_unhealthy(reports)
    return net, reports


def _falling(rate: Rate, over: int) -> Rate:
    """Replace numbers by schedules that fall over the run."""
    if isinstance(rate, Mapping):
        return {kind: cast(Any, _falling(own, over)) for kind, own in rate.items()}
    return rate if callable(rate) else hyperbolic(rate, over=over)


def describe(progress: tuple[Network, Report]) -> tuple[int, str]:
    """Number of completed batches, and a text with speed, cost and residual, for a progress bar."""
    _, report = progress
    speed = report.samples / report.seconds
    distance = "" if report.certificate is None else f"  distance from optimum {report.certificate.distance:.2g}"
    return report.batches, f"{speed:,.0f} samples/s  cost {report.cost:.4g}  residual {report.residual:.1g}{distance}"


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


def warn_unhealthy(reports: Sequence[Report], stacklevel: int = 3) -> None:
    """Warn once for each layer that is unhealthy at the end of a training run, and say since when."""
    for name, last in reports[-1].health.items() if reports else ():
        if last.complaint is None:
            continue
        ill = itertools.takewhile(lambda report: report.health[name].complaint is not None, reversed(reports))  # noqa: B023
        *_, first = ill
        warnings.warn(
            f"{name!r} carries little information, in every report from batch {first.batches} to "
            f"{reports[-1].batches}: {last.complaint}.",
            HealthWarning,
            stacklevel=stacklevel,
        )
