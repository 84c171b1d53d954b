"""Which software made a result, and how."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What somebody needs to make a result again.

    Attributes
    ----------
    command : str
        The command line.
    finished : str
        Date and time with its zone.
    versions : dict of str to str
        Of the software that computed it.
    machine : str
        Kind of processor and system, without names.
    """

    command: str
    finished: str
    versions: dict[str, str]
    machine: str


def provenance(command: str) -> Provenance:
    """Describe this process.

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
