"""What features are worth: one linear readout of a network's features, and of what else could be read out."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from ..readout import LinearReadout

# Components and clusters, at most: more take minutes and add little.
MOST_FEATURES = 400
CLUSTERED = 20_000


@dataclasses.dataclass(frozen=True)
class Readout:
    """Test error of a linear readout of some features.

    Attributes
    ----------
    name : str
        What was read out, such as "pixels" or "k-means".
    features : int
        Number of features.
    error_percent : float
        Share of test images that are classified wrongly, in percent.
    classifier : LinearReadout
        The fitted readout.
    """

    name: str
    features: int
    error_percent: float
    classifier: LinearReadout = dataclasses.field(repr=False, compare=False)

    def numbers(self) -> dict[str, Any]:
        """Return name, number of features and error by name."""
        return {"name": self.name, "features": self.features, "error_percent": self.error_percent}


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Labels of the training and of the test samples, for readouts of several features of these samples."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]

    def readout(
        self, name: str, train: Num[np.ndarray, "train *features"], test: Num[np.ndarray, "test *features"]
    ) -> Readout:
        """Fit a linear readout on the training samples, and return its error on the test samples."""
        train, test = (np.asarray(x, np.float32).reshape(len(x), -1) for x in (train, test))
        fitted = LinearReadout(class_weight="balanced").fit(train, self.train)
        return Readout(name, train.shape[1], 100 * float(np.mean(fitted.predict(test) != self.test)), fitted)


def principal_components(
    train: Float[np.ndarray, "train *input"], test: Float[np.ndarray, "test *input"], features: int, *, seed: int = 0
) -> tuple[Float[np.ndarray, "train features"], Float[np.ndarray, "test features"]]:
    """Return the leading principal components of samples: as many as asked for, as there are, or 400."""
    train, test = (x.reshape(len(x), -1) for x in (train, test))
    pca = PCA(min(features, *train.shape, MOST_FEATURES), random_state=seed).fit(train)
    return pca.transform(train), pca.transform(test)


def clusters(
    train: Float[np.ndarray, "train *input"], test: Float[np.ndarray, "test *input"], features: int, *, seed: int = 0
) -> tuple[Float[np.ndarray, "train features"], Float[np.ndarray, "test features"]]:
    """Return how much nearer samples are to each of some k-means centres than to the centres on average.

    There are as many centres as `features`, but at most 400, and at most one for two samples. The feature of centre k
    is ``max(0, mean(z) - z_k)`` with the distances z from all centres, called "triangle" by Coates, Lee and Ng (2011).
    """
    train, test = (x.reshape(len(x), -1) for x in (train, test))
    count = max(1, min(features, len(train) // 2, MOST_FEATURES))
    some = train[np.random.default_rng(seed).permutation(len(train))[:CLUSTERED]]
    means = MiniBatchKMeans(count, batch_size=1024, max_iter=20, random_state=seed).fit(some)

    def triangle(x: np.ndarray) -> np.ndarray:
        distances = means.transform(x)
        return np.maximum(0, distances.mean(1, keepdims=True) - distances).astype(np.float32)

    return triangle(train), triangle(test)
