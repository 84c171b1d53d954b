"""``simatch reproduce mnist``."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...console import (
    Json,
    KeptOut,
    Overwrite,
    Quick,
    Seed,
    cache_compiled_programs,
    command_line,
    conclude,
    percent,
    progress,
    reported,
    resumable,
)
from ...storage import RUNS, keep_numbers

if TYPE_CHECKING:
    from ...data import Dataset
    from ...learning import Course, Steps
    from ...storage import RunFolder
    from . import _mnist as table

QUICK_UNITS = 4


def mnist(
    units: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Units at each site (NPS); repeat it for several. [default: 4, 8, 16, 32, 64, 100]"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Networks that are averaged. [default: 3 up to NPS 16, then 1]")
    ] = None,
    split: Annotated[
        Literal["standard", "random"],
        typer.Option(help="The standard test set, or 10,000 of all 70,000 images at random, as the authors did."),
    ] = "standard",
    samples: Annotated[
        int | None,
        typer.Option(min=100, help="Samples to learn from. [default: 120,000 as published, but 20,000 up to NPS 4]"),
    ] = None,
    cost: Annotated[
        float | None, typer.Option(min=1e-6, help="The readout's C. [default: 1.6 over the units at a site]")
    ] = None,
    out: KeptOut = None,
    quick: Quick = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Reproduce the paper's table: test error on MNIST by the number of units at each site.

    After an interruption the same command resumes: rows that --out already holds are not computed again. The page shows
    all rows in --out.
    """
    with reported():
        from ._mnist import PUBLISHED, Setting, seeds_for

        setting = Setting(split=split, samples=samples, cost=cost)
        wanted = sorted(set(units or ([QUICK_UNITS] if quick else PUBLISHED)))
        runs = [(n, seed + i) for n in wanted for i in range(seeds or (1 if quick else seeds_for(n)))]
        out = out or RUNS / "-".join(["mnist-table", *["random"] * (split == "random"), *["quick"] * quick])
        _mnist(setting, runs, out, overwrite, json)


def _mnist(setting: "table.Setting", runs: list[tuple[int, int]], out: Path, overwrite: bool, json: bool) -> None:
    from ...data import load_dataset
    from ...storage import RunFolder

    say = functools.partial(typer.echo, err=json)
    dataset = load_dataset("mnist")
    cache_compiled_programs()
    with RunFolder.open(out, dataclasses.asdict(setting), overwrite=overwrite) as kept:
        written = None
        for units, seed, row in computed(setting, runs, dataset, kept):
            say(f"NPS {units}, seed {seed}: {row['test_error_percent']:.2f} % test error, {row['seconds']:.0f} s")
            written = _write(setting, kept)  # now, so that the page can be read while the next row is computed
        rows, page = written or _write(setting, kept)
        for row in rows:
            say(f"NPS {row['units']:3}: {_ours(row)}   published {_published(row)}")
        conclude(f"Page and figure: {page}", _numbers(setting, rows, kept), json=json)


