"""The faces experiment of the paper: three local layers on Labeled Faces in the Wild, and measures of features."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import zoom

from ... import analysis
from ...data import Dataset, default_preprocessing
from ...learning import (
    PUBLISHED_RATIO,
    SILENT_BELOW,
    Course,
    GradientRule,
    Steps,
    calibrate,
    encode,
    epochs_of,
    hyperbolic,
    largest_rate,
    training,
)
from ...models import Layer, layered
from ...network import Grid, Network, with_feedback

Images = Float[np.ndarray, "samples height width channels"]
Responses = dict[str, Float[np.ndarray, "samples neurons"]]

# Radii in pixels, measured on the published mosaics.
PUBLISHED_EXTENT = (8, 12, 24)
RULE = GradientRule()
REPORT_EVERY, TOGETHER = 10, 200


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of the networks and of their measures.

    Attributes
    ----------
    units, radii : tuple
        Units at each site, and radius in sites of the layer below, for every layer.
    stride : int
        Stride of every layer.
    activation : str
    level : float
        Target root mean square of the activities, for which the scales of the structure constants are set.
    calibration_batches, batches, feedback_batches, batch_size : int
        Number of batches that set the scale of a layer; that it learns from afterwards; and that set the scales of all
        layers together and from which these learn together. Batches are few, because activities grow further with
        learning after the scale is set, more so in higher layers.
    feedback : float
        gamma of equation (10), after every layer has learned without feedback.
    rate, decay : float
        The learning rate is ``rate / (1 + decay progress)`` times the largest possible rate.
    tolerance : float
        Largest residual at which a sample counts as converged.
    held_out : int
        Number of faces that are not learned from.
    faces, correlated, covered : int
        Number of held-out faces with which responses are measured, of faces with which features are correlated, and of
        held-out faces that are covered square by square.
    square : int
        Side of such a square in pixels, and distance of the positions at which short edges are shown.
    threshold : float
        Share of the largest change of a unit's response above which a position belongs to the field of the unit.
    """

    units: tuple[int, ...] = (4, 8, 16)
    radii: tuple[float, ...] = (8.0, 6.0, 6.0)
    stride: int = 2
    activation: str = "tanh"
    level: float = 0.4
    calibration_batches: int = 60
    batches: int = 40
    feedback_batches: int = 20
    batch_size: int = 50
    feedback: float = 0.1
    rate: float = 0.1
    decay: float = 20.0
    tolerance: float = 1e-2
    held_out: int = 1000
    faces: int = 400
    correlated: int = 1500
    covered: int = 6
    square: int = 4
    threshold: float = 0.1

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages of learning, in their order: every layer from below, then all layers with feedback."""
        return (*(f"layer{i + 1}" for i in range(len(self.units))), "feedback")

    def planned(self, stage: str) -> int:
        """Return the number of batches of a stage."""
        return self.feedback_batches if stage == "feedback" else self.batches


QUICK = Setting(calibration_batches=25, batches=20, feedback_batches=8, faces=60, correlated=200, covered=2, square=8)


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """Preprocessed faces, for learning and held out."""

    x: Float[np.ndarray, "train height width channels"]
    x_test: Float[np.ndarray, "test height width channels"]


def faces(dataset: Dataset, setting: Setting, seed: int) -> Faces:
    """Hold faces out, and preprocess all faces with values fitted on the others.

    Raises
    ------
    ValueError
        If there are too few images.
    """
    x = dataset.x_train
    if len(x) < setting.held_out + setting.batch_size:
        raise ValueError(
            f"Holding {setting.held_out} images out of {len(x)} leaves less than a batch of {setting.batch_size}."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    preprocessing = default_preprocessing("lfw")
    learned = preprocessing.fit_transform(x[order[setting.held_out :]])
    return Faces(learned, preprocessing.transform(x[order[: setting.held_out]]))


def untrained(setting: Setting, data: Faces, seed: int) -> Network:
    """Build the whole network without feedback, before learning."""
    return layered(Grid(*data.x.shape[1:]), [_layer(setting, i) for i in range(len(setting.units))], seed=seed)


def beginning(setting: Setting, below: Sequence[Network], data: Faces, seed: int) -> Network:
    """Build the network of the next stage, on top of the layers that have learned, and set its scales from data.

    It is a network of one layer whose input is the layer below; after all layers, it is the whole network with
    feedback.
    """
    together = len(below) == len(setting.units)
    batches = setting.feedback_batches if together else setting.calibration_batches
    few = data.x[: batches * setting.batch_size]
    if together:
        net = stacked(setting, below, setting.feedback)
    else:
        parts = np.array_split(few, math.ceil(len(few) / TOGETHER))
        few = np.concatenate(list(_heard(setting, below, parts)))
        net = layered(Grid(*few.shape[1:]), [_layer(setting, len(below))], seed=seed + len(below))
    return calibrate(net, few, level=setting.level, batches=batches, batch_size=setting.batch_size, seed=seed)


def learning(setting: Setting, below: Sequence[Network], data: Faces, seed: int, course: Course) -> Steps:
    """Learn what is left of a stage, with the samples and rates of a stage that was not interrupted."""
    together = len(below) == len(setting.units)
    planned = setting.feedback_batches if together else setting.batches
    epochs = planned * setting.batch_size / len(data.x) + 1
    order = epochs_of(data.x, epochs=epochs, batch_size=setting.batch_size, seed=seed, start=course.batches)
    batches: Iterator[Any] = itertools.islice(order, planned - course.batches)
    return training(
        course.network,
        batches if together else _heard(setting, below, batches),
        rate=hyperbolic(
            setting.rate * largest_rate(course.network, PUBLISHED_RATIO, RULE), over=planned, decay=setting.decay
        ),
        ratio=PUBLISHED_RATIO,
        rule=RULE,
        tolerance=setting.tolerance,
        report_every=REPORT_EVERY,
        after=course.last,
    )


def stacked(setting: Setting, networks: Sequence[Network], feedback: float) -> Network:
    """Put networks of one layer on top of each other, with feedback between them."""
    layers = [_layer(setting, i, scale=float(net.feedforward[0].scale)) for i, net in enumerate(networks)]
    weights = [own for net in networks for own in net.weights]
    alone = layered(networks[0].populations["input"].grid, layers).with_weights(weights)
    return with_feedback(alone, feedback)


def _layer(setting: Setting, number: int, scale: float = 1.0) -> Layer:
    return Layer(
        units=setting.units[number],
        stride=setting.stride,
        radius=setting.radii[number],
        activation=setting.activation,
        scale=scale,
    )


def _heard(setting: Setting, below: Sequence[Network], batches: Iterable[Images]) -> Iterator[Images]:
    """Inputs of the next layer: the images, or the activities of the last layer that has learned."""
    for x in batches:
        for net in below:
            top = net.populations[net.layers[-1]].grid
            x = encode(net, x, batch_size=TOGETHER, tolerance=setting.tolerance).reshape(-1, *top.shape)
        yield x


@dataclasses.dataclass(frozen=True)
class Measures:
    """Measures of one layer.

    Attributes
    ----------
    extent : float
        Median radius in pixels of the part of the image that elicits a response (`simatch.analysis.extent`).
    reach : float
        Largest distance in pixels that paths of feedforward synapses reach.
    alive, saturated : float
        Share of units that respond to at least one held-out face, and of activities near a bound.
    level : float
        Root mean square of the activities.
    sparseness : float
        Mean sparseness over held-out faces of the units that are alive; 0.36 for normally distributed responses.
    orientation, oriented : float
        Median selectivity for the orientation of faint gratings, and share of units with a selectivity above 1/3.
    position : float
        Median radius in pixels of the area where a short edge elicits at least half of the largest response.
    learned_from, upside_down, scrambled : float
        Power of the responses to faces learned from, to upside-down and to phase-scrambled held-out faces, relative to
        that of the responses to held-out faces.
    prefers_upright, prefers_faces : float
        Share of held-out faces to which the layer responds with more power than to the same face upside down, and than
        to the same face scrambled.
    completion : float
        With the left half of each face covered: for units whose receptive fields lie within the covered half, the mean
        correlation over faces of their responses with those to the whole face; NaN if there is no such unit.
    """

    extent: float
    reach: float
    alive: float
    saturated: float
    level: float
    sparseness: float
    orientation: float
    oriented: float
    position: float
    learned_from: float
    upside_down: float
    scrambled: float
    prefers_upright: float
    prefers_faces: float
    completion: float


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Measures of every layer, and the extent of every unit in pixels."""

    measures: dict[str, Measures]
    extents: dict[str, Float[np.ndarray, " _"]]


