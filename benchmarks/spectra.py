"""Whether the default linear estimator arrives at the principal subspace, or warns: ``python -m benchmarks.spectra``.

200 random spectra, and scikit-learn's data sets in three preparations with five seeds each. Nothing of the library
judges the result: filters are the responses to unit vectors, and the truth is NumPy's eigendecomposition in double
precision, of second moments about 0, because the estimator does not centre.
"""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Iterator

import numpy as np
import scipy.linalg
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

import simatch as sm
from simatch.data import load_dataset
from simatch.estimators import SimilarityMatching

SPECTRA, SEEDS, COMPONENTS = 200, 5, (2, 3, 5, 8)
DEGREES, ERROR = 1.0, 0.01
# Axes with less than this share of the largest variance are below the estimator's single precision.
NEGLIGIBLE = 1e-6
LOADERS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
PREPARATIONS = ("raw", "centred", "standardised")


@dataclasses.dataclass(frozen=True)
class Case:
    """One fit: what it is called, data, number of components, seed."""

    name: str
    x: np.ndarray
    components: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How near one fit came to the principal subspace, and whether it warned."""

    degrees: float
    error: float
    warned: bool
    steps: int
    seconds: float

    @property
    def arrived(self) -> bool:
        """Whether the subspace is within 1 degree and all variances within 1 %."""
        return self.degrees <= DEGREES and self.error <= ERROR


def random_case(seed: int, ratio: float | None = None, shape: tuple[int, int, int] | None = None) -> Case:
    """Rows with a random spectrum: kept variances from 1 to at most 100, noise below them, any size and rotation.

    `shape`: number of components, of rows, and of directions with noise; random by default.
    """
    rng = np.random.default_rng(seed)
    components, rows, noise = int(rng.integers(2, 21)), int(rng.integers(300, 3001)), int(rng.integers(1, 31))
    components, rows, noise = shape or (components, rows, noise)
    ratio = ratio or float(np.exp(rng.uniform(0, np.log(100))))
    kept = np.exp(np.log(ratio) * np.concatenate([[0, 1], rng.uniform(size=components - 2)]))
    rest = rng.uniform(0.2, 0.9) * np.concatenate([[1], rng.uniform(size=noise - 1)])
    variances = np.concatenate([kept, rest])
    rotation = np.linalg.qr(rng.normal(size=(len(variances), len(variances)))).Q
    size = np.exp(rng.uniform(np.log(1e-3), np.log(1e3)))
    x = size * (rng.normal(size=(rows, len(variances))) * np.sqrt(variances)) @ rotation.T
    return Case("random spectra", x, components, seed)


def tied_case(seed: int, gap: float) -> Case:
    """Rows whose last kept variance and first one left out differ by the share `gap` exactly."""
    rng = np.random.default_rng(seed)
    x = np.linalg.qr(rng.normal(size=(500, 10))).Q * np.sqrt(500)
    x = x * np.sqrt([9, 4, 1, 1 - gap, *[0.2] * 6]) @ np.linalg.qr(rng.normal(size=(10, 10))).Q.T
    return Case(f"3rd and 4th variance differ by {gap:g}", x, 3, seed)


def prepared(x: np.ndarray, preparation: str) -> np.ndarray:
    """Return data as they are, centred, or with a standard deviation of 1 where there is any."""
    if preparation == "raw":
        return x
    centred, spread = x - x.mean(axis=0), x.std(axis=0)
    return centred if preparation == "centred" else centred / np.where(spread > 0, spread, 1)


def cases(mnist: bool = False) -> Iterator[Case]:
    """All fits, in the order of the table."""
    if mnist:
        images = load_dataset("mnist").x_train
        x = images.reshape(len(images), -1).astype(np.float32)
        yield from (
            Case(f"MNIST, {preparation}", prepared(x, preparation), k, seed)
            for preparation in PREPARATIONS[:2]
            for k in (3, 16)
            for seed in range(SEEDS)
        )
        return
    yield from map(random_case, range(SPECTRA))
    yield from (tied_case(seed, gap) for gap in (0.0, 0.001, 0.01, 0.1) for seed in range(SEEDS))
    for name, load in LOADERS.items():
        x = load().data
        for preparation in PREPARATIONS:
            yield from (
                Case(f"{name}, {preparation}", prepared(x, preparation), k, seed)
                for k in COMPONENTS
                for seed in range(SEEDS)
            )


def outcome(case: Case) -> Outcome:
    """Fit the estimator with defaults and compare it with the eigendecomposition."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = SimilarityMatching(case.components, random_state=case.seed).fit(case.x)
    seconds = time.perf_counter() - began
    warned = any(issubclass(w.category, sm.ConvergenceWarning) for w in caught)
    degrees, error = shortfall(fitted, case.x)
    return Outcome(degrees, error, warned, fitted.n_steps_, seconds)


def shortfall(fitted: SimilarityMatching, x: np.ndarray) -> tuple[float, float]:
    """Largest angle to the principal subspace, in degrees, and largest relative error of the outputs' variances."""
    x = np.asarray(x, float)
    size = np.sqrt(np.mean(x**2))
    filters = np.asarray(fitted.transform(size * np.eye(x.shape[1])), float) / size
    outputs = np.asarray(fitted.transform(x), float)
    values, axes = (part[..., ::-1] for part in scipy.linalg.eigh(x.T @ x / len(x)))
    count = int(np.sum(values[: filters.shape[1]] > NEGLIGIBLE * values[0]))
    found = scipy.linalg.eigvalsh(outputs.T @ outputs / len(x))[::-1]
    error = float(np.max(np.abs(found[:count] / values[:count] - 1)))
    # With more units than axes, or a unit lost, it is the angle of the smaller space to the larger; a lost unit shows
    # in the variances.
    return float(np.degrees(scipy.linalg.subspace_angles(filters, axes[:, :count]).max())), error


def main() -> None:
    """Print a row for each kind of data, and every case that fell short without a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", action="store_true", help="MNIST instead of everything else")
    parser.add_argument("--only", default="", help="kinds of data whose names contain this")
    chosen = parser.parse_args()
    table: dict[str, list[Outcome]] = {}
    for case in cases(chosen.mnist):
        if chosen.only not in case.name:
            continue
        result = outcome(case)
        table.setdefault(case.name, []).append(result)
        if not result.arrived:
            kind = "warned" if result.warned else "SILENTLY SHORT"
            print(  # noqa: T201
                f"{kind}: {case.name}, {case.x.shape}, k = {case.components}, seed {case.seed}: {result.degrees:.3g} "
                f"degrees, {100 * result.error:.3g} %, {result.steps} steps",
                flush=True,
            )
    print(f"{'data':44}  fits arrived warned silent  median steps  seconds")  # noqa: T201
    for name, rows in table.items():
        arrived = sum(row.arrived for row in rows)
        warned = sum(row.warned for row in rows)
        silent = sum(not row.arrived and not row.warned for row in rows)
        steps, seconds = np.median([row.steps for row in rows]), np.median([row.seconds for row in rows])
        print(f"{name:44} {len(rows):5} {arrived:7} {warned:6} {silent:6} {steps:13.0f} {seconds:8.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
