"""Contrastive similarity matching and equilibrium propagation: rules by finite differences, settings as published."""

import dataclasses
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import simatch as sm
from benchmarks.published_contrast import PublishedContrast
from simatch.models import contrastive, equilibrium
from simatch.network import energy, energy_gradient_differences, energy_gradients

INPUTS, HIDDEN, OUTPUTS = 6, 5, 3
ENGINE = ("network", "relaxation", "learning")


def data(rng, samples=8):
    return rng.uniform(size=(samples, INPUTS)), np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=samples)]


def moved(model, rng):
    """A model with biases, and weights so small that the energy is convex and all units are inside their bounds."""
    net = model.network

    def own(term):
        if isinstance(term, sm.Bias):
            return jnp.asarray(0.4 + 0.05 * rng.normal(size=term.parameters.shape))
        return None if term.parameters is None else 0.4 * jnp.asarray(term.parameters, float)

    return dataclasses.replace(model, network=net.with_parameters([own(term) for term in net.terms]))


def settled(net, rule, x, y):
    batch = {"input": x, "label": y}
    free, nudged = rule.phases
    settings = {"tolerance": 1e-14, "max_steps": 20000}
    first = sm.relax(net, x, phase=free, **settings)
    return first, sm.relax(net, batch, phase=nudged, start=first, **settings)


@eqx.filter_jit
def _change(rule, net, states):
    return rule.change(net, states, rule.init(net), {}).parameters


def changed(rule, net, out):
    """What a rule changes: for each term, in the layout of its parameters."""
    return _change(rule, net, tuple(own.states for own in out))


def least(net, phase, out):
    return float(jnp.mean(energy(net, out.states, relaxed=out.relaxed, extra=phase.terms)))


def slope(f, h=1e-3):
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
@pytest.mark.parametrize(
    ("make", "beta", "activation"),
    [(contrastive, 1.0, "clip"), (contrastive, 0.3, "clip"), (equilibrium, 0.5, "tanh"), (equilibrium, -0.2, "tanh")],
)
def test_every_rule_is_the_slope_of_its_own_cost(make, beta, activation, rng, x64):
    """(A3): W and b descend (min E_beta - min E_0)/beta; (A4): L ascends min E_beta - |L|^2/4. To 1e-8."""
    x, y = data(rng)
    model = moved(make(INPUTS, [HIDDEN], OUTPUTS, beta=beta, activation=activation), rng)
    net, rule = model.network, model.rule
    phases = rule.phases
    out = settled(net, rule, x, y)
    change = changed(rule, net, out)
    for k, term in enumerate(net.terms):
        if term.parameters is None:
            continue
        direction = rng.normal(size=term.parameters.shape)
        direction = direction if term.signs < 0 else direction + direction.T
        direction /= np.linalg.norm(direction)

        def cost(h, k=k, direction=direction, term=term):
            parameters = [p + h * direction if i == k else p for i, p in enumerate(net.parameters)]
            now = net.with_parameters(parameters)
            free, nudged = (least(now, phase, o) for phase, o in zip(phases, settled(now, rule, x, y), strict=True))
            if term.signs > 0:
                return nudged - float(jnp.sum(parameters[k] ** 2)) / 4
            return (nudged - free) / beta

        found = term.signs * float(np.sum(change[k] * direction))
        assert abs(found - slope(cost)) < 1e-8
        assert abs(found) > 1e-5


