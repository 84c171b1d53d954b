"""The paper's toy: two streams, a subnetwork for each, and a population above that hears both and answers both.

Left inputs are noisy copies of a few prototypes, right inputs of as many others, and every left prototype always comes
with the same right one. After learning one of the two is replaced by something never seen. Without feedback the two
subnetworks cannot know of each other. With it, whatever one of them changes is felt by the other, through the top.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from ... import analysis
from ...learning import similarity_cost, training
from ...network import AntiHebbian, Dense, Grid, Hebbian, Network, Population
from ...relaxation import relax

STREAMS = {"left": "left subnetwork", "right": "right subnetwork"}
TOP = "top"
SUBNETWORKS = (*STREAMS.values(), TOP)

Pair = dict[str, Float[np.ndarray, "samples inputs"]]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the toy is made of.

    Attributes
    ----------
    inputs, units, top : int
        Neurons of each input, of each subnetwork and of the population above.
    pairs : int
        Prototypes of each stream, each with its partner in the other.
    noise : float
        Length of the noise on a prototype, relative to the prototype.
    strength : float
        Length of the prototypes.
    initial : float
        First feedforward weights, relative to those that networks usually start with.
    samples : int
        Learned from, one at a time.
    rate : float
        Learning rate of the population above; that of the subnetworks is the same over gamma (equation 11).
    tests : int
        Samples of each pair that are compared afterwards.
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
    """One network that has learned.

    Attributes
    ----------
    feedback : float
    history : list of pairs
        Samples learned from, and the primal cost (8) of the familiar samples then.
    matrices : dict from condition to subnetwork (and input) to its cosine similarity matrix
    labels : array of shape (samples,)
        Number of the pair of every sample compared; of its familiar stream where the other is new.
    change : dict from condition to subnetwork to float
        How much its similarity matrix differs from that for familiar inputs, relative to the latter.
    contrast : dict from condition to subnetwork to float
        How much more alike samples of one pair are than samples of two.
    pull : dict from condition to float
        How much more the response of the subnetwork whose input is new resembles its response to the partner
        of what the other one sees, than its response to the other prototypes that it knows: a difference of cosines.
    """

    feedback: float
    history: list[tuple[int, float]]
    matrices: dict[str, dict[str, Float[np.ndarray, "samples samples"]]]
    labels: Int[np.ndarray, " samples"]
    change: dict[str, dict[str, float]]
    contrast: dict[str, dict[str, float]]
    pull: dict[str, float]


def network(setting: Setting, feedback: float, *, seed: int = 0) -> Network:
    """Build two subnetworks that meet: a graph, not a chain."""
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
    # Weights of the usual size would already carry every similarity up, and back down, before anything is learned.
    weights = [p.weights * setting.initial if p.signs < 0 else p.weights for p in net.pathways]
    return net.with_weights(weights)


class World:
    """Draws pairs of inputs; the prototypes of a stream are orthogonal, and new inputs are of the same length."""

    def __init__(self, setting: Setting, rng: np.random.Generator):
        self.setting, self.rng = setting, rng
        self.prototypes = {
            stream: np.linalg.qr(rng.normal(size=(setting.inputs, setting.pairs)))[0].T for stream in STREAMS
        }

    def familiar(self, labels: Int[np.ndarray, " samples"]) -> Pair:
        """Both streams show what belongs together."""
        return {stream: self._noisy(prototypes[labels]) for stream, prototypes in self.prototypes.items()}

    def new(self, count: int) -> Float[np.ndarray, "samples inputs"]:
        """Inputs in directions of their own, one after the other."""
        x = self.rng.normal(size=(count, self.setting.inputs))
        return self._noisy(x / np.linalg.norm(x, axis=1, keepdims=True))

    def _noisy(self, x: np.ndarray) -> np.ndarray:
        noise = self.setting.noise / np.sqrt(self.setting.inputs)
        return self.setting.strength * (x + noise * self.rng.normal(size=x.shape))


def toy(setting: Setting, feedback: float, *, seed: int = 0) -> Toy:
    """Learn from familiar pairs, one at a time, and compare the subnetworks on familiar and on new inputs.

    Networks with and without feedback see the same samples in the same order, for one `seed`.
    """
    rng = np.random.default_rng(seed)
    world = World(setting, rng)
    labels = np.repeat(np.arange(setting.pairs), setting.tests)
    shown: dict[str, Pair] = {"familiar": world.familiar(labels)}
    for stream in STREAMS:
        shown[f"{stream} new"] = shown["familiar"] | {stream: world.new(len(labels))}
    order = rng.integers(setting.pairs, size=setting.samples)
    stream_of_samples = world.familiar(order)

    start = net = network(setting, feedback, seed=seed)
    history = [(0, similarity_cost(start, shown["familiar"]))]
    batches = ({name: x[i : i + 1] for name, x in stream_of_samples.items()} for i in range(setting.samples))
    for net, report in training(start, batches, rate=setting.rate, report_every=20):
        history.append((report.samples, similarity_cost(net, shown["familiar"])))

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
