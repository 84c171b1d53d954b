"""``simatch reproduce compartments``."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft

FULL: dict[str, int] = {"samples": 100_000, "networks": 2}
QUICK: dict[str, int] = {"samples": 5_000, "networks": 1}


def compartments(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Find canonical correlations, slow features and contrastive components online, beside their exact values.

    Neurons with two compartments learn from two views of common sources, from a chaotic series that a slow force
    drives, and from foreground beside background. Every network sees every sample once. With --quick: fewer samples.
    """
    with reported():
        settings = {"quick": quick, "seed": seed, **(QUICK if quick else FULL)}
        published(_computed, out, "compartments", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: Callable[[str], None]) -> "tuple[Page, dict[str, Any]]":
    import numpy as np

    from ...report import Figure, Page, provenance
    from . import _compartments_figures as draw
    from ._tasks import TASKS, chaotic, learned

    seed, samples = own.settings["seed"], own.settings["samples"]
    tasks, runs, rows = {}, {}, []
    for name, make in TASKS.items():
        task = tasks[name] = make(samples, seed)
        progress(f"{task.title}: learning from {samples:,} samples, one batch after the other")
        group = runs[name] = [learned(task, seed + n) for n in range(own.settings["networks"])]
        rows.append(
            {
                "task": name,
                "title": task.title,
                "measure": task.measure,
                "online_angle_degrees": statistics.fmean(one.curve[-1][1] for one in group),
                "offline_angle_degrees": max(one.offline_angle for one in group),
                "exact": [float(value) for value in task.values],
                "online": np.mean([one.curve[-1][2] for one in group], axis=0).tolist(),
                "offline_error": max(one.offline_error for one in group),
                "curves": [one.curve for one in group],
            }
        )
        say(f"{task.title}: {rows[-1]['online_angle_degrees']:.2f} degrees from the exact solution after one pass")
    force, series = chaotic(samples, seed)
    slow = tasks["slow"]
    force = force[-len(slow.judged) :]
    outputs = {
        "online": runs["slow"][0].online.transform(slow.judged)[:, 0],
        "exact": (slow.judged @ slow.directions.T)[:, 0],
    }
    with_force = {title: abs(float(np.corrcoef(own, force)[0, 1])) for title, own in outputs.items()}
    angles = ", ".join(f"{row['online_angle_degrees']:.1f}" for row in rows)
    page = Page(
        title="Eigenproblems solved by neurons with two compartments",
        lead=f"After one pass over {samples:,} samples the outputs for canonical correlations, slow features and "
        f"contrastive components are {angles} degrees from the exact ones. The slow feature found online has a "
        f"correlation of {with_force['online']:.3f} with the force that drives the series, the exact one "
        f"{with_force['exact']:.3f}.",
        columns=("task", "angle online", "angle of the alternation", "values online", "exact values", "published"),
        rows=[
            (
                row["title"],
                f"{row['online_angle_degrees']:.2f}°",
                f"{row['offline_angle_degrees']:.0e}°",
                *(", ".join(f"{value:.4g}" for value in row[kind]) for kind in ("online", "exact")),
                "figure",
            )
            for row in rows
        ],
        figures=[
            Figure(
                "learning",
                draw.learning(list(tasks.values()), list(runs.values())),
                "Above: largest angle between the spaces of the outputs and of the exact ones. Below: what the lateral "
                "weights say of the values, beside the exact ones. One line for each network.",
                format="svg",
            ),
            Figure(
                "force",
                draw.force(force, series[-len(force) :], outputs),
                "The chaotic series, the slow force that drives it, and the slowest combination of four successive "
                "values and their products, found online and exactly.",
            ),
        ],
        settings=own.settings,
        provenance=provenance(command_line()),
        remarks=(
            ("Online: `partial_fit` with default settings. Alternation: `fit`, exact steps on all second moments."),
            "Values: canonical correlations, mean squares of differences, and ratios of variances.",
            "The data are made as the publications describe them, as their own are not published.",
        ),
    )
    return page, {"rows": rows, "correlation_with_force": with_force, "settings": own.settings}
