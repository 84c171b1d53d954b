"""Principal subspace of 60,000 images: time to the error at which scikit-learn's IncrementalPCA ends.

The error is ``|P - P*| / (|P| + |P*|)`` in the Frobenius norm, P the projection onto the 16 dimensions that were found
and P* that onto the true ones.

Settings of the network, and why. Rule (5) moves L at half the rate of W; with ``lateral_scale=0.5`` both go the same
share of the way to their optimum, so that L does not lag behind and the rate can be large. Directions of the variances
s > t are told apart at the pace eta (1 - t/s), here 0.1 eta for the 16th and 17th, so that errors fall fastest with a
rate of about 10 / (batches so far): ``0.5 / (1 + n / 19)``. Activities come from one Newton step, which is exact for
linear units.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import IncrementalPCA

import simatch as sm
from simatch.data import load_dataset

from .result import Options, Result
from .timing import in_turn

DIMENSIONS, BATCH, REPORT_EVERY, MOST_EPOCHS = 16, 400, 20, 8
Rows = Float[np.ndarray, "dimensions features"]


def subspace_error(found: Rows, true: Rows) -> float:
    """Distance of the spaces that two sets of rows span, between 0 and 1 / sqrt(2)."""
    (a, _), (b, _) = np.linalg.qr(found.T), np.linalg.qr(true.T)
    cosines = np.linalg.svd(a.T @ b, compute_uv=False).clip(0, 1)
    return float(np.sqrt(2 * np.sum(1 - cosines**2)) / (2 * np.sqrt(len(true))))


def principal(x: np.ndarray) -> Rows:
    """Return the directions of the largest variances, exactly."""
    centred = x - x.mean(axis=0)
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(float))
    return vectors[:, : -DIMENSIONS - 1 : -1].T


def filters(net: sm.Network) -> Rows:
    """Return the neurons' responses to the inputs, ``L^-1 W``."""
    return np.linalg.solve(net.lateral[0].to_dense(), net.feedforward[0].to_dense())


class Analysis:
    """IncrementalPCA with its own batch size, and the error at which it ended."""

    def __init__(self, x: np.ndarray, true: Rows):
        self.x, self.true, self.error = x, true, 0.0

    def __call__(self) -> None:
        """Analyse all images once."""
        analysis = IncrementalPCA(DIMENSIONS).fit(self.x)
        self.error = subspace_error(np.asarray(analysis.components_), self.true)


class Learning:
    """Learn until the subspace is as good as the analysis found it, reading the weights every 8,000 images."""

    def __init__(self, x: np.ndarray, true: Rows, analysis: Analysis):
        self.x, self.true, self.analysis = x, true, analysis
        self.error = 1.0
        self.report: sm.Report | None = None

    def __call__(self) -> None:
        """Centre the images and learn; what is looked at between is part of the time."""
        x = self.x - self.x.mean(axis=0)
        layer = sm.Layer(units=DIMENSIONS, activation="linear", lateral_scale=0.5)
        runs = sm.training(
            sm.layered(x.shape[1], [layer]),
            sm.epochs_of(x, epochs=MOST_EPOCHS, batch_size=BATCH),
            rate=lambda n: 0.5 / (1 + n / 19),
            tolerance=1e-2,
            report_every=REPORT_EVERY,
        )
        for net, self.report in runs:
            self.error = subspace_error(filters(net), self.true)
            if self.error <= self.analysis.error:
                return


def subspace_row(options: Options) -> Sequence[Result]:
    """Time IncrementalPCA, and learning until it is as good."""
    x = load_dataset("mnist").x_train
    x = x.reshape(len(x), -1)
    true = principal(x)
    analysis = Analysis(x, true)
    learning = Learning(x, true, analysis)
    laps = in_turn({"analysis": analysis, "learning": learning}, max(options.rounds // 2, 1))
    seconds, peer_seconds = laps.seconds["learning"], laps.seconds["analysis"]
    report = learning.report
    assert report is not None
    return [
        Result(
            "subspace",
            images_per_second=report.samples / seconds,
            seconds=seconds,
            steps=report.steps,
            tolerance=1e-2,
            error=learning.error,
            memory_mb=laps.memory_mb["learning"],
            compile_seconds=laps.compile_seconds["learning"],
            unconverged=report.unconverged,
            peer="IncrementalPCA",
            peer_seconds=peer_seconds,
            peer_error=analysis.error,
            ratio=peer_seconds / seconds if learning.error <= analysis.error else None,
            note=f"after {report.samples} images; errors are of the subspace",
        )
    ]
