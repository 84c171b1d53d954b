"""A linear readout: how well a line separates the classes in a network's features."""

import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import root_scalar
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

# Rows that are multiplied at once: many enough for BLAS, few enough that what is made of them is small.
_CHUNK = 2048


class LinearReadout(ClassifierMixin, BaseEstimator):
    """Linear support vector machine, one class against the rest, for many features of many samples.

    Minimises the cost of scikit-learn's `LinearSVC`, for each class

    ``|w|^2 / 2 + b^2 / (2 intercept_scaling^2) + C sum_i max(0, 1 - y_i (w.x_i + b))^2``

    to a guaranteed precision, where `LinearSVC` needs many times as long. The features are neither copied nor
    converted: float32 stays float32.

    Parameters
    ----------
    C : float
        Weight of the errors against the size of the weights; above 0.
    class_weight : None, "balanced" or dict
        How much the errors of each class weigh, by label; "balanced": in inverse proportion to the class's frequency.
        As in `LinearSVC`, with more than two classes this concerns the samples of the class, not those of the rest.
    intercept_scaling : float
        The greater, the less the intercept is held small; above 0.
    tol : float
        Relative distance of the cost from its minimum that is good enough.
    max_iter : int
        Newton steps, at most.
    warm_start : bool
        Whether `fit` starts from where the last one ended.
    n_jobs : int or None
        Classes that are worked on at once, each on one core; None for 1, -1 for as many as there are cores.

    Attributes
    ----------
    classes_ : array of shape (classes,)
    coef_ : array of shape (classes, features), or (1, features) for two classes
    intercept_ : array of shape (classes,), or (1,)
    objective_ : array of shape (classes,), or (1,)
        The cost that was reached, of each class.
    suboptimality_ : array of shape (classes,), or (1,)
        Bound of the relative distance of the cost from its minimum.
    n_iter_ : int
        Newton steps that were taken on all samples.
    n_features_in_ : int

    Notes
    -----
    `fit` warns with scikit-learn's ``ConvergenceWarning`` if `tol` was not reached, and raises ValueError if the data
    is no 2-D array of finite numbers, the labels do not fit, or there is only one class.

    The cost is piecewise quadratic: only samples with a margin below 1 contribute. A Newton step solves the
    least-squares problem of these few (Keerthi and DeCoste, "A modified finite Newton method for fast solution of large
    scale linear SVMs", JMLR 2005), for all classes side by side, with as many unknowns as there are features or such
    samples, whichever are fewer. Starting on a random part of the samples keeps these few. The cost's second
    derivative is at least 1, so half the squared gradient bounds the distance from the minimum.

    Examples
    --------
    >>> from simatch.readout import LinearReadout
    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> LinearReadout(C=0.1).fit(x[:1000] / 16, y[:1000]).score(x[1000:] / 16, y[1000:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        C=1.0,
        *,
        class_weight=None,
        intercept_scaling=1.0,
        tol=1e-6,
        max_iter=100,
        warm_start=False,
        n_jobs=None,
    ):
        self.C = C
        self.class_weight = class_weight
        self.intercept_scaling = intercept_scaling
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> "LinearReadout":
        """Find the weights.

        Parameters
        ----------
        X : array of shape (samples, features)
        y : array of shape (samples,)
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"A classifier needs at least two classes, but there is only one class: {classes.tolist()[0]!r}."
            )
        signs, costs = self._problems(y, codes, classes)
        # One thread a class: BLAS's own threads wait for each other in the many small products.
        with threadpool_limits(1, user_api="blas"), Parallel(self.n_jobs, prefer="threads") as parallel:
            weights, cost, gap, steps = self._minimise(_SquaredHinge(X, signs, costs, self.intercept_scaling), parallel)
        if (gap > self.tol).any():
            warnings.warn(
                f"The readout is within {gap.max():.1e} of its optimum after {steps} steps, not within {self.tol:g}; "
                "raise max_iter or tol, or pass float64 features.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.classes_ = classes
        self.coef_ = weights[:-1].T.astype(X.dtype)
        self.intercept_ = weights[-1] * self.intercept_scaling
        self.objective_, self.suboptimality_, self.n_iter_ = cost, gap, steps
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Signed score of each class, shape (samples, classes), or (samples,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        scores = X @ self.coef_.T.astype(X.dtype) + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Class of each sample, shape (samples,)."""
        scores = self.decision_function(X)
        return self.classes_[scores.argmax(1) if scores.ndim == 2 else (scores > 0).astype(int)]

    def _minimise(self, problem: "_SquaredHinge", parallel: Parallel) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        count, features = problem.x.shape
        classes = problem.signs.shape[1]
        if self.warm_start and hasattr(self, "coef_") and self.coef_.shape == (classes, features):
            weights = np.column_stack([self.coef_, self.intercept_ / self.intercept_scaling]).T.astype(np.float64)
        else:
            weights = np.zeros((features + 1, classes))
            order = np.random.default_rng(0).permutation(count)
            for size in _growing(count):
                weights = _newton(problem.of(np.sort(order[:size])), weights, 1e-2, self.max_iter, parallel)[0]
        return _newton(problem, weights, self.tol, self.max_iter, parallel)

    def _problems(self, y: np.ndarray, codes: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signs of the samples and costs of their errors, one column for each two-class problem."""
        balance = compute_class_weight(self.class_weight, classes=classes, y=y)
        binary = len(classes) == 2
        positive = codes[:, None] == (np.array([1]) if binary else np.arange(len(classes)))
        rest = balance[0] if binary else 1.0
        return np.where(positive, 1.0, -1.0), self.C * np.where(positive, balance[1:] if binary else balance, rest)


def choose_cost(
    readout: LinearReadout, X: Any, y: Any, X_valid: Any, y_valid: Any, costs: Iterable[float] = (0.01, 0.1, 1.0)
) -> tuple[LinearReadout, dict[float, float]]:
    """Choose C by the error on a validation part; each fit starts from the one before.

    Parameters
    ----------
    readout : LinearReadout
        Its other parameters are kept.
    X, y : arrays of shapes (samples, features) and (samples,)
        What is fitted.
    X_valid, y_valid : arrays of shapes (samples, features) and (samples,)
        What decides; among equals the smallest C.
    costs : iterable of float
        Values of C.

    Returns
    -------
    readout : LinearReadout
        The best, fitted.
    errors : dict
        Share of errors on the validation part for each C.

    Raises
    ------
    ValueError
        If there are no costs, or the data is not as `LinearReadout` needs it.

    Examples
    --------
    >>> from simatch.readout import LinearReadout, choose_cost
    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> best, errors = choose_cost(LinearReadout(), x[:800] / 16, y[:800], x[800:] / 16, y[800:], [1e-3, 1e-1])
    >>> best.C
    0.1
    """
    costs = sorted(set(costs))
    if not costs:
        raise ValueError("There is no C to choose from; give at least one.")
    path: Any = clone(readout)
    path.set_params(warm_start=True)
    errors: dict[float, float] = {}
    best: dict[str, Any] = {}
    for C in costs:
        path.set_params(C=C).fit(X, y)
        errors[C] = 1 - float(path.score(X_valid, y_valid))
        if errors[C] == min(errors.values()) and list(errors.values()).count(errors[C]) == 1:
            best = vars(path).copy()
    chosen: Any = clone(readout)
    vars(chosen).update(best, warm_start=readout.warm_start)
    return chosen, errors


def _growing(count: int) -> list[int]:
    """Sizes of the random parts to start on: each a quarter of the next."""
    sizes = []
    while (count := count // 4) >= 1000:
        sizes.insert(0, count)
    return sizes


class _SquaredHinge:
    """The costs of all two-class problems over the same samples; weights are columns, the last row the intercept's."""

    def __init__(
        self,
        x: np.ndarray,
        signs: np.ndarray,
        costs: np.ndarray,
        bias: float,
        rows: np.ndarray | None = None,
    ):
        self.x, self.signs, self.costs, self.bias, self.rows = x, signs, costs, bias, rows

    def of(self, rows: np.ndarray) -> "_SquaredHinge":
        """Return the same problems over some of the samples."""
        return _SquaredHinge(self.x, self.signs[rows], self.costs[rows], self.bias, rows)

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """Products of all samples with all columns of the weights."""
        slope = weights[:-1].astype(self.x.dtype)
        scores = np.empty(self.signs.shape)
        for start in range(0, len(scores), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            scores[chunk] = self.x[chunk if self.rows is None else self.rows[chunk]] @ slope
        return scores + self.bias * weights[-1]

    def samples(self, chosen: np.ndarray) -> np.ndarray:
        """Copy of some of the samples, with the constant input that carries the intercept."""
        rows = chosen if self.rows is None else self.rows[chosen]
        samples = np.empty((len(rows), self.x.shape[1] + 1), self.x.dtype)
        samples[:, :-1] = self.x[rows]
        samples[:, -1] = self.bias
        return samples


def _newton(
    problem: _SquaredHinge, weights: np.ndarray, tol: float, max_iter: int, parallel: Parallel
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Minimise every problem; return the weights, the costs, their bounds and the number of steps."""
    signs, costs = problem.signs, problem.costs
    margins = signs * problem.scores(weights)
    step = 0
    while True:
        errors = np.maximum(1 - margins, 0)
        cost = (weights**2).sum(0) / 2 + (costs * errors**2).sum(0)
        found: Any = parallel(
            delayed(_direction)(problem, k, weights[:, k], errors[:, k], tol * cost[k]) for k in range(len(cost))
        )
        directions, gap = np.column_stack([d for d, _ in found]), np.array([g for _, g in found])
        gap /= cost
        if step == max_iter or (gap <= tol).all():
            break
        slopes = signs * problem.scores(directions)
        lengths = np.zeros(len(cost))
        for k in np.flatnonzero(gap > tol):
            lengths[k] = _length(weights[:, k], directions[:, k], margins[:, k], slopes[:, k], costs[:, k])
        weights = weights + lengths * directions
        margins = margins + lengths * slopes
        step += 1
    return weights, cost, gap, step


def _direction(
    problem: _SquaredHinge, k: int, weights: np.ndarray, errors: np.ndarray, enough: float
) -> tuple[np.ndarray, float]:
    """Newton's direction for class `k`, or zero at the optimum, and the bound of the distance from the minimum."""
    chosen = np.flatnonzero(errors)
    signs, costs = problem.signs[chosen, k], 2 * problem.costs[chosen, k]
    features = len(weights)
    small = len(chosen) < features
    pull = (costs * errors[chosen] * signs).astype(problem.x.dtype)
    gradient = weights.copy()
    samples = problem.samples(chosen) if small else np.empty((0, features))
    for start in range(0, len(chosen), _CHUNK):
        part = samples[start : start + _CHUNK] if small else problem.samples(chosen[start : start + _CHUNK])
        gradient -= pull[start : start + _CHUNK] @ part
    gap = float(gradient @ gradient) / 2
    if gap <= enough:
        return np.zeros_like(weights), gap
    if small:
        # (I + X'DX)^-1 = I - X'(D^-1 + XX')^-1 X: as many unknowns as samples
        gram = (samples @ samples.T).astype(np.float64)
        gram[np.diag_indices_from(gram)] += 1 / costs
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        inner = cho_solve(factor, (samples @ gradient.astype(samples.dtype)).astype(np.float64), check_finite=False)
        return inner.astype(samples.dtype) @ samples - gradient, gap
    hessian = np.eye(features)
    for start in range(0, len(chosen), _CHUNK):
        part = problem.samples(chosen[start : start + _CHUNK])
        part *= np.sqrt(costs[start : start + _CHUNK, None]).astype(part.dtype)
        hessian += part.T @ part
    return -cho_solve(cho_factor(hessian, overwrite_a=True, check_finite=False), gradient, check_finite=False), gap


def _length(
    weights: np.ndarray, direction: np.ndarray, margins: np.ndarray, slopes: np.ndarray, costs: np.ndarray
) -> float:
    """Length of the step along a direction that minimises the cost: where its growing derivative is zero."""
    linear, quadratic = weights @ direction, direction @ direction

    def derivative(t: float) -> float:
        return float(linear + t * quadratic - 2 * (costs * slopes) @ np.maximum(1 - margins - t * slopes, 0))

    longest = 1.0
    while derivative(longest) < 0:
        longest *= 2
    if derivative(0.0) >= 0:
        return 0.0
    return root_scalar(derivative, bracket=(0.0, longest), method="brentq").root
