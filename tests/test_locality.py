"""What the change of every parameter reads, against rules written by hand; the table of the page."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import simatch as sm
from simatch.learning import locality
from simatch.models import (
    contrastive,
    generalised,
    generalised_adaptive,
    kernel_matching,
    kernel_rule,
    multiview_network,
    nonnegative_components,
    nonnegative_interneurons,
    nonnegative_rule,
    predictive,
    predictive_settled,
)

X, R = sm.Grid(1, 1, 5), sm.Grid(1, 1, 4)


class Normalised(sm.Rule):
    """Hebb's rule divided by the sum of all activities, one number for all; and one whose inputs are mixed first."""

    everything: bool = False
    numbers: int = 1

    @property
    def phases(self):
        return (sm.Phase(),)

    def change(self, net, settled, state, entries):
        r, x = settled[0]["r"], settled[0]["x"]
        if self.everything:
            x = jnp.sin(jnp.arange(25.0).reshape(5, 5)) @ x
        if self.numbers > 1:  # each synapse reads another mixture of the sums of powers
            mixed = np.random.default_rng(0).normal(size=(self.numbers, 6, 5))
            sums = [jnp.sum(r ** (1 + k)) * own for k, own in enumerate(mixed)]
            return sm.Change((sum(sums), 0 * net.parameters[1]), state, jnp.asarray(0.0))
        return sm.Change((r @ x.T / jnp.sum(r), 0 * net.parameters[1]), state, jnp.asarray(0.0))


def layer(term=sm.Hebbian, units=R):
    return sm.Network(
        {"x": sm.Population(X), "r": sm.Population(units, "relu")},
        [term("x", "r", sm.Dense(X, units)), sm.AntiHebbian("r", sm.Dense(units, units))],
    )


def read(net, rule):
    return {(own.term, own.population): own.reads for own in locality(net, rule)}


def test_what_rules_read(x64):
    assert read(layer(), sm.GradientRule()) == {(0, "x"): "ends", (0, "r"): "ends", (1, "r"): "ends"}
    whitened = layer(sm.WhitenedHebbian)
    assert read(whitened, sm.GradientRule())[0, "x"] == "neuron"
    assert read(whitened, sm.RegressionRule(sm.GradientRule()))[0, "x"] == "all"
    assert read(layer(), Normalised()) == {(0, "x"): "ends", (0, "r"): "one number"}
    assert read(layer(), Normalised(everything=True))[0, "x"] == "other end"
    wide = layer(units=sm.Grid(1, 1, 6))
    assert read(wide, Normalised(numbers=2)) == {(0, "r"): "2 numbers"}
    assert read(wide, Normalised(numbers=3)) == {(0, "r"): "3 numbers"}
    assert read(wide, Normalised(numbers=4)) == {(0, "r"): "all"}


MODELS = {
    "Similarity matching": lambda: (layer(), sm.AveragingRule()),
    "Several inputs, one whitened": lambda: (
        multiview_network({"a": 5, "b": 6}, 4, regularisers={"b": "whiten"}),
        sm.AveragingRule(),
    ),
    "the same, `RegressionRule`": lambda: (
        multiview_network({"a": 5, "b": 6}, 4, regularisers={"b": "whiten"}),
        sm.RegressionRule(sm.AveragingRule()),
    ),
    "Contrastive similarity matching": lambda: of(contrastive(5, [4], 6)),
    "Predictive coding": lambda: of(predictive_settled(predictive(5, [4], 6).network)),
    "Slow features": lambda: (generalised({"sum": 5}, 4, references={"sum": "input"}), sm.AveragingRule()),
    "Canonical correlations, interneurons": lambda: (
        generalised_adaptive({"a": 5, "b": 6}, 4, threshold=1.5),
        sm.AveragingRule(),
    ),
    "Kernel similarity matching": lambda: ruled(kernel_matching(5, 4, sm.RadialKernel(1.0)), kernel_rule),
    "Nonnegative ICA, direct": lambda: (nonnegative_components(5, 4), sm.AveragingRule()),
    "Nonnegative ICA, interneurons": lambda: ruled(nonnegative_interneurons(5, 4), nonnegative_rule),
}
PAGE = Path(__file__).parents[1] / "docs" / "models" / "locality.md"
BEGIN, END = "<!-- made by tests/test_locality.py -->\n", "<!-- end -->\n"


def of(model):
    return model.network, model.rule


def ruled(net, rule):
    return net, rule(net)


def table():
    lines = [
        "| model | term | parameter | phases | ends | a number of its neuron | of the other end | one for all | all |",
        "|" + "---|" * 9,
    ]
    for model, make in MODELS.items():
        net, rule = make()
        found = locality(net, rule)
        for number, parameter in dict.fromkeys((own.term, own.parameter) for own in found):
            mine = [own for own in found if (own.term, own.parameter) == (number, parameter)]
            scopes = [
                ", ".join(dict.fromkeys(own.population for own in mine if own.reads == scope)) or "-"
                for scope in ("ends", "neuron", "other end", "one number", "all")
            ]
            phases = ", ".join(str(1 + phase) for phase in dict.fromkeys(own.phase for own in mine))
            term = f"`{type(net.terms[number]).__name__}`"
            lines.append(f"| {model} | {term} | {parameter} | {phases} of {len(rule.phases)} | {' | '.join(scopes)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.slow
def test_the_page_has_the_table(x64):
    """With WRITE_PAGES=1 it is written."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    if os.environ.get("WRITE_PAGES"):
        PAGE.write_text(before + BEGIN + "\n" + table() + "\n" + END + after)
    assert table().strip() in PAGE.read_text()
