"""Small two-layer networks of every kind of connectivity, the same network in each."""

import jax
import numpy as np
import oracle
import scipy.sparse

import simatch as sm

BELOW, MIDDLE = sm.Grid(4, 6, 2), sm.Grid(2, 3, 3)
TOP = sm.Grid(1, 1, 5)
KINDS = ("dense", "local", "sparse")


def structure(rng, graded=False):
    """Structure constants of both layers: discs in the first, a random half in the second."""
    see = np.kron(oracle.disc(4, 6, 2, 1.9), np.ones((3, 2)))
    own = np.kron(np.eye(6), np.ones((3, 3)))
    some = np.kron(rng.random((5, 6)) < 0.7, np.ones((1, 3)))
    c = [see, own, some, np.ones((5, 5))]
    if graded:
        c = [np.where(m > 0, rng.uniform(0.5, 2, m.shape), 0) for m in c]
        c[1], c[3] = (c[1] + c[1].T) / 2, (c[3] + c[3].T) / 2
    return c


def two_layers(kind, c, gamma, scale=1.0, activation="tanh"):
    """Build the network with structure constants `c`; a local first layer takes them from its geometry."""
    if kind == "local":
        first = sm.Local(BELOW, MIDDLE, 1.9), sm.Local(MIDDLE, MIDDLE, 0.0)
        second = sm.Dense(MIDDLE, TOP, c[2]), sm.Local(TOP, TOP, 0.0)
    else:
        make = sm.Dense if kind == "dense" else lambda *a: sm.Sparse(*a[:2], scipy.sparse.csr_array(a[2]))
        first = make(BELOW, MIDDLE, c[0]), make(MIDDLE, MIDDLE, c[1])
        second = make(MIDDLE, TOP, c[2]), make(TOP, TOP, c[3])
    return sm.Network(
        {
            "input": sm.Population(BELOW),
            "layer1": sm.Population(MIDDLE, activation),
            "layer2": sm.Population(TOP, activation),
        },
        [
            sm.Hebbian("input", "layer1", first[0], scale=scale),
            sm.AntiHebbian("layer1", first[1], scale=scale),
            sm.Hebbian("layer1", "layer2", second[0], scale=scale, feedback=gamma),
            sm.AntiHebbian("layer2", second[1], scale=scale),
        ],
    )


def randomised(net, rng, lateral=0.3):
    """Give a network weights away from any special point: random W, L symmetric and positive definite."""
    weights = []
    for p in net.pathways:
        pre, post = p.connectivity.pre.size, p.connectivity.post.size
        if p.signs < 0:
            dense = rng.normal(size=(post, pre)) / np.sqrt(pre)
        else:
            noise = lateral * rng.normal(size=(post, post)) / np.sqrt(post)
            dense = (noise + noise.T) / 2 + np.diag(rng.uniform(0.8, 1.5, post))
        weights.append(p.connectivity.gather(dense))
    return net.with_weights(weights)


def matrices(net):
    """Dense float64 weights of a chain: W and L, bottom to top."""
    W = [np.asarray(p.to_dense(), float) for p in net.feedforward]
    L = [np.asarray(p.to_dense(), float) for p in net.lateral]
    return W, L


def rows(out, net):
    """Activities of every layer as (samples, neurons), float64."""
    return [np.asarray(out.states[name], float).T for name in net.layers]


def assert_close_trees(a, b, **tolerance):
    """Compare two pytrees leaf by leaf."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)
