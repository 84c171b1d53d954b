"""``simatch reproduce sources``."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft

FULL: dict[str, int] = {"samples": 100_000, "passes": 40, "networks": 3}
QUICK: dict[str, int] = {"samples": 10_000, "passes": 3, "networks": 1}
ALGORITHMS = ("direct", "interneurons")


def sources(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Find sources that cannot be negative in their mixture: made ones, and pieces of photographs.

    Networks with lateral synapses and with interneurons learn batch after batch from mixtures of 3 and 10 sources and
    of 3 pieces of the photographs that scikit-learn ships. With --quick: fewer samples and passes.
    """
    with reported():
        settings = {"quick": quick, "seed": seed, **(QUICK if quick else FULL)}
        published(_computed, out, "sources", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: Callable[[str], None]) -> "tuple[Page, dict[str, Any]]":
    from ...report import Figure, Page, learning_curves, provenance
    from . import _sources_figures as draw
    from ._sources import MIXTURES, separated

    seed, rows, found, mixed = own.settings["seed"], [], {}, {}
    for name, make in MIXTURES.items():
        mixture = make(own.settings["samples"], own.settings["passes"], seed)
        for algorithm in ALGORITHMS:
            title = f"{mixture.title}, {algorithm}"
            progress(f"{title}: learning batch after batch")
            group = [separated(mixture, algorithm, seed + n) for n in range(own.settings["networks"])]
            found[title], mixed[title] = group[0], mixture
            rows.append(
                {
                    "mixture": name,
                    "title": title,
                    "samples_seen": group[0].curve[-1][0],
                    "error": statistics.fmean(one.error for one in group),
                    "errors": [one.error for one in group],
                    "published_error": mixture.published.get(algorithm),
                    "curves": [one.curve for one in group],
                }
            )
            say(f"{title}: permutation error {rows[-1]['error']:.2g}")
    (pieces,) = (own for title, own in mixed.items() if own.side and title.endswith(ALGORITHMS[0]))
    photographs = {algorithm: found[f"{pieces.title}, {algorithm}"] for algorithm in ALGORITHMS}
    made = {title: own.sources for title, own in mixed.items() if not own.side}
    of_made, of_photographs = (
        max(row["error"] for row in rows if (row["title"] in made) == wanted) for wanted in (True, False)
    )
    page = Page(
        title="Sources that cannot be negative",
        lead=f"Networks that learn batch after batch separate mixtures of made sources up to a mean squared error of "
        f"{of_made:.1g}, and of pieces of photographs up to "
        f"{of_photographs:.2g}; every source has a variance of 1.",
        columns=("mixture and network", "samples seen", "permutation error, mean", "each network", "published"),
        rows=[
            (
                row["title"],
                f"{row['samples_seen']:,}",
                f"{row['error']:.2g}",
                ", ".join(f"{error:.2g}" for error in row["errors"]),
                "figure" if row["published_error"] is None else f"{row['published_error']:.3f}",
            )
            for row in rows
        ],
        figures=[
            Figure(
                "learning",
                learning_curves(
                    {row["title"]: row["curves"] for row in rows},
                    learned="samples learned from",
                    error="permutation error",
                ),
                "Permutation error over the samples learned from, one line for each network.",
                format="svg",
            ),
            Figure(
                "photographs",
                draw.images(pieces, photographs),
                "Three pieces of photographs, their mixtures, and what the networks have found in these, in the order "
                "of the pieces.",
            ),
            Figure(
                "outputs",
                draw.beside(made, {title: found[title] for title in made}),
                "Outputs over the sources, one colour each; on the line both are equal.",
            ),
        ],
        settings=own.settings,
        provenance=provenance(command_line()),
        remarks=(
            "Permutation error: mean squared difference of outputs and sources for the best order of the outputs.",
            "Networks learn by `partial_fit` in batches of 100, of photographs at a constant rate of 0.1.",
            (
                "Published errors are of other photographs. The pieces here hardly correlate and have dark pixels, "
                "without which no nonnegative method finds them."
            ),
        ),
    )
    return page, {"rows": rows, "settings": own.settings}
