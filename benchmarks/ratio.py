"""What the ratio of lateral to feedforward learning rates decides: ``python -m benchmarks.ratio [FIGURE]``.

Three linear units learn from full batches of samples with exactly known variances.
"""

import sys

import numpy as np

import simatch as sm
from simatch.report import style

SPECTRA = ((9.0, 4.0, 1.0), (4.0, 2.25, 1.44), (100.0, 9.0, 1.0))
RATIOS = (0.25, 0.5, 0.75, 1.0)


def samples(kept: tuple[float, ...]) -> np.ndarray:
    """Samples whose covariance has exactly these largest eigenvalues, and 0.1 for the other five."""
    rng = np.random.default_rng(0)
    x = np.linalg.qr(rng.normal(size=(200, 8))).Q * np.sqrt(200)
    return x * np.sqrt([*kept, *[0.1] * 5]) @ np.linalg.qr(rng.normal(size=(8, 8))).Q.T


def variances(kept: tuple[float, ...], ratio: float, *, steps: int = 20_000, every: int = 1000) -> np.ndarray:
    """Variances of the outputs, largest first, after every few steps at a rate of 0.02."""
    x, rows = samples(kept), []
    net = sm.layered(8, [sm.Layer(units=3, activation="linear")])
    for learned, _ in sm.training(net, (x for _ in range(steps)), rate=0.02, ratio=ratio, report_every=every):
        outputs = np.array(sm.encode(learned, x), dtype=float)
        rows.append(np.linalg.eigvalsh(outputs.T @ outputs / len(x))[::-1])
    return np.array(rows)


def figure(path: str) -> None:
    """Draw both sides of the condition."""
    import matplotlib.pyplot as plt

    with style():
        drawing, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
        for axis, ratio, title in zip(axes, (0.5, 1.0), ("0.5, as published", "1, the default"), strict=True):
            axis.plot(np.arange(1, 201) * 2, variances(SPECTRA[0], ratio, steps=400, every=2))
            axis.set(title=f"ratio {title}", xlabel="steps")
            axis.set_yticks(SPECTRA[0])
        axes[0].set_ylabel("variances of the outputs")
        drawing.savefig(path, dpi=150, bbox_inches="tight")


def main() -> None:
    """Print the variances at which the outputs end."""
    for kept in SPECTRA:
        for ratio in RATIOS:
            last = variances(kept, ratio)[-1]
            print(f"{kept} ratio {ratio:4.2f}: {np.array2string(last, precision=2, suppress_small=True)}")  # noqa: T201
    if len(sys.argv) > 1:
        figure(sys.argv[1])


if __name__ == "__main__":
    main()
