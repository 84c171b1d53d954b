"""Results of a long reproduction, kept in its folder row by row, so that it goes on where it was stopped."""

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

# Seconds between two checkpoints: what is lost, at most, when the process is killed.
CHECKPOINT_EVERY = 20.0


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """What a folder holds: settings, finished rows, and how far the row under way has come.

    A row is a JSON file with the weights beside it. A row under way is a JSON file that names the file of its weights:
    whenever the process ends, the two belong together.
    """

    folder: Path

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> "RunFolder":
        """Open a folder, made by the same settings or new.

        Raises
        ------
        ValueError
            If it holds something else, or rows that were made with other settings.
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
        """Return all finished rows, by units and seed."""
        rows = [_read(p) for p in self._rows.glob("*.json") if not p.name.endswith(".checkpoint.json")]
        return sorted(rows, key=lambda row: (row["units"], row["seed"]))

    def network(self, name: str) -> Network:
        """Return the network of a finished row."""
        return load(self._rows / f"{name}.safetensors")

    def finished(self, name: str) -> tuple[dict[str, Any], Network] | None:
        """Return what `finish` was given for a row, if it was."""
        row = self._rows / f"{name}.json"
        return (_read(row), self.network(name)) if row.is_file() else None

    def finish(self, name: str, row: Mapping[str, Any], network: Network) -> None:
        """Keep a finished row, and its network instead of its checkpoint."""
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
        """Go through the steps of learning, of `planned` batches in all, with a checkpoint now and then.

        `state` and `network` are those before; what is `noted` of a report becomes a part of the state.
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
        """Keep how far a row is, and what its rule keeps from batch to batch."""
        weights = f"{name}.{state['batches']}.safetensors"
        kept = f"{name}.{state['batches']}.learning.safetensors" if jax.tree.leaves(learning) else None
        save(network, self._rows / weights)
        if kept:
            save_state(learning, self._rows / kept)
        files = {"weights": weights, "learning": kept}
        write_atomically(self._checkpoint(name), as_json({**state, **files}) + "\n")
        self._clear(name, but=(weights, kept))

    def resume(self, name: str, like: LearningState | None = None) -> tuple[dict[str, Any], Network, Any] | None:
        """Return what the last `checkpoint` of a row was given, if there was one.

        `like` is the learning state before the first batch (`simatch.Rule.init`), for rules that have one.

        Raises
        ------
        ValueError
            If the checkpoint is damaged, or its learning state does not have the layout of `like`.
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
