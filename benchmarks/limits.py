"""What similarity matching is bad at: its features beside those of simpler methods, ``python -m benchmarks.limits``.

Patches of 6 by 6 pixels are described by a dictionary of patches, which all places of the image share, and summed over
the four quadrants; a linear readout is fitted on 5,000 images and tested on 2,000 (Coates, Lee and Ng 2011). The
dictionaries are random patches, k-means centres, and the units of one similarity-matching population. Beside them, the
network of the paper, whose sites have synapses of their own. ``--figure FILE`` draws the errors, ``--quick`` takes
fewer images and dictionaries.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans

import simatch as sm
from simatch.data import Dataset, load_dataset
from simatch.estimators import SimilarityMatching
from simatch.readout import LinearReadout

SIDE = 6
SIZES = (16, 64)
COSTS = (0.001, 0.01, 0.1, 1.0)
NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "digits": "digits"}

Encoder = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Images:
    """Images of shape (samples, height, width, channels), and their classes, for learning and for tests."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def patches(images: np.ndarray) -> np.ndarray:
    """Patches of images of shape (samples, height, width, channels), of shape (samples, rows, columns, numbers)."""
    step = 1 if images.shape[3] == 1 else 2  # colour images are larger
    windows = sliding_window_view(images, (SIDE, SIDE), axis=(1, 2))[:, ::step, ::step]
    return windows.reshape(*windows.shape[:3], -1)


class Whitening:
    """Patches with equal contrast and, as far as they rise above noise, equal variance in all directions."""

    def __init__(self, some: np.ndarray):
        some = _same_contrast(some)
        self.mean = some.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((some - self.mean).T))
        self.matrix = (vectors / np.sqrt(values + 0.1 * values.mean())) @ vectors.T

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return ((_same_contrast(x) - self.mean) @ self.matrix).astype(np.float32)


def _same_contrast(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-2)


def random_patches(x: np.ndarray, size: int, seed: int) -> Encoder:
    """Products with random patches, rectified at one standard deviation."""
    chosen = x[np.random.default_rng(seed).choice(len(x), size, replace=False)]
    chosen = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
    return lambda z: np.maximum(z @ chosen.T - 1, 0)


def k_means(x: np.ndarray, size: int, seed: int) -> Encoder:
    """How much nearer a patch is to each centre than to the centres on average."""
    settings: dict[str, Any] = {"batch_size": 2048, "n_init": 1, "random_state": seed}
    means: Any = MiniBatchKMeans(size, **settings).fit(x)
    centres = means.cluster_centers_

    def triangle(z: np.ndarray) -> np.ndarray:
        squares = (z**2).sum(1)[:, None] - 2 * z @ centres.T + (centres**2).sum(1)
        distances = np.sqrt(np.maximum(squares, 0))
        return np.maximum(distances.mean(1, keepdims=True) - distances, 0)

    return triangle


def matching(x: np.ndarray, size: int, seed: int) -> Encoder:
    """Activities of one population of rectified units that learned the patches by similarity matching."""
    settings: dict[str, Any] = {"activation": "relu", "tol": 0.05, "max_iter": 5, "random_state": seed}
    return SimilarityMatching(size, **settings).fit(x).transform


DICTIONARIES = {"random patches": random_patches, "k-means": k_means, "similarity matching": matching}


def pooled(images: np.ndarray, whitening: Whitening, encode: Encoder) -> np.ndarray:
    """Features of images: sums of what a dictionary says over the quadrants, 200 images at a time."""

    def some(part: np.ndarray) -> np.ndarray:
        x = patches(part)
        codes = encode(whitening(x.reshape(-1, x.shape[-1]))).reshape(*x.shape[:3], -1)
        half = [np.array_split(rows, 2, axis=2) for rows in np.array_split(codes, 2, axis=1)]
        return np.concatenate([quadrant.mean(axis=(1, 2)) for row in half for quadrant in row], axis=1)

    return np.concatenate([some(images[first : first + 200]) for first in range(0, len(images), 200)])


def error(data: Images, train: np.ndarray, test: np.ndarray) -> float:
    """Test error of a linear readout in percent; its cost is chosen on the last fifth of the training part."""
    train, test = (x.reshape(len(x), -1) for x in (train, test))
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-3
    train, test = ((x - mean) / scale for x in (train, test))
    part = len(train) * 4 // 5
    learned, held_out = slice(part), slice(part, None)
    scores = [
        LinearReadout(C=c).fit(train[learned], data.y_train[learned]).score(train[held_out], data.y_train[held_out])
        for c in COSTS
    ]
    best = COSTS[int(np.argmax(scores))]
    return 100 * (1 - LinearReadout(C=best).fit(train, data.y_train).score(test, data.y_test))


