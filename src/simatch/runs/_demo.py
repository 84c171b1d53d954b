"""The demonstration: a linear readout of features learned from digits without labels, beside other features."""

from collections.abc import Iterator
from pathlib import Path

from ..data import load_dataset
from ._run import Run, run
from ._settings import merged


def demo(*, splits: int = 5, seed: int = 0, work: Path | None = None) -> Iterator[Run]:
    """Learn features on several splits of the digits that ship with scikit-learn, and compare their readout.

    In every split a quarter of the images is held out. A new network learns from the other images without their labels,
    and one linear readout is fitted on its features, on those of the untrained network, and on others.

    Parameters
    ----------
    splits : int
        Number of splits, at least 1.
    seed : int
        Seed of the first split, at least 0; each split has the next number.
    work : Path, optional
        Folder in which what was learned is kept, and from which the same demonstration goes on after an interruption.

    Yields
    ------
    Run
        One for each split.
    """
    digits = load_dataset("digits")
    for number in range(seed, seed + splits):
        own = None if work is None else work / f"split-{number}"
        yield run(merged("digits", options={"seed": number}), digits, work=own)
