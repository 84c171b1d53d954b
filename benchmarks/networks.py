"""The networks that are measured, their images, and weights early in training and trained."""

import dataclasses
import hashlib
import itertools
import os
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

import simatch as sm
from simatch.data import Preprocessing, default_preprocessing, load_dataset

Stage = Literal["early", "trained"]
Images = Float[np.ndarray, "samples height width"]

EARLY_BATCHES, MOST_IMAGES = 10, 20_000


@dataclasses.dataclass(frozen=True)
class Kind:
    """A network and how it learns.

    Attributes
    ----------
    data : str
        Data set; its images minus their own mean, faces as `default_preprocessing` says.
    layers : tuple of Layer
    feedback : float
    enlarged : int
        Factor by which images are enlarged, every pixel a square.
    batches : int
        Batches after which weights count as trained.
    first_rate, decay : float
        Learning rate ``first_rate / (1 + decay progress)``.
    calibrated : bool
        Whether scales of the layers are found from the data first.
    """

    data: str
    layers: tuple[sm.Layer, ...]
    feedback: float = 0.0
    enlarged: int = 1
    batches: int = 300
    first_rate: float = 0.05
    decay: float = 2.0
    calibrated: bool = False

    def images(self, count: int, cache: Path) -> Images:
        """Return the first images of the training part, at most 20,000, ready for the network.

        They are kept in a file, so that a row's memory is that of its own images and not of the data set.
        """
        path = cache / f"{self.data}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            x = load_dataset(self.data).x_train[:MOST_IMAGES]
            preprocessing = default_preprocessing("lfw") if self.data == "lfw" else Preprocessing(own_mean=True)
            np.save(path, preprocessing.fit_transform(x)[..., 0])
        x = np.array(np.load(path, mmap_mode="r")[:count])
        return x.repeat(self.enlarged, axis=1).repeat(self.enlarged, axis=2)

    def rate(self, batch: int) -> float:
        """Learning rate after a number of batches."""
        return self.first_rate / (1 + self.decay * batch / self.batches)

    def file(self, stage: Stage, cache: Path) -> Path:
        """Return where weights are kept; other settings are kept elsewhere."""
        settings = hashlib.sha256(repr(self).encode()).hexdigest()[:12]
        return cache / f"{settings}-{stage}.safetensors"

    def network(self, stage: Stage, cache: Path) -> sm.Network:
        """Return the network at a stage of its training, from the cache or by training it now."""
        path = self.file(stage, cache)
        if not path.exists():
            number = EARLY_BATCHES if stage == "early" else self.batches
            x = self.images(100 * number, cache)
            net = sm.layered(sm.Grid(*x.shape[1:]), self.layers, feedback=self.feedback)
            if self.calibrated:
                net = sm.calibrate(net, x, rate=0.01)
            batches = itertools.islice(sm.epochs_of(x, epochs=1 + 100 * number / len(x)), number)
            net, _ = sm.train(net, batches, rate=self.rate, report_every=10)
            sm.save(net, path)
        return sm.load(path)


def mnist(units: int, *, activation: str = "tanh", batches: int = 300, enlarged: int = 1) -> Kind:
    """One layer of the paper's geometry on MNIST, with `units` at each site."""
    layer = sm.Layer(units=units, stride=2, radius=4.0, activation=activation)
    return Kind("mnist", (layer,), batches=batches, enlarged=enlarged)


def faces(feedback: float) -> Kind:
    """Three layers on faces of 64 by 64; other strengths of feedback than 0.3 are measured beside it."""
    layers = (
        sm.Layer(units=4, stride=2, radius=8.0),
        sm.Layer(units=8, stride=2, radius=6.0),
        sm.Layer(units=16, stride=2, radius=6.0),
    )
    return Kind("lfw", layers, feedback=feedback, batches=100, first_rate=0.01, calibrated=True)


def digits(feedback: float) -> Kind:
    """The demo's two layers."""
    layers = (sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=16))
    return Kind("digits", layers, feedback=feedback, batches=20, calibrated=True)


KINDS = {
    "mnist-4": mnist(4),
    "mnist-16": mnist(16),
    "mnist-32": mnist(32),
    "mnist-100": mnist(100, batches=150),
    "mnist-16-56": mnist(16, enlarged=2),
    "mnist-16-112": mnist(16, enlarged=4),
    "faces": faces(0.3),
    "faces-0": faces(0.0),
    "faces-0.1": faces(0.1),
    "faces-1": faces(1.0),
    "relu-64": Kind("mnist", (sm.Layer(units=64, activation="relu"),)),
    "soft-16": mnist(16, activation="soft_threshold:0.1"),
    "subspace-16": Kind("mnist", (sm.Layer(units=16, activation="linear"),)),
    "digits-deep": digits(0.1),
    "digits-4": Kind("digits", (sm.Layer(units=4, stride=2, radius=2.0),), batches=20),
}


def default_cache() -> Path:
    """Return the folder in which weights are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simatch" / "benchmarks"
