"""Networks that learn from targets: the network, the rule by which it learns, and how its answer is read."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..learning import KeptStates, Rate, Report, Rule, train
from ..network import Network

# From a network, inputs and the tolerance of relaxation to the answers.
Read = Callable[[Network, Any, float], Float[np.ndarray, "samples outputs"]]


@dataclasses.dataclass(frozen=True, eq=False)
class Supervised:
    """A network that learns from targets.

    Constructors of `simatch.models` make these; all members of the family that learn a task share this face.

    Attributes
    ----------
    network : Network
    rule : Rule
        How the network learns. Its phases clamp the inputs and `target`.
    read : callable
        Function from a network, inputs and a tolerance to the answers, an array of shape (samples, outputs). It does
        not know targets.
    rate : float, callable or mapping, optional
        Learning rates as in `simatch.train`; None for those of the rule.
    transform : optax.GradientTransformation, optional
        Transformation of the changes, as in `simatch.train`.
    target : str
        Name of the entry of a batch that holds the targets.
    tolerance : float
        Largest residual of settled activities, above 0, in learning and in answers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from simatch.models import contrastive
    >>> digits = load_digits()
    >>> x, y = digits.data / 16, np.eye(10)[digits.target]
    >>> model, reports = contrastive(64, [40], 10).fit(x, y, epochs=5, batch_size=20)
    >>> model.outputs(x).shape
    (1797, 10)
    """

    network: Network
    rule: Rule
    read: Read
    rate: Rate | None = None
    transform: Any = None
    target: str = "label"
    tolerance: float = 1e-2

    def batch(self, x: Any, y: Any) -> dict[str, Any]:
        """Return inputs and targets as entries of a batch, as `simatch.train` takes them.

        Parameters
        ----------
        x : array of shape (samples, ...), or dict of such arrays
            Inputs; a dict has one for each input population.
        y : array of shape (samples, outputs)
            Targets.
        """
        (first, *_) = self.network.inputs
        entries = {**x, self.target: y} if isinstance(x, Mapping) else {first: x, self.target: y}
        if isinstance(self.rule, KeptStates):
            entries[self.rule.entry] = np.arange(len(y))[:, None]
        return entries

    def fit(self, x: Any, y: Any, **settings: Any) -> tuple["Supervised", list[Report]]:
        """Learn from inputs and targets.

        Parameters
        ----------
        x : array of shape (samples, ...), or dict of such arrays
            Inputs; a dict has one for each input population.
        y : array of shape (samples, outputs)
            Targets.
        **settings
            Those of `simatch.train`, such as `epochs` and `batch_size`.

        Returns
        -------
        model : Supervised
            With the trained network; this one is unchanged.
        reports : list of Report

        Warns
        -----
        ConvergenceWarning
            If some samples were learned from before they had settled.

        Raises
        ------
        ValueError
            As `simatch.train`.
        """
        settings = {"progress": False, "rate": self.rate, "transform": self.transform, **settings}
        settings.setdefault("tolerance", self.tolerance)
        network, reports = train(self.network, self.batch(x, y), rule=self.rule, **settings)
        return dataclasses.replace(self, network=network), reports

    def outputs(self, x: Any) -> Float[np.ndarray, "samples outputs"]:
        """Return the answers of the network to inputs, without targets.

        Parameters
        ----------
        x : array of shape (samples, ...), or dict of such arrays

        Returns
        -------
        array of shape (samples, outputs)
        """
        return self.read(self.network, x, self.tolerance)
