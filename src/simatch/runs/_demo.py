"""The demonstration: a linear readout of features learned from digits without labels, against one of pixels."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from ..data import load_dataset
from ._run import Run, readout_error, run
from ._settings import merged


@dataclasses.dataclass(frozen=True, eq=False)
class Demo:
    """Results on one split of the digits.

    Attributes
    ----------
    seed : int
        Seed of the split, of the network and of the order of samples.
    pixels_error_percent : float
        Error of the readout of pixels, on the held-out part.
    features_error_percent : float or None
        Error of the same readout of the features of all layers; None before the network has learned.
    run : Run or None
        The run with the trained network; None before the network has learned.
    """

    seed: int
    pixels_error_percent: float
    features_error_percent: float | None = None
    run: Run | None = None


def demo(*, splits: int = 5, seed: int = 0) -> Iterator[Demo]:
    """Compare features with pixels on several splits of the digits that ship with scikit-learn.

    In every split a quarter of the images is held out. A new network learns from the other images without their labels,
    and one readout is fitted on their features and one on their pixels.

    Parameters
    ----------
    splits : int
        Number of splits.
    seed : int
        Seed of the first split; each split has the next number.

    Yields
    ------
    Demo
        Two for each split: one with the error on pixels, then one with the trained network and its error.
    """
    digits = load_dataset("digits")
    for number in range(seed, seed + splits):
        settings = merged("digits", options={"seed": number})
        # Exactly the split that `run` makes.
        part = digits.held_out(seed=number)
        assert part.y_train is not None
        assert part.x_test is not None
        assert part.y_test is not None
        pixels, test_pixels = (x.reshape(len(x), -1) for x in (part.x_train, part.x_test))
        baseline = readout_error(pixels, part.y_train, test_pixels, part.y_test)
        yield Demo(number, baseline)
        result = run(settings, part)
        yield Demo(number, baseline, result.test_error_percent, result)


def mean_errors(results: list[Demo]) -> tuple[float, float]:
    """Mean error on pixels and on features in percent, over the splits with a trained network."""
    complete = [
        (d.pixels_error_percent, d.features_error_percent) for d in results if d.features_error_percent is not None
    ]
    pixels, features = np.mean(complete, axis=0)
    return float(pixels), float(features)
