"""Slow features of a stream."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._unchanged import unchanged_if_failed
from ._generalised import Entries, GeneralisedEstimator
from ._streaming import FEW, mean_of

# The reference subtracts this share a of the row before. With c = a / (1 - a)^2, its second moments are those of rows
# plus c times those of changes, and the eigenvalue of a slowness s is ``(4 - s) / (1 + c s)``. Without it (a = 0, as
# published), it is ``4 - s``, nearly equal for all that is slow; here eigenvalues of slow features are far apart, down
# to a slowness near 1 / c.
_SHARE = 0.99
_CHANGES = _SHARE / (1 - _SHARE) ** 2


class OnlineSFA(GeneralisedEstimator):
    """Slow feature analysis of a time series, whose rows follow each other in time, from memory or from a stream.

    The features are the linear combinations, uncorrelated and of unit variance, that change least from row to row.
    For features that are not linear, expand the rows first: `simatch.data.time_windows` joins rows with those
    before them, scikit-learn's ``PolynomialFeatures(2, include_bias=False)`` adds all products.

    Parameters
    ----------
    n_components : int
        Number of features, from 1 to that of the data.
    lag : int
        Number of rows over which change counts, at least 1.
    solver, learning_rate, max_iter, batch_size, random_state, verbose
        As in `OnlineCCA`.

    Attributes
    ----------
    slowness_ : ndarray of shape (n_components,)
        Mean square of ``y_t - y_(t - lag)`` of each feature, slowest first. Between 0 and 4; white noise has 2. The
        lateral weights have the eigenvalues ``(4 - slowness) / (1 + 9900 slowness)``.
    components_ : ndarray of shape (n_components, n_features)
        Centred rows times ``components_.T`` are the slow features.
    mean_ : ndarray of shape (n_features,)
    network_, n_iter_, n_steps_, n_samples_seen_, n_features_in_
        As in `OnlineCCA`; pairs of rows count as samples.

    References
    ----------
    Wiskott and Sejnowski 2002; Lipshutz, Windolf, Golkar, Chklovskii, NeurIPS 2020; ``docs/models/generalised.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.estimators import OnlineSFA
    >>> t = np.arange(3000)[:, None]
    >>> X = np.sin(t * [0.05, 0.5, 0.9]) @ [[1, 2, 0], [1, -1, 1], [0, 1, 1]]
    >>> OnlineSFA(2).fit(X).slowness_.round(4).tolist()  # near the squares of the frequencies
    [0.0025, 0.245]
    """

    _drives: ClassVar = ("sum",)
    _references: ClassVar = {"sum": "difference"}

    _parameter_constraints: ClassVar[dict] = {
        **GeneralisedEstimator._parameter_constraints,
        "lag": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=2,
        *,
        lag=1,
        solver="alternation",
        learning_rate="auto",
        max_iter="auto",
        batch_size=20,
        random_state=None,
        verbose=False,
    ):
        super().__init__(
            n_components,
            solver=solver,
            learning_rate=learning_rate,
            max_iter=max_iter,
            batch_size=batch_size,
            random_state=random_state,
            verbose=verbose,
        )
        self.lag = lag

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, lengths: Sequence[int] | None = None) -> "OnlineSFA":
        """Learn from all rows. If it fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the order of time.
        y : ignored
        lengths : sequence of int, optional
            Numbers of rows of several series that follow each other in X; by default all rows are one series.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or features are linearly dependent.

        Warns
        -----
        ConvergenceWarning
            If the alternation did not converge.
        """
        X = self._rows(X, reset=True, least=2)
        self._mean = mean_of(X)
        entries = self._entries(_series(X, lengths))
        if not len(entries["sum"]):
            raise ValueError(f"No series has more than lag={self.lag} rows (n_samples = {len(X)}); lower the lag.")
        self._fit(entries)
        self._before = X[-int(self.lag) :]
        return self

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, *, lengths: Sequence[int] | None = None, follows: bool = True
    ) -> "OnlineSFA":
        """Learn once from each row, in the order of time. The first call needs at least 8 rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        lengths : sequence of int, optional
            As in `fit`.
        follows : bool
            Whether the first row follows the last one of the call before.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range.

        Warns
        -----
        UserWarning
            Once, if features are linearly dependent after 100 rows for each.
        """
        first = not hasattr(self, "network_")
        X = self._rows(X, reset=first, least=FEW if first else 1)
        self._mean = mean_of(X) if first else self._mean.updated(X, self._forgetting())
        begin, *others = _series(X, lengths)
        if follows and not first:
            begin = np.concatenate([self._before, begin])
        self._fit_more(self._entries([begin, *others]))
        self._before = [begin, *others][-1][-int(self.lag) :]
        return self

    @property
    def slowness_(self) -> Float[np.ndarray, " components"]:
        values = self._solutions()[0]
        return (4 - values) / (1 + _CHANGES * values)

    @property
    def components_(self) -> Float[np.ndarray, "components features"]:
        values, parts = self._solutions()
        # Of unit variance, where solutions have unit moments of the reference.
        return parts["sum"] * np.sqrt((1 + 4 * _CHANGES) / (1 + _CHANGES * values))[:, None]

    @property
    def mean_(self) -> Float[np.ndarray, " features"]:
        check_is_fitted(self)
        return self._mean.value

    @property
    def _centre(self) -> Float[np.ndarray, " features"]:
        return self.mean_

    def _entries(self, series: list[np.ndarray]) -> Entries:
        lag = int(self.lag)
        now = np.concatenate([rows[lag:] for rows in series]) - self._mean.value
        before = np.concatenate([rows[:-lag] for rows in series]) - self._mean.value
        # What is slow does not depend on the direction of time. Every second pair is reversed, so that the moments of
        # few rows are symmetric too; those of a slow feature that falls in one batch would be 0.
        now[1::2], before[1::2] = before[1::2].copy(), now[1::2].copy()
        return {"sum": now + before, "difference": (now - _SHARE * before) / (1 - _SHARE)}

    def _moments(self, entries: Entries) -> tuple[np.ndarray, list[np.ndarray]]:
        # Exactly symmetric in time.
        both = entries["sum"]
        change = (1 - _SHARE) * (2 * entries["difference"] - both) / (1 + _SHARE)
        sums, changes = (rows.T @ rows / len(rows) for rows in (both, change))
        return sums, [(sums + changes) / 4 + _CHANGES * changes]


def _series(X: np.ndarray, lengths: Sequence[int] | None) -> list[np.ndarray]:
    """Split rows into series."""
    if lengths is None:
        return [X]
    counts = np.asarray(lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 1).any() or counts.sum() != len(X):
        raise ValueError(f"lengths must be whole numbers above 0 that add up to {len(X)} rows, got {lengths!r}.")
    return np.split(X, np.cumsum(counts)[:-1])
