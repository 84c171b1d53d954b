"""Checkpoints: the course of a run in a folder, from which it goes on after an interruption."""

import contextlib
import dataclasses
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..learning import Certificate, Course, Health, Keeper, LearningState, Report, Steps
from ..network import Network
from ._arrays_file import read_arrays, write_arrays
from ._atomic import UNFINISHED
from ._lock import locked
from ._reading import reason

FORMAT = "simatch-checkpoint-1"
# Seconds between two checkpoints, and so the most learning that is lost if the process is killed.
EVERY = 20.0
# The newest checkpoint, and the one before in case that the newest is damaged.
_KEPT = 2


class Checkpoints(Keeper):
    """A folder in which a run is kept while it learns; the same run goes on from there after an interruption.

    A checkpoint holds everything that determines the rest of the run: weights, the state of the rule and of the
    transformation, the number of batches learned from and all reports. A run that was killed and started again ends
    with the same weights as one that was not, bit for bit. A checkpoint is one file, which is complete or absent. The
    two newest are kept; if the newest is damaged, a warning says so and the one before is used.

    With several processes, the folder must be one that all of them share; the first process writes.

    Parameters
    ----------
    folder : path
        Made if it does not exist. One folder is for one run.
    every : float, optional
        Seconds between two checkpoints, at least 0: the most learning that is lost if the process is killed; 20 by
        default. The end of a run and an interruption are always kept.

    Attributes
    ----------
    notes : dict
        Values that JSON can hold, kept with every checkpoint and restored when the run goes on, for records of the
        user's own.

    Raises
    ------
    ValueError
        If `every` is below 0.

    Examples
    --------
    >>> import tempfile, numpy as np, simatch as sm
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> net = sm.layered(4, [sm.Layer(units=2, activation="linear")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, _ = sm.train(net, x, checkpoints=sm.Checkpoints(folder), progress=False)
    ...     again, reports = sm.train(net, x, checkpoints=sm.Checkpoints(folder), progress=False)
    >>> bool((first.weights[0] == again.weights[0]).all()), reports[-1].samples
    (True, 200)
    """

    def __init__(self, folder: str | Path, *, every: float | None = None):
        if every is not None and not every >= 0:
            raise ValueError(f"The seconds between two checkpoints must be at least 0, got {every!r}.")
        self.folder = Path(folder)
        self.every = every
        self.notes: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}

    @contextlib.contextmanager
    def course(self, start: Network, state: LearningState, settings: Mapping[str, Any]) -> Iterator[Course]:
        """Open the folder for a run, and return its course as far as it was kept; see `Keeper.course`.

        Parameters
        ----------
        start, state, settings
            As in `Keeper.course`.

        Returns
        -------
        context manager of a Course
            Until it is left, no other process can keep its run in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        writes = jax.process_index() == 0
        with locked(self.folder) if writes else contextlib.nullcontext():
            if writes:
                self._clear_temporary()
            self._settings = dict(settings)
            yield self._latest(start, state) or Course(start)

    def following(self, course: Course, steps: Steps) -> Steps:
        """Yield the steps of learning and keep the course, every `every` seconds, at the end and if it is interrupted.

        See `Keeper.following`.

        Parameters
        ----------
        course : Course
            What `course` returned; it is changed.
        steps : iterator of pairs (Network, Report)
            The rest of the run, as `simatch.training` yields it.

        Yields
        ------
        network : Network
        report : Report
        """
        every = EVERY if self.every is None else self.every
        kept, saved = course.batches, time.monotonic()
        # Reports with which the user of this generator is done: their notes are complete.
        done = dataclasses.replace(course, reports=list(course.reports))
        try:
            for course.network, report in steps:
                course.reports.append(report)
                yield course.network, report
                done.network = course.network
                done.reports.append(report)
                if time.monotonic() - saved >= every:
                    self._keep(done)
                    kept, saved = done.batches, time.monotonic()
            course.complete = done.complete = True
        finally:
            if done.complete or done.batches > kept:
                self._keep(done)

    def _keep(self, course: Course) -> None:
        if jax.process_index() or course.last is None:
            return
        arrays = _arrays((course.network, course.last.state))
        description = {
            "format": FORMAT,
            "settings": self._settings,
            "reports": [_described(report) for report in course.reports],
            "notes": self.notes,
            "complete": course.complete,
        }
        write_arrays(self.folder / f"batch-{course.batches:010d}.safetensors", arrays, description)
        for old in self._files()[_KEPT:]:
            old.unlink()

    def _latest(self, start: Network, state: LearningState) -> Course | None:
        """Return the newest course that is not damaged."""
        damaged = []
        for path in self._files():
            try:
                arrays, description = read_arrays(path)
            except ValueError as error:
                damaged.append(path)
                warnings.warn(f"{error} The checkpoint before it is used.", stacklevel=4)
                continue
            return self._restored(path, arrays, description, start, state)
        if damaged:
            raise ValueError(
                f"All checkpoints in {str(self.folder)!r} are damaged; delete the folder to begin the run again."
            )
        return None

    def _restored(
        self, path: Path, arrays: dict[str, np.ndarray], description: dict, start: Network, state: LearningState
    ) -> Course:
        if description.get("format") != FORMAT:
            raise ValueError(
                f"The file {str(path)!r} is of the format {description.get('format')!r}, not {FORMAT!r}; use the "
                "version of simatch that wrote it."
            )
        parts = {"settings": dict, "reports": list, "notes": dict, "complete": bool}
        for name, kind in parts.items():
            if not isinstance(description.get(name), kind):
                raise ValueError(f"{str(path)!r} does not hold together as a checkpoint: it lacks {name}; delete it.")
        # Other processes have other parts of the data.
        own = {} if jax.process_index() else _in_json(self._settings)
        for name, value in own.items():
            if description["settings"].get(name) != value:
                raise ValueError(
                    f"The checkpoints in {str(self.folder)!r} are of another run, with {name.replace('_', ' ')} "
                    f"{_short(description['settings'].get(name))} instead of {_short(value)}; use another folder, or "
                    "the same settings."
                )
        like = (start, state)
        needed = {place: (a.shape, a.dtype) for place, a in _arrays(like).items()}
        if needed != {place: (a.shape, a.dtype) for place, a in arrays.items()}:
            raise ValueError(
                f"The checkpoints in {str(self.folder)!r} are of another network or rule; use another folder, or the "
                "same settings."
            )
        network, last = _filled(like, arrays)
        try:
            reports = [_report(own) for own in description["reports"]]
            reports[-1] = dataclasses.replace(reports[-1], state=last)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r} does not hold together as a checkpoint: {reason(error)}; delete it."
            ) from error
        self.notes.clear()
        self.notes.update(description["notes"])
        return Course(network, reports, description["complete"])

    def _files(self) -> list[Path]:
        """Files of checkpoints, the newest first."""
        return sorted(self.folder.glob("batch-*.safetensors"), reverse=True)

    def _clear_temporary(self) -> None:
        for left in self.folder.glob(f"{UNFINISHED}*"):
            left.unlink(missing_ok=True)


def _arrays(course: tuple[Network, LearningState]) -> dict[str, np.ndarray]:
    """Every array of real numbers of a network, and every number of the state of learning, by its place."""
    leaves = jax.tree_util.tree_leaves_with_path(_kept(course))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _filled(like: tuple[Network, LearningState], arrays: Mapping[str, np.ndarray]) -> tuple[Network, LearningState]:
    """Return a network and a state with the numbers of a file."""
    own, rest = _kept(like), _rest(like)
    own = jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(arrays[jax.tree_util.keystr(path)]), own)
    return eqx.combine(own, rest)


def _kept(course: tuple[Network, LearningState]) -> Any:
    # Integers in a network are its structure, which learning does not change.
    net, state = course
    return eqx.filter(net, eqx.is_inexact_array), eqx.filter(state, eqx.is_array_like)


def _rest(course: tuple[Network, LearningState]) -> Any:
    net, state = course
    return eqx.filter(net, eqx.is_inexact_array, inverse=True), eqx.filter(state, eqx.is_array_like, inverse=True)


def _in_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they come back from JSON, with lists for tuples."""
    return json.loads(json.dumps(dict(settings)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _described(report: Report) -> dict[str, Any]:
    """Return a report as JSON can hold it, without its state; of a certificate, what every certificate has."""
    own = {name: value for name, value in vars(report).items() if name != "state"}
    found = report.certificate
    names = [field.name for field in dataclasses.fields(Certificate)]
    return {
        **own,
        "health": {name: dataclasses.asdict(state) for name, state in report.health.items()},
        "certificate": None if found is None else {name: getattr(found, name) for name in names},
    }


def _report(own: dict[str, Any]) -> Report:
    certificate = own.pop("certificate")
    return Report(
        **{name: value for name, value in own.items() if name != "health"},
        health={name: Health(**values) for name, values in own["health"].items()},
        certificate=None if certificate is None else Certificate(**certificate),
    )
