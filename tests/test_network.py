"""Graphs: what they accept, how they order themselves, and what two inputs into one population compute."""

import jax
import numpy as np
import oracle
import pytest

import simatch as sm

A, B, C, D = (sm.Grid(1, 1, n) for n in (5, 4, 3, 2))


def graph(feedback, skip=None):
    """x -> a -> b -> c, with a skip from a to c if wanted."""
    populations = {
        "x": sm.Population(A),
        "a": sm.Population(B, "tanh"),
        "b": sm.Population(C, "tanh"),
        "c": sm.Population(D, "tanh"),
    }
    pathways = [
        sm.Hebbian("x", "a", sm.Dense(A, B)),
        sm.Hebbian("a", "b", sm.Dense(B, C), feedback=feedback),
        sm.Hebbian("b", "c", sm.Dense(C, D), feedback=feedback),
        *(sm.AntiHebbian(name, sm.Dense(g, g)) for name, g in (("a", B), ("b", C), ("c", D))),
    ]
    if skip is not None:
        pathways.append(sm.Hebbian("a", "c", sm.Dense(B, D), feedback=skip))
    return sm.Network(populations, pathways)


def test_importance_is_gamma_to_the_p_minus_P():
    net = graph(0.5)
    assert net.stages() == (("a", "b", "c"),)
    assert net.energy_weight == {"a": 4.0, "b": 2.0, "c": 1.0}
    assert [float(p.gain) for p in net.lateral] == [1.5, 1.5, 1.0]


def test_without_feedback_every_population_is_a_stage():
    net = graph(0.0)
    assert net.stages() == (("a",), ("b",), ("c",))
    assert set(net.energy_weight.values()) == {1.0}


def test_a_skip_fits_only_with_one_feedback():
    assert graph(0.5, skip=0.25).energy_weight["a"] == 4.0
    with pytest.raises(ValueError, match="contradicts"):
        graph(0.5, skip=0.5)
    with pytest.raises(ValueError, match="feedback is 0"):
        graph(0.5, skip=0.0)


def test_skip_and_second_input_against_numpy(rng, x64):
    """A general graph: two inputs, one of which reaches both populations, with feedback between these."""
    gamma = 0.4
    net = sm.Network(
        {"x": sm.Population(A), "y": sm.Population(B), "h": sm.Population(C, "tanh"), "o": sm.Population(D, "tanh")},
        [
            sm.Hebbian("x", "h", sm.Dense(A, C)),
            sm.Hebbian("y", "h", sm.Dense(B, C)),
            sm.Hebbian("y", "o", sm.Dense(B, D)),
            sm.Hebbian("h", "o", sm.Dense(C, D), feedback=gamma),
            sm.AntiHebbian("h", sm.Dense(C, C)),
            sm.AntiHebbian("o", sm.Dense(D, D)),
        ],
    )
    x, y = rng.normal(size=(6, 5)), rng.normal(size=(6, 4))
    out = sm.relax(net, {"x": x, "y": y}, tolerance=1e-10)
    xh, yh, yo, ho, hh, oo = (p.to_dense() for p in net.pathways)
    h, o = np.zeros((6, 3)), np.zeros((6, 2))
    u, v = h, o
    for _ in range(3000):
        u = u + 0.1 * (-u + x @ xh.T + y @ yh.T - h @ (hh - np.eye(3)) + gamma * o @ ho)
        v = v + 0.1 * (-v + y @ yo.T + h @ ho.T - o @ (oo - np.eye(2)))
        h, o = np.tanh(u), np.tanh(v)
    np.testing.assert_allclose(np.asarray(out["h"]).reshape(6, 3), h, atol=1e-8)
    np.testing.assert_allclose(np.asarray(out["o"]).reshape(6, 2), o, atol=1e-8)
    learned = sm.learn(net, out, rate=0.1, rule=sm.GradientRule())
    change = 0.1 * (o.T @ h / 6 - ho)
    np.testing.assert_allclose(learned.pathways[3].to_dense() - ho, change, atol=1e-8)
    change = 0.1 / gamma * (h.T @ y / 6 - yh)
    np.testing.assert_allclose(learned.pathways[1].to_dense() - yh, change, atol=1e-8)


def test_seeds():
    layers = [sm.Layer(units=3, stride=2, radius=2.0)]
    a, b, c = (sm.layered(sm.Grid(6, 6), layers, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.feedforward[0].to_dense(), b.feedforward[0].to_dense())
    assert (a.feedforward[0].to_dense() != c.feedforward[0].to_dense()).any()


@pytest.mark.parametrize(
    ("populations", "pathways", "message"),
    [
        ({"x": sm.Population(A), "a": sm.Population(B, "tanh")}, [], "Nothing drives"),
        ({"x": sm.Population(A)}, [sm.Hebbian("x", "b", sm.Dense(A, B))], "unknown population 'b'"),
        ({"x": sm.Population(A), "a": sm.Population(C)}, [sm.Hebbian("x", "a", sm.Dense(A, B))], "was made for"),
    ],
)
def test_graphs_that_make_no_sense(populations, pathways, message):
    with pytest.raises(ValueError, match=message):
        sm.Network(populations, pathways)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="Feedback"):
        sm.layered(4, [sm.Layer(units=2)], feedback=-1.0)
    with pytest.raises(ValueError, match="scale"):
        sm.layered(4, [sm.Layer(units=2, scale=0.0)])
    with pytest.raises(ValueError, match="at least one layer"):
        sm.layered(4, [])
    with pytest.raises(ValueError, match="not both"):
        sm.layered(4, [sm.Layer(units=2, radius=1.0, structure=np.ones((2, 4)))])
    with pytest.raises(ValueError, match="no activation 'sigmoid'"):
        sm.layered(4, [sm.Layer(units=2, activation="sigmoid")])


def test_layers_take_structure_constants(rng):
    c = (rng.random((3, 8)) < 0.5) * rng.uniform(1, 2, (3, 8))
    net = sm.layered(8, [sm.Layer(units=3, structure=c)])
    np.testing.assert_array_equal(net.feedforward[0].to_dense() != 0, c > 0)


def test_one_network_is_one_pytree():
    """All arrays of a network are reachable as leaves, and rebuilding it from them gives the same network."""
    net = sm.layered(sm.Grid(6, 6), [sm.Layer(units=3, stride=2, radius=2.0), sm.Layer(units=2)], feedback=0.2)
    leaves, form = jax.tree.flatten(net)
    again = jax.tree.unflatten(form, leaves)
    x = np.ones((2, 36))
    np.testing.assert_array_equal(sm.relax(net, x)["layer2"], sm.relax(again, x)["layer2"])
    assert oracle.importance(0.2, 1, 2) == again.energy_weight["layer1"]


def test_a_bias_of_another_size_is_refused():
    below, above = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)
    with pytest.raises(ValueError, match="A bias of 3 numbers does not fit population 'r', which has 2 neurons"):
        sm.Network(
            {"x": sm.Population(below), "r": sm.Population(above, "tanh")},
            [sm.Hebbian("x", "r", sm.Dense(below, above)), sm.Bias("r", below)],
        )
