"""Phases and rules: who is clamped, where relaxation starts and stops, and the contrast rule by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import simatch as sm
from simatch.network import energy

GAMMA = 0.7


def deep(activation="tanh", seed=0):
    """Five inputs, four hidden neurons, three outputs, feedback between them; away from any special point."""
    layers = [sm.Layer(units=4, activation=activation), sm.Layer(units=3, activation=activation)]
    net = sm.layered(5, layers, feedback=GAMMA, seed=seed)
    rng = np.random.default_rng(seed + 1)

    def moved(p):
        noise = 0.2 * rng.normal(size=p.weights.shape)
        return p.weights + (noise if p.signs < 0 else (noise + noise.T) / 2)

    return net.with_weights([moved(p) for p in net.pathways])


def data(rng, samples=6):
    return rng.normal(size=(samples, 5)), np.tanh(rng.normal(size=(samples, 3)))


def test_a_clamped_output_drives_the_hidden_layer_by_feedback(rng, x64):
    """Free in one phase and clamped in another, the hidden layer against a NumPy loop of equation (10)."""
    net, (x, y) = deep(), data(rng)
    out = sm.relax(net, {"input": x, "layer2": y}, phase=sm.Phase(["input", "layer2"]), tolerance=1e-11)
    W1, L1, W2, _ = (p.to_dense() for p in net.pathways)
    u = r = np.zeros((6, 4))
    for _ in range(4000):
        u = u + 0.1 * (-u + x @ W1.T - r @ (L1 - np.eye(4)) + GAMMA * y @ W2)
        r = np.tanh(u)
    np.testing.assert_allclose(out.states["layer1"].T, r, atol=1e-9)
    np.testing.assert_array_equal(out.states["layer2"].T, y)
    assert out.relaxed == ("layer1",)
    with pytest.raises(KeyError, match="layer2"):
        out["layer2"]
    assert sm.relax(net, x).relaxed == ("layer1", "layer2")


def test_a_pathway_may_end_in_a_population_that_never_relaxes(rng, x64):
    """A label without activation above the outputs: clamped when learning, absent when not."""
    A, B, C = sm.Grid(1, 1, 5), sm.Grid(1, 1, 4), sm.Grid(1, 1, 2)
    up = sm.Hebbian("r", "label", sm.Dense(B, C), feedback=0.5)
    net = sm.Network(
        {"x": sm.Population(A), "r": sm.Population(B, "linear"), "label": sm.Population(C)},
        [sm.Hebbian("x", "r", sm.Dense(A, B)), sm.AntiHebbian("r", sm.Dense(B, B)), up],
    )
    x, z = rng.normal(size=(7, 5)), rng.normal(size=(7, 2))
    W, L, V = (p.to_dense() for p in net.pathways)
    both = sm.relax(net, {"x": x, "label": z}, tolerance=1e-12)
    np.testing.assert_allclose(both.states["r"], np.linalg.solve(L, W @ x.T + 0.5 * V.T @ z.T), atol=1e-9)
    alone = sm.Phase(absent=["label"])
    free = sm.relax(net, x, phase=alone, tolerance=1e-12)
    np.testing.assert_allclose(free.states["r"], np.linalg.solve(L, W @ x.T), atol=1e-9)
    learned = sm.learn(net, free, 0.1, rule=sm.GradientRule(alone))
    np.testing.assert_array_equal(learned.pathways[2].to_dense(), V)  # no decay either
    assert (learned.pathways[0].to_dense() != W).all()
    trained, _ = sm.train(net, iter([x]), rate=0.1, rule=sm.GradientRule(alone), tolerance=1e-12, progress=False)
    np.testing.assert_allclose(trained.pathways[0].to_dense(), learned.pathways[0].to_dense(), atol=1e-9)
    np.testing.assert_array_equal(sm.encode(net, x, phase=alone).shape, (7, 4))


def test_two_populations_may_share_an_entry(rng, x64):
    net, (x, _) = deep(), data(rng)
    phase = sm.Phase({"input": "image", "layer1": "code"})
    code = np.tanh(rng.normal(size=(6, 4)))
    out = sm.relax(net, {"image": x, "code": code}, phase=phase, tolerance=1e-11)
    _, _, W2, L2 = (p.to_dense() for p in net.pathways)
    r = np.asarray(out.states["layer2"]).T
    np.testing.assert_allclose(r, np.tanh(code @ W2.T - r @ (L2 - np.eye(3))), atol=1e-9)


def test_a_number_of_steps_is_no_failure(rng):
    net, (x, _) = deep(), data(rng)
    out = sm.relax(net, x, phase=sm.Phase(steps=3), solver=sm.Euler())
    assert (out.steps == 3).all()
    assert (out.status == sm.Status.STOPPED).all()
    assert not out.converged.any()
    assert "asks for" in out.reason[0]
    _, reports = sm.train(net, iter([x]), rule=sm.GradientRule(sm.Phase(steps=3)), progress=False)
    assert reports[-1].unconverged == 0
    early = sm.relax(net, x, phase=sm.Phase(steps=500, tolerance=1e-3), solver=sm.Euler())
    assert early.converged.all()


def test_a_phase_of_its_own_tolerance(rng, x64):
    net, (x, _) = deep(), data(rng)
    out = sm.relax(net, x, phase=sm.Phase(tolerance=1e-10), tolerance=0.5)
    assert (out.residual <= 1e-10).all()


CLAMPED = sm.Phase(["input", "layer2"], start="previous"), 1.0
SETTINGS = ["clamped", 0.3, -0.1]


def rule(setting):
    """Free, and clamped or nudged."""
    if setting == "clamped":
        return sm.ContrastRule(sm.Phase(), sm.Phase({"input": "input", "layer2": "label"}, start="previous"))
    nudge = sm.Nudge("layer2", target="label", strength=setting)
    return sm.ContrastRule(sm.Phase(), sm.Phase(["input", "label"], terms=[nudge], start="previous"), beta=setting)


def contrast(net, own, batch):
    """``(min E_beta - min E_0) / beta``, each minimum found anew by `relax`."""
    free, nudged = own.phases
    e0 = sm.relax(net, batch["input"], phase=free, tolerance=1e-14, max_steps=20000)
    e1 = sm.relax(
        net,
        {"input": batch["input"], "label": batch["label"]},
        phase=nudged,
        tolerance=1e-14,
        max_steps=20000,
        start=e0,
    )
    least = [jnp.mean(energy(net, o.states, relaxed=o.relaxed, extra=p.terms)) for o, p in ((e0, free), (e1, nudged))]
    return float((least[1] - least[0]) / own.beta), (e0, e1)


@pytest.mark.filterwarnings("ignore::simatch.ConvergenceWarning")
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_contrast_rule_is_the_slope_of_the_contrast(setting, rng, x64):
    """To 1e-8 in every parameter, by central differences of fourth order."""
    net, (x, y) = deep(), data(rng)
    own, batch = rule(setting), {"input": x, "label": y}
    cost, phases = contrast(net, own, batch)
    change = own.change(net, tuple(o.states for o in phases), None, {})
    np.testing.assert_allclose(change.cost, cost, rtol=1e-12)
    for k, pathway in enumerate(net.pathways):
        direction = rng.normal(size=pathway.weights.shape)
        direction = direction if pathway.signs < 0 else direction + direction.T
        direction = direction / np.linalg.norm(direction)

        def along(h, k=k, direction=direction):
            weights = [w + h * direction if m == k else w for m, w in enumerate(net.weights)]
            return contrast(net.with_weights(weights), own, batch)[0]

        h = 1e-3
        slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        moved = pathway.signs * float(np.sum(change.parameters[k] * direction))
        assert abs(moved - slope) < 1e-8
        assert abs(slope) > 1e-4


def test_the_contrast_rule_tends_to_the_gradient_of_the_error(rng, x64):
    """As beta goes to 0, the change is that of the squared error through the free fixed point (by `jax.grad`)."""
    net, (x, y) = deep(), data(rng)

    def error(net):
        out = sm.relax(net, x, tolerance=1e-12)
        return jnp.mean(jnp.sum((out.states["layer2"] - y.T) ** 2, axis=0))

    gradient = jax.grad(error)(net).weights
    own = rule(1e-4)
    _, phases = contrast(net, own, {"input": x, "label": y})
    change = own.change(net, tuple(o.states for o in phases), None, {}).parameters
    for p, g, d in zip(net.pathways, gradient, change, strict=True):
        # A lateral weight and its mirror image are one number.
        g = g if p.signs < 0 else (g + g.T) / 2
        np.testing.assert_allclose(p.signs * d, g, rtol=2e-3, atol=1e-5)


def test_training_by_contrast_lowers_the_error(rng):
    """Learning with labels, in the compiled loop."""
    net = deep()
    x = rng.normal(size=(300, 5)).astype("f4")
    y = np.tanh(x[:, :3] @ rng.normal(size=(3, 3))).astype("f4") * 0.8
    batch = {"input": x, "label": y}
    rates = {"descending": 0.1, "ascending": 0.01}
    trained, reports = sm.train(net, batch, rule=rule(0.3), rate=rates, epochs=20, batch_size=50, progress=False)

    def error(net):
        return float(np.mean(np.sum((sm.encode(net, x) - y) ** 2, axis=1)))

    assert error(trained) < 0.5 * error(net)
    assert reports[-1].cost < reports[0].cost


def test_the_loop_takes_the_step_of_learn(rng, x64):
    net, (x, y) = deep(), data(rng)
    own, batch = rule(0.3), {"input": x, "label": y}
    trained, _ = sm.train(net, iter([batch]), rule=own, rate=0.05, tolerance=1e-13, progress=False)
    free = sm.relax(net, x, tolerance=1e-13, max_steps=5000)
    nudged = sm.relax(net, batch, phase=own.nudged, start=free, tolerance=1e-13, max_steps=5000)
    learned = sm.learn(net, [free, nudged], 0.05, rule=own)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), trained.weights, learned.weights)


def test_two_rates(rng, x64):
    net, (x, _) = deep(), data(rng)
    out = sm.relax(net, x)
    one, two = sm.learn(net, out, 0.1, ratio=0.5), sm.learn(net, out, {"descending": 0.1, "ascending": 0.02})
    for p, a, b in zip(net.pathways, one.weights, two.weights, strict=True):
        factor = 1 if p.signs < 0 else 0.2
        np.testing.assert_allclose(b - p.weights, factor * (a - p.weights), atol=1e-14)
    trained, _ = sm.train(
        net, iter([x]), rate={"descending": lambda _: 0.1, "ascending": 0.02}, tolerance=1e-4, progress=False
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), trained.weights, two.weights)


class Averaged(sm.Rule):
    """A rule with a state: it moves along a running mean of gradients, which is momentum."""

    @property
    def phases(self):
        return (sm.Phase(),)

    def init(self, net):
        return jax.tree.map(jnp.zeros_like, net.parameters)

    def change(self, net, settled, state, entries):
        now = sm.GradientRule().change(net, settled, None, entries)
        state = jax.tree.map(lambda m, d: 0.9 * m + d, state, now.parameters)
        return sm.Change(state, state, now.cost)


class Trace:
    """What `optax.trace(0.9)` does, in the form that transformations of Optax have."""

    @staticmethod
    def init(parameters):
        return jax.tree.map(jnp.zeros_like, parameters)

    @staticmethod
    def update(changes, state, parameters=None):
        state = jax.tree.map(lambda m, d: 0.9 * m + d, state, changes)
        return state, state


def test_a_state_goes_from_batch_to_batch(rng, x64):
    """A rule with momentum, a transformation of the changes, and the loop typed out: all the same."""
    net, settings = deep(), {"rate": 0.05, "ratio": 0.5, "tolerance": 1e-12, "progress": False}
    batches = [data(rng)[0] for _ in range(5)]
    own, _ = sm.train(net, iter(batches), rule=Averaged(), **settings)
    transformed, _ = sm.train(net, iter(batches), rule=sm.GradientRule(), transform=Trace, **settings)
    expected, momentum = net, jax.tree.map(jnp.zeros_like, net.parameters)
    for x in batches:
        out = sm.relax(expected, x, tolerance=1e-12)
        change = sm.GradientRule().change(expected, (out.states,), None, {}).parameters
        momentum = jax.tree.map(lambda m, d: 0.9 * m + d, momentum, change)
        expected = expected.with_parameters(jax.tree.map(lambda w, m: w + 0.05 * m, expected.parameters, momentum))
    for found in (own, transformed):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), found.weights, expected.weights)
    with pytest.raises(ValueError, match="keeps a state"):
        sm.learn(net, sm.relax(net, batches[0]), 0.1, rule=Averaged())


def test_optax(rng):
    """Optax's transformations serve as they are."""
    optax = pytest.importorskip("optax")
    net, batches = deep(), [data(rng)[0] for _ in range(3)]
    a, _ = sm.train(net, iter(batches), transform=optax.trace(0.9), rate=0.05, progress=False)
    b, _ = sm.train(net, iter(batches), transform=Trace, rate=0.05, progress=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), a.weights, b.weights)
    sm.train(net, iter(batches), transform=optax.scale_by_adam(), rate=1e-3, progress=False)