@pytest.mark.parametrize("make", [contrastive, equilibrium])
def test_phases_of_steps_from_kept_states_are_the_published_program(make, rng):
    """Two passes over four batches in a fixed order: the same weights and states as the NumPy form of the program.

    States of samples that were not learned from stay at rest.
    """
    x, y = (a.astype(np.float32) for a in data(rng, 80))
    lateral = make is contrastive
    own = {"lateral_rate": 0.3} if lateral else {}
    beta = 1.0 if lateral else 0.5
    model = make(INPUTS, [HIDDEN], OUTPUTS, beta=beta, rates=(0.5, 0.25), steps=(20, 4), samples=90, **own)
    net = model.network
    published = PublishedContrast(
        [np.array(p.to_dense().T) for p in net.feedforward],
        [np.array(p.to_dense()) for p in net.lateral],
        [np.zeros(n, np.float32) for n in (HIDDEN, OUTPUTS)],
        [None, None],
        [np.zeros((80, n), np.float32) for n in (HIDDEN, OUTPUTS)],
    )
    batches = []
    for _ in range(2):
        for start in range(0, 80, 20):
            part = slice(start, start + 20)
            published.learn(x[part], y[part], part, beta=beta, rates=[0.5, 0.25], lateral_rates=[0.3] * lateral)
            batches.append({"input": x[part], "label": y[part], "sample": np.arange(80)[part, None]})
    *_, (after, report) = sm.training(net, batches, rate=model.rate, rule=model.rule, transform=model.transform)
    for pathway, expected in zip(after.feedforward, published.forward, strict=True):
        np.testing.assert_allclose(pathway.to_dense().T, expected, atol=2e-5)
    for pathway, expected in zip(after.lateral, published.lateral, strict=True):
        np.testing.assert_allclose(pathway.to_dense(), expected, atol=2e-5)
    biases = [term.parameters for term in after.terms if isinstance(term, sm.Bias)]
    for bias, expected in zip(biases, published.biases, strict=True):
        np.testing.assert_allclose(bias, expected, atol=2e-5)
    for name, expected in zip(("layer1", "output"), published.kept, strict=True):
        kept = report.state.rule[1][name]
        np.testing.assert_allclose(kept[:80], expected, atol=2e-5)
        np.testing.assert_array_equal(kept[80:], 0)
    assert report.unconverged == 0
    with pytest.raises(ValueError, match=r"States are kept of 90 samples.*has the number 90"):
        model.fit(np.zeros((91, INPUTS)), np.zeros((91, OUTPUTS)))


@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
def test_as_the_nudge_falls_the_rule_tends_to_the_gradient_of_the_loss(rng, x64):
    """The gradient comes from JAX through the fixed point; the relative error is proportional to beta."""
    x, y = data(rng)
    model = moved(equilibrium(INPUTS, [HIDDEN], OUTPUTS, activation="tanh"), rng)
    net = model.network

    def loss(parameters):
        out = sm.relax(net.with_parameters(parameters), x, phase=sm.Phase(["input"]), tolerance=1e-13)
        return jnp.mean(jnp.sum((out.states["output"].T - y) ** 2, axis=1))

    gradient = jax.grad(loss)(net.parameters)
    errors = []
    for beta in (0.01, 0.001, 0.0001):
        rule = equilibrium(INPUTS, [HIDDEN], OUTPUTS, beta=beta).rule
        change = changed(rule, net, settled(net, rule, x, y))
        pairs = list(zip(jax.tree.leaves(change), jax.tree.leaves(gradient), strict=True))
        errors.append(np.sqrt(sum(jnp.sum((a + b) ** 2) for a, b in pairs) / sum(jnp.sum(b**2) for _, b in pairs)))
    assert errors[0] < 0.3
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 10, rtol=0.1)


def test_coupled_populations_reach_the_minimum_of_the_energy(rng, x64):
    """Two hidden layers with lateral synapses, against SciPy's bounded L-BFGS; the free phase's own solver."""
    x, _ = data(rng, 4)
    net = moved(contrastive(INPUTS, [HIDDEN, 4], OUTPUTS), rng).network
    out = sm.relax(net, x, phase=sm.Phase(["input"], solver=sm.Coupled()), tolerance=1e-12)
    assert out.converged.all()
    sizes = [net.populations[name].grid.size for name in net.layers]

    @jax.jit
    @jax.value_and_grad
    def total(r, own):
        parts = jnp.split(r, np.cumsum(sizes)[:-1])
        states = {name: part[:, None] for name, part in zip(net.layers, parts, strict=True)}
        return energy(net, {"input": own[:, None], **states})[0]

    for sample in range(4):
        best = scipy.optimize.minimize(
            total,
            np.full(sum(sizes), 0.5),
            args=(x[sample],),
            jac=True,
            bounds=[(0, 1)] * sum(sizes),
            options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 1000},
        )
        mine = np.concatenate([out.states[name][:, sample] for name in net.layers])
        np.testing.assert_allclose(mine, best.x, atol=2e-6)


class Apart(sm.Term):
    """``|a - b - 1|^2 / 2``, which pulls both populations even where all activities are 0."""

    @property
    def populations(self):
        return "layer1", "output"

    def energy(self, parameters, a, b):
        return jnp.sum((a - b - 1) ** 2, axis=0) / 2

    def quadratic(self, relaxing):
        return True

    def curvature(self, parameters, population):
        return (jnp.ones((1, 1, 1)),)


