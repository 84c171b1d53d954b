"""Figures of the half moons: landmarks and activities, the kernel and its match, and the spectra of both."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ...report import COLOURS, FAINT, INK, style
from ._kernel import Moons

# Points in pictures of the kernel.
_SHOWN = 200


def activities(moons: Moons) -> Figure:
    """Draw the points with the landmarks, and the activities of all units."""
    nearest = np.argmin(np.linalg.norm(moons.landmarks[:, None] - moons.x, axis=-1), axis=1)
    order = _along(moons.landmarks, moons.moon[nearest])
    with style():
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 1.45)))
        ax = left.subplots()
        for number, colour in enumerate(COLOURS[:2]):
            ax.scatter(*moons.x[moons.moon == number].T, s=5, color=colour, alpha=0.35, linewidth=0)
        ax.scatter(*moons.landmarks.T, s=70, color="white", edgecolor=INK, linewidth=1.3, zorder=3)
        for rank, unit in enumerate(order, 1):
            ax.annotate(str(rank), moons.landmarks[unit], ha="center", va="center", fontsize=6.5, zorder=4)
        ax.set(title="Two moons and the landmarks", aspect="equal", xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        columns = int(np.ceil(np.sqrt(len(order))))
        panels = right.subplots(-(-len(order) // columns), columns).ravel()
        shown, largest = None, float(np.abs(moons.activities).max())
        for ax in panels:
            ax.set_axis_off()
        for rank, (ax, unit) in enumerate(zip(panels, order, strict=False), 1):
            own = moons.activities[:, unit]
            # The sign of a unit is arbitrary.
            own = own * np.sign(own[np.argmax(np.abs(own))])
            shown = ax.scatter(*moons.x.T, c=own, s=1.5, cmap="RdBu_r", vmin=-largest, vmax=largest, linewidth=0)
            ax.set_aspect("equal")
            ax.set_title(str(rank), fontsize=7, pad=1)
        assert shown is not None
        right.colorbar(shown, ax=panels, label="activity", shrink=0.8)
    return figure


def kernels(moons: Moons) -> Figure:
    """Draw the kernel, the dot products of the activities and those of Nystroem, of points along the moons."""
    order = _along(moons.x, moons.moon)[:: len(moons.x) // _SHOWN]
    z, other = moons.activities[order], moons.nystroem[order]
    panels = {
        "Kernel": moons.kernel[np.ix_(order, order)],
        f"Activities: {100 * moons.error:.0f} % off": z @ z.T,
        f"Nystroem: {100 * moons.nystroem_error:.0f} % off": other @ other.T,
    }
    edge = int(np.sum(moons.moon[order] == 0)) - 0.5
    with style():
        figure = Figure(figsize=(10.6, 3.7), layout="constrained")
        axes, shown = figure.subplots(1, len(panels)), None
        for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
            shown = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            ax.axhline(edge, color="white", linewidth=1)
            ax.axvline(edge, color="white", linewidth=1)
            ax.set(title=title, xticks=[edge / 2, 1.5 * edge], yticks=[], xticklabels=["upper moon", "lower moon"])
            ax.grid(visible=False)
            ax.tick_params(length=0)
        assert shown is not None
        figure.colorbar(shown, ax=axes, label="dot product", shrink=0.85)
    return figure


def spectra(moons: Moons) -> Figure:
    """Draw the eigenvalues of the kernel and of the dot products, per point."""
    units = moons.activities.shape[1]
    rank, own = 1 + np.arange(units), {"activities": moons.activities, "Nystroem, random landmarks": moons.nystroem}
    values = np.linalg.eigvalsh(moons.kernel)[::-1][: 2 * units]
    with style():
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        ax = figure.subplots()
        ax.plot(
            1 + np.arange(len(values)), values / len(moons.x), color=FAINT, marker="o", markersize=4, label="kernel"
        )
        for colour, (title, z) in zip(COLOURS, own.items(), strict=False):
            found = np.linalg.svd(z, compute_uv=False) ** 2 / len(z)
            ax.plot(rank, found, color=colour, marker="o", markersize=4, label=title)
        ax.axvline(units + 0.5, color=FAINT, linewidth=1, linestyle=":")
        ax.set(
            xlabel="rank", ylabel="eigenvalue / number of points", yscale="log", ylim=(values[-1] / len(moons.x), None)
        )
        ax.legend()
    return figure


def _along(x: Float[np.ndarray, "points 2"], moon: Int[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
    """Return the order of points along the upper moon and then along the lower one, both from left to right."""
    upper, lower = np.arctan2(x[:, 0], x[:, 1]), np.arctan2(x[:, 0] - 1, 0.5 - x[:, 1])
    return np.lexsort((np.where(moon == 0, upper, lower), moon))
