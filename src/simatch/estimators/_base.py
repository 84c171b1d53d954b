"""Base class of the estimators: learning, encoding, and scikit-learn's conventions."""

import abc
import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning as SklearnConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from .._arrays import refuse_masked
from .._progress import tracked
from .._unchanged import unchanged_if_failed
from ..learning import (
    DEFAULT_RULE,
    Certificate,
    DivergenceError,
    Keeper,
    NoKeeper,
    Plasticity,
    Report,
    Schedule,
    Steps,
    automatic_rate,
    batches_in,
    calibrate,
    certified,
    check_rate,
    concluded,
    describe,
    encode,
    ended,
    epochs_of,
    hyperbolic,
    identity,
    imprinted,
    initial_state,
    measure_on,
    recalibrated,
    reports_in,
    samples_at_once,
    schedule_of,
    sized,
    training,
    warn_short,
    warn_unconverged,
    warn_unhealthy,
)
from ..network import Activation, Network
from ..relaxation import ConvergenceWarning, Inputs, Solver, check_values, is_sparse, is_stored, rows_of
from ..storage import Checkpoints
from ._callbacks import CallbackSupportMixin
from ._kept import check_repeatable
from ._portable import PortableNetwork
from ._rows import Rows, is_large, parts, precision
from ._score import mean_squared_similarity, primal_cost
from ._unit import outgrown, unit_of

# `import simatch` does not import scikit-learn, so that its warning can become the base of ours only here.
ConvergenceWarning.__bases__ = (SklearnConvergenceWarning,)

# Batches in one compiled run, which callbacks see as one task. The compiled program depends on it, so it is fixed.
_BATCHES_A_TASK = 10
# Batches and lengths by default. So few rows are learned from all at once, because without noise the rate can stay
# large; of more rows, a batch is large enough for hundreds of units.
_AT_ONCE, _BATCH = 2000, 400
_STEPS_AT_ONCE, _BATCHES = 1000, 300
# Most rows on which the distance from the optimum is measured, and about how many numbers these hold at most.
_MEASURED, _NUMBERS = 2000, 1 << 24
# Lowest automatic rate of `partial_fit`, for batches of 400 rows: it follows changes within some 50 batches.
_LOWEST_RATE = 0.02
# Latest rows of a stream by which the operating point is judged, how few do not tell, and most numbers that are kept.
_LATEST, _FEW, _KEPT = 100, 8, 1 << 20

# Types of large data that stay as they are until rows are read.
_TYPES = (np.float64, np.float32, np.float16, np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.bool_)

# Distances from the optimum at which learning ends, and above which it warns, by default.
_AUTOMATIC = 1e-4, 0.05
# How often the automatic rate may be halved.
_HALVINGS = 5

Learned = tuple[Network, list[Report]]
Estimator = TypeVar("Estimator", bound="SimilarityMatcher")


