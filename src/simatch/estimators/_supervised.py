"""Base classes of the estimators that learn from targets."""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import jax
import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .._arrays import refuse_masked
from .._progress import tracked
from .._unchanged import unchanged_if_failed
from ..learning import (
    Keeper,
    NoKeeper,
    Rate,
    Report,
    Schedule,
    batches_in,
    describe,
    epochs_of,
    hyperbolic,
    identity,
    initial_state,
    rising,
    schedule_of,
    training,
    warn_unconverged,
    warn_unhealthy,
)
from ..models import Supervised
from ..network import Network
from ..storage import Checkpoints
from ._kept import check_repeatable
from ._portable import PortableNetwork
from ._rows import precision

# Rows in a batch, fewest batches in `fit`, and most passes over the data, by default.
_BATCH, _BATCHES, _PASSES = 20, 4000, 200
# How much rates fall over `fit`, and in what part of it they rise.
_DECAY, _RISE = 5.0, 10
# Variance of the input currents of the first layer before learning, for inputs in their unit.
_VARIANCE = 0.2

Learner = TypeVar("Learner", bound="SupervisedEstimator")


def _layout(net: Network) -> tuple[Any, ...]:
    """Neurons, activations and numbers of synapses of a network."""
    # In the order of names: compiled functions return populations in it.
    populations = [(name, own.grid, repr(own.activation)) for name, own in sorted(net.populations.items())]
    return populations, [np.shape(leaf) for leaf in jax.tree.leaves(net.parameters)]


def mean_square(X: Float[np.ndarray, "samples features"]) -> float:
    """Mean squared length of rows."""
    return float(np.mean(np.sum(X.astype(float) ** 2, axis=1)))


