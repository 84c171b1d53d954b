"""What a row is asked and what it answers."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes
    ----------
    rounds : int
        Times that everything is timed, in turn; medians are reported.
    cache : str
        Folder with trained weights and with images.
    pynsm_python : str or None
        Interpreter that can import pynsm.
    """

    rounds: int
    cache: str
    pynsm_python: str | None = None

    @property
    def folder(self) -> Path:
        """The cache as a path."""
        return Path(self.cache)


@dataclasses.dataclass
class Result:
    """One line of the table; what does not apply is None.

    Attributes
    ----------
    name : str
    images_per_second, encode_images_per_second : float
        In training and in encoding.
    seconds : float
        Time to a result, for tasks that have one.
    steps : float
        Solver steps an image in training.
    tolerance : float
        Tolerance of the relaxation.
    error, worst_error : float
        True relative error of the activities, median and largest; for tasks with a result, its error.
    share, encode_share : float
        Of the machine's matrix-product rate that the necessary arithmetic reaches.
    product_gflops : float
        That rate, in units of 1e9 operations a second.
    memory_mb, compile_seconds : float
    synapses : int
    unconverged : int
        Images that training did not relax to the tolerance.
    peer : str
        What was timed beside it.
    peer_images_per_second, peer_seconds, peer_error, peer_worst_error : float
    ratio : float
        How many times as fast as the peer.
    note : str
    """

    name: str
    images_per_second: float | None = None
    encode_images_per_second: float | None = None
    seconds: float | None = None
    steps: float | None = None
    tolerance: float | None = None
    error: float | None = None
    worst_error: float | None = None
    share: float | None = None
    encode_share: float | None = None
    product_gflops: float | None = None
    memory_mb: float | None = None
    compile_seconds: float | None = None
    synapses: int | None = None
    unconverged: int | None = None
    peer: str | None = None
    peer_images_per_second: float | None = None
    peer_seconds: float | None = None
    peer_error: float | None = None
    peer_worst_error: float | None = None
    ratio: float | None = None
    note: str | None = None
