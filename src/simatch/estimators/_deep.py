"""A chain of layers as a transformer of scikit-learn."""

import dataclasses
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from ..models import Layer, layered
from ..network import Grid, Network
from ._base import SimilarityMatcher


class DeepSimilarityMatching(SimilarityMatcher):
    """A chain of layers, local or all to all, that listen to the layers above them.

    Minimises the structured and deep cost, equation (8) of ``docs/mathematics.md``, in which every layer
    matches the similarities of the layer below as far as its synapses reach, by the local rules (11). The output
    is the activity of the last layer, settled together with all others by the dynamics (10).

    Parameters
    ----------
    layers : sequence of int or Layer, default=(64, 16)
        From the bottom to the top, at least one; a number n stands for n neurons, all to all.
    feedback : float, default=0.0
        gamma: how much each layer hears the one above, at least 0.
    image_shape : tuple (height, width) or (height, width, channels), optional
        How the features of a row form an image, for layers with a radius or a stride: features are numbered
        row by row of pixels, then channel within the pixel.
    activation : str or Activation, default="tanh"
        Of the layers given as a number; see `simatch.activation`.
    learning_rate : float, default=0.05
        Learning rate of the first batch, above 0; the constant rate of `partial_fit`. Feedback below 1 and
        scales below 1 lower the largest possible one, which an error tells.
    decay : float, default=20.0
        In `fit`, batch n of N learns at ``learning_rate / (1 + decay n / N)``; at least 0.
    max_iter : int, default=20
        Passes over the data in `fit`, at least 1.
    batch_size : int, default=100
        Samples over which a step of learning is averaged, at least 1 (the paper's online rule).
    scale : float or "auto", default=1.0
        Factor, above 0, on the scale of every layer's feedforward structure constants. ``"auto"`` sets the
        scales from the data so that activities use the graded range (`simatch.calibrate`); `learning_rate` is
        then a fraction of the largest possible rate, where that is below 1.
    tolerance : float, default=1e-3
        Relative residual of the fixed-point equation at which a sample counts as settled, above 0.
    solver : Solver, optional
        How activities settle; `simatch.Blockwise` by default.
    random_state : int, RandomState instance or None, default=None
        Of the initial weights and the order of samples. An int makes runs repeat bit for bit.
    verbose : bool or int, default=False
        Show a progress bar on standard error, if that is a terminal.

    Attributes
    ----------
    network_ : Network
        What was learned; every function of `simatch` takes it.
    cost_history_ : ndarray
        Dual cost (9) on a batch, before learning from it; one for every ten batches.
    saturated_, silent_ : dict of str to float
        Share of activities near a bound and of units that never respond, by layer, on the last batch.
    n_iter_ : int
        Passes over the data begun by `fit`.
    n_steps_ : int
        Batches learned from, those of `partial_fit` included.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only if the data had column names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a layer does not fit on the one below, or `image_shape` on the data.

    See Also
    --------
    SimilarityMatching : One population, all to all.
    simatch.layered : The network itself, with every setting.

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
        layers=(64, 16),
        *,
        feedback=0.0,
        image_shape=None,
        activation="tanh",
        learning_rate=0.05,
        decay=20.0,
        max_iter=20,
        batch_size=100,
        scale=1.0,
        tolerance=1e-3,
        solver=None,
        random_state=None,
        verbose=False,
    ):
        self.layers = layers
        self.feedback = feedback
        self.image_shape = image_shape
        self.activation = activation
        self.learning_rate = learning_rate
        self.decay = decay
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.scale = scale
        self.tolerance = tolerance
        self.solver = solver
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, seed: int) -> Network:
        layers = [self._layer(layer) for layer in self.layers]
        local = next((p for p, layer in enumerate(layers) if (layer.radius, layer.stride) != (None, None)), None)
        if self.image_shape is None and local is not None:
            raise ValueError(
                f"layers[{local}] has a radius or a stride, which mean something on an image only; pass "
                f"image_shape=(height, width) or (height, width, channels) for the {n_features} features."
            )
        return layered(self._grid(n_features), layers, feedback=float(self.feedback), seed=seed)

    def _layer(self, layer: Any) -> Layer:
        if isinstance(layer, Integral) and int(layer) > 0:
            layer = Layer(units=int(layer), activation=self.activation)
        if not isinstance(layer, Layer):
            raise ValueError(f"Each of layers must be a sm.Layer or a whole number of neurons above 0, got {layer!r}.")
        return dataclasses.replace(layer, scale=layer.scale * self._factor)

    def _grid(self, n_features: int) -> Grid:
        if self.image_shape is None:
            return Grid(1, 1, n_features)
        shape = tuple(self.image_shape)
        if len(shape) not in (2, 3) or not all(isinstance(n, Integral) and int(n) > 0 for n in shape):
            raise ValueError(
                f"image_shape must be (height, width) or (height, width, channels), whole numbers above 0, got {shape}."
            )
        grid = Grid(*map(int, shape))
        if grid.size != n_features:
            raise ValueError(f"image_shape {shape} stands for {grid.size} features, but X has {n_features}.")
        return grid
