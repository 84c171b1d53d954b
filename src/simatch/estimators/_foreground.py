"""Contrastive principal components of a stream of foreground and background rows."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from sklearn.base import _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from .._unchanged import unchanged_if_failed
from ._generalised import Entries, GeneralisedEstimator
from ._streaming import FEW, RunningMean, mean_of


class ContrastivePCA(GeneralisedEstimator):
    """Directions in which the foreground varies much and the background little, from memory or from a stream (cPCA*).

    The components have the largest ratios of the two variances, and unit variance in the background. Foreground and
    background are each centred by their own mean.

    Parameters
    ----------
    n_components : int
        From 1 to the number of features.
    background : label, optional
        The value of y that marks rows of the background; by default the smallest one, such as 0 or False.
    solver, learning_rate, max_iter, batch_size, random_state, verbose
        As in `OnlineCCA`.

    Attributes
    ----------
    variance_ratio_ : ndarray of shape (n_components,)
        Variance of the foreground over that of the background, largest first.
    components_ : ndarray of shape (n_components, n_features)
        Centred rows times ``components_.T`` are the outputs.
    mean_, background_mean_ : ndarrays of shape (n_features,)
        Of the foreground and of the background.
    background_ : label
        The value of y that marks rows of the background.
    network_, n_iter_, n_steps_, n_samples_seen_, n_features_in_
        As in `OnlineCCA`.

    References
    ----------
    Golkar, Lipshutz, Tesileanu, Chklovskii 2022 and Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii 2023,
    arXiv 2302.10051; ``docs/models/generalised.md``.

    Examples
    --------
    The feature that varies more in the foreground, among features of larger variance:

    >>> import numpy as np
    >>> from simatch.estimators import ContrastivePCA
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(2000) % 2
    >>> X = rng.normal(size=(2000, 3)) * np.where(y[:, None], [2, 9, 5], [1, 9, 5])
    >>> cpca = ContrastivePCA(1).fit(X, y)
    >>> int(np.abs(cpca.components_[0] * X.std(axis=0)).argmax()), cpca.variance_ratio_.round(1).tolist()
    (0, [4.1])
    """

    _drives: ClassVar = ("foreground",)
    _references: ClassVar = {"foreground": "background"}

    _parameter_constraints: ClassVar[dict] = {
        **GeneralisedEstimator._parameter_constraints,
        "background": "no_validation",
    }

    def __init__(
        self,
        n_components=2,
        *,
        background=None,
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
        self.background = background

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> "ContrastivePCA":
        """Learn from all rows. If it fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Which rows are background (`background`); all others are foreground.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, one of the two kinds of rows is missing, or the background
            does not vary in some direction.

        Warns
        -----
        ConvergenceWarning
            If the alternation did not converge.
        """
        X = self._rows(X, reset=True, least=2)
        behind = self._behind(X, y, reset=True)
        if behind.all() or not behind.any():
            raise ValueError(
                f"y has only one class: all rows are {'background' if behind.all() else 'foreground'} where the label "
                f"{self.background_!r} marks the background; give rows of both."
            )
        self._means = {kind: mean_of(rows) for kind, rows in _kinds(X, behind).items()}
        self._share = mean_of(behind[:, None].astype(float))
        self._fit(self._entries(X, behind))
        return self

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any) -> "ContrastivePCA":
        """Learn once from each row, in the given order. The first call needs at least 8 rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            As in `fit`. If the first call has rows of one kind only, the parameter `background` must be given.

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
            Once, if features of the background are linearly dependent after 100 rows for each.
        """
        first = not hasattr(self, "network_")
        X = self._rows(X, reset=first, least=FEW if first else 1)
        behind = self._behind(X, y, reset=first)
        forgetting = self._forgetting()
        if first:
            self._means, self._share = dict.fromkeys(_kinds(X, behind), mean_of(X[:0])), RunningMean(np.zeros(1))
        kinds = _kinds(X, behind)
        self._means = {kind: own.updated(kinds[kind], forgetting) for kind, own in self._means.items()}
        self._share = self._share.updated(behind[:, None].astype(float), forgetting)
        self._fit_more(self._entries(X, behind))
        return self

    @property
    def variance_ratio_(self) -> Float[np.ndarray, " components"]:
        # Moments are means over all rows, of which a part are of each kind.
        values, behind = self._solutions()[0], float(self._share.value[0])
        return values * behind / max(1 - behind, np.finfo(float).tiny)

    @property
    def components_(self) -> Float[np.ndarray, "components features"]:
        return np.sqrt(self._share.value[0]) * self._solutions()[1]["foreground"]

    @property
    def mean_(self) -> Float[np.ndarray, " features"]:
        check_is_fitted(self)
        return self._means["foreground"].value

    @property
    def background_mean_(self) -> Float[np.ndarray, " features"]:
        check_is_fitted(self)
        return self._means["background"].value

    def _behind(self, X: np.ndarray, y: Any, *, reset: bool) -> np.ndarray:
        """Return which rows are background."""
        if y is None:
            raise ValueError(
                "ContrastivePCA requires y to be passed, but the target y is None; y says which rows are background."
            )
        labels = column_or_1d(np.asarray(y), warn=True)
        check_consistent_length(X, labels)
        if reset:
            found = np.unique(labels)
            if self.background is None and len(found) < 2 and not hasattr(self, "network_"):
                raise ValueError(
                    f"y has only one class, {found[0]!r}, which does not say whether rows are background; give "
                    "`background`, the label that marks it, or rows of both."
                )
            self.background_ = found[0] if self.background is None else self.background
        return np.asarray(labels == self.background_)

    @property
    def _centre(self) -> Float[np.ndarray, " features"]:
        return self.mean_

    def _entries(self, X: np.ndarray, behind: np.ndarray) -> Entries:
        behind = behind[:, None]
        return {
            "foreground": np.where(behind, 0, X - self.mean_),
            "background": np.where(behind, X - self.background_mean_, 0),
        }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _kinds(X: np.ndarray, behind: np.ndarray) -> Entries:
    return {"foreground": X[~behind], "background": X[behind]}
