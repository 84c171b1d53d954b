"""A classifier and a regressor that learn from errors of prediction."""

from typing import ClassVar

from sklearn.utils._param_validation import StrOptions

from .._checks import whole
from ..models import Supervised, predictive, predictive_scheduled, predictive_settled
from ..network import Activation
from ._supervised import SupervisedClassifier, SupervisedEstimator, SupervisedRegressor

LEARNING = {"scheduled": predictive_scheduled, "settled": predictive_settled}


class _Predictive(SupervisedEstimator):
    """Parameters and model of both."""

    _parameter_constraints: ClassVar[dict] = {
        **SupervisedEstimator._parameter_constraints,
        "hidden": ["array-like"],
        "learning": [StrOptions(set(LEARNING))],
        "activation": [str, Activation],
    }

    def __init__(
        self,
        hidden=(100,),
        *,
        learning="scheduled",
        activation="tanh",
        learning_rate=0.3,
        max_iter="auto",
        batch_size=20,
        tolerance=1e-2,
        warm_start=False,
        random_state=None,
        checkpoints=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.learning = learning
        self.activation = activation
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tolerance = tolerance
        self.warm_start = warm_start
        self.random_state = random_state
        self.checkpoints = checkpoints
        self.verbose = verbose

    def _build(self, n_features: int, n_outputs: int, seed: int) -> Supervised:
        hidden = [whole(units, "A number of hidden units") for units in self.hidden]
        return predictive(
            n_features, hidden, n_outputs, activation=self.activation, learning=LEARNING[self.learning], seed=seed
        )


class PredictiveCodingClassifier(SupervisedClassifier, _Predictive):
    """Classifier of predictive coding: synapses learn from errors of prediction.

    Parameters
    ----------
    hidden : sequence of int
        Units of the hidden layers, from the bottom to the top.
    learning : {"scheduled", "settled"}
        "scheduled": each synapse learns when its error arrives, which is back-propagation. "settled": all learn when
        all states have settled.
    activation : str or Activation
        Function of the hidden states; see `simatch.activation`.
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
    Song et al., NeurIPS 2020; Salvatori et al., AAAI 2022; ``docs/models/predictive.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from simatch.estimators import PredictiveCodingClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X = X - X.mean(axis=0)
    >>> fitted = PredictiveCodingClassifier((20,), learning_rate=1.0, max_iter=30, random_state=0).fit(X, y)
    >>> bool(fitted.score(X, y) > 0.85)
    True
    """


class PredictiveCodingRegressor(SupervisedRegressor, _Predictive):
    """Regressor of predictive coding: synapses learn from errors of prediction.

    Parameters
    ----------
    hidden : sequence of int
        Units of the hidden layers, from the bottom to the top.
    learning : {"scheduled", "settled"}
        "scheduled": each synapse learns when its error arrives, which is back-propagation. "settled": all learn when
        all states have settled.
    activation : str or Activation
        Function of the hidden states; see `simatch.activation`.
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

    References
    ----------
    Song et al., NeurIPS 2020; Salvatori et al., AAAI 2022; ``docs/models/predictive.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from simatch.estimators import PredictiveCodingRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> bool(PredictiveCodingRegressor((10,), max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.4)
    True
    """
