"""Folders of long runs: finished rows and checkpoints, from which an interrupted run resumes."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from .._progress import tracked
from ..learning import LearningState, Report, describe
from ..network import Network
from ._atomic import write_atomically
from ._network_file import load, save
from ._results import as_json, results_folder
from ._state_file import load_state, save_state

# Seconds between two checkpoints, and so the most learning that is lost if the process is killed.
CHECKPOINT_EVERY = 20.0


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Folder of a long run: its settings, its finished rows, and a checkpoint of the row that is being computed.

    A row is the result of one network, such as one line of a table. A finished row is a JSON file ``rows/NAME.json``
    with the network beside it. A checkpoint is a JSON file that names the files of its network and of its state of
    learning, so the three fit together whenever the process ends.

    Parameters
    ----------
    folder : Path
        An existing folder with its settings; `open` makes it.

    Examples
    --------
    >>> import pathlib, tempfile, simatch as sm
    >>> with tempfile.TemporaryDirectory() as place:
    ...     kept = sm.storage.RunFolder.open(pathlib.Path(place, "run"), {"rate": 0.1}, overwrite=False)
    ...     net = sm.layered(4, [sm.Layer(units=2)])
    ...     kept.finish("a", {"units": 2, "seed": 0, "error": 1.5}, net)
    ...     kept.rows()
    [{'units': 2, 'seed': 0, 'error': 1.5}]
    """

    folder: Path

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> "RunFolder":
        """Open the folder of an earlier run with the same settings, or make a new one.

        Parameters
        ----------
        out : Path
        settings : mapping of str to values that JSON can hold
            Everything that determines the rows.
        overwrite : bool
            Whether the contents of the folder may be replaced; then all earlier rows are deleted.

        Returns
        -------
        RunFolder

        Raises
        ------
        ValueError
            If the folder holds other files, or rows of other settings, or if its settings are damaged.
        """
        file, rows = out / "settings.json", out / "rows"
        if not overwrite and file.is_file() and rows.is_dir():
            earlier = _read(file)
            for name, value in settings.items():
                if earlier.get(name) != value:
                    raise ValueError(
                        f"The folder {str(out)!r} holds rows with {name.replace('_', ' ')} {earlier.get(name)!r}, not "
                        f"{value!r}; give --out another folder, or add --overwrite to begin again."
                    )
            return cls(out)
        results_folder(out, out.name, overwrite=overwrite)
        rows.mkdir(exist_ok=True)
        for old in [*rows.glob("*.json"), *rows.glob("*.safetensors")]:
            old.unlink()
        write_atomically(file, as_json(settings, indent=2) + "\n")
        return cls(out)

    def rows(self) -> list[dict[str, Any]]:
        """Return all finished rows, sorted by their values ``"units"`` and ``"seed"``, which every row must have."""
        rows = [_read(p) for p in self._rows.glob("*.json") if not p.name.endswith(".checkpoint.json")]
        return sorted(rows, key=lambda row: (row["units"], row["seed"]))

    def network(self, name: str) -> Network:
        """Return the network of a finished row, as `simatch.load` does."""
        return load(self._rows / f"{name}.safetensors")

    def finished(self, name: str) -> tuple[dict[str, Any], Network] | None:
        """Return a row and its network if the row is finished, otherwise None."""
        row = self._rows / f"{name}.json"
        return (_read(row), self.network(name)) if row.is_file() else None

    def finish(self, name: str, row: Mapping[str, Any], network: Network) -> None:
        """Save a finished row and its network, and delete its checkpoint.

        Parameters
        ----------
        name : str
            Name of the row and of its files.
        row : mapping of str to values that JSON can hold
        network : Network
        """
        save(network, self._rows / f"{name}.safetensors")
        write_atomically(self._rows / f"{name}.json", as_json(row, indent=2) + "\n")
        self._checkpoint(name).unlink(missing_ok=True)
        self._clear(name)

    def learn(
        self,
        name: str,
        steps: Iterable[tuple[int, Network, Report]],
        planned: int,
        state: dict[str, Any],
        network: Network,
        noted: Callable[[Report], Mapping[str, Any]],
    ) -> tuple[dict[str, Any], Network]:
        """Run through the steps of learning, with a progress bar and a checkpoint about every 20 seconds.

        Parameters
        ----------
        name : str
            Name of the row.
        steps : iterable of (int, Network, Report)
            Number of batches learned from in all, the network after them, and a report.
        planned : int
            Number of batches of the whole run.
        state : dict
            State of the row before these steps, with ``"batches"`` and ``"unconverged_samples"``.
        network : Network
            The network before these steps.
        noted : callable
            Returns, for a report, further values of the state.

        Returns
        -------
        state : dict
        network : Network
            Both after the last step.
        """
        missed, saved = state["unconverged_samples"], time.monotonic()
        for done, network, report in tracked(steps, planned, lambda step: (step[0], describe(step[1:])[1])):
            missed += report.unconverged
            state = {"batches": done, "unconverged_samples": missed, **noted(report)}
            if done == planned or time.monotonic() - saved > CHECKPOINT_EVERY:
                self.checkpoint(name, state, network, report.state)
                saved = time.monotonic()
        return state, network

    def checkpoint(
        self, name: str, state: Mapping[str, Any], network: Network, learning: LearningState | None = None
    ) -> None:
        """Save a checkpoint of a row, in place of the one before.

        Parameters
        ----------
        name : str
            Name of the row.
        state : mapping of str to values that JSON can hold
            State of the row, with the number of ``"batches"``.
        network : Network
        learning : LearningState, optional
            State of the rule and of the transformation.
        """
        weights = f"{name}.{state['batches']}.safetensors"
        kept = f"{name}.{state['batches']}.learning.safetensors" if jax.tree.leaves(learning) else None
        save(network, self._rows / weights)
        if kept:
            save_state(learning, self._rows / kept)
        files = {"weights": weights, "learning": kept}
        write_atomically(self._checkpoint(name), as_json({**state, **files}) + "\n")
        self._clear(name, but=(weights, kept))

    def resume(self, name: str, like: LearningState | None = None) -> tuple[dict[str, Any], Network, Any] | None:
        """Return the last checkpoint of a row, or None if there is none.

        Parameters
        ----------
        name : str
            Name of the row.
        like : LearningState, optional
            State of learning before the first batch (see `simatch.Rule.init`), for rules and transformations with a
            state.

        Returns
        -------
        state : dict
        network : Network
        learning : LearningState, or `like` if the checkpoint has none

        Raises
        ------
        ValueError
            If the checkpoint is damaged, or its state of learning does not have the layout of `like`.
        """
        if not self._checkpoint(name).is_file():
            return None
        state = _read(self._checkpoint(name))
        network, kept = load(self._rows / state.pop("weights")), state.pop("learning", None)
        return state, network, load_state(self._rows / kept, like) if kept else like

    @property
    def _rows(self) -> Path:
        return self.folder / "rows"

    def _checkpoint(self, name: str) -> Path:
        return self._rows / f"{name}.checkpoint.json"

    def _clear(self, name: str, *, but: Sequence[str | None] = ()) -> None:
        for old in self._rows.glob(f"{name}.*.safetensors"):
            if old.name not in but:
                old.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({error}); delete it, or add --overwrite.") from None
