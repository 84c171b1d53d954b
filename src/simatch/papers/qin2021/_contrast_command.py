"""``simatch reproduce contrastive``."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    progress,
    reported,
    resumable,
)
from ...storage import RUNS, keep_numbers

if TYPE_CHECKING:
    from ...report import Figure
    from ...storage import RunFolder
    from . import _contrast as table

SEEDS, QUICK_SEEDS = 3, 1
QUICK_ROWS = ("contrastive", "equilibrium", "back-propagation")
# Rows whose similarity matrices, phases and receptive fields the page shows.
SHOWN = ("contrastive", "contrastive-structured")
REMARKS = (
    "Errors are those after the last pass, on the standard test set. Published errors are of images 50,000 to 60,000.",
    "The published networks take 20 and 4 steps from states that are kept for every image; here both phases settle.",
    "Not settled: samples learned from before a phase had reached its tolerance.",
    "Back-propagation: the same feedforward synapses and biases, squared error, Adam; no other synapses are used.",
    "Training errors are of the first 10,000 training images.",
)
# Images a class in the figures.
A_CLASS = 10


def contrastive(
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            help="contrastive, contrastive-structured, equilibrium, equilibrium-random-sign, back-propagation, "
            "back-propagation-structured; repeat it for several. [default: all]",
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Networks that are averaged. [default: 3]")] = None,
    out: KeptOut = None,
    quick: Quick = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Reproduce contrastive similarity matching and equilibrium propagation on MNIST, beside back-propagation.

    Networks with one hidden layer learn to classify digits by local rules, from a free and a nudged phase. --quick:
    2,000 images and 100 hidden units. After an interruption the same command resumes. The page shows all rows in --out.
    """
    with reported():
        from . import _contrast as table

        wanted = rows or list(QUICK_ROWS if quick else table.ROWS)
        unknown = [name for name in wanted if name not in table.ROWS]
        if unknown:
            raise ValueError(f"There is no row {unknown[0]!r}; there are {', '.join(table.ROWS)}.")
        setting = table.Setting(images=2000, units=100) if quick else table.Setting()
        number = seeds or (QUICK_SEEDS if quick else SEEDS)
        runs = [(name, seed + i) for name in dict.fromkeys(wanted) for i in range(number)]
        _contrastive(setting, runs, out or RUNS / f"contrastive{'-quick' * quick}", overwrite, json)


def _contrastive(setting: "table.Setting", runs: list[tuple[str, int]], out: Path, overwrite: bool, json: bool) -> None:
    from ...data import load_dataset
    from ...storage import RunFolder
    from . import _contrast as table

    say = functools.partial(typer.echo, err=json)
    images = table.Images.of(load_dataset("mnist"), setting)
    cache_compiled_programs()
    with RunFolder.open(out, dataclasses.asdict(setting), overwrite=overwrite) as kept, resumable(out):
        finished = {(row["row"], row["seed"]) for row in kept.rows()}
        for name, seed in runs:
            if (name, seed) in finished:
                continue
            progress(f"{table.ROWS[name].title}, seed {seed}: learning from {len(images.x):,} images.")
            key = f"{name}-seed{seed}"
            trained, figures = table.learned(name, setting, images, seed, kept.folder / "rows" / key)
            row = {"row": name, "seed": seed, "synapses": trained.network.synapses, **figures}
            kept.finish(key, row, trained.network)
            say(
                f"{table.ROWS[name].title}, seed {seed}: {row['test_error_percent']:.2f} % test error, "
                f"{row['seconds']:.0f} s, {row['images_per_second']:,.0f} images/s, "
                f"{row['unconverged_samples']:,} samples not settled"
            )
        summary, page = _write(setting, images, kept)
        conclude(f"Page and figures: {page}", _numbers(setting, summary, kept), json=json)


def _summary(kept: "RunFolder") -> list[dict[str, Any]]:
    """One row for each kind of network: means over seeds, and the rows of all seeds."""
    from ._contrast import ROWS

    summary = []
    for name, row in ROWS.items():
        seeds = sorted((own for own in kept.rows() if own["row"] == name), key=lambda own: own["seed"])
        if seeds:
            mean = {
                key: sum(own[key] for own in seeds) / len(seeds)
                for key in ("test_error_percent", "train_error_percent", "seconds", "images_per_second")
            }
            missed = sum(own["unconverged_samples"] for own in seeds)
            summary.append(
                {
                    "row": name,
                    "title": row.title,
                    "published_percent": row.published,
                    **mean,
                    "unconverged_samples": missed,
                    "synapses": seeds[0]["synapses"],
                    "seeds": seeds,
                }
            )
    return summary


