"""``simatch train``."""

import functools
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import (
    Json,
    Overwrite,
    cache_compiled_programs,
    command_line,
    conclude,
    fail,
    percent,
    progress,
    reported,
)
from ..storage import keep_numbers, results_folder

PER_LAYER = "Once for each layer, or once for all."


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="digits, patches, mnist, lfw, cifar10, or a .npy or .npz file.", show_default=False),
    ] = None,
    units: Annotated[list[int] | None, typer.Option(help=f"Units at each site. {PER_LAYER}")] = None,
    stride: Annotated[
        list[str] | None, typer.Option(help=f"Distance between sites; none: one site for the layer. {PER_LAYER}")
    ] = None,
    radius: Annotated[
        list[str] | None,
        typer.Option(help=f"Radius of receptive fields, in sites of the layer below; none: all sites. {PER_LAYER}"),
    ] = None,
    lateral_radius: Annotated[
        list[str] | None,
        typer.Option(help=f"Reach of lateral synapses; 0: within a site, none: the whole layer. {PER_LAYER}"),
    ] = None,
    activation: Annotated[
        list[str] | None,
        typer.Option(help=f"tanh, relu, clip, linear, soft_threshold:0.1 and others. {PER_LAYER}"),
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(help=f"Factor on feedforward structure constants, or auto. {PER_LAYER}")
    ] = None,
    feedback: Annotated[float | None, typer.Option(help="Strength of feedback to each layer from the next.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training part.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a batch.")] = None,
    rate: Annotated[str | None, typer.Option(help="Learning rate of the first batch, or auto.")] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Learning rate of lateral weights over that of feedforward ones.")
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="Largest residual of converged neural dynamics.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings, such as one of an earlier run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results. [default: a new one in runs]")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a network on images, without labels, and report what it learned.

    Settings are the defaults of the data set, overridden by the TOML file, overridden by options. A run writes its
    network, complete settings, numbers, figures and a page. If the data have labels, a linear readout of the activities
    of all layers is tested on the test part, or on a held-out quarter of the data if there is no test part.
    """
    options = {
        "feedback": feedback,
        "epochs": epochs,
        "batch_size": batch_size,
        "rate": rate,
        "ratio": ratio,
        "tolerance": tolerance,
        "seed": seed,
    }
    layers = {
        "units": units,
        "stride": stride,
        "radius": radius,
        "lateral_radius": lateral_radius,
        "activation": activation,
        "scale": scale,
    }
    with reported():
        _train(data, config, options, {k: v for k, v in layers.items() if v}, out, overwrite, json)


def _train(
    data: str | None,
    config: Path | None,
    options: dict[str, Any],
    layers: dict[str, Any],
    out: Path | None,
    overwrite: bool,
    json: bool,
) -> None:
    from .. import runs, storage
    from ..data import load_dataset
    from ..learning import DivergenceError
    from ..runs import merged

    settings = merged(data, file=config, options=options, layers=layers)
    cache_compiled_programs()
    progress(f"Loading {settings.data}.")
    dataset = load_dataset(settings.data)
    settings.network(runs.grid_of(dataset))  # raises an error about wrong settings before anything is written
    folder = results_folder(out, dataset.name, overwrite=overwrite)
    storage.write_atomically(folder / "settings.toml", settings.toml())
    try:
        run = runs.run(settings, dataset, say=progress)
    except DivergenceError as error:
        storage.save(error.network, folder / "network.safetensors")
        fail(f"{error} They are in {str(folder / 'network.safetensors')!r}.", 1)
    storage.save(run.network, folder / "network.safetensors")
    result = functools.partial(typer.echo, err=json)
    numbers = _numbers(run, folder)
    for layer in run.layers:
        result(f"{layer.name}: {percent(layer.saturated)} saturated, {percent(layer.silent)} silent")
    if run.test_error_percent is not None:
        result(f"test error of a linear readout: {run.test_error_percent:.2f} %")
    keep_numbers(folder, numbers)
    page = _write_page(run, folder)
    conclude(f"Page, figures, network and settings: {page}", numbers, json=json)


def _numbers(run: Any, folder: Path) -> dict[str, Any]:
    import dataclasses

    last = run.reports[-1]
    return {
        "data": run.settings.data,
        "test_error_percent": run.test_error_percent,
        "test_samples": run.test_samples,
        "held_out": run.held_out,
        "train_samples": len(run.dataset.x_train),
        "samples_seen": last.samples,
        "cost": last.cost,
        "largest_residual": max(r.residual for r in run.reports),
        "unconverged_samples": sum(r.unconverged for r in run.reports),
        "synapses": run.network.synapses,
        "layers": [dataclasses.asdict(layer) for layer in run.layers],
        "seed": run.settings.seed,
        "seconds": run.seconds,
        "note": run.dataset.note,
        "out": str(folder),
    }


def _write_page(run: Any, folder: Path) -> Path:
    from ..report import Page, Story, provenance, write_page

    x, y = run.dataset.x_test, run.dataset.y_test
    if x is None:
        x, y = run.dataset.x_train, run.dataset.y_train
    few = run.preprocessing.transform(x[:2000])
    story = Story.of(
        run.snapshots,
        run.reports,
        few,
        y[:2000] if y is not None and run.test_error_percent is not None else None,
        run.dataset.classes,
        seed=run.settings.seed,
    )
    last = run.reports[-1]
    seen = f"{last.samples:,} samples in {run.seconds['learning']:.0f} s"
    error = run.test_error_percent
    lead = (
        f"A network learned without labels from {seen}."
        if error is None
        else f"A linear readout of features that a network learned without labels from {seen} errs on {error:.2f} % of "
        f"{run.test_samples:,} test images."
    )
    settings = run.settings.model_dump(exclude={"layers", "preprocessing"})
    layers = {
        f"layer {i}": ", ".join(
            f"{k.replace('_', ' ')} {'none' if v is None else v}" for k, v in layer.model_dump().items()
        )
        for i, layer in enumerate(run.settings.layers, start=1)
    }
    page = Page(
        title=f"Features of {run.dataset.name}",
        lead=lead,
        columns=("layer", "height x width x units", "scale", "saturated", "silent"),
        rows=[
            (
                story.titles[layer.name],
                " x ".join(map(str, layer.grid)),
                f"{layer.scale:.3g}",
                percent(layer.saturated),
                percent(layer.silent),
            )
            for layer in run.layers
        ],
        figures=story.figures(),
        settings={
            **{k.replace("_", " "): v for k, v in settings.items()},
            **layers,
            "preprocessing": run.settings.preprocessing.model_dump(),
            "synapses": f"{run.network.synapses:,}",
            "seconds": ", ".join(f"{k} {v:.1f}" for k, v in run.seconds.items()),
        },
        provenance=provenance(command_line()),
        remarks=[
            *(
                ["The data have no test part of their own: a random quarter of them was held out."]
                if run.held_out
                else []
            ),
            *([run.dataset.note] if run.dataset.note else []),
            "Saturated: share of activities near a bound. Silent: share of units that never respond.",
        ],
    )
    return write_page(page, folder)
