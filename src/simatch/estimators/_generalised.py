"""Base class of the estimators whose components solve a generalised eigenproblem."""

import abc
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..learning import AveragingRule, RegressionRule, Report, Rule, initial_state
from ..models import alternation, generalised, independent_directions
from ..relaxation import ConvergenceWarning
from ._streaming import LOWEST, StreamingEstimator, in_state

Entries = dict[str, Float[np.ndarray, "samples _"]]

# Ratio of the variances of reference directions beyond which single precision does not resolve them.
_DEPENDENT = 1e-6
# Rows a feature from which on dependence is told: two independent ones, even if each 50 successive rows are alike.
_ENOUGH = 100
# Smallest variance, relative to the largest, that becomes 1 in the basis in which a network learns. Directions that
# vary less in the first rows may vary more later; both must be within what single precision resolves.
_SMALLEST = 1e-4


class GeneralisedEstimator(StreamingEstimator):
    """Base class: `alternation` or online learning in `fit`, online learning in `partial_fit`, and what they found.

    Subclasses make the entries of a batch from rows, and name those that are drives.
    """

    n_components: int
    solver: str
    max_iter: Any

    # For each drive, a basis in which features of the first rows have about unit variance, as columns. The network sees
    # entries in these coordinates: single precision would not resolve features that are strongly correlated.
    _bases: dict[str, Float[np.ndarray, "features _"]]

    _drives: ClassVar[tuple[str, ...]]
    _references: ClassVar[Mapping[str, str]]

    _parameter_constraints: ClassVar[dict] = {
        **StreamingEstimator._parameter_constraints,
        "solver": [StrOptions({"alternation", "online"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        n_components=2,
        *,
        solver="alternation",
        learning_rate="auto",
        max_iter="auto",
        batch_size=20,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def transform(self, X: Any) -> Float[np.ndarray, "samples components"]:
        """Return centred rows along the components, in the order of these.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        return self._scores(X)

    @property
    @abc.abstractmethod
    def components_(self) -> Float[np.ndarray, "components features"]:
        """Directions as rows."""

    @property
    @abc.abstractmethod
    def _centre(self) -> Float[np.ndarray, " features"]:
        """What is subtracted from rows."""

    def _scores(self, X: Any) -> Float[np.ndarray, "samples components"]:
        check_is_fitted(self)
        return (self._rows(X, reset=False) - self._centre) @ self.components_.T

    def _rule(self, *, forgetting: bool) -> Rule:
        return RegressionRule(AveragingRule(), memory=self._memory if forgetting else None)

    def _begin(self, entries: Entries, seed: int) -> None:
        """Make the network before learning."""
        features = [entries[name].shape[1] for name in self._drives]
        most = min(features)
        if self.n_components > most:
            raise ValueError(
                f"n_components={self.n_components} must be at most {most}, the number of features; lower it."
            )
        self._forget()
        self._exact, self._told = None, False
        moments = {n: _moments(entries[n], entries[self._references.get(n, n)]) for n in self._drives}
        sizes = {n: _sizes(own) for n, own in moments.items()}
        count = len(entries[self._drives[0]])
        self._bases = {n: _basis(own, sizes[n], count) for n, own in moments.items()}
        net = generalised(
            dict(zip(self._drives, features, strict=True)),
            int(self.n_components),
            references=self._references,
            seed=seed,
        )
        # Random in features of unit size, so that large directions, which are more often of interest, come first.
        parts = [w / size for w, size in zip(net.parameters, sizes.values(), strict=False)]
        self.network_ = net.with_parameters([*self._parts_in_bases(parts), net.parameters[-1]])

    def _fit(self, entries: Entries) -> None:
        """Learn from all rows."""
        seed, count = self._seed(), len(entries[self._drives[0]])
        self._begin(entries, seed)
        if self.solver == "online":
            passes = 1 if self.max_iter == "auto" else int(self.max_iter)
            self._learn(self._in_bases(entries), self._rates(count, self._features), passes=passes, seed=seed)
            self.n_iter_ = passes
            return
        drive, blocks = self._moments(entries)
        found = self._alternated(drive, blocks, seed)
        bases = [self._bases[name] for name in self._drives]
        ends = np.cumsum([len(basis) for basis in bases])[:-1]
        parts = self._parts_in_bases(np.split(found[0], ends, axis=1))
        self.network_ = self.network_.with_parameters([*parts, jnp.asarray(found[1], float)])
        # In double precision; learning goes on from the network.
        self._exact, self.n_samples_seen_ = found, count
        self.n_steps_ = -(-count // int(self.batch_size))
        self._last = self._as_if_learned([b.T @ own @ b for b, own in zip(bases, blocks, strict=True)])

    def _moments(self, entries: Entries) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return A, the second moments of all drives together, and the blocks of B, those of the references."""
        drives, count = np.hstack([entries[name] for name in self._drives]), len(entries[self._drives[0]])
        own = [entries[self._references.get(name, name)] for name in self._drives]
        return drives.T @ drives / count, [rows.T @ rows / count for rows in own]

    def _as_if_learned(self, blocks: list[np.ndarray]) -> Report:
        """Return a report from which learning goes on with running means B of all rows so far."""
        begin = initial_state(self.network_, self._rule(forgetting=True), None)
        inside, _ = begin.rule
        means = {place: jnp.asarray(own, float) for place, own in enumerate(blocks)}
        return in_state(begin._replace(rule=(inside, (jnp.asarray(self.n_steps_, float), means))))

    def _alternated(self, drive: np.ndarray, blocks: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return W and M at the fixed point of learning, and warn if they are not unique or not exact."""
        basis = np.asarray(scipy.linalg.block_diag(*map(independent_directions, blocks)))
        size, rank = basis.shape
        if rank < self.n_components:
            raise ValueError(
                f"The data vary in {rank} directions, so n_components={self.n_components} must be at most that."
            )
        if rank < size:
            warnings.warn(
                f"The {size} features are linearly dependent, or rows are too few: components are sought among the "
                f"{rank} directions in which the data vary; leave features out.",
                UserWarning,
                stacklevel=6,
            )
        reference = np.asarray(scipy.linalg.block_diag(*blocks))
        # Of unit size, so that rounding does not keep the steps from converging.
        basis = basis / np.sqrt(np.sum(basis * (reference @ basis), axis=0))
        found = alternation(
            basis.T @ drive @ basis,
            basis.T @ reference @ basis,
            int(self.n_components),
            max_passes=10_000 if self.max_iter == "auto" else int(self.max_iter),
            seed=seed,
        )
        self.n_iter_ = found.passes
        if not found.converged:
            warnings.warn(
                f"The alternation has not converged after {found.passes} passes (change {found.change:.2g}), as when "
                "the last eigenvalue kept and the next one are nearly equal; raise max_iter or change n_components.",
                ConvergenceWarning,
                stacklevel=6,
            )
        return found.weights @ basis.T, found.lateral

    def _fit_more(self, entries: Entries) -> None:
        """Learn once from further rows, and forget those that are long ago."""
        if not hasattr(self, "network_"):
            self._begin(entries, self._seed())
        count = len(entries[self._drives[0]])
        if not count:
            return
        self._learn(self._in_bases(entries), self._rates(count, self._features, lowest=LOWEST))
        self._exact = None
        self._tell_dependence()

    @property
    def _features(self) -> int:
        return sum(len(basis) for basis in self._bases.values())

    def _in_bases(self, entries: Entries) -> Entries:
        bases = {**self._bases, **{self._references.get(name, name): own for name, own in self._bases.items()}}
        return {name: rows @ bases[name] for name, rows in entries.items()}

    def _parts_in_bases(self, parts: Sequence[Any]) -> list[Float[Array, "units _"]]:
        """Return weights on features as weights on their coordinates."""
        bases = [self._bases[name] for name in self._drives]
        return [jnp.asarray(np.linalg.solve(b, np.asarray(w).T).T, float) for b, w in zip(bases, parts, strict=True)]

    def _solutions(self) -> tuple[Float[np.ndarray, " components"], dict[str, Float[np.ndarray, "components _"]]]:
        """Eigenvalues, largest first, and eigenvectors as rows, one part for each drive."""
        check_is_fitted(self)
        bases = [self._bases[name] for name in self._drives]
        if self._exact is not None:
            weights, lateral = self._exact
        else:
            *parts, lateral = (np.asarray(own, float) for own in self.network_.parameters)
            weights = np.hstack([own @ basis.T for own, basis in zip(parts, bases, strict=True)])
        values, q = np.linalg.eigh(lateral)
        values, rows = values[::-1], (q.T @ weights)[::-1]
        rows = rows / np.where(values > 0, values, 1)[:, None]
        # Signs are arbitrary; the largest weight is positive.
        largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
        rows = rows * np.where(largest < 0, -1, 1)[:, None]
        parts = np.split(rows, np.cumsum([len(basis) for basis in bases])[:-1], axis=1)
        return values, dict(zip(self._drives, parts, strict=True))

    def _tell_dependence(self) -> None:
        """Warn once if features are linearly dependent in what was seen of a stream."""
        assert self._last is not None
        _, (_, means) = self._last.state.rule
        if self._told or self.n_samples_seen_ < _ENOUGH * self._features:
            return
        for own in means.values():
            values = np.linalg.eigvalsh(np.asarray(own, float))
            if values[0] < _DEPENDENT * values[-1]:
                self._told = True
                warnings.warn(
                    f"Features of the {self.n_samples_seen_} rows seen so far are linearly dependent, so that "
                    "components are not unique; leave features out.",
                    UserWarning,
                    stacklevel=5,
                )
                return


def _moments(*parts: Float[np.ndarray, "samples features"]) -> Float[np.ndarray, "features _"]:
    """Mean of the second moments of rows of several kinds."""
    return np.mean([rows.T @ rows / len(rows) for rows in parts], axis=0)


def _sizes(moments: Float[np.ndarray, "features _"]) -> Float[np.ndarray, " features"]:
    """Root mean square of every feature; 1 for features that are 0."""
    return np.sqrt(np.where(np.diag(moments) > 0, np.diag(moments), 1))


def _basis(
    moments: Float[np.ndarray, "features _"], sizes: Float[np.ndarray, " features"], count: int
) -> Float[np.ndarray, "features _"]:
    """Basis in which second moments are about the identity, as far as so many rows tell them."""
    # Fewer than twice as many rows as features say nothing about some directions.
    unknown = max(0.0, 1 - count / (2 * len(sizes)))
    values, vectors = np.linalg.eigh(moments / np.outer(sizes, sizes) + unknown * np.eye(len(sizes)))
    values = np.maximum(values, _SMALLEST * values[-1])
    return vectors / np.sqrt(np.where(values > 0, values, 1)) / sizes[:, None]
