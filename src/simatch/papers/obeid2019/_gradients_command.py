"""``simatch reproduce gradients``."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft

FULL: dict[str, Any] = {"samples": 60, "most": None, "steps": 4000, "rate": 0.02}
QUICK: dict[str, Any] = {"samples": 30, "most": 8, "steps": 800, "rate": 0.05}


def gradients(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Compare the local rules with the gradient of the cost, and follow both costs through learning.

    Single, structured, deep and deep structured networks learn from the digits of scikit-learn, in double precision.
    The gradient is measured: weights are moved up and down, and the network relaxes again on the whole data set. With
    --quick some weights of every pathway are measured, otherwise all.
    """
    with reported():
        settings = {"quick": quick, "seed": seed, **(QUICK if quick else FULL)}
        published(_computed, out, "gradients", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: Callable[[str], None]) -> "tuple[Page, dict[str, Any]]":
    from ...report import Figure, Page, provenance
    from ._gradients import FEEDBACK, STEP, Claim
    from ._gradients import gradients as claims_of
    from ._gradients_figures import costs_over_learning, rules_and_gradients

    began = time.perf_counter()
    quick, seed = own.settings["quick"], own.settings["seed"]
    settings = QUICK if quick else FULL
    claims: list[Claim] = []
    for claim in claims_of(**settings, seed=seed, say=progress, work=own.work):
        claims.append(claim)
        for c, later in zip(claim.before, claim.during, strict=True):
            say(
                f"{claim.name}, {c.pathway}: cosine 1 - {abs(1 - c.cosine):.0e}, relative error {c.error:.1e}, "
                f"during learning {later.error:.1e}"
            )
        say(f"{claim.name}: {_path(claim.points)}")
    seconds = time.perf_counter() - began

    worst = max(c.error for claim in claims for c in claim.before)
    numbers = {
        "rows": [
            {
                "network": claim.name,
                "pathway": c.pathway,
                "synapses": c.synapses,
                "measured": len(c.rule),
                "cosine": c.cosine,
                "relative_error": c.error,
                "cosine_during_learning": later.cosine,
                "relative_error_during_learning": later.error,
                "library_error": max(c.library_error, later.library_error),
            }
            for claim in claims
            for c, later in zip(claim.before, claim.during, strict=True)
        ],
        "learning": [
            {"network": claim.name, "steps": claim.points[-1].steps, **_ends(claim.points)} for claim in claims
        ],
        "worst_relative_error": worst,
        "worst_relative_error_during_learning": max(c.error for claim in claims for c in claim.during),
        "settings": settings,
        "seed": seed,
        "seconds": seconds,
    }

    page = Page(
        title="Local rules are gradients",
        lead="The change that each synapse computes from the activities of its two neurons is the gradient of one "
        f"cost, to within {worst:.0e} of its length, in single, structured, deep and deep structured networks.",
        columns=("network, pathway", "weights measured", "1 - cosine", "relative error", "during learning"),
        rows=[
            (
                f"{claim.name}, {c.pathway}",
                f"{len(c.rule)}",
                f"{abs(1 - c.cosine):.0e}",
                f"{c.error:.1e}",
                f"{later.error:.1e}",
            )
            for claim in claims
            for c, later in zip(claim.before, claim.during, strict=True)
        ],
        figures=[
            Figure(
                "rules",
                rules_and_gradients(claims),
                "One point for each synapse: the change by the local rule, from the activities of two neurons, over "
                "the change by the gradient of the dual cost, measured by moving the weight and relaxing the network "
                "again. The line is equality.",
            ),
            Figure(
                "costs",
                costs_over_learning(claims),
                "Learning by the local rules: the primal cost falls, primal and dual cost meet, the gradient vanishes.",
                format="svg",
            ),
        ],
        settings={
            "data": f"{settings['samples']} digits of 8 by 8 pixels, between 0 and 1, minus the mean of each",
            "feedback of the deep networks": FEEDBACK,
            "weights moved by": f"{STEP:g}, up and down",
            "steps of learning": f"{settings['steps']}, each from all samples, rate {settings['rate']}",
            "seed": seed,
            "seconds": f"{seconds:.0f}",
        },
        provenance=provenance(command_line()),
        remarks=[
            *(f"{claim.name.capitalize()}: {_path(claim.points)}." for claim in claims),
            (
                "The dual cost is a min-max: feedforward synapses descend it and lateral ones ascend it, so that it "
                "need not fall, and may be on either side of the primal cost on the way. What falls is the primal "
                "cost; where learning ends, the two are equal and the gradient is zero."
            ),
            (
                "Rules are written in NumPy (equation 11) and agree with those that the library derives from its "
                f"energy to {max(row['library_error'] for row in numbers['rows']):.0e}."
            ),
            (
                "The gradient includes the change of the activities with a weight; by the envelope theorem a rule may "
                "leave this out."
            ),
            "During learning: after a twentieth of the steps. Errors grow there as the gradient vanishes.",
        ],
    )
    return page, numbers


def _path(points: list[Any]) -> str:
    first, last = points[0], points[-1]
    return (
        f"over {last.steps} steps of learning the primal cost falls from {first.primal:.3f} to {last.primal:.3f}, "
        f"its distance from the dual one from {first.gap:.1e} to {last.gap:.0e}, "
        f"the length of the gradient from {first.gradient:.1f} to {last.gradient:.0e}"
    )


def _ends(points: list[Any]) -> dict[str, list[float]]:
    ends = points[0], points[-1]
    return {name: [getattr(p, name) for p in ends] for name in ("primal", "dual", "gap", "gradient")}
