"""Whether deep networks learn or say why not, on every kind of input: ``python -m benchmarks.grid``.

8 kinds of input x 6 activations x 3 depths, with the estimator's defaults. Collapse is judged from the features alone,
by NumPy: not finite, varying less than a hundredth as much as the inputs do, copies of each other, or saturated.
"""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from sklearn import datasets

import simatch as sm
from simatch.estimators import DeepSimilarityMatching

# Without the types that scikit-learn's loaders have for their other forms of call.
DATASETS: Any = datasets

ACTIVATIONS = ("linear", "relu", "tanh", "clip", "soft_threshold", "shifted_relu")
# Layers and feedback.
DEPTHS = {1: ((16,), 0.0), 2: ((24, 12), 0.2), 3: ((24, 16, 8), 0.0)}
COPIES, RANK, SATURATED = 0.99, 1.2, 0.95


def _factors(rng: np.random.Generator, rows: int, columns: int, count: int = 10) -> np.ndarray:
    """Rows of a few common factors, and noise."""
    return rng.normal(size=(rows, count)) @ rng.normal(size=(count, columns)) + rng.normal(size=(rows, columns))


def _breast_cancer(_: np.random.Generator) -> np.ndarray:
    x = DATASETS.load_breast_cancer().data
    return (x - x.mean(axis=0)) / x.std(axis=0)


INPUTS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "raw pixels 0..255": lambda _: DATASETS.load_digits().data[:600] * 255 / 16,
    "standardised": _breast_cancer,
    "50 rows": lambda _: DATASETS.load_digits().data[:50] / 16,
    "wide, 200 x 3,000": lambda rng: _factors(rng, 200, 3000),
    "tall, 30,000 x 20": lambda rng: _factors(rng, 30_000, 20),
    "almost constant": lambda rng: 5 + 0.01 * _factors(rng, 600, 30),
    "heavy-tailed": lambda rng: rng.standard_t(2, size=(600, 10)) @ rng.normal(size=(10, 30)),
    "tiny, 1e-3": lambda _: 1e-3 * DATASETS.load_digits().data[:600],
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """Outcome of one fit: what is wrong with the features, if anything, and what was said."""

    collapse: str
    message: str
    seconds: float

    @property
    def outcome(self) -> str:
        """What counts: learning arrived, something was said, or nothing was said of a collapse."""
        return "warned" if self.message else "collapsed" if self.collapse else "arrived"


def inputs(name: str) -> np.ndarray:
    """Data of one kind, always the same."""
    return INPUTS[name](np.random.default_rng(0))


def cell(x: np.ndarray, activation: str, depth: int, **settings) -> Cell:
    """Fit the estimator and judge its features."""
    layers, feedback = DEPTHS[depth]
    deep = DeepSimilarityMatching(layers, feedback=feedback, activation=activation, random_state=0, **settings)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            features = deep.fit(x).transform(x)
        except (ValueError, sm.DivergenceError) as error:
            return Cell("no features", f"{type(error).__name__}: {error}", time.perf_counter() - began)
    said = [str(w.message) for w in caught if w.category.__module__.startswith("simatch")]
    return Cell(collapse(features, x, sm.activation(activation)), " ".join(said), time.perf_counter() - began)


def collapse(features: np.ndarray, x: np.ndarray, activation: sm.Activation) -> str:
    """Say what is wrong with features of these inputs, if they have lost what tells the inputs apart."""
    z = np.asarray(features, float)
    if not np.all(np.isfinite(z)):
        return "not finite"
    varying = _variation(z, axis=0) > 0.01 * _variation(np.asarray(x, float), axis=None)
    if np.sum(varying) < 2:
        return f"{np.sum(varying)} of {z.shape[1]} features vary"
    if np.mean(z > activation.upper - 0.01) > SATURATED or np.mean(np.abs(z) > activation.upper - 0.01) > SATURATED:
        return "saturated"
    correlations = np.corrcoef(z[:, varying].T)
    if np.min(np.abs(correlations)) > COPIES:
        return "copies"
    rank = len(correlations) ** 2 / np.sum(correlations**2)
    return f"effective rank {rank:.2f}" if rank < RANK else ""


def _variation(z: np.ndarray, axis: int | None) -> np.ndarray:
    """Deviation of the columns from their means, relative to their size."""
    size = np.sqrt(np.mean(z**2, axis=axis))
    return np.sqrt(np.mean((z - z.mean(axis=0)) ** 2, axis=axis)) / np.where(size > 0, size, 1)


def main() -> None:
    """Print a line for each cell that did not arrive, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="inputs whose names contain this")
    parser.add_argument("--activation", action="append", help="an activation; may be repeated")
    parser.add_argument("--verbose", action="store_true", help="a line for the cells that arrived too")
    chosen = parser.parse_args()
    table = []
    for name in INPUTS:
        if chosen.only not in name:
            continue
        x, cells = inputs(name), []
        for activation in chosen.activation or ACTIVATIONS:
            for depth in DEPTHS:
                own = cell(x, activation, depth)
                jax.clear_caches()  # programs of a hundred networks would leave no memory areas for the next
                cells.append(own)
                if chosen.verbose or own.outcome != "arrived":
                    print(  # noqa: T201
                        f"{own.outcome}: {name}, {activation}, {depth} layers, {own.seconds:.1f} s"
                        f"{', features: ' + own.collapse if own.collapse else ''}. {own.message}",
                        flush=True,
                    )
        counts = [sum(own.outcome == outcome for own in cells) for outcome in ("arrived", "warned", "collapsed")]
        table.append(f"{name:20} {counts[0]:8} {counts[1]:8} {counts[2]:20}")
    print("inputs                arrived   warned   collapsed silently", *table, sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
