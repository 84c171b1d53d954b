"""``simatch train --model``: models without labels whose features are components, landmarks or sources."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..console import command_line, conclude, drafted, progress
from ..storage import keep_numbers, results_of
from ._load import loaded

if TYPE_CHECKING:
    from ..runs import ComponentRun


def train_components(
    data: str | None,
    config: Path | None,
    options: dict[str, Any],
    layers: dict[str, Any],
    out: Path | None,
    overwrite: bool,
    json: bool,
) -> None:
    """Fit an estimator and write it with its numbers, figure and page."""
    from .. import runs, storage
    from ..estimators import write

    settings = runs.component_settings(data, config, options, layers)
    dataset = loaded(settings.data)
    name = f"{dataset.name}-{settings.model}"
    with drafted(out, name, settings.model_dump(), overwrite=overwrite) as own:
        if own.published:
            numbers = results_of(own.out)
        else:
            run = runs.run_components(settings, dataset, say=progress)
            numbers = _numbers(run, own.out)
            say = functools.partial(typer.echo, err=json)
            measure = runs.COMPONENT_MODELS[settings.model][2]
            say(f"{measure} of each unit: {', '.join(f'{value:.4g}' for value in run.values[:10])}")
            for readout in run.readouts:
                say(f"test error of a linear readout of {readout.name}: {readout.error_percent:.2f} %")
            write(run.estimator, own.folder)
            storage.write_atomically(own.folder / "settings.toml", settings.toml())
            keep_numbers(own.folder, numbers)
            _write_page(run, measure, own.folder)
            own.publish(type(run.estimator).__name__)
        conclude(f"Page, figure, network and settings: {own.out / 'index.html'}", numbers, json=json)


def _numbers(run: "ComponentRun", folder: Path) -> dict[str, Any]:
    return {
        "data": run.settings.data,
        "model": run.settings.model,
        "values": run.values.tolist(),
        "readouts": [readout.numbers() for readout in run.readouts],
        "test_samples": 0 if run.dataset.x_test is None else len(run.dataset.x_test),
        "held_out": run.held_out,
        "train_samples": len(run.dataset.x_train),
        "samples_seen": run.estimator.n_samples_seen_,
        "synapses": run.estimator.network_.synapses,
        "seed": run.settings.seed,
        "seconds": run.seconds,
        "note": run.dataset.note,
        "out": str(folder),
    }


def _write_page(run: "ComponentRun", measure: str, folder: Path) -> None:
    from ..report import Figure, Page, Table, mosaic, provenance, write_page

    dataset, units = run.dataset, len(run.values)
    height, width, channels = dataset.shape
    # Features without geometry are a strip for each unit.
    shape = (height, width, channels) if height * width > 1 else (1, channels, 1)
    what = "Landmarks" if run.settings.model == "kernel" else "Weights"
    page = Page(
        title=f"{type(run.estimator).__name__} of {dataset.name}",
        lead=f"{units} units of the model {run.settings.model!r} learned from {len(dataset.x_train):,} rows without "
        f"labels in {run.seconds['learning']:.0f} s.",
        columns=("unit", measure),
        rows=[(str(i), f"{value:.4g}") for i, value in enumerate(run.values[:20], start=1)],
        tables=[
            Table(
                "A linear readout of",
                ("", "features", "test error"),
                [(own.name, f"{own.features:,}", f"{own.error_percent:.2f} %") for own in run.readouts],
            )
        ]
        if run.readouts
        else [],
        figures=[
            Figure(
                "units",
                mosaic({what: run.vectors.reshape(units, *shape)}, note="each scaled by its largest magnitude"),
                f"{what} of the units, in the order of the features.",
            )
        ],
        settings={
            **{name.replace("_", " "): value for name, value in run.settings.model_dump().items() if value is not None},
            "passes": run.estimator.n_iter_,
            "synapses": f"{run.estimator.network_.synapses:,}",
            "seconds": ", ".join(f"{name} {value:.1f}" for name, value in run.seconds.items()),
        },
        provenance=provenance(command_line()),
        remarks=[
            *([f"The table has the first 20 of {units} units."] if units > 20 else []),
            *(["The data have no test part: a random quarter was held out."] if run.held_out else []),
            *([dataset.note] if dataset.note else []),
        ],
    )
    write_page(page, folder)
