"""Three tasks whose exact solution is a generalised eigenproblem: two views, a series in time, two kinds of rows."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ...data import time_windows
from ...estimators import ContrastivePCA, OnlineCCA, OnlineSFA

# Points of a learning curve.
_POINTS = 40
# As published: a window of four rows of the series, whose squares and products make 14 features.
_WINDOW = 4

Estimator = OnlineCCA | OnlineSFA | ContrastivePCA
Rows = Float[np.ndarray, "samples features"]


@dataclasses.dataclass(frozen=True)
class Task:
    """Rows of a stream, and the exact solution for all of them.

    Attributes
    ----------
    title, measure : str
        What is sought, and what its values are.
    build : callable
        Function from a seed to the estimator before learning.
    rows : tuple of arrays of shape (samples, ...)
        Arguments of `fit` and `partial_fit`.
    judged : array of shape (samples, features)
        Rows whose outputs are compared.
    values : array of shape (components,)
        Exact correlations, slowness values or ratios.
    directions : array of shape (components, features)
        Exact components.
    value_of : callable
        Function from an estimator to the values that it has found.
    """

    title: str
    measure: str
    build: Callable[[int], Estimator]
    rows: tuple[np.ndarray, ...]
    judged: Rows
    values: Float[np.ndarray, " components"]
    directions: Float[np.ndarray, "components features"]
    value_of: Callable[[Any], Float[np.ndarray, " components"]]

    def angle(self, found: Float[np.ndarray, "components features"]) -> float:
        """Return the largest angle, in degrees, between the spaces of outputs of components and of the exact ones."""
        centred = self.judged - self.judged.mean(axis=0)
        return float(np.degrees(scipy.linalg.subspace_angles(centred @ found.T, centred @ self.directions.T)[0]))


@dataclasses.dataclass(frozen=True)
class Learned:
    """What one estimator has found.

    Attributes
    ----------
    curve : list of [samples, angle in degrees, values]
        In one pass over the stream.
    online : Estimator
        After that pass.
    offline_angle : float
        Of the alternation on all rows, in degrees.
    offline_error : float
        Largest difference of its values from the exact ones.
    """

    curve: list[Any]
    online: Estimator
    offline_angle: float
    offline_error: float


def learned(task: Task, seed: int) -> Learned:
    """Learn from the rows one batch after the other, and beside it, from all at once."""
    online, count, curve = task.build(seed), len(task.rows[0]), []
    ends = np.unique(100 * np.geomspace(5, count / 100, _POINTS).astype(int))  # whole batches
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        online.partial_fit(*(part[begin:end] for part in task.rows))
        curve.append([int(end), task.angle(online.components_), [float(v) for v in task.value_of(online)]])
    offline = task.build(seed).fit(*task.rows)
    error = float(np.abs(task.value_of(offline) - task.values).max())
    return Learned(curve, online, task.angle(offline.components_), error)


def canonical(samples: int, seed: int) -> Task:
    """Two views, of 50 and 30 features, of four strong and four weak sources; four canonical correlations."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(samples, 8)) * (2, 1.6, 1.3, 1, 0.4, 0.3, 0.2, 0.1)
    x, y = (shared @ rng.normal(size=(8, n)) + 3 * rng.normal(size=(samples, n)) for n in (50, 30))
    centred = [part - part.mean(axis=0) for part in (x, y)]
    whitened = [np.linalg.qr(part) for part in centred]
    u, values, _ = np.linalg.svd(whitened[0].Q.T @ whitened[1].Q)
    directions = np.linalg.solve(whitened[0].R, u[:, :4]).T
    return Task(
        "Canonical correlations of two views",
        "correlation",
        lambda seed: OnlineCCA(4, random_state=seed),
        (x, y),
        x,
        values[:4],
        directions,
        lambda own: own.canonical_correlations_,
    )


def chaotic(samples: int, seed: int) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """Return a slow sum of sines, and the chaotic series of a logistic map that it drives."""
    t = np.arange(samples)
    force = np.sin(2 * np.pi * np.outer((5, 11, 13), t) / 6000).mean(axis=0)
    series = np.empty(samples)
    series[0] = np.random.default_rng(seed).uniform(0.2, 0.8)
    for i in range(1, samples):
        series[i] = (3.7 + 0.25 * force[i]) * series[i - 1] * (1 - series[i - 1])
    return force, series


def slow(samples: int, seed: int) -> Task:
    """The slowest of all squares and products of four rows of a chaotic series."""
    windows = time_windows(chaotic(samples, seed)[1][:, None], _WINDOW)
    products = [windows[:, i] * windows[:, j] for i in range(_WINDOW) for j in range(i, _WINDOW)]
    x = np.column_stack([windows, *products])
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    now, before, change = x[1:], x[:-1], np.diff(x, axis=0)
    values, directions = scipy.linalg.eigh(change.T @ change, (now.T @ now + before.T @ before) / 2)
    return Task(
        "Slow features of a chaotic series",
        "slowness",
        lambda seed: OnlineSFA(1, random_state=seed),
        (x,),
        x,
        values[:1],
        directions.T[:1],
        lambda own: own.slowness_,
    )


def contrastive(samples: int, seed: int) -> Task:
    """Foreground and background of 30 features share five large directions; two more vary in the foreground alone."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    large, own = rng.normal(size=(5, 30)), rng.normal(size=(2, 30))
    signal = y[:, None] * rng.normal(size=(samples, 2)) * (1.5, 1.0)
    x = 5 * rng.normal(size=(samples, 5)) @ large + signal @ own + rng.normal(size=(samples, 30))
    front, behind = (np.cov(x[y == kind].T, bias=True) for kind in (1, 0))
    values, directions = scipy.linalg.eigh(front, behind)
    return Task(
        "Contrastive components",
        "ratio of variances",
        lambda seed: ContrastivePCA(2, background=0, random_state=seed),
        (x, y),
        x[y == 1],
        values[::-1][:2],
        directions.T[::-1][:2],
        lambda own: own.variance_ratio_,
    )


TASKS: dict[str, Callable[[int, int], Task]] = {"canonical": canonical, "slow": slow, "contrastive": contrastive}
