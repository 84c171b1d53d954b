"""Mixed sources, made and cut from photographs, and what nonnegative independent components make of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float

from ...estimators import NonnegativeICA

# As published: pieces of 252 by 252 pixels, one pixel in four kept in each direction.
_SIDE, _KEPT = 252, 4
# Photograph, first row and first column of pieces that do not overlap, hardly correlate and have dark pixels.
_PIECES = ((0, 175, 60), (0, 175, 320), (1, 60, 388))
# Points of a learning curve, and rows of every batch.
_POINTS, _BATCH = 30, 100

Rows = Float[np.ndarray, "samples sources"]


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Sources of unit variance, at least 0, and their mixture.

    Attributes
    ----------
    title : str
    sources, x : arrays of shape (samples, sources)
    passes : int
        Passes over the samples.
    rate : float or "auto"
        Learning rate of the estimator.
    published : dict of str to float
        Published permutation errors, by algorithm.
    side : int
        Side of the images that the sources are; 0 if they are none.
    """

    title: str
    sources: Rows
    x: Rows
    passes: int
    rate: Any
    published: dict[str, float]
    side: int = 0


def made(count: int, samples: int, seed: int) -> Mixture:
    """Mix sources U(0, sqrt(48/5)) times a fair coin, as published."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0, np.sqrt(48 / 5), (samples, count)) * rng.integers(0, 2, (samples, count))
    return Mixture(f"{count} sources", s, s @ rng.normal(size=(count, count)), 1, "auto", {})


def pieces(passes: int, seed: int) -> Mixture:
    """Mix three pieces of photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    photographs = [np.asarray(image).mean(axis=-1) for image in load_sample_images().images]
    cut = [photographs[n][i : i + _SIDE : _KEPT, j : j + _SIDE : _KEPT].ravel() for n, i, j in _PIECES]
    s = np.stack([(own - own.min()) / own.std() for own in cut], axis=1)
    rng = np.random.default_rng(seed)
    # Neighbouring pixels are alike, so samples come in random order in every pass.
    return Mixture(
        "3 pieces of photographs",
        s,
        s @ rng.normal(size=(3, 3)),
        passes,
        0.1,
        {"direct": 0.051, "interneurons": 0.054},
        _SIDE // _KEPT,
    )


@dataclasses.dataclass(frozen=True)
class Separated:
    """What a network has found.

    Attributes
    ----------
    curve : list of [samples, permutation error]
    found : array of shape (samples, sources)
        Outputs after learning, in the order of the sources.
    """

    curve: list[list[float]]
    found: Rows

    @property
    def error(self) -> float:
        """Permutation error after learning."""
        return self.curve[-1][1]


def separated(mixture: Mixture, algorithm: str, seed: int) -> Separated:
    """Learn from the mixture, batch after batch in random order, and follow the permutation error."""
    ica = NonnegativeICA(algorithm=algorithm, learning_rate=mixture.rate, batch_size=_BATCH, random_state=seed)
    count, rng = len(mixture.x), np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(count) for _ in range(mixture.passes)])
    batches = len(order) // _BATCH
    some = slice(None, None, max(1, count // 4000))
    curve, begin = [], 0
    for end in np.unique(_BATCH * np.geomspace(5, batches, _POINTS).astype(int)):
        ica.partial_fit(mixture.x[order[begin:end]])
        begin, error = end, matched(ica.transform(mixture.x[some]), mixture.sources[some])[0]
        curve.append([int(end), error])
    found = ica.transform(mixture.x)
    return Separated(curve, found[:, matched(found, mixture.sources)[1]])


def matched(found: Rows, sources: Rows) -> tuple[float, np.ndarray]:
    """Return the mean squared error for the best permutation of the outputs, and this permutation."""
    pairs = np.mean((found[:, :, None] - sources[:, None, :]) ** 2, axis=0)
    rows, columns = scipy.optimize.linear_sum_assignment(pairs.T)
    return float(pairs[columns, rows].mean()), columns


MIXTURES: dict[str, Callable[[int, int, int], Mixture]] = {
    "three": lambda samples, passes, seed: made(3, samples, seed),
    "ten": lambda samples, passes, seed: made(10, samples, seed),
    "photographs": lambda samples, passes, seed: pieces(passes, seed),
}
