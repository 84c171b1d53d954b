"""Rows that train and encode with networks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import simatch as sm

from .arithmetic import mean_steps, necessary, product_rate, products
from .networks import KINDS, Kind, Stage
from .reference import relative_error, rows, solution
from .result import Options, Result
from .timing import Laps, in_turn

ERROR_IMAGES = 100


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


def network_rows(
    options: Options,
    networks: Mapping[str, str],
    stage: Stage,
    *,
    batches: int = 10,
    batch_size: int = 100,
    encode: bool = True,
) -> Sequence[Result]:
    """Time training and encoding with networks, given as kinds by row; several in turn, each beside the one before.

    Several are given from the smallest to the largest, so that the memory of each is its own (but for images).
    """
    tasks: dict[str, Callable[[], object]] = {}
    trainings: dict[str, Training] = {}
    for name, kind_name in networks.items():
        kind = KINDS[kind_name]
        net = kind.network(stage, options.folder)
        x = kind.images(batches * batch_size, options.folder)
        training = Training(net, x, start(kind, stage), batches=batches, batch_size=batch_size)
        tasks[f"train {name}"] = trainings[name] = training
        if encode:
            # Into memory that is there already: where there is much to write, to get new pages takes as long.
            features = np.zeros((len(x), net.populations[net.layers[-1]].grid.size), np.float32)
            tasks[f"encode {name}"] = partial(sm.encode, net, x, out=features)
    laps = in_turn({**tasks, **products()}, options.rounds)
    rate = product_rate(laps.seconds)
    results: list[Result] = []
    for name, training in trainings.items():
        net, x = training.net, np.concatenate(training.parts)[:ERROR_IMAGES]
        steps = mean_steps(net, x, training.tolerance)
        speed = training.images / laps.seconds[f"train {name}"]
        result = training.result(
            name,
            laps,
            f"train {name}",
            activity_error(net, x, training.tolerance),
            share=necessary(net, steps, learning=True) * speed / rate,
            product_gflops=rate / 1e9,
            memory_mb=laps.memory_mb[f"encode {name}" if encode else f"train {name}"],
        )
        if encode:
            encoding = training.images / laps.seconds[f"encode {name}"]
            result.encode_images_per_second = encoding
            result.encode_share = necessary(net, steps, learning=False) * encoding / rate
        if results:
            before = results[-1].name
            seconds = laps.seconds[f"train {before}"]
            result.peer, result.peer_images_per_second = before, trainings[before].images / seconds
            result.ratio = seconds / laps.seconds[f"train {name}"]
        results.append(result)
    return results
