"""The MNIST experiments of the paper: networks that learn from two phases, beside back-propagation."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ...data import Dataset
from ...learning import Report, Schedule, hyperbolic, rising
from ...models import Layer, Supervised, contrastive, equilibrium
from ...network import Grid, Network
from ...relaxation import relax
from ...storage import Checkpoints
from .._backpropagation import back_propagation, outputs_of, squared_error

BACK_PROPAGATION = "back-propagation"
HIDDEN, CLASSES = 500, 10
# Samples in a batch of back-propagation.
BATCH = 100
STRUCTURED = Layer(units=4, stride=2, radius=8.0)


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of network and how it learns.

    Attributes
    ----------
    title : str
    published : float or None
        Published error in percent, of images 50,000 to 60,000 of the training part.
    build : callable
        Function from the input's grid, the hidden layers and a seed to the model.
    hidden : tuple
        Hidden layers.
    epochs : float
    batch_size : int
    decay : float
        Rates fall to ``1 / (1 + decay)`` of those at the beginning.
    """

    title: str
    published: float | None
    build: Callable[[Grid, Any, int], Supervised]
    hidden: tuple[Any, ...] = (HIDDEN,)
    epochs: float = 12
    batch_size: int = 20
    decay: float = 5.0


# Numbers chosen on images 50,000 to 60,000 of the training part (docs/reproduction.md).
ROWS: dict[str, Row] = {
    # A nudge of 1, as published, moves activities to other fixed points, and learning leaves its solution sooner.
    "contrastive": Row(
        "contrastive similarity matching",
        2.16,
        lambda grid, hidden, seed: contrastive(
            grid, hidden, CLASSES, beta=0.5, rates=(1.6, 1.2), lateral_rate=0.05, seed=seed
        ),
        batch_size=100,
        epochs=10,
    ),
    "contrastive-structured": Row(
        "contrastive similarity matching, structured",
        2.70,
        lambda grid, hidden, seed: contrastive(grid, hidden, CLASSES, beta=0.5, rates=(0.3, 0.225), seed=seed),
        hidden=(STRUCTURED,),
        epochs=8,
    ),
    "equilibrium": Row(
        "equilibrium propagation",
        2.18,
        lambda grid, hidden, seed: equilibrium(grid, hidden, CLASSES, rates=(1.2, 0.3), seed=seed),
        batch_size=100,
        epochs=16,
    ),
    "equilibrium-random-sign": Row(
        "equilibrium propagation, random sign",
        2.53,
        lambda grid, hidden, seed: equilibrium(grid, hidden, CLASSES, rates=(0.2, 0.1), random_sign=True, seed=seed),
    ),
    BACK_PROPAGATION: Row(
        "back-propagation, dense", None, lambda grid, hidden, seed: equilibrium(grid, hidden, CLASSES, seed=seed)
    ),
    f"{BACK_PROPAGATION}-structured": Row(
        "back-propagation, structured",
        None,
        lambda grid, hidden, seed: equilibrium(grid, hidden, CLASSES, seed=seed),
        hidden=(STRUCTURED,),
    ),
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all rows share.

    Attributes
    ----------
    images : int or None
        Number of training images; None: all.
    units : int or None
        Units of dense hidden layers; None: those of the paper.
    epochs : float
        Factor on the passes over the data.
    """

    images: int | None = None
    units: int | None = None
    epochs: float = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images between 0 and 1 with labels, in a training and a test part."""

    x: Float[np.ndarray, "train height width"]
    y: Int[np.ndarray, " train"]
    x_test: Float[np.ndarray, "test height width"]
    y_test: Int[np.ndarray, " test"]

    @classmethod
    def of(cls, dataset: Dataset, setting: Setting) -> "Images":
        """Take the training images of a setting and all test images, divided by the largest pixel."""
        x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
        if y is None or x_test is None or y_test is None:
            raise ValueError(f"The data set {dataset.name!r} needs labels and a test part of its own.")
        largest = np.float32(x.max())
        x, x_test = ((part[..., 0] / largest).astype(np.float32) for part in (x, x_test))
        return cls(x[: setting.images], y[: setting.images], x_test, y_test)

    @property
    def targets(self) -> Float[np.ndarray, "train classes"]:
        """One-hot labels of the training images."""
        return np.eye(CLASSES, dtype=np.float32)[self.y]

    @property
    def grid(self) -> Grid:
        """Grid of the input."""
        return Grid(*self.x.shape[1:])


def model(name: str, setting: Setting, grid: Grid, seed: int) -> Supervised:
    """Build the model of a row before learning."""
    row = ROWS[name]
    hidden = [setting.units if setting.units and isinstance(layer, int) else layer for layer in row.hidden]
    return row.build(grid, hidden, seed)


def learning_rate(start: Supervised, row: Row, epochs: float, images: int) -> dict[str, Schedule]:
    """Return the learning rates of a row, which rise over half a pass, or 50 batches, and then fall over the run.

    At the full rate from the first batches on, the outputs of some networks end at their bounds, where they learn no
    more.
    """
    batches, half = (max(1, round(passes * images / row.batch_size)) for passes in (epochs, 0.5))
    rise = max(half, 50)
    assert isinstance(start.rate, Mapping)
    rates = {kind: own for kind, own in start.rate.items() if isinstance(own, float)}
    return {kind: rising(hyperbolic(own, over=batches, decay=row.decay), over=rise) for kind, own in rates.items()}


def learned(name: str, setting: Setting, images: Images, seed: int, folder: Path) -> tuple[Supervised, dict[str, Any]]:
    """Learn a row, or go on with it from its checkpoints in `folder`.

    Returns
    -------
    model : Supervised
        After learning.
    figures : dict
        Errors, seconds of learning, samples that had not settled, and the test error by epoch.
    """
    if name.startswith(BACK_PROPAGATION):
        return _by_back_propagation(name, setting, images, seed)
    row, start = ROWS[name], model(name, setting, images.grid, seed)
    epochs = row.epochs * setting.epochs
    checkpoints = Checkpoints(folder)
    notes = checkpoints.notes

    def observe(network: Network, report: Report) -> None:
        began = time.perf_counter()
        curve = notes.setdefault("curve", [])
        if report.samples >= (len(curve) + 1) * len(images.x):
            now = dataclasses.replace(start, network=network)
            curve.append([report.samples / len(images.x), error_percent(now.outputs(images.x_test), images.y_test)])
        notes["measuring"] = notes.get("measuring", 0.0) + time.perf_counter() - began

    rate = learning_rate(start, row, epochs, len(images.x))
    trained, reports = start.fit(
        images.x,
        images.targets,
        epochs=epochs,
        batch_size=row.batch_size,
        rate=rate,
        seed=seed,
        report_every=max(1, 3000 // row.batch_size),
        observe=observe,
        checkpoints=checkpoints,
        progress=True,
    )
    seconds = reports[-1].seconds - notes.get("measuring", 0.0)
    return trained, {
        **_errors(trained.outputs, images),
        "seconds": seconds,
        "images_per_second": reports[-1].samples / seconds,
        "samples_seen": reports[-1].samples,
        "unconverged_samples": sum(report.unconverged for report in reports),
        "curve": notes.get("curve", []),
    }


def _by_back_propagation(name: str, setting: Setting, images: Images, seed: int) -> tuple[Supervised, dict[str, Any]]:
    start = model(name, setting, images.grid, seed)
    epochs = ROWS[name].epochs * setting.epochs
    net, seen, curve, spent, began = start.network, 0, [], 0.0, time.perf_counter()

    def answers(x: np.ndarray) -> np.ndarray:
        return np.asarray(outputs_of(net, jnp.asarray(x.reshape(len(x), -1).T))).T

    plan: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH, "seed": seed}
    for now, samples in back_propagation(start.network, images.x, images.targets, squared_error, **plan):
        net, seen = now, samples
        if seen >= (len(curve) + 1) * len(images.x):
            paused = time.perf_counter()
            curve.append([seen / len(images.x), error_percent(answers(images.x_test), images.y_test)])
            spent += time.perf_counter() - paused
    seconds = time.perf_counter() - began - spent
    return dataclasses.replace(start, network=net), {
        **_errors(answers, images),
        "seconds": seconds,
        "images_per_second": seen / seconds,
        "samples_seen": seen,
        "unconverged_samples": 0,
        "curve": curve,
    }


def error_percent(answers: Float[np.ndarray, "samples classes"], y: Int[np.ndarray, " samples"]) -> float:
    """Return the percentage of samples whose largest answer is not that of their class."""
    return 100 * float(np.mean(answers.argmax(axis=1) != y))


def _errors(answers: Callable[[np.ndarray], np.ndarray], images: Images) -> dict[str, float]:
    some = images.x[:10_000], images.y[:10_000]
    return {
        "test_error_percent": error_percent(answers(images.x_test), images.y_test),
        "train_error_percent": error_percent(answers(some[0]), some[1]),
    }


def states(
    trained: Supervised, x: Float[np.ndarray, "samples height width"], targets: Float[np.ndarray, "samples classes"]
) -> list[dict[str, Float[np.ndarray, "samples neurons"]]]:
    """Return the activities of all layers in the free and in the nudged phase."""
    free, nudged = trained.rule.phases
    first = relax(trained.network, x, phase=free, tolerance=trained.tolerance)
    batch = {"input": x, trained.target: targets}
    second = relax(trained.network, batch, phase=nudged, tolerance=trained.tolerance, start=first)
    return [{name: np.asarray(out.states[name]).T for name in trained.network.layers} for out in (first, second)]