def test_learning_goes_on_from_a_report(rng, x64):
    """Stopped after three batches and continued with the state of the report, it is as if it had not been stopped."""
    net, settings = deep(), {"rate": 0.05, "transform": Trace, "report_every": 3, "rule": Averaged()}
    batches = [data(rng)[0] for _ in range(6)]
    *_, (whole, _) = sm.training(net, batches, **settings)
    ((half, report),) = sm.training(net, batches[:3], **settings)
    *_, (again, _) = sm.training(half, batches[3:], after=report, **settings)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), whole.weights, again.weights)


class Remembering(sm.Rule):
    """States kept for each sample: every sample starts where it ended the last time."""

    samples: int

    @property
    def phases(self):
        return (sm.Phase(steps=2),)

    @property
    def entries(self):
        return ("number",)

    def init(self, net):
        return {n: jnp.zeros((net.populations[n].grid.size, self.samples)) for n in net.layers}

    def start(self, net, state, entries):
        return {name: r[:, entries["number"][0].astype(int)] for name, r in state.items()}

    def change(self, net, settled, state, entries):
        now = sm.GradientRule().change(net, settled, None, entries)
        number = entries["number"][0].astype(int)
        state = {name: r.at[:, number].set(settled[0][name]) for name, r in state.items()}
        return sm.Change(jax.tree.map(jnp.zeros_like, now.parameters), state, now.cost)


