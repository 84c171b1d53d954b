"""The classification experiment: features learned with and without labels, dense instead of convolutional."""

import dataclasses
import time
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ... import analysis
from ...data import Dataset
from ...learning import Report, encode, train
from ...models import Supervised, multiview
from ...models import multiview_network as without_labels
from ...network import Grid, Network
from ...readout import LinearReadout
from ...relaxation import Phase
from ...storage import Checkpoints

UNITS = "units"
# The label and the output are absent when features are computed.
INPUT_ALONE = Phase(["input"], absent=["label", "output"])


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of the experiment.

    Attributes
    ----------
    data : str
        Name of the data set.
    units : int
        Number of units, each connected to all pixels.
    epochs : float
        Passes over the training images.
    label_weight : float
        Mean squared length with which labels count in the similarity; that of images is 1. Chosen on a sixth of the
        training images of MNIST.
    fitted : int
        Training images on which the readouts of the learning curve are fitted.
    reports : int
        Points of the learning curve.
    a_class : int
        Images of each class in similarity matrices.
    """

    data: str = "mnist"
    units: int = 200
    epochs: float = 2
    label_weight: float = 0.1
    fitted: int = 10_000
    reports: int = 6
    a_class: int = 20


QUICK = Setting("digits", units=40, epochs=10, fitted=1000, reports=3)


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images in the unit of their root mean squared length, with labels, in a training and a test part."""

    x: Float[np.ndarray, "train pixels"]
    y: Int[np.ndarray, " train"]
    x_test: Float[np.ndarray, "test pixels"]
    y_test: Int[np.ndarray, " test"]
    grid: Grid

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> "Images":
        """Take the images of a data set; a quarter of them become test images if it has no test part."""
        data = dataset if dataset.x_test is not None else dataset.held_out(0.25, seed=seed)
        assert data.y_train is not None
        assert data.x_test is not None
        assert data.y_test is not None
        x, x_test = (part.reshape(len(part), -1) for part in (data.x_train, data.x_test))
        unit = np.sqrt(np.mean(np.sum(x.astype(float) ** 2, axis=1))).astype(np.float32)
        return cls(x / unit, data.y_train, x_test / unit, data.y_test, Grid(*data.shape))

    @property
    def targets(self) -> Float[np.ndarray, "train classes"]:
        """One-hot labels of the training images."""
        return np.eye(int(self.y.max()) + 1, dtype=np.float32)[self.y]


@dataclasses.dataclass(frozen=True, eq=False)
class Learned:
    """A network after learning.

    Attributes
    ----------
    network : Network
    curve : list of (float, float)
        Passes over the training images, from 0, and the test error in percent of a readout of the features.
    error, train_error : float
        In percent, of a readout that is fitted on the features of all training images.
    own_error : float or None
        In percent, of the network's own answers; None without labels.
    contrast : float
        Mean cosine similarity of features of test images of the same class minus that of different classes.
    seconds : float
        Time of learning.
    unconverged : int
        Samples learned from before they had settled.
    """

    network: Network
    curve: list[tuple[float, float]]
    error: float
    train_error: float
    own_error: float | None
    contrast: float
    seconds: float
    unconverged: int


def model(setting: Setting, images: Images, seed: int) -> Supervised:
    """Build the supervised network before learning."""
    return multiview(
        images.grid,
        setting.units,
        images.targets.shape[1],
        label_weight=setting.label_weight,
        samples=images.x[:500],
        seed=seed,
    )


def learned(
    setting: Setting, images: Images, *, labels: bool, seed: int, checkpoints: Checkpoints | None = None
) -> Learned:
    """Learn from images, with or without their labels, and read classes out of the features."""
    start = model(setting, images, seed)
    own = start.network
    if not labels:
        own = without_labels({"input": images.grid}, setting.units, seed=seed).with_parameters(own.parameters[:2])
    notes: dict[str, Any] = {"curve": []} if checkpoints is None else checkpoints.notes
    batches = max(1, round(setting.epochs * len(images.x) / 100))

    def observe(net: Network, report: Report) -> None:
        began = time.perf_counter()
        notes.setdefault("curve", []).append([report.samples / len(images.x), _curve_error(net, setting, images)])
        notes["measuring"] = notes.get("measuring", 0.0) + time.perf_counter() - began

    settings: dict[str, Any] = {
        "epochs": setting.epochs,
        "seed": seed,
        "report_every": max(1, -(-batches // setting.reports)),
        "observe": observe,
        "checkpoints": checkpoints,
        "progress": True,
    }
    before = _curve_error(own, setting, images)
    if labels:
        trained, reports = start.fit(images.x, images.targets, **settings)
        net = trained.network
        own_error = _percent(trained.outputs(images.x_test).argmax(axis=1), images.y_test)
    else:
        net, reports = train(own, images.x, tolerance=start.tolerance, **settings)
        own_error = None
    fitted, tested = features(net, images.x), features(net, images.x_test)
    readout, unit = _readout(fitted, images.y)
    return Learned(
        network=net,
        curve=[(0.0, before), *((passes, error) for passes, error in notes["curve"])],
        error=_percent(readout.predict(tested / unit), images.y_test),
        train_error=_percent(readout.predict(fitted / unit), images.y),
        own_error=own_error,
        contrast=analysis.similarity_contrast(analysis.similarity(tested[:2000]), images.y_test[:2000]),
        seconds=reports[-1].seconds - notes.get("measuring", 0.0),
        unconverged=sum(report.unconverged for report in reports),
    )


def features(net: Network, x: Float[np.ndarray, "samples pixels"]) -> Float[np.ndarray, "samples units"]:
    """Return the activities of the units for images without labels."""
    phase = INPUT_ALONE if "label" in net.populations else None
    return encode(net, x, layers=UNITS, phase=phase, tolerance=1e-2)


def with_label(
    net: Network, x: Float[np.ndarray, "samples pixels"], targets: Float[np.ndarray, "samples classes"]
) -> Float[np.ndarray, "samples units"]:
    """Return the activities of the units while the network learns, with the label."""
    phase = Phase(["input", "label"], absent=["output"])
    return encode(net, {"input": x, "label": targets}, layers=UNITS, phase=phase, tolerance=1e-2)


def pixels_error(images: Images) -> float:
    """Test error in percent of the same readout of the pixels."""
    readout, unit = _readout(images.x, images.y)
    return _percent(readout.predict(images.x_test / unit), images.y_test)


def _curve_error(net: Network, setting: Setting, images: Images) -> float:
    readout, unit = _readout(features(net, images.x[: setting.fitted]), images.y[: setting.fitted])
    return _percent(readout.predict(features(net, images.x_test) / unit), images.y_test)


def _readout(r: Float[np.ndarray, "samples units"], y: Int[np.ndarray, " samples"]) -> tuple[LinearReadout, np.float32]:
    """Fit the readout on features in the unit of their root mean square."""
    unit = np.sqrt(np.mean(r**2)) or np.float32(1)
    return LinearReadout(C=0.01, tol=1e-3).fit(r / unit, y), unit


def _percent(predicted: Int[np.ndarray, " samples"], y: Int[np.ndarray, " samples"]) -> float:
    return 100 * float(np.mean(predicted != y))
