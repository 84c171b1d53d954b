"""Rows beside pynsm: 784 to 64 nonnegative units, batches of 100, same learning rule, same accuracy of activities."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from .network_rows import Training, activity_error, start
from .networks import KINDS
from .reference import relative_error, solution
from .result import Options, Result
from .timing import in_turn

BATCHES, DEFAULT_ITERATIONS = 10, 40
# Steps of pynsm, in units of one over the largest eigenvalue of its lateral weights, and their numbers.
LENGTHS, ITERATIONS = (1.0, 1.3, 1.6, 1.9), (5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 1000)


class Worker:
    """A process with pynsm, which holds the network and its images."""

    def __init__(self, python: str, batches: np.ndarray, feedforward: np.ndarray, lateral: np.ndarray):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        np.savez(self.folder / "data.npz", batches=batches, feedforward=feedforward, lateral=lateral)
        script = Path(__file__).with_name("pynsm_worker.py")
        self._process = subprocess.Popen(  # noqa: S603
            [python, str(script), str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **order: object) -> dict[str, float]:
        """Give an order and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("The process with pynsm ended early; its message is above.")
        return json.loads(answer)

    def activities(self, length: float, iterations: int) -> np.ndarray:
        """Activities of the first batch."""
        self.ask(do="settle", length=length, iterations=iterations)
        return np.load(self.folder / "activities.npy").astype(float)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def pynsm_rows(options: Options) -> Sequence[Result]:
    """Time pynsm at the fewest steps that are as accurate as ours, and at its default of 40."""
    kind = KINDS["relu-64"]
    net = kind.network("trained", options.folder)
    x = kind.images(100 * BATCHES, options.folder)
    lateral = np.asarray(net.lateral[0].to_dense())
    largest = float(np.linalg.eigvalsh(lateral)[-1])
    training = Training(net, x, start(kind, "trained"), batches=BATCHES)
    truth = solution(net, x[:100])
    errors = activity_error(net, x[:100], training.tolerance)
    feedforward, python = net.feedforward[0].to_dense(), options.pynsm_python or sys.executable
    with Worker(python, x.reshape(BATCHES, 100, -1), feedforward, lateral) as worker:

        def peer_errors(length: float, iterations: int) -> np.ndarray:
            return relative_error(worker.activities(length / largest, iterations), truth)

        chosen = next(
            (iterations, length)
            for iterations in ITERATIONS
            for length in LENGTHS
            if np.median(peer_errors(length, iterations)) <= np.median(errors) or iterations == ITERATIONS[-1]
        )
        best = min(LENGTHS, key=lambda length: np.median(peer_errors(length, DEFAULT_ITERATIONS)))
        settings = {"equal": chosen, "default": (DEFAULT_ITERATIONS, best)}
        seconds: dict[str, list[float]] = {name: [] for name in settings}

        def peer(name: str) -> None:
            iterations, length = settings[name]
            answer = worker.ask(do="train", length=length / largest, iterations=iterations, rate=training.rate)
            seconds[name].append(answer["seconds"])

        laps = in_turn(
            {"train": training, "equal": lambda: peer("equal"), "default": lambda: peer("default")}, options.rounds
        )
        found = {name: peer_errors(length, iterations) for name, (iterations, length) in settings.items()}
    results = []
    for name, (iterations, length) in settings.items():
        # The worker's own clock, without the way there and back; the first call is not counted.
        taken = float(np.median(seconds[name][1:]))
        results.append(
            training.result(
                "pynsm" if name == "equal" else "pynsm-default",
                laps,
                "train",
                errors,
                peer="pynsm",
                peer_images_per_second=training.images / taken,
                peer_error=float(np.median(found[name])),
                peer_worst_error=float(found[name].max()),
                ratio=taken / laps.seconds["train"],
                note=f"pynsm: {iterations} steps of {length:g} / lambda_max, {1e3 * taken / BATCHES:.1f} ms a batch",
            )
        )
    return results
