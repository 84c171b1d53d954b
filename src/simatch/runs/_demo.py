"""The main job in small: features of digits, learned without labels, are worth more to a linear readout than pixels."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from ..data import load_dataset
from ._run import Run, readout_error, run
from ._settings import merged


@dataclasses.dataclass(frozen=True, eq=False)
class Demo:
    """One split of the digits.

    Attributes
    ----------
    seed : int
        Of the split, of the network and of the order of samples.
    pixels_error_percent : float
        Of the readout on pixels, on the held-out part.
    features_error_percent : float or None
        Of the same readout on the features of all layers; None until the network has learned.
    run : Run or None
        The trained network.
    """

    seed: int
    pixels_error_percent: float
    features_error_percent: float | None = None
    run: Run | None = None


def demo(*, splits: int = 5, seed: int = 0) -> Iterator[Demo]:
    """Compare features with pixels on several splits of the digits that ship with scikit-learn.

    In every split a quarter of the images is held out, a new network learns from the others without their labels, and
    one readout each is fitted on their features and on their pixels.

    Yields
    ------
    Demo
        Twice a split: as soon as the error on pixels is known, and when the network has learned.
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
    """Mean error on pixels and on features, over the splits that are complete."""
    complete = [
        (d.pixels_error_percent, d.features_error_percent) for d in results if d.features_error_percent is not None
    ]
    pixels, features = np.mean(complete, axis=0)
    return float(pixels), float(features)
