"""``simatch train --model``: models that learn from labels."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..console import command_line, conclude, drafted, progress
from ..storage import keep_numbers, results_of
from ._load import loaded
from ._results import layer_rows

if TYPE_CHECKING:
    from ..runs import LabelledRun

# Samples a class in the figure of similarities.
A_CLASS = 10


def train_labelled(
    data: str | None,
    config: Path | None,
    options: dict[str, Any],
    layers: dict[str, Any],
    out: Path | None,
    overwrite: bool,
    json: bool,
) -> None:
    """Train a classifier and write it with its numbers, figures and page."""
    from .. import runs, storage
    from ..estimators import write

    settings = runs.labelled_settings(data, config, options, layers)
    dataset = loaded(settings.data)
    name = f"{dataset.name}-{settings.model}"
    with drafted(out, name, settings.model_dump(), overwrite=overwrite) as own:
        if own.published:
            numbers = results_of(own.out)
        else:
            run = runs.run_labelled(settings, dataset, say=progress, work=own.work)
            numbers = _numbers(run, own.out)
            say = functools.partial(typer.echo, err=json)
            say(f"test error: {run.test_error_percent:.2f} % of {len(run.dataset.x_test):,} samples")  # pyright: ignore[reportArgumentType]
            for readout in run.readouts:
                say(f"test error of a linear readout of {readout.name}: {readout.error_percent:.2f} %")
            say(f"{run.classifier.unconverged_:,} samples were learned from before they had settled")
            write(run.classifier, own.folder)
            storage.write_atomically(own.folder / "settings.toml", settings.toml())
            keep_numbers(own.folder, numbers)
            _write_page(run, own.folder)
            own.publish(type(run.classifier).__name__)
        conclude(f"Page, figures, network and settings: {own.out / 'index.html'}", numbers, json=json)


def _numbers(run: "LabelledRun", folder: Path) -> dict[str, Any]:
    assert run.dataset.x_test is not None
    return {
        "data": run.settings.data,
        "model": run.settings.model,
        "test_error_percent": run.test_error_percent,
        "train_error_percent": run.train_error_percent,
        "readouts": [readout.numbers() for readout in run.readouts],
        "test_samples": len(run.dataset.x_test),
        "held_out": run.held_out,
        "train_samples": len(run.dataset.x_train),
        "samples_seen": run.classifier.n_samples_seen_,
        "unconverged_samples": run.classifier.unconverged_,
        "synapses": run.network.synapses,
        "seed": run.settings.seed,
        "seconds": run.seconds,
        "note": run.dataset.note,
        "out": str(folder),
    }


def _write_page(run: "LabelledRun", folder: Path) -> None:
    import numpy as np

    from .. import analysis
    from ..report import Figure, Page, provenance, similarity_matrices, write_page

    dataset = run.dataset
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    chosen = analysis.class_samples(dataset.y_test, A_CLASS, seed=0)
    x, y = dataset.x_test[chosen], dataset.y_test[chosen]
    answers = run.classifier.model_.outputs(x.reshape(len(x), -1) / np.float32(run.classifier.unit_))
    matrices = {"Input": analysis.similarity(x), "Answers": analysis.similarity(answers)}
    rows = [(f"{run.settings.model}, by itself", f"{run.test_error_percent:.2f} %", f"{run.train_error_percent:.2f} %")]
    rows += [(f"linear readout of {own.name}", f"{own.error_percent:.2f} %", "-") for own in run.readouts]
    settings = run.settings.model_dump(exclude={"layers"})
    page = Page(
        title=f"{dataset.name.capitalize()} learned from labels by local rules",
        lead=f"A network of the model {run.settings.model!r} errs on {run.test_error_percent:.2f} % of "
        f"{len(dataset.x_test):,} test samples.",
        columns=("", "test error", "training error"),
        rows=rows,
        figures=[
            Figure(
                "similarities",
                similarity_matrices(matrices, np.asarray(dataset.classes)[y]),
                "Similarity of every pair of test samples, sorted by class, in the input and in the answers.",
            )
        ],
        settings={
            **{name.replace("_", " "): value for name, value in settings.items() if value is not None},
            **layer_rows(run.settings.layers),
            "passes": run.classifier.n_iter_,
            "synapses": f"{run.network.synapses:,}",
            "seconds": ", ".join(f"{name} {value:.1f}" for name, value in run.seconds.items()),
        },
        provenance=provenance(command_line()),
        remarks=[
            f"{run.classifier.unconverged_:,} samples were learned from before they had settled.",
            *(["The data have no test part: a random quarter was held out."] if run.held_out else []),
            *([dataset.note] if dataset.note else []),
        ],
    )
    write_page(page, folder)
