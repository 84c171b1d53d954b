"""A linear readout: how well a linear classifier separates the classes in the features of a network."""

import warnings
from collections.abc import Iterable, Iterator
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

from .._arrays import refuse_masked
from .._unchanged import unchanged_if_failed

# Rows that are multiplied at once: enough for BLAS to be fast, few enough for the temporary arrays to be small.
_CHUNK = 2048
# A line search ends where the slope is so small a share of that at its start.
_FLAT = 1e-3


class LinearReadout(ClassifierMixin, BaseEstimator):
    """Linear support vector machine, one class against the rest, for many samples with many features.

    For each class it minimises the cost of scikit-learn's `LinearSVC`,

    ``|w|^2 / 2 + b^2 / (2 intercept_scaling^2) + C sum_i max(0, 1 - y_i (w.x_i + b))^2``

    to a guaranteed precision, for which `LinearSVC` needs many times as long. The features are neither copied nor
    converted: float32 stays float32.

    Parameters
    ----------
    C : float
        Weight of the errors relative to the penalty on the weights; above 0.
    class_weight : None, "balanced" or dict
        Weight of the errors of each class, by label; "balanced": in inverse proportion to the frequency of the class.
        As in `LinearSVC`, with more than two classes it applies to the samples of the class, not to those of the rest.
    intercept_scaling : float
        The larger, the weaker the penalty on the intercept; above 0.
    tol : float
        Largest relative distance of the cost from its minimum at which the fit ends; above 0.
    max_iter : int
        Largest number of Newton steps, at least 1.
    warm_start : bool
        Whether `fit` starts from the weights of the fit before.
    n_jobs : int or None
        Number of classes that are fitted at the same time, each on one core: at least 1, None for 1, or -1 for the
        number of cores.

    Attributes
    ----------
    classes_ : array of shape (classes,)
        The labels, sorted.
    coef_ : array of shape (classes, features), or (1, features) for two classes
        Weights w.
    intercept_ : array of shape (classes,), or (1,)
        Intercepts b.
    objective_ : array of shape (classes,), or (1,)
        Cost of each class after the fit.
    suboptimality_ : array of shape (classes,), or (1,)
        Upper bound of the relative distance of the cost from its minimum.
    n_iter_ : int
        Number of Newton steps on all samples.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    The cost is piecewise quadratic: only samples with a margin below 1 contribute. A Newton step solves the
    least-squares problem of these samples (Keerthi and DeCoste, "A modified finite Newton method for fast solution of
    large scale linear SVMs", JMLR 2005), for all classes side by side. The number of unknowns is that of the features
    or that of these samples, whichever is smaller. The fit begins on random parts of the samples, after which few
    samples contribute. The second derivative of the cost is at least 1, so half of the squared gradient bounds the
    distance from the minimum.

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

    @unchanged_if_failed
    def fit(self, X: Any, y: Any) -> "LinearReadout":
        """Find the weights. If it fails, the readout is as it was before.

        Parameters
        ----------
        X : array of shape (samples, features)
        y : array of shape (samples,)
            Labels of at least two classes.

        Returns
        -------
        self

        Warns
        -----
        ConvergenceWarning
            scikit-learn's, if `tol` was not reached.

        Raises
        ------
        ValueError
            If a parameter is out of range, the data are not a 2-D array of finite numbers, the labels do not fit, or
            there is only one class.
        """
        self._validate_params()
        refuse_masked(X, "X")
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
                stacklevel=3,
            )
        self.classes_ = classes
        self.coef_ = weights[:-1].T.astype(X.dtype)
        self.intercept_ = weights[-1] * self.intercept_scaling
        self.objective_, self.suboptimality_, self.n_iter_ = cost, gap, steps
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the signed score of each class.

        Parameters
        ----------
        X : array of shape (samples, features)

        Returns
        -------
        array of shape (samples, classes), or (samples,) for two classes

        Raises
        ------
        ValueError
            If the data do not have the number of features of the fit, or are not finite.
        """
        check_is_fitted(self)
        refuse_masked(X, "X")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        scores = X @ self.coef_.T.astype(X.dtype) + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each sample, that with the highest score.

        Parameters
        ----------
        X : array of shape (samples, features)

        Returns
        -------
        array of shape (samples,)
        """
        scores = self.decision_function(X)
        return self.classes_[scores.argmax(1) if scores.ndim == 2 else (scores > 0).astype(int)]

    def _minimise(self, problem: "_SquaredHinge", parallel: Parallel) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        count, features = problem.x.shape
        classes = problem.signs.shape[1]
        if self.warm_start and hasattr(self, "coef_") and self.coef_.shape == (classes, features):
            weights = np.column_stack([self.coef_, self.intercept_ / self.intercept_scaling]).T.astype(np.float64)
        else:
            order = np.random.default_rng(0).permutation(count)
            parts = [problem.of(np.sort(order[:size])) for size in _growing(count)]
            weights = _begun([*parts, problem][0])
            for part in parts:
                weights = _newton(part, weights, 1e-2, self.max_iter, parallel)[0]
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
    """Choose C by the error on validation data. Each fit starts from the weights of the one before.

    Parameters
    ----------
    readout : LinearReadout
        All parameters except C are taken from it.
    X, y : arrays of shapes (samples, features) and (samples,)
        Training data.
    X_valid, y_valid : arrays of shapes (samples, features) and (samples,)
        Validation data. Among values of C with the same smallest error the smallest is chosen.
    costs : iterable of float
        Values of C, above 0.

    Returns
    -------
    readout : LinearReadout
        The readout with the chosen C, fitted.
    errors : dict of float to float
        Share of errors on the validation data, between 0 and 1, for each C.

    Raises
    ------
    ValueError
        If there are no costs, or as in `LinearReadout.fit`.

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
    """Sizes of the random parts on which a fit begins, each a quarter of the next."""
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
        """Copy of some of the samples, with a constant feature for the intercept."""
        rows = chosen if self.rows is None else self.rows[chosen]
        samples = np.empty((len(rows), self.x.shape[1] + 1), self.x.dtype)
        samples[:, :-1] = self.x[rows]
        samples[:, -1] = self.bias
        return samples

    def parts(self, chosen: np.ndarray) -> Iterator[np.ndarray]:
        """Copies of some of the samples, part by part."""
        return map(self.samples, _chunks(chosen))

    def pulled(self, chosen: np.ndarray, pull: np.ndarray) -> np.ndarray:
        """Sum of some of the samples, each times its row of `pull`."""
        pulls = _chunks(pull.astype(self.x.dtype))
        pulled = np.zeros((self.x.shape[1] + 1, *pull.shape[1:]))
        for part, own in zip(self.parts(chosen), pulls, strict=True):
            pulled += part.T @ own
        return pulled