class SupervisedEstimator(PortableNetwork, BaseEstimator, metaclass=abc.ABCMeta):
    """Base of classifiers and regressors around a `simatch.models.Supervised`. Subclasses build the model."""

    learning_rate: Any
    max_iter: Any
    batch_size: Any
    tolerance: float
    warm_start: bool
    random_state: Any
    checkpoints: Any
    verbose: Any

    network_: Network
    n_features_in_: int

    # Report of the last batches, with the state of the rule; copies and files begin with a new one.
    _last: Report | None = None
    _left_behind = ("_last",)

    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "checkpoints": [str, Path, None],
        "verbose": ["verbose"],
    }

    @abc.abstractmethod
    def _build(self, n_features: int, n_outputs: int, seed: int) -> Supervised:
        """Return the model before learning."""

    @abc.abstractmethod
    def _targets(self, y: Any, *, reset: bool) -> Float[np.ndarray, "samples outputs"]:
        """Return targets as the model takes them; with `reset`, remember what kind of targets they are."""

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self: Learner, X: Any, y: Any) -> Learner:
        """Learn from passes over the data in random order; learning rates fall over the passes.

        If it fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any size: inputs are divided by one number (`unit_`) that suits the network. Centre or standardise
            features of different sizes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, the data or the targets are out of range.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled (`unconverged_`).
        HealthWarning
            If the activities of a hidden layer say little about the input.
        """
        check_repeatable(self.checkpoints, self.random_state)
        warm = self.warm_start and hasattr(self, "network_")
        X, y = self._validated(X, y, reset=not warm)
        targets = self._targets(y, reset=not warm)
        if not warm:
            self._begin(X, targets)
        size = min(int(self.batch_size), len(X))
        passes = self.max_iter
        if passes == "auto":
            passes = min(_PASSES, math.ceil(_BATCHES * size / len(X)))
        total = batches_in(len(X), epochs=passes, batch_size=size)
        # At the full rate from the beginning, bounded outputs may end at their bounds, where they learn no more.
        rise = max(1, total // _RISE)
        schedule = lambda rate: rising(hyperbolic(rate, over=total, decay=_DECAY), over=rise)  # noqa: E731
        self._learn(X, targets, passes, size, schedule, checkpoints=self.checkpoints)
        self.n_iter_ = int(passes)
        return self

    def _learn_more(self: Learner, X: Any, targets: Any) -> Learner:
        """Learn from one pass over further rows, at a constant rate, smaller for batches that are not full."""
        size = min(int(self.batch_size), len(X))
        share = size / int(self.batch_size)
        self._learn(X, targets, 1, size, lambda rate: lambda _: share * rate)
        return self

    @property
    def model_(self) -> Supervised:
        """The model with the network so far."""
        check_is_fitted(self)
        return dataclasses.replace(self._model(), network=self.network_)

    def _answers(self, X: Any) -> Float[np.ndarray, "samples outputs"]:
        check_is_fitted(self)
        refuse_masked(X, "X")
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.asarray(validate_data(self, X, reset=False, dtype=precision()))
        return np.asarray(self.model_.outputs(rows / self.unit_))

    def _model(self) -> Supervised:
        own = self._build(self.n_features_in_, self._n_outputs, self._seed)
        return dataclasses.replace(own, tolerance=float(self.tolerance))

    def _begin(self, X: np.ndarray, targets: np.ndarray) -> None:
        self._n_outputs = targets.shape[1]
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        model = self._build(X.shape[1], self._n_outputs, self._seed)
        self.unit_ = self._unit(X, model.network)
        self.network_, self._last = model.network, None
        self.n_steps_, self.n_samples_seen_, self.unconverged_ = 0, 0, 0
        self.cost_history_ = np.empty(0)

    def _unit(self, X: np.ndarray, net: Network) -> float:
        """Return the number by which inputs are divided, so that they drive the first layer neither little nor much."""
        units = net.populations[net.layers[0]].grid.size
        # Initial weights have a variance of about 2 / (inputs + units).
        drive = 2 * mean_square(X) / (X.shape[1] + units)
        return float(np.sqrt(drive / _VARIANCE)) if drive > 0 else 1.0

    def _rate(self, model: Supervised, size: int, schedule: Callable[[float], Schedule]) -> Rate:
        """Learning rates of a model; `schedule` makes one of a number."""
        factor, rate = float(self.learning_rate), model.rate
        if rate is None:
            rate = model.rule.default_rate(size, None)
        if isinstance(rate, Mapping):
            return {kind: schedule(factor * own) for kind, own in rate.items() if isinstance(own, int | float)}
        if callable(rate):
            automatic, before = rate, self.n_steps_
            return lambda n: factor * automatic(before + n)
        return schedule(factor * cast(float, rate))

    def _learn(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        passes: float,
        size: int,
        schedule: Callable[[float], Schedule],
        *,
        checkpoints: str | Path | None = None,
    ) -> None:
        model = self._model()
        self._check_layout(model.network)
        rate = self._rate(model, size, schedule)
        batch = model.batch((X / self.unit_).astype(precision()), targets.astype(precision()))
        total = batches_in(len(X), epochs=passes, batch_size=size)
        plan: dict[str, Any] = {"epochs": passes, "batch_size": size, "seed": self._seed + self.n_steps_}
        keeper: Keeper = NoKeeper()
        settings: dict[str, Any] = {}
        if checkpoints is not None:
            keeper = Checkpoints(checkpoints)
            parameters = self.get_params().items()
            given = {name: repr(value) for name, value in parameters if name not in ("checkpoints", "verbose")}
            settings = identity(self.network_, schedule_of(rate), total, batch, **{**given, **plan}, unit=self.unit_)
        state = initial_state(self.network_, model.rule, model.transform) if self._last is None else self._last.state
        with keeper.course(self.network_, state, settings) as course:
            if not course.complete:
                steps = training(
                    course.network,
                    epochs_of(batch, **plan, start=course.batches),
                    rate=rate,
                    rule=model.rule,
                    transform=model.transform,
                    tolerance=float(self.tolerance),
                    after=course.last or self._last,
                )
                steps = keeper.following(course, steps)
                for _ in tracked(steps, total, describe, label=type(self).__name__, shown=bool(self.verbose)):
                    pass
        self.network_, reports = course.network, course.reports
        last = reports[-1]
        # What comes later goes on from the state of the rule, with schedules of its own.
        self._last = dataclasses.replace(last, batches=0, samples=0, seconds=0.0)
        self.n_steps_ += last.batches
        self.n_samples_seen_ += last.samples
        self.unconverged_ += sum(report.unconverged for report in reports)
        self.cost_history_ = np.concatenate([self.cost_history_, [report.cost for report in reports]])
        warn_unconverged(reports, stacklevel=5)
        # Outputs near their bounds are right.
        *_, output = self.network_.layers
        warn_unhealthy(
            [
                dataclasses.replace(report, health={n: own for n, own in report.health.items() if n != output})
                for report in reports
            ],
            stacklevel=5,
        )

    def _check_layout(self, net: Network) -> None:
        """Raise ValueError if the parameters have been changed so that they no longer make the network so far."""
        if _layout(net) != _layout(self.network_):
            names = [name for name in ("hidden", "n_components", "image_shape", "activation") if hasattr(self, name)]
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            raise ValueError(
                f"The network so far cannot go on learning with {given}, which make another one; set them back, or "
                "call fit with warm_start=False for a new network."
            )

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and targets."""
        refuse_masked(X, "X")
        several = isinstance(self, RegressorMixin)
        # Values that overflow in the engine's precision become infinite, and validation rejects them.
        with np.errstate(over="ignore", invalid="ignore"):
            validated = validate_data(self, X, y, reset=reset, dtype=precision(), multi_output=several)
        return tuple(np.asarray(part) for part in validated)  # pyright: ignore[reportReturnType]


class SupervisedClassifier(ClassifierMixin, SupervisedEstimator):
    """Base of the classifiers: targets are one-hot labels."""

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:
        """Learn from one pass over some rows, at a constant rate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), optional
            All labels that there will ever be; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the classes are missing in the first call or differ from those of an earlier one, or as in `fit`.
        """
        first = not hasattr(self, "network_")
        if first and classes is None:
            raise ValueError("The first call of partial_fit needs all labels that there will be; pass `classes`.")
        X, y = self._validated(X, y, reset=first)
        if first:
            self.classes_ = np.unique(np.asarray(classes))
            if len(self.classes_) < 2:
                raise ValueError(f"A classifier needs at least 2 classes, got {list(self.classes_)}; pass all labels.")
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"The classes are {list(self.classes_)}, not {list(np.unique(classes))}; leave them out.")
        targets = self._targets(y, reset=False)
        if first:
            self._begin(X, targets)
        return self._learn_more(X, targets)

    def decision_function(self, X: Any) -> Float[np.ndarray, "..."]:
        """Return how strongly the network answers with each class; of two classes, the difference of the two.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
        """
        answers = self._answers(X)
        return answers[:, 1] - answers[:, 0] if len(self.classes_) == 2 else answers

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with the strongest answer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        answers = self._answers(X)
        return self.classes_[answers.argmax(axis=1)]

    def _targets(self, y: Any, *, reset: bool) -> Float[np.ndarray, "samples outputs"]:
        check_classification_targets(y)
        if reset:
            self.classes_ = np.unique(y)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"A classifier needs samples of at least 2 classes, but y has only one class, {self.classes_[0]!r}."
                )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"The label {unknown[0]!r} is none of the classes {list(self.classes_)}.")
        return np.eye(len(self.classes_))[np.searchsorted(self.classes_, y)]


class SupervisedRegressor(RegressorMixin, SupervisedEstimator):
    """Base of the regressors: targets are standardised with the mean and the standard deviation of those of `fit`."""

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any) -> Any:
        """Learn from one pass over some rows, at a constant rate; the first rows standardise the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        self
        """
        first = not hasattr(self, "network_")
        X, y = self._validated(X, y, reset=first)
        targets = self._targets(y, reset=first)
        if first:
            self._begin(X, targets)
        return self._learn_more(X, targets)

    def predict(self, X: Any) -> Float[np.ndarray, "..."]:
        """Return estimates of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        answers = self._answers(X) * self._y_scale + self._y_mean
        return answers[:, 0] if self._flat else answers

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: Any, *, reset: bool) -> Float[np.ndarray, "samples outputs"]:
        y = np.asarray(y, float)
        flat, y = y.ndim == 1, y.reshape(len(y), -1)
        if reset:
            self._flat, self._y_mean, self._y_scale = flat, y.mean(axis=0), y.std(axis=0)
            self._y_scale[self._y_scale == 0] = 1.0
        if y.shape[1] != len(self._y_mean):
            raise ValueError(f"y has {y.shape[1]} columns, but {len(self._y_mean)} in `fit`.")
        return (y - self._y_mean) / self._y_scale