def measure(
    setting: Setting, network: Network, data: Faces, seed: int, *, say: Callable[[str], None] = lambda _: None
) -> Measured:
    """Measure a network on held-out faces and on stimuli."""
    height, width, channels = data.x.shape[1:]
    some = data.x_test[: setting.faces]
    rms = float(np.sqrt(np.mean(data.x**2)))

    def responses(x: Images) -> Responses:
        return _responses(setting, network, x)

    def shown(pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Responses to grey pictures; the leading axes are those of the array of pictures."""
        flat = np.repeat(pictures.reshape(-1, height, width, 1), channels, axis=-1)
        return {name: r.reshape(*pictures.shape[:-2], -1) for name, r in responses(flat).items()}

    say("faces")
    upright = responses(some)
    others = {
        "learned_from": responses(data.x[: setting.faces]),
        "upside_down": responses(some[:, ::-1, ::-1]),
        "scrambled": responses(analysis.phase_scrambled(some, seed=seed)),
    }
    half = some.copy()
    half[:, :, : width // 2] = 0
    covered_half = responses(half)
    say("covered faces")
    few = data.x_test[: setting.covered]
    squares = analysis.occluded(few, setting.square)
    covered = responses(squares.reshape(-1, *few.shape[1:]))
    say("gratings and edges")
    # Faint, because strong gratings drive units towards their bounds, where responses hardly depend on the orientation.
    # An edge has all its power at one position.
    striped = shown(rms / 4 * analysis.gratings(height, width))
    edged = shown(rms / 4 * analysis.edges(height, width, spacing=setting.square))

    measures, extents = {}, {}
    for number, name in enumerate(network.layers):
        grid = network.populations[name].grid
        centres, reach = analysis.centres(grid, height, width), _reach(setting, number)
        r = upright[name]
        change = np.abs(covered[name].reshape(*squares.shape[:3], -1) - r[: len(few)]).mean(axis=2)
        extents[name] = analysis.extent(_fields(change, setting), centres)
        power = {kind: (states[name] ** 2).mean(axis=1) for kind, states in others.items()}
        own = (r**2).mean(axis=1)
        tuned = analysis.orientation_selectivity(np.abs(striped[name]).max(axis=(1, 2)))
        alive = np.abs(r).max(axis=0) >= SILENT_BELOW
        blind = centres[:, 1] + reach < width // 2
        measures[name] = Measures(
            extent=float(np.nanmedian(extents[name])),
            reach=reach,
            alive=float(alive.mean()),
            saturated=float(np.mean(network.activations[name].saturated(jnp.asarray(r)))),
            level=float(np.sqrt(own.mean())),
            sparseness=float(analysis.sparseness(r)[alive].mean()) if alive.any() else 0.0,
            orientation=float(np.median(tuned)),
            oriented=float(np.mean(tuned > 1 / 3)),
            position=_position(np.abs(edged[name]).max(axis=3), setting.square),
            **{kind: float(p.mean() / own.mean()) for kind, p in power.items()},
            prefers_upright=float(np.mean(own > power["upside_down"])),
            prefers_faces=float(np.mean(own > power["scrambled"])),
            completion=_correlation(covered_half[name][:, blind], r[:, blind]),
        )
    return Measured(measures, extents)


def features(
    setting: Setting,
    network: Network,
    extents: Mapping[str, Float[np.ndarray, " _"]],
    data: Faces,
    chosen: Mapping[str, np.ndarray],
) -> dict[str, Images]:
    """Reverse correlations of chosen units of every layer, masked to a disc with the extent of the unit."""
    x = data.x[: setting.correlated]
    height, width = x.shape[1:3]
    masked = {}
    for name, r in _responses(setting, network, x).items():
        units = chosen[name]
        place = analysis.centres(network.populations[name].grid, height, width)[units, :, None, None]
        distance = np.linalg.norm(np.indices((height, width)) - place, axis=1)
        inside = distance <= extents[name][units, None, None]
        masked[name] = analysis.reverse_correlation(r[:, units], x) * inside[..., None]
    return masked


def spread(grid: Grid, most: int = 64) -> np.ndarray:
    """Indices of up to `most` units: all units of some sites, which lie on an even lattice."""
    count = max(1, most // grid.units)
    rows = min(grid.height, max(1, math.isqrt(count)))
    columns = min(grid.width, count // rows)
    down, right = (np.arange(1, n + 1) * side / (n + 1) for n, side in ((rows, grid.height), (columns, grid.width)))
    sites = (down.astype(int)[:, None] * grid.width + right.astype(int)).ravel()
    return (sites[:, None] * grid.units + np.arange(grid.units)).ravel()


def _responses(setting: Setting, network: Network, x: Images) -> Responses:
    states = encode(network, x, layers=network.layers, batch_size=TOGETHER, tolerance=setting.tolerance)
    ends = np.cumsum([network.populations[name].grid.size for name in network.layers])
    return dict(zip(network.layers, np.split(states, ends[:-1], axis=1), strict=True))


def _reach(setting: Setting, number: int) -> float:
    """Radius in pixels of the part of the image that reaches a unit of a layer through the layers below."""
    return sum(radius * setting.stride**i for i, radius in enumerate(setting.radii[: number + 1]))


def _fields(
    change: Float[np.ndarray, "rows columns neurons"], setting: Setting
) -> Bool[np.ndarray, "neurons height width"]:
    """Pixels at which the response of a unit changes by more than a share of its largest change.

    Changes are interpolated linearly between the centres of the squares.
    """
    factor = (1, setting.square, setting.square)
    fine = zoom(change.transpose(2, 0, 1), factor, order=1, mode="nearest", grid_mode=True)
    return fine > setting.threshold * np.max(change, axis=(0, 1))[:, None, None]


def _position(responses: Float[np.ndarray, "orientations rows columns neurons"], spacing: int) -> float:
    """Radius of the area with at least half of the largest response, for the orientation that elicits it."""
    peaks = responses.max(axis=(1, 2))
    neurons = np.arange(responses.shape[-1])
    best = responses[peaks.argmax(axis=0), :, :, neurons]
    places = (best >= peaks.max(axis=0)[:, None, None] / 2).sum(axis=(1, 2))
    return float(np.median(np.sqrt(places * spacing**2 / np.pi)))


def _correlation(a: Float[np.ndarray, "samples neurons"], b: Float[np.ndarray, "samples neurons"]) -> float:
    """Mean over neurons of the correlation over samples; it is 0 for a neuron with constant activity."""
    if not a.shape[1]:
        return math.nan
    a, b = (r - r.mean(axis=0) for r in (a, b))
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return float(np.divide((a * b).sum(axis=0), size, out=np.zeros_like(size), where=size > 0).mean())
