"""Canonical correlations of a stream of two views."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from sklearn.base import _fit_context
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._arrays import refuse_masked
from .._unchanged import unchanged_if_failed
from ._generalised import Entries, GeneralisedEstimator
from ._streaming import FEW, mean_of


class OnlineCCA(GeneralisedEstimator):
    """Canonical correlations of two views, from data in memory or from a stream.

    Linear units with a compartment for each view find the directions in which the views are most correlated. `fit`
    solves for them by exact alternation, `partial_fit` learns online, with memory for the weights and the second
    moments of each view alone. Both views are centred by their mean so far.

    Parameters
    ----------
    n_components : int
        Number of pairs of directions, from 1 to the number of features of the smaller view.
    solver : "alternation" or "online"
        How `fit` learns: exact alternating steps on the second moments, or one pass over the rows in random order.
    learning_rate : float or "auto"
        Rate of online learning, at most 1. A number is constant: the network forgets within about ``batch_size /
        learning_rate`` rows, and follows changes of the data. "auto" falls as 6 over the number of batches, in
        `partial_fit` not below 0.02 for 400 rows.
    max_iter : int or "auto"
        Largest number of alternating steps (10,000), or number of passes of online learning (1); at least 1.
    batch_size : int
        Rows in a batch of online learning, at least 1.
    random_state : int, RandomState or None
        Seed of the initial weights and of the order of the rows, at least 0.
    verbose : bool or int
        Whether to show a progress bar.

    Attributes
    ----------
    canonical_correlations_ : ndarray of shape (n_components,)
        Largest first: the eigenvalues of the lateral weights, less 1.
    x_rotations_, y_rotations_ : ndarrays of shape (n_features, n_components) and (n_targets, n_components)
        Centred views times these are the canonical variates, of unit variance.
    components_ : ndarray of shape (n_components, n_features)
        ``x_rotations_.T``.
    x_mean_, y_mean_ : ndarrays of shape (n_features,) and (n_targets,)
    network_ : Network
        See `simatch.models.generalised`.
    n_iter_ : int
        Alternating steps, or passes, of the last `fit`.
    n_steps_, n_samples_seen_, n_features_in_ : int
        Batches and rows learned from, and number of features of X.

    References
    ----------
    Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii 2021, arXiv 2010.00525; ``docs/models/generalised.md``.

    See Also
    --------
    sklearn.cross_decomposition.CCA : All data at once; directions one after the other.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from simatch.estimators import OnlineCCA
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> OnlineCCA(1).fit(X, Y).canonical_correlations_.round(3).tolist()
    [0.796]
    """

    _drives: ClassVar = ("x", "y")
    _references: ClassVar = {}

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> "OnlineCCA":
        """Learn from all rows. If it fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or features of a view are linearly dependent.

        Warns
        -----
        ConvergenceWarning
            If the alternation did not converge.
        """
        X, Y = self._rows(X, reset=True, least=2), self._second(y, reset=True)
        check_consistent_length(X, Y)
        self._means = {"x": mean_of(X), "y": mean_of(Y)}
        self._fit(self._entries(X, Y))
        return self

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any) -> "OnlineCCA":
        """Learn once from each row, in the given order. The first call needs at least 8 rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)

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
            Once, if features of a view are linearly dependent after 100 rows for each.
        """
        first = not hasattr(self, "network_")
        X, Y = self._rows(X, reset=first, least=FEW if first else 1), self._second(y, reset=first)
        check_consistent_length(X, Y)
        if first:
            self._means = {"x": mean_of(X), "y": mean_of(Y)}
        else:
            forgetting = self._forgetting()
            self._means = {n: self._means[n].updated(rows, forgetting) for n, rows in (("x", X), ("y", Y))}
        self._fit_more(self._entries(X, Y))
        return self

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return the canonical variates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets) or (n_samples,), optional

        Returns
        -------
        ndarray of shape (n_samples, n_components), or a pair of such arrays if y is given
        """
        scores = self._scores(X)
        return scores if y is None else (scores, (self._second(y, reset=False) - self.y_mean_) @ self.y_rotations_)

    @property
    def canonical_correlations_(self) -> Float[np.ndarray, " components"]:
        return self._solutions()[0] - 1

    @property
    def x_rotations_(self) -> Float[np.ndarray, "features components"]:
        # Both views together have unit variance in an eigenvector, each alone a half.
        return np.sqrt(2) * self._solutions()[1]["x"].T

    @property
    def y_rotations_(self) -> Float[np.ndarray, "targets components"]:
        return np.sqrt(2) * self._solutions()[1]["y"].T

    @property
    def components_(self) -> Float[np.ndarray, "components features"]:
        return self.x_rotations_.T

    @property
    def x_mean_(self) -> Float[np.ndarray, " features"]:
        check_is_fitted(self)
        return self._means["x"].value

    @property
    def y_mean_(self) -> Float[np.ndarray, " targets"]:
        check_is_fitted(self)
        return self._means["y"].value

    @property
    def _centre(self) -> Float[np.ndarray, " features"]:
        return self.x_mean_

    def _entries(self, X: np.ndarray, Y: np.ndarray) -> Entries:
        return {"x": X - self.x_mean_, "y": Y - self.y_mean_}

    def _second(self, y: Any, *, reset: bool) -> Float[np.ndarray, "samples targets"]:
        if y is None:
            raise ValueError("OnlineCCA requires y to be passed, but the target y is None; y is the second view.")
        refuse_masked(y, "y")
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.asarray(check_array(y, input_name="y", dtype="float64", ensure_2d=False))
        rows = rows[:, None] if rows.ndim == 1 else rows
        if reset:
            self._n_targets = rows.shape[1]
        if rows.shape[1] != self._n_targets:
            raise ValueError(f"y has {rows.shape[1]} features, but OnlineCCA has seen {self._n_targets}.")
        return rows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags
