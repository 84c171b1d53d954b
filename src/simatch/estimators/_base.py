"""Base class of the estimators: learning, encoding, and scikit-learn's conventions."""

import abc
import dataclasses
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning as SklearnConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._progress import tracked
from ..learning import (
    Report,
    Schedule,
    batches_in,
    calibrate,
    describe,
    encode,
    epochs_of,
    hyperbolic,
    largest_rate,
    reports_in,
    samples_at_once,
    training,
    warn_unconverged,
)
from ..network import Activation, Network
from ..relaxation import ConvergenceWarning, Inputs, Solver, is_sparse
from ._score import mean_squared_similarity, primal_cost

# `import simatch` does not import scikit-learn, so that its warning can become the base of ours only here.
ConvergenceWarning.__bases__ = (SklearnConvergenceWarning,)

# Batches in one compiled run, which callbacks see as one task. The compiled program depends on it, so it is fixed.
_BATCHES_A_TASK = 10

Estimator = TypeVar("Estimator", bound="SimilarityMatcher")


class SimilarityMatcher(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, metaclass=abc.ABCMeta
):
    """Base class of the estimators: learning, encoding, and scikit-learn's conventions. Subclasses build the network.

    The signatures of `__init__` have no types, because scikit-learn requires that every value is stored unchanged and
    validated in `fit`.
    """

    learning_rate: float
    ratio: float
    decay: float
    max_iter: int
    batch_size: int
    scale: Any
    tolerance: float
    solver: Solver | None
    random_state: Any
    verbose: Any

    network_: Network

    _parameter_constraints: ClassVar[dict] = {
        "activation": [str, Activation],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "ratio": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "solver": [Solver, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abc.abstractmethod
    def _build(self, n_features: int, seed: int) -> Network:
        """Return the network before learning."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn from `max_iter` passes over the data, in random order, at a decreasing rate.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training data. Similarities are dot products, so centre and scale the data first.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range; the estimator is then unchanged.
        DivergenceError
            If activities grow without bound; lower `learning_rate` or `scale`.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled to `tolerance`.
        """
        X = self._validated(X, reset=True)
        net, seed = self._initial(X)
        epochs, size = float(self.max_iter), int(self.batch_size)
        total = batches_in(X.shape[0], epochs=epochs, batch_size=size)
        tasks = reports_in(X.shape[0], _BATCHES_A_TASK, epochs=epochs, batch_size=size)
        whole = self._init_callback_context(max_subtasks=tasks)
        whole.call_on_fit_task_begin(estimator=self, X=X, y=y)
        rate = hyperbolic(self._rate(net), over=total, decay=float(self.decay))
        batches = epochs_of(X, epochs=epochs, batch_size=size, seed=seed)
        runs = tracked(
            self._training(net, batches, rate), total, describe, label=type(self).__name__, shown=bool(self.verbose)
        )
        reports = []
        for _ in range(tasks):
            task = whole.subcontext(task_name="batches")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y, reconstruction_attributes={"network_": net})
            net, report = next(runs)
            reports.append(report)
            if task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                metadata={k: v for k, v in dataclasses.asdict(report).items() if k != "state"},
                reconstruction_attributes={"network_": net},
            ):
                break
        del runs  # removes the progress bar if a callback has stopped early
        self.network_, self.n_steps_, self.cost_history_ = net, 0, np.empty(0)
        self._remember(reports)
        self.n_iter_ = math.ceil(reports[-1].samples / X.shape[0])
        whole.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn once from each row, in the given order, at the constant rate `learning_rate`.

        The rows are cut into batches of `batch_size`; the last batch has the rest. The first call makes the network,
        unless `fit` has made it, and with ``scale="auto"`` calibrates it on these rows.

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
            If a parameter or the data are out of range; the estimator is then unchanged.
        DivergenceError
            If activities grow without bound; the estimator keeps the network from before the call.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled to `tolerance`.
        """
        new = not hasattr(self, "network_")
        X = self._validated(X, reset=new)
        net = self._initial(X)[0] if new else self.network_
        batches = (X[i : i + self.batch_size] for i in range(0, X.shape[0], self.batch_size))
        networks, reports = zip(*self._training(net, batches, self._rate(net)), strict=True)
        if new:
            self.n_steps_, self.cost_history_ = 0, np.empty(0)
        self.network_ = networks[-1]
        self._remember(reports)
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
        return encode(self.network_, X, batch_size=size, solver=self.solver, tolerance=float(self.tolerance))

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
        X = self._validated(X, reset=False)
        cost = primal_cost(self.network_, X, solver=self.solver, tolerance=float(self.tolerance))
        return -2 * cost / max(self._similarity_weight * mean_squared_similarity(X), np.finfo(float).tiny)

    @property
    def _similarity_weight(self) -> float:
        """Weight of the similarities of the data in the cost, to which scores are relative."""
        return 1.0

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickles and copies, with NumPy arrays in place of arrays on a device."""
        state: Any = super().__getstate__()
        if "network_" in state:
            state = {**state, "network_": jax.device_get(state["network_"])}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = jax.tree.map(jnp.asarray, state["network_"])

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
        # Values that overflow in the engine's precision become infinite, and validation rejects them.
        with np.errstate(over="ignore", invalid="ignore"):
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=precision())
        return X if is_sparse(X) else np.asarray(X)

    def _initial(self, X: Any) -> tuple[Network, int]:
        """Return the network before learning, and a seed for the order of samples."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        net = self._build(X.shape[1], seed)
        if self.scale == "auto":
            net = calibrate(net, X, batch_size=int(self.batch_size), seed=seed, solver=self.solver)
        return net, seed

    def _training(
        self, net: Network, batches: Iterable[Inputs], rate: float | Schedule
    ) -> Iterable[tuple[Network, Report]]:
        return training(
            net,
            batches,
            rate=rate,
            ratio=float(self.ratio),
            solver=self.solver,
            tolerance=float(self.tolerance),
            report_every=_BATCHES_A_TASK,
        )

    def _rate(self, net: Network) -> float:
        """Learning rate of the first batch."""
        # Weights decay at rate / c, and the user cannot foresee the c that calibration finds.
        return float(self.learning_rate) * (
            min(1.0, largest_rate(net, float(self.ratio))) if self.scale == "auto" else 1.0
        )

    @property
    def _factor(self) -> float:
        """Factor on the structure constants before any calibration."""
        return 1.0 if self.scale == "auto" else float(self.scale)

    def _remember(self, reports: Sequence[Report]) -> None:
        last = reports[-1]
        self.n_steps_ += last.batches
        self.cost_history_ = np.concatenate([self.cost_history_, [report.cost for report in reports]])
        self.saturated_, self.silent_ = last.saturated, last.silent
        warn_unconverged(reports, stacklevel=5)


def precision() -> np.dtype:
    """Precision in which the engine computes."""
    return np.dtype(jnp.result_type(float))
