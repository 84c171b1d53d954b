"""Rows beside the published algorithm: same network, same images, equal or better true accuracy of the activities."""

import itertools
from collections.abc import Sequence

import numpy as np

from .network_rows import Training, activity_error, start
from .networks import KINDS, Stage
from .published import Published, published_rate
from .reference import relative_error, solution
from .result import Options, Result
from .timing import in_turn

# From loose to strict; the first at which our activities are as good as the peer's is timed.
TOLERANCES = (1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5)
DEFAULT = 1e-3


class PublishedTraining:
    """The published algorithm, on a few images a call, one after the other."""

    def __init__(self, algorithm: Published, x: np.ndarray, seen: int, images: int):
        self.algorithm, self.images, self.seen = algorithm, images, seen
        self.stream = itertools.cycle(x)

    def __call__(self) -> None:
        """Relax and learn, image by image."""
        for x in itertools.islice(self.stream, self.images):
            r, _ = self.algorithm.settle(x)
            self.algorithm.learn(x, r, published_rate(self.seen))


def published_rows(
    options: Options,
    name: str,
    kind_name: str,
    stage: Stage,
    *,
    peer_images: int,
    batches: int = 10,
    online: int = 0,
) -> Sequence[Result]:
    """Time the published algorithm beside our training in batches, and online from `online` images if that is above 0.

    Batches are timed at the default tolerance, or at a stricter one where the published algorithm is more accurate,
    and at the loosest tolerance with which we are at least as accurate.
    """
    kind = KINDS[kind_name]
    net = kind.network(stage, options.folder)
    x = kind.images(max(100 * batches, online), options.folder)
    flat = x[:20].reshape(20, -1)
    algorithm = Published.of(net)
    settled = [algorithm.settle(image) for image in flat]
    truth = solution(net, x[:20])
    peer_errors = relative_error(np.array([np.concatenate(r) for r, _ in settled], float), truth)
    peer_steps = float(np.mean([steps for _, steps in settled]))

    found = {}
    for tolerance in TOLERANCES:
        errors = activity_error(net, x[:20], tolerance)
        if np.median(errors) <= np.median(peer_errors) and errors.max() <= peer_errors.max():
            found.setdefault("equal", (tolerance, errors))
            if tolerance <= DEFAULT:
                found["default"] = (tolerance, errors)
                break

    rate, tasks = start(kind, stage), {}
    for accuracy, (tolerance, _) in found.items():
        tasks[accuracy] = Training(net, x, rate, batches=batches, tolerance=tolerance)
    if online:
        strict = found["default"][0]
        tasks["online"] = Training(net, x, rate, batches=online, batch_size=1, tolerance=strict)
        found["online"] = found["default"]
    seen = 100 * (10 if stage == "early" else kind.batches)
    peer = PublishedTraining(algorithm, flat, seen, peer_images)
    laps = in_turn({**tasks, "published": peer}, options.rounds)
    peer_speed = peer_images / laps.seconds["published"]

    results = []
    for accuracy, training in tasks.items():
        results.append(
            training.result(
                name if accuracy == "default" else f"{name}-{accuracy}",
                laps,
                accuracy,
                found[accuracy][1],
                peer="published",
                peer_images_per_second=peer_speed,
                peer_error=float(np.median(peer_errors)),
                peer_worst_error=float(peer_errors.max()),
                ratio=training.images / laps.seconds[accuracy] / peer_speed,
                note=f"the published algorithm takes {peer_steps:.0f} steps",
            )
        )
    return results
