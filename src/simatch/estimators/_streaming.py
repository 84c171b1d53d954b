"""Base class of the estimators of components that learn from streams."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from .._arrays import refuse_masked
from .._progress import tracked
from ..learning import (
    Rate,
    Report,
    Rule,
    Schedule,
    batches_in,
    describe,
    encode,
    epochs_of,
    initial_state,
    training,
    warn_unconverged,
)
from ..network import Network
from ..relaxation import Solver
from ._portable import PortableNetwork
from ._rows import precision

# The automatic rate of batch n is 6 / (n + first). A smaller factor would average out more noise, but may stay for long
# near components that it met first. The first rates suit batches of so many rows, and are at most a half.
_FACTOR, _ROWS, _LEAST = 6.0, 400, 12
# Batches in which the automatic rate rises.
_RISING = 10
# Rows that the first call of `partial_fit` must have, from which the sizes of features are found.
FEW = 8
# Lowest automatic rate of `partial_fit`, for batches of 400 rows: it follows changes within some 50 batches.
LOWEST = 0.02


class StreamingEstimator(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, PortableNetwork, BaseEstimator, metaclass=abc.ABCMeta
):
    """Base class: learning of a network from batches with a rule that may have a state, counts, copies and files."""

    n_components: Any
    learning_rate: Any
    batch_size: Any
    random_state: Any
    verbose: Any

    network_: Network
    n_steps_: int
    n_samples_seen_: int

    # Report of the last batches, with the state of the rule, from which learning goes on.
    _last: Report | None = None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, 1, closed="right"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components)

    @abc.abstractmethod
    def _rule(self, *, forgetting: bool) -> Rule:
        """Return the rule by which the network learns; with `forgetting`, from data that may change in time."""

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _forget(self) -> None:
        self.n_steps_, self.n_samples_seen_, self._last = 0, 0, None

    def _learn(self, entries: dict[str, np.ndarray], rate: Rate, *, passes: int = 0, seed: int = 0) -> None:
        """Learn from passes over rows in random order; from one in their own order if there are none."""
        batch = {name: rows.astype(precision()) for name, rows in entries.items()}
        count, size = len(next(iter(batch.values()))), int(self.batch_size)
        size = min(size, count)
        if passes:
            batches = epochs_of(batch, epochs=passes, batch_size=size, seed=seed)
        else:
            batches = ({name: rows[i : i + size] for name, rows in batch.items()} for i in range(0, count, size))
        steps = training(self.network_, batches, rate=rate, rule=self._rule(forgetting=not passes), after=self._last)
        total = batches_in(count, epochs=max(passes, 1), batch_size=size)
        reports: list[Report] = []
        for net, report in tracked(steps, total, describe, label=type(self).__name__, shown=bool(self.verbose)):
            self.network_ = net
            reports.append(report)
        last = reports[-1]
        # What comes later goes on from the state of the rule, with schedules of its own.
        self._last = dataclasses.replace(last, batches=0, samples=0, seconds=0.0)
        self.n_steps_ += last.batches
        self.n_samples_seen_ += last.samples
        warn_unconverged(reports, stacklevel=5)

    def _rates(self, count: int, features: int, *, lowest: float = 0.0) -> Schedule:
        """Learning rates for `count` rows in batches, the last of which may be shorter."""
        whole, begun = int(self.batch_size), self.n_samples_seen_

        def rate(n: int) -> float:
            rows = min(whole, count - n % -(-count // whole) * whole)
            if self.learning_rate != "auto":
                return float(self.learning_rate) * rows / whole
            own = begun / rows + n
            falling = _FACTOR / (own + max(_LEAST, _ROWS / rows, _FACTOR * features / rows))
            return max(falling * min(1.0, (own + 1) / _RISING), lowest * min(1.0, rows / _ROWS))

        return rate

    def _forgetting(self) -> float:
        """Smallest share with which a row of `partial_fit` counts in a running mean."""
        return LOWEST / _ROWS if self.learning_rate == "auto" else float(self.learning_rate) / int(self.batch_size)

    @property
    def _memory(self) -> float:
        """Batches of `partial_fit` over which running means extend at most."""
        return max(1.0, 1 / (self._forgetting() * int(self.batch_size)))

    def _rows(self, X: Any, *, reset: bool, least: int = 1) -> Float[np.ndarray, "samples features"]:
        """Return rows in double precision."""
        refuse_masked(X, "X")
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(validate_data(self, X, reset=reset, dtype=np.float64, ensure_min_samples=least))

    def _go_on_from(self, state: Sequence[Float[np.ndarray, "..."]]) -> None:
        """Take the arrays of the state of the rule, in their order, so that `partial_fit` goes on from them."""
        begin = initial_state(self.network_, self._rule(forgetting=True), None)
        like, layout = jax.tree.flatten(begin)
        if [np.shape(own) for own in like] != [np.shape(own) for own in state]:
            raise ValueError("the state of learning does not fit the network")
        self._last = in_state(jax.tree.unflatten(layout, [jnp.asarray(own) for own in state]))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags


class SettlingEstimator(StreamingEstimator):
    """Base class of those whose features are settled activities, learned in passes over all rows in `fit`."""

    max_iter: Any

    _parameter_constraints: ClassVar[dict] = {
        **StreamingEstimator._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    def _passes(self, count: int, least: int, most: int) -> int:
        """Passes over `count` rows: by default so many that there are at least so many batches, but at most `most`."""
        if self.max_iter != "auto":
            return int(self.max_iter)
        return min(most, math.ceil(least * min(int(self.batch_size), count) / count))

    def _encoded(
        self, entries: dict[str, np.ndarray], at_once: int, solver: Solver | None = None
    ) -> Float[np.ndarray, "samples components"]:
        """Settled activities of the rows of a batch."""
        rows = {name: own.astype(precision()) for name, own in entries.items()}
        # A power of two, so that few compiled programs serve all numbers of rows.
        size = 1 << (len(next(iter(rows.values()))).bit_length() - 1)
        return encode(self.network_, rows, batch_size=min(size, at_once), solver=solver)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = [precision().name]
        return tags


def in_state(state: Any) -> Report:
    """Return a report from which learning goes on with a state of the rule."""
    return Report(0, 0, np.nan, 0.0, 0.0, 0, {}, {}, {}, 0.0, 0.0, state=state)


def mean_of(rows: Float[np.ndarray, "samples features"]) -> "RunningMean":
    """Return the mean of rows, from which a stream may go on."""
    return RunningMean(np.zeros(rows.shape[1])).updated(rows)


@dataclasses.dataclass(frozen=True)
class RunningMean:
    """Mean of the rows of a stream, or of what is made of them, such as products.

    Attributes
    ----------
    value : array of shape (features,) or another one
        Anything before the first row.
    count : int
        Rows so far.
    """

    value: Float[np.ndarray, "..."]
    count: int = 0

    def updated(self, rows: Float[np.ndarray, "samples features"], forgetting: float = 0.0) -> "RunningMean":
        """Return the mean with further rows, each of which counts at least as much as the share `forgetting`."""
        return self.moved(rows.mean(axis=0), len(rows), forgetting) if len(rows) else self

    def moved(self, own: Float[np.ndarray, "..."], rows: int, forgetting: float = 0.0) -> "RunningMean":
        """Return the mean with so many further rows, at least one, whose own mean is given."""
        count = self.count + rows
        share = min(1.0, rows * max(1 / count, forgetting))
        return RunningMean(self.value + share * (own - self.value), count)
