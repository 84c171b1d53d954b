"""Training: learning from an array or an iterable of batches, in compiled runs of many batches each."""

import contextlib
import functools
import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh

from .._checks import number, whole
from .._progress import tracked
from ..network import Network, in_default_precision
from ..relaxation import (
    ConvergenceWarning,
    Inputs,
    Solver,
    batch_reader,
    check_solving,
    checked,
    count_samples,
    is_input,
    shorter,
)
from ._arrival import certified, concluded, measure_on, warn_short
from ._batches import batches_in, check_plan, check_samples, epochs_of, grouped
from ._course import Course, Keeper, NoKeeper, Steps, identity
from ._devices import batch_mesh, check_same, first_copy, own_share, replicated, spread
from ._health import HealthWarning, read
from ._limits import check_start, planned_rates
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

    def __reduce__(self) -> tuple[Any, ...]:
        # By default a copy would be made from the message alone, which fails in the process that receives it.
        return type(self), (*self.args, self.network), vars(self)


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
    after: Report | None = None,
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
        Learning rate, above 0, or a schedule: a function from the number of a batch, from 0, to its learning rate,
        such as `hyperbolic`, `published_schedule` or any schedule of Optax. Its rates may also be 0; each is checked
        before its batch is learned from. A mapping gives one rate or schedule to the parameters that descend the cost
        (Hebbian) and one to those that ascend it (anti-Hebbian).
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
    after : Report, optional
        Report after which a run is continued from its network: schedules, counts and the state of learning go on.
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
        If a batch has the wrong shape, is not finite or cannot be spread evenly over the mesh, if a setting or the
        learning rate is out of range, if a phase of the rule does not fit the network, or if the networks of several
        processes differ.
    DivergenceError
        If activities grow without bound; its attribute `network` is the network before the batch that diverged.
    Exception
        What the iterable or a schedule raises, with a note of the number of the batch. The network that has learned
        from all batches before, and its report, come first; likewise if a later batch or rate is bad.

    References
    ----------
    Equations (11), (17) and (18) of ``docs/mathematics.md``; several devices: ``docs/clusters.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> for net, report in sm.training(net, (x[i : i + 10] for i in range(0, 100, 10)), rate=0.1, report_every=5):
    ...     print(report.batches, report.samples)
    5 50
    10 100
    """
    rule = rule or DEFAULT_RULE
    tolerance = check_solving(solver, tolerance)
    report_every = None if report_every is None else whole(report_every, "report_every")
    schedule = schedule_of(rate, ratio)
    begun = 0 if after is None else after.batches
    check_start(net, rate, ratio, rule, begun)
    for phase in rule.phases:
        phase.relaxing(net)  # raises an error if the phase does not fit
    net = in_default_precision(net)
    state = initial_state(net, rule, transform) if after is None else after.state
    if mesh is not None:
        check_same(net, mesh, "The processes hold different networks; make them from one seed and one calibration.")
        mesh = batch_mesh(mesh)
        net, state = replicated(net, mesh), replicated(state, mesh)
    method = Method(rule, transform, solver, mesh)
    began, number, samples = time.perf_counter(), begun, 0
    if after is not None:
        began, samples = began - after.seconds, after.samples
    ragged = mesh is None and rule.weighted
    for stack, count, real in grouped(net, batches, report_every, rule, ragged=ragged):
        good, unfit = planned_rates(schedule, number, count, first_copy(net) if mesh is not None else net, rule)
        count = good.shape[1]
        if unfit is not None and not count:
            raise unfit
        rates = np.zeros((len(KINDS), len(next(iter(stack.values())))))
        rates[:, :count] = good
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
                f"{rates[0][int(done)]:.3g}; use a smaller rate, less feedback or a smaller scale{shorter(solver)}. "
                "The error's `network` holds the weights before that batch.",
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
                batches=number,
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
        if unfit is not None:
            raise unfit


def initial_state(net: Network, rule: Rule, transform: Any) -> LearningState:
    """Return the state of learning before the first batch.

    Parameters
    ----------
    net : Network
    rule : Rule
    transform : optax.GradientTransformation or None
        As in `training`.

    Returns
    -------
    LearningState

    Raises
    ------
    ValueError
        If the transform has no methods `init` and `update`.
    """
    if transform is not None and not (hasattr(transform, "init") and hasattr(transform, "update")):
        raise ValueError(
            f"A transform must have the methods `init` and `update`, as those of Optax have; {transform!r} does not."
        )
    return LearningState(rule.init(net), None if transform is None else transform.init(net.parameters))


def train(
    net: Network,
    x: Inputs | Iterable[Any],
    *,
    epochs: float | None = None,
    batch_size: int | None = None,
    rate: Rate | None = None,
    ratio: float | None = None,
    rule: Rule | None = None,
    transform: Any = None,
    seed: int | None = None,
    solver: Solver | None = None,
    tolerance: float = 1e-3,
    held_out: Inputs | None = None,
    tol: float | None = None,
    report_every: int | None = None,
    progress: bool = True,
    observe: Callable[[Network, Report], None] | None = None,
    mesh: Mesh | None = None,
    checkpoints: Keeper | None = None,
) -> tuple[Network, list[Report]]:
    """Learn from an array or a stream of batches.

    Parameters
    ----------
    net : Network
    x : array of shape (samples, ...), dict of such arrays, or iterable of batches
        Samples that are shuffled and cut into batches: whatever `simatch.relax` takes, arrays larger than memory
        included (``docs/data.md``). Or an iterable whose items are the batches, as in `training`.
    epochs, batch_size, seed : optional
        Passes over the data (above 0; 1 by default), samples in a batch (at least 1; 100) and seed of the order (at
        least 0; 0), as in `epochs_of`; not with an iterable of batches.
    rate : float, callable, or mapping with "descending" and "ascending", optional
        Learning rates or schedules as in `training`. For samples in arrays, a number is the rate of the first batch,
        and the rate falls to 1/21 of it over the run (`hyperbolic`). For an iterable, whose length is unknown, a number
        is a constant rate. None: the rate of the rule itself (`Rule.default_rate`). For `AveragingRule` it
        suits all amounts of data: ``0.5 / (max(1, 100 / batch_size) + n / 19)`` at batch n after a rise over ten
        batches, or 0.5 throughout if a batch holds all samples of an array.
    ratio, rule, transform, solver, tolerance, report_every
        As in `training`.
    held_out : array of shape (samples, ...), or dict of such arrays, optional
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
    checkpoints : Checkpoints, optional
        Where the run is kept while it learns (`simatch.Checkpoints`). A run that was interrupted goes on from there if
        `train` is called again with the same network, data and settings, and ends with the same weights, bit for bit.
        An iterable must then yield the same batches again; those that were learned from are skipped.

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
        If `tol` is not above 0 or comes without `held_out`, if `epochs`, `batch_size` or `seed` is out of range or
        comes with an iterable of batches, if an iterable has no batches, or as in `training`. All samples of an
        array are checked before anything is learned. Also if `checkpoints` hold another run, or are used by another
        process.
    DivergenceError
        If activities grow without bound.

    Notes
    -----
    What ends learning early is raised as it is, be it Ctrl-C or an error of an iterable or of `observe`, so that a
    script does not take a network that learned for a while for the trained one. Its attributes `network` and
    `reports` hold what was learned until then. After Ctrl-C in a notebook or at the prompt: ``sys.last_value.network``.

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
    tolerance = check_solving(solver, tolerance)
    if tol is not None:
        tol = number(tol, "tol", above=0)
    if tol is not None and held_out is None:
        raise ValueError(f"tol={tol!r} needs samples on which the distance is measured; pass held_out.")
    if held_out is not None:
        held_out = checked(net, held_out, rule.phases[:1])
    batches: Callable[[int], Iterable[Any]]
    if is_input(net, x, rule.phases, rule.entries):
        x = check_samples(net, x, rule)  # all samples, before anything is learned from some of them
        epochs, batch_size = 1 if epochs is None else epochs, 100 if batch_size is None else batch_size
        check_plan(epochs, batch_size)
        batch_size = int(batch_size)
        seed = whole(0 if seed is None else seed, "The seed", least=0)
        processes, devices = 1, 1
        if mesh is not None:
            overall, batch_size = batch_size, own_share(batch_size, mesh)
            processes, devices = overall // batch_size, len(mesh.local_devices)
            check_same(count_samples(x), mesh, "The processes hold different numbers of samples; give each as many.")
        plan = {"epochs": epochs, "batch_size": batch_size, "multiple": devices}
        total = batches_in(count_samples(x), **plan)
        batches = functools.partial(_epochs_from, x, seed=seed, **plan)
        count = processes * count_samples(x)
        own = rule.default_rate(processes * batch_size, count) if rate is None else rate
        check_start(net, own, ratio, rule)
        schedule = _falling(own, total)
    else:
        for name, value in {"epochs": epochs, "batch_size": batch_size, "seed": seed}.items():
            if value is not None:
                raise ValueError(
                    f"{name}={value!r} says how samples are cut into batches, but an iterable of batches was given; "
                    "leave it out, or pass the samples as one array."
                )
        plan, total = {}, None
        stream = iter(cast(Iterable[Any], x))
        first = list(itertools.islice(stream, 1))
        if not first:
            raise ValueError(
                "There are no batches to learn from: the iterable is empty, or an iterator that was used up before; "
                "pass a list or a new iterator."
            )
        everything = itertools.chain(first, stream)
        batches = lambda start: itertools.islice(everything, start, None)  # noqa: E731
        read = batch_reader(net, rule.phases, rule.entries)
        schedule = rule.default_rate(count_samples(read(first[0])[0]), None) if rate is None else rate
    net = in_default_precision(net)
    settings = {}
    if checkpoints is not None:
        settings = identity(
            net,
            schedule_of(schedule, ratio),
            total,
            x if total is not None else None,
            **plan,
            seed=seed,
            rule=eqx.tree_pformat(rule, short_arrays=False),  # `repr` hides numbers such as beta
            solver=repr(solver),
            tolerance=tolerance,
            tol=tol,
            report_every=report_every,
        )
    keeper = checkpoints or NoKeeper()
    measure = (
        None if held_out is None else measure_on(held_out, phase=rule.phases[0], solver=solver, tolerance=tolerance)
    )
    with keeper.course(net, initial_state(net, rule, transform), settings) as course:
        if mesh is not None:
            check_same(
                np.asarray(course.batches),
                mesh,
                "The processes found different checkpoints; use a folder that all share.",
            )
        if not course.complete:
            runs: Steps = training(
                course.network,
                batches(course.batches),
                rate=schedule,
                ratio=ratio,
                rule=rule,
                transform=transform,
                solver=solver,
                tolerance=tolerance,
                report_every=report_every,
                after=course.last,
                mesh=mesh,
            )
            if measure is not None:
                runs = certified(runs, measure, tol, course.reports)
            try:
                for now, report in tracked(keeper.following(course, runs), total, describe, shown=progress):
                    if observe is not None:
                        observe(now, report)
            except BaseException as error:
                _hand_over(error, course)
                raise
    net, reports = course.network, course.reports
    if measure is not None:
        reports = concluded(net, reports, measure)
        warn_short(reports[-1], tol, "train for more epochs, or raise tol")
    warn_unconverged(reports)
    warn_unhealthy(reports)
    return net, reports