def computed(
    setting: "table.Setting", runs: list[tuple[int, int]], dataset: "Dataset", kept: "RunFolder"
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Compute the rows (pairs of units and seed) that the folder does not hold yet; yield each after it is saved."""
    from . import _mnist as table

    finished = {(row["units"], row["seed"]) for row in kept.rows()}
    with resumable(kept.folder):
        for units, seed in runs:
            if (units, seed) not in finished:
                yield units, seed, _row(setting, units, seed, table.images(dataset, setting, seed), kept)


def _row(setting: "table.Setting", units: int, seed: int, data: "table.Images", kept: "RunFolder") -> dict[str, Any]:
    """Learn, resuming from a checkpoint if there is one, and read out."""
    from . import _mnist as table

    name = f"nps{units}-seed{seed}"

    def steps(course: "Course") -> "Steps":
        began = f"from batch {course.batches:,} " if course.batches else ""
        progress(f"NPS {units}, seed {seed}: learning {began}with {course.network.synapses:,} synapses.")
        return table.learning(setting, units, seed, data, course)

    untrained = functools.partial(table.untrained, setting, units, seed, data)
    course = kept.learn(name, untrained, steps, table.RULE, setting.batches_for(units))
    progress(f"NPS {units}, seed {seed}: encoding {len(data.x) + len(data.x_test):,} images and reading out.")
    score = table.score(setting, units, course.network, data)
    last = course.reports[-1]
    row = {
        "units": units,
        "seed": seed,
        "synapses": course.network.synapses,
        "batches": last.batches,
        "learning_seconds": last.seconds,
        "unconverged_samples": sum(report.unconverged for report in course.reports),
        **{share: max(getattr(last, share).values()) for share in ("saturated", "silent")},
        **dataclasses.asdict(score),
    }
    row["seconds"] = sum(row[f"{part}_seconds"] for part in ("learning", "encoding", "readout"))
    kept.finish(name, row, course.network)
    return row


def rows_of(kept: "RunFolder") -> list[dict[str, Any]]:
    """Return finished rows, sorted by units and seed."""
    return sorted(kept.rows(), key=lambda row: (row["units"], row["seed"]))


def _summary(kept: "RunFolder") -> list[dict[str, Any]]:
    """One row for each number of units: means over seeds, sums of seconds, and the rows of all seeds."""
    from ._mnist import PUBLISHED

    rows = []
    for units, group in itertools.groupby(rows_of(kept), key=lambda row: row["units"]):
        seeds = list(group)
        error = sum(row["test_error_percent"] for row in seeds) / len(seeds)
        published = PUBLISHED.get(units)
        rows.append(
            {
                "units": units,
                "test_error_percent": error,
                "published_percent": published,
                "difference_percent": None if published is None else error - published,
                **{part: sum(row[part] for row in seeds) for part in _SECONDS},
                "peak_memory_gb": max(row["peak_memory_gb"] for row in seeds),
                "seeds": seeds,
            }
        )
    return rows


_SECONDS = ("seconds", "learning_seconds", "encoding_seconds", "readout_seconds")


def _write(setting: "table.Setting", kept: "RunFolder") -> tuple[list[dict[str, Any]], Path]:
    from ...report import Figure, Page, provenance, write_page
    from ._mnist import PUBLISHED, TEST_IMAGES
    from ._mnist_figures import error_by_units

    rows = _summary(kept)
    random = setting.split == "random"
    test = f"{TEST_IMAGES:,} of all images, drawn at random" if random else "the standard test set"
    complete = [row for row in rows if row["published_percent"] is not None]
    better = sum(row["difference_percent"] <= 0 for row in complete)
    figure = Figure(
        "errors",
        error_by_units({r["units"]: [s["test_error_percent"] for s in r["seeds"]] for r in rows}, PUBLISHED),
        f"Test error of a linear readout over the units at each site, ours on {test} and the published.",
        format="svg",
    )
    page = Page(
        title="MNIST by units at each site",
        lead="One structured layer learned from images without labels; a linear readout of its activities is tested "
        f"on {test}. Our error is no higher than the published in {better} of {len(complete)} rows.",
        columns=("NPS", "ours, mean", "each seed", "published", "learning", "encoding", "readout", "peak memory"),
        rows=[
            (
                str(row["units"]),
                f"{row['test_error_percent']:.2f} %",
                ", ".join(f"{s['test_error_percent']:.2f}" for s in row["seeds"]),
                _published(row),
                *(f"{row[part]:.0f} s" for part in _SECONDS[1:]),
                f"{row['peak_memory_gb']:.1f} GB",
            )
            for row in rows
        ],
        figures=[figure],
        settings={
            **{name.replace("_", " "): value for name, value in dataclasses.asdict(setting).items()},
            "samples": setting.samples or "120,000, but 20,000 up to NPS 4",
            "cost": setting.cost or "1.6 over the units at a site",
            "learning rate": f"{setting.rate:g} / (1 + {setting.decay:g} progress)",
            "preprocessing": "pixels / 255, minus each image's own mean",
            "readout": 'the cost of LinearSVC(class_weight="balanced") at its minimum, on the activities of the layer',
            "seeds": "; ".join(f"NPS {r['units']}: {', '.join(str(s['seed']) for s in r['seeds'])}" for r in rows),
            "distance from the minimum": f"at most {max(s['suboptimality'] for s in _seeds(rows)):.0e} of the cost",
        },
        provenance=provenance(command_line()),
        remarks=_remarks(rows, random=random),
    )
    path = write_page(page, kept.folder)
    keep_numbers(kept.folder, _numbers(setting, rows, kept))
    return rows, path


def _numbers(setting: "table.Setting", rows: list[dict[str, Any]], kept: "RunFolder") -> dict[str, Any]:
    return {"rows": rows, "settings": dataclasses.asdict(setting), "out": str(kept.folder)}


def _remarks(rows: list[dict[str, Any]], *, random: bool) -> list[str]:
    from ._mnist import PUBLISHED

    short = [row for row in rows if (row["difference_percent"] or 0) > 0]
    missing = [str(units) for units in PUBLISHED if units not in {row["units"] for row in rows}]
    seeds = _seeds(rows)
    saturated, silent = (percent(max(seed[share] for seed in seeds)) for share in ("saturated", "silent"))
    missed = sum(seed["unconverged_samples"] for seed in seeds)
    used = "The network learns from the training part only." if random else "Here the standard test set is used."
    return [
        *(
            f"NPS {row['units']}: {row['difference_percent']:.2f} percentage points above the published error."
            for row in short
        ),
        *([f"Not computed here: NPS {', '.join(missing)}."] if missing else []),
        f"The authors split all 70,000 images at random, in proportions that they do not give. {used}",
        "A seed is that of the initial weights, of the order of the samples, and of a random split.",
        "Times are sums over seeds; peak memory is that of the process until then.",
        f"At most {saturated} of activities were near a bound and {silent} of units silent after learning.",
        f"{missed:,} samples were learned from before they had settled.",
    ]


def _seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [seed for row in rows for seed in row["seeds"]]


def _ours(row: dict[str, Any]) -> str:
    count = len(row["seeds"])
    return f"{row['test_error_percent']:.2f} % test error" + (f", mean of {count}" if count > 1 else "")


def _published(row: dict[str, Any]) -> str:
    published = row["published_percent"]
    return "-" if published is None else f"{published:.2f} %"
