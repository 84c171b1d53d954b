"""Predictive coding: settled errors against finite differences, the schedule against back-propagation."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import simatch as sm
from simatch.models import predictive, predictive_graph, predictive_nudged, predictive_scheduled, predictive_settled
from simatch.relaxation import settle_phases

GRAPHS = {
    "chain": (
        {"input": 5, "a": 4, "b": 6, "c": 4, "output": 3},
        {"a": ["input"], "b": ["a"], "c": ["b"], "output": ["c"]},
    ),
    "skip": (
        {"input": 5, "a": 4, "b": 6, "output": 3},
        {"a": ["input"], "b": ["a"], "output": ["a", "b", "input"]},
    ),
    # "a" predicts populations at three distances from the output, so that its copies have copies.
    "branches": (
        {"left": 5, "right": 2, "a": 4, "b": 6, "c": 3, "d": 4, "output": 3},
        {"a": ["left"], "b": ["right", "left", "a"], "c": ["b"], "d": ["a", "c"], "output": ["d", "a"]},
    ),
}
# Where the number of phases does not matter: each is a part of the program to compile.
SHORT = ({"input": 5, "a": 4, "output": 3}, {"a": ["input"], "output": ["a", "input"]})
SAMPLES = 4


def built(name, learning, *, activation="tanh"):
    """A graph with random weights and biases, and a batch, in the engine's layout."""
    model = predictive_graph(*GRAPHS[name], learning=learning, activation=activation, seed=3)
    rng = np.random.default_rng(5)
    shifted = [jax.tree.map(lambda w: w + 0.2 * rng.normal(size=w.shape), own) for own in model.network.parameters]
    sizes = {**{name: model.network.populations[name].grid.size for name in model.network.inputs}, "label": 3}
    batch = {name: jnp.asarray(rng.normal(size=(size, SAMPLES))) for name, size in sizes.items()}
    return dataclasses.replace(model, network=model.network.with_parameters(shifted)), batch


def change(model, batch, tolerance=1e-12):
    """What the rule changes on a batch: for each predicted population its weights and its bias."""
    # Lengths of steps are arguments of the program, not constants.
    rule = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, float) else leaf, model.rule)
    changed, worst = _change(model.network, rule, batch, jnp.asarray(tolerance))
    assert worst < sm.Status.MAX_STEPS
    pairs = zip(model.network.terms, changed, strict=True)
    return {term.post: own for term, own in pairs if isinstance(term, sm.Prediction)}


@eqx.filter_jit
def _change(net, rule, batch, tolerance):
    state = rule.init(net)
    out = settle_phases(net, rule.phases, batch, None, tolerance, rule.start(net, state, batch))
    changed = rule.change(net, tuple(one.states for one in out), state, batch)
    return changed.parameters, jnp.max(jnp.stack([one.status for one in out]))


def by_hand(graph, parameters, batch, f=np.tanh):
    """Output of a graph, population by population."""
    sizes, parents = graph
    states = {own: batch[own] for own in sizes if own not in parents}
    for own in (own for own in sizes if own in parents):
        pairs = zip(parameters[own]["weights"], parents[own], strict=True)
        drives = [w @ (f(states[parent]) if parent in parents else states[parent]) for w, parent in pairs]
        states[own] = sum(drives) + parameters[own]["bias"][:, None]
    return states["output"]


def parameters_of(net):
    return {term.post: term.parameters for term in net.terms if isinstance(term, sm.Prediction)}


def descent(name, model, batch):
    """Minus the gradient of the mean of ``|y - output|^2 / 2``, by back-propagation."""

    def loss(parameters):
        return jnp.mean(jnp.sum((batch["label"] - by_hand(GRAPHS[name], parameters, batch, jnp.tanh)) ** 2, axis=0)) / 2

    return jax.tree.map(jnp.negative, jax.grad(loss)(parameters_of(model.network)))


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def relative(a, b):
    a, b = flat(a), flat(b)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("name", GRAPHS)
def test_scheduled_learning_is_back_propagation(name, x64):
    model, batch = built(name, predictive_scheduled)
    assert relative(change(model, batch), descent(name, model, batch)) < 1e-12


def test_a_step_too_short_is_not_back_propagation(x64):
    """The comparison sees an error of the schedule."""
    model, batch = built("chain", predictive_scheduled)
    rule = jax.tree.map(lambda leaf: 0.99 if isinstance(leaf, float) else leaf, model.rule)
    assert rule.phases[1].solver.step_size == 0.99
    error = relative(change(dataclasses.replace(model, rule=rule), batch), descent("chain", model, batch))
    assert 1e-3 < error < 0.1


