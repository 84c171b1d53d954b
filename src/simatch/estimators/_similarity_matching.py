"""One population with all-to-all synapses, as a transformer of scikit-learn."""

import dataclasses
import warnings
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._arrays import refuse_masked
from ..learning import Certificate, certificate
from ..models import Layer, layered
from ..network import Linear, Network, activation
from ..relaxation import ConvergenceWarning, Relaxation, relax
from ._base import SimilarityMatcher, in_unit
from ._linear import captured, captured_of, is_linear, projection
from ._principal import LinearCertificate, Principal, principal
from ._reconstruction import reconstruction
from ._rows import precision

# Largest errors of variances and subspace, by default, where the optimum is known.
_EXACT = 0.01
# Most rows from which linear units learn at once: they settle in no time, and noise hides small gaps between variances.
# Of more rows, fewer batches than others need reach 99.9 % of the variance.
_LINEAR_AT_ONCE, _LINEAR_BATCHES = 5000, 150


class SimilarityMatching(SimilarityMatcher):
    """Similarity matching with one all-to-all population: outputs whose similarities match those of the inputs.

    For samples x it minimises the cost
    ``1/(2 T^2) sum_tt' (x_t.x_t' - r_t.r_t')^2 + (2/T) sum_t |F(r_t)|_1``
    (equation 1 of ``docs/mathematics.md``) over the outputs r. The activation determines F. Feedforward weights learn
    by a Hebbian rule, lateral weights by an anti-Hebbian rule. With the linear activation the outputs span the
    principal subspace of the (uncentred) data; with ReLU they form soft clusters.

    Parameters
    ----------
    n_components : int, default=16
        Number of neurons and of output features, at least 1. More than the rank of the data are useful only with a
        nonlinear activation.
    activation : str or Activation, default="linear"
        See `simatch.activation`.
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
        has all rows; otherwise as many as give 300 batches (150 with linear units), at least 1.
    batch_size : "auto" or int, default="auto"
        Rows over which a step of learning is averaged, at least 1; 1 is the online rule of the paper. "auto": all rows
        if there are at most 2,000 (5,000 with linear units), otherwise 400.
    scale : float or "auto", default="auto"
        Structure constant c of the feedforward synapses, above 0: the variances of the outputs are c times those of
        the inputs. "auto" is 1 for linear and ReLU units; for other activations it is set from the data so that
        activities are graded (`simatch.calibrate`).
    lateral_scale : float, default=1.0
        Structure constant of the lateral synapses, above 0; the variances of the outputs are divided by it.
    plasticity : dict of str to float, optional
        Factors between 0 and 1 on the learning rates of pathways, such as ``{"input->layer1": 0.5, "layer1": 1.0}``; 0
        switches learning off (`simatch.Plasticity`).
    tol : "auto" or float, default="auto"
        Distance from the optimum of learning at which `fit` ends, and above which it warns, at least 0; 0: `fit` never
        ends early and does not warn. For linear units, of which the optimum is known, "auto" is 0.01: variances within
        1 %, and a subspace within 0.9 degrees of the principal one. For others the distance is
        `simatch.Certificate.distance` on at most 2,000 rows of the data, and "auto" ends at 1e-4 and warns above 0.05.
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
    components_ : ndarray of shape (n_components, n_features)
        Filters of linear units: ``transform(X)`` is ``X @ components_.T``. Only with the linear activation. At the
        optimum they span the principal subspace and are orthogonal, with squared norm ``scale / lateral_scale``; they
        are not sorted and not the principal axes, but a rotation of them.
    explained_variance_ : ndarray of shape (n_components,)
        Mean squares of the data of `fit` along the principal axes of the subspace that the filters span, largest first.
        Only with the linear activation, and not after `partial_fit`. Similarities are dot products, so no mean is
        subtracted: for centred data these are variances, with 1 / n_samples.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        `explained_variance_`, divided by the mean squared length of the samples.
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

    See Also
    --------
    DeepSimilarityMatching : Several layers, local connections, feedback.

    Notes
    -----
    Callbacks (``set_callbacks``, with scikit-learn from version 1.9 on) see one task for every ten batches, and for the
    shorter batches at the end. Its `metadata` is a dict with ``cost``, ``residual``, ``rate`` and the other fields of
    `simatch.Report` except ``state``.

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

    The filters, and the inputs reconstructed from the outputs:

    >>> matching = SimilarityMatching(n_components=4, random_state=0).fit(X)
    >>> matching.components_.shape, matching.inverse_transform(matching.transform(X)).shape
    ((4, 64), (1797, 64))
    """

    _parameter_constraints: ClassVar[dict] = {
        **SimilarityMatcher._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=16,
        *,
        activation="linear",
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
        self.n_components = n_components
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

    def _build(self, n_features: int, seed: int) -> Network:
        layer = Layer(
            units=int(self.n_components),
            activation=self.activation,
            scale=self._factor,
            lateral_scale=float(self.lateral_scale),
        )
        return layered(n_features, [layer], seed=seed)

    @property
    def _most_at_once(self) -> int:
        return _LINEAR_AT_ONCE if isinstance(activation(self.activation), Linear) else super()._most_at_once

    @property
    def _fewest_batches(self) -> int:
        return _LINEAR_BATCHES if isinstance(activation(self.activation), Linear) else super()._fewest_batches

    def _tolerances(self, measure: Callable[[Network], Certificate]) -> tuple[float | None, float | None]:
        exact = isinstance(measure, _Distance) and self.tol == "auto"
        return (_EXACT, _EXACT) if exact else super()._tolerances(measure)

    def _measure(self, X: Any, unit: float, seed: int) -> Callable[[Network], Certificate]:
        best = principal(X, int(self.n_components)) if isinstance(activation(self.activation), Linear) else None
        if best is None:
            return super()._measure(X, unit, seed)
        factor = float(self._factor) / float(self.lateral_scale)
        return _Distance(best, X, self._some(X, unit, seed), unit, factor, self._settled)

    def _settled(self, net: Network, x: Any) -> Relaxation:
        with warnings.catch_warnings():
            # Samples that do not settle here do not settle in the run either, which warns of them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return relax(net, x, solver=self.solver, tolerance=float(self.tolerance))

    def _survey(self, X: Any | None, measure: Callable[[Network], Certificate] | None) -> None:
        # Weights do not know how much of the data they miss.
        if X is None or not is_linear(self.network_):
            self._captured = None
        elif isinstance(measure, _Distance):
            self._captured = measure.captured(self.network_)
        else:
            self._captured = captured(projection(self.network_), X)

    def inverse_transform(self, X: Any) -> Float[np.ndarray, "samples features"]:
        """Reconstruct inputs from outputs, by a linear map that only the synapses determine.

        With linear units it is the pseudo-inverse of `components_`: ``inverse_transform(transform(X))`` is the
        orthogonal projection of the data on the subspace of the filters. With other units it is the linear map with the
        least mean squared error for the data learned from, ``(W / c)' (L / c)^-1``: at the optimum of learning the
        synapses hold the correlations of outputs with inputs and with each other.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Outputs, as `transform` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If X does not have `n_components` columns, or is not finite.
        """
        check_is_fitted(self)
        refuse_masked(X, "X")
        outputs = np.asarray(check_array(X, dtype=precision().name, input_name="X"))
        if outputs.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {outputs.shape[1]} columns, but the network has {self._n_features_out} outputs; pass what "
                "`transform` returns."
            )
        return outputs @ reconstruction(self.network_).T.astype(outputs.dtype)

    @property
    def components_(self) -> Float[np.ndarray, "components features"]:
        self._require_linear("components_")
        return projection(self.network_)

    @property
    def explained_variance_(self) -> Float[np.ndarray, " components"]:
        return self._measured("explained_variance_")[0]

    @property
    def explained_variance_ratio_(self) -> Float[np.ndarray, " components"]:
        variances, total = self._measured("explained_variance_ratio_")
        return variances / (total or 1.0)

    def _measured(self, name: str) -> tuple[Float[np.ndarray, " components"], float]:
        self._require_linear(name)
        if self._captured is None:
            raise AttributeError(
                f"{name} is measured by `fit` on its data, but `partial_fit` has made or changed the network since; "
                "call `fit`, or compare `inverse_transform(transform(X))` with data X."
            )
        return self._captured

    def _require_linear(self, name: str) -> None:
        check_is_fitted(self)
        if not is_linear(self.network_):
            raise AttributeError(
                f"{name} is defined for linear units only, whose outputs are one matrix times the input, not for the "
                f"activation {self.activation!r}; use `transform` and `inverse_transform`."
            )

    @property
    def _similarity_weight(self) -> float:
        forward, lateral = self.network_.pathways
        return float(forward.factor) ** 2 / float(lateral.factor)


