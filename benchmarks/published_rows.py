"""Rows beside the published algorithm: same network, same images, equal or better true accuracy of the activities."""

import itertools
from collections.abc import Sequence

import numpy as np

from .network_rows import Training, activity_error, start
from .networks import KINDS, Stage
from .published import Published, published_rate
from .reference import relative_error, solution
from .result import Options, Result
from .streamlined import Streamlined
from .timing import in_turn

# From loose to strict; the first at which our activities are as good as the peer's is timed.
TOLERANCES = (1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5)
DEFAULT = 1e-3
# Images whose activities are compared with a solution.
SETTLED = 20


class PublishedTraining:
    """The published algorithm, on a few images a call, one after the other."""

    def __init__(self, algorithm: Published | Streamlined, x: np.ndarray, seen: int, images: int):
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
    """Time the published algorithm, and a streamlined one, beside our training in batches.

    With `online` images also beside our training image by image.

    Batches are timed at the default tolerance, or at a stricter one where a peer is more accurate, and at the loosest
    tolerance with which we are at least as accurate as both.
    """
    kind = KINDS[kind_name]
    net = kind.network(stage, options.folder)
    x = kind.images(max(100 * batches, online), options.folder)
    flat, truth = x[:SETTLED].reshape(SETTLED, -1), solution(net, x[:SETTLED])
    algorithms = {"published": Published.of(net), "streamlined": Streamlined.of(net)}
    peers = {peer: _settled(algorithm, flat, truth) for peer, algorithm in algorithms.items()}

    found = {}
    for tolerance in TOLERANCES:
        errors = activity_error(net, x[:SETTLED], tolerance)
        if all(np.median(errors) <= np.median(e) and errors.max() <= e.max() for e, _ in peers.values()):
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
    learning = {peer: PublishedTraining(algorithms[peer], flat, seen, peer_images) for peer in peers}
    laps = in_turn({**tasks, **learning}, options.rounds)

    results = []
    for peer, (peer_errors, peer_steps) in peers.items():
        peer_speed = peer_images / laps.seconds[peer]
        for accuracy, training in tasks.items():
            row = name.replace("published", peer)
            results.append(
                training.result(
                    row if accuracy == "default" else f"{row}-{accuracy}",
                    laps,
                    accuracy,
                    found[accuracy][1],
                    peer=peer,
                    peer_images_per_second=peer_speed,
                    peer_error=float(np.median(peer_errors)),
                    peer_worst_error=float(peer_errors.max()),
                    ratio=training.images / laps.seconds[accuracy] / peer_speed,
                    note=f"the {peer} algorithm takes {peer_steps:.0f} steps",
                )
            )
    return results


def _settled(algorithm: Published | Streamlined, flat: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Error of every image's activities, and steps in the mean."""
    settled = [algorithm.settle(image) for image in flat]
    errors = relative_error(np.array([np.concatenate(r) for r, _ in settled], float), truth)
    return errors, float(np.mean([steps for _, steps in settled]))
