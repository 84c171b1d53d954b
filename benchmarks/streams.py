"""What follows a stream whose principal subspace moves: ``python -m benchmarks.streams [FIGURE]``.

Samples have three components with variances 9, 4 and 2 in noise of variance 0.3, in 20 dimensions. The subspace of the
components rotates steadily, or is replaced at once.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.decomposition import IncrementalPCA

import simatch as sm
from simatch.estimators import SimilarityMatching
from simatch.report import COLOURS, style

VARIANCES, NOISE, FEATURES = np.array([9.0, 4.0, 2.0]), 0.3, 20
KEPT = len(VARIANCES)
# Rows of a batch, and rows between two measurements.
BATCH, CALL = 100, 1000
RATES = (0.02, 0.1, 0.5)

Subspace = Callable[[int], np.ndarray]


def rotating(degrees: float) -> Subspace:
    """Orthonormal axes at every row: each turns by so many degrees in 1,000 rows, towards one of three outside."""
    base = np.linalg.qr(np.random.default_rng(1).normal(size=(FEATURES, FEATURES))).Q
    kept, outside = base[:, :KEPT], base[:, KEPT : 2 * KEPT]

    def axes(row: int) -> np.ndarray:
        angle = np.radians(degrees * row / 1000)
        return np.cos(angle) * kept + np.sin(angle) * outside

    return axes


def jumping(at: int) -> Subspace:
    """Orthonormal axes at every row: three until row `at`, and from then on three that are orthogonal to these."""
    turned = rotating(90.0)
    return lambda row: turned(1000 if row >= at else 0)


def stream(axes: Subspace, calls: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Rows in parts of `CALL`; the subspace is the same within a batch."""
    rng = np.random.default_rng(seed)
    for first in range(0, calls * CALL, CALL):
        batches = []
        for row in range(first, first + CALL, BATCH):
            kept = rng.normal(size=(BATCH, KEPT)) * np.sqrt(VARIANCES)
            batches.append(kept @ axes(row).T + np.sqrt(NOISE) * rng.normal(size=(BATCH, FEATURES)))
        yield np.concatenate(batches)


def angle(components: np.ndarray, axes: np.ndarray) -> float:
    """Largest angle between the span of the rows of `components` and the true subspace, in degrees."""
    return float(np.degrees(scipy.linalg.subspace_angles(components.T, axes)[0]))


def matching(rate: Any) -> SimilarityMatching:
    """Learner with this rate and batches of `BATCH` rows."""
    settings: dict[str, Any] = {"learning_rate": rate, "batch_size": BATCH, "random_state": 0}
    return SimilarityMatching(KEPT, **settings)


def angles(learner: Any, axes: Subspace, calls: int, seed: int = 0) -> np.ndarray:
    """Angle after every `CALL` rows that `partial_fit` learns from."""
    found = []
    for i, rows in enumerate(stream(axes, calls, seed)):
        learner.partial_fit(rows)
        # IncrementalPCA subtracts the mean, which is 0 here.
        found.append(angle(learner.components_[:KEPT], axes((i + 1) * CALL - 1)))
    return np.array(found)


def angles_of_train(axes: Subspace, calls: int, rate: float | None = None) -> np.ndarray:
    """Angle after every `CALL` rows that `simatch.train` learns from, given an iterator over batches."""
    found = []

    def observe(net: sm.Network, report: sm.Report) -> None:
        filters = np.linalg.solve(net.lateral[0].to_dense(), net.feedforward[0].to_dense())
        found.append(angle(filters, axes(report.samples - 1)))

    net = sm.layered(FEATURES, [sm.Layer(units=KEPT, activation="linear")])
    batches = (part[i : i + BATCH] for part in stream(axes, calls) for i in range(0, CALL, BATCH))
    sm.train(net, batches, rate=rate, report_every=CALL // BATCH, progress=False, observe=observe)
    return np.array(found)


def learners() -> dict[str, Any]:
    """All that are compared, by name."""
    own = {f"rate {rate:g}: memory {BATCH / rate:,.0f} rows": matching(rate) for rate in RATES}
    return {**own, "automatic rate": matching("auto"), "IncrementalPCA": IncrementalPCA(KEPT)}


def best_memory(degrees: float) -> float:
    """Rows over which to average at so many degrees in 1,000 rows, from the linear theory (docs/streams.md)."""
    speed, weakest = np.radians(degrees) / 1000, VARIANCES.min()
    return ((FEATURES - KEPT) * NOISE / weakest / (4 * speed**2)) ** (1 / 3)


def arrival(after: np.ndarray, within: float = 5.0) -> float:
    """Rows until the angle is at most so many degrees; infinite if never."""
    return (int(np.argmax(after <= within)) + 1) * CALL if (after <= within).any() else np.inf


def figure(path: str, *, degrees: float = 0.5, calls: int = 200) -> None:
    """Draw the angle over time, for a subspace that rotates and for one that is replaced half-way."""
    import matplotlib.pyplot as plt

    with style():
        drawing, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
        cases = (
            (rotating(degrees), f"Subspace that rotates by {degrees:g}° in 1,000 rows"),
            (jumping(calls * CALL // 2), "Subspace that is replaced at once"),
        )
        for axis, (subspace, title) in zip(axes, cases, strict=True):
            for (name, learner), colour in zip(learners().items(), (*COLOURS[:4], "black"), strict=True):
                drawn = {"color": colour, "linestyle": "--" if colour == "black" else "-"}
                axis.plot(np.arange(1, calls + 1) * CALL / 1000, angles(learner, subspace, calls), label=name, **drawn)
            axis.set(title=title, xlabel="thousand rows", yscale="log", ylim=(0.35, 110))
            axis.set_yticks(marks := (0.5, 1, 2, 5, 10, 20, 45, 90), labels=[f"{mark:g}°" for mark in marks])
            axis.minorticks_off()
        axes[0].set_ylabel("largest angle to the true subspace")
        drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        drawing.savefig(path, dpi=150)
        plt.close(drawing)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?")
    path = parser.parse_args().figure
    say = print
    say("Rows of memory, by speed: root mean square of the angle in degrees once it is steady")
    memories = (200, 400, 800, 1600, 3200, 6400, 12_800)
    for degrees in (0.03, 0.1, 0.3, 1.0, 3.0):
        row = []
        for memory in memories:
            calls = max(40, 6 * memory // CALL) + 40
            row.append(np.sqrt(np.mean(angles(matching(BATCH / memory), rotating(degrees), calls)[-40:] ** 2)))
        best = memories[int(np.argmin(row))]
        say(f"{degrees:5g}: {' '.join(f'{a:6.2f}' for a in row)}  best {best:6,}  theory {best_memory(degrees):7,.0f}")
    calls = 400
    for name, subspace in (("rotating by 0.5 degrees", rotating(0.5)), ("jump", jumping(calls * CALL // 2))):
        rows = {key: angles(learner, subspace, calls) for key, learner in learners().items()}
        rows["simatch.train, rate 0.1"] = angles_of_train(subspace, calls, 0.1)
        rows["simatch.train, its own rate"] = angles_of_train(subspace, calls)
        for key, own in rows.items():
            half = own[calls // 2 :]
            say(
                f"{name}, {key}: before the middle {own[calls // 2 - 20 : calls // 2].mean():.2f}, "
                f"at the end {own[-20:].mean():.2f}, within 5 degrees after {arrival(half):,.0f} rows"
            )
    if path:
        figure(path)


if __name__ == "__main__":
    main()
