"""The two small reproductions: their own oracles, on networks small enough to be read."""

import json

import jax
import numpy as np
import oracle
import pytest
from typer.testing import CliRunner

import simatch as sm
from simatch.cli import app
from simatch.papers.obeid2019 import _gradients as gradients
from simatch.papers.obeid2019 import _gradients_command as _gradients
from simatch.papers.obeid2019 import _toy as toy
from simatch.papers.obeid2019 import _toy_command as _toy

GAMMA = 0.4
X = np.random.default_rng(1).normal(size=(6, 5)) * np.array([2, 1.5, 0.3, 0.2, 0.1])


@pytest.fixture(scope="module")
def chain():
    """Two structured layers of a few neurons with feedback, and activities that are no fixed point."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        c = [np.where(rng.random(shape) < 0.7, rng.uniform(0.5, 2, shape), 0) for shape in ((4, 5), (3, 4))]
        own = [np.eye(n) + 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1)) for n in (4, 3)]
        layers = [sm.Layer(len(a), structure=a, lateral_structure=b) for a, b in zip(c, own, strict=True)]
        net = sm.layered(5, layers, feedback=GAMMA)
    r = {name: rng.normal(size=(p.grid.size, 7)) for name, p in net.populations.items()}
    return net, r, c, own


def test_the_typed_rules_are_those_of_the_loops(chain):
    net, r, c, own = chain
    W, L = ([np.array(p.to_dense(), float) for p in kind] for kind in (net.feedforward, net.lateral))
    x, *above = (a.T for a in r.values())
    dW, dL = oracle.rules(x, above, W, L, c, own, GAMMA, 1.0)
    ours = gradients.local_rules(net, r)
    for a, b in zip(ours, [dW[0], dL[0], dW[1], dL[1]], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_differences_are_those_of_the_oracle(chain, x64):
    """The dual cost that is differenced, settled and typed out in NumPy, for one synapse of each kind."""
    net, _, c, own = chain
    synapses = [np.argwhere(np.triu(m) > 0 if i % 2 else m > 0) for i, m in enumerate((c[0], own[0], c[1], own[1]))]
    out = sm.relax(net, X, tolerance=gradients.TOLERANCE, max_steps=gradients.MOST_STEPS)
    ours = gradients.dual_differences(net, X, out, synapses)
    W, L = ([np.array(p.to_dense(), float) for p in kind] for kind in (net.feedforward, net.lateral))
    for number, matrix in enumerate((W[0], L[0], W[1], L[1])):
        # Of the lateral synapses one off the diagonal: it moves together with its mirror image.
        chosen = next(n for n, (i, j) in enumerate(synapses[number]) if number % 2 == 0 or i != j)
        i, j = synapses[number][chosen]
        costs = []
        for step in (1e-4, -1e-4):
            before = matrix.copy()
            matrix[i, j] += step
            if number % 2:
                matrix[j, i] += step
            r = oracle.dynamics(X, W, L, GAMMA, np.tanh, steps=1500)
            costs.append(oracle.dual(X, r, W, L, c, own, GAMMA, oracle.tanh_cost))
            matrix[:] = before
        expected = (costs[0] - costs[1]) / 2e-4 / (2 if number % 2 else 1)
        np.testing.assert_allclose(ours[number][chosen], expected, rtol=1e-6, atol=1e-8)


def test_rule_and_gradient_agree_and_a_wrong_rule_does_not(chain, monkeypatch):
    net, *_ = chain
    found = gradients.compare(net, X)
    assert [c.pathway for c in found] == ["input to layer1", "within layer1", "layer1 to layer2", "within layer2"]
    assert [c.synapses for c in found] == [int((m > 0).sum()) for m in map(gradients.structure, net.pathways)]
    assert all(c.cosine > 1 - 1e-12 and c.error < 1e-7 and c.library_error < 1e-12 for c in found)
    typed = gradients.local_rules
    monkeypatch.setattr(gradients, "local_rules", lambda *a: [1.01 * m for m in typed(*a)])
    assert all(c.error == pytest.approx(0.01, rel=1e-4) for c in gradients.compare(net, X))


def test_learning_closes_the_gap(chain):
    net, *_ = chain
    early, points = gradients.learning(net, X, steps=600, rate=0.05)
    with jax.enable_x64(True):
        assert gradients._point(early, X, 30) == points[2]
    assert [p.steps for p in points] == list(range(0, 601, 15))
    assert points[-1].primal < points[0].primal
    assert points[-1].gap < 1e-3 * points[0].gap
    assert points[-1].gradient < 1e-2 * points[0].gradient


SMALL = toy.Setting(inputs=20, units=6, top=4, samples=60, rate=0.1, tests=5)


@pytest.fixture(scope="module")
def toys():
    return [toy.toy(SMALL, feedback, seed=1) for feedback in (0.0, 0.3)]


def test_without_feedback_the_streams_cannot_know_of_each_other(toys):
    alone, together = toys
    for new, other in (("left", "right"), ("right", "left")):
        assert alone.change[f"{new} new"][f"{other} subnetwork"] == 0
        assert together.change[f"{new} new"][f"{other} subnetwork"] > 1e-3
        assert together.contrast[f"{new} new"][f"{new} subnetwork"] > alone.contrast[f"{new} new"][f"{new} subnetwork"]
    assert sum(together.pull.values()) > sum(alone.pull.values())


def test_the_cost_of_familiar_inputs_falls(toys):
    for one in toys:
        assert [samples for samples, _ in one.history] == [0, 20, 40, 60]
        assert one.history[-1][1] < one.history[0][1]


def test_the_network_is_a_graph_with_one_energy():
    net = toy.network(SMALL, 0.5)
    assert net.stages() == (("left subnetwork", "right subnetwork", "top"),)
    assert net.energy_weight == {"left subnetwork": 2.0, "right subnetwork": 2.0, "top": 1.0}
    assert len(toy.network(SMALL, 0.0).stages()) == 3


def test_new_inputs_are_as_long_as_familiar_ones():
    world = toy.World(toy.Setting(), np.random.default_rng(0))
    familiar, new = world.familiar(np.arange(4).repeat(50))["left"], world.new(200)
    lengths = [np.linalg.norm(x, axis=1).mean() for x in (familiar, new)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.02)


@pytest.mark.parametrize("name", ["gradients", "toy"])
def test_commands(name, chain, tmp_path, monkeypatch):
    monkeypatch.setattr(_gradients, "QUICK", {"samples": 6, "most": None, "steps": 600, "rate": 0.05})
    monkeypatch.setattr(gradients, "networks", lambda **_: {"deep": chain[0]})
    monkeypatch.setattr(gradients, "digits", lambda *_, **__: X)
    monkeypatch.setattr(_toy, "FEEDBACK", 0.3)
    monkeypatch.setattr(toy, "Setting", lambda **_: SMALL)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["reproduce", name, "--quick", "--json", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    numbers = json.loads(result.stdout)
    assert numbers == json.loads((out / "results.json").read_text())
    assert len(numbers["rows"]) == (len(_toy.MEASURES) if name == "toy" else 4)
    assert (out / "index.html").read_text().count("<img") == 2
    again = CliRunner().invoke(app, ["reproduce", name, "--quick", "--out", str(out)])
    assert again.exit_code == 0
    assert "--overwrite" in again.stderr
    other = CliRunner().invoke(app, ["reproduce", name, "--quick", "--seed", "1", "--out", str(out)])
    assert other.exit_code == 2
    assert "not empty" in other.stderr
