"""Similarity matching in scikit-learn's interface: transformers that learn by local rules."""

import abc
import dataclasses
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._progress import tracked
from ..learning import (
    Report,
    Schedule,
    batches_in,
    calibrate,
    describe,
    encode,
    epochs_of,
    hyperbolic,
    largest_rate,
    samples_at_once,
    training,
    warn_unconverged,
)
from ..models import Layer, layered
from ..network import Activation, Grid, Network
from ..relaxation import Inputs, Solver

# Batches in one compiled run, which is one task to callbacks. It shapes the program, so it is the same for all.
_BATCHES_A_TASK = 10

Estimator = TypeVar("Estimator", bound="_SimilarityMatcher")


class _SimilarityMatcher(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, metaclass=abc.ABCMeta
):
    """Everything but the network: learning, encoding, and scikit-learn's conventions.

    Signatures of `__init__` bear no types, since scikit-learn's contract is to store whatever is given and to
    validate it in `fit`.
    """

    learning_rate: float
    decay: float
    max_iter: int
    batch_size: int
    scale: Any
    tolerance: float
    solver: Solver | None
    random_state: Any
    verbose: Any

    network_: Network

    _parameter_constraints: ClassVar[dict] = {
        "activation": [str, Activation],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "solver": [Solver, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abc.abstractmethod
    def _build(self, n_features: int, seed: int) -> Network:
        """Return the network before learning."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn from `max_iter` passes over the data, in random order, at a decreasing rate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data. Similarities are plain dot products, so centre and scale it before.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is out of range; nothing has changed then.
        DivergenceError
            If activities grow without bound; lower `learning_rate`, or `scale`.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled to `tolerance`.
        """
        X = self._validated(X, reset=True)
        net, seed = self._initial(X)
        epochs, size = float(self.max_iter), int(self.batch_size)
        total = batches_in(len(X), epochs=epochs, batch_size=size)
        tasks = math.ceil(total / _BATCHES_A_TASK)
        whole = self._init_callback_context(max_subtasks=tasks)
        whole.call_on_fit_task_begin(estimator=self, X=X, y=y)
        rate = hyperbolic(self._rate(net), over=total, decay=float(self.decay))
        batches = epochs_of(X, epochs=epochs, batch_size=size, seed=seed)
        runs = tracked(
            self._training(net, batches, rate), total, describe, label=type(self).__name__, shown=bool(self.verbose)
        )
        reports = []
        for _ in range(tasks):
            task = whole.subcontext(task_name="batches")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y, reconstruction_attributes={"network_": net})
            net, report = next(runs)
            reports.append(report)
            if task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                metadata=dataclasses.asdict(report),
                reconstruction_attributes={"network_": net},
            ):
                break
        del runs  # takes the progress bar away, should a callback have stopped early
        self.network_, self.n_steps_, self.cost_history_ = net, 0, np.empty(0)
        self._remember(reports)
        self.n_iter_ = math.ceil(reports[-1].samples / len(X))
        whole.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self: Estimator, X: Any, y: Any = None) -> Estimator:
        """Learn once from each row, in the given order, at the constant rate `learning_rate`.

        Rows are cut into batches of `batch_size`. The first call, unless `fit` came before, makes the
        network (and with ``scale="auto"`` calibrates it on these rows).

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
            If a parameter or the data is out of range; nothing has changed then.
        DivergenceError
            If activities grow without bound; the estimator keeps the network from before the call.

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled to `tolerance`.
        """
        new = not hasattr(self, "network_")
        X = self._validated(X, reset=new)
        net = self._initial(X)[0] if new else self.network_
        batches = (X[i : i + self.batch_size] for i in range(0, len(X), self.batch_size))
        networks, reports = zip(*self._training(net, batches, self._rate(net)), strict=True)
        if new:
            self.n_steps_, self.cost_history_ = 0, np.empty(0)
        self.network_ = networks[-1]
        self._remember(reports)
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "samples features"]:
        """Return the activities of the last layer at the fixed point of the neural dynamics.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In JAX's default precision, float32 unless ``jax_enable_x64`` is set.

        Raises
        ------
        ValueError
            If the data does not have the shape of that seen in `fit`, or is not finite.

        Warns
        -----
        ConvergenceWarning
            If some samples did not settle to `tolerance`.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        # A power of two, so that few compiled programs serve all numbers of rows.
        size = min(samples_at_once(self.network_), 1 << (len(X).bit_length() - 1))
        return encode(self.network_, X, batch_size=size, solver=self.solver, tolerance=float(self.tolerance))

    @property
    def _n_features_out(self) -> int:
        return self.network_.populations[self.network_.layers[-1]].grid.size

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = [_precision().name]
        return tags

    def _validated(self, X: Any, *, reset: bool) -> Float[np.ndarray, "samples features"]:
        # What overflows in the engine's precision is refused right after.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(validate_data(self, X, reset=reset, dtype=_precision()))

    def _initial(self, X: Float[np.ndarray, "samples features"]) -> tuple[Network, int]:
        """Return the network before learning, and a seed for the order of samples."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        net = self._build(X.shape[1], seed)
        if self.scale == "auto":
            net = calibrate(net, X, batch_size=int(self.batch_size), seed=seed, solver=self.solver)
        return net, seed

    def _training(
        self, net: Network, batches: Iterable[Inputs], rate: float | Schedule
    ) -> Iterable[tuple[Network, Report]]:
        return training(
            net,
            batches,
            rate=rate,
            solver=self.solver,
            tolerance=float(self.tolerance),
            report_every=_BATCHES_A_TASK,
        )

    def _rate(self, net: Network) -> float:
        """Learning rate at the start."""
        # Weights forget at rate / c, and nobody can foresee the c that calibration finds.
        return float(self.learning_rate) * (min(1.0, largest_rate(net)) if self.scale == "auto" else 1.0)

    @property
    def _factor(self) -> float:
        """Number that the structure constants are multiplied with before any calibration."""
        return 1.0 if self.scale == "auto" else float(self.scale)

    def _remember(self, reports: Sequence[Report]) -> None:
        last = reports[-1]
        self.n_steps_ += last.batches
        self.cost_history_ = np.concatenate([self.cost_history_, [report.cost for report in reports]])
        self.saturated_, self.silent_ = last.saturated, last.silent
        warn_unconverged(reports, stacklevel=5)