def test_states_kept_for_each_sample(rng, x64):
    """Two steps a batch and no learning: after 200 passes each sample has arrived at its own fixed point."""
    net = deep("linear").with_weights([0.3 * p.weights if p.signs < 0 else p.weights for p in deep("linear").pathways])
    x = data(rng, 8)[0]
    number = np.arange(8.0)[:, None]
    batches = [{"input": x[k : k + 4], "number": number[k : k + 4]} for _ in range(200) for k in (0, 4)]
    *_, (_, report) = sm.training(net, batches, rule=Remembering(8), rate=0.01, solver=sm.Euler())
    expected = sm.relax(net, x, tolerance=1e-10)
    for name in net.layers:
        np.testing.assert_allclose(report.state.rule[name], expected.states[name], atol=1e-6)


BAD_PHASES = [
    (lambda: sm.Phase("input"), "sequence of names"),
    (lambda: sm.Phase(start="middle"), "starts at"),
    (lambda: sm.Phase(steps=0), "number of steps"),
    (lambda: sm.Phase(tolerance=-1.0), "tolerance"),
    (lambda: sm.Phase(["input"], absent=["input"]), "both clamped and absent"),
    (lambda: sm.Phase(["input", "lable"]), "no population"),
    (lambda: sm.Phase(["layer1"]), "has no activation"),
    (lambda: sm.Phase(absent=["layer3"]), "absent population 'layer3'"),
    (lambda: sm.Phase([], absent=["input"]), "Nothing is clamped"),
    (lambda: sm.Phase(["input", "layer1", "layer2"]), "Nothing relaxes"),
    (lambda: sm.Phase(terms=[sm.Nudge("layer2", "label")]), "reads 'label'"),
]


