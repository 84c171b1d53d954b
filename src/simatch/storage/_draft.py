"""Drafts: a run works in a folder of its own, and its results replace those in the run folder when it is complete."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ._atomic import write_atomically
from ._lock import is_locked, locked
from ._results import RUNS, as_json, check_free

FORMAT = "simatch-run-1"
MANIFEST, DRAFT, COMPLETE, WORK = "run.json", "unfinished", "finished", "work"
_SETTINGS = "draft.json"


@dataclasses.dataclass(frozen=True)
class Draft:
    """The folder ``unfinished`` inside a run folder, in which a run works until it is complete.

    Until then nothing else in the run folder changes, so that a run that fails, or is refused or killed, leaves earlier
    results as they were. Results are files in the draft. What only the run needs, such as checkpoints, is in its
    subfolder ``work``. `publish` moves all results to the run folder, with the manifest ``run.json``: the kind of the
    run, its settings, and a checksum of every file. If the process dies while the files are moved, the next run moves
    the rest.

    Attributes
    ----------
    out : Path
        The run folder.
    settings : dict
        Settings of the run.
    published : bool
        Whether the run folder already holds the results of these settings.
    """

    out: Path
    settings: dict[str, Any]
    published: bool = False

    @property
    def folder(self) -> Path:
        """The folder for results."""
        return self.out / DRAFT

    @property
    def work(self) -> Path:
        """The folder for what only the run needs."""
        return self.folder / WORK

    @property
    def begun(self) -> bool:
        """Whether something was learned, from which the run can go on: a checkpoint in a subfolder of `work`."""
        return any(path.name[0] != "." for path in self.work.glob("*/*"))

    def discard(self) -> None:
        """Delete the draft, and the run folder too if nothing else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.out.rmdir()

    def publish(self, kind: str, values: Mapping[str, Any] | None = None) -> None:
        """Move all results to the run folder, in place of those of an earlier run.

        Parameters
        ----------
        kind : str
            Kind of the run, or name of the class that reads the folder.
        values : mapping of str to values that JSON can hold, optional
            More values for the manifest.
        """
        files = [
            path for path in self.folder.iterdir() if path.is_file() and path.name[0] != "." and path.name != MANIFEST
        ]
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "simatch": importlib.metadata.version("simatch"),
            "settings": self.settings,
            **(values or {}),
            "files": {path.name: digest_of(path) for path in sorted(files)},
        }
        write_atomically(self.folder / MANIFEST, as_json(manifest, indent=2) + "\n")
        self.folder.rename(self.out / COMPLETE)
        _move_results(self.out)


@contextlib.contextmanager
def draft(out: Path | None, name: str, settings: dict[str, Any], *, overwrite: bool) -> Iterator[Draft]:
    """Begin a run, or go on with one of the same settings that was interrupted, for one process at a time.

    If the run fails before it has written anything to go on from, the folder is left as it was.

    Parameters
    ----------
    out : Path or None
        The run folder. By default the first of ``runs/NAME-1``, ``runs/NAME-2``, ... that does not exist or in which a
        run of the same settings was interrupted.
    name : str
        Name of a new run folder.
    settings : dict of str to values that JSON can hold
        Everything that determines the results.
    overwrite : bool
        Whether the results may replace those of an earlier run, which stay until then; and whether an interrupted run
        of other settings may be given up.

    Yields
    ------
    Draft

    Raises
    ------
    ValueError
        If `out` is a file or holds other files or the draft of other settings that may not be overwritten, or if
        another process works in it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from simatch.storage import draft, keep_numbers, manifest_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with draft(pathlib.Path(folder) / "one", "one", {"seed": 0}, overwrite=False) as own:
    ...         keep_numbers(own.folder, {"error": 0.1})
    ...         own.publish("measurement")
    ...     manifest_of(pathlib.Path(folder) / "one")["settings"]
    {'seed': 0}
    """
    settings = dict(json.loads(as_json(settings)))
    out = _numbered(name, settings) if out is None else out
    if (out / COMPLETE).is_dir():
        with locked(out / COMPLETE):
            _move_results(out)
    earlier = _settings_in(out / DRAFT)
    if earlier is None:
        if not overwrite and _published(out) == settings:
            yield Draft(out, settings, published=True)
            return
        check_free(out, overwrite=overwrite)
    elif earlier != settings and not overwrite:
        different = next(k for k in {**settings, **earlier} if settings.get(k) != earlier.get(k))
        raise ValueError(
            f"The folder {str(out)!r} holds an interrupted run with other settings ({different.replace('_', ' ')}); "
            "give --out another folder, or add --overwrite to give that run up."
        )
    own = Draft(out, settings)
    own.folder.mkdir(parents=True, exist_ok=True)
    with locked(own.folder):
        if earlier != settings:
            _empty(own.folder)
            own.work.mkdir()
            write_atomically(own.work / _SETTINGS, as_json(settings) + "\n")
        try:
            yield own
        finally:
            if not own.begun:
                own.discard()


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder after checking that all its files are those of one run.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    dict of str to values that JSON can hold

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder.
    ValueError
        If the manifest is damaged or of another format, or if a file is missing or was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        hint = f"; the run in {DRAFT!r} is not finished" if (folder / DRAFT).is_dir() else ""
        raise FileNotFoundError(f"{str(folder)!r} is not the folder of a run: it has no {MANIFEST}{hint}.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, not {FORMAT!r}")
        files = {str(name): str(digest) for name, digest in manifest["files"].items()}
        if not all(_plain(name) for name in files):
            raise ValueError("it names files outside its folder")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({type(error).__name__}: {error}).") from None
    for name, digest in files.items():
        own = folder / name
        # Pages may be edited.
        if own.suffix in (".safetensors", ".json") and not (own.is_file() and digest_of(own) == digest):
            raise ValueError(f"The file {str(own)!r} is missing, or is not the one that its run wrote.")
    return manifest


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(name: str) -> bool:
    """Whether a name is that of a file in the folder itself."""
    return name == Path(name).name


def _numbered(name: str, settings: dict[str, Any]) -> Path:
    """Return the folder of an interrupted run of these settings in which no process works, or a new one."""
    for number in itertools.count(1):
        folder = RUNS / f"{name}-{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
        for left in (folder / DRAFT, folder / COMPLETE):
            if _settings_in(left) == settings and not is_locked(left):
                return folder
    raise AssertionError


def _settings_in(draft: Path) -> dict[str, Any] | None:
    """Settings of a draft; None if there is none."""
    try:
        return json.loads((draft / WORK / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # also if the process died before it had written them


def _published(out: Path) -> dict[str, Any] | None:
    """Settings of the complete run in a folder; None if there is none."""
    try:
        return manifest_of(out)["settings"]
    except (OSError, ValueError, KeyError):
        return None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name[0] != ".":
            path.unlink()


def _move_results(out: Path) -> None:
    """Move the results of a complete run to its run folder; the manifest comes last."""
    complete = out / COMPLETE
    if (complete / MANIFEST).is_file():
        new = json.loads((complete / MANIFEST).read_text(encoding="utf-8"))["files"]
        with contextlib.suppress(OSError, ValueError):
            for name, digest in manifest_of(out)["files"].items():
                old = out / name
                if name not in new and old.is_file() and digest_of(old) == digest:
                    old.unlink()
        for name in [*new, MANIFEST]:
            if (complete / name).is_file():
                (complete / name).replace(out / name)
    shutil.rmtree(complete)
