"""Connectivity against brute-force geometry and against dense matrices."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import networks
import numpy as np
import oracle
import pytest
import scipy.sparse

import simatch as sm


@pytest.mark.parametrize(
    ("below", "stride", "radius"),
    [
        (sm.Grid(28, 28), 2, 4.0),
        (sm.Grid(8, 12, 3), 2, 3.1),
        (sm.Grid(6, 9), 3, 1.5),
        (sm.Grid(5, 4, 2), 1, 1.0),
        (sm.Grid(8, 8), 4, 0.8),
        (sm.Grid(6, 6), 2, 100.0),
        (sm.Grid(1, 7), 1, 2.0),
    ],
)
def test_local_geometry_is_section_4(below, stride, radius):
    """Exactly the synapses within the radius, no number stored for any other."""
    above = below.coarsened(stride, 2)
    local = sm.Local(below, above, radius)
    expected = np.kron(oracle.disc(below.height, below.width, stride, radius), np.ones((2, below.units)))
    ones = jax.tree.map(jnp.ones_like, local.normal(np.random.default_rng(0)))
    np.testing.assert_array_equal(local.to_dense(ones), expected)
    assert local.synapses == expected.sum() == sum(w.size for w in ones)


@hypothesis.given(
    sites=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.integers(1, 4),
    radius=st.floats(0.75, 9.0),
    units=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
@hypothesis.settings(deadline=None, max_examples=40, derandomize=True)
def test_local_geometry_of_any_grid(sites, stride, radius, units):
    below = sm.Grid(sites[0] * stride, sites[1] * stride, units[0])
    local = sm.Local(below, below.coarsened(stride, units[1]), radius)
    ones = local.gather(np.ones((local.post.size, local.pre.size)))
    expected = np.kron(oracle.disc(below.height, below.width, stride, radius), np.ones((units[1], units[0])))
    np.testing.assert_array_equal(local.to_dense(ones), expected)


def test_lateral_radius_is_measured_on_the_layer_below():
    layer = sm.Layer(units=2, stride=2, radius=3.0, lateral_radius=2.0)
    _, lateral = layer.connectivity(sm.Grid(8, 12))
    ones = jax.tree.map(jnp.ones_like, lateral.normal(np.random.default_rng(0)))
    expected = np.kron(oracle.disc(4, 6, 1, 1.0), np.ones((2, 2)))
    np.testing.assert_array_equal(lateral.to_dense(ones), expected)


@pytest.mark.parametrize("kind", networks.KINDS)
def test_three_derivatives_of_one_map(kind, rng, x64):
    """Projection, transpose and outer product equal those of the dense matrix on the existing synapses."""
    net = networks.randomised(networks.two_layers(kind, networks.structure(rng), 0.3), rng)
    for pathway in net.pathways:
        c = pathway.connectivity
        dense = np.asarray(pathway.to_dense())
        exists = c.to_dense(c.gather(np.ones_like(dense)))
        pre, post = rng.normal(size=(c.pre.size, 5)), rng.normal(size=(c.post.size, 5))
        drive, pull = jax.vjp(c.project, pathway.weights, jnp.asarray(pre))
        outer, back = pull(jnp.asarray(post))
        np.testing.assert_allclose(drive, dense @ pre, atol=1e-12)
        np.testing.assert_allclose(back, dense.T @ post, atol=1e-12)
        np.testing.assert_allclose(c.to_dense(outer), (post @ pre.T) * exists, atol=1e-12)
        assert c.synapses == exists.sum()


@pytest.mark.parametrize("kind", networks.KINDS)
def test_identity_and_gather_round_trip(kind, rng):
    net = networks.two_layers(kind, networks.structure(rng), 0.3)
    for pathway in net.lateral:
        size = pathway.connectivity.post.size
        dense = pathway.connectivity.to_dense(pathway.connectivity.identity())
        np.testing.assert_array_equal(dense, np.eye(size))
    for pathway in net.pathways:
        again = pathway.connectivity.gather(pathway.to_dense())
        networks.assert_close_trees(pathway.weights, again)


def test_first_weights_have_the_published_deviation():
    net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=4, stride=2, radius=4.0)])
    W = net.feedforward[0].to_dense()
    existing = W[W != 0]
    inputs = existing.size / W.shape[0]
    np.testing.assert_allclose(existing.std() * np.sqrt(inputs), 1, rtol=0.02)
    np.testing.assert_array_equal(net.lateral[0].to_dense(), np.eye(784))


def test_one_hundred_units_a_site_have_three_million_synapses():
    net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=100, stride=2, radius=4.0)])
    seen = oracle.disc(28, 28, 2, 4.0).sum()
    assert net.synapses == 100 * seen + 196 * 100**2
    assert sum(w.size for w in jax.tree.leaves(net.weights)) == net.synapses


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (np.ones((3, 2)), "shape"),
        (-np.ones((2, 3)), "at least 0"),
        (np.full((2, 3), np.nan), "NaN"),
        (np.zeros((2, 3)), "no synapse"),
    ],
)
@pytest.mark.parametrize("kind", [sm.Dense, lambda a, b, c: sm.Sparse(a, b, scipy.sparse.csr_array(c))])
def test_bad_structure_constants(kind, structure, message):
    with pytest.raises(ValueError, match=message):
        kind(sm.Grid(1, 1, 3), sm.Grid(1, 1, 2), structure)


def test_lateral_structure_must_be_symmetric():
    grid, c = sm.Grid(1, 1, 2), np.array([[1.0, 2.0], [1.0, 1.0]])
    for connectivity in (sm.Dense(grid, grid, c), sm.Sparse(grid, grid, scipy.sparse.csr_array(c))):
        with pytest.raises(ValueError, match="not symmetric"):
            sm.AntiHebbian("a", connectivity)


def test_bad_geometry():
    with pytest.raises(ValueError, match="reaches no input"):
        sm.Local(sm.Grid(8, 8), sm.Grid(4, 4), 0.5)
    with pytest.raises(ValueError, match="does not divide"):
        sm.layered(sm.Grid(9, 9), [sm.Layer(units=2, stride=2, radius=2.0)])
    with pytest.raises(ValueError, match="at least 0"):
        sm.Local(sm.Grid(8, 8), sm.Grid(4, 4), -1.0)
    with pytest.raises(ValueError, match="same whole factor"):
        sm.Local(sm.Grid(8, 8), sm.Grid(4, 2), 2.0)
    with pytest.raises(ValueError, match="a whole number of at least 1"):
        sm.Grid(0, 3)


def test_the_number_of_local_weights_is_known_before_they_are_made(rng):
    """Files are compared with it. Its search for a disc that is much too large must not take memory either."""
    made = 0
    for _ in range(60):
        stride, height, width = rng.integers(1, 6, 3).tolist()
        pre, post = sm.Grid(height * stride, width * stride, 2), sm.Grid(height, width, 3)
        radius = float(rng.choice([0.0, 0.5, 0.71, 1.0, 1.5, 2.5, 7.0, 1e4, 1e300]))
        try:
            synapses = sm.Local(pre, post, radius).synapses
        except ValueError:
            continue  # reaches no input
        made += 1
        assert sm.Local.planned(synapses, pre=pre, post=post, radius=radius) == synapses
    assert made > 30
    huge = sm.Grid(10**9, 10**9)
    assert sm.Local.planned(1000, pre=huge, post=sm.Grid(1, 1), radius=1e9) > 1000
    assert sm.Local.planned(1000, pre=huge, post=huge, radius=0.0) > 1000


@pytest.mark.parametrize("wrap", [np.asarray, scipy.sparse.csr_array])
def test_structure_is_made_of_real_numbers(wrap):
    below, above = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2)
    kind = sm.Dense if wrap is np.asarray else sm.Sparse
    assert kind(below, above, wrap(np.eye(2, 3, dtype=int))).structure.dtype == jnp.zeros(()).dtype
    with pytest.raises(ValueError, match="real numbers, got an array of type complex128"):
        kind(below, above, wrap(1j * np.eye(2, 3)))
