"""``simatch demo``."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import Json, Out, Overwrite, cache_compiled_programs, command_line, conclude, drafted, progress, reported
from ..storage import keep_numbers, results_of
from ._results import READOUTS, SHARES, numbers_of, sentence, shares_of

if TYPE_CHECKING:
    from ..storage import Draft


def demo(
    out: Out = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first split.")] = 0,
    splits: Annotated[int, typer.Option(min=1, help="Number of splits over which errors are averaged.")] = 5,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a two-layer network with feedback on handwritten digits, without labels, in about a minute.

    A linear readout of its features is compared with the same readout of the pixels, of the untrained network, of
    principal components and of k-means clusters, on held-out images. A page shows features, similarity matrices, these
    errors, and how far learning is from its optimum.
    """
    with reported():
        _demo(out, seed, splits, overwrite, json)


def _demo(out: Path | None, seed: int, splits: int, overwrite: bool, json: bool) -> None:
    with drafted(out, "demo", {"seed": seed, "splits": splits}, overwrite=overwrite) as own:
        numbers = results_of(own.out) if own.published else _computed(own, seed, splits, json)
    conclude(f"Page and figures: {own.out / 'index.html'}", numbers, json=json)


def _computed(own: "Draft", seed: int, splits: int, json: bool) -> dict[str, Any]:
    say = functools.partial(typer.echo, err=json)
    progress(
        f"Digits, 8 by 8 pixels: {splits} random splits into three quarters to learn from and a quarter to test on."
    )
    cache_compiled_programs()

    from .. import runs, storage
    from ..report import Page, Story, Table, provenance, write_page

    results: list[runs.Run] = []
    for result in runs.demo(splits=splits, seed=seed, work=own.work):
        results.append(result)
        errors = ", ".join(f"{r.name} {r.error_percent:.2f} %" for r in result.readouts)
        say(f"split {len(results)}: errors of the same readout of {errors}")
    first = results[0]
    means = {
        r.name: sum(one.readouts[i].error_percent for one in results) / splits for i, r in enumerate(first.readouts)
    }
    say(f"mean of {splits}: " + ", ".join(f"{name} {mean:.2f} %" for name, mean in means.items()))
    say(f"network of split 1: {sentence(first.certificate)}")
    assert first.dataset.x_test is not None
    story = Story.of(
        first.network,
        first.reports,
        first.history,
        first.preprocessing.transform(first.dataset.x_test),
        first.dataset.y_test,
        first.dataset.classes,
        seed=seed,
    )
    contrast = story.contrast() or {}
    seconds = sum(sum(one.seconds.values()) for one in results)
    numbers = {
        "errors_percent": means,
        "splits": [
            {
                "seed": one.settings.seed,
                "errors_percent": {r.name: r.error_percent for r in one.readouts},
                "certificate": numbers_of(one.certificate),
                "layers": [dataclasses.asdict(layer) for layer in one.layers],
            }
            for one in results
        ],
        "history": [{"samples_seen": samples, **numbers_of(found)} for samples, found in first.history],
        "similarity_contrast": contrast,
        "seed": seed,
        "seconds": seconds,
        "out": str(own.out),
    }
    page = Page(
        title="Digits, learned without labels",
        lead=f"A linear readout errs on {means['trained network']:.2f} % of held-out digits when it sees the features "
        f"that a two-layer network found by local learning rules, on {means['untrained network']:.2f} % when the "
        f"network has not learned, and on {means['raw input']:.2f} % when it sees the pixels.",
        columns=("the same readout on", "features", *(f"seed {one.settings.seed}" for one in results), "mean"),
        rows=[
            (
                name,
                str(first.readouts[i].features),
                *(f"{one.readouts[i].error_percent:.2f} %" for one in results),
                f"{mean:.2f} %",
            )
            for i, (name, mean) in enumerate(means.items())
        ],
        emphasised=True,
        tables=[
            Table(
                "How far learning came",
                ("seed", "primal cost", "dual cost", "distance from the optimum", *SHARES),
                [
                    (
                        str(one.settings.seed),
                        f"{one.certificate.primal:#.4g}",
                        f"{one.certificate.dual:#.4g}",
                        f"{one.certificate.distance:.2g}",
                        *map(", ".join, zip(*(shares_of(layer.health).values() for layer in one.layers), strict=True)),
                    )
                    for one in results
                ],
            )
        ],
        figures=story.figures(),
        settings={
            "network": "; ".join(
                f"{story.titles[layer.name]}: {layer.grid[0]} by {layer.grid[1]} sites of {layer.grid[2]} units"
                for layer in first.layers
            ),
            "synapses": f"{first.network.synapses:,}",
            **_flat(first.settings.model_dump(exclude={"layers", "preprocessing"})),
            "time to learn and read out": f"{seconds:.0f} s for {splits} splits",
        },
        provenance=provenance(command_line()),
        remarks=(
            f"In every split a new network learned from three quarters of the images, without their labels. {READOUTS}",
            (
                "Costs and distances are those of held-out images. Saturated: share of activities near a bound, by "
                "layer. Silent: share of units that never respond."
            ),
            "Figures show the network of the first split.",
            "Samples of one class are more alike than others by "
            + ", ".join(f"{value:.2f} ({title.lower()})" for title, value in contrast.items())
            + ", in cosine similarity.",
        ),
    )
    write_page(page, own.folder)
    first.model.save(own.folder)
    storage.write_atomically(own.folder / "settings.toml", first.settings.toml())
    keep_numbers(own.folder, numbers)
    own.publish(runs.KIND)
    return numbers


def _flat(settings: dict) -> dict[str, str]:
    return {name.replace("_", " "): "none" if value is None else str(value) for name, value in settings.items()}
