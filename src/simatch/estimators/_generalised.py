"""Base class of the estimators whose components solve a generalised eigenproblem."""

import abc
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..learning import AveragingRule, RegressionRule, Report, Rule, initial_state
from ..models import alternation, generalised, independent_directions
from ..relaxation import ConvergenceWarning
from ._streaming import LOWEST, StreamingEstimator, in_state

Entries = dict[str, Float[np.ndarray, "samples _"]]

# Ratio of the variances of reference directions beyond which single precision does not resolve them.
_DEPENDENT = 1e-6


class GeneralisedEstimator(StreamingEstimator):
    """Base class: `alternation` or online learning in `fit`, online learning in `partial_fit`, and what they found.

    Subclasses make the entries of a batch from rows, and name those that are drives.
    """

    n_components: int
    solver: str
    max_iter: Any

    # A power of two near the size of every feature of the first rows, by which the entries are divided.
    _scales: dict[str, Float[np.ndarray, " _"]]

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
        self._exact = None
        self._scales = {n: _powers(entries[n], entries[self._references.get(n, n)]) for n in self._drives}
        self.network_ = generalised(
            dict(zip(self._drives, features, strict=True)),
            int(self.n_components),
            references=self._references,
            seed=seed,
        )

    def _fit(self, entries: Entries) -> None:
        """Learn from all rows."""
        seed = self._seed()
        self._begin(entries, seed)
        entries, count = self._scaled(entries), len(entries[self._drives[0]])
        if self.solver == "online":
            passes = 1 if self.max_iter == "auto" else int(self.max_iter)
            self._learn(entries, self._rates(count, self._features), passes=passes, seed=seed)
            self.n_iter_ = passes
            return
        own = [entries[self._references.get(name, name)] for name in self._drives]
        blocks = [rows.T @ rows / count for rows in own]
        found = self._alternated(entries, blocks, count, seed)
        ends = np.cumsum([entries[name].shape[1] for name in self._drives])[:-1]
        parts = [*np.split(found[0], ends, axis=1), found[1]]
        self.network_ = self.network_.with_parameters([jnp.asarray(own, float) for own in parts])
        # In double precision; learning goes on from the network.
        self._exact, self.n_samples_seen_ = found, count
        self.n_steps_ = -(-count // int(self.batch_size))
        self._last = self._as_if_learned(blocks)

    def _as_if_learned(self, blocks: list[np.ndarray]) -> Report:
        """Return a report from which learning goes on with running means B of all rows so far."""
        begin = initial_state(self.network_, self._rule(forgetting=True), None)
        inside, _ = begin.rule
        means = {place: jnp.asarray(own, float) for place, own in enumerate(blocks)}
        return in_state(begin._replace(rule=(inside, (jnp.asarray(self.n_steps_, float), means))))

    def _alternated(
        self, entries: Entries, blocks: list[np.ndarray], count: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return W and M at the fixed point of learning, and warn if they are not unique or not exact."""
        drives = np.hstack([entries[name] for name in self._drives])
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
        found = alternation(
            basis.T @ (drives.T @ drives / count) @ basis,
            basis.T @ np.asarray(scipy.linalg.block_diag(*blocks)) @ basis,
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
        entries, count = self._scaled(entries), len(entries[self._drives[0]])
        if not count:
            return
        self._learn(entries, self._rates(count, self._features, lowest=LOWEST))
        self._exact = None
        self._tell_dependence()

    @property
    def _features(self) -> int:
        return sum(len(scale) for scale in self._scales.values())

    def _scaled(self, entries: Entries) -> Entries:
        scales = {**self._scales, **{self._references.get(name, name): own for name, own in self._scales.items()}}
        return {name: rows / scales[name] for name, rows in entries.items()}

    def _solutions(self) -> tuple[Float[np.ndarray, " components"], dict[str, Float[np.ndarray, "components _"]]]:
        """Eigenvalues, largest first, and eigenvectors as rows, one part for each drive."""
        check_is_fitted(self)
        if self._exact is not None:
            weights, lateral = self._exact
        else:
            *parts, lateral = (np.asarray(own, float) for own in self.network_.parameters)
            weights = np.hstack(parts)
        values, q = np.linalg.eigh(lateral)
        values, rows = values[::-1], (q.T @ weights)[::-1]
        rows = rows / np.where(values > 0, values, 1)[:, None]
        # Signs are arbitrary; the largest weight is positive.
        largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
        rows = rows * np.where(largest < 0, -1, 1)[:, None]
        sizes = [len(self._scales[name]) for name in self._drives]
        parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return values, {name: own / self._scales[name] for name, own in zip(self._drives, parts, strict=True)}

    def _tell_dependence(self) -> None:
        """Warn once if features are linearly dependent in what was seen of a stream."""
        assert self._last is not None
        _, (_, means) = self._last.state.rule
        if getattr(self, "_told", False) or self.n_samples_seen_ < 2 * self._features:
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


def _powers(*parts: Float[np.ndarray, "samples features"]) -> Float[np.ndarray, " features"]:
    """Power of two near the root mean square of every feature; 1 for features that are 0."""
    sizes = np.sqrt(sum(np.mean(rows**2, axis=0) for rows in parts) / len(parts))
    return 2.0 ** np.round(np.log2(np.where(sizes > 0, sizes, 1)))
