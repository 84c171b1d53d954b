"""Large blocks of units that inhibit each other: ``python -m benchmarks.blocks [flat] [deep]``.

Flat: one layer of n units on digits, trained a little. Deep: two layers with feedback of 0.1, of n and n / 2 units on
digits, at every site or all to all. The default solver beside `simatch.Accelerated`, in turn: milliseconds for 100
images (medians of rounds), steps on average, and the median error of the activities against double precision.
"""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from sklearn import datasets

import simatch as sm
from simatch.estimators import SimilarityMatching

from . import reference
from .timing import in_turn

IMAGES, ROUNDS = 100, 9
# Without the types that scikit-learn's loaders have for their other forms of call.
DATASETS: Any = datasets
SOLVERS = {"default": None, "Accelerated": sm.Accelerated()}
# Scales at which layers on digits are active and do not excite each other.
SCALES = {"tanh": 1.0, "relu": 0.1, "clip": 0.3, "linear": 0.3}

Case = tuple[str, sm.Network, np.ndarray]


def flat() -> Iterator[Case]:
    """Rectified layers on digits as they are, where most units are active, and centred, where few are."""
    data = DATASETS.load_digits().data / 16
    for kind, x in {"as they are": data, "centred": data - data.mean(axis=0)}.items():
        for n in (32, 64, 100, 200, 400, 700):
            fitted = SimilarityMatching(n, activation="relu", random_state=0).set_params(max_iter=20).fit(x)
            yield f"relu {n}, {kind}", fitted.network_, (x / fitted.unit_).astype(np.float32)


def deep() -> Iterator[Case]:
    """Layers with feedback, of several activations and sizes."""
    x = DATASETS.load_digits().data / 16
    x = ((x - x.mean(axis=0)) / x.std()).astype(np.float32)
    for activation, scale in SCALES.items():
        for n in (20, 32, 64, 100):
            sites = [
                sm.Layer(units=units, stride=2, radius=2.5, activation=activation, scale=scale) for units in (n, n // 2)
            ]
            yield f"{activation} {n} a site", *_trained(sm.layered(sm.Grid(8, 8), sites, feedback=0.1), x)
        for n in (64, 200, 400):
            wide = [sm.Layer(units=units, activation=activation, scale=scale) for units in (n, n // 2)]
            yield f"{activation} {n}, all to all", *_trained(sm.layered(64, wide, feedback=0.1), x)


def _trained(net: sm.Network, x: np.ndarray) -> tuple[sm.Network, np.ndarray]:
    net, _ = sm.train(sm.sized(net, x), x, epochs=5, batch_size=50, progress=False)
    return net, x


def compare(name: str, net: sm.Network, x: np.ndarray) -> None:
    """Print time, steps and error of both solvers, and the ratio of the times."""
    x = x[:: len(x) // IMAGES][:IMAGES]
    truth = reference.solution(net, x.astype(float), 1e-9)
    settling = {
        solver: lambda own=own: jax.block_until_ready(sm.relax(net, x, solver=own).states)
        for solver, own in SOLVERS.items()
    }
    seconds = in_turn(settling, ROUNDS).seconds
    line = f"{name:24s}"
    for solver, own in SOLVERS.items():
        out = sm.relax(net, x, solver=own)
        error = np.median(reference.relative_error(reference.rows(out, net), truth))
        line += f" {solver} {1e3 * seconds[solver]:.1f} ms, {np.mean(out.steps):.0f} steps, {error:.1e};"
    ratio = seconds["Accelerated"] / seconds["default"]
    print(f"{line} {ratio:.1f} times as fast", flush=True)  # noqa: T201


def main() -> None:
    """Measure the cases that are named, or all."""
    warnings.simplefilter("ignore", sm.ConvergenceWarning)
    for cases in sys.argv[1:] or ("flat", "deep"):
        for case in {"flat": flat, "deep": deep}[cases]():
            compare(*case)


if __name__ == "__main__":
    main()
