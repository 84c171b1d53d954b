"""Canonical correlations, nonnegative sources and kernels beside scikit-learn's: ``python -m benchmarks.family``.

A stream of 200,000 rows changes after half of them. Estimators that learn online see every row once, at their default
rates, and sources at a constant one. The others are fitted on the first half, which they need all at once, and after
the change anew: on the second half, or on all rows. Each method has a process of its own, which first does the same on
few rows, so that programs are compiled. Seconds are those of learning. Memory is the largest growth of the process,
with the rows that the method holds. Errors are measured on the distribution itself or on fresh rows: before the change,
after it without learning, and after learning went on.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.cross_decomposition import CCA
from sklearn.datasets import make_moons
from sklearn.decomposition import FastICA, KernelPCA
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel

from simatch.estimators import KernelSimilarityMatching, NonnegativeICA, OnlineCCA
from simatch.papers.lipshutz2022._sources import matched

ROWS, CALL, WARM = 100_000, 1000, 2000
GAMMA = 1 / (2 * 0.3**2)
Rows = tuple[np.ndarray, ...]


class Views:
    """Two views, of 50 and 30 features, of four sources; the error is an angle to the exact directions, in degrees."""

    def __init__(self, changed: bool) -> None:
        rng = np.random.default_rng(2 + changed)
        self._axes = [rng.normal(size=(4, n)) * np.array([[2], [1.6], [1.3], [1]]) for n in (50, 30)]

    def rows(self, count: int, rng: np.random.Generator) -> Rows:
        """Draw rows of both views."""
        shared = rng.normal(size=(count, 4))
        return tuple(shared @ own + 3 * rng.normal(size=(count, own.shape[1])) for own in self._axes)

    def error(self, own: Any) -> float:
        """Angle between the outputs for x of what was found and of what is exact."""
        x, y = (axes.T @ axes + 9 * np.eye(axes.shape[1]) for axes in self._axes)
        between = self._axes[0].T @ self._axes[1]
        _, directions = scipy.linalg.eigh(between @ np.linalg.solve(y, between.T), x)
        root = np.linalg.cholesky(x).T
        return float(np.degrees(scipy.linalg.subspace_angles(root @ directions[:, -4:], root @ own.x_rotations_)[0]))


class Sources:
    """Ten nonnegative sources; the error is the mean squared error of the best permutation, for unit variance."""

    def __init__(self, changed: bool) -> None:
        rng = np.random.default_rng(4)
        self._mixing = rng.normal(size=(10, 10))
        if changed:
            self._mixing = self._mixing + 0.5 * rng.normal(size=(10, 10))

    def rows(self, count: int, rng: np.random.Generator) -> Rows:
        """Draw rows of the mixture."""
        s = rng.uniform(0, np.sqrt(48 / 5), (count, 10)) * rng.integers(0, 2, (count, 10))
        return (s @ self._mixing,)

    def error(self, own: Any) -> float:
        """Permutation error; signs and sizes that a method leaves open are those that suit nonnegative sources."""
        (x,) = self.rows(4000, np.random.default_rng(5))
        y = x @ own.components_.T
        y = np.maximum(y * np.sign(y.mean(axis=0)) / y.std(axis=0), 0)
        return matched(y, x @ np.linalg.inv(self._mixing))[0]


class Moons:
    """Half moons and a radial kernel; the error is the relative distance of dot products from the kernel."""

    def __init__(self, changed: bool) -> None:
        self._changed = changed

    def rows(self, count: int, rng: np.random.Generator) -> Rows:
        """Draw points; after the change the moons are elsewhere, and lie on their side."""
        x = np.asarray(make_moons(count, noise=0.1, random_state=int(rng.integers(1 << 30)))[0])
        return (x[:, ::-1] + 1 if self._changed else x,)

    def error(self, own: Any) -> float:
        """Distance on fresh points."""
        (x,) = self.rows(1000, np.random.default_rng(6))
        z, exact = own.transform(x).astype(float), rbf_kernel(x, gamma=GAMMA)
        return float(np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact))


# For every task its methods: the estimator, whether it learns online, and from how many rows at most.
TASKS: dict[str, tuple[type, dict[str, tuple[Callable[[], Any], bool, int | None]]]] = {
    "canonical correlations": (
        Views,
        {
            "OnlineCCA, stream": (lambda: OnlineCCA(4, random_state=0), True, None),
            "OnlineCCA, fit": (lambda: OnlineCCA(4, random_state=0), False, None),
            "scikit-learn CCA": (lambda: CCA(4, scale=False, max_iter=1000), False, None),
        },
    ),
    "sources": (
        Sources,
        {
            "NonnegativeICA, stream": (
                lambda: NonnegativeICA(random_state=0).set_params(learning_rate=0.05),
                True,
                None,
            ),
            "NonnegativeICA, fit": (lambda: NonnegativeICA(random_state=0), False, None),
            "scikit-learn FastICA": (lambda: FastICA(whiten="unit-variance", fun="cube", random_state=0), False, None),
        },
    ),
    "kernel": (
        Moons,
        {
            "KernelSimilarityMatching, 16, stream": (
                lambda: KernelSimilarityMatching(16, gamma=GAMMA, random_state=0),
                True,
                None,
            ),
            "Nystroem, 16": (lambda: Nystroem(gamma=GAMMA, n_components=16, random_state=0), False, None),
            "Nystroem, 32": (lambda: Nystroem(gamma=GAMMA, n_components=32, random_state=0), False, None),
            "KernelPCA, 16, 4,000 rows": (
                lambda: KernelPCA(16, kernel="rbf", gamma=GAMMA, eigen_solver="arpack"),
                False,
                4000,
            ),
        },
    ),
}
COLUMNS = (
    "method",
    "seconds, first half",
    "error",
    "error after the change",
    "and after learning went on",
    "seconds for that",
    "memory, MB",
)


def measured(task: str, method: str) -> dict[str, float]:
    """Measure one method in this process."""
    make, methods = TASKS[task]
    build, online, most = methods[method]
    first, second = make(False), make(True)
    _learn(build(), online, [(first, WARM)], most)
    resident = _reset_peak()
    began = time.perf_counter()
    own = build()
    spent = _learn(own, online, [(first, ROWS)], most)
    before, after = first.error(own), second.error(own)
    again = _learn(own, online, [(second, ROWS)] if online else [(first, ROWS), (second, ROWS)], most)
    result = {"seconds": spent, "error": before, "changed": after, "followed": second.error(own), "again": again}
    if not online:
        own = build()
        _learn(own, online, [(second, ROWS)], most)
        result["refitted"] = second.error(own)
    return {**result, "memory": _status("VmHWM") - resident, "total": time.perf_counter() - began}


def _learn(own: Any, online: bool, parts: list[tuple[Any, int]], most: int | None) -> float:
    """Learn from parts of the stream, and return the seconds without those of drawing the rows."""
    spent, rng = 0.0, np.random.default_rng(7)
    if online:
        for source, count in parts:
            for _ in range(0, count, CALL):
                spent += _seconds(own.partial_fit, source.rows(CALL, rng))
        return spent
    drawn = [source.rows(count, rng) for source, count in parts]
    rows = [np.concatenate(each) for each in zip(*drawn, strict=True)]
    if most is not None:
        kept = np.random.default_rng(8).permutation(len(rows[0]))[:most]
        rows = [own[kept] for own in rows]
    return _seconds(own.fit, rows)


def _seconds(learn: Callable[..., Any], rows: Any) -> float:
    began = time.perf_counter()
    learn(*rows)
    return time.perf_counter() - began


def _reset_peak() -> float:
    """Let the peak of the memory begin at what is held now, and return that in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


def main(say: Callable[[str], None] = print) -> None:
    """Measure every method in a process of its own, and print a table for each task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--one", nargs=2, metavar=("TASK", "METHOD"), help="measure one method and print JSON")
    one = parser.parse_args().one
    if one:
        warnings.simplefilter("ignore")
        say(json.dumps(measured(*one)))
        return
    for task, (_, methods) in TASKS.items():
        say(f"\n{task}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for method in methods:
            command = [sys.executable, "-m", "benchmarks.family", "--one", task, method]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            found = json.loads(done.stdout)
            followed = f"{found['followed']:.2g}"
            if "refitted" in found:
                followed = f"{found['refitted']:.2g} (all rows: {followed})"
            cells = (f"{found['seconds']:.2f}", f"{found['error']:.2g}", f"{found['changed']:.2g}", followed)
            say(f"| {method} | {' | '.join(cells)} | {found['again']:.2f} | {found['memory']:.0f} |")


if __name__ == "__main__":
    main()