class SimilarityMatching(_SimilarityMatcher):
    """One population, all to all: outputs whose similarities match those of the inputs.

    Minimises, over the outputs r of samples x,
    ``1/(2 T^2) sum_tt' (x_t.x_t' - r_t.r_t')^2 + (2/T) sum_t |F(r_t)|_1``,
    equation (1) of ``docs/mathematics.md``, with F given by the activation, by Hebbian learning of
    feedforward weights and anti-Hebbian learning of lateral ones. With the linear activation the outputs span
    the principal subspace of the (uncentred) data; with ReLU they form soft clusters.

    Parameters
    ----------
    n_components : int, default=16
        Neurons, at least 1; the number of output features. More than the rank of the data is of use only with
        a nonlinear activation.
    activation : str or Activation, default="linear"
        See `simatch.activation`.
    learning_rate : float, default=0.05
        Learning rate of the first batch, above 0 and at most `scale` (beyond which weights overshoot); the
        constant rate of `partial_fit`.
    decay : float, default=20.0
        In `fit`, batch n of N learns at ``learning_rate / (1 + decay n / N)``; at least 0.
    max_iter : int, default=20
        Passes over the data in `fit`, at least 1.
    batch_size : int, default=100
        Samples over which a step of learning is averaged, at least 1 (the paper's online rule).
    scale : float or "auto", default=1.0
        Structure constant of the feedforward synapses, above 0: how strong the drive of bounded units is.
        ``"auto"`` sets it from the data so that activities use the graded range (`simatch.calibrate`);
        `learning_rate` is then a fraction of the largest possible rate, where that is below 1.
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

    See Also
    --------
    DeepSimilarityMatching : Several layers, local connections, feedback.

    Notes
    -----
    Callbacks of scikit-learn (``set_callbacks``) see one task for every ten batches; its `metadata` is a dict
    with ``cost``, ``residual``, ``rate`` and the other fields of `simatch.Report`.

    References
    ----------
    Obeid, Ramambason, Pehlevan, "Structured and Deep Similarity Matching via Structured and Deep Hebbian
    Networks", NeurIPS 2019; equations (1) to (5) of ``docs/mathematics.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.preprocessing import StandardScaler
    >>> from simatch.estimators import SimilarityMatching
    >>> X = StandardScaler(with_std=False).fit_transform(load_digits().data / 16)
    >>> features = SimilarityMatching(n_components=4, random_state=0).fit_transform(X)
    >>> features.shape
    (1797, 4)
    """

    _parameter_constraints: ClassVar[dict] = {
        **_SimilarityMatcher._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=16,
        *,
        activation="linear",
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
        self.n_components = n_components
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
        layer = Layer(units=int(self.n_components), activation=self.activation, scale=self._factor)
        return layered(n_features, [layer], seed=seed)


class DeepSimilarityMatching(_SimilarityMatcher):
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
        **_SimilarityMatcher._parameter_constraints,
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


def _precision() -> np.dtype:
    """Precision that the engine computes in."""
    return np.dtype(jnp.result_type(float))
