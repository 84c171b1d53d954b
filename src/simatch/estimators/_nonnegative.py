"""Nonnegative independent components of data in memory or of a stream."""

import warnings
from numbers import Integral
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._unchanged import unchanged_if_failed
from ..learning import Rule
from ..models import nonnegative_components, nonnegative_interneurons, nonnegative_rule
from ._streaming import LOWEST, RunningMean, SettlingEstimator, mean_of

# Fewest batches, and most passes, of `fit` by default.
_BATCHES, _PASSES = 1500, 200
# Rows by which sources are judged, the largest share of the power that rectification may cut off, and the share of rows
# in which every source must be near 0, as far as its distance from 0 there is small against its size.
_SOME, _CUT, _QUIET, _NEAR = 2000, 0.02, 0.01, 0.2


class NonnegativeICA(SettlingEstimator):
    """Nonnegative independent components: the sources of a linear mixture, which are at least 0 and often near 0.

    Inputs are whitened by the second moments about their mean, but their mean stays. Then units that cannot be negative
    and have unit variance can only be the sources.

    Parameters
    ----------
    n_components : int, optional
        Number of sources, at most that of the features; by default as many.
    algorithm : "direct" or "interneurons"
        The network: with lateral synapses and a second compartment, or with interneurons.
    learning_rate : float or "auto"
        Rate of learning, at most 0.5. A number is constant; "auto" falls as 6 over the number of batches, in
        `partial_fit` not below 0.02 for 400 rows.
    max_iter : int or "auto"
        Passes over the rows in `fit`; "auto": so many that there are about 1,500 batches, at most 200.
    batch_size : int
        Rows in a batch, at least 1.
    random_state : int, RandomState or None
        Seed of the initial weights and of the order of the rows, at least 0.
    verbose : bool or int
        Whether to show a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Unmixing matrix: rows times ``components_.T`` are the sources, of unit variance, before they are cut off at 0.
    mixing_ : ndarray of shape (n_features, n_components)
        Its pseudo-inverse.
    whitening_ : ndarray of shape (n_components, n_features)
        Applied before the network. `partial_fit` finds it from the first rows, and lets it follow all later ones.
    mean_ : ndarray of shape (n_features,)
    network_ : Network
        See `simatch.models.nonnegative_components` and `simatch.models.nonnegative_interneurons`.
    n_iter_ : int
        Passes of the last `fit`.
    n_steps_, n_samples_seen_, n_features_in_ : int
        Batches and rows learned from, and number of features.

    References
    ----------
    Plumbley 2003; Lipshutz, Pehlevan, Chklovskii, *Biological Cybernetics* 2022, arXiv 2010.12632;
    ``docs/models/independent.md``.

    See Also
    --------
    sklearn.decomposition.FastICA : Sources of any sign, all data at once.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.estimators import NonnegativeICA
    >>> rng = np.random.default_rng(0)
    >>> S = rng.uniform(0, np.sqrt(48 / 5), (5000, 2)) * rng.integers(0, 2, (5000, 2))  # variance 1
    >>> Y = NonnegativeICA(random_state=0).fit_transform(S @ [[1.0, 0.3], [0.4, 1.0]])
    >>> bool(np.mean((np.sort(Y, axis=1) - np.sort(S, axis=1)) ** 2) < 0.01)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SettlingEstimator._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "algorithm": [StrOptions({"direct", "interneurons"})],
    }

    def __init__(
        self,
        n_components=None,
        *,
        algorithm="direct",
        learning_rate="auto",
        max_iter="auto",
        batch_size=100,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.algorithm = algorithm
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "NonnegativeICA":
        """Learn from passes over all rows in random order. If it fails, the estimator is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Not centred: the mean says where 0 is.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or the data vary in fewer directions than there are sources.

        Warns
        -----
        UserWarning
            If the outputs are no sources that are at least 0 and near 0 in a part of the rows.
        """
        X = self._rows(X, reset=True, least=2)
        seed = self._begin(X)
        passes = self._passes(len(X), _BATCHES, _PASSES)
        self._learn(self._entries(X), self._rates(len(X), len(self.whitening_)), passes=passes, seed=seed)
        self.n_iter_ = passes
        self._tell_sources(X[:: -(-len(X) // _SOME)])
        return self

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "NonnegativeICA":
        """Learn once from each row, in the given order.

        The first call finds the initial weights, for which some hundred rows are enough. The whitening follows the
        covariance of the rows so far, or with a constant rate of the latest ones; weights change with it so that the
        outputs do not.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or the first rows vary in fewer directions than there are
            sources.
        """
        first = not hasattr(self, "network_")
        X = self._rows(X, reset=first, least=2 if first else 1)
        if first:
            self._begin(X)
        else:
            self._follow(X)
        self._learn(self._entries(X), self._rates(len(X), len(self.whitening_), lowest=LOWEST))
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "samples components"]:
        """Return the sources, the settled activities of the units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In JAX's default precision, float32 unless ``jax_enable_x64`` is set.
        """
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        return self._encoded(self._entries(X), 512)

    @property
    def components_(self) -> Float[np.ndarray, "components features"]:
        check_is_fitted(self)
        weights, second = (np.asarray(own, float) for own in self.network_.parameters)
        lateral = second if self.algorithm == "direct" else second @ second.T
        return np.linalg.pinv(lateral) @ weights @ self.whitening_

    @property
    def mixing_(self) -> Float[np.ndarray, "features components"]:
        return np.linalg.pinv(self.components_)

    @property
    def mean_(self) -> Float[np.ndarray, " features"]:
        check_is_fitted(self)
        return self._mean.value

    @property
    def _n_features_out(self) -> int:
        return len(self.whitening_)

    def _rule(self, *, forgetting: bool) -> Rule:
        return nonnegative_rule(self.network_, memory=self._memory if forgetting else None)

    def _begin(self, X: np.ndarray) -> int:
        count = X.shape[1] if self.n_components is None else int(self.n_components)
        if count > X.shape[1]:
            raise ValueError(f"n_components={count} must be at most {X.shape[1]}, the number of features; lower it.")
        seed, around = self._seed(), X - X.mean(axis=0)
        _, sizes, axes = np.linalg.svd(around, full_matrices=False)
        rank = int(np.sum(sizes > max(X.shape) * np.finfo(float).eps * max(sizes[0], np.finfo(float).tiny)))
        if rank < count:
            raise ValueError(
                f"The {len(X)} rows vary in {rank} directions, which cannot hold {count} independent sources; lower "
                "n_components."
            )
        self._forget()
        self._mean: RunningMean = mean_of(X)
        self._covariance = RunningMean(around.T @ around / len(X), len(X))
        self.whitening_ = np.sqrt(len(X)) * axes[:count] / sizes[:count, None]
        build = nonnegative_components if self.algorithm == "direct" else nonnegative_interneurons
        self.network_ = build(count, count, samples=X @ self.whitening_.T, seed=seed)
        return seed

    def _follow(self, X: np.ndarray) -> None:
        """Let mean and whitening follow further rows; outputs stay what they are."""
        forgetting, count = self._forgetting(), len(self.whitening_)
        self._mean = self._mean.updated(X, forgetting)
        around = X - self._mean.value
        self._covariance = self._covariance.moved(around.T @ around / len(X), len(X), forgetting)
        values, axes = np.linalg.eigh(self._covariance.value)
        values, axes = values[::-1][:count], axes[:, ::-1][:, :count]
        if values[-1] <= len(axes) * np.finfo(float).eps * values[0]:
            return  # no whitening of so many directions
        white = (axes / np.sqrt(values)).T
        # Of all rotations of the new whitening, the one nearest to the old whitening.
        across = self.whitening_ @ self._covariance.value @ white.T
        u, _, v = np.linalg.svd(across)
        self.whitening_ = u @ v @ white
        weights, *others = self.network_.parameters
        weights = np.asarray(weights, float) @ across @ (u @ v).T
        self.network_ = self.network_.with_parameters([jnp.asarray(weights, float), *others])

    def _entries(self, X: np.ndarray) -> dict[str, np.ndarray]:
        white = X @ self.whitening_.T
        if self.algorithm == "interneurons":
            return {"input": white}
        return {"input": white, "centred": white - self._mean.value @ self.whitening_.T}

    def _tell_sources(self, X: np.ndarray) -> None:
        """Warn if what was found cannot be sources that are at least 0 and often near 0."""
        linear = X @ self.components_.T
        power = np.mean(linear**2, axis=0)
        cut = np.mean(np.minimum(linear, 0) ** 2, axis=0) > _CUT * power
        far = np.quantile(linear, _QUIET, axis=0) > _NEAR * np.std(linear, axis=0)
        if cut.any() or far.any():
            warnings.warn(
                f"{int(np.sum(cut | far))} of {len(cut)} outputs are no nonnegative sources: they would often be "
                "negative, or are never near 0, so that the mixture does not determine them; check that sources are at "
                "least 0 and often near 0, or use FastICA.",
                UserWarning,
                stacklevel=4,
            )
