"""A classifier to which labels are one more input."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ..models import Supervised, multiview
from ..network import Activation, Network
from ._supervised import SupervisedClassifier, mean_square

# Rows to which initial weights respond.
_SOME = 500


class SupervisedSimilarityMatching(SupervisedClassifier):
    """Classifier of supervised similarity matching: labels are one more input, which is absent in `predict`.

    Parameters
    ----------
    n_components : int
        Units, each of which receives all features and labels; at least 1.
    label_weight : float
        Mean squared length with which labels count in the similarities, above 0; that of the inputs is 1.
    activation : str or Activation
        Of the units; see `simatch.activation`.
    learning_rate : float
        Factor on the learning rates of the model, above 0.
    max_iter : int or "auto"
        Passes over the data in `fit`, at least 1; "auto": so many that there are about 4,000 batches, at most 200.
    batch_size : int
        Rows in a batch, at least 1.
    tolerance : float
        Largest residual of settled activities, above 0.
    warm_start : bool
        Whether `fit` goes on from the network of an earlier call.
    random_state : int, RandomState or None
        Seed of the initial weights and of the order of the rows, at least 0.
    checkpoints : str or Path, optional
        Folder in which `fit` is kept while it learns: every 20 seconds, at its end, and if it is interrupted. The same
        `fit` goes on from there, and ends with the same weights, bit for bit. Needs an integer as `random_state`.
    verbose : bool or int
        Whether to show a progress bar.

    Attributes
    ----------
    network_ : Network
        The trained network.
    model_ : Supervised
        The trained network with its rule of learning.
    n_features_in_ : int
        Number of features.
    unit_ : float
        Number by which inputs are divided before the network sees them.
    n_iter_ : int
        Passes over the data in the last `fit`.
    n_steps_, n_samples_seen_ : int
        Batches and samples learned from.
    unconverged_ : int
        Samples learned from before they had settled.
    cost_history_ : ndarray of shape (n_reports,)
        Cost of the rule, every few batches.
    classes_ : ndarray of shape (n_classes,)
        Labels.

    References
    ----------
    Bahroun, Sridharan, Acharya, Chklovskii, Sengupta 2023; ``docs/models/multiview.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from simatch.estimators import SupervisedSimilarityMatching
    >>> X, y = load_iris(return_X_y=True)
    >>> X = X - X.mean(axis=0)
    >>> bool(SupervisedSimilarityMatching(20, max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.85)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SupervisedClassifier._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "label_weight": [Interval(Real, 0, None, closed="neither")],
        "activation": [str, Activation],
    }

    def __init__(
        self,
        n_components=100,
        *,
        label_weight=0.1,
        activation="relu",
        learning_rate=1.0,
        max_iter="auto",
        batch_size=20,
        tolerance=1e-2,
        warm_start=False,
        random_state=None,
        checkpoints=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.label_weight = label_weight
        self.activation = activation
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tolerance = tolerance
        self.warm_start = warm_start
        self.random_state = random_state
        self.checkpoints = checkpoints
        self.verbose = verbose

    def _build(self, n_features: int, n_outputs: int, seed: int, samples: Any = None) -> Supervised:
        return multiview(
            n_features,
            int(self.n_components),
            n_outputs,
            label_weight=self.label_weight,
            activation=self.activation,
            samples=samples,
            seed=seed,
        )

    def _begin(self, X: np.ndarray, targets: np.ndarray) -> None:
        super()._begin(X, targets)
        some = X[np.random.default_rng(self._seed).permutation(len(X))[:_SOME]] / self.unit_
        self.network_ = self._build(X.shape[1], targets.shape[1], self._seed, some).network

    def _unit(self, X: np.ndarray, net: Network) -> float:
        # Inputs have a mean squared length of 1, with which `label_weight` compares.
        return float(np.sqrt(mean_square(X))) or 1.0
