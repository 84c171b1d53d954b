"""MNIST 784-500-10 by predictive coding, and by back-propagation on the same network."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..._extras import Feature
from ...data import Dataset
from ...learning import batches_in
from ...models import Supervised, predictive, predictive_scheduled, predictive_settled
from ...network import Network
from ...storage import Checkpoints, as_json, write_atomically
from .._backpropagation import TOGETHER
from .._backpropagation import back_propagation as descended
from ._rules import loss

with Feature("simatch reproduce predictive", extra="app"):
    import optax

TRANSFORM = optax.scale_by_adam()
# The numbers of a run that has ended, in its folder.
_RUN = "run.json"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings, chosen on the last 10,000 training images.

    Attributes
    ----------
    units : int
        Hidden units.
    epochs, batch_size : int
    rate : float
        Adam's rate at the beginning; it falls to 0 along a line.
    images : int
        Training images that are used, the first ones.
    """

    units: int = 500
    epochs: int = 8
    batch_size: int = 50
    rate: float = 1e-3
    images: int = 60_000


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One training run.

    Attributes
    ----------
    curve : list of [int, float]
        Images learned from so far, and the test error in percent at that time.
    train_error_percent : float
        At the end.
    images_per_second : float
        Learning alone; without compilation, if there is more than one point of the curve.
    seconds : float
        Learning alone, with compilation.
    unconverged : int
        Samples that were learned from before they had settled, in all epochs.
    """

    curve: list[list[float]]
    train_error_percent: float
    images_per_second: float
    seconds: float
    unconverged: int

    @property
    def test_error_percent(self) -> float:
        """Test error at the end, in percent."""
        return self.curve[-1][1]


def once(folder: Path, learn: Callable[[Path], Run]) -> Run:
    """Return the run that ended in a folder, or learn, which may go on from what it has kept there."""
    file = folder / _RUN
    if not file.is_file():
        run = learn(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, as_json(dataclasses.asdict(run)) + "\n")
    return Run(**json.loads(file.read_text(encoding="utf-8")))


def scheduled(setting: Setting, data: Dataset, seed: int, folder: Path) -> Run:
    """Learn by the scheduled rule, with rectified hidden units; checkpoints are in `folder`."""
    return _predictive(_model(setting, "relu", predictive_scheduled, seed), setting, data, seed, folder)


def settled(setting: Setting, data: Dataset, seed: int, folder: Path) -> Run:
    """Learn by the settled rule; its hidden units are smooth, because an energy with kinks settles slowly."""
    return _predictive(_model(setting, "tanh", predictive_settled, seed), setting, data, seed, folder)


def back_propagation(setting: Setting, data: Dataset, seed: int, *, activation: str = "relu") -> Run:
    """Learn by back-propagation and Adam, from the same initial weights and the same batches."""
    model = _model(setting, activation, predictive_scheduled, seed)
    x, y, labels = _training(setting, data)
    trained, watch = model.network, _Watch(model, data, {})
    plan: dict[str, Any] = {"epochs": setting.epochs, "batch_size": setting.batch_size, "rate": setting.rate}
    for now, samples in descended(model.network, x, y, _loss, **plan, seed=seed):
        watch(now, samples)
        trained = now
    return watch.run(trained, x, labels, 0)


def _loss(net: Network, x: Any, y: Any) -> Any:
    return loss(net.parameters, net, x, y)


def _model(setting: Setting, activation: str, learning: Callable[[Network], Supervised], seed: int) -> Supervised:
    return predictive(784, [setting.units], 10, activation=activation, learning=learning, seed=seed)


def _training(setting: Setting, data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert data.y_train is not None
    labels = data.y_train[: setting.images]
    return data.x_train[: setting.images].reshape(len(labels), -1), np.eye(10, dtype=np.float32)[labels], labels


def _schedule(setting: Setting, x: np.ndarray) -> Callable[[int], Any]:
    total = batches_in(len(x), epochs=setting.epochs, batch_size=setting.batch_size)
    return functools.partial(_falling, first=setting.rate, over=total)


def _falling(number: int, *, first: float, over: int) -> float:
    return first * max(0.0, 1 - number / over)


def _predictive(model: Supervised, setting: Setting, data: Dataset, seed: int, folder: Path) -> Run:
    x, y, labels = _training(setting, data)
    checkpoints = Checkpoints(folder)
    watch = _Watch(model, data, checkpoints.notes)
    learned, reports = model.fit(
        x,
        y,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        seed=seed,
        rate=_schedule(setting, x),
        transform=TRANSFORM,
        report_every=TOGETHER,
        observe=lambda net, report: watch(net, report.samples),
        checkpoints=checkpoints,
    )
    return watch.run(learned.network, x, labels, sum(report.unconverged for report in reports))


class _Watch:
    """Learning curve, and the time of learning without that of testing, in notes that may be kept with the run."""

    def __init__(self, model: Supervised, data: Dataset, notes: dict[str, Any]):
        assert data.x_test is not None
        self.model, self.labels = model, data.y_test
        self.x = data.x_test.reshape(len(data.x_test), -1)
        self.notes = notes
        self.began = time.perf_counter()

    def __call__(self, net: Network, samples: int) -> None:
        jax.block_until_ready(net.parameters)
        curve, parts = (self.notes.setdefault(name, []) for name in ("curve", "parts"))
        parts.append([samples - (curve[-1][0] if curve else 0), time.perf_counter() - self.began])
        curve.append([samples, self._error(net, self.x, self.labels)])
        self.began = time.perf_counter()

    def run(self, net: Network, x: np.ndarray, labels: np.ndarray, unconverged: int) -> Run:
        parts = self.notes["parts"]
        seconds = [own for _, own in parts]
        # The first part compiles.
        speeds = [samples / own for samples, own in parts[1:] or parts]
        error = self._error(net, x[:10_000], labels[:10_000])
        return Run(self.notes["curve"], error, float(np.median(speeds)), sum(seconds), unconverged)

    def _error(self, net: Network, x: np.ndarray, labels: Any) -> float:
        answers = dataclasses.replace(self.model, network=net).outputs(x)
        return 100 * float(np.mean(answers.argmax(axis=1) != labels))
