"""``simatch train``."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import (
    Json,
    Overwrite,
    command_line,
    conclude,
    drafted,
    fail,
    progress,
    reported,
)
from ..storage import keep_numbers, results_of
from ._load import loaded
from ._results import READOUTS, SHARES, layer_rows, numbers_of, sentence, shares_of
from ._train_components import train_components
from ._train_labelled import train_labelled

if TYPE_CHECKING:
    from ..runs import Run

# The network before the batch at which activities grew without bound.
DIVERGED = "diverged.safetensors"
# What models need besides the rows of one file.
ELSEWHERE = {
    "cca": "two views of the same samples (simatch.estimators.OnlineCCA)",
    "cpca": "to be told which rows are background (simatch.estimators.ContrastivePCA)",
}
PER_LAYER = "Once for each layer, or once for all."


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="digits, patches, mnist, lfw, cifar10, or a .npy or .npz file.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="similarity, kernel, sfa (slow features), nica (nonnegative sources): no labels; contrastive, "
            "equilibrium, multiview, predictive: learn from labels. [default: similarity]"
        ),
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
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training part, and up to 5 % more to fill the last batch.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a batch.")] = None,
    rate: Annotated[str | None, typer.Option(help="Learning rate of the first batch, or auto.")] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="averaging: weights move by a fraction, the rate, of the distance to their optimum; gradient: the "
            "rule of the paper."
        ),
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Learning rate of lateral weights over that of feedforward ones.")
    ] = None,
    tol: Annotated[
        str | None, typer.Option(help="Distance from the optimum at which learning ends early, such as 0.05, or none.")
    ] = None,
    compare: Annotated[
        bool | None,
        typer.Option("--compare/--no-compare", help="Read out other features too, which takes most of the time."),
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="Largest residual of converged neural dynamics.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings, such as one of an earlier run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results. [default: a new one in runs]")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a network on images, without labels or, with --model, from labels, and report what it learned.

    Settings are the defaults of the data set, overridden by the TOML file, overridden by options. A run writes its
    network, complete settings, numbers, figures and a page. How far learning is from its optimum is measured on test
    images, or on images that are held out if there is no test part. If the data have labels, a linear readout of the
    activities of all layers is tested on these images, beside the same readout of the raw images, of the untrained
    network, of principal components and of k-means clusters.

    A model that learns from labels classifies by itself. It takes --units (of the hidden layers), --epochs,
    --batch-size, --rate (a factor on its learning rates), --tolerance, --compare and --seed; contrastive and
    equilibrium also --stride and --radius, contrastive --lateral-radius.

    kernel, sfa and nica take --units, --epochs, --batch-size, --rate, --compare and --seed. Rows are those of the
    data, in the order of time for sfa, which finds the exact solution unless --epochs or --rate is given.

    A run that was interrupted, or killed, goes on if the same command is given again. Earlier results in --out stay
    until the new ones are complete.
    """
    options = {
        "feedback": feedback,
        "epochs": epochs,
        "batch_size": batch_size,
        "rate": rate,
        "rule": rule,
        "ratio": ratio,
        "tol": tol,
        "compare": compare,
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
        from ..runs import COMPONENT_MODELS, SettingsError, model_named

        given = {k: v for k, v in layers.items() if v}
        named = model_named(model, config)
        if named is None:
            _train(data, config, options, given, out, overwrite, json)
        elif named in COMPONENT_MODELS:
            train_components(data, config, {**options, "model": named}, given, out, overwrite, json)
        elif named in ELSEWHERE:
            raise SettingsError(
                f"The model {named!r} needs {ELSEWHERE[named]}, which the command cannot give it; use it in Python."
            )
        else:
            train_labelled(data, config, {**options, "model": named}, given, out, overwrite, json)


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
    from ..learning import DivergenceError
    from ..runs import merged

    settings = merged(data, file=config, options=options, layers=layers)
    dataset = loaded(settings.data)
    settings.network(runs.grid_of(dataset))  # raises an error about wrong settings before anything is written
    with drafted(out, dataset.name, settings.model_dump(), overwrite=overwrite) as own:
        if own.published:
            numbers = results_of(own.out)
        else:
            try:
                run = runs.run(settings, dataset, say=progress, work=own.work)
            except DivergenceError as error:
                storage.save(error.network, own.out / DIVERGED)
                own.discard()
                fail(f"{error} They are in {str(own.out / DIVERGED)!r}.", 1)
            numbers = _numbers(run, own.out)
            _tell(run, functools.partial(typer.echo, err=json))
            run.model.save(own.folder)
            storage.write_atomically(own.folder / "settings.toml", settings.toml())
            keep_numbers(own.folder, numbers)
            _write_page(run, own.folder)
            own.publish(runs.KIND)
        conclude(f"Page, figures, network and settings: {own.out / 'index.html'}", numbers, json=json)


def _tell(run: "Run", result: Callable[[str], None]) -> None:
    result(sentence(run.certificate))
    for layer in run.layers:
        result(f"{layer.name}: {', '.join(f'{share} {name}' for name, share in shares_of(layer.health).items())}")
    for readout in run.readouts:
        result(
            f"test error of a linear readout of {readout.name}: {readout.error_percent:.2f} % "
            f"({readout.features:,} features)"
        )


def _numbers(run: "Run", folder: Path) -> dict[str, Any]:
    last = run.reports[-1]
    return {
        "data": run.settings.data,
        "test_error_percent": run.test_error_percent,
        "readouts": [readout.numbers() for readout in run.readouts],
        "test_samples": run.test_samples,
        "held_out": run.held_out,
        "train_samples": len(run.dataset.x_train),
        "samples_seen": last.samples,
        "cost": last.cost,
        "certificate": numbers_of(run.certificate),
        "history": [{"samples_seen": samples, **numbers_of(found)} for samples, found in run.history],
        "largest_residual": max(r.residual for r in run.reports),
        "unconverged_samples": sum(r.unconverged for r in run.reports),
        "synapses": run.network.synapses,
        "layers": [dataclasses.asdict(layer) for layer in run.layers],
        "seed": run.settings.seed,
        "seconds": run.seconds,
        "note": run.dataset.note,
        "out": str(folder),
    }


def _write_page(run: "Run", folder: Path) -> Path:
    from ..report import Page, Story, Table, provenance, write_page
    from ..runs import spread

    assert run.dataset.x_test is not None
    images = spread(run.dataset.x_test, 2000)
    labels = None if not run.readouts or run.dataset.y_test is None else spread(run.dataset.y_test, 2000)
    story = Story.of(
        run.network,
        run.reports,
        run.history,
        run.preprocessing.transform(images),
        labels,
        run.dataset.classes,
        seed=run.settings.seed,
    )
    last, found = run.reports[-1], run.certificate
    learned = f"learned without labels from {last.samples:,} samples in {run.seconds['learning']:.0f} s"
    error = run.test_error_percent
    lead = (
        f"A network {learned}."
        if error is None
        else f"A linear readout of features that a network {learned} errs on {error:.2f} % of {run.test_samples:,} "
        "test images."
    )
    settings = run.settings.model_dump(exclude={"layers", "preprocessing"})
    page = Page(
        title=f"Features of {run.dataset.name}",
        lead=f"{lead} On {found.samples:,} images that it did not learn from, its primal cost is {found.primal:.4g}, "
        f"its dual cost {found.dual:.4g}, and its distance from the optimum of learning {found.distance:.2g}.",
        columns=("layer", "height x width x units", "scale", *SHARES),
        rows=[
            (
                story.titles[layer.name],
                " x ".join(map(str, layer.grid)),
                f"{layer.scale:.3g}",
                *shares_of(layer.health).values(),
            )
            for layer in run.layers
        ],
        tables=[
            Table(
                "The same readout on",
                ("", "features", "test error"),
                [(r.name, f"{r.features:,}", f"{r.error_percent:.2f} %") for r in run.readouts],
            )
        ]
        if run.readouts
        else [],
        figures=story.figures(),
        settings={
            **{k.replace("_", " "): "none" if v is None else v for k, v in settings.items()},
            **layer_rows(run.settings.layers),
            "preprocessing": run.settings.preprocessing.model_dump(),
            "synapses": f"{run.network.synapses:,}",
            "seconds": ", ".join(f"{k} {v:.1f}" for k, v in run.seconds.items()),
        },
        provenance=provenance(command_line()),
        remarks=[
            *(
                [f"The data have no test part: {run.test_samples:,} images, chosen at random, were held out."]
                if run.held_out
                else []
            ),
            *([run.dataset.note] if run.dataset.note else []),
            "Saturated: share of activities near a bound. Silent: share of units that never respond.",
            *([READOUTS] if run.readouts else []),
        ],
    )
    return write_page(page, folder)
