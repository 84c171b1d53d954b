"""The two experiments: half moons with a radial kernel, digits with a power of the cosine."""

import dataclasses
import time

import numpy as np
from jaxtyping import Float, Int

from ...data import Dataset
from ...estimators import KernelSimilarityMatching
from ...learning import encode, hyperbolic, train
from ...models import kernel_matching, kernel_rule
from ...network import CosinePowerKernel
from ...readout import LinearReadout
from ...relaxation import Direct
from ...storage import Checkpoints

# Published: 16 units, width 0.3, 1600 points with noise 0.1.
POINTS, UNITS, WIDTH, NOISE = 1600, 16, 0.3, 0.1
GAMMA = 1 / (2 * WIDTH**2)


@dataclasses.dataclass(frozen=True)
class Moons:
    """Half moons and what the network makes of them.

    Attributes
    ----------
    x, moon : arrays of shape (points, 2) and (points,)
    landmarks : array of shape (units, 2)
    activities, nystroem : array of shape (points, units)
        Of the network, and the features of scikit-learn's Nystroem with as many random landmarks.
    error, nystroem_error, best : float
        Relative distance of the dot products of both from the kernel, and the smallest one of this rank.
    plain, readout : float
        Accuracy in percent of a linear readout of the points, and of the activities.
    """

    x: Float[np.ndarray, "points 2"]
    moon: Int[np.ndarray, " points"]
    landmarks: Float[np.ndarray, "units 2"]
    activities: Float[np.ndarray, "points units"]
    nystroem: Float[np.ndarray, "points units"]
    error: float
    nystroem_error: float
    best: float
    plain: float
    readout: float

    @property
    def kernel(self) -> Float[np.ndarray, "points points"]:
        """The kernel of all pairs of points."""
        return radial_kernel(self.x)


def radial_kernel(x: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points points"]:
    """Return the radial kernel of the paper, of all pairs of points."""
    from sklearn.metrics.pairwise import rbf_kernel

    return np.asarray(rbf_kernel(x, gamma=GAMMA))


def moons(seed: int = 0) -> Moons:
    """Learn the radial kernel of half moons."""
    from sklearn.datasets import make_moons
    from sklearn.kernel_approximation import Nystroem

    x, moon = map(np.asarray, make_moons(POINTS, noise=NOISE, random_state=seed))
    exact = radial_kernel(x)
    matching = KernelSimilarityMatching(UNITS, gamma=GAMMA, random_state=seed).fit(x)
    z = matching.transform(x).astype(float)
    values = np.linalg.eigvalsh(exact)
    other = Nystroem(gamma=GAMMA, n_components=UNITS, random_state=seed).fit_transform(x)

    def distance(features: np.ndarray) -> float:
        return float(np.linalg.norm(features @ features.T - exact) / np.linalg.norm(exact))

    def accuracy(features: np.ndarray) -> float:
        return 100 * float(LinearReadout(C=100.0).fit(features, moon).score(features, moon))

    return Moons(
        x,
        moon,
        matching.landmarks_,
        z,
        other,
        distance(z),
        distance(other),
        float(np.linalg.norm(values[:-UNITS]) / np.linalg.norm(values)),
        accuracy(x),
        accuracy(z),
    )


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of the experiment on digits.

    Attributes
    ----------
    data : str
        Name of the data set.
    units, power : int
        Number of units, and power of the cosine.
    margin : int
        Pixels cut off at every side.
    batches, batch_size : int
    rate : float
        Rate of landmarks and of lateral synapses at the beginning; a tenth at the end.
    leak : float
    c : float
        Setting of the readout (`simatch.readout.LinearReadout`) on features of mean squared length 1.
    """

    data: str = "mnist"
    units: int = 800
    power: int = 3
    margin: int = 4
    batches: int = 1500
    batch_size: int = 256
    rate: float = 0.1
    leak: float = 1e-4
    c: float = 1000.0


QUICK = Setting("digits", units=60, margin=0, batches=300, batch_size=64, c=10.0)


@dataclasses.dataclass(frozen=True)
class Digits:
    """What a network makes of digits.

    Attributes
    ----------
    error, pixels_error : float
        Test errors in percent of a linear readout of the features, and of the pixels.
    kernel_error : float
        Relative distance of the dot products of test features from the kernel.
    condition : float
        Condition number of the lateral matrix.
    unconverged : int
        Samples learned from before they had settled.
    learning, reading : float
        Seconds of learning, and of encoding and fitting the readout.
    landmarks : array of shape (units, height, width)
    """

    error: float
    pixels_error: float
    kernel_error: float
    condition: float
    unconverged: int
    learning: float
    reading: float
    landmarks: Float[np.ndarray, "units height width"]


def digits(setting: Setting, dataset: Dataset, seed: int = 0, *, checkpoints: Checkpoints | None = None) -> Digits:
    """Learn from training images without labels; then fit a linear readout on all training labels."""
    data = dataset if dataset.x_test is not None else dataset.held_out(0.25, seed=seed)
    assert data.x_test is not None
    assert data.y_train is not None
    cut = slice(setting.margin, -setting.margin or None)
    parts = [
        np.asarray(part)[:, cut, cut].reshape(len(part), -1).astype(np.float32) for part in (data.x_train, data.x_test)
    ]
    x, x_test = (part / np.sqrt(np.mean(np.sum(parts[0] ** 2, axis=1))) for part in parts)
    kernel = CosinePowerKernel(setting.power)
    net = kernel_matching(
        x.shape[1], setting.units, kernel, leak=setting.leak, lateral=0.01, samples=x, size=0.1, seed=seed
    )
    rate = hyperbolic(setting.rate, over=setting.batches, decay=9.0)
    net, reports = train(
        net,
        x,
        rule=kernel_rule(net),
        rate={"descending": rate, "ascending": rate},
        epochs=setting.batches * setting.batch_size / len(x),
        batch_size=setting.batch_size,
        seed=seed,
        checkpoints=checkpoints,
        progress=False,
    )
    learned = time.perf_counter()
    z, z_test = (encode(net, part, solver=Direct(), batch_size=1024) for part in (x, x_test))
    unit = np.sqrt(np.mean(np.sum(z**2, axis=1)))
    readout = LinearReadout(C=setting.c).fit(z / unit, data.y_train)
    error = 100 * float(1 - readout.score(z_test / unit, data.y_test))
    read = time.perf_counter()
    some, own = x_test[:2000].astype(float), z_test[:2000].astype(float)
    lengths = np.linalg.norm(some, axis=1)
    product = some @ some.T
    exact = product * (product / np.outer(lengths, lengths)) ** (setting.power - 1)
    lateral = np.linalg.eigvalsh(np.asarray(net.parameters[1], float)) + setting.leak
    side = round(np.sqrt(x.shape[1]))
    return Digits(
        error,
        100 * float(1 - LinearReadout(C=setting.c).fit(x, data.y_train).score(x_test, data.y_test)),
        float(np.linalg.norm(own @ own.T - exact) / np.linalg.norm(exact)),
        float(lateral[-1] / lateral[0]),
        sum(report.unconverged for report in reports),
        reports[-1].seconds,
        read - learned,
        np.asarray(net.parameters[0]["landmarks"]).reshape(-1, side, side),
    )
