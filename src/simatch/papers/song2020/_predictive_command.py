"""``simatch reproduce predictive``."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft

QUICK: dict[str, Any] = {"units": 50, "epochs": 1, "images": 5_000}
PUBLISHED = "identical to back-propagation"


def predictive(
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Networks of each kind that are averaged. [default: 3; 1 if quick]")
    ] = None,
    out: Out = None,
    quick: Quick = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Compare predictive coding with back-propagation: rule by rule, and in learning MNIST.

    Scheduled learning is back-propagation up to rounding, nudged learning tends to it as the nudge gets weaker, and
    settled learning with a clamped output is another rule. Networks of 784, 500 and 10 units learn MNIST. After an
    interruption the same command resumes.
    """
    with reported():
        from ._mnist import Setting

        setting = Setting(**QUICK if quick else {})
        seeds = seeds or (1 if quick else 3)
        settings = {"quick": quick, "seed": seed, "seeds": seeds, **dataclasses.asdict(setting)}
        published(_computed, out, "predictive", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: Callable[[str], None]) -> "tuple[Page, dict[str, Any]]":
    from ...data import load_dataset
    from ...report import Figure, Page, Table, learning_curves, provenance
    from . import _mnist
    from ._predictive_figures import nudge
    from ._rules import distances

    began, settings = time.perf_counter(), own.settings
    setting = _mnist.Setting(**{k: v for k, v in settings.items() if k not in ("quick", "seed", "seeds")})
    progress("comparing the rules with back-propagation in double precision")
    compared = distances(seed=settings["seed"])
    dataset = load_dataset("mnist")
    ways: dict[str, Callable[[int, Path], _mnist.Run]] = {
        "predictive coding, scheduled (relu)": lambda seed, own: _mnist.scheduled(setting, dataset, seed, own),
        "back-propagation (relu)": lambda seed, _: _mnist.back_propagation(setting, dataset, seed),
        "predictive coding, settled (tanh)": lambda seed, own: _mnist.settled(setting, dataset, seed, own),
        "back-propagation (tanh)": lambda seed, _: _mnist.back_propagation(setting, dataset, seed, activation="tanh"),
    }
    runs: dict[str, list[_mnist.Run]] = {name: [] for name in ways}
    for number in range(settings["seed"], settings["seed"] + settings["seeds"]):
        for name, way in ways.items():
            progress(f"{name}, seed {number}: learning MNIST")
            run = _mnist.once(own.work / f"{name}-seed{number}".replace(" ", "-"), functools.partial(way, number))
            runs[name].append(run)
            say(f"{name}, seed {number}: {run.test_error_percent:.2f} % test error, {run.seconds:.0f} s")

    rows = [
        {
            "method": name,
            "test_error_percent": statistics.mean(run.test_error_percent for run in group),
            "test_error_percent_by_seed": [run.test_error_percent for run in group],
            "train_error_percent": statistics.mean(run.train_error_percent for run in group),
            "images_per_second": statistics.mean(run.images_per_second for run in group),
            "seconds": statistics.mean(run.seconds for run in group),
            "unconverged": sum(run.unconverged for run in group),
        }
        for name, group in runs.items()
    ]
    numbers = {
        "rows": rows,
        "distances": [dataclasses.asdict(distance) for distance in compared],
        "curves": {name: [run.curve for run in group] for name, group in runs.items()},
        "settings": settings,
        "seconds": time.perf_counter() - began,
    }
    exact = compared[-1].error
    page = Page(
        title="Predictive coding and back-propagation",
        lead="The change of weights in scheduled predictive coding differs from that of back-propagation by "
        f"{exact:.0e} of its length, in double precision. On MNIST it reaches "
        f"{rows[0]['test_error_percent']:.2f} % test error, back-propagation on the same network "
        f"{rows[1]['test_error_percent']:.2f} %.",
        columns=("method", "test error", "training error", "images/s", "seconds", "not settled"),
        rows=[
            (
                row["method"],
                f"{row['test_error_percent']:.2f} %",
                f"{row['train_error_percent']:.2f} %",
                f"{row['images_per_second']:,.0f}",
                f"{row['seconds']:.0f}",
                f"{row['unconverged']:,}",
            )
            for row in rows
        ],
        tables=[
            Table(
                "One batch, compared with back-propagation",
                ("rule", "beta, or size of the error", "relative error", "cosine", "published"),
                [
                    (
                        d.rule,
                        "" if d.setting is None else f"{d.setting:g}",
                        f"{d.error:.2g}",
                        f"{d.cosine:.6f}",
                        PUBLISHED if d.rule == "scheduled" else "",
                    )
                    for d in compared
                ],
            )
        ],
        figures=[
            Figure(
                "learning",
                learning_curves(numbers["curves"], learned="images learned from"),
                "Test error over the images learned from.",
                format="svg",
            ),
            Figure(
                "nudge",
                nudge(compared),
                "Relative error of nudged learning as a gradient of the error of the output. It falls in proportion to "
                "the strength of the nudge.",
                format="svg",
            ),
        ],
        settings={**settings, "optimiser": "Adam, whose rate falls to 0 along a line"},
        provenance=provenance(command_line()),
        remarks=(
            (
                "Test errors are those of the last epoch on the standard test set, means over seeds. Settings were "
                "chosen on the last 10,000 training images."
            ),
            "Training errors: on the first 10,000 training images. Times: learning alone.",
            "Settled learning with a clamped output is another rule, however small the error of the output is.",
        ),
    )
    return page, numbers