def test_terms_between_coupled_populations_may_pull_at_rest(rng, x64):
    net = moved(equilibrium(INPUTS, [OUTPUTS], OUTPUTS, activation="linear"), rng).network
    net = sm.Network(net.populations, [*net.terms, Apart()])
    x, _ = data(rng)
    turns, joint = (
        sm.relax(net, x, phase=sm.Phase(["input"], solver=solver), tolerance=1e-12)
        for solver in (sm.Coupled(), sm.Accelerated())
    )
    for name in net.layers:
        np.testing.assert_allclose(turns.states[name], joint.states[name], atol=1e-10)


def test_steps_of_one_length_are_projected_gradient_descent(rng, x64):
    """One population, which it also moves alone while the others stay."""
    net = moved(equilibrium(INPUTS, [HIDDEN], OUTPUTS), rng).network
    x, _ = data(rng)
    W1, W2 = (p.to_dense() for p in net.feedforward)
    b1, b2 = (np.asarray(term.parameters) for term in net.terms if isinstance(term, sm.Bias))
    h, o = np.zeros((8, HIDDEN)), np.zeros((8, OUTPUTS))
    for _ in range(7):
        h, o = (
            np.clip(h + 0.3 * (x @ W1.T + b1 + o @ W2 - h), 0, 1),
            np.clip(o + 0.3 * (h @ W2.T + b2 - o), 0, 1),
        )
    out = sm.relax(net, x, phase=sm.Phase(["input"], steps=7, solver=sm.Descent(0.3)))
    np.testing.assert_allclose(out.states["layer1"].T, h, atol=1e-12)
    np.testing.assert_allclose(out.states["output"].T, o, atol=1e-12)
    still = sm.relax(net, x, phase=sm.Phase(["input"], steps=1, solver=sm.Descent(1.0, moving=["layer1"])), start=out)
    np.testing.assert_allclose(still.states["layer1"].T, np.clip(x @ W1.T + b1 + o @ W2, 0, 1), atol=1e-12)
    np.testing.assert_array_equal(still.states["output"], out.states["output"])


@pytest.mark.parametrize("kind", ["dense", "local"])
def test_differences_of_gradients(kind, rng, x64):
    """One product where the input is the same, and still the difference of the two gradients."""
    hidden = [HIDDEN] if kind == "dense" else [sm.Layer(units=2, stride=2, radius=1.0)]
    net = contrastive(sm.Grid(4, 4), hidden, OUTPUTS).network
    shared = jnp.asarray(rng.uniform(size=(16, 5)))
    before, after = (
        {"input": shared, **{n: jnp.asarray(rng.uniform(size=(net.populations[n].grid.size, 5))) for n in net.layers}}
        for _ in range(2)
    )
    weights = jnp.asarray(rng.dirichlet(np.ones(5)))
    for share in (None, weights):
        found = energy_gradient_differences(net, before, after, {"input"}, share)
        old, new = (energy_gradients(net, states, share) for states in (before, after))
        expected = jax.tree.map(jnp.subtract, new, old)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), found, expected)
        assert any(np.abs(leaf).max() > 0.01 for leaf in jax.tree.leaves(found))


def test_a_random_sign_is_that_of_the_nudge_and_of_beta(rng, x64):
    model = moved(equilibrium(INPUTS, [HIDDEN], OUTPUTS, random_sign=True, beta=0.4), rng)
    state = model.rule.init(model.network)
    signs = []
    for number in range(12):
        drawn = model.rule.drawn((None, jnp.asarray(number))).rule
        (nudge,) = drawn.nudged.terms
        assert abs(float(drawn.beta)) == 0.4
        assert float(nudge.strength) == float(drawn.beta)
        signs.append(np.sign(float(drawn.beta)))
    assert set(signs) == {-1.0, 1.0}
    x, y = data(rng)
    fixed = equilibrium(INPUTS, [HIDDEN], OUTPUTS, beta=0.4 * signs[0])
    one = sm.training(model.network, [model.batch(x, y)], rate=0.1, rule=model.rule, tolerance=1e-10)
    other = sm.training(model.network, [model.batch(x, y)], rate=0.1, rule=fixed.rule, tolerance=1e-10)
    (a, report), (b, _) = next(one), next(other)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, atol=1e-10), a.parameters, b.parameters)
    assert int(report.state.rule[1]) == int(state[1]) + 1


