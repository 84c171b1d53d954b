"""Classifiers that compare a free and a nudged phase."""

from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from ..models import Supervised, contrastive, equilibrium
from ..network import Activation
from ._image import input_grid, layers_of
from ._supervised import SupervisedClassifier


class ContrastiveSimilarityMatching(SupervisedClassifier):
    """Classifier of contrastive similarity matching: feedforward synapses compare two phases, lateral ones one.

    Parameters
    ----------
    hidden : sequence of int or Layer
        Hidden layers, from the bottom to the top. A number n stands for n units with all-to-all synapses; of a `Layer`,
        the activation and the scales are not used.
    beta : float
        Strength of the nudge, above 0.
    image_shape : tuple (height, width) or (height, width, channels), optional
        Shape of the image that the features of a row form, for layers with a radius or a stride. Features are numbered
        row by row of pixels, then channel within the pixel.
    activation : str or Activation
        Of hidden and output units; see `simatch.activation`.
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
    Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021); ``docs/models/contrastive.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from simatch.estimators import ContrastiveSimilarityMatching
    >>> X, y = load_iris(return_X_y=True)
    >>> X = X - X.mean(axis=0)
    >>> bool(ContrastiveSimilarityMatching((20,), max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.85)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SupervisedClassifier._parameter_constraints,
        "hidden": ["array-like"],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "image_shape": [list, tuple, None],
        "activation": [str, Activation],
    }

    def __init__(
        self,
        hidden=(100,),
        *,
        beta=1.0,
        image_shape=None,
        activation="clip",
        learning_rate=1.0,
        max_iter="auto",
        batch_size=20,
        tolerance=1e-2,
        warm_start=False,
        random_state=None,
        checkpoints=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.beta = beta
        self.image_shape = image_shape
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
        layers = layers_of(self.hidden, "hidden")
        grid = input_grid(layers, "hidden", self.image_shape, n_features)
        return contrastive(grid, layers, n_outputs, beta=self.beta, activation=self.activation, seed=seed)


class EquilibriumPropagation(SupervisedClassifier):
    """Classifier of equilibrium propagation: all synapses compare a free and a nudged phase.

    Parameters
    ----------
    hidden : sequence of int or Layer
        Hidden layers, from the bottom to the top. A number n stands for n units with all-to-all synapses; of a `Layer`,
        the activation and the scales are not used.
    beta : float
        Strength of the nudge, not 0.
    random_sign : bool
        Whether the nudge gets a random sign in every batch.
    image_shape : tuple (height, width) or (height, width, channels), optional
        Shape of the image that the features of a row form, for layers with a radius or a stride. Features are numbered
        row by row of pixels, then channel within the pixel.
    activation : str or Activation
        Of hidden and output units; see `simatch.activation`.
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
    Scellier, Bengio 2017; Qin, Mudur, Pehlevan, *Neural Computation* 33 (2021); ``docs/models/equilibrium.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from simatch.estimators import EquilibriumPropagation
    >>> X, y = load_iris(return_X_y=True)
    >>> X = X - X.mean(axis=0)
    >>> bool(EquilibriumPropagation((20,), max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.85)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SupervisedClassifier._parameter_constraints,
        "hidden": ["array-like"],
        "beta": [Interval(Real, None, None, closed="neither")],
        "random_sign": ["boolean"],
        "image_shape": [list, tuple, None],
        "activation": [str, Activation],
    }

    def __init__(
        self,
        hidden=(100,),
        *,
        beta=0.5,
        random_sign=False,
        image_shape=None,
        activation="clip",
        learning_rate=0.4,
        max_iter="auto",
        batch_size=20,
        tolerance=1e-2,
        warm_start=False,
        random_state=None,
        checkpoints=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.beta = beta
        self.random_sign = random_sign
        self.image_shape = image_shape
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
        layers = layers_of(self.hidden, "hidden")
        return equilibrium(
            input_grid(layers, "hidden", self.image_shape, n_features),
            layers,
            n_outputs,
            beta=self.beta,
            random_sign=self.random_sign,
            activation=self.activation,
            seed=seed,
        )
