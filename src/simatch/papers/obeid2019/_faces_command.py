"""``simatch reproduce faces``."""

import dataclasses
import functools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from ...learning import Course, Steps
    from ...network import Network
    from ...storage import RunFolder
    from . import _faces as experiment


def faces(
    out: KeptOut = None,
    quick: Quick = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Reproduce the paper's features of faces: edges, parts and whole faces in three layers.

    Every layer learns on top of the layers below, then all layers learn together with feedback. After an interruption
    the same command resumes.
    """
    with reported():
        from ._faces import QUICK, Setting

        out = out or RUNS / "-".join(["faces", *([f"seed{seed}"] if seed else []), *["quick"] * quick])
        _faces(QUICK if quick else Setting(), out, seed, overwrite, json)


def _faces(setting: "experiment.Setting", out: Path, seed: int, overwrite: bool, json: bool) -> None:
    from ...data import load_dataset
    from ...storage import RunFolder
    from . import _faces as experiment

    say = functools.partial(typer.echo, err=json)
    data = experiment.faces(load_dataset("lfw"), setting, seed)
    settings = {"seed": seed, **dataclasses.asdict(setting), "units": [*setting.units], "radii": [*setting.radii]}
    cache_compiled_programs()
    with RunFolder.open(out, settings, overwrite=overwrite) as kept:
        seconds: dict[str, float] = {}
        learned: list[Network] = []
        with resumable(kept.folder):
            for stage in setting.stages:
                row, network = _stage(setting, stage, learned, data, seed, kept)
                seconds[stage] = row["seconds"]
                learned.append(network)
        began = time.perf_counter()
        *alone, together = learned
        networks = {
            "before learning": experiment.untrained(setting, data, seed),
            "no feedback": experiment.stacked(setting, alone, 0.0),
            f"feedback {setting.feedback:g}": together,
        }
        measured = {}
        for name, network in networks.items():
            tell = functools.partial(lambda what, name: progress(f"{name}: measuring with {what}"), name=name)
            measured[name] = experiment.measure(setting, network, data, seed, say=tell)
        seconds["measures"] = time.perf_counter() - began
        numbers, page = _write(setting, settings, kept, data, networks, measured, seconds)
        for title, values in _rows(measured):
            say(f"{title}: {values[-1]}")
        conclude(f"Page and figures: {page}", numbers, json=json)


def _stage(
    setting: "experiment.Setting",
    stage: str,
    below: "list[Network]",
    data: "experiment.Faces",
    seed: int,
    kept: "RunFolder",
) -> "tuple[dict[str, Any], Network]":
    """Learn one stage, and resume from its checkpoint if there is one."""
    from . import _faces as experiment

    if row := kept.finished(stage):
        return row, kept.network(stage)
    planned = setting.planned(stage)

    def start() -> "Network":
        progress(f"{stage}: setting its scale" if len(below) < len(setting.units) else f"{stage}: all layers together")
        return experiment.beginning(setting, below, data, seed)

    def steps(course: "Course") -> "Steps":
        began = f"from batch {course.batches}" if course.batches else f"from {planned} batches"
        progress(f"{stage}: learning {began} with {course.network.synapses:,} synapses")
        return experiment.learning(setting, below, data, seed, course)

    course = kept.learn(stage, start, steps, experiment.RULE, planned)
    missed = sum(report.unconverged for report in course.reports)
    row = {"batches": course.batches, "seconds": course.reports[-1].seconds, "unconverged_samples": missed}
    kept.finish(stage, row, course.network)
    return row, course.network


# Title, attribute and format of a row.
MEASURES = (
    ("extent on the image, radius in pixels", "extent", "{:.1f}"),
    ("reach of feedforward paths, in pixels", "reach", "{:.0f}"),
    ("units alive, %", "alive", "{:.0%}"),
    ("activities near a bound, %", "saturated", "{:.1%}"),
    ("root mean square of activities", "level", "{:.2f}"),
    ("sparseness over held-out faces", "sparseness", "{:.2f}"),
    ("orientation selectivity, median", "orientation", "{:.2f}"),
    ("units with orientation selectivity above 1/3, %", "oriented", "{:.0%}"),
    ("an edge elicits half of the best response, radius in pixels", "position", "{:.1f}"),
    ("response to faces learned from, relative to held-out faces", "learned_from", "{:.2f}"),
    ("response to upside-down faces, relative to held-out faces", "upside_down", "{:.2f}"),
    ("response to phase-scrambled faces, relative to held-out faces", "scrambled", "{:.2f}"),
    ("faces preferred to themselves upside down, %", "prefers_upright", "{:.0%}"),
    ("faces preferred to themselves scrambled, %", "prefers_faces", "{:.0%}"),
    ("completion of a covered half of a face, correlation", "completion", "{:.2f}"),
)


def _rows(measured: "dict[str, experiment.Measured]") -> list[tuple[str, list[str]]]:
    """Title of every measure, with one string for each network that lists the values of its layers from below."""
    return [
        (
            title,
            [", ".join(_shown(form, getattr(layer, name)) for layer in m.measures.values()) for m in measured.values()],
        )
        for title, name, form in MEASURES
    ]


def _shown(form: str, value: float) -> str:
    return "-" if math.isnan(value) else form.format(value).removesuffix("%")


def _write(
    setting: "experiment.Setting",
    settings: dict[str, Any],
    kept: "RunFolder",
    data: "experiment.Faces",
    networks: "dict[str, Network]",
    measured: "dict[str, experiment.Measured]",
    seconds: dict[str, float],
) -> tuple[dict[str, Any], Path]:
    from ... import analysis
    from ...report import Figure, Page, provenance, write_page
    from . import _faces as experiment
    from ._faces_figures import by_layer, closeups, features

    began = time.perf_counter()
    chosen = {name: experiment.spread(networks["no feedback"].populations[name].grid) for name in setting.stages[:-1]}
    drawn = {
        name: experiment.features(setting, network, measured[name].extents, data, chosen)
        for name, network in networks.items()
        if name != "before learning"
    }
    *_, last = networks
    seconds["features"] = time.perf_counter() - began
    lowest = setting.stages[0]
    places = analysis.centres(networks[last].populations[lowest].grid, *data.x.shape[1:3])[chosen[lowest]]
    layers = {name: list(m.measures.values()) for name, m in measured.items()}
    extents = ", ".join(f"{layer.extent:.1f}" for layer in layers[last])
    published = ", ".join(map(str, experiment.PUBLISHED_EXTENT))
    numbers = {
        "networks": {
            name: [dataclasses.asdict(layer) | {"layer": i} for i, layer in enumerate(group, start=1)]
            for name, group in layers.items()
        },
        "published_extent": experiment.PUBLISHED_EXTENT,
        "settings": settings,
        "seconds": seconds,
        "out": str(kept.folder),
    }
    explained = (
        "Features of 64 units of each layer: the mean of faces, each weighted by the response to it (reverse "
        "correlation), masked to a disc with the extent of the unit."
    )
    page = Page(
        title="Edges, parts, faces",
        lead="Three locally connected layers learned from faces without labels. The part of the image that elicits a "
        f"response has a radius of {extents} pixels from the first to the third layer; on the published mosaics it is "
        f"about {published}.",
        columns=("measure, layers from below", *networks),
        rows=[(title, *values) for title, values in _rows(measured)],
        figures=[
            Figure("features", features([*drawn[last].values()]), f"{explained} Network with {last}."),
            Figure(
                "closeups",
                closeups(drawn[last][lowest], places, setting.radii[0], side=1),
                "Features of the first layer, cut out around the centre of each unit.",
            ),
            Figure("features-alone", features([*drawn["no feedback"].values()]), "The same without feedback."),
            Figure(
                "measures",
                by_layer(layers),
                "By layer: radius of the part of the image that elicits a response, and power of the responses to "
                "held-out faces upside down and with scrambled phases, relative to the same faces upright.",
                format="svg",
            ),
        ],
        settings={
            **{name.replace("_", " "): value for name, value in settings.items()},
            "preprocessing": "minus the mean image, minus own Gaussian blur of 3 pixels, root mean square 0.4",
            "scales": ", ".join(f"{float(p.scale):.3g}" for p in networks[last].feedforward),
            "synapses": f"{networks[last].synapses:,}",
            "seconds": ", ".join(f"{stage} {value:.0f}" for stage, value in seconds.items()),
        },
        provenance=provenance(command_line()),
        remarks=(
            "Unit counts, feedback and numbers of samples were not published; these are ours.",
            (
                f"Extent: where covering a square of {setting.square} pixels changes the response by at least "
                f"{percent(setting.threshold)} of the largest change; the radius of a disc with the same mean square "
                "distance from the unit's centre."
            ),
            (
                "Alive: units whose response is at least 0.05 in size for some held-out face. Sparseness is Treves and "
                "Rolls'; responses with a normal distribution have 0.36, and graded responses to all faces less."
            ),
            "Orientation selectivity: 1 minus the circular variance of responses to faint gratings.",
            (
                "Responses to other images are compared by their power. Upside-down and phase-scrambled faces have the "
                "same amplitude spectrum as the faces, so the input itself prefers none of them."
            ),
            (
                "Completion: the left half of each face is covered. For units whose receptive fields lie within the "
                "covered half, responses are correlated over held-out faces with those to the whole face. Without "
                "feedback these units receive no information about the face."
            ),
        ),
    )
    path = write_page(page, kept.folder)
    keep_numbers(kept.folder, numbers)
    return numbers, path
