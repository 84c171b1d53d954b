"""One population, all to all, as a transformer of scikit-learn."""

from numbers import Integral
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from ..models import Layer, layered
from ..network import Network
from ._base import SimilarityMatcher


class SimilarityMatching(SimilarityMatcher):
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
        **SimilarityMatcher._parameter_constraints,
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
