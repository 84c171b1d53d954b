"""Kernel similarity matching of data in memory or of a stream."""

import math
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._unchanged import unchanged_if_failed
from ..learning import Rate, Rule, batches_in, hyperbolic
from ..models import kernel_matching, kernel_rule
from ..network import CosinePowerKernel, Kernel, Landmarks, PolynomialKernel, RadialKernel
from ..relaxation import Direct
from ._rows import precision
from ._streaming import SettlingEstimator

# Automatic rates of landmarks and of lateral synapses, as published, and how far they fall over `fit`.
_RATE, _RATIO, _DECAY = 0.01, 10.0, 9.0
# Fewest batches, and most passes, of `fit` by default.
_BATCHES, _PASSES = 3000, 500
# Initial sizes where the kernel grows with the lengths of landmarks: small ones, and lateral weights that suit them.
_SMALL, _LATERAL = 0.1, 0.01
# Condition number beyond which single precision does not resolve the activities.
_ILL = 1e6
# Cosine of an input and a landmark, as the kernel has it, below which the landmark hardly feels the input.
_REACH = 0.01


class KernelSimilarityMatching(SettlingEstimator):
    """Features whose dot products approximate a kernel of the data; a nonlinear embedding, from memory or a stream.

    Every unit has a landmark among the inputs, which learning moves. Unlike a Nystroem map, the map follows the data,
    and needs neither the kernel matrix of the landmarks nor rows of before.

    Parameters
    ----------
    n_components : int
        Number of units, from 1 to the number of rows of the first call.
    kernel : "rbf", "poly", "cosine_power" or Kernel
        ``exp(-gamma |x - w|^2)``, ``(gamma x.w + coef0)^degree``, ``|x| |w| cos(x, w)^degree``, or one's own, of the
        inputs as they are.
    gamma : float, optional
        Above 0; by default 1 / n_features.
    degree : int
        At least 1.
    coef0 : float
        At least 0.
    leak : float
        Bounds the activities where the lateral matrix has small eigenvalues; above 0.
    learning_rate : float or "auto"
        Rate of landmarks, at most 0.1; lateral synapses learn ten times as fast. "auto" is 0.01. Over `fit` it falls to
        a tenth, in `partial_fit` it is constant.
    max_iter : int or "auto"
        Passes over the rows in `fit`; "auto": so many that there are about 3,000 batches, at most 500.
    batch_size : int
        Rows in a batch, at least 1.
    random_state : int, RandomState or None
        Seed of the initial landmarks and of the order of the rows, at least 0.
    verbose : bool or int
        Whether to show a progress bar.

    Attributes
    ----------
    landmarks_ : ndarray of shape (n_components, n_features)
    strengths_ : ndarray of shape (n_components,)
        Factors q on the kernel.
    lateral_ : ndarray of shape (n_components, n_components)
        L, with the leak: features are ``lateral_^-1 (strengths_ * f(x, landmarks_))``.
    condition_ : float
        Condition number of `lateral_`; beyond about 1e6 features are imprecise.
    unit_ : float
        Inputs are divided by it before the network sees them.
    network_ : Network
        See `simatch.models.kernel_matching`.
    n_iter_ : int
        Passes of the last `fit`.
    n_steps_, n_samples_seen_, n_features_in_ : int
        Batches and rows learned from, and number of features.

    References
    ----------
    Luther and Seung, NeurIPS 2022, arXiv 2204.07475; ``docs/models/kernel.md``.

    See Also
    --------
    sklearn.kernel_approximation.Nystroem : Landmarks that are rows of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.metrics.pairwise import rbf_kernel
    >>> from simatch.estimators import KernelSimilarityMatching
    >>> X, _ = make_moons(400, noise=0.1, random_state=0)
    >>> Z = KernelSimilarityMatching(16, gamma=2.0, random_state=0).fit_transform(X)
    >>> K = rbf_kernel(X, gamma=2.0)
    >>> bool(np.linalg.norm(Z @ Z.T - K) < 0.2 * np.linalg.norm(K))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SettlingEstimator._parameter_constraints,
        "kernel": [StrOptions({"rbf", "poly", "cosine_power"}), Kernel],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "coef0": [Interval(Real, 0, None, closed="left")],
        "leak": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [Interval(Real, 0, 0.1, closed="right"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        n_components=100,
        *,
        kernel="rbf",
        gamma=None,
        degree=3,
        coef0=1.0,
        leak=1e-3,
        learning_rate="auto",
        max_iter="auto",
        batch_size=64,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.leak = leak
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "KernelSimilarityMatching":
        """Learn from passes over all rows in random order. If it fails, the estimator is as it was before.

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
            If a parameter or the data are out of range, or rows are fewer than units.
        DivergenceError
            If activities grow without bound; lower `learning_rate`.

        Warns
        -----
        UserWarning
            If the lateral matrix is ill-conditioned.
        """
        X = self._rows(X, reset=True)
        seed = self._begin(X)
        passes = self._passes(len(X), _BATCHES, _PASSES)
        total = batches_in(len(X), epochs=passes, batch_size=min(int(self.batch_size), len(X)))
        rates: Rate = {kind: hyperbolic(own, over=total, decay=_DECAY) for kind, own in self._by_kind().items()}
        self._learn({"input": X / self.unit_}, rates, passes=passes, seed=seed)
        self.n_iter_ = passes
        self._tell_condition()
        return self

    @unchanged_if_failed
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "KernelSimilarityMatching":
        """Learn once from each row, in the given order, at constant rates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first call needs as many rows as there are units.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or rows of the first call are fewer than units.
        DivergenceError
            If activities grow without bound; lower `learning_rate`.

        Warns
        -----
        UserWarning
            If the lateral matrix is ill-conditioned. Once, if most of the last rows are out of reach of all landmarks:
            these move only as far as their kernel changes with an input, so that they do not follow a stream that has
            moved away.
        """
        first = not hasattr(self, "network_")
        X = self._rows(X, reset=first)
        if first:
            self._begin(X)
        rates: Rate = {kind: self._share(len(X), own) for kind, own in self._by_kind().items()}
        self._learn({"input": X / self.unit_}, rates)
        self._tell_condition()
        self._tell_unreached(X[-int(self.batch_size) :] / self.unit_)
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "samples components"]:
        """Return the settled activities of the units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In JAX's default precision, float32 unless ``jax_enable_x64`` is set.

        Warns
        -----
        ConvergenceWarning
            If the lateral matrix is so ill-conditioned that activities are wrong.
        """
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        return self._encoded({"input": X / self.unit_}, 1024, Direct()) * self._factor

    @property
    def landmarks_(self) -> Float[np.ndarray, "components features"]:
        return self.unit_ * np.asarray(self._parameters(0)["landmarks"], float)

    @property
    def strengths_(self) -> Float[np.ndarray, " components"]:
        return np.asarray(self._parameters(0)["strengths"], float)

    @property
    def lateral_(self) -> Float[np.ndarray, "components components"]:
        own = np.asarray(self._parameters(1), float)
        return own + float(self.leak) * np.eye(len(own))

    @property
    def condition_(self) -> float:
        values = np.linalg.eigvalsh(self.lateral_)
        return float(values[-1] / values[0]) if values[0] > 0 else math.inf

    def _parameters(self, number: int) -> Any:
        check_is_fitted(self)
        return self.network_.parameters[number]

    def _rule(self, *, forgetting: bool) -> Rule:
        return kernel_rule(self.network_)

    def _by_kind(self) -> dict[str, float]:
        rate = _RATE if self.learning_rate == "auto" else float(self.learning_rate)
        return {"descending": rate, "ascending": _RATIO * rate}

    def _share(self, count: int, rate: float) -> Any:
        """Schedule that is lower for a batch that is not full."""
        whole = int(self.batch_size)
        return lambda n: rate * min(1.0, (count - n * whole) / whole)

    def _begin(self, X: np.ndarray) -> int:
        if len(X) < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} units need as many rows for their landmarks, but n_samples = "
                f"{len(X)}; lower n_components."
            )
        self._forget()
        self._told = False
        seed, kernel = self._seed(), self._kernel(X.shape[1])
        self.unit_, self._factor, small = 1.0, 1.0, isinstance(kernel, CosinePowerKernel)
        if self.kernel == "poly":
            self.unit_ = 1 / math.sqrt(self._gamma(X.shape[1]))
        if small:
            # Proportional to the lengths of both inputs, so that features are proportional to that of one.
            self.unit_ = self._factor = math.sqrt(float(np.mean(np.sum(X**2, axis=1)))) or 1.0
        self.network_ = kernel_matching(
            X.shape[1],
            int(self.n_components),
            kernel,
            leak=float(self.leak),
            lateral=_LATERAL if small else 1.0,
            samples=X / self.unit_,
            size=_SMALL if small else 1.0,
            seed=seed,
        )
        return seed

    def _gamma(self, features: int) -> float:
        return 1 / features if self.gamma is None else float(self.gamma)

    def _kernel(self, features: int) -> Kernel:
        if isinstance(self.kernel, Kernel):
            return self.kernel
        if self.kernel == "rbf":
            return RadialKernel(1 / math.sqrt(2 * self._gamma(features)))
        if self.kernel == "poly":
            return PolynomialKernel(int(self.degree), float(self.coef0))
        return CosinePowerKernel(int(self.degree))

    def _tell_condition(self) -> None:
        if self.condition_ > _ILL:
            warnings.warn(
                f"The lateral matrix has a condition number of {self.condition_:.1g}, beyond what single precision "
                "resolves; raise `leak`, or lower n_components.",
                UserWarning,
                stacklevel=4,
            )

    def _tell_unreached(self, rows: Float[np.ndarray, "samples features"]) -> None:
        """Warn once if no landmark responds to most of some rows."""
        if self._told:
            return
        first = self.network_.terms[0]
        assert isinstance(first, Landmarks)
        x, landmarks = jnp.asarray(rows, precision()), first.parameters["landmarks"]
        bounds = jnp.sqrt(first.kernel.own(landmarks)[:, None] * first.kernel.own(x))
        unreached = int(jnp.all(jnp.abs(first.kernel(landmarks, x.T)) < _REACH * bounds, axis=0).sum())
        if 2 * unreached > len(rows):
            self._told = True
            warnings.warn(
                f"{unreached} of the last {len(rows)} rows are out of reach of all landmarks (cosines in the kernel "
                f"below {_REACH}), so that units neither respond to them nor follow them; widen the kernel, as by a "
                "lower gamma, or fit anew from these rows.",
                UserWarning,
                stacklevel=4,
            )