def _write(setting: "table.Setting", images: "table.Images", kept: "RunFolder") -> tuple[list[dict[str, Any]], Path]:
    from ...report import Page, provenance, write_page
    from ._contrast import BATCH, ROWS

    summary = _summary(kept)
    best = min(summary, key=lambda row: row["test_error_percent"])
    page = Page(
        title="Digits learned by local rules from two phases",
        lead=f"Networks learn to classify {len(images.x):,} images of digits. Every synapse compares the activities of "
        "its two neurons when the network is left to itself with those when its outputs are nudged towards the label. "
        f"Lowest test error: {best['test_error_percent']:.2f} % ({best['title']}).",
        columns=(
            "network",
            "test error, mean",
            "each seed",
            "published, validation",
            "training error",
            "learning",
            "images/s",
            "not settled",
        ),
        rows=[
            (
                row["title"],
                f"{row['test_error_percent']:.2f} %",
                ", ".join(f"{own['test_error_percent']:.2f}" for own in row["seeds"]),
                "-" if row["published_percent"] is None else f"{row['published_percent']:.2f} %",
                f"{row['train_error_percent']:.2f} %",
                f"{row['seconds']:.0f} s",
                f"{row['images_per_second']:,.0f}",
                f"{row['unconverged_samples']:,}",
            )
            for row in summary
        ],
        figures=_figures(setting, images, kept, summary),
        settings={
            **{name.replace("_", " "): value for name, value in dataclasses.asdict(setting).items() if value},
            **{
                ROWS[row["row"]].title: f"{ROWS[row['row']].epochs * setting.epochs:g} passes, batches of "
                f"{ROWS[row['row']].batch_size if not row['row'].startswith('back') else BATCH}, "
                f"{row['synapses']:,} synapses"
                for row in summary
            },
            "input": "pixels between 0 and 1",
        },
        provenance=provenance(command_line()),
        remarks=REMARKS,
    )
    path = write_page(page, kept.folder)
    keep_numbers(kept.folder, _numbers(setting, summary, kept))
    return summary, path


def _figures(
    setting: "table.Setting", images: "table.Images", kept: "RunFolder", summary: list[dict[str, Any]]
) -> list["Figure"]:
    import numpy as np

    from ... import analysis
    from ...report import Figure, learning_curves, mosaic, similarity_rows
    from . import _contrast as table
    from ._contrast_figures import phases

    curves = {row["title"]: [own["curve"] for own in row["seeds"] if own["curve"]] for row in summary}
    figures = [
        Figure(
            "learning",
            learning_curves({title: group for title, group in curves.items() if group}),
            "Test error after every pass over the training images, one line for each seed.",
            format="svg",
        )
    ]
    shown = [row for row in summary if row["row"] in SHOWN]
    chosen = analysis.class_samples(images.y_test, A_CLASS, seed=0)
    x, y = images.x_test[chosen], images.y_test[chosen]
    targets = np.eye(table.CLASSES, dtype=np.float32)[y]
    fields = {}
    for row in shown:
        seed = row["seeds"][0]["seed"]
        before = table.model(row["row"], setting, images.grid, seed)
        after = dataclasses.replace(before, network=kept.network(f"{row['row']}-seed{seed}"))
        first_layer, start = (model.network.feedforward[0] for model in (after, before))
        fields[row["title"]] = analysis.receptive_fields(first_layer) - analysis.receptive_fields(start)
        if row is not shown[0]:
            continue
        free, nudged = table.states(after, x, targets)
        first, _ = table.states(before, x, targets)
        named = {"layer1": "Hidden layer", "output": "Outputs"}
        before_m, after_m = (
            {"Input": analysis.similarity(x), **{named[n]: analysis.similarity(r) for n, r in own.items()}}
            for own in (first, free)
        )
        figures += [
            Figure(
                "similarities",
                similarity_rows({"before learning": before_m, "after learning": after_m}, y),
                f"{row['title'].capitalize()}: similarity of every pair of {len(x)} test images, sorted by class, in "
                "the input, the hidden layer and the outputs. Learning makes images of a class alike from layer to "
                "layer.",
            ),
            Figure(
                "phases",
                phases(free, nudged, targets),
                f"{row['title'].capitalize()}: states of the same images in the free and in the nudged phase. The "
                "synapses learn from what the nudge changes, which is little where the free outputs are right.",
            ),
        ]
    if fields:
        figures.append(
            Figure(
                "fields",
                mosaic(
                    fields, note="red: positive, white: 0, blue: negative, grey: no synapse; each scaled by its largest"
                ),
                "What learning added to the receptive fields of hidden units: their feedforward weights on the image, "
                "after minus before learning. Initial weights are noise, most of which learning leaves.",
            )
        )
    return figures


def _numbers(setting: "table.Setting", summary: list[dict[str, Any]], kept: "RunFolder") -> dict[str, Any]:
    return {"rows": summary, "settings": dataclasses.asdict(setting), "out": str(kept.folder)}
