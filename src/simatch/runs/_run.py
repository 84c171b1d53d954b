"""A training run: learn on one data set, measure how far it came, and test what the features are worth."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..data import Dataset, Preprocessing
from ..learning import (
    Certificate,
    Health,
    Rate,
    Report,
    calibrate,
    check_rate,
    encode,
    health,
    largest_rate,
    measure_on,
    sized,
    train,
)
from ..network import Grid, Network
from ..relaxation import relax
from ..storage import Checkpoints, load, save
from ._comparison import Labelled, Readout, clusters, principal_components
from ._model import TOGETHER, Model
from ._settings import RunSettings

# If a set has more classes than this with fewer samples each, its labels name individuals: no readout is fitted.
MOST_CLASSES, SAMPLES_A_CLASS = 100, 10
HELD_OUT = 0.25
# Test images on which the distance from the optimum is measured, at most.
MEASURED = 1000
# The course of learning has a point whenever so many times as many samples were learned from: most happens early.
SPACING = 1.25
TRAINED = "trained network"
# The network before learning, in the folder of a run that may be interrupted.
START = "start.safetensors"

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class LayerState:
    """State of one layer after training.

    Attributes
    ----------
    name : str
        Name of its population.
    grid : tuple of int
        ``(height, width, units)``.
    scale : float
        Scale of the feedforward structure constants.
    health : Health
        Shares of saturated, silent, constant and copied units, on some samples of the data.
    """

    name: str
    grid: tuple[int, int, int]
    scale: float
    health: Health


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Result of a training run.

    Attributes
    ----------
    settings : RunSettings
    network : Network
        The trained network.
    preprocessing : Preprocessing
        The fitted preprocessing.
    reports : list of Report
    history : list of (int, Certificate)
        Number of samples learned from, and the distance from the optimum of learning at that time, from before learning
        to after it, on at most 1,000 test images.
    layers : list of LayerState
    readouts : list of Readout
        Test errors of the same linear readout of the raw input, of its principal components and k-means clusters, of
        the untrained and of the trained network; only of the last if the settings say so, none without labels.
    held_out : bool
        Whether the test part was held out from the training part, because the data set has none.
    dataset : Dataset
        The data after the split and before preprocessing.
    seconds : dict of str to float
        Wall time of each part of the run.
    """

    settings: RunSettings
    network: Network
    preprocessing: Preprocessing
    reports: list[Report]
    history: list[tuple[int, Certificate]]
    layers: list[LayerState]
    readouts: list[Readout]
    held_out: bool
    dataset: Dataset
    seconds: dict[str, float]

    @property
    def certificate(self) -> Certificate:
        """Distance of the trained network from the optimum of learning."""
        return self.history[-1][1]

    @property
    def model(self) -> Model:
        """The trained network with its preprocessing and its readout."""
        readout = next((own.classifier for own in self.readouts if own.name == TRAINED), None)
        largest = float(np.max(np.abs(self.dataset.x_train)))
        return Model(
            self.network, self.preprocessing, self.settings.tolerance, largest, readout, tuple(self.dataset.classes)
        )

    @property
    def test_error_percent(self) -> float | None:
        """Test error of the readout of the activities of all layers of the trained network; None without labels."""
        return next((readout.error_percent for readout in self.readouts if readout.name == TRAINED), None)

    @property
    def test_samples(self) -> int:
        """Number of test images."""
        return 0 if self.dataset.x_test is None else len(self.dataset.x_test)


def run(settings: RunSettings, dataset: Dataset, *, say: Say = lambda _: None, work: Path | None = None) -> Run:
    """Train a network without labels, and fit linear readouts of its features and of others for comparison.

    Parameters
    ----------
    settings : RunSettings
    dataset : Dataset
        If it has no test part, a random part is held out: a quarter, but without labels at most 1,000 images. The seed
        is that of the settings.
    say : callable
        Called with a sentence on what happens next.
    work : Path, optional
        A folder in which the run is kept while it learns, and from which the same run goes on after an interruption.

    Returns
    -------
    Run

    Warns
    -----
    ConvergenceWarning
        If learning ended farther from its optimum than ``settings.tol``.

    Raises
    ------
    ValueError
        If the data or a setting do not fit; raised before learning.
    DivergenceError
        If activities grow without bound.
    """
    labelled = _has_kinds(dataset)
    held_out = dataset.x_test is None or (labelled and dataset.y_test is None)
    if held_out:
        count = len(dataset.x_train)
        dataset = dataset.held_out(HELD_OUT if labelled else min(HELD_OUT, MEASURED / count), seed=settings.seed)
    assert dataset.x_test is not None
    rule = settings.learning_rule()
    preprocessing = settings.preprocessor()
    x_train, x_test = dataset.processed(preprocessing)
    assert x_test is not None
    clock = _Clock()
    start = None
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        start = work / START
    if start is not None and start.is_file():
        untrained = load(start)
    else:
        untrained = _untrained(settings, dataset, x_train, say)
        clock.lap("scale")
    rate = _rate(untrained, settings)
    if start is not None:
        save(untrained, start)
    checkpoints = None if work is None else Checkpoints(work / "checkpoints")
    measured = spread(x_test, MEASURED)
    measure = measure_on(measured, phase=rule.phases[0], solver=None, tolerance=settings.tolerance)
    # Kept with the checkpoints, because the networks in between are not.
    notes: dict[str, Any] = {} if checkpoints is None else checkpoints.notes
    say(f"Learning from {len(x_train):,} samples, {settings.epochs:g} times: {untrained.synapses:,} synapses.")

    def observe(network: Network, report: Report) -> None:
        history = notes.setdefault("history", [])
        if report.certificate is not None or not history or report.samples >= SPACING * history[-1][0]:
            history.append((report.samples, dataclasses.asdict(report.certificate or measure(network))))

    network, reports = train(
        untrained,
        x_train,
        epochs=_in_whole_batches(settings.epochs, len(x_train), settings.batch_size),
        batch_size=settings.batch_size,
        rate=rate,
        ratio=settings.ratio,
        rule=rule,
        seed=settings.seed,
        tolerance=settings.tolerance,
        held_out=measured,
        tol=settings.tol,
        report_every=10,
        observe=observe,
        checkpoints=checkpoints,
    )
    assert reports[-1].certificate is not None
    history = [(0, measure(untrained)), *((n, Certificate(**own)) for n, own in notes["history"])]
    if history[-1][0] < reports[-1].samples:
        history.append((reports[-1].samples, reports[-1].certificate))
    clock.lap("learning")
    readouts = []
    if labelled:
        say("Reading out the network and, for comparison, other features." if settings.compare else "Reading out.")
        readouts = _readouts(dataset, x_train, x_test, untrained, network, settings)
        clock.lap("readout")
    return Run(
        settings=settings,
        network=network,
        preprocessing=preprocessing,
        reports=reports,
        history=history,
        # As many as were measured before: one compiled program serves both.
        layers=layer_states(network, spread(x_train, len(measured)), settings.tolerance),
        readouts=readouts,
        held_out=held_out,
        dataset=dataset,
        seconds=clock.laps,
    )


