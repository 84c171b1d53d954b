"""Contrastive learning beside its published form: ``python -m benchmarks.contrast [PASSES] [MODEL ...]``.

MODEL is ``equilibrium`` or ``contrastive``. Both learn MNIST with one dense hidden layer of 500 units, with the
settings of ``simatch reproduce contrastive`` and with those of the publication. First images a second at the beginning,
in turns: medians over rounds. Then, for so many PASSES over all images (0: not at all), images a second over the whole
of learning, and the test errors of both.
"""

import statistics
import sys
import time

import jax
import numpy as np

import simatch as sm
from simatch.data import load_dataset
from simatch.papers.qin2021 import ROWS, Images, Setting, error_percent, learning_rate, model

from .published_contrast import BATCH, PublishedContrast

PUBLISHED = {
    "equilibrium": {"beta": 0.5, "rates": [0.5, 0.125], "lateral_rates": []},
    "contrastive": {"beta": 1.0, "rates": [0.5, 0.375], "lateral_rates": [0.01]},
}
ROUNDS, PUBLISHED_IMAGES, OUR_IMAGES = 5, 2_000, 12_000


def published_pass(net: PublishedContrast, name: str, images: Images, count: int) -> None:
    """Learn from so many images in their order."""
    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        x = images.x[part].reshape(BATCH, -1)
        net.learn(x, images.targets[part], part, **PUBLISHED[name])


def measure(name: str, images: Images, passes: float) -> None:
    """Print images a second of both, their ratio, and the test errors."""
    start, own = model(name, Setting(), images.grid, 0), ROWS[name]
    published = PublishedContrast.dense([784, 500, 10], len(images.x), lateral=name == "contrastive")
    batch = {"input": images.x[:OUR_IMAGES], "label": images.targets[:OUR_IMAGES]}

    def ours() -> float:
        began = time.perf_counter()
        batches = sm.epochs_of(batch, batch_size=own.batch_size)
        runs = sm.training(
            start.network,
            batches,
            rate=learning_rate(start, own, 1e6, len(images.x)),
            rule=start.rule,
            transform=start.transform,
            tolerance=start.tolerance,
            report_every=150,
        )
        *_, (net, report) = runs
        jax.block_until_ready(net.parameters)
        return report.samples / (time.perf_counter() - began)

    def theirs() -> float:
        began = time.perf_counter()
        published_pass(published, name, images, PUBLISHED_IMAGES)
        return PUBLISHED_IMAGES / (time.perf_counter() - began)

    ours()  # compiles
    rounds = [(ours(), theirs()) for _ in range(ROUNDS)]
    speed, peer = (statistics.median(own) for own in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"{name}: {speed:,.0f} images/s, published {peer:,.0f} images/s, ratio {ratio:.1f}")  # noqa: T201
    if passes:
        began = time.perf_counter()
        trained, _ = start.fit(
            images.x,
            images.targets,
            epochs=passes,
            batch_size=own.batch_size,
            rate=learning_rate(start, own, passes, len(images.x)),
            report_every=150,
        )
        middle = time.perf_counter()
        for _ in range(round(passes)):
            published_pass(published, name, images, len(images.x))
        speed, peer = (passes * len(images.x) / own for own in (middle - began, time.perf_counter() - middle))
        whole = f"{name}, all of learning: {speed:,.0f} images/s, published {peer:,.0f} images/s"
        print(f"{whole}, ratio {speed / peer:.1f}")  # noqa: T201
        errors = (
            error_percent(answers, images.y_test)
            for answers in (
                trained.outputs(images.x_test),
                published.answers(images.x_test.reshape(len(images.x_test), -1)),
            )
        )
        print("{}: test error {:.2f} %, published way {:.2f} %".format(name, *errors))  # noqa: T201


def main() -> None:
    """Measure the models that are named, or both."""
    images = Images.of(load_dataset("mnist"), Setting())
    passes = float(sys.argv[1]) if len(sys.argv) > 1 else 0
    for name in sys.argv[2:] or PUBLISHED:
        measure(name, images, passes)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