def test_settled_learning_is_the_gradient_of_the_settled_energy(x64):
    """Beside the minimum that SciPy finds, by central differences in every parameter."""
    model, batch = built("skip", predictive_settled)
    x, y, net = batch["input"], batch["label"], model.network
    leaves, layout = jax.tree.flatten(parameters_of(net))
    f = np.tanh

    def errors(r, parameters):
        a, b = r[: 4 * SAMPLES].reshape(4, SAMPLES), r[4 * SAMPLES :].reshape(6, SAMPLES)
        (wa,), (wb,), (wo, wp, wq) = (parameters[name]["weights"] for name in ("a", "b", "output"))
        ea = a - wa @ x - parameters["a"]["bias"][:, None]
        eb = b - wb @ f(a) - parameters["b"]["bias"][:, None]
        eo = y - wo @ f(a) - wp @ f(b) - wq @ x - parameters["output"]["bias"][:, None]
        back_a, back_b = ea - (1 - f(a) ** 2) * (wb.T @ eb + wo.T @ eo), eb - (1 - f(b) ** 2) * (wp.T @ eo)
        return np.concatenate([ea, eb, eo]), np.concatenate([back_a.ravel(), back_b.ravel()])

    out = sm.relax(
        net, {name: np.asarray(r.T) for name, r in batch.items()}, phase=model.rule.phases[0], tolerance=1e-9
    )
    start = np.concatenate([np.ravel(out.states["a"]), np.ravel(out.states["b"])])

    def least(number, place, by):
        moved = [np.array(leaf) for leaf in leaves]
        moved[number].flat[place] += by
        parameters = jax.tree.unflatten(layout, moved)
        value = lambda r: (np.sum(errors(r, parameters)[0] ** 2) / 2, errors(r, parameters)[1])  # noqa: E731
        found = scipy.optimize.minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-7})
        return found.fun / SAMPLES

    found = flat(change(model, batch))
    rng, begin = np.random.default_rng(0), 0
    for number, leaf in enumerate(leaves):
        for place in rng.choice(leaf.size, 1):
            numerical = -(least(number, place, 1e-4) - least(number, place, -1e-4)) / 2e-4
            assert found[begin + place] == pytest.approx(numerical, abs=1e-8)
        begin += leaf.size
    back = flat(descent("skip", model, batch))
    assert found @ back / np.linalg.norm(found) / np.linalg.norm(back) < 0.99


def test_nudged_learning_tends_to_back_propagation(x64):
    """The error falls with beta, in proportion."""
    errors = []
    for beta in (1e-2, 1e-3):
        model, batch = built("skip", functools.partial(predictive_nudged, beta=beta))
        errors.append(relative(change(model, batch), descent("skip", model, batch)))
    assert errors[0] < 0.1
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)


def test_settled_energy_of_a_linear_network(x64):
    """F = (y - yh)' Sigma^-1 (y - yh) / 2, where Sigma adds up P P', P the product of the weights above a layer."""
    model, batch = built("chain", predictive_settled, activation="linear")
    net = model.network
    assert all(term.quadratic(net.layers) for term in net.terms)
    out = sm.relax(
        net, {name: np.asarray(r.T) for name, r in batch.items()}, phase=model.rule.phases[0], tolerance=1e-10
    )
    parameters = parameters_of(net)
    product, sigma = np.eye(3), np.zeros((3, 3))
    for name in ("output", "c", "b", "a"):
        sigma += product @ product.T
        product = product @ np.asarray(parameters[name]["weights"][0])
    error = np.asarray(batch["label"]) - by_hand(
        GRAPHS["chain"], parameters, jax.tree.map(np.asarray, batch), f=np.asarray
    )
    expected = np.sum(error * np.linalg.solve(sigma, error), axis=0) / 2
    np.testing.assert_allclose(sm.network.energy(net, out.states), expected, rtol=1e-10)