class SimilarityMatcher(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    PortableNetwork,
    BaseEstimator,
    metaclass=abc.ABCMeta,
):
    """Base class of the estimators: learning, encoding, and scikit-learn's conventions. Subclasses build the network.

    The signatures of `__init__` have no types, because scikit-learn requires that every value is stored unchanged and
    validated in `fit`.
    """

    learning_rate: Any
    ratio: float
    decay: float
    max_iter: Any
    batch_size: Any
    scale: Any
    plasticity: dict[str, float] | None
    tol: Any
    tolerance: float
    warm_start: bool
    solver: Solver | None
    random_state: Any
    checkpoints: Any
    verbose: Any

    network_: Network

    # Of streams: the latest rows; from how many of these the network was made; the rate that `fit` had reached.
    _latest: Float[np.ndarray, "rows features"] | None = None
    _left_behind = ("_latest",)
    _made_from: int = 0
    _reached: float | None = None

    _parameter_constraints: ClassVar[dict] = {
        "activation": [str, Activation],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), callable],
        "ratio": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "lateral_scale": [Interval(Real, 0, None, closed="neither")],
        "plasticity": [dict, None],
        "tol": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
        "solver": [Solver, None],
        "random_state": ["random_state"],
        "checkpoints": [str, Path, None],
        "verbose": ["verbose"],
    }

    @abc.abstractmethod
    def _build(self, n_features: int, seed: int) -> Network:
        """Return the network before learning."""

    @unchanged_if_failed  # outside, so that callbacks are torn down before
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn from passes over the data, in random order, until the network is at the optimum of learning.

        If it fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training data; large arrays, memory-mapped ones and datasets of h5py or Zarr are read row by row
            (``docs/data.md``). Similarities are dot products, so centre the data first if their mean should not count.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range.
        DivergenceError
            If activities grow without bound; lower `learning_rate` or `scale`.

        Warns
        -----
        ConvergenceWarning
            If learning ended before its distance from the optimum was at most `tol`, or if some samples were learned
            from before they had settled to `tolerance`.
        """
        warm = self.warm_start and hasattr(self, "network_")
        X = self._validated(X, reset=not warm)
        net, unit, seed = self._continued(_nonzero(X)) if warm else self._initial(X)
        begun = self.n_samples_seen_ if warm else 0
        epochs, size = self._plan(X.shape[0])
        total = batches_in(X.shape[0], epochs=epochs, batch_size=size)
        tasks = reports_in(X.shape[0], _BATCHES_A_TASK, epochs=epochs, batch_size=size)
        whole = self._init_callback_context(max_subtasks=tasks)
        whole.call_on_fit_task_begin(estimator=self, X=X, y=y)
        measure = self._measure(X, unit, seed)
        enough, acceptable = self._tolerances(measure)
        # Without noise a distance that no longer falls will not fall later.
        stalled = acceptable if self.tol == "auto" and size == X.shape[0] else None

        seen: list[Any] = []

        def learned(start: Network, pace: float) -> tuple[Network, list[Report]]:
            schedule = self._schedule(size, begun, X.shape[0], total, pace)
            keeper, settings = self._kept(start, schedule, total, X, seed, unit, pace, epochs, size, enough)
            with keeper.course(start, initial_state(start, DEFAULT_RULE, self._transform(start)), settings) as course:
                net, reports = course.network, course.reports
                order = epochs_of(X / unit, epochs=epochs, batch_size=size, seed=seed, start=course.batches)
                runs: Steps = self._training(net, order, schedule, course.last)
                runs = keeper.following(course, certified(runs, measure, enough, reports, stalled))
                runs = tracked(runs, total, describe, label=type(self).__name__, shown=bool(self.verbose))
                for number in range(tasks if course.complete else len(reports), tasks):
                    state = {"network_": net, "unit_": unit}
                    # Callbacks see every task once, also if learning begins anew.
                    task = whole.subcontext(task_name="batches") if number == len(seen) else None
                    if task is not None:
                        seen.append(task)
                        task.call_on_fit_task_begin(estimator=self, X=X, y=y, reconstruction_attributes=state)
                    net, report = next(runs)
                    state = {"network_": net, "unit_": unit}
                    metadata = {k: v for k, v in vars(report).items() if k not in ("state", "certificate")}
                    stop = task is not None and task.call_on_fit_task_end(
                        estimator=self, X=X, y=y, metadata=metadata, reconstruction_attributes=state
                    )
                    if stop:
                        break
                    if number == tasks - 1 or ended(report, reports, enough, stalled):
                        next(runs, None)  # the end of the run, which is kept
                        break
            return net, concluded(net, reports, measure)

        # Threads of BLAS that wait for the next small product of a certificate take the cores from XLA's.
        with threadpool_limits(1, user_api="blas"):
            net, reports = self._at_some_pace(learned, net)
        self.network_, self.unit_ = net, unit
        if not warm:
            self._forget()
        self._remember(reports)
        # Of a complete run in checkpoints, only what every certificate has was kept.
        self.certificate_ = measure(net) if self.checkpoints is not None else reports[-1].certificate
        self._made_from, self._reached = _LATEST, self.rate_
        self.n_iter_ = math.ceil(reports[-1].samples / X.shape[0])
        self._survey(X, measure)
        warn_short(reports[-1], acceptable, "raise max_iter for longer learning, or raise tol", stacklevel=5)
        whole.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    @unchanged_if_failed  # outside, so that callbacks are torn down before
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn once from each row, in the given order.

        The rows are cut into batches of `batch_size`, the last of which may be shorter; with "auto" a call of fewer
        than 400 rows is one batch. A shorter batch learns at a proportionally smaller rate, so that every row counts
        alike. The first call with rows other than 0 makes the network, unless `fit` has made it, and finds its
        operating point. If the data later become so much larger or smaller that units would leave their range, scales
        and sizes of the weights follow, and what was learned is kept.

        With ``learning_rate="auto"`` the rate falls with the number of rows seen, but not below 0.02 for batches of 400
        rows, so that the network forgets within about 20,000 rows and follows changes of the data. A number is a
        constant rate; after `fit`, the rate that `fit` had reached. The network forgets within about ``batch_size /
        learning_rate`` rows (``docs/streams.md``). If the call fails, the estimator is as it was before.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range.
        DivergenceError
            If activities grow without bound.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled to `tolerance`.
        UserWarning
            If all rows are 0 and the network has learned from others; it is then unchanged.
        """
        X = self._validated(X, reset=not hasattr(self, "network_"))
        begun = self.n_samples_seen_ if self._made_from else 0
        latest = self._with_latest(X)
        if begun and not len(_nonzero(X)):
            # Weights would decay, in the end to 0, from which they do not come back.
            warnings.warn("All rows are 0, from which nothing can be learned; leave them out.", stacklevel=4)
            return self
        # A network made from a few rows knows only these, and from rows of zeros nothing: it is made again.
        anew = not begun or self._made_from < _FEW <= len(latest)
        net, unit, _ = self._initial(_or_many(X, latest)) if anew else self._continued(latest)
        if not anew and net is not self.network_:
            latest = _nonzero(X)  # rows of another size before would blur the next judgement
        whole = min(_BATCH, X.shape[0]) if self.batch_size == "auto" else int(self.batch_size)
        batches = (X[i : i + whole] / unit for i in range(0, X.shape[0], whole))
        networks, reports = zip(*self._training(net, batches, self._steady(whole, begun, X.shape[0])), strict=True)
        if not begun:
            self._forget()
        self.network_, self.unit_, self._latest = networks[-1], unit, latest
        self._made_from = len(latest) if anew else self._made_from
        self._remember(reports)
        self._survey(None, None)
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "samples features"]:
        """Return the activities of the last layer at the fixed point of the neural dynamics.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In JAX's default precision, float32 unless ``jax_enable_x64`` is set.

        Raises
        ------
        ValueError
            If the data does not have the shape of that seen in `fit`, or is not finite.

        Warns
        -----
        ConvergenceWarning
            If some samples did not settle to `tolerance`.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        # A power of two, so that few compiled programs serve all numbers of rows.
        size = min(samples_at_once(self.network_), 1 << (X.shape[0].bit_length() - 1))
        Z = encode(self.network_, X / self.unit_, batch_size=size, solver=self.solver, tolerance=float(self.tolerance))
        Z *= self.unit_
        return Z

    def score(self, X: Any, y: Any = None) -> float:
        """Return how well similarities are matched: minus the primal cost, relative to the similarities of the data.

        It is minus the cost (8) on these samples (`simatch.similarity_cost`), divided by half the mean of ``(x.x')^2``
        over all pairs of samples, so that model selection can compare settings of learning by their result. The better,
        the higher; outputs that are 0 score 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the data does not have the shape of that seen in `fit`, or is not finite.

        Warns
        -----
        ConvergenceWarning
            If some samples did not settle to `tolerance`.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False) / self.unit_
        cost = primal_cost(self.network_, X, solver=self.solver, tolerance=float(self.tolerance))
        return -2 * cost / max(self._similarity_weight * mean_squared_similarity(X), np.finfo(float).tiny)

    @property
    def _similarity_weight(self) -> float:
        """Weight of the similarities of the data in the cost, to which scores are relative."""
        return 1.0

    @property
    def _n_features_out(self) -> int:
        return self.network_.populations[self.network_.layers[-1]].grid.size

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags is not None
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = [precision().name]
        return tags

    def _validated(self, X: Any, *, reset: bool) -> Any:
        """Return an array of shape (samples, features), or a CSR matrix."""
        refuse_masked(X, "X")
        if is_stored(X):
            validate_data(self, X, reset=reset, skip_check_array=True)  # which would read it as a whole
            return Rows(self._checked(X))
        large = is_large(X)
        kept = [precision(), *_TYPES] if large else precision()
        # Values that overflow in the engine's precision become infinite, and validation rejects them. Those of large
        # data are checked once, by `_checked`.
        with np.errstate(over="ignore", invalid="ignore"):
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=kept, ensure_all_finite=not large)
        if is_sparse(X):
            return X
        return Rows(self._checked(X)) if large else np.asarray(X)

    def _checked(self, X: Any) -> Any:
        """Return large data if they are a matrix of numbers in the range of the engine."""
        if len(X.shape) != 2 or 0 in X.shape or not np.can_cast(X.dtype, float, "same_kind"):
            raise ValueError(
                f"X must be a matrix of real numbers with at least one row and one column, got one of shape {X.shape} "
                f"and type {X.dtype}."
            )
        check_values(X, "X")
        return X

    def _initial(self, X: Any) -> tuple[Network, float, int]:
        """Return the network before learning, the unit of the data, and a seed for the order of samples."""
        check_repeatable(self.checkpoints, self.random_state)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        net = self._build(X.shape[1], seed)
        if _blank(X):
            return net, 1.0, seed  # nothing says how large the weights should be
        unit = unit_of(X, seed) if _scale_free(net) else 1.0
        some = self._some(X, unit, seed)
        net = imprinted(net, some, seed=seed, solver=self.solver)
        if self.scale == "auto" and not _scale_free(net):
            return calibrate(net, X, batch_size=min(_BATCH, X.shape[0]), seed=seed, solver=self.solver), unit, seed
        return sized(net, some, seed=seed, solver=self.solver), unit, seed

    def _continued(self, latest: Float[np.ndarray, "rows features"]) -> tuple[Network, float, int]:
        """Return the network so far, adapted to the size of the data if they have become much larger or smaller."""
        net, unit, seed = self.network_, self.unit_, self.n_steps_
        if len(latest) < max(1, min(_FEW, self._made_from)):
            return net, unit, seed
        rows = _many(latest)
        if not _scale_free(net):
            return (recalibrated(net, rows, solver=self.solver) if self.scale == "auto" else net), unit, seed
        other = unit_of(rows)
        # In the new unit the weights have about the size that they need.
        return (
            (sized(net, rows / other, solver=self.solver), other, seed) if outgrown(unit, other) else (net, unit, seed)
        )

    def _with_latest(self, X: Any) -> Float[np.ndarray, "rows features"]:
        """Latest rows of the stream other than 0, the end of which is X."""
        rows = _nonzero(X)
        return rows if self._latest is None else np.concatenate([self._latest, rows])[-_most(X.shape[1]) :]

    def _plan(self, count: int) -> tuple[float, int]:
        """Return the number of passes over the data and of rows in a batch."""
        size = self.batch_size
        if size == "auto":
            size = count if count <= self._most_at_once else _BATCH
        size = min(int(size), count)
        if self.max_iter != "auto":
            return float(self.max_iter), size
        return float(_STEPS_AT_ONCE) if size == count else max(1.0, self._fewest_batches * size / count), size

    def _schedule(self, size: int, begun: int, count: int, total: int, pace: float) -> Schedule:
        """Learning rate in `fit`, by the number of the batch; `begun` samples were learned from before.

        `pace` is a factor on an automatic rate.
        """
        rate = self.learning_rate
        if rate == "auto":
            falling, first = automatic_rate(size, count), begun // size
            return lambda n: pace * falling(first + n)
        if callable(rate):
            first = self.n_steps_ if begun else 0
            return lambda n: rate(first + n)
        return hyperbolic(float(rate), over=total, decay=float(self.decay))

    def _steady(self, whole: int, begun: int, count: int) -> Schedule:
        """Learning rate in `partial_fit` for `count` rows in batches of `whole`, of which the last may be shorter."""
        rate = self.learning_rate
        if rate == "auto":

            def falling(n: int) -> float:
                size = min(whole, count - n * whole)
                return max(automatic_rate(size)((begun + n * whole) // size), _LOWEST_RATE * min(1.0, size / _BATCH))

            return falling
        first = self.n_steps_ if begun else 0
        own: Schedule = rate if callable(rate) else lambda _: float(rate) if self._reached is None else self._reached
        return lambda n: own(first + n) * min(1.0, (count - n * whole) / whole)

    def _kept(
        self, start: Network, schedule: Schedule, total: int, X: Any, seed: int, unit: float, pace: float, *plan: Any
    ) -> tuple[Keeper, dict[str, Any]]:
        """Return what keeps the run while it learns, and what tells this run from another."""
        if self.checkpoints is None:
            return NoKeeper(), {}
        settings = identity(
            start,
            schedule_of(schedule, float(self.ratio)),
            total,
            X,
            seed=seed,
            unit=unit,
            plan=plan,
            plasticity=self.plasticity,
            solver=repr(self.solver),
            tolerance=float(self.tolerance),
        )
        # A run that begins anew at another pace is another run.
        return Checkpoints(Path(self.checkpoints) / f"pace-{pace:g}"), settings

    def _transform(self, net: Network) -> Plasticity | None:
        return Plasticity(net, self.plasticity) if self.plasticity else None

    def _training(
        self, net: Network, batches: Iterable[Inputs], rate: float | Schedule, after: Report | None = None
    ) -> Steps:
        if isinstance(self.learning_rate, Real):
            check_rate(net, float(self.learning_rate), float(self.ratio))
        return training(
            net,
            batches,
            rate=rate,
            ratio=float(self.ratio),
            transform=self._transform(net),
            solver=self.solver,
            tolerance=float(self.tolerance),
            report_every=_BATCHES_A_TASK,
            after=after,
        )

    def _measure(self, X: Any, unit: float, seed: int) -> Callable[[Network], Certificate]:
        """Return the function that measures how far a network is from its optimum, on some of the rows."""
        own = measure_on(self._some(X, unit, seed), solver=self.solver, tolerance=float(self.tolerance))

        def measure(net: Network) -> Certificate:
            return in_unit(own(net), unit)

        return measure

    def _some(self, X: Any, unit: float, seed: int) -> Any:
        """Return the rows on which the distance from the optimum is measured, in the unit of the network."""
        count = min(_MEASURED, max(_NUMBERS // X.shape[1], 100))
        return X[np.random.default_rng(seed).permutation(X.shape[0])[:count]] / unit

    def _survey(self, X: Any | None, measure: Callable[[Network], Certificate] | None) -> None:
        """Keep what only the data of `fit` say, of which `measure` may know it; None after `partial_fit`."""

    def _tolerances(self, measure: Callable[[Network], Certificate]) -> tuple[float | None, float | None]:
        """Distance at which learning ends, and the largest one without a warning, both by `measure`."""
        if self.tol == "auto":
            return _AUTOMATIC
        tol = float(self.tol) or None
        return tol, tol

    def _at_some_pace(self, learned: Callable[[Network, float], Learned], start: Network) -> Learned:
        """Learn, and if activities grow without bound, begin anew at half the automatic rate."""
        for halvings in range(_HALVINGS if self.learning_rate == "auto" else 0):
            try:
                return learned(start, 0.5**halvings)
            except DivergenceError:
                continue
        return learned(start, 0.5**_HALVINGS if self.learning_rate == "auto" else 1.0)

    @property
    def _fewest_batches(self) -> int:
        """Fewest batches in `fit` by default, if not all rows are learned from at once."""
        return _BATCHES

    @property
    def _most_at_once(self) -> int:
        """Most rows from which, by default, all steps learn at once."""
        return _AT_ONCE

    @property
    def _factor(self) -> float:
        """Factor on the structure constants before any calibration."""
        return 1.0 if self.scale == "auto" else float(self.scale)

    def _forget(self) -> None:
        self.n_steps_, self.n_samples_seen_, self.cost_history_ = 0, 0, np.empty(0)
        if hasattr(self, "n_iter_"):
            del self.n_iter_
        self._latest, self._reached = None, None

    def _remember(self, reports: Sequence[Report]) -> None:
        last = reports[-1]
        self.n_steps_ += last.batches
        self.n_samples_seen_ += last.samples
        self.rate_ = last.rate
        costs = [report.cost * self.unit_**4 for report in reports]
        self.cost_history_ = np.concatenate([self.cost_history_, costs])
        self.saturated_, self.silent_ = last.saturated, last.silent
        warn_unconverged(reports, stacklevel=6)
        warn_unhealthy(reports, stacklevel=6)


def _blank(X: Any) -> bool:
    """Whether data are 0 everywhere."""
    return not X.data.any() if is_sparse(X) else not any(part.any() for part in parts(X))


def _most(features: int) -> int:
    """Most rows by which the operating point is judged."""
    return min(_LATEST, max(_KEPT // features, _FEW))


def _nonzero(X: Any) -> Float[np.ndarray, "rows features"]:
    """Last rows in which not all features are 0, dense."""
    other = np.diff(X.indptr) if is_sparse(X) else np.concatenate([part.any(axis=1) for part in parts(X)])
    return np.asarray(rows_of(X, np.flatnonzero(other)[-_most(X.shape[1]) :]))


def _many(rows: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "many features"]:
    """Repeat rows, always to the same number, so that one compiled program serves all calls."""
    return np.resize(rows, (_most(rows.shape[1]), rows.shape[1]))


def _or_many(X: Any, latest: Float[np.ndarray, "rows features"]) -> Any:
    """Return the data that a network is made from: X, or the latest rows if X has few."""
    return X if X.shape[0] >= _FEW or not len(latest) else _many(latest)


def in_unit(found: Certificate, unit: float) -> Certificate:
    """Return a certificate of data that were divided by a unit for the data themselves."""
    # Costs are products of four activities.
    return dataclasses.replace(found, primal=found.primal * unit**4, dual=found.dual * unit**4)


def _scale_free(net: Network) -> bool:
    return all(activation.scale_free for activation in net.activations.values())
