"""A chain of layers as a transformer of scikit-learn."""

import dataclasses
from numbers import Real
from typing import ClassVar, NoReturn

from sklearn.utils._param_validation import Interval

from ..models import layered
from ..network import Network
from ._base import SimilarityMatcher
from ._image import input_grid, layers_of


class DeepSimilarityMatching(SimilarityMatcher):
    """Similarity matching with a chain of layers, local or all to all, with or without feedback.

    It minimises the structured and deep cost (equation 8 of ``docs/mathematics.md``) by the local rules (11). In this
    cost every layer matches the similarities of the layer below within the reach of its synapses. The output is the
    activities of the last layer at the fixed point of the dynamics (10) of all layers.

    Parameters
    ----------
    layers : sequence of int or Layer, default=(128, 600)
        From the bottom to the top, at least one. A number n stands for n neurons with all-to-all synapses.
    feedback : float, default=0.0
        gamma, at least 0: strength of the feedback from each layer to the layer below.
    image_shape : tuple (height, width) or (height, width, channels), optional
        Shape of the image that the features of a row form, for layers with a radius or a stride. Features are numbered
        row by row of pixels, then channel within the pixel.
    activation : str or Activation, default="relu"
        Activation of the layers that are given as a number; see `simatch.activation`.
    learning_rate : "auto", float or callable, default="auto"
        Fraction of the distance to their optimum that weights move in a batch (`simatch.AveragingRule`), above 0 and
        at most 1. "auto" begins at 0.5 and falls with the number of samples as far as noise must average out. A number
        is the rate of the first batch of `fit`, and a constant rate in `partial_fit`. A function gives the rate of
        batch n, such as a schedule of Optax.
    ratio : float, default=1.0
        Learning rate of lateral weights over that of feedforward ones, above 0. At 1 no component of a linear network
        is lost, whatever the variances; equations (5) and (11) have 0.5.
    decay : float, default=20.0
        With a number as `learning_rate`, batch n of N in `fit` learns at ``learning_rate / (1 + decay n / N)``; at
        least 0.
    max_iter : "auto" or int, default="auto"
        Most passes over the data in `fit`, at least 1; learning ends earlier if it arrives. "auto": 1,000 if a batch
        has all rows; otherwise as many as give 300 batches, at least 1.
    batch_size : "auto" or int, default="auto"
        Rows over which a step of learning is averaged, at least 1; 1 is the online rule of the paper. "auto": all rows
        if there are at most 2,000, otherwise 400.
    scale : float or "auto", default="auto"
        Factor, above 0, on the scale of the feedforward structure constants of every layer. "auto" is 1 if all units
        are linear or ReLU; otherwise the scales are set from the data so that activities are graded
        (`simatch.calibrate`).
    lateral_scale : float, default=1.0
        Factor on the structure constants of the lateral synapses of every layer, above 0.
    plasticity : dict of str to float, optional
        Factors between 0 and 1 on the learning rates of pathways, such as ``{"input->layer1": 0.5, "layer1": 1.0}``; 0
        switches learning off (`simatch.Plasticity`).
    tol : "auto" or float, default="auto"
        `simatch.Certificate.distance` from the optimum of learning, on at most 2,000 rows of the data, at which `fit`
        ends, and above which it warns, at least 0; 0: `fit` never ends early and does not warn. "auto" ends at 1e-4 and
        warns above 0.05.
    tolerance : float, default=1e-3
        Largest relative residual of the fixed-point equation at which a sample counts as converged, above 0.
    warm_start : bool, default=False
        `fit` goes on from the network of the fit before.
    solver : Solver, optional
        Solver of the neural dynamics; `simatch.Blockwise` by default.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and of the order of samples, at least 0. With an int, runs repeat bit for bit.
    checkpoints : str or Path, optional
        Folder in which `fit` is kept while it learns: every 20 seconds, at its end, and if it is interrupted. The same
        `fit` goes on from there, and ends with the same weights, bit for bit. Needs an integer as `random_state`.
    verbose : bool or int, default=False
        Show a progress bar, if standard error is a terminal.

    Attributes
    ----------
    network_ : Network
        The trained network, for use with the functions of `simatch`.
    certificate_ : Certificate
        Primal cost, dual cost, and distance from the optimum of learning after `fit`, on at most 2,000 rows.
    unit_ : float
        Data are divided by it before they enter the network, and the outputs multiplied by it: a power of two near the
        size of the data if all units are linear or ReLU, otherwise 1.
    rate_ : float
        Learning rate of the last batch.
    cost_history_ : ndarray
        Dual cost (9) on every tenth batch, before learning from it.
    saturated_, silent_ : dict of str to float
        For each layer, the share of activities near a bound and of units that respond to no sample, on the last batch.
    n_iter_ : int
        Number of passes over the data that `fit` began.
    n_steps_, n_samples_seen_ : int
        Number of batches and of rows learned from, those of `partial_fit` included.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of str
        Names of the input features; only if the data have column names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a layer does not fit on the layer below, or `image_shape` does not fit the data.

    See Also
    --------
    SimilarityMatching : One population with all-to-all synapses.
    simatch.layered : The constructor of the network, with more settings.

    References
    ----------
    Obeid, Ramambason, Pehlevan, "Structured and Deep Similarity Matching via Structured and Deep Hebbian
    Networks", NeurIPS 2019; equations (8) to (11) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> from sklearn.datasets import load_digits
    >>> from simatch.estimators import DeepSimilarityMatching
    >>> X = load_digits().data / 16
    >>> X = X - X.mean(axis=1, keepdims=True)
    >>> deep = DeepSimilarityMatching(
    ...     [sm.Layer(units=4, stride=2, radius=2.0), 10],
    ...     feedback=0.2,
    ...     image_shape=(8, 8),
    ...     max_iter=2,
    ...     random_state=0,
    ... )
    >>> deep.fit_transform(X).shape
    (1797, 10)
    """

    _parameter_constraints: ClassVar[dict] = {
        **SimilarityMatcher._parameter_constraints,
        "layers": [list, tuple],
        "feedback": [Interval(Real, 0, None, closed="left")],
        "image_shape": [list, tuple, None],
    }

    def __init__(
        self,
        layers=(128, 600),
        *,
        feedback=0.0,
        image_shape=None,
        activation="relu",
        learning_rate="auto",
        ratio=1.0,
        decay=20.0,
        max_iter="auto",
        batch_size="auto",
        scale="auto",
        lateral_scale=1.0,
        plasticity=None,
        tol="auto",
        tolerance=1e-3,
        warm_start=False,
        solver=None,
        random_state=None,
        checkpoints=None,
        verbose=False,
    ):
        self.layers = layers
        self.feedback = feedback
        self.image_shape = image_shape
        self.activation = activation
        self.learning_rate = learning_rate
        self.ratio = ratio
        self.decay = decay
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.scale = scale
        self.lateral_scale = lateral_scale
        self.plasticity = plasticity
        self.tol = tol
        self.tolerance = tolerance
        self.warm_start = warm_start
        self.solver = solver
        self.random_state = random_state
        self.checkpoints = checkpoints
        self.verbose = verbose

    @property
    def inverse_transform(self) -> NoReturn:
        """Not defined: only the first layer learns how activities and inputs are correlated."""
        raise AttributeError(
            "DeepSimilarityMatching has no inverse_transform, because only its first layer learns correlations with "
            "the input; use SimilarityMatching, or regress the data on the outputs."
        )

    def _build(self, n_features: int, seed: int) -> Network:
        layers = [
            dataclasses.replace(
                layer, scale=layer.scale * self._factor, lateral_scale=layer.lateral_scale * float(self.lateral_scale)
            )
            for layer in layers_of(self.layers, "layers", activation=self.activation)
        ]
        grid = input_grid(layers, "layers", self.image_shape, n_features)
        return layered(grid, layers, feedback=float(self.feedback), seed=seed)