def published_network(data: Images, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Activities of the network of the paper: `units` at each site, with weights of their own."""
    centred = [x - x.mean(axis=(1, 2, 3), keepdims=True) for x in (data.x_train, data.x_test)]
    height, width, channels = data.x_train.shape[1:]
    layers = [sm.Layer(units=units, stride=2, radius=4.0)]
    net = sm.layered(sm.Grid(height, width, channels), layers, seed=0)
    net = sm.calibrate(net, centred[0])
    net, _ = sm.train(net, centred[0], epochs=4)
    return sm.encode(net, centred[0]), sm.encode(net, centred[1])


def some_of(data: Dataset, train: int, test: int, seed: int) -> Images:
    """Some images of both parts, drawn at random; a test part is held out if there is none."""
    data = data if data.x_test is not None else data.held_out()
    assert data.y_train is not None
    assert data.x_test is not None
    assert data.y_test is not None
    rng = np.random.default_rng(seed)
    few, others = (rng.permutation(len(x))[:n] for x, n in ((data.x_train, train), (data.x_test, test)))
    return Images(data.x_train[few], data.y_train[few], data.x_test[others], data.y_test[others])


def rows(name: str, *, quick: bool, seed: int = 0) -> Iterator[tuple[str, str, int, int, float, float]]:
    """Yield data set, method, size of the dictionary, number of features, test error and seconds."""
    data = some_of(load_dataset(name), 300 if quick else 3000, 200 if quick else 2000, seed)
    yield NAMES[name], "pixels", 0, data.x_train[0].size, error(data, data.x_train, data.x_test), 0.0
    flat = patches(data.x_train[:: 1 if quick else 2])
    flat = flat.reshape(-1, flat.shape[-1])
    some = flat[np.random.default_rng(seed).choice(len(flat), min(len(flat), 50_000), replace=False)]
    whitening = Whitening(some)
    some = whitening(some)
    for size in SIZES[:1] if quick else SIZES:
        for method, learn in DICTIONARIES.items():
            start = time.perf_counter()
            encode = learn(some, size, seed)
            train, test = (pooled(x, whitening, encode) for x in (data.x_train, data.x_test))
            yield NAMES[name], method, size, train.shape[1], error(data, train, test), time.perf_counter() - start
    for units in (2,) if quick else (4, 8):
        start = time.perf_counter()
        train, test = published_network(data, units)
        count = train[0].size
        yield NAMES[name], "network of the paper", units, count, error(data, train, test), time.perf_counter() - start


def draw(found: list[tuple[str, str, int, int, float, float]], file: Path) -> None:
    """Draw errors over the number of features, one panel for each data set."""
    import matplotlib.pyplot as plt

    from simatch.report import COLOURS, style

    sets = list(dict.fromkeys(row[0] for row in found))
    with style():
        drawing, axes = plt.subplots(1, len(sets), figsize=(4.2 * len(sets), 3.6), layout="constrained", squeeze=False)
        for ax, name in zip(axes[0], sets, strict=True):
            own = [row for row in found if row[0] == name]
            ax.axhline(own[0][4], color="grey", linestyle=":", label="pixels")
            for colour, method in zip(COLOURS, dict.fromkeys(row[1] for row in own[1:]), strict=False):
                points = [(row[3], row[4]) for row in own if row[1] == method]
                ax.plot(*zip(*points, strict=True), "o-", color=colour, label=method)
            ax.set(title=name, xlabel="features", ylabel="test error (%)", xscale="log", ylim=(0, None))
        axes[0][-1].legend()
        drawing.savefig(file, dpi=150)


def main(
    data: Annotated[list[str] | None, typer.Option(help="mnist, cifar10 or digits; may be repeated.")] = None,
    figure: Annotated[Path | None, typer.Option(help="File for the figure.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few images, one dictionary.")] = False,
) -> None:
    """Compare features of images."""
    found = []
    for name in data or ["mnist", "cifar10"]:
        for row in rows(name, quick=quick):
            found.append(row)
            print("{:9} {:20} {:4d} {:6d} features, error {:5.2f} %, {:6.1f} s".format(*row), flush=True)  # noqa: T201
    if figure is not None:
        draw(found, figure)


if __name__ == "__main__":
    typer.run(main)
