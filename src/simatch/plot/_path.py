"""Activities and energy over time."""

from matplotlib.axes import Axes

from .._checks import whole
from ..relaxation import Trajectory
from ._style import new_axes


def activity(
    path: Trajectory, population: str | None = None, *, sample: int = 0, most: int = 20, ax: Axes | None = None
) -> Axes:
    """Draw the activities of the recorded units of one population over time, for one sample.

    Parameters
    ----------
    path : Trajectory
        As `simatch.trajectory` and `simatch.simulate` return it.
    population : str, optional
        The first recorded one by default.
    sample : int
        Which of the recorded samples, from 0.
    most : int
        Largest number of lines, at least 1: the first recorded units are drawn.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    KeyError
        If the population was not recorded.
    ValueError
        If there is no such sample.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3)])
    >>> path = sm.trajectory(net, np.random.default_rng(0).normal(size=(1, 4)), steps=50)
    >>> ax = sm.plot.activity(path)
    """
    name = next(iter(path.activities)) if population is None else population
    r = path[name][:, _checked(path, sample), : whole(most, "The number of lines")]
    ax = ax or new_axes(5.2, 3.4)
    ax.plot(path.time, r)
    ax.set(xlabel="time", ylabel=f"activity, {name}")
    ax.margins(x=0.02)
    return ax


def energy(path: Trajectory, *, ax: Axes | None = None) -> Axes:
    """Draw the energy of every recorded sample over time.

    Parameters
    ----------
    path : Trajectory
        As `simatch.trajectory` and `simatch.simulate` return it.
    ax : matplotlib.axes.Axes, optional
        Those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> net = sm.layered(4, [sm.Layer(units=3)])
    >>> path = sm.trajectory(net, np.random.default_rng(0).normal(size=(2, 4)), steps=50)
    >>> ax = sm.plot.energy(path)
    """
    ax = ax or new_axes(5.2, 3.4)
    ax.plot(path.time, path.energy)
    ax.set(xlabel="time", ylabel="energy")
    ax.margins(x=0.02)
    return ax


def _checked(path: Trajectory, sample: int) -> int:
    if whole(sample, "The sample", least=0) >= len(path.samples):
        raise ValueError(f"{len(path.samples)} samples were recorded, so that there is no sample {sample} of these.")
    return sample