@pytest.mark.parametrize("learning", [predictive_scheduled, predictive_settled])
def test_models_learn_and_answer(learning, rng, tmp_path):
    """Answers are the feedforward pass; they come closer to the targets; files keep all of it."""
    model = predictive_graph(*SHORT, learning=learning)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    y = np.sin(x[:, :3]) + x[:, 3:4]
    learned, reports = model.fit(x, y, epochs=20, batch_size=20)
    assert sum(report.unconverged for report in reports) == 0
    parameters = parameters_of(learned.network)
    expected = by_hand(SHORT, parameters, {"input": x.T}).T
    np.testing.assert_allclose(learned.outputs(x), expected, atol=1e-5)
    assert np.mean((learned.outputs(x) - y) ** 2) < 0.9 * np.mean((model.outputs(x) - y) ** 2)
    sm.save(learned.network, tmp_path / "net")
    read = sm.load(tmp_path / "net")
    np.testing.assert_array_equal(dataclasses.replace(learned, network=read).outputs(x), learned.outputs(x))


def test_layers_with_receptive_fields(rng):
    """A layer may be local, and its synapses may be held."""
    model = predictive(sm.Grid(6, 6), [sm.Layer(units=2, stride=2, radius=1.5)], 2, activation="relu")
    x, y = rng.normal(size=(40, 6, 6)), rng.normal(size=(40, 2))
    held = sm.Plasticity(model.network, {"prediction of output": 0.0})
    learned, _ = model.fit(x, y, epochs=2, batch_size=20, transform=held)
    (local,) = learned.network.terms[0].connectivity
    assert local.synapses < 36 * 18
    assert learned.network.synapses == local.synapses + 18 * 2
    assert learned.outputs(x).shape == (40, 2)
    pairs = zip(learned.network.parameters, model.network.parameters, strict=True)
    assert [np.array_equal(flat(a), flat(b)) for a, b in pairs] == [False, True]


@pytest.mark.parametrize("learning", [predictive_scheduled, predictive_settled, predictive_nudged])
@pytest.mark.parametrize(
    ("sizes", "parents", "complaint"),
    [
        ({"x": 2, "y": 2}, {"y": ["z"]}, "'z' has no size"),
        ({"x": 2, "y": 2}, {"y": ["x"]}, "No population lies between"),
        ({"x": 2, "y": 2, "z": 2}, {"y": ["x"], "z": ["x"]}, "but '[yz]', '[yz]' have"),
        ({"x": 2, "a": 2, "b": 2, "y": 2}, {"a": ["x", "b"], "b": ["a"], "y": ["b"]}, "form a circle"),
    ],
)
def test_graphs_that_are_refused(learning, sizes, parents, complaint):
    with pytest.raises(ValueError, match=complaint):
        predictive_graph(sizes, parents, learning=learning)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"only terms sm\.Prediction and sm.Copy"):
        predictive_settled(sm.layered(4, [sm.Layer(units=2)]))
    with pytest.raises(ValueError, match="at least one hidden layer"):
        predictive(4, [], 2)
    with pytest.raises(ValueError, match="beta"):
        predictive(4, [3], 2, learning=functools.partial(predictive_nudged, beta=0.0))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((["a", "a"], "c", 2, ["linear"] * 2), "must differ"),
        ((["a"], "a", 1, ["linear"]), "must differ"),
        ((["a", "b"], "c", 1, ["linear"] * 2), "1 connectivities and 2 functions"),
        ((["a"], "c", 1, []), "0 functions"),
        (("a", "c", 1, ["linear"]), "sequence of names"),
    ],
)
def test_predictions_that_are_refused(arguments, complaint):
    pre, post, count, functions = arguments
    grid = sm.Grid(1, 1, 2)
    with pytest.raises(ValueError, match=complaint):
        sm.Prediction(pre, post, [sm.Dense(grid, grid)] * count, functions)


def test_grids_must_fit():
    two, three = sm.Grid(1, 1, 2), sm.Grid(1, 1, 3)
    with pytest.raises(ValueError, match="lead to"):
        sm.Prediction(["a", "b"], "c", [sm.Dense(two, two), sm.Dense(two, three)], ["linear"] * 2)
    term = sm.Prediction(["x"], "y", [sm.Dense(two, three)], ["linear"])
    with pytest.raises(ValueError, match="was made for"):
        sm.Network({"x": sm.Population(2), "y": sm.Population(2, "linear")}, [term])
    net = sm.Network({"x": sm.Population(2), "y": sm.Population(3, "linear")}, [sm.Copy("x", "y")])
    with pytest.raises(ValueError, match="give both the same number"):
        sm.relax(net, np.ones((1, 2)))
