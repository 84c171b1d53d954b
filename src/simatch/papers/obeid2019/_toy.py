"""The toy experiment of the paper: two input streams, a subnetwork for each, and a population above both.

Left inputs are noisy copies of a few prototypes, right inputs of as many others. Each left prototype always occurs
together with the same right prototype. After learning, the inputs of one stream are replaced by new ones. Without
feedback the two subnetworks do not influence each other. With feedback each receives, through the population above,
the activities of the other.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ... import analysis
from ...learning import PUBLISHED_RATIO, GradientRule, Report, similarity_cost, train
from ...network import AntiHebbian, Dense, Grid, Hebbian, Network, Population
from ...relaxation import relax
from ...storage import Checkpoints

STREAMS = {"left": "left subnetwork", "right": "right subnetwork"}
TOP = "top"
SUBNETWORKS = (*STREAMS.values(), TOP)

Pair = dict[str, Float[np.ndarray, "samples inputs"]]


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of the toy experiment.

    Attributes
    ----------
    inputs, units, top : int
        Number of neurons of each input, of each subnetwork and of the population above.
    pairs : int
        Number of prototypes of each stream, each with one partner in the other stream.
    noise : float
        Length of the noise on a prototype, relative to the prototype.
    strength : float
        Length of the prototypes.
    initial : float
        Factor on the initial feedforward weights that a network draws.
    samples : int
        Number of samples learned from, one at a time.
    rate : float
        Learning rate of the population above; that of the subnetworks is this rate over gamma (equation 11).
    tests : int
        Number of samples of each pair that are compared after learning.
    """

    inputs: int = 100
    units: int = 12
    top: int = 8
    pairs: int = 4
    noise: float = 0.3
    strength: float = 2.0
    initial: float = 0.2
    samples: int = 1000
    rate: float = 0.01
    tests: int = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Toy:
    """Results of one trained network.

    Conditions are "familiar", "left new" and "right new"; the dicts below go from a condition to its results.

    Attributes
    ----------
    feedback : float
        gamma.
    history : list of (int, float)
        Number of samples learned from, and the primal cost (8) of the familiar samples at that time.
    matrices : dict of dicts of array of shape (samples, samples)
        Cosine similarity matrix of each subnetwork and input.
    labels : array of shape (samples,)
        Number of the pair of every compared sample; if one stream is new, that of the other, familiar stream.
    change : dict of dicts of float
        For each subnetwork, the length of the difference of its similarity matrix from that for familiar inputs,
        relative to the latter.
    contrast : dict of dicts of float
        For each subnetwork, the mean similarity of samples of the same pair minus that of samples of different pairs.
    pull : dict of float
        Similarity of the responses of the subnetwork with the new input to its mean response to the partner of the
        other input, minus that to its mean responses to the other prototypes; mean cosines.
    """

    feedback: float
    history: list[tuple[int, float]]
    matrices: dict[str, dict[str, Float[np.ndarray, "samples samples"]]]
    labels: Int[np.ndarray, " samples"]
    change: dict[str, dict[str, float]]
    contrast: dict[str, dict[str, float]]
    pull: dict[str, float]


def network(setting: Setting, feedback: float, *, seed: int = 0) -> Network:
    """Build the network: two subnetworks and one population above both, a graph that is not a chain."""
    own, above = Grid(1, 1, setting.units), Grid(1, 1, setting.top)
    populations = {stream: Population(setting.inputs) for stream in STREAMS}
    pathways = []
    for stream, name in STREAMS.items():
        populations[name] = Population(own, "tanh")
        pathways += [
            Hebbian(stream, name, Dense(populations[stream].grid, own)),
            AntiHebbian(name, Dense(own, own)),
            Hebbian(name, TOP, Dense(own, above), feedback=feedback),
        ]
    populations[TOP] = Population(above, "tanh")
    net = Network(populations, [*pathways, AntiHebbian(TOP, Dense(above, above))], seed=seed)
    # Random weights of the usual size already pass similarities up and back down, before anything is learned.
    weights = [p.weights * setting.initial if p.signs < 0 else p.weights for p in net.pathways]
    return net.with_weights(weights)


