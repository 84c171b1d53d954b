"""``simatch demo``."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from ..console import Json, Out, Overwrite, cache_compiled_programs, command_line, conclude, percent, progress, reported
from ..storage import keep_numbers, results_folder


def demo(
    out: Out = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first split.")] = 0,
    splits: Annotated[int, typer.Option(min=1, help="Number of splits over which errors are averaged.")] = 5,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a two-layer network with feedback on handwritten digits, without labels, in about a minute.

    A linear readout of its features is compared with the same readout of the pixels, on held-out images. A page shows
    features, similarity matrices and errors.
    """
    with reported():
        _demo(out, seed, splits, overwrite, json)


def _demo(out: Path | None, seed: int, splits: int, overwrite: bool, json: bool) -> None:
    folder = results_folder(out, "demo", overwrite=overwrite)
    say = functools.partial(typer.echo, err=json)
    progress(
        f"Digits, 8 by 8 pixels: {splits} random splits into three quarters to learn from and a quarter to test on."
    )
    cache_compiled_programs()

    from .. import runs, storage
    from ..report import Page, Story, provenance, write_page

    results: list[runs.Demo] = []
    for result in runs.demo(splits=splits, seed=seed):
        if result.run is None:
            say(f"split {len(results) + 1}: linear readout of pixels    {result.pixels_error_percent:5.2f} % error")
        else:
            say(f"split {len(results) + 1}: linear readout of features  {result.features_error_percent:5.2f} % error")
            results.append(result)
    pixels, features = runs.mean_errors(results)
    say(f"mean of {splits}:  pixels {pixels:.2f} %   features {features:.2f} %")

    run = results[0].run
    assert run is not None
    assert run.dataset.x_test is not None
    story = Story.of(
        run.snapshots,
        run.reports,
        run.preprocessing.transform(run.dataset.x_test),
        run.dataset.y_test,
        run.dataset.classes,
        seed=seed,
    )
    contrast = story.contrast() or {}
    seconds = sum(sum(r.run.seconds.values()) for r in results if r.run)
    numbers = {
        "pixels_error_percent": pixels,
        "features_error_percent": features,
        "splits": [
            {
                "seed": r.seed,
                "pixels_error_percent": r.pixels_error_percent,
                "features_error_percent": r.features_error_percent,
            }
            for r in results
        ],
        "similarity_contrast": contrast,
        "seed": seed,
        "seconds": seconds,
        "out": str(folder),
    }
    page = Page(
        title="Digits, learned without labels",
        lead=f"A linear readout errs on {features:.2f} % of held-out digits when it sees the features that a two-layer "
        f"network found by local learning rules, and on {pixels:.2f} % when it sees the pixels.",
        columns=("split", "pixels, error", "features, error"),
        rows=[
            (f"seed {r.seed}", f"{r.pixels_error_percent:.2f} %", f"{r.features_error_percent:.2f} %") for r in results
        ]
        + [(f"mean of {splits}", f"{pixels:.2f} %", f"{features:.2f} %")],
        summed=True,
        figures=story.figures(),
        settings={
            "network": "; ".join(
                f"{story.titles[layer.name]}: {layer.grid[0]} by {layer.grid[1]} sites of {layer.grid[2]} units"
                for layer in run.layers
            ),
            "synapses": f"{run.network.synapses:,}",
            **_flat(run.settings.model_dump(exclude={"layers", "preprocessing"})),
            "time to learn and read out": f"{seconds:.0f} s for {splits} splits",
        },
        provenance=provenance(command_line()),
        remarks=(
            (
                "In every split a new network learned from three quarters of the images, without their labels; the "
                "same linear support vector machine was then fitted on their features and on their pixels. Both "
                "numbers are from the quarter that neither had seen."
            ),
            "Figures show the network of the first split.",
            "Samples of one class are more alike than others by "
            + ", ".join(f"{value:.2f} ({title.lower()})" for title, value in contrast.items())
            + ", in cosine similarity.",
            *(
                f"{story.titles[layer.name]} after training: {percent(layer.saturated)} of activities near a bound, "
                f"{percent(layer.silent)} of units silent."
                for layer in run.layers
            ),
        ),
    )
    path = write_page(page, folder)
    storage.save(run.network, folder / "network.safetensors")
    storage.write_atomically(folder / "settings.toml", run.settings.toml())
    keep_numbers(folder, numbers)
    conclude(f"Page and figures: {path}", numbers, json=json)


def _flat(settings: dict) -> dict[str, str]:
    return {name.replace("_", " "): str(value) for name, value in settings.items()}
