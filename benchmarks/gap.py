"""Samples until learning arrives: ``python -m benchmarks.gap [--only NAME] [--out FILE.json] [--figure FILE.png]``.

The distance of learning from its optimum (equation 22) on held-out samples, over the number of samples learned from,
for the published rule, one sample at a time, for the averaging rule as `simatch.train` uses it by default, and for
other candidates.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optax

import simatch as sm
from simatch.data import load_dataset
from simatch.learning import automatic_rate
from simatch.papers.obeid2019 import _faces, _mnist
from simatch.report import style

HELD_OUT = 2000
# Numbers of samples after which a network is measured.
POINTS = tuple(round(100 * 1.5**i) for i in range(18))


RULES: dict[str, dict[str, Any]] = {
    "published, one by one": {"size": 1, "rate": sm.published_schedule(1), "ratio": 0.5, "rule": sm.GradientRule()},
    "published, batches of 100": {
        "size": 100,
        "rate": lambda n: 0.04 / (1 + 20 * n / 1200),
        "ratio": 0.5,
        "rule": sm.GradientRule(),
    },
    "default": {"size": 100, "rate": automatic_rate(100)},
    "default, batches of 400": {"size": 400, "rate": automatic_rate(400)},
    "ratio 2": {"size": 100, "rate": automatic_rate(100), "ratio": 2.0},
    "ratio 0.5": {"size": 100, "rate": automatic_rate(100), "ratio": 0.5},
    "momentum 0.9": {"size": 100, "rate": automatic_rate(100), "transform": optax.ema(0.9, debias=False)},
    "constant 0.05": {"size": 100, "rate": 0.05},
}


def mnist(units: int) -> tuple[sm.Network, np.ndarray, np.ndarray]:
    """Network of the paper with `units` neurons at a site."""
    setting = _mnist.Setting()
    data = _mnist.images(load_dataset("mnist"), setting, 0)
    return _mnist.untrained(setting, units, 0, data), data.x, data.x_test[:HELD_OUT]


def digits() -> tuple[sm.Network, np.ndarray, np.ndarray]:
    """Two layers with feedback, with scales from the data."""
    x = load_dataset("digits").x_train
    x = x - x.mean(axis=(1, 2), keepdims=True)
    layers = [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=16)]
    net = sm.calibrate(sm.layered(sm.Grid(8, 8), layers, feedback=0.1), x[400:])
    return net, x[400:], x[:400]


def faces() -> tuple[sm.Network, np.ndarray, np.ndarray]:
    """Three layers of the paper's network of faces, which learn together, with scales from the data."""
    setting = _faces.Setting()
    data = _faces.faces(load_dataset("lfw"), setting, 0)
    net = _faces.untrained(setting, data, 0)
    return sm.calibrate(net, data.x[:1000], level=setting.level, batch_size=50), data.x, data.x_test[:500]


NETWORKS: dict[str, Callable[[], tuple[sm.Network, np.ndarray, np.ndarray]]] = {
    "MNIST, NPS 4": lambda: mnist(4),
    "MNIST, NPS 16": lambda: mnist(16),
    "digits, two layers with feedback": digits,
    "faces, three layers": faces,
}


def curve(
    net: sm.Network, x: np.ndarray, held_out: np.ndarray, most: int, seconds: float, *, size: int, **settings: Any
) -> list[dict[str, float]]:
    """Certificates of a network while it learns, at about the numbers of samples in `POINTS`."""
    found, points, spent = [], [p for p in POINTS if p <= most], 0.0
    epochs = most / len(x) + 1
    report_every = max(1, 100 // size)
    began = time.perf_counter()
    batches = sm.epochs_of(x, epochs=epochs, batch_size=size)
    for learned, report in sm.training(net, batches, report_every=report_every, tolerance=1e-3, **settings):
        if report.samples < points[0]:
            continue
        spent += time.perf_counter() - began
        own = sm.certificate(learned, held_out, tolerance=1e-3)
        found.append(
            {
                "samples": report.samples,
                "primal": own.primal,
                "dual": own.dual,
                "gap": own.gap,
                "distance": own.distance,
                "seconds": spent,
            }
        )
        points = [p for p in points if p > report.samples]
        if not points or spent > seconds:
            break
        began = time.perf_counter()
    return found


def first_below(points: list[dict[str, float]], limit: float) -> float:
    """Samples after which the distance stays below a limit; infinity if it does not."""
    below = [p["distance"] <= limit for p in points]
    last = max((i for i, good in enumerate(below) if not good), default=-1)
    return points[last + 1]["samples"] if last + 1 < len(points) else float("inf")


def measured(
    only: str | None, rules: list[str], most: int, seconds: float
) -> Iterator[tuple[str, str, list[dict[str, float]]]]:
    """Curves of all networks whose name contains `only`, and of all rules."""
    for name, made in NETWORKS.items():
        if only is None or only in name:
            net, x, held_out = made()
            for rule in rules:
                yield name, rule, curve(net, x, held_out, most, seconds, **RULES[rule])


def figure(curves: dict[str, dict[str, list[dict[str, float]]]], path: Path) -> None:
    """Draw distance over samples, one panel for each network."""
    import matplotlib.pyplot as plt

    shown = {"published, one by one": "C1", "published, batches of 100": "C3", "default": "C0"}
    with style():
        drawing, axes = plt.subplots(1, len(curves), figsize=(3.1 * len(curves), 3.2), sharey=True, squeeze=False)
        for axis, (name, rules) in zip(axes[0], curves.items(), strict=True):
            for rule, colour in shown.items():
                points = rules[rule]
                axis.loglog([p["samples"] for p in points], [p["distance"] for p in points], color=colour, label=rule)
            axis.axhline(0.05, color="0.6", linewidth=0.8, linestyle=":")
            axis.set_title(name.replace(" layers with", " layers,\n"), fontsize="medium")
            axis.set_xlabel("samples learned from")
        axes[0, 0].set_ylabel("distance from the optimum")
        axes[0, 0].legend(frameon=False, fontsize="small")
        drawing.savefig(path, dpi=150, bbox_inches="tight")


def main() -> None:
    """Measure, print a table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only")
    parser.add_argument("--rules", nargs="+", default=list(RULES))
    parser.add_argument("--most", type=int, default=60_000, help="samples a network learns from")
    parser.add_argument("--seconds", type=float, default=60.0, help="longest time of learning of one curve")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    curves: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name, rule, points in measured(given.only, given.rules, given.most, given.seconds):
        curves.setdefault(name, {})[rule] = points
        last, five, one = points[-1], first_below(points, 0.05), first_below(points, 0.01)
        print(  # noqa: T201
            f"{name:34s} {rule:26s} to 5e-2: {five:8.0f}  to 1e-2: {one:8.0f}  after {last['samples']:7.0f}: "
            f"primal {last['primal']:9.2f} gap {last['gap']:8.4f} distance {last['distance']:.4f}",
            flush=True,
        )
    if given.out:
        given.out.write_text(json.dumps(curves))
    if given.figure:
        figure(curves, given.figure)


if __name__ == "__main__":
    main()