@dataclasses.dataclass(frozen=True)
class _Distance:
    """Measures how far a network is from the principal subspace `best` of the data X.

    `rows` are some of the data in the unit of the network, and `factor` is c^W / c^L.
    """

    best: Principal
    X: Any
    rows: Any
    unit: float
    factor: float
    settled: Callable[[Network, Any], Relaxation]

    def __call__(self, net: Network) -> LinearCertificate:
        matrix = projection(net)
        out = self.settled(net, self.rows)
        own = vars(in_unit(certificate(net, out), self.unit))
        angle = self.best.angle(matrix)
        # Outputs of small variance beside large ones are rounded: by how much, some rows tell for all.
        rounded = _moments(np.asarray(out.states[net.layers[-1]]).T) - _moments(_projected(self.rows, matrix))
        moments = self.best.moments
        exact = _moments(_projected(self.X, matrix)) if moments is None else matrix @ moments @ matrix.T
        error = self.best.error_of_variances((exact + self.unit**2 * rounded) / self.factor)
        return LinearCertificate(
            **{**own, "distance": max(angle / 90, error)},
            optimum=self.factor * self.best.cost,
            angle=angle,
            variance_error=error,
            spread=self.best.spread,
        )

    def captured(self, net: Network) -> tuple[Float[np.ndarray, " components"], float]:
        """Return what `captured` does; a pass over the data is needed only where their moments are not known."""
        moments = self.best.moments
        return captured(projection(net), self.X) if moments is None else captured_of(projection(net), moments)


def _projected(X: Any, matrix: Float[np.ndarray, "components features"]) -> Float[np.ndarray, "samples components"]:
    return X @ matrix.T.astype(X.dtype)


def _moments(outputs: Float[np.ndarray, "samples components"]) -> Float[np.ndarray, "components components"]:
    # In double precision: the outputs share the largest variance, beside which the smallest would be lost.
    outputs = outputs.astype(float)
    return outputs.T @ outputs / len(outputs)