@pytest.mark.parametrize(("phase", "message"), BAD_PHASES)
def test_phases_that_make_no_sense(phase, message, rng):
    with pytest.raises(ValueError, match=message):
        sm.relax(deep(), data(rng)[0], phase=phase())


def test_a_target_of_the_wrong_size_is_named(rng):
    net, (x, y) = deep(), data(rng)
    phase = rule(0.3).nudged
    with pytest.raises(ValueError, match="2 numbers a sample"):
        sm.relax(net, {"input": x, "label": y[:, :2]}, phase=phase)
    with pytest.raises(ValueError, match="arrays were given for 'input'"):
        sm.train(net, {"input": x}, rule=rule(0.3), progress=False)


def test_rates_and_rules_that_make_no_sense(rng):
    net, (x, _) = deep(), data(rng)
    with pytest.raises(ValueError, match="one for each of"):
        sm.train(net, x, rate={"descending": 0.1}, progress=False)
    with pytest.raises(ValueError, match="for the ascending parameters"):
        sm.train(net, x, rate={"descending": 0.1, "ascending": 1e3}, progress=False)
    with pytest.raises(ValueError, match="as those of Optax"):
        sm.train(net, x, transform=0.9, progress=False)
    with pytest.raises(ValueError, match="beta"):
        sm.ContrastRule(sm.Phase(), sm.Phase(), beta=0.0)
    with pytest.raises(ValueError, match="2 phases"):
        sm.learn(net, sm.relax(net, x), 0.1, rule=rule(0.3))
