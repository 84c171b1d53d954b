"""Networks, weights, relaxations and starts that do not belong together: each pair is a ValueError of one sentence."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import simatch as sm

NETWORKS = {
    "local": sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)]),
    "another radius": sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=3.0)]),
    "fewer units": sm.layered(sm.Grid(8, 8), [sm.Layer(units=3, stride=2, radius=2.0)]),
    "another grid": sm.layered(sm.Grid(4, 4), [sm.Layer(units=4, stride=1, radius=1.0)]),
    "dense": sm.layered(sm.Grid(8, 8), [sm.Layer(units=64)]),
    "two layers": sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=5)], feedback=0.2),
}
PAIRS = list(itertools.permutations(NETWORKS, 2))


def samples(net, count=3):
    return np.ones((count, net.populations["input"].grid.size), "f4")


@pytest.mark.parametrize(("own", "other"), PAIRS)
def test_weights_of_another_network(own, other):
    with pytest.raises(ValueError, match=r"do not fit|parameters were given|weights were given"):
        NETWORKS[own].with_weights(NETWORKS[other].weights)
    with pytest.raises(ValueError, match=r"do not fit|parameters were given"):
        NETWORKS[own].with_parameters(NETWORKS[other].parameters)


RELAXED = {}


def relaxation(name):
    """Relax each network once."""
    if name not in RELAXED:
        RELAXED[name] = sm.relax(NETWORKS[name], samples(NETWORKS[name]), tolerance=1e-2)
    return RELAXED[name]


def same_sizes(own, other):
    """Whether two networks have populations of the same names and sizes, so that activities of one fit the other."""
    a, b = ({n: p.grid.size for n, p in NETWORKS[k].populations.items()} for k in (own, other))
    return a == b


@pytest.mark.parametrize(("own", "other"), [pair for pair in PAIRS if not same_sizes(*pair)])
def test_a_relaxation_of_another_network(own, other):
    net, out = NETWORKS[own], relaxation(other)
    message = r"relax this network itself|missing"
    if set(NETWORKS[own].populations) <= set(NETWORKS[other].populations) and all(
        NETWORKS[other].populations[n].grid.size == p.grid.size for n, p in net.populations.items()
    ):
        sm.learn(net, out, 0.01)  # what is there beside is not read
        return
    for use in (lambda: sm.learn(net, out, 0.01), lambda: sm.objective(net, out), lambda: sm.credit(net, out)):
        with pytest.raises(ValueError, match=message):
            use()


def fits_as_start(own, other):
    """Whether all layers of one network are in the other, of the same size."""
    a, b = ({n: NETWORKS[k].populations[n].grid.size for n in NETWORKS[k].layers} for k in (own, other))
    return a.items() <= b.items()


@pytest.mark.parametrize(("own", "other"), [pair for pair in PAIRS if not fits_as_start(*pair)])
def test_a_start_of_another_network(own, other):
    net = NETWORKS[own]
    with pytest.raises(ValueError, match=r"start of population 'layer[12]' (has shape|is missing)"):
        sm.relax(net, samples(net), start=relaxation(other))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_start_of_another_batch(name):
    net = NETWORKS[name]
    with pytest.raises(ValueError, match="as many samples"):
        sm.relax(net, samples(net, 4), start=relaxation(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_activities_of_another_shape(name):
    out = relaxation(name)
    states = {**out.states, "layer1": out.states["layer1"][:-1]}
    bad = sm.Relaxation(states, out.potentials, out.residual, out.steps, out.status, out._shapes)
    with pytest.raises(ValueError, match="relax this network itself"):
        sm.learn(NETWORKS[name], bad, 0.01)
    states = {**out.states, "layer1": out.states["layer1"][:, :-1]}
    bad = sm.Relaxation(states, out.potentials, out.residual, out.steps, out.status, out._shapes)
    with pytest.raises(ValueError, match="different numbers of samples"):
        sm.learn(NETWORKS[name], bad, 0.01)


@pytest.mark.parametrize("spoil", [lambda w: w[:-1], lambda w: w.T[None], lambda w: (w, w), lambda w: None])
def test_weights_of_another_layout(spoil):
    net = NETWORKS["dense"]
    with pytest.raises(ValueError, match="do not fit"):
        net.with_weights([spoil(net.weights[0]), net.weights[1]])


def test_a_network_made_in_single_precision_learns_in_double(x64):
    """Weights in float32, then ``jax_enable_x64``: data, activities and weights go on in double precision."""
    import jax

    with jax.enable_x64(False):
        net = sm.layered(6, [sm.Layer(units=3)])
    assert net.weights[0].dtype == jnp.float32
    x = np.random.default_rng(0).normal(size=(20, 6))
    trained, _ = sm.train(net, x, batch_size=5, progress=False)
    assert trained.weights[0].dtype == jnp.float64
    assert sm.encode(trained, x).dtype == np.float64