def _untrained(settings: RunSettings, dataset: Dataset, x_train: np.ndarray, say: Say) -> Network:
    """Return the network before learning, with scales and sizes of weights that suit the data."""
    network = settings.network(grid_of(dataset))
    if any(layer.scale == "auto" for layer in settings.layers):
        say("Finding the scale of the structure constants.")
        network = _calibrated(network, x_train, settings)
    # Learning would otherwise begin by finding the size of the weights.
    return sized(network, x_train, seed=settings.seed)


def spread(x: np.ndarray, most: int) -> np.ndarray:
    """At most so many samples, evenly spread over an array that may be sorted by class.

    Parameters
    ----------
    x : array of shape (samples, ...)
    most : int
        At least 1.

    Returns
    -------
    array of shape (min(most, samples), ...)

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.runs import spread
    >>> spread(np.arange(9), 3).tolist()
    [0, 4, 8]
    """
    return x[np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int)]


def _in_whole_batches(epochs: float, count: int, batch_size: int) -> float:
    """Passes over the data, rounded up to whole batches where that is at most a twentieth more.

    A last batch of another size needs a compiled program of its own, which takes longer than many batches.
    """
    size = min(batch_size, count)
    batches = math.ceil(round(count * epochs) / size)
    return batches * size / count if batches * size <= 1.05 * count * epochs else epochs


def _rate(network: Network, settings: RunSettings) -> Rate | None:
    """Learning rate of the first batch; None for that of the averaging rule, which needs no other."""
    rule = settings.learning_rule()
    if settings.rate != "auto":
        check_rate(network, settings.rate, settings.ratio, rule)
        return settings.rate
    return None if settings.rule == "averaging" else min(0.05, largest_rate(network, settings.ratio, rule) / 2)


def _readouts(
    dataset: Dataset, x_train: np.ndarray, x_test: np.ndarray, untrained: Network, trained: Network, s: RunSettings
) -> list[Readout]:
    assert dataset.x_test is not None
    assert dataset.y_train is not None
    assert dataset.y_test is not None

    def features(network: Network) -> list[np.ndarray]:
        return [
            encode(network, x, layers=network.layers, batch_size=TOGETHER, tolerance=s.tolerance)
            for x in (x_train, x_test)
        ]

    labelled = Labelled(dataset.y_train, dataset.y_test)
    result = labelled.readout(TRAINED, *features(trained))
    if not s.compare:
        return [result]
    count = sum(trained.populations[name].grid.size for name in trained.layers)
    return [
        labelled.readout("raw input", dataset.x_train, dataset.x_test),
        labelled.readout("principal components", *principal_components(x_train, x_test, count, seed=s.seed)),
        labelled.readout("k-means", *clusters(x_train, x_test, count, seed=s.seed)),
        labelled.readout("untrained network", *features(untrained)),
        result,
    ]


def layer_states(
    network: Network, x: Float[np.ndarray, "samples height width channels"], tolerance: float = 1e-3
) -> list[LayerState]:
    """Return the state of every layer, measured on some samples."""
    states = health(network, relax(network, x, tolerance=tolerance).states)
    scales = {p.post: float(p.scale) for p in network.feedforward}
    return [
        LayerState(name, network.populations[name].grid.shape, scales[name], states[name]) for name in network.layers
    ]


def _has_kinds(dataset: Dataset) -> bool:
    y = dataset.y_train
    if y is None or len(np.unique(y)) < 2:
        return False
    count = len(dataset.classes)
    return count <= MOST_CLASSES or len(y) >= SAMPLES_A_CLASS * count


def grid_of(dataset: Dataset) -> Grid:
    """Return the grid of a network's input for these images.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    Grid

    Examples
    --------
    >>> from simatch.data import load_dataset
    >>> from simatch.runs import grid_of
    >>> grid_of(load_dataset("digits"))
    Grid(height=8, width=8, units=1)
    """
    return Grid(*dataset.shape)


def _calibrated(network: Network, x: np.ndarray, settings: RunSettings) -> Network:
    """Return an untrained network in which calibrated scales replace those set to "auto"."""
    found = calibrate(network, x, batch_size=settings.batch_size, seed=settings.seed)
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
