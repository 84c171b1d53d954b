"""A training run: train one network on one data set, and test a linear readout of its features."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from ..data import Dataset, Preprocessing
from ..learning import Report, calibrate, check_rate, encode, health, largest_rate, train
from ..network import Grid, Network
from ..readout import LinearReadout
from ..relaxation import relax
from ._settings import RunSettings

# If a set has more classes than this with fewer samples each, its labels name individuals: no readout is fitted.
MOST_CLASSES, SAMPLES_A_CLASS = 100, 10
HELD_OUT = 0.25
# Samples that relax together after training, and from which the state of layers is computed: one size needs only one
# compiled program.
SAMPLE = 200
# About how many networks a run keeps, for figures of the course of learning.
SNAPSHOTS = 20

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class LayerState:
    """State of one layer after training.

    Attributes
    ----------
    name : str
    grid : tuple of int
        ``(height, width, units)``.
    scale : float
        Scale of the feedforward structure constants.
    saturated, silent : float
        Share of activities near a bound, and of units that respond to no sample, on some samples of the data.
    """

    name: str
    grid: tuple[int, int, int]
    scale: float
    saturated: float
    silent: float


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Result of a training run.

    Attributes
    ----------
    settings : RunSettings
    network : Network
        The trained network.
    snapshots : list of (int, Network)
        Number of samples seen, and the network at that time, from before learning to after it.
    preprocessing : Preprocessing
        The fitted preprocessing.
    reports : list of Report
    layers : list of LayerState
    test_error_percent : float or None
        Test error of the linear readout of the activities of all layers; None without labels.
    test_samples : int
        Number of test samples; 0 without labels.
    held_out : bool
        Whether the test part was held out from the training part, because the data set has none.
    dataset : Dataset
        The data after the split and before preprocessing.
    seconds : dict of str to float
        Wall time of each part of the run.
    """

    settings: RunSettings
    network: Network
    snapshots: list[tuple[int, Network]]
    preprocessing: Preprocessing
    reports: list[Report]
    layers: list[LayerState]
    test_error_percent: float | None
    test_samples: int
    held_out: bool
    dataset: Dataset
    seconds: dict[str, float]


def run(settings: RunSettings, dataset: Dataset, *, say: Say = lambda _: None) -> Run:
    """Train a network without labels, then fit a linear readout of its features and test it.

    Parameters
    ----------
    settings : RunSettings
    dataset : Dataset
        If it has labels but no test part, a random quarter is held out; the seed is that of the settings.
    say : callable
        Called with a sentence on what happens next.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the data or a setting do not fit; raised before learning.
    DivergenceError
        If activities grow without bound.
    """
    labelled = _has_kinds(dataset)
    held_out = labelled and dataset.y_test is None
    if held_out:
        dataset = dataset.held_out(HELD_OUT, seed=settings.seed)
    network = settings.network(grid_of(dataset))
    preprocessing = settings.preprocessor()
    x_train = preprocessing.fit_transform(dataset.x_train)
    x_test = preprocessing.transform(dataset.x_test) if labelled and dataset.x_test is not None else None
    clock = _Clock()
    if any(layer.scale == "auto" for layer in settings.layers):
        say("Finding the scale of the structure constants.")
        network = _calibrated(network, x_train, settings)
        clock.lap("scale")
    rate = settings.rate
    if rate == "auto":
        rate = min(0.05, largest_rate(network, settings.ratio) / 2)
    check_rate(network, rate, settings.ratio)
    say(f"Learning from {len(x_train):,} samples, {settings.epochs:g} times: {network.synapses:,} synapses.")
    snapshots = [(0, network)]
    every = max(1, round(settings.epochs * len(x_train) / SNAPSHOTS))

    def observe(network: Network, report: Report) -> None:
        if report.samples - snapshots[-1][0] >= every:
            snapshots.append((report.samples, network))

    network, reports = train(
        network,
        x_train,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        rate=rate,
        ratio=settings.ratio,
        seed=settings.seed,
        tolerance=settings.tolerance,
        observe=observe,
    )
    if snapshots[-1][0] < reports[-1].samples:
        snapshots.append((reports[-1].samples, network))
    clock.lap("learning")
    error = None
    if labelled and x_test is not None and dataset.y_train is not None and dataset.y_test is not None:
        say("Reading out.")
        features, test_features = (
            encode(network, x, layers=network.layers, batch_size=SAMPLE, tolerance=settings.tolerance)
            for x in (x_train, x_test)
        )
        error = readout_error(features, dataset.y_train, test_features, dataset.y_test)
        clock.lap("readout")
    return Run(
        settings=settings,
        snapshots=snapshots,
        network=network,
        preprocessing=preprocessing,
        reports=reports,
        layers=layer_states(network, x_train[:SAMPLE], settings.tolerance),
        test_error_percent=error,
        test_samples=0 if x_test is None else len(x_test),
        held_out=held_out,
        dataset=dataset,
        seconds=clock.laps,
    )


def readout_error(
    train: Float[np.ndarray, "train features"],
    y_train: Int[np.ndarray, " train"],
    test: Float[np.ndarray, "test features"],
    y_test: Int[np.ndarray, " test"],
) -> float:
    """Percentage of test samples that a linear readout, fitted on the training samples, classifies wrongly."""
    readout = LinearReadout(class_weight="balanced").fit(train, y_train)
    return 100 * float(np.mean(readout.predict(test) != y_test))


def layer_states(
    network: Network, x: Float[np.ndarray, "samples height width channels"], tolerance: float = 1e-3
) -> list[LayerState]:
    """Return the state of every layer, measured on some samples."""
    states = health(network, relax(network, x, tolerance=tolerance).states)
    scales = {p.post: float(p.scale) for p in network.feedforward}
    return [
        LayerState(
            name, network.populations[name].grid.shape, scales[name], states[name].saturated, states[name].silent
        )
        for name in network.layers
    ]


def _has_kinds(dataset: Dataset) -> bool:
    y = dataset.y_train
    if y is None or len(np.unique(y)) < 2:
        return False
    count = len(dataset.classes)
    return count <= MOST_CLASSES or len(y) >= SAMPLES_A_CLASS * count


def grid_of(dataset: Dataset) -> Grid:
    """Return the grid of a network's input for these images."""
    return Grid(*dataset.shape)


def _calibrated(network: Network, x: np.ndarray, settings: RunSettings) -> Network:
    """Return an untrained network in which calibrated scales replace those set to "auto"."""
    found = calibrate(network, x, batch_size=settings.batch_size, rate=0.01, seed=settings.seed)
    layers = [
        layer.model_copy(update={"scale": float(pathway.scale)}) if layer.scale == "auto" else layer
        for layer, pathway in zip(settings.layers, found.feedforward, strict=True)
    ]
    return settings.model_copy(update={"layers": layers}).network(network.populations["input"].grid)


class _Clock:
    def __init__(self):
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
