"""``simatch reproduce toy``."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft
    from ._toy import Toy

FEEDBACK = 0.4
NETWORKS = 5


def toy(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Show the effect of feedback between two input streams, on familiar inputs and when one stream is new.

    Networks with and without feedback learn from the same 1000 pairs of inputs, one at a time. There are five networks
    of each kind, or one with --quick.
    """
    with reported():
        from ._toy import Setting

        settings = {"quick": quick, "seed": seed, **dataclasses.asdict(Setting())}
        published(_computed, out, "toy", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: "Callable[[str], None]") -> "tuple[Page, dict[str, Any]]":
    from ...report import Figure, Page, provenance
    from ...storage import Checkpoints
    from ._toy import Setting
    from ._toy import toy as learned
    from ._toy_figures import costs, feedback_title, similarities

    began = time.perf_counter()
    setting, quick, seed = Setting(), own.settings["quick"], own.settings["seed"]
    groups: list[list[Toy]] = []
    for feedback in (0.0, FEEDBACK):
        group = []
        for number in range(seed, seed + (1 if quick else NETWORKS)):
            progress(f"feedback {feedback:g}, seed {number}: learning from {setting.samples} pairs, one at a time")
            checkpoints = Checkpoints(own.work / f"feedback-{feedback:g}-seed-{number}")
            group.append(learned(setting, feedback, seed=number, checkpoints=checkpoints))
        groups.append(group)
    seconds = time.perf_counter() - began

    rows = [(title, *(f"{_mean(measure, group):.3f}" for group in groups)) for title, measure in MEASURES.items()]
    for row in rows:
        say(f"{row[0]}: {row[1]} without feedback, {row[2]} with")
    numbers = {
        "rows": [
            {
                "measure": title,
                "no_feedback": _mean(measure, groups[0]),
                "feedback": _mean(measure, groups[1]),
                "no_feedback_by_seed": [measure(t) for t in groups[0]],
                "feedback_by_seed": [measure(t) for t in groups[1]],
            }
            for title, measure in MEASURES.items()
        ],
        "cost": {feedback_title(group[0]): [t.history for t in group] for group in groups},
        "settings": {**dataclasses.asdict(setting), "feedback": FEEDBACK},
        "seed": seed,
        "seconds": seconds,
    }
    # Adding 0 turns a rounded -0 into 0.
    pulled = [round(_mean(MEASURES[CONTRAST], group), 2) + 0.0 for group in reversed(groups)]
    page = Page(
        title="Two streams that meet, with feedback",
        lead="Each of two subnetworks receives one input stream, and a population above receives from both. When one "
        "stream is new, feedback gives the responses of its subnetwork the order of the other, familiar stream: the "
        "cosine similarity of responses to samples with the same familiar input exceeds that to other samples by "
        f"{pulled[0]:.2f}, and by {pulled[1]:.2f} without feedback.",
        columns=("measure", *(feedback_title(group[0]) for group in groups)),
        rows=rows,
        figures=[
            Figure(
                "similarities",
                similarities([group[0] for group in groups]),
                "Similarity of every pair of samples, sorted by pair, for familiar inputs and for new right inputs. "
                "Without feedback, the right subnetwork then has no order, and the left subnetwork does not change. "
                "With feedback the left input reaches the right subnetwork through the top population.",
            ),
            Figure(
                "cost",
                costs(groups),
                "Primal cost of familiar inputs over the pairs learned from, one line for each network. The two costs "
                "are not comparable, because feedback is part of the cost.",
                format="svg",
            ),
        ],
        settings={
            **dataclasses.asdict(setting),
            "feedback": f"{FEEDBACK:g}, beside 0",
            "networks": f"{len(groups[0])} with and {len(groups[0])} without feedback, seeds from {seed}",
            "seconds": f"{seconds:.0f}",
        },
        provenance=provenance(command_line()),
        remarks=(
            "Means over networks, and over the two streams that can be new.",
            (
                "Order: mean cosine similarity of samples of the same pair minus that of samples of different pairs. "
                "If one stream is new, the pair of a sample is that of the other, familiar stream."
            ),
            (
                "Pull: mean cosine of the subnetwork's responses to new inputs with its responses to the partner of "
                "the other stream's input, minus that with its responses to the other familiar inputs."
            ),
            (
                "Change of a matrix: the length of the difference, relative to the matrix for familiar inputs. The "
                "familiar stream shows the same samples in both cases, so without feedback its matrix does not change."
            ),
        ),
    )
    return page, numbers


CONTRAST = "order in the new stream's subnetwork, one pair against others"


def _both(value: "Callable[[Toy, str, str], float]") -> "Callable[[Toy], float]":
    """Mean over the two streams that can be new; `value` gets the subnetwork of the new stream and the other one."""

    def mean(toy: "Toy") -> float:
        left, right = "left subnetwork", "right subnetwork"
        return (value(toy, left, right) + value(toy, right, left)) / 2

    return mean


def _new(name: str) -> str:
    return f"{name.removesuffix(' subnetwork')} new"


MEASURES: "dict[str, Callable[[Toy], float]]" = {
    "order in a subnetwork, both streams familiar": _both(lambda toy, new, _: toy.contrast["familiar"][new]),
    CONTRAST: _both(lambda toy, new, _: toy.contrast[_new(new)][new]),
    "pull of the familiar stream on the other's subnetwork": _both(lambda toy, new, _: toy.pull[_new(new)]),
    "change of the new stream's similarity matrix": _both(lambda toy, new, _: toy.change[_new(new)][new]),
    "change of the familiar stream's similarity matrix": _both(lambda toy, new, other: toy.change[_new(new)][other]),
    "order in the top, one stream new": _both(lambda toy, new, _: toy.contrast[_new(new)]["top"]),
    "primal cost before learning": lambda toy: toy.history[0][1],
    "primal cost after learning": lambda toy: toy.history[-1][1],
}


def _mean(measure: "Callable[[Toy], float]", toys: "list[Toy]") -> float:
    return statistics.fmean(measure(toy) for toy in toys)