def _epochs_from(x: Inputs, start: int, **plan: Any) -> Iterator[Inputs]:
    return epochs_of(x, start=start, **plan)


def _hand_over(error: BaseException, course: Course) -> None:
    """Let what ended learning early carry what was learned until then, and say so."""
    with contextlib.suppress(AttributeError):  # an exception that is frozen
        error.reports = course.reports  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(error, DivergenceError):
            return  # it has a network, perhaps one that has learned from more batches, and says so
        error.network = course.network  # pyright: ignore[reportAttributeAccessIssue]
        if course.reports:
            error.add_note(
                f"Learning ended after {course.batches} batches; `network` and `reports` of this exception "
                "(sys.last_value at a prompt) hold what was learned."
            )


def _falling(rate: Rate, over: int) -> Rate:
    """Replace numbers by schedules that fall over the run."""
    if isinstance(rate, Mapping):
        return {kind: cast(Any, _falling(own, over)) for kind, own in rate.items()}
    return rate if callable(rate) else hyperbolic(rate, over=over)


def describe(progress: tuple[Network, Report]) -> tuple[int, str]:
    """Number of completed batches, and a text with speed, cost and residual, for a progress bar.

    Parameters
    ----------
    progress : tuple of Network and Report
        What `training` yields.

    Returns
    -------
    batches : int
    text : str

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import describe
    >>> report = sm.Report(10, 1000, 0.5, 1e-4, 12.0, 0, {}, {}, {}, rate=0.1, seconds=2.0)
    >>> describe((sm.layered(4, [sm.Layer(units=2)]), report))
    (10, '500 samples/s  cost 0.5  residual 0.0001')
    """
    _, report = progress
    speed = report.samples / report.seconds
    distance = "" if report.certificate is None else f"  distance from optimum {report.certificate.distance:.2g}"
    return report.batches, f"{speed:,.0f} samples/s  cost {report.cost:.4g}  residual {report.residual:.1g}{distance}"


def warn_unconverged(reports: Sequence[Report], stacklevel: int = 3) -> None:
    """Warn once if some samples of a training run did not reach the tolerance.

    Parameters
    ----------
    reports : sequence of Report
        All reports of the run.
    stacklevel : int
        As in `warnings.warn`, at least 1; 3 points to the caller of the function that calls this one.

    Warns
    -----
    ConvergenceWarning
        If there are such samples.
    """
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
    """Warn once for each layer that is unhealthy at the end of a training run, and say since when.

    Parameters
    ----------
    reports : sequence of Report
        All reports of the run.
    stacklevel : int
        As in `warnings.warn`, at least 1; 3 points to the caller of the function that calls this one.

    Warns
    -----
    HealthWarning
        For each layer with a complaint in the last report (`Health.complaint`).
    """
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
