"""Rows that train and encode with one network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import simatch as sm

from .arithmetic import mean_steps, necessary, product_rate, products
from .networks import KINDS, Kind, Stage
from .reference import relative_error, rows, solution
from .result import Options, Result
from .timing import Laps, in_turn, peak_memory_mb

ENCODE_AT_ONCE, ERROR_IMAGES = 500, 100


class Training:
    """Some batches of training that start from the same weights whenever they are called.

    Parameters
    ----------
    net : Network
    x : array of images
        As many as `batches` of `batch_size` need.
    rate : float
    batches, batch_size : int
    tolerance : float
    """

    def __init__(
        self,
        net: sm.Network,
        x: np.ndarray,
        rate: float,
        *,
        batches: int,
        batch_size: int = 100,
        tolerance: float = 1e-3,
    ):
        self.net, self.rate, self.tolerance = net, rate, tolerance
        self.parts = [x[i * batch_size : (i + 1) * batch_size] for i in range(batches)]
        self.images = batches * batch_size
        self.report: sm.Report | None = None

    def __call__(self) -> None:
        """Learn from all batches and keep the report."""
        runs = sm.training(self.net, self.parts, rate=self.rate, tolerance=self.tolerance, report_every=len(self.parts))
        for _, self.report in runs:
            pass

    def result(self, name: str, laps: Laps, task: str, errors: np.ndarray, **more: Any) -> Result:
        """Say what was measured of it as a task in turn with others, with the true errors of some images."""
        assert self.report is not None
        return Result(
            name,
            images_per_second=self.images / laps.seconds[task],
            steps=self.report.steps,
            tolerance=self.tolerance,
            error=float(np.median(errors)),
            worst_error=float(errors.max()),
            compile_seconds=laps.compile_seconds[task],
            synapses=self.net.synapses,
            unconverged=self.report.unconverged,
            **more,
        )


def activity_error(net: sm.Network, x: np.ndarray, tolerance: float) -> np.ndarray:
    """True relative error of every image's activities at a tolerance."""
    return relative_error(rows(sm.relax(net, x, tolerance=tolerance), net), solution(net, x))


def start(kind: Kind, stage: Stage) -> float:
    """Learning rate at a stage."""
    return kind.rate(0 if stage == "early" else kind.batches)


def network_row(
    options: Options,
    name: str,
    kind_name: str,
    stage: Stage,
    *,
    batches: int = 10,
    batch_size: int = 100,
    encode: bool = True,
) -> Sequence[Result]:
    """Time training and encoding with one network."""
    kind = KINDS[kind_name]
    net = kind.network(stage, options.folder)
    x = kind.images(batches * batch_size, options.folder)
    training = Training(net, x, start(kind, stage), batches=batches, batch_size=batch_size)
    tasks = {"train": training, **products()}
    if encode:
        tasks["encode"] = lambda: sm.encode(net, x, batch_size=min(ENCODE_AT_ONCE, len(x)))
    laps = in_turn(tasks, options.rounds)
    memory = peak_memory_mb()
    rate = product_rate(laps.seconds)
    errors = activity_error(net, x[:ERROR_IMAGES], training.tolerance)
    steps = mean_steps(net, x[:ERROR_IMAGES], training.tolerance)
    speed = training.images / laps.seconds["train"]
    result = training.result(
        name,
        laps,
        "train",
        errors,
        share=necessary(net, steps, learning=True) * speed / rate,
        product_gflops=rate / 1e9,
        memory_mb=memory,
    )
    if encode:
        result.encode_images_per_second = len(x) / laps.seconds["encode"]
        result.encode_share = necessary(net, steps, learning=False) * result.encode_images_per_second / rate
    return [result]