def test_rules_inside_may_lack_weights(rng):
    """A user's rule whose `change` takes no weights works inside others, on batches that could be filled up."""

    class Plain(sm.Rule):
        @property
        def phases(self):
            return (sm.Phase(["input"]),)

        def change(self, net, settled, state, entries):
            return sm.GradientRule(sm.Phase(["input"])).change(net, settled, state, entries)

    net = sm.layered(INPUTS, [sm.Layer(units=3)])
    x = data(rng)[0][:3]
    around = sm.KeptStates(sm.RuleByTerm([Plain()], [0] * len(net.terms)), samples=8)
    assert not around.weighted
    batch = {"input": x, "sample": np.arange(3)[:, None]}
    *_, (found, _) = sm.training(net, [batch], rate=0.1, rule=around, report_every=2, tolerance=1e-6)
    *_, (expected, _) = sm.training(net, [x], rate=0.1, rule=Plain(), report_every=2, tolerance=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found.parameters, expected.parameters)


def test_terms_learn_by_their_own_rules(rng):
    net = contrastive(INPUTS, [HIDDEN], OUTPUTS).network
    free, nudged = sm.Phase(["input"]), sm.Phase(["input", "label"], terms=[sm.Nudge("output", "label")])
    rule = sm.RuleByTerm([sm.GradientRule(nudged), sm.ContrastRule(free, nudged)], [0] * len(net.terms))
    assert rule.phases == (nudged, free)
    with pytest.raises(ValueError, match="2 rules"):
        sm.RuleByTerm([sm.GradientRule(), sm.GradientRule()], [2])
    with pytest.raises(ValueError, match=f"network has {len(net.terms)}"):
        sm.training(net, [], rate=0.1, rule=sm.RuleByTerm([sm.GradientRule()], [0])).__next__()


@pytest.mark.parametrize(("radius", "weights"), [(0.0, 16 * 3**2), (2.0, 16 * 3**2), (4.0, 1188), (None, 48**2)])
def test_lateral_weights_begin_definite_within_their_reach(radius, weights):
    """A A', where A reaches half as far: at 2 only its own site, at 4 its neighbours. 16 sites of 3 units."""
    layer = sm.Layer(units=3, stride=2, radius=2.0, lateral_radius=radius)
    (lateral,) = contrastive(sm.Grid(8, 8), [layer], OUTPUTS).network.lateral
    matrix = np.asarray(lateral.to_dense(), float)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.mean(np.diag(matrix)) == pytest.approx(1, abs=0.2)
    assert np.count_nonzero(matrix) == weights


@pytest.mark.parametrize(
    "wrong",
    [{"beta": 0.0}, {"rates": (0.1,)}, {"rates": (0.1, 0.5)}, {"lateral_rate": -1.0}, {"seed": -1}, {"samples": 0}],
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=r"\d"):
        contrastive(INPUTS, [HIDDEN], OUTPUTS, **wrong)


def test_lateral_structure_is_refused():
    with pytest.raises(ValueError, match="a lateral_radius instead"):
        contrastive(INPUTS, [sm.Layer(units=2, lateral_structure=np.ones((2, 2)))], OUTPUTS)


@pytest.mark.slow
def test_digits_are_learned(rng):
    """Structured, dense and deep networks, from rest, with default settings."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32), np.eye(10, dtype=np.float32)[digits.target]
    layers = [sm.Layer(units=4, stride=2, radius=3.0)]
    model, reports = contrastive(sm.Grid(8, 8), layers, 10).fit(x, y, epochs=6, batch_size=20)
    assert np.mean(model.outputs(x).argmax(axis=1) == digits.target) > 0.85
    assert sum(report.unconverged for report in reports) == 0


def test_the_engine_names_no_model():
    names = r"contrastive similarity|equilibrium propagation|multi-?view|predictive coding|back-?propagation|Z-IL"
    folder = Path(sm.__file__).parent
    for room in ENGINE:
        for file in (folder / room).rglob("*.py"):
            assert not re.search(names, file.read_text(encoding="utf-8"), re.IGNORECASE), file
