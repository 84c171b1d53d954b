"""The course of a run: what its rest depends on, so that a run can be kept and continued."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..network import Network
from ..relaxation import Inputs, count_samples, rows_of
from ._devices import fingerprint
from ._loop import LearningState
from ._report import Report

# Samples by which data are recognised.
_LOOKED_AT = 64


@dataclasses.dataclass
class Course:
    """The course of a run so far.

    Together with the data and the settings it determines the rest of the run.

    Attributes
    ----------
    network : Network
        The network after the last report.
    reports : list of Report
        All reports so far; the last one has the state of learning.
    complete : bool
        Whether the run has ended.
    """

    network: Network
    reports: list[Report] = dataclasses.field(default_factory=list)
    complete: bool = False

    @property
    def last(self) -> Report | None:
        """The last report; None before the first."""
        return self.reports[-1] if self.reports else None

    @property
    def batches(self) -> int:
        """Number of batches learned from."""
        return self.reports[-1].batches if self.reports else 0


Steps = Iterator[tuple[Network, Report]]
"""Networks and reports of a run, one pair for each report."""


class Keeper(abc.ABC):
    """Keeps the course of a run, such as `simatch.Checkpoints` in files."""

    @abc.abstractmethod
    def course(
        self, start: Network, state: LearningState, settings: Mapping[str, Any]
    ) -> AbstractContextManager[Course]:
        """Return the course of a run: as far as it was kept, or the start of a new one.

        Parameters
        ----------
        start : Network
            The network before learning.
        state : LearningState
            The state before learning.
        settings : mapping of str to values that JSON can hold
            What determines the run. A course that was kept with other settings is refused.

        Raises
        ------
        ValueError
            If what was kept is of another run.
        """

    @abc.abstractmethod
    def following(self, course: Course, steps: Steps) -> Steps:
        """Yield the steps of learning, enter them into the course, and keep it now and then, and at the end.

        The course is also kept if the run is interrupted or fails.

        Parameters
        ----------
        course : Course
            What `course` returned; it is changed.
        steps : iterator of pairs (Network, Report)
            The rest of the run, as `training` yields it.

        Yields
        ------
        network : Network
        report : Report
        """


class NoKeeper(Keeper):
    """Keeps nothing: every run starts anew.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import NoKeeper, initial_state
    >>> net = sm.layered(4, [sm.Layer(units=2)])
    >>> with NoKeeper().course(net, initial_state(net, sm.GradientRule(), None), {}) as course:
    ...     course.batches, course.complete
    (0, False)
    """

    def course(
        self, start: Network, state: LearningState, settings: Mapping[str, Any]
    ) -> AbstractContextManager[Course]:
        """Return the start of a new course.

        Parameters
        ----------
        start : Network
            The network before learning.
        state, settings
            Not used: nothing was kept.

        Returns
        -------
        context manager of a Course
        """
        return nullcontext(Course(start))

    def following(self, course: Course, steps: Steps) -> Steps:
        """Yield the steps of learning and enter them into the course.

        Parameters
        ----------
        course : Course
            What `course` returned; it is changed.
        steps : iterator of pairs (Network, Report)
            The run, as `training` yields it.

        Yields
        ------
        network : Network
        report : Report
        """
        for course.network, report in steps:
            course.reports.append(report)
            yield course.network, report
        course.complete = True


def identity(
    net: Network, rates: Callable[[int], tuple[Any, Any]], total: int | None, x: Inputs | None, **settings: Any
) -> dict[str, Any]:
    """Return what tells one run from another, for `Keeper.course`.

    Parameters
    ----------
    net : Network
        The network before learning.
    rates : callable
        Rates of descending and of ascending parameters, by the number of the batch.
    total : int or None
        Number of batches, at least 1, if it is known.
    x : array or sparse matrix of shape (samples, ...), dict of these, or None
        The data, of which some samples are looked at; None for a stream.
    **settings
        All other settings, as values that JSON can hold.
    """
    numbers = (0, 1, 100) if total is None else (0, total // 2, total - 1)
    data = None
    if x is not None:
        count = count_samples(x)
        data = fingerprint((count, rows_of(x, np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(int))))
    return {
        **settings,
        "rates": [[float(own) for own in rates(number)] for number in numbers],
        "data": data,
        "network": fingerprint(net),
    }