def _chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """An array in parts of so many rows that copies of as many samples stay small."""
    return (x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK))


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


def _begun(problem: _SquaredHinge) -> np.ndarray:
    """Weights of every problem after one step from 0, where all samples count.

    One Hessian, with the mean of the costs, serves all problems. Newton's method takes another one for each, and with
    all samples these would take longer than the rest of the fit.
    """
    everyone = np.arange(len(problem.signs))
    pull = 2 * problem.costs * problem.signs
    directions = _solved(problem, everyone, 2 * problem.costs.mean(1), problem.pulled(everyone, pull))
    slopes, zero = problem.signs * problem.scores(directions), np.zeros(len(directions))
    lengths = [_length(zero, d, 0 * m, m, c) for d, m, c in zip(directions.T, slopes.T, problem.costs.T, strict=True)]
    return np.array(lengths) * directions


def _direction(
    problem: _SquaredHinge, k: int, weights: np.ndarray, errors: np.ndarray, enough: float
) -> tuple[np.ndarray, float]:
    """Newton direction of class `k` (0 at the optimum), and the bound of the distance from the minimum."""
    chosen = np.flatnonzero(errors)
    costs = 2 * problem.costs[chosen, k]
    descent = problem.pulled(chosen, costs * errors[chosen] * problem.signs[chosen, k]) - weights
    gap = float(descent @ descent) / 2
    return np.zeros_like(weights) if gap <= enough else _solved(problem, chosen, costs, descent), gap


def _solved(problem: _SquaredHinge, chosen: np.ndarray, costs: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of (I + X'DX) z = right, for some samples X and the diagonal matrix D of their costs."""
    dtype = problem.x.dtype
    if len(chosen) < len(right):
        # (I + X'DX)^-1 = I - X'(D^-1 + XX')^-1 X: as many unknowns as samples
        samples = problem.samples(chosen)
        gram = (samples @ samples.T).astype(np.float64)
        gram[np.diag_indices_from(gram)] += 1 / costs
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        inner = cho_solve(factor, (samples @ right.astype(dtype)).astype(np.float64), check_finite=False)
        return right - samples.T @ inner.astype(dtype)
    hessian = np.eye(len(right))
    for part, own in zip(problem.parts(chosen), _chunks(np.sqrt(costs).astype(dtype)), strict=True):
        part *= own[:, None]
        hessian += part.T @ part
    return cho_solve(cho_factor(hessian, overwrite_a=True, check_finite=False), right, check_finite=False)


def _length(
    weights: np.ndarray, direction: np.ndarray, margins: np.ndarray, slopes: np.ndarray, costs: np.ndarray
) -> float:
    """Length of the step along a direction that minimises the cost: the root of its increasing derivative."""
    linear, quadratic = weights @ direction, direction @ direction

    def derivative(t: float) -> float:
        return float(linear + t * quadratic - 2 * (costs * slopes) @ np.maximum(1 - margins - t * slopes, 0))

    first, longest = derivative(0.0), 1.0
    if first >= 0:
        return 0.0
    while (last := derivative(longest)) < _FLAT * first:
        longest *= 2
    if last <= -_FLAT * first:
        return longest
    return root_scalar(derivative, bracket=(0.0, longest), method="brentq", xtol=_FLAT, rtol=_FLAT).root
