"""What the tolerance of the relaxation does to learning: ``python -m benchmarks.tolerance``.

The MNIST network with 4 units a site learns from 20,000 images with different tolerances. Afterwards all are judged
alike: dual cost and features at a tolerance of 1e-4, the readout trained on 10,000 images and validated on the last
10,000 of the training part, which neither network nor readout has seen.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import simatch as sm
from simatch.data import Preprocessing, load_dataset
from simatch.readout import LinearReadout

BATCHES, REPORT_EVERY, STRICT = 200, 10, 1e-4

TOLERANCES: dict[str, Callable[[float], float]] = {
    "1e-2": lambda progress: 1e-2,
    "3e-3": lambda progress: 3e-3,
    "1e-3": lambda progress: 1e-3,
    "1e-4": lambda progress: 1e-4,
    "1e-2 falling to 1e-3": lambda progress: 10 ** (-2 - progress),
    "3e-2 falling to 1e-3": lambda progress: 3e-2 * (1 / 30) ** progress,
}


def learn(x: np.ndarray, tolerance: Callable[[float], float], seed: int) -> tuple[sm.Network, float, float]:
    """Learn from all batches with a tolerance that depends on progress: network, steps an image, seconds."""
    net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=4, stride=2, radius=4.0)], seed=seed)
    rate = sm.hyperbolic(0.05, over=BATCHES)
    stream = sm.epochs_of(x, epochs=100 * BATCHES / len(x), seed=seed)
    reports, began = [], time.perf_counter()
    for start in range(0, BATCHES, REPORT_EVERY):
        batches = itertools.islice(stream, REPORT_EVERY)
        own = tolerance(start / (BATCHES - REPORT_EVERY))
        runs = sm.training(
            net, batches, rate=rate, tolerance=own, report_every=REPORT_EVERY, after=reports[-1] if reports else None
        )
        net, report = next(runs)
        reports.append(report)
    return net, float(np.mean([report.steps for report in reports])), time.perf_counter() - began


def main() -> None:
    """Learn with every tolerance and seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = load_dataset("mnist")
    assert data.y_train is not None
    x = Preprocessing(own_mean=True).fit_transform(data.x_train)
    train, validation = slice(0, 10_000), slice(50_000, 60_000)
    rows = []
    for seed, (name, tolerance) in itertools.product(range(options.seeds), TOLERANCES.items()):
        net, steps, seconds = learn(x[:20_000], tolerance, seed)
        features, unseen = (sm.encode(net, x[part], tolerance=STRICT) for part in (train, validation))
        readout = LinearReadout(class_weight="balanced", tol=1e-3).fit(features, data.y_train[train])
        rows.append(
            {
                "tolerance": name,
                "seed": seed,
                "steps": steps,
                "seconds": seconds,
                "cost": float(sm.objective(net, x[validation][:2000])),
                "error_percent": 100 * float(np.mean(readout.predict(unseen) != data.y_train[validation])),
            }
        )
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
    table = Table("tolerance", "steps", "seconds", "dual cost", "validation error")
    for name in TOLERANCES:
        own = [row for row in rows if row["tolerance"] == name]
        steps, seconds, cost, error = (
            np.array([row[key] for row in own]) for key in ("steps", "seconds", "cost", "error_percent")
        )
        errors = f"{error.mean():.2f} % ({error.min():.2f} to {error.max():.2f})"
        table.add_row(name, f"{steps.mean():.1f}", f"{np.median(seconds):.1f}", f"{cost.mean():.4f}", errors)
    Console().print(table)


if __name__ == "__main__":
    main()