class World:
    """Source of pairs of inputs. The prototypes of a stream are orthogonal; new inputs have the same length."""

    def __init__(self, setting: Setting, rng: np.random.Generator):
        self.setting, self.rng = setting, rng
        self.prototypes = {
            stream: np.linalg.qr(rng.normal(size=(setting.inputs, setting.pairs)))[0].T for stream in STREAMS
        }

    def familiar(self, labels: Int[np.ndarray, " samples"]) -> Pair:
        """Inputs of both streams: noisy copies of the prototypes of these pairs."""
        return {stream: self._noisy(prototypes[labels]) for stream, prototypes in self.prototypes.items()}

    def new(self, count: int) -> Float[np.ndarray, "samples inputs"]:
        """New inputs of one stream, each in a random direction."""
        x = self.rng.normal(size=(count, self.setting.inputs))
        return self._noisy(x / np.linalg.norm(x, axis=1, keepdims=True))

    def _noisy(self, x: np.ndarray) -> np.ndarray:
        noise = self.setting.noise / np.sqrt(self.setting.inputs)
        return self.setting.strength * (x + noise * self.rng.normal(size=x.shape))


def toy(setting: Setting, feedback: float, *, seed: int = 0, checkpoints: Checkpoints | None = None) -> Toy:
    """Learn from familiar pairs, one at a time, and compare the subnetworks on familiar and on new inputs.

    With the same `seed`, networks with and without feedback learn from the same samples in the same order.
    """
    rng = np.random.default_rng(seed)
    world = World(setting, rng)
    labels = np.repeat(np.arange(setting.pairs), setting.tests)
    shown: dict[str, Pair] = {"familiar": world.familiar(labels)}
    for stream in STREAMS:
        shown[f"{stream} new"] = shown["familiar"] | {stream: world.new(len(labels))}
    order = rng.integers(setting.pairs, size=setting.samples)
    stream_of_samples = world.familiar(order)

    start = network(setting, feedback, seed=seed)
    notes: dict[str, Any] = {} if checkpoints is None else checkpoints.notes

    def observe(net: Network, report: Report) -> None:
        notes.setdefault("history", []).append((report.samples, similarity_cost(net, shown["familiar"])))

    net, _ = train(
        start,
        ({name: x[i : i + 1] for name, x in stream_of_samples.items()} for i in range(setting.samples)),
        rate=setting.rate,
        ratio=PUBLISHED_RATIO,
        rule=GradientRule(),
        report_every=20,
        progress=False,
        observe=observe,
        checkpoints=checkpoints,
    )
    history = [(0, similarity_cost(start, shown["familiar"])), *map(tuple, notes["history"])]
    responses = {condition: _responses(net, x) for condition, x in shown.items()}
    matrices = {
        condition: {name: analysis.similarity(r) for name, r in (shown[condition] | parts).items()}
        for condition, parts in responses.items()
    }
    return Toy(
        feedback=feedback,
        history=history,
        matrices=matrices,
        labels=labels,
        change={
            c: {name: _change(m[name], matrices["familiar"][name]) for name in SUBNETWORKS} for c, m in matrices.items()
        },
        contrast={
            c: {name: analysis.similarity_contrast(m[name], labels) for name in SUBNETWORKS}
            for c, m in matrices.items()
        },
        pull={
            f"{stream} new": _pull(responses[f"{stream} new"][name], responses["familiar"][name], labels)
            for stream, name in STREAMS.items()
        },
    )


def _responses(net: Network, x: Pair) -> dict[str, Float[np.ndarray, "samples neurons"]]:
    out = relax(net, x, tolerance=1e-5)
    return {name: np.asarray(out.states[name]).T for name in SUBNETWORKS}


def _change(matrix: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(matrix - reference) / np.linalg.norm(reference))


def _pull(new: np.ndarray, known: np.ndarray, labels: np.ndarray) -> float:
    means = np.array([known[labels == k].mean(axis=0) for k in np.unique(labels)])
    unit = [r / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-12) for r in (new, means)]
    cosines = unit[0] @ unit[1].T
    own = np.eye(len(means), dtype=bool)[labels]
    return float(cosines[own].mean() - cosines[~own].mean())
