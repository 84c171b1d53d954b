"""Folders of long runs of several networks: finished rows, and checkpoints of the one that is learning."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .._progress import tracked
from ..learning import Course, Rule, Steps, describe, initial_state
from ..network import Network
from ._atomic import write_atomically
from ._checkpoints import Checkpoints
from ._lock import LOCK, locked
from ._network_file import load, save
from ._results import as_json, check_free

FORMAT, ROW_FORMAT = "simatch-rows-1", "simatch-row-1"
_START = "start.safetensors"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Folder of a long run: its settings, its finished rows, and checkpoints of the row that is being computed.

    A row is the result of one network, such as one line of a table. A finished row is a JSON file ``rows/NAME.json``
    with the network beside it. While a row is computed, the folder ``rows/NAME`` holds its checkpoints. Files that this
    class did not write are never changed.

    Parameters
    ----------
    folder : Path
        An existing folder with its settings; `open` makes it.

    Examples
    --------
    >>> import pathlib, tempfile, simatch as sm
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with sm.storage.RunFolder.open(pathlib.Path(place, "run"), {"rate": 0.1}, overwrite=False) as kept:
    ...         net = sm.layered(4, [sm.Layer(units=2)])
    ...         kept.finish("a", {"error": 1.5}, net)
    ...         kept.rows()
    [{'error': 1.5}]
    """

    folder: Path

    @classmethod
    @contextlib.contextmanager
    def open(cls, out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator["RunFolder"]:
        """Open the folder of an earlier run with the same settings, or make a new one, for one process at a time.

        Parameters
        ----------
        out : Path
        settings : mapping of str to values that JSON can hold
            Everything that determines the rows.
        overwrite : bool
            Whether earlier rows may be replaced. An interrupted run of the same settings goes on all the same.

        Yields
        ------
        RunFolder

        Raises
        ------
        ValueError
            If the folder holds other files, or rows of other settings, if its settings are damaged, or if another
            process works in it.
        """
        file, rows = out / "settings.json", out / "rows"
        settings = json.loads(as_json({"format": FORMAT, **settings}))
        earlier = _settings_in(file)
        finished = earlier is not None and earlier.pop("finished", False)
        if earlier is None:
            check_free(out, overwrite=overwrite)
        elif not overwrite:
            for name, value in settings.items():
                if earlier.get(name) != value:
                    raise ValueError(
                        f"The folder {str(out)!r} holds rows with {name.replace('_', ' ')} {earlier.get(name)!r}, not "
                        f"{value!r}; give --out another folder, or add --overwrite to begin again."
                    )
        if rows.is_symlink():
            raise ValueError(f"{str(rows)!r} is a link, where a run writes nothing; give --out another folder.")
        out.mkdir(parents=True, exist_ok=True)
        rows.mkdir(exist_ok=True)
        with locked(rows):
            if earlier != settings or (overwrite and finished):
                _delete_rows(rows)
            write_atomically(file, as_json({**settings, "finished": False}, indent=2) + "\n")
            yield cls(out)
            write_atomically(file, as_json({**settings, "finished": True}, indent=2) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """Return all finished rows, in the order of their names.

        Returns
        -------
        list of dict

        Raises
        ------
        ValueError
            If a file of a row is damaged.
        """
        found = (_row_in(path) for path in sorted(self._rows.glob("*.json")))
        return [row for row in found if row is not None]

    def network(self, name: str) -> Network:
        """Return the network of a finished row, as `simatch.load` does.

        Parameters
        ----------
        name : str
            Name of the row.

        Returns
        -------
        Network
        """
        return load(self._rows / f"{name}.safetensors")

    def finished(self, name: str) -> dict[str, Any] | None:
        """Return a row if it is finished, otherwise None.

        Parameters
        ----------
        name : str
            Name of the row.

        Returns
        -------
        dict, or None

        Raises
        ------
        ValueError
            If the file of the row is damaged.
        """
        path = self._rows / f"{name}.json"
        return _row_in(path) if path.is_file() else None

    def finish(self, name: str, row: Mapping[str, Any], network: Network) -> None:
        """Save a finished row and its network, and delete its checkpoints.

        Parameters
        ----------
        name : str
            Name of the row and of its files.
        row : mapping of str to values that JSON can hold
        network : Network
        """
        save(network, self._rows / f"{name}.safetensors")
        own = json.loads(as_json(row))
        content = {"format": ROW_FORMAT, "digest": _digest(own), **own}
        write_atomically(self._rows / f"{name}.json", as_json(content, indent=2) + "\n")
        _delete_checkpoints(self._rows / name)

    def learn(
        self, name: str, start: Callable[[], Network], steps: Callable[[Course], Steps], rule: Rule, planned: int
    ) -> Course:
        """Learn a row from where its checkpoints end, with a progress bar.

        Parameters
        ----------
        name : str
            Name of the row.
        start : callable
            Returns the network before learning. It is called once, also if the run is interrupted later.
        steps : callable
            Returns, for the course so far, the steps that are left, such as those of `simatch.training` with
            ``after=course.last``.
        rule : Rule
            Rule of learning.
        planned : int
            Number of batches of the whole row, at least 1.

        Returns
        -------
        Course
            The complete course.

        Raises
        ------
        ValueError
            If the checkpoints are damaged or of another network.
        """
        folder = self._rows / name
        folder.mkdir(exist_ok=True)
        if not (folder / _START).is_file():
            save(start(), folder / _START)
        net, kept = load(folder / _START), Checkpoints(folder)
        with kept.course(net, initial_state(net, rule, None), {}) as course:
            if not course.complete:
                for _ in tracked(kept.following(course, steps(course)), planned, describe):
                    pass
        return course

    @property
    def _rows(self) -> Path:
        return self.folder / "rows"


def _settings_in(file: Path) -> dict[str, Any] | None:
    """Settings of a run in its folder; None if there is no run."""
    if not file.is_file():
        return None
    found = _read(file)
    return found if isinstance(found, dict) and "format" in found else None


def _row_in(path: Path) -> dict[str, Any] | None:
    """Row of a file; None if it is a file of something else."""
    found = _read(path)
    if not isinstance(found, dict) or found.get("format") != ROW_FORMAT:
        return None
    row = {name: value for name, value in found.items() if name not in ("format", "digest")}
    if found.get("digest") != _digest(row):
        raise ValueError(f"The file {str(path)!r} is damaged (its checksum does not fit its content); delete it.")
    return row


def _digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({error}); delete it.") from None


def _delete_rows(rows: Path) -> None:
    """Delete rows, their networks and checkpoints, and nothing else."""
    for path in rows.glob("*.json"):
        if not path.is_symlink() and _row_in(path) is not None:
            path.unlink()
            path.with_suffix(".safetensors").unlink(missing_ok=True)
    for path in rows.iterdir():
        if path.is_dir() and not path.is_symlink():
            _delete_checkpoints(path)


def _delete_checkpoints(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in [*folder.glob("batch-*.safetensors"), folder / _START, folder / LOCK]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something of the user's is in it
        folder.rmdir()
