"""A row beside scikit-learn's MiniBatchNMF: 64 nonnegative units learned from batches of 100 images.

Both find nonnegative features of a stream, by different costs (similarities here, reconstruction there). There is no
accuracy that the two could share, so that only images a second are compared, each at its own default tolerance.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import MiniBatchNMF

from simatch.data import load_dataset

from .network_rows import Training, activity_error, start
from .networks import KINDS
from .result import Options, Result
from .timing import in_turn

BATCHES, UNITS = 10, 64


class Factorisation:
    """Go on learning from the same batches by factorising them; pixels are nonnegative here, as they must be."""

    def __init__(self, x: np.ndarray):
        self.batches = x.reshape(BATCHES, -1, x[0].size)
        self.model = MiniBatchNMF(UNITS, batch_size=self.batches.shape[1], random_state=0)  # pyright: ignore[reportArgumentType]

    def __call__(self) -> None:
        """Learn from all batches once."""
        for batch in self.batches:
            self.model.partial_fit(batch)


def nmf_row(options: Options) -> Sequence[Result]:
    """Time both on the same images."""
    kind = KINDS["relu-64"]
    net = kind.network("trained", options.folder)
    x = kind.images(100 * BATCHES, options.folder)
    training = Training(net, x, start(kind, "trained"), batches=BATCHES)
    laps = in_turn({"train": training, "peer": Factorisation(load_dataset("mnist").x_train[: len(x)])}, options.rounds)
    errors = activity_error(net, x[:100], training.tolerance)
    return [
        training.result(
            "nmf",
            laps,
            "train",
            errors,
            peer="MiniBatchNMF",
            peer_images_per_second=training.images / laps.seconds["peer"],
            ratio=laps.seconds["peer"] / laps.seconds["train"],
            note="another cost: only speed is compared",
        )
    ]
