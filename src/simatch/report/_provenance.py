"""Provenance of a result: command, software versions and machine."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Information that is needed to reproduce a result.

    Attributes
    ----------
    command : str
        The command line.
    finished : str
        Date and time, with time zone.
    versions : dict of str to str
        Versions of Python and of the packages.
    machine : str
        Operating system, kind of processor and number of cores; no names.
    """

    command: str
    finished: str
    versions: dict[str, str]
    machine: str


def provenance(command: str) -> Provenance:
    """Return the provenance of results of this process.

    Parameters
    ----------
    command : str
        The command line.

    Returns
    -------
    Provenance

    Examples
    --------
    >>> from simatch import report
    >>> report.provenance("simatch demo").command
    'simatch demo'
    """
    packages = ("simatch", "jax", "equinox", "numpy", "scikit-learn")
    versions = {"python": platform.python_version()} | {name: _version(name) for name in packages}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Provenance(
        command=command,
        finished=datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {cores} cores",
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
